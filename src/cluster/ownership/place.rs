//! One task as this node stands to it.

use std::{collections::BTreeSet, time::Instant};

use crate::cluster::{held::Held, members::Members, ranking::NodeId};

/// What this node does with what it hears in a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Role {
    /// Is to own it: holds until all others who are alive have said that they do not take it.
    Arriving {
        /// Who has not said so yet.
        waiting: BTreeSet<NodeId>,
        /// Whether the last owner's mark came by: everything after it is for this node to take.
        marked: bool,
        /// When the others were asked last.
        asked: Option<Instant>,
    },
    /// Takes everything.
    Owner,
    /// Takes everything until its own mark comes by.
    Leaving {
        /// For whom.
        to: NodeId,
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
    pub(super) fn arriving(members: &Members, me: &NodeId) -> Self {
        let waiting = members.alive.iter().filter(|node| *node != me).cloned().collect();
        Self::Arriving { waiting, marked: false, asked: None }
    }

    /// Whether it appends what it hears.
    pub(super) fn takes(&self) -> bool {
        matches!(self, Self::Owner | Self::Leaving { .. } | Self::Withdrawn { .. })
    }
}

#[derive(Debug)]
pub(super) struct Place {
    pub(super) role: Role,
    /// Whether the channel is, or is about to be, subscribed.
    pub(super) listens: bool,
    /// Whether the server has confirmed it.
    pub(super) subscribed: bool,
    pub(super) held: Held,
    pub(super) heard: Instant,
}

impl Place {
    /// A place whose channel is about to be subscribed.
    pub(super) fn new(role: Role, now: Instant) -> Self {
        Self { role, listens: true, subscribed: false, held: Held::default(), heard: now }
    }
}
