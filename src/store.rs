//! The durable truth: the logs of all tasks, in SQLite or in Postgres.
//!
//! One append is one transaction: duplicates found, offsets assigned, activities inserted, and every invocation and task that they
//! touch written once, however many activities there are. What the rows become is decided by [`plan`], the same for every database.

/// Hands each operation to the database behind the handle.
macro_rules! each {
    ($self:ident, $store:ident => $call:expr) => {
        match $self {
            Store::Postgres($store) => $call,
            Store::Sqlite($store) => $call,
        }
    };
}

mod access;
mod audit;
mod condition;
#[cfg(test)]
pub(crate) mod gated;
mod inspect;
mod leases;
mod open_runs;
mod plan;
mod postgres;
mod postgres_access;
mod postgres_append;
mod postgres_audit;
mod postgres_cluster;
mod postgres_inspect;
mod postgres_leases;
mod postgres_open;
mod postgres_open_runs;
mod postgres_rates;
mod postgres_read;
mod postgres_retention;
mod postgres_streams;
mod postgres_tasks;
mod postgres_webhooks;
mod postgres_write;
mod rates;
mod remembered;
mod retention;
mod sqlite;
mod sqlite_access;
mod sqlite_append;
mod sqlite_audit;
mod sqlite_cluster;
mod sqlite_inspect;
mod sqlite_leases;
mod sqlite_open;
mod sqlite_open_runs;
mod sqlite_rates;
mod sqlite_read;
mod sqlite_retention;
mod sqlite_streams;
mod sqlite_tasks;
mod sqlite_webhooks;
mod sqlite_write;
mod stalls;
mod streams;
mod terms;
mod webhooks;

use std::path::PathBuf;

use crate::model::{
    EventId, Filter, Invocation, InvocationId, LogState, Offset, Rate, RateSpan, Reject, TaskId, TaskSummary, Timestamp,
};

use postgres::PostgresStore;
use sqlite::SqliteStore;

pub(crate) use access::StoredTicket;
pub use audit::{AuditPlace, StoredActivity, StoredKind, StoredTexts};
pub use condition::{Condition, Heard, LastHeard};
pub(crate) use inspect::{Inspector, LookAt, Schema, TaskFacts};
pub use leases::{Fence, HeldLease, LeaseName, LeaseRow};
pub use open_runs::{OpenRun, SaidStatus};
pub(crate) use plan::LAG;
pub use rates::RATE_ACTIVITIES;
pub use retention::{Bite, Bitten, EmptyTask, KeptTask, LogSize, Removal};
pub use streams::{PRODUCERS_OF_STREAM, Producer, StreamRefusal, StreamRow, StreamWrite};
use terms::REJECTS;
pub use terms::{
    Append, Appended, Attempt, Heartbeat, Page, REJECTS_OF_TASK, ReadAfter, Receipt, Refusal, StallSpan, StoreOptions,
    TaskChange, TaskCommit, TaskPlace, TaskQuery,
};
pub use webhooks::{Delivery, NewDelivery, NextDelivery, Queue, Stall, Untold};

/// The durable truth. Handles are cheap to clone.
#[derive(Debug, Clone)]
pub enum Store {
    /// A server, many nodes.
    Postgres(PostgresStore),
    /// One file, one node.
    Sqlite(SqliteStore),
}

/// Why the store did not do something.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// It may work when tried again: busy, out of space, unreachable.
    #[error("the store does not answer: {0}")]
    Unavailable(String),
    /// It will never work: the data breaks a rule of the schema.
    #[error("the store refuses this: {0}")]
    Refused(String),
}

