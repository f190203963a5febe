//! One task as this node stands to it.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    time::Instant,
};

use crate::cluster::{held::Held, ranking::NodeId};

/// What this node does with what it hears in a task.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Role {
    /// Is to own it: holds until all others who are alive have said that they do not take it.
    Arriving {
        /// Who has not said so yet.
        waiting: BTreeSet<NodeId>,
        /// Those of them that take nothing, but hold something, and since when.
        holding: BTreeMap<NodeId, Instant>,
        /// Whose it is what comes without an `eventId`.
        claim: Claim,
        /// When the others were asked last.
        asked: Option<Instant>,
    },
    /// Takes everything.
    Owner,
    /// Takes everything until its own mark comes by.
    Leaving {
        /// For whom.
        to: NodeId,
        /// When that was put on the channel last.
        passed: Instant,
    },
    /// Holds what has an `eventId` until it is settled.
    Standby,
    /// As a standby, but somebody else is: until nothing is held.
    Lingering {
        /// Since when.
        since: Instant,
    },
    /// Has let go of the channel, and takes what was still on its way.
    Withdrawn {
        /// Since when.
        since: Instant,
    },
}

impl Role {
    pub(super) fn arriving(waiting: BTreeSet<NodeId>, claim: Claim) -> Self {
        Self::Arriving { waiting, holding: BTreeMap::new(), claim, asked: None }
    }

    /// Whether it appends what it hears.
    pub(super) fn takes(&self) -> bool {
        matches!(self, Self::Owner | Self::Leaving { .. } | Self::Withdrawn { .. })
    }
}

/// Whose an activity without an `eventId` is that a coming owner hears.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Claim {
    /// Somebody else may have taken it.
    Others,
    /// Nobody has, as far as this node can know: whoever has taken something will say so.
    Perhaps,
    /// The last owner's mark came by: it and everything after it is for this node to take.
    Mine,
}

/// The most nodes whose marks are remembered in a task. Whoever may publish to it can write marks: beyond this, those of nodes that are no members are
/// forgotten.
pub(super) const LISTENERS: usize = 256;

/// Times are those at which something happened here; numbers are those of the messages heard here, as [`Held`] counts them.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub(super) role: Role,
    /// Whether the channel is, or is about to be, subscribed.
    pub(super) listens: bool,
    /// Whether the server has confirmed it.
    pub(super) subscribed: bool,
    pub(super) held: Held,
    /// When something was heard last.
    pub(super) heard: Instant,
    /// When it ceased to be about to be the owner: what it held without an `eventId` since it may still be asked for.
    pub(super) turned: Option<Instant>,
    /// When a claim was put on the channel that is on its way: what comes before it without an `eventId`, somebody who has gone may have taken. One
    /// that is lost is not waited for for long.
    pub(super) unsure: Option<Instant>,
    /// How many claims this node has put on the channel.
    pub(super) claims: u64,
    /// The number of the first message since the channel was subscribed.
    pub(super) since: u64,
    /// How many messages came between that one and this node's own mark that it listens.
    pub(super) early: u64,
    /// The number below which messages were heard before the channel was let go or lost.
    pub(super) interrupted: u64,
    /// From which number on others listen, by their marks.
    pub(super) listeners: HashMap<NodeId, u64>,
}

impl Place {
    /// Up to which number what came by here was perhaps not heard by `node`, which has heard this many before its mark.
    pub(super) fn unheard_by(&self, node: &NodeId, early: u64) -> u64 {
        self.listeners.get(node).map_or(0, |number| number.saturating_sub(early)).max(self.interrupted)
    }

    /// By its mark `node` listens from here on.
    pub(super) fn note_listener(&mut self, node: &NodeId, members: &[NodeId]) {
        if LISTENERS <= self.listeners.len() && !self.listeners.contains_key(node) {
            self.listeners.retain(|known, _| members.contains(known));
            if LISTENERS <= self.listeners.len() || !members.contains(node) {
                return;
            }
        }
        self.listeners.insert(node.clone(), self.held.next_number());
    }

    /// The channel is let go, or was lost: who listens from now on is not heard here.
    pub(super) fn interrupt(&mut self) {
        self.interrupted = self.held.next_number();
    }

    /// Lets the channel go. Says whether it was listened to.
    pub(super) fn let_go(&mut self) -> bool {
        self.interrupt();
        self.subscribed = false;
        std::mem::take(&mut self.listens)
    }

    /// A place whose channel is about to be subscribed.
    pub(super) fn new(role: Role, now: Instant) -> Self {
        Self {
            role,
            listens: true,
            subscribed: false,
            held: Held::default(),
            heard: now,
            turned: None,
            unsure: None,
            claims: 0,
            since: 0,
            early: 0,
            interrupted: 0,
            listeners: HashMap::new(),
        }
    }
}
