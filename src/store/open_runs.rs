//! Runs that have not ended, as they are gone through to find those that nobody hears of any more, and those whose end was not noted.

use std::collections::HashMap;

use serde::Deserialize;

use super::{Store, StoreError, condition::Heard};
use crate::model::{Data, Doing, Epoch, Evidence, InvocationId, Offset, Status, TaskId, Timestamp};

/// A pending or running run, not one that was recorded afterwards.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenRun {
    /// Its key in the store.
    pub key: i64,
    /// Its task.
    pub task: TaskId,
    /// The life of the task's log.
    pub epoch: Epoch,
    /// Its id.
    pub invocation: InvocationId,
    /// Where it stands, by its row.
    pub status: Status,
    /// What was heard of it last.
    pub heard: Heard,
    /// When its newest activity was taken, by its log.
    pub last_activity_at: Timestamp,
    /// What that says of what it does.
    pub doing: Doing,
    /// The status that its newest activity tells, if it is a `status`.
    pub said: Option<Status>,
}

impl OpenRun {
    /// What is known of it, as far as being stalled goes.
    pub(crate) fn evidence(&self) -> Evidence {
        Evidence {
            status: self.status,
            backfilled: false,
            last_activity_at: self.last_activity_at,
            doing: self.doing,
            heartbeat_at: self.heard.heartbeat_at,
        }
    }
}

/// A `status` activity of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SaidStatus {
    /// Where it is.
    pub offset: Offset,
    /// When it happened.
    pub timestamp: Timestamp,
    /// What it says.
    pub data: Data,
}

#[derive(Deserialize)]
struct Said {
    status: Status,
}

impl SaidStatus {
    /// Whether a run that says this has ended for good.
    pub(crate) fn is_final(&self) -> bool {
        serde_json::from_slice::<Said>(self.data.as_bytes()).is_ok_and(|said| said.status.is_final())
    }
}

/// How many of its newest activities are looked at for a run's last `status`.
pub(super) const LOOK_BACK: u64 = 1_000;

impl Store {
    /// Runs that have not ended, in order of their key after `after`, at most so many. All by index.
    pub async fn open_runs(&self, after: i64, limit: usize) -> Result<Vec<OpenRun>, StoreError> {
        each!(self, store => store.open_runs(after, limit).await)
    }

    /// The last `status` among the newest thousand activities of each of these runs, by key; those without one are left out.
    pub async fn last_statuses(&self, runs: &[i64]) -> Result<HashMap<i64, SaidStatus>, StoreError> {
        each!(self, store => store.last_statuses(runs).await)
    }
}
