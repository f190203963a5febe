//! What a node has to do about its tasks.

use std::time::Duration;

use crate::{
    cluster::{control::Mark, ranking::NodeId},
    model::{NewActivity, TaskId},
};

/// What is to be done.
#[derive(Debug, Clone)]
pub(crate) enum Act {
    /// Subscribe to the task's activities and acks; give [`subscribed`](super::Ownership::subscribed) when the activities are confirmed.
    Subscribe(TaskId),
    /// Let go of both.
    Unsubscribe(TaskId),
    /// Subscribe to the acks again: what is held waits for another node's.
    HearAcks(TaskId),
    /// Let go of the acks: they are this node's own now, or nothing waits for them.
    IgnoreAcks(TaskId),
    /// Tell this node of the task: it may not have heard of it, and is to own it, or to be its standby, by what is known here.
    Tell(TaskId, NodeId),
    /// Say `Ready` to all, and whether the mark named this node.
    Ready(TaskId, bool),
    /// Say `Holding` to this node, and since how long.
    Holding(TaskId, NodeId, Duration),
    /// Say `Flush` to this node, and how many messages came by here before the mark that this node listens.
    Flush(TaskId, NodeId, u64),
    /// Put this mark on the task's channel.
    Mark(TaskId, Mark),
    /// Say `Released` to this node once everything before is stored.
    Release(TaskId, NodeId, Took),
    /// Nothing but to take note: the task changed hands here.
    Moved(Move),
    /// Store these, after everything before.
    Append(TaskId, Vec<NewActivity>),
}

/// Which way a task changed hands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Move {
    /// This node takes its activities now.
    Gained,
    /// This node takes them no more.
    Lost,
}

/// Whether a node that lets go of a task may have taken what the coming owner has heard too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Took {
    Nothing,
    Perhaps,
}
