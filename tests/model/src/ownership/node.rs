//! One node: the program's own [`Ownership`], and what waits before and behind it.

use std::{
    collections::VecDeque,
    hash::{Hash, Hasher},
    time::Duration,
};

use crate::{
    cluster::{Mark, NodeId, Ownership, OwnershipOptions},
    model::{Activity, ActivityType, Data, Effect, EventId, NewActivity, Timestamp},
};

/// What the agent publishes: a number, and whether it gives an `eventId`.
pub type Said = (u8, bool);

/// What comes over a node's link, in order.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Event {
    Subscribed,
    Message(Said),
    Mark(MarkOf),
    Ack(EventId),
    Announce,
    Tell,
    Ready(NodeId, bool),
    Holding(NodeId, Duration),
    Flush(NodeId, u64),
    Released(NodeId, bool),
}

/// A [`Mark`] that can be hashed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct MarkOf(pub(super) Mark);

impl Hash for MarkOf {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.encode().hash(state);
    }
}

/// What waits for the writer, and then for its answer.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Work {
    /// With the number of the node's lapses when it took it: its term.
    Append(Said, EventId, u8),
    Release(NodeId, bool),
}

#[derive(Debug, Clone)]
pub(super) struct Node {
    pub(super) id: NodeId,
    pub(super) ownership: Ownership,
    pub(super) inbox: VecDeque<Event>,
    /// Changes of the subscription that Redis has not made yet.
    pub(super) link: VecDeque<bool>,
    pub(super) subscribed: bool,
    pub(super) hears_acks: bool,
    /// From the keeper to the writer.
    pub(super) work: VecDeque<Work>,
    /// Committed, and not answered yet.
    pub(super) pending: VecDeque<Work>,
    /// Whether Redis counts it as a member; while not, its lease does not hold.
    pub(super) member: bool,
    /// How often it has cleaned up because it was no member.
    pub(super) lapses: u8,
    pub(super) able: bool,
    pub(super) leaving: bool,
    /// Whether it has let go of everything and takes what was on its way.
    pub(super) listening: bool,
    /// The members as it knows them.
    pub(super) seen: (Vec<NodeId>, Vec<NodeId>),
}

impl Hash for Node {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (&self.id, &self.ownership, &self.inbox, &self.link, self.subscribed, self.hears_acks).hash(state);
        (&self.work, &self.pending, self.member, self.lapses, self.able, self.leaving, self.listening, &self.seen).hash(state);
    }
}

impl Node {
    /// One that starts, and is noted as a member.
    pub(super) fn new(index: u8) -> Self {
        let id = name(index);
        let options = OwnershipOptions {
            tasks: 10,
            hold_activities: 100,
            hold_bytes: 1 << 20,
            linger: Duration::from_secs(5),
            return_within: Duration::from_secs(3),
        };
        Self {
            ownership: Ownership::new(id.clone(), options),
            id,
            inbox: VecDeque::new(),
            link: VecDeque::new(),
            subscribed: false,
            hears_acks: false,
            work: VecDeque::new(),
            pending: VecDeque::new(),
            member: true,
            lapses: 0,
            able: true,
            leaving: false,
            listening: false,
            seen: Default::default(),
        }
    }
}

fn name(index: u8) -> NodeId {
    format!("n{index}").as_str().into()
}

/// As it comes out of a message at node `by`: without an `eventId` each node makes one of its own.
pub(super) fn activity((number, given): Said, by: u8) -> NewActivity {
    let event_id = EventId::from_bytes(if given { [number; 16] } else { [number ^ (0x80 | by << 4); 16] });
    let activity = Activity {
        event_id,
        invocation: "r".parse().expect("valid"),
        kind: ActivityType::Output,
        timestamp: Timestamp::default(),
        received_at: Timestamp::default(),
        data: Data::empty(),
    };
    NewActivity { activity, event_id_given: given, effect: Effect::SignOfLife, series: None, sealed_by: None }
}
