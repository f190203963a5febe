//! Removing what is kept no longer, in bites: one transaction each, that removes the oldest activities of a log and raises its floor over them. Offsets have
//! no holes, so a range of offsets is a number of rows, and whoever reads sees either both or neither.
//!
//! A bite holds the task's row only while it commits: the activities are removed first, and whoever appends touches none of them. It runs beside the connections
//! that append (Postgres), or between two commits (SQLite).

use std::collections::BTreeMap;

use super::{Fence, Store, StoreError};
use crate::model::{Epoch, LogState, Offset, Status, TaskId, Timestamp};

/// How many activities are removed at once where nobody says how many: when a task is deleted or trimmed by hand.
pub(crate) const BITE: u64 = 2_000;

/// The most activities that are removed from SQLite at once: removing them takes it ten times as long as Postgres, and every commit waits for it.
const SQLITE_BITE: u64 = 250;

/// How many payloads are added up in one statement.
const MEASURED: u64 = 10_000;

/// A task as retention sees it.
#[derive(Debug, Clone)]
pub struct KeptTask {
    /// Its key in the store.
    pub key: i64,
    /// Its name.
    pub task: TaskId,
    /// Where its log stands.
    pub state: LogState,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Where its runs stand together; nothing if there never was one.
    pub status: Option<Status>,
    /// How many runs are pending or running.
    pub open: u64,
    /// Its last activity, or when it was made.
    pub listed_at: Timestamp,
    /// When the hub took the oldest activity that is kept.
    pub oldest_at: Option<Timestamp>,
    /// As far as the log was measured.
    pub size: Option<LogSize>,
}

/// The bytes of a log's payloads from its floor to an offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogSize {
    /// The last offset that was counted.
    pub through: Offset,
    /// The bytes.
    pub bytes: u64,
}

/// Which part of whose log to remove.
#[derive(Debug, Clone, Copy)]
pub struct Bite {
    /// The task's key.
    pub key: i64,
    /// The life of the log.
    pub epoch: Epoch,
    /// Its floor; if it is another one by now, nothing is removed.
    pub floor: Offset,
    /// The floor that it is to have.
    pub to: Offset,
    /// Nothing is removed unless this holds when it is committed.
    pub fence: Option<Fence>,
}

/// What a bite removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bitten {
    /// Where the log stands now.
    pub state: LogState,
    /// How many activities are gone.
    pub activities: u64,
    /// The bytes of their payloads.
    pub bytes: u64,
}

/// What became of a task that was to be removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Removal {
    /// It is gone with everything below it.
    Gone,
    /// Some of its runs are gone: go on.
    Some,
    /// It is no longer as it was, or the fence does not hold: nothing was removed.
    Changed,
}

/// A task without a log that is to be removed.
#[derive(Debug, Clone)]
pub struct EmptyTask {
    /// The task's key.
    pub key: i64,
    /// Its name.
    pub task: TaskId,
    /// The life of its log.
    pub epoch: Epoch,
    /// Where its log ended. With an activity more it stays, and so it does if anything of it is open.
    pub head: Offset,
    /// It stays unless this holds when its removal is committed.
    pub fence: Fence,
}

impl Store {
    /// How many activities a bite removes if `wanted` are.
    pub fn bite_size(&self, wanted: u64) -> u64 {
        match self {
            Self::Postgres(_) => wanted,
            Self::Sqlite(_) => wanted.min(SQLITE_BITE),
        }
    }

    /// Tasks in order of their key, after `after`, at most so many.
    pub async fn kept_tasks(&self, after: i64, limit: usize) -> Result<Vec<KeptTask>, StoreError> {
        each!(self, store => store.kept_tasks(after, limit).await)
    }

