//! A look at a store from outside, beside hubs that work: what it says of itself, whether rows and logs agree, and how the server is set. Nothing is written, no
//! schema is changed, and SQLite's file is not taken.

use std::collections::{BTreeMap, HashMap};

use sqlx::{PgConnection, SqliteConnection};

use super::{LeaseRow, OpenRun, SaidStatus, StoreError, StoreOptions};
use crate::model::{StatusCounts, Timestamp};

/// Hands each question to the database behind the handle.
macro_rules! ask {
    ($self:ident, $inspector:ident => $call:expr) => {
        match $self {
            Inspector::Postgres($inspector) => $call,
            Inspector::Sqlite($inspector) => $call,
        }
    };
}

/// A connection that only looks.
#[derive(Debug)]
pub(crate) enum Inspector {
    Postgres(PostgresInspector),
    Sqlite(SqliteInspector),
}

/// One to a server.
#[derive(Debug)]
pub(crate) struct PostgresInspector {
    pub(super) connection: PgConnection,
}

/// One to a file.
#[derive(Debug)]
pub(crate) struct SqliteInspector {
    pub(super) connection: SqliteConnection,
    pub(super) path: std::path::PathBuf,
}

/// Which migrations there are, by number.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Schema {
    /// Those that the database has had.
    pub applied: Vec<i64>,
    /// Those of them that did not come to their end.
    pub broken: Vec<i64>,
    /// Those that this program knows.
    pub known: Vec<i64>,
}

/// Which tasks are looked at.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LookAt {
    /// Those with a greater key than this.
    pub after: i64,
    /// So many at most; the newest, unless all are gone through.
    pub limit: usize,
    /// The newest activities of each that are counted.
    pub window: u64,
    /// In order of their keys, instead of the newest.
    pub all: bool,
}

/// A task's row beside its log and its runs, all seen at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TaskFacts {
    pub key: i64,
    pub name: String,
    pub head: i64,
    pub floor: i64,
    pub last_activity_at: Option<Timestamp>,
    /// How many runs the row says there are, by status.
    pub counts: StatusCounts,
    /// How many there are.
    pub runs: StatusCounts,
    /// The first and the last offset that is kept; nothing if none is.
    pub kept: Option<(i64, i64)>,
    /// When the last was taken.
    pub newest_at: Option<Timestamp>,
    /// How many of the newest `window` offsets are there.
    pub counted: i64,
}

impl Inspector {
    /// Connects, and changes nothing.
    pub(crate) async fn open(options: &StoreOptions) -> Result<Self, StoreError> {
        if options.url.starts_with("postgres://") || options.url.starts_with("postgresql://") {
            return Ok(Self::Postgres(PostgresInspector::open(options).await?));
        }
        let path = options.url.strip_prefix("sqlite://").filter(|path| !path.is_empty());
        let path = path.ok_or_else(|| StoreError::Refused("store.url is not understood".to_owned()))?;
        Ok(Self::Sqlite(SqliteInspector::open(path.as_ref(), options).await?))
    }

    /// Which migrations it has had.
    pub(crate) async fn schema(&mut self) -> Result<Schema, StoreError> {
        ask!(self, inspector => inspector.schema().await)
    }

    /// Rows of tasks beside what they are about.
    pub(crate) async fn tasks(&mut self, look: LookAt) -> Result<Vec<TaskFacts>, StoreError> {
        ask!(self, inspector => inspector.tasks(look).await)
    }

    /// Runs that have not ended, in order of their key.
    pub(crate) async fn open_runs(&mut self, after: i64, limit: usize) -> Result<Vec<OpenRun>, StoreError> {
        ask!(self, inspector => inspector.open_runs(after, limit).await)
    }

    /// The last `status` among the newest activities of each of these runs.
    pub(crate) async fn last_statuses(&mut self, runs: &[i64]) -> Result<HashMap<i64, SaidStatus>, StoreError> {
        ask!(self, inspector => inspector.last_statuses(runs).await)
    }

    /// How many runs were recorded afterwards and are said not to have ended.
    pub(crate) async fn open_backfilled(&mut self) -> Result<u64, StoreError> {
        ask!(self, inspector => inspector.open_backfilled().await)
    }

    /// All leases, and the database's time.
    pub(crate) async fn leases(&mut self) -> Result<(Vec<LeaseRow>, Timestamp), StoreError> {
        ask!(self, inspector => inspector.leases().await)
    }

    /// How the server is set, or how the file is; by the names that the database gives to these things.
    pub(crate) async fn settings(&mut self) -> Result<BTreeMap<String, String>, StoreError> {
        ask!(self, inspector => inspector.settings().await)
    }

    /// What SQLite says is broken in its file, at most so many things; a thorough look reads all of it. Postgres is not asked.
    pub(crate) async fn integrity(&mut self, thorough: bool) -> Result<Vec<String>, StoreError> {
        match self {
            Self::Postgres(_) => Ok(Vec::new()),
            Self::Sqlite(inspector) => inspector.integrity(thorough).await,
        }
    }
}
