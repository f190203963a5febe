//! What a store is asked, and what it answers.

use std::collections::BTreeMap;

use super::streams::StreamRefusal;
use crate::auth::Pattern;
use crate::model::{
    Activity, Cursor, Epoch, EventId, Filter, InvocationId, LogState, NewActivity, Offset, StalledAfter, Status, TaskId,
    Timestamp,
};

/// One activity on its way into a task's log.
#[derive(Debug, Clone)]
pub struct Append {
    /// Whose log.
    pub task: TaskId,
    /// What.
    pub activity: NewActivity,
}

/// Proof of a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Receipt {
    /// Which activity.
    pub event_id: EventId,
    /// Where it stands for good.
    pub cursor: Cursor,
    /// Whether it had been committed before: then `cursor` is that of the first time.
    pub duplicate: bool,
}

/// Why one activity was not appended although its batch was; its neighbours are not affected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Its invocation has ended, or would go backwards.
    #[error("invocation {invocation} is {from} and cannot become {to}")]
    Transition {
        /// Which run.
        invocation: InvocationId,
        /// Where it stands.
        from: Status,
        /// Where it was to go.
        to: Status,
    },
    /// The store will not have it.
    #[error("the store refuses this activity")]
    Unstorable,
    /// Whoever decided it has lost its lease.
    #[error("another node may do this by now")]
    Fenced,
    /// What it was decided about has changed since.
    #[error("the run is not as it was when this was decided")]
    Outdated,
    /// The stream does not take it.
    #[error(transparent)]
    Stream(StreamRefusal),
}

impl Refusal {
    /// The stable code that clients branch on.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Transition { .. } => "status_transition",
            Self::Unstorable => "unstorable",
            Self::Fenced => "fenced",
            Self::Outdated => "outdated",
            Self::Stream(refusal) => refusal.code(),
        }
    }
}

/// What became of a batch: `results[i]` of `batch[i]`.
#[derive(Debug, Default)]
pub struct Appended {
    /// A receipt or a refusal each.
    pub results: Vec<Result<Receipt, Refusal>>,
    /// What is new, by task.
    pub commits: Vec<TaskCommit>,
}

/// What one batch added to one task's log.
#[derive(Debug)]
pub struct TaskCommit {
    /// Whose log.
    pub task: TaskId,
    /// Its life.
    pub epoch: Epoch,
    /// The offset of the first of `items`; the others follow without holes.
    pub first: Offset,
    /// Positions in the batch, in order of offset; never empty.
    pub items: Vec<usize>,
}

impl TaskCommit {
    /// The same in a batch in which so many items stand before.
    pub(crate) fn moved_by(mut self, before: usize) -> Self {
        self.items.iter_mut().for_each(|index| *index += before);
        self
    }
}

/// Which part of a log to read, oldest first.
#[derive(Debug, Clone)]
pub struct ReadAfter {
    /// Only what comes after this.
    pub after: Offset,
    /// At most so many activities.
    pub limit: usize,
    /// Stop once the payloads are this many bytes; one activity is always given.
    pub bytes: usize,
    /// Look at no more than this many offsets, however few of them the filter wants.
    pub window: u64,
    /// What is wanted.
    pub filter: Filter,
}

/// Part of a log, all of it seen at one moment.
#[derive(Debug)]
pub struct Page {
    /// Where the log stood.
    pub state: LogState,
    /// Everything wanted up to here is in `activities`, as far as it is kept.
    pub through: Offset,
    /// In order of offset.
    pub activities: Vec<(Offset, Activity)>,
}

impl Page {
    /// The first offset that is looked at when a log that stands like this is read back from `before`.
    pub(super) fn looked_from(state: &LogState, before: Offset, filter: &Filter) -> Offset {
        let end = before.min(state.head.next()).get();
        Offset::new(end.saturating_sub(filter.window())).unwrap_or_default().max(state.floor)
    }

    /// What was found there, at most `limit` of it.
    pub(super) fn back(state: LogState, from: Offset, limit: usize, activities: Vec<(Offset, Activity)>) -> Self {
        let full = activities.first().filter(|_| activities.len() == limit);
        let through = full.map_or(from, |(first, _)| *first).previous();
        Self { state, through, activities }
    }

    /// The bytes of its payloads.
    pub fn data_bytes(&self) -> usize {
        self.activities.iter().map(|(_, activity)| activity.data.as_bytes().len()).sum()
    }
}

/// Which tasks to list, newest activity first.
#[derive(Debug, Clone, Default)]
pub struct TaskQuery {
    /// Only those that stand here.
    pub status: Option<Status>,
    /// Only those with these labels; without a value, any value will do.
    pub labels: Vec<(String, Option<String>)>,
    /// Only those with this text in id or title, whatever the case of ASCII letters.
    pub text: Option<String>,
    /// Only those whose id fits one of these; all if nothing is said.
    pub visible: Option<Vec<Pattern>>,
    /// At most so many.
    pub limit: usize,
    /// Continue after this one.
    pub after: Option<TaskPlace>,
}

/// A task's place in the list: the time it is ordered by, and its key where times are equal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TaskPlace {
    /// When its last activity was taken, or when it was made.
    pub listed_at: Timestamp,
    /// Its key in the store.
    pub key: i64,
}

/// What `PUT` and `PATCH` may say about a task; what is not said stays.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TaskChange {
    /// `Some(None)` removes the title.
    pub title: Option<Option<String>>,
    /// Replaces all labels.
    pub labels: Option<BTreeMap<String, String>>,
}

/// The most rejections that are kept of one task, and of all.
pub const REJECTS_OF_TASK: usize = 100;
pub(super) const REJECTS: usize = 10_000;

/// Whether a batch is offered to the store for the first time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attempt {
    /// It is: what has no `eventId` of its publisher's is new.
    First,
    /// It was offered before without an answer: any of it may be stored already, so every `eventId` is looked for.
    Again,
}

/// The time since silent runs were looked for last.
#[derive(Debug, Clone, Copy)]
pub struct StallSpan {
    /// The last look.
    pub since: Timestamp,
    /// This one.
    pub until: Timestamp,
}

/// A sign of life that is not an activity.
#[derive(Debug, Clone)]
pub struct Heartbeat {
    /// Whose task.
    pub task: TaskId,
    /// Which run.
    pub invocation: InvocationId,
    /// When the hub took it.
    pub at: Timestamp,
}

/// How to open a store.
#[derive(Debug, Clone)]
pub struct StoreOptions {
    /// `sqlite://PATH` (folders that are missing are made) or `postgres://…`.
    pub url: String,
    /// Connections for reading beside those that write.
    pub readers: u32,
    /// Connections that write (Postgres).
    pub writers: usize,
    /// How long a statement waits for a lock of another process before it fails as transient.
    pub busy_timeout: std::time::Duration,
    /// Whether a commit waits until the disk has it. Without, a power cut may take the last commits; `kill -9` does not.
    pub synchronous: bool,
    /// How long the server works on one statement at most (Postgres).
    pub statement_timeout: std::time::Duration,
    /// How long connecting may take (Postgres).
    pub connect_timeout: std::time::Duration,
    /// How long a server that does not answer is waited for when opening (Postgres).
    pub start_timeout: std::time::Duration,
    /// Whether to bring the schema up to date when opening; without it, an old schema is refused.
    pub migrate: bool,
    /// When runs are said to be stalled.
    pub stalled_after: StalledAfter,
}