    /// The first offset of the log whose activity the hub took at `at` or later, found by halving: exact but for the difference between nodes' clocks.
    pub async fn first_taken_since(&self, key: i64, state: LogState, at: Timestamp) -> Result<Offset, StoreError> {
        let (mut low, mut high) = (state.floor.get(), state.head.next().get());
        while low < high {
            let middle = low + (high - low) / 2;
            let taken = each!(self, store => store.taken_at(key, Offset::new(middle).unwrap_or(Offset::MAX)).await)?;
            // What is not there any more was old.
            if taken.is_some_and(|taken| at <= taken) { high = middle } else { low = middle + 1 }
        }
        Ok(Offset::new(low).unwrap_or(Offset::MAX))
    }

    /// The bytes of the payloads from `from` to before `to`; as many of them as one statement adds up, and where it stopped.
    pub async fn measure(&self, key: i64, from: Offset, to: Offset) -> Result<(u64, Offset), StoreError> {
        let to = to.min(from.plus(MEASURED));
        let bytes = each!(self, store => store.payload_bytes(key, from, to).await)?;
        Ok((bytes, to))
    }

    /// Notes how far the log was measured, if the fence holds.
    pub async fn note_size(&self, key: i64, size: LogSize, fence: Fence) -> Result<(), StoreError> {
        each!(self, store => store.note_size(key, size, fence).await)
    }

    /// The least floor from `state.floor` on below which payloads have at least so many bytes, and how many those are.
    pub async fn floor_over(&self, key: i64, state: LogState, bytes: u64) -> Result<(Offset, u64), StoreError> {
        let (mut from, mut sum) = (state.floor, 0);
        while sum < bytes && from <= state.head {
            let to = from.plus(MEASURED).min(state.head.next());
            if let Some((last, more)) = each!(self, store => store.reaching(key, from, to, bytes - sum).await)? {
                return Ok((last.next(), sum + more));
            }
            sum += each!(self, store => store.payload_bytes(key, from, to).await)?;
            from = to;
        }
        Ok((from, sum))
    }

    /// Removes a bite and raises the floor over it, in one transaction. Nothing if the floor is not there any more or the fence does not hold: then nothing
    /// is removed.
    pub async fn bite(&self, bite: &Bite) -> Result<Option<Bitten>, StoreError> {
        each!(self, store => store.bite(bite).await)
    }

    /// Removes a task that has no activities any more, or so many of its runs.
    pub async fn remove_task(&self, task: &EmptyTask, runs: u64) -> Result<Removal, StoreError> {
        each!(self, store => store.remove_task(task, runs).await)
    }

    /// Has what was removed of a log forgotten by its indexes, as far as nobody may still see it, so that nothing has to look at it while it holds a lock.
    pub async fn settle_removed(&self, key: i64, state: LogState) -> Result<(), StoreError> {
        match self {
            Self::Postgres(store) => store.settle_removed(key, state).await,
            // Its indexes have nothing that is not there.
            Self::Sqlite(_) => Ok(()),
        }
    }

    /// Removes the activities below `floor` (at most head + 1) and raises the task's floor over them, bite by bite. Gives the log's state afterwards, or
    /// nothing if there is no such task.
    pub async fn trim(&self, task: &TaskId, floor: Offset) -> Result<Option<LogState>, StoreError> {
        loop {
            let Some((key, state)) = each!(self, store => store.key_and_state(task).await)? else { return Ok(None) };
            let goal = floor.min(state.head.next());
            if goal <= state.floor {
                return Ok(Some(state));
            }
            let to = goal.min(state.floor.plus(self.bite_size(BITE)));
            self.bite(&Bite { key, epoch: state.epoch, floor: state.floor, to, fence: None }).await?;
        }
    }

    /// Removes the older activities of a task that is about to be deleted, bite by bite, until one bite is left: what then goes with the task itself
    /// holds nobody up.
    pub async fn lighten(&self, task: &TaskId) -> Result<(), StoreError> {
        let Some((key, state)) = each!(self, store => store.key_and_state(task).await)? else { return Ok(()) };
        let goal = Offset::new(state.head.get().saturating_sub(self.bite_size(BITE))).unwrap_or_default().next();
        if state.floor < goal {
            self.trim(task, goal).await?;
            self.settle_removed(key, LogState { floor: goal, ..state }).await?;
        }
        Ok(())
    }
}
