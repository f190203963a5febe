//! SQLite as the store of one node: a file in WAL mode with one connection that writes and a few that read.
//!
//! Lists of values travel as one JSON parameter and are unfolded by `json_each`, so that every statement is constant text and is
//! prepared once. The operations are in `sqlite_append`, `sqlite_read` and `sqlite_tasks`.

use std::sync::{Arc, atomic::AtomicBool};

use sqlx::{SqlitePool, sqlite::SqliteRow};

use crate::model::{Epoch, LogState, Offset, StalledAfter, Timestamp};

use super::{
    StoreError,
    remembered::Remembered,
    sqlite_open::{FileLock, note_end},
};

/// The embedded store.
#[derive(Debug, Clone)]
pub struct SqliteStore {
    pub(super) writer: SqlitePool,
    pub(super) readers: SqlitePool,
    pub(super) lock: Arc<FileLock>,
    /// Taken, and contradicted, only by who has the writing connection.
    pub(super) remembered: Arc<Remembered>,
    pub(super) stalled_after: StalledAfter,
    /// Whether the moves of runs are kept for webhooks.
    pub(super) keeps_transitions: Arc<AtomicBool>,
}

impl SqliteStore {
    pub(super) async fn ping(&self) -> Result<(), StoreError> {
        sqlx::query("SELECT 1").execute(&self.readers).await?;
        Ok(())
    }

    pub(super) async fn close(&self) {
        self.readers.close().await;
        if let Err(error) = note_end(&self.writer, &self.lock).await {
            tracing::warn!(%error, "the end could not be noted: a copy made since the start may be taken for this database");
        }
        self.writer.close().await;
        self.lock.release();
    }
}

/// A task's row with its log's end and its last activity: the row may be behind (see `plan::LAG`), and alone knows where the log ends when everything
/// was trimmed.
pub(super) const TASK: &str = "tasks.*, \
    max(tasks.head, coalesce((SELECT max(a.\"offset\") FROM activities AS a WHERE a.task = tasks.id), 0)) AS log_head";

/// What a column holds that no version of Tasklight writes.
pub(super) fn foreign(column: &str) -> StoreError {
    StoreError::Refused(format!("column {column} holds a value of unknown form"))
}

pub(super) fn offset(row: &SqliteRow, column: &str) -> Result<Offset, StoreError> {
    number(row, column)?.and_then(Offset::new).ok_or_else(|| foreign(column))
}

pub(super) fn time(row: &SqliteRow, column: &str) -> Result<Timestamp, StoreError> {
    maybe_time(row, column)?.ok_or_else(|| foreign(column))
}

pub(super) fn maybe_time(row: &SqliteRow, column: &str) -> Result<Option<Timestamp>, StoreError> {
    number(row, column)?.map(|millis| Timestamp::from_millis(millis).ok_or_else(|| foreign(column))).transpose()
}

pub(super) fn count(row: &SqliteRow, column: &str) -> Result<u64, StoreError> {
    number(row, column)?.ok_or_else(|| foreign(column))
}

pub(super) fn log_state(row: &SqliteRow) -> Result<LogState, StoreError> {
    Ok(LogState { epoch: epoch(row)?, head: offset(row, "log_head")?, floor: offset(row, "floor")? })
}

pub(super) fn epoch(row: &SqliteRow) -> Result<Epoch, StoreError> {
    let value = number(row, "epoch")?.and_then(|value| u32::try_from(value).ok());
    value.map(Epoch::from_stored).ok_or_else(|| foreign("epoch"))
}

/// A word of a closed set, such as a status.
pub(super) fn word<T: std::str::FromStr>(row: &SqliteRow, column: &str) -> Result<Option<T>, StoreError> {
    use sqlx::Row;
    let text: Option<&str> = row.try_get(column)?;
    text.map(|text| text.parse().map_err(|_| foreign(column))).transpose()
}

pub(super) fn number(row: &SqliteRow, column: &str) -> Result<Option<u64>, StoreError> {
    use sqlx::Row;
    let value: Option<i64> = row.try_get(column)?;
    value.map(|value| u64::try_from(value).map_err(|_| foreign(column))).transpose()
}

/// A number of ours, which never exceeds 2^53, as SQLite keeps it.
pub(super) fn stored(number: u64) -> i64 {
    i64::try_from(number).expect("our integers are below 2^53")
}