/// Why a store could not be opened; the text says what to do.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The URL names no known kind of store.
    #[error(
        "store.url is not understood, it starts with {scheme:?}: it must be sqlite:// followed by a file's path, or postgres://"
    )]
    UnknownUrl {
        /// How the URL begins; behind that there may be a password.
        scheme: String,
    },
    /// The URL of a Postgres is not one.
    #[error("store.url is not understood: {reason}; it is written postgres://user:password@host:5432/database")]
    BadUrl {
        /// What the driver said.
        reason: String,
    },
    /// Another process has the file open.
    #[error(
        "{path} is in use by another tasklight process (pid {pid}): SQLite serves one node; stop that one, or give this one another store.url"
    )]
    InUse {
        /// The database file.
        path: PathBuf,
        /// Who has it, as far as it said.
        pid: String,
    },
    /// The schema is older than this program and migrations are switched off.
    #[error("{path} has an old schema: run `tasklight migrate`, or set store.migrate = true")]
    OldSchema {
        /// The database file.
        path: PathBuf,
    },
    /// Anything else.
    #[error("{path} cannot be opened: {reason}")]
    Failed {
        /// The database file.
        path: PathBuf,
        /// What the system or the database said.
        reason: String,
    },
}

/// SQLite's primary result codes for what no other try can change: too big, constraint, mismatch (sqlite.org/rescode.html).
const SQLITE_REFUSALS: [u32; 3] = [18, 19, 20];
impl From<sqlx::Error> for StoreError {
    /// A broken rule of the schema is the data's fault; everything else (busy, unreachable, disk full, I/O, pool) may pass.
    fn from(error: sqlx::Error) -> Self {
        let refused = error.as_database_error().is_some_and(|database| {
            let code = database.code().unwrap_or_default();
            match database.try_downcast_ref::<sqlx::postgres::PgDatabaseError>() {
                Some(_) => postgres::refuses(&code),
                None => code.parse::<u32>().is_ok_and(|code| SQLITE_REFUSALS.contains(&(code & 0xff))),
            }
        });
        if refused { Self::Refused(error.to_string()) } else { Self::Unavailable(error.to_string()) }
    }
}

impl Store {
    /// Opens the store and, unless switched off, brings its schema up to date.
    pub async fn open(options: &StoreOptions) -> Result<Self, OpenError> {
        if options.url.starts_with("postgres://") || options.url.starts_with("postgresql://") {
            return Ok(Self::Postgres(PostgresStore::open(options).await?));
        }
        match options.url.strip_prefix("sqlite://") {
            Some(path) if !path.is_empty() => Ok(Self::Sqlite(SqliteStore::open(path.as_ref(), options).await?)),
            _ => Err(OpenError::UnknownUrl {
                scheme: options.url.split_once("://").map_or_else(String::new, |(scheme, _)| format!("{scheme}://")),
            }),
        }
    }

    /// How many batches are committed side by side if `wanted` are: SQLite commits one at a time.
    pub fn lanes(&self, wanted: usize) -> usize {
        match self {
            Self::Postgres(store) => store.writers.len().min(wanted).max(1),
            Self::Sqlite(_) => 1,
        }
    }

    /// Commits a batch in one transaction and says what became of each item. Creates tasks and invocations that are not there. On an
    /// error nothing of the batch is stored.
    pub async fn append(&self, batch: &[Append], attempt: Attempt) -> Result<Appended, StoreError> {
        each!(self, store => store.append(batch, attempt, condition::Only::Always).await)
    }

    /// The same, each activity only if the condition holds when it is committed: else it is refused ([`Refusal::Fenced`], [`Refusal::Outdated`]).
    /// Creates nothing: if a task is gone all are refused.
    pub async fn append_if(&self, batch: &[Append], condition: &Condition, attempt: Attempt) -> Result<Appended, StoreError> {
        each!(self, store => store.append(batch, attempt, condition::Only::If(condition)).await)
    }

    /// Part of a log, oldest first; nothing if there is no such task.
    pub async fn read_after(&self, task: &TaskId, range: &ReadAfter) -> Result<Option<Page>, StoreError> {
        each!(self, store => store.read_after(task, range).await)
    }

