//! What is known about a task beside its log: how it is listed and described.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{Doing, Epoch, Evidence, InvocationId, Offset, Stalled, StalledAfter, StalledReason, Status, TaskId, Timestamp};

/// Where a log stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogState {
    /// The log's life.
    pub epoch: Epoch,
    /// The last committed offset; 0 when there is none.
    pub head: Offset,
    /// The oldest offset still kept; 1 when nothing was removed.
    pub floor: Offset,
}

/// How many invocations of a task are in each status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct StatusCounts {
    /// Announced.
    #[serde(skip_serializing_if = "is_zero")]
    pub pending: u64,
    /// At work.
    #[serde(skip_serializing_if = "is_zero")]
    pub running: u64,
    /// Ended well.
    #[serde(skip_serializing_if = "is_zero")]
    pub completed: u64,
    /// Ended badly.
    #[serde(skip_serializing_if = "is_zero")]
    pub failed: u64,
    /// Ended by wish.
    #[serde(skip_serializing_if = "is_zero")]
    pub cancelled: u64,
    /// Not heard from.
    #[serde(skip_serializing_if = "is_zero")]
    pub lost: u64,
}

fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// A task as lists show it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TaskSummary {
    /// The task's id.
    pub task_id: TaskId,
    /// What it is about, if someone said so.
    pub title: Option<String>,
    /// Words to find it by.
    pub labels: BTreeMap<String, String>,
    /// `running` while any invocation runs, else `pending` while any waits, else how the last one ended; none before the first.
    pub status: Option<Status>,
    /// The log's life.
    pub epoch: Epoch,
    /// The last committed offset.
    pub head: Offset,
    /// The oldest offset still kept.
    pub floor: Offset,
    /// When the task was first heard of.
    pub created_at: Timestamp,
    /// When its last activity was taken.
    pub last_activity_at: Option<Timestamp>,
    /// How many runs stand where.
    pub invocation_counts: StatusCounts,
    /// The agents of its newest runs, newest first, each once.
    #[serde(default)]
    pub agents: Vec<String>,
    /// What is stalled of it. Derived when asked for, never stored.
    #[serde(default)]
    pub stalled: Option<Stalled>,
}

impl TaskSummary {
    /// What lists are ordered by, newest first: the last activity, or the creation while there is none.
    pub fn listed_at(&self) -> Timestamp {
        self.last_activity_at.unwrap_or(self.created_at)
    }
}

/// One run of an agent, as the API describes it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Invocation {
    /// The run's id, unique within its task.
    pub invocation_id: InvocationId,
    /// Where it stands.
    pub status: Status,
    /// Which agent runs.
    pub agent: Option<String>,
    /// What this run is about.
    pub title: Option<String>,
    /// The process's exit code.
    pub exit_code: Option<i32>,
    /// Why it stands there, in words.
    pub reason: Option<String>,
    /// When the hub first heard of it.
    pub created_at: Timestamp,
    /// When it began to run.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub completed_at: Option<Timestamp>,
    /// When its last activity was taken.
    pub last_activity_at: Timestamp,
    /// When its last heartbeat was taken.
    pub heartbeat_at: Option<Timestamp>,
    /// The last `usage` payload, as published.
    pub usage: Option<Box<RawValue>>,
    /// Recorded after the fact, such as by `tasklight import`: when the hub took what it did says nothing about it, and no silence is derived from it.
    #[serde(default)]
    pub backfilled: bool,
    /// Running, but by what was heard of it last it does not get on. Derived when asked for, never stored.
    pub stalled: bool,
    /// Why.
    #[serde(default)]
    pub stalled_reason: Option<StalledReason>,
    /// When the last thing was heard that says so.
    #[serde(default)]
    pub stalled_since: Option<Timestamp>,
}

impl Invocation {
    /// Derives whether it is stalled, from what its last activity says.
    pub fn judged(mut self, doing: Doing, after: &StalledAfter, now: Timestamp) -> Self {
        let Self { status, backfilled, last_activity_at, heartbeat_at, .. } = self;
        let judged = Evidence { status, backfilled, last_activity_at, doing, heartbeat_at }.judge(after, now);
        self.stalled = judged.is_some();
        (self.stalled_reason, self.stalled_since) = judged.unzip();
        self
    }
}