    /// The `limit` activities that come last before `before` (or at the head) and pass the filter, oldest first, as far as one read looks
    /// ([`Filter::window`]); nothing if there is no such task. `through` is the offset before the first of them, or before what was looked at.
    pub async fn read_before(
        &self,
        task: &TaskId,
        before: Option<Offset>,
        limit: usize,
        filter: &Filter,
    ) -> Result<Option<Page>, StoreError> {
        each!(self, store => store.read_before(task, before, limit, filter).await)
    }

    /// Where these logs stand; tasks that do not exist are left out.
    pub async fn log_states(&self, tasks: &[TaskId]) -> Result<Vec<(TaskId, LogState)>, StoreError> {
        each!(self, store => store.log_states(tasks).await)
    }

    /// A page of the list of tasks, and where the next page goes on, if there is one.
    pub async fn tasks(&self, query: &TaskQuery) -> Result<(Vec<TaskSummary>, Option<TaskPlace>), StoreError> {
        each!(self, store => store.tasks(query).await)
    }

    /// The summaries of these tasks; those that do not exist are left out.
    pub async fn summaries(&self, tasks: &[TaskId]) -> Result<Vec<TaskSummary>, StoreError> {
        each!(self, store => store.summaries(tasks).await)
    }

    /// Creates the task if it is not there and changes what `change` says. The flag tells whether it was created.
    pub async fn put_task(&self, task: &TaskId, change: &TaskChange) -> Result<bool, StoreError> {
        each!(self, store => store.put_task(task, change).await)
    }

    /// Changes an existing task; says whether there was one.
    pub async fn patch_task(&self, task: &TaskId, change: &TaskChange) -> Result<bool, StoreError> {
        each!(self, store => store.patch_task(task, change).await)
    }

    /// Deletes a task with everything below it, in one transaction: see [`Store::lighten`]. Says whether there was one.
    pub async fn delete_task(&self, task: &TaskId) -> Result<bool, StoreError> {
        each!(self, store => store.delete_task(task).await)
    }

    /// The task's newest invocations, newest first; nothing if there is no such task.
    pub async fn invocations(&self, task: &TaskId, limit: usize) -> Result<Option<Vec<Invocation>>, StoreError> {
        each!(self, store => store.invocations(task, limit).await)
    }

    /// One invocation, if it is there.
    pub async fn invocation(&self, task: &TaskId, id: &InvocationId) -> Result<Option<Invocation>, StoreError> {
        each!(self, store => store.invocation(task, id).await)
    }

    /// Notes heartbeats; those of invocations that do not exist are dropped.
    pub async fn heartbeats(&self, beats: &[Heartbeat]) -> Result<(), StoreError> {
        each!(self, store => store.heartbeats(beats).await)
    }

    /// Tasks that are pending or running, in order of their key after `after`, and where to go on if there may be more.
    pub async fn open_tasks(&self, after: Option<i64>, limit: usize) -> Result<(Vec<TaskId>, Option<i64>), StoreError> {
        each!(self, store => store.open_tasks(after, limit).await)
    }

    /// Which of these are in the task's log.
    pub async fn stored_events(&self, task: &TaskId, events: &[EventId]) -> Result<Vec<EventId>, StoreError> {
        each!(self, store => store.stored_events(task, events).await)
    }

    /// The tasks that were made or had an activity at `at` or later, newest first.
    pub async fn tasks_listed_since(&self, at: Timestamp, limit: usize) -> Result<Vec<TaskId>, StoreError> {
        each!(self, store => store.tasks_listed_since(at, limit).await)
    }

    /// Tasks of which a run may have become stalled within the span without anything being written, and perhaps some more.
    pub async fn may_have_stalled(&self, span: StallSpan, limit: usize) -> Result<Vec<TaskId>, StoreError> {
        each!(self, store => store.may_have_stalled(span, limit).await)
    }

    /// How many activities these tasks had in each minute of `span`, in one statement that looks at the newest [`RATE_ACTIVITIES`] of each; tasks
    /// that do not exist are left out.
    pub async fn rates(&self, tasks: &[TaskId], span: RateSpan) -> Result<Vec<Rate>, StoreError> {
        each!(self, store => store.rates(tasks, span).await)
    }

    /// Keeps these, and lets go of the oldest beyond [`REJECTS_OF_TASK`] a task.
    pub async fn keep_rejects(&self, rejects: &[Reject]) -> Result<(), StoreError> {
        each!(self, store => store.keep_rejects(rejects).await)
    }

    /// What was refused on a task's channel, newest first.
    pub async fn rejects(&self, task: &TaskId, limit: usize) -> Result<Vec<Reject>, StoreError> {
        each!(self, store => store.rejects(task, limit).await)
    }

    /// Activities in order of task and offset, at most so many.
    pub async fn audit_activities(&self, after: AuditPlace, limit: usize) -> Result<Vec<StoredActivity>, StoreError> {
        each!(self, store => store.audit_activities(after, limit).await)
    }

    /// Puts what these say in the place of what was stored there, all of them or none; what is gone meanwhile stays gone.
    pub async fn clean_activities(&self, changed: &[StoredActivity]) -> Result<(), StoreError> {
        each!(self, store => store.clean_activities(changed).await)
    }

    /// The texts of rows in order of their key, at most so many.
    pub async fn audit_texts(&self, kind: StoredKind, after: i64, limit: usize) -> Result<Vec<StoredTexts>, StoreError> {
        each!(self, store => store.audit_texts(kind, after, limit).await)
    }

    /// Puts the second texts of each in the place of the first, in all rows or none; a text that says something else by now stays as it is.
    pub async fn clean_texts(&self, kind: StoredKind, changed: &[(StoredTexts, StoredTexts)]) -> Result<(), StoreError> {
        each!(self, store => store.clean_texts(kind, changed).await)
    }

    /// Writes SQLite's file anew, so that what was cleaned is nowhere in it any more. What Postgres keeps of it is its administrator's.
    pub async fn forget_old_texts(&self) -> Result<(), StoreError> {
        match self {
            Self::Postgres(_) => Ok(()),
            Self::Sqlite(store) => store.forget_old_texts().await,
        }
    }

    /// How often stored texts were changed in their place.
    pub async fn cleanings(&self) -> Result<u64, StoreError> {
        each!(self, store => store.cleanings().await)
    }

    /// The key of a task's activities, if there is such a task.
    pub async fn audit_key(&self, task: &TaskId) -> Result<Option<i64>, StoreError> {
        each!(self, store => store.audit_key(task).await)
    }

    /// About how many activities are stored.
    pub async fn activities_kept(&self) -> Result<u64, StoreError> {
        each!(self, store => store.activities_kept().await)
    }

    /// Sees whether the database was put back to an earlier state meanwhile; if so, gives every log another life. An embedded one cannot be while it is open.
    pub async fn settle(&self) -> Result<(), StoreError> {
        match self {
            Self::Sqlite(_) => Ok(()),
            Self::Postgres(store) => store.settle().await,
        }
    }

    /// Gives every log another life, so that cursors from before cannot be continued: after a restore that the database itself does not
    /// show, such as that of a file system's snapshot.
    pub async fn renew_epochs(&self) -> Result<(), StoreError> {
        each!(self, store => store.renew_epochs().await)
    }

    /// Lets a database role without rights of its own do what a hub does. Nothing to do for SQLite.
    pub async fn grant_to(&self, role: &str) -> Result<(), StoreError> {
        match self {
            Self::Postgres(store) => store.grant_to(role).await,
            Self::Sqlite(_) => Ok(()),
        }
    }

    /// Fails unless the store answers.
    pub async fn ping(&self) -> Result<(), StoreError> {
        each!(self, store => store.ping().await)
    }

    /// Closes all connections; whoever opens the store next may do so at once.
    pub async fn close(&self) {
        each!(self, store => store.close().await);
    }
}
