//! Postgres as the store of many nodes: a few connections that write, a pool of those that read.
//!
//! Lists of values travel as arrays and are unfolded by `unnest`, so that every statement is constant text and is prepared once. The
//! operations are in `postgres_append`, `postgres_read`, `postgres_tasks` and `postgres_cluster`.

use std::{sync::Arc, time::Duration};

use sqlx::{Connection, PgConnection, PgPool, postgres::PgRow};
use tokio::{
    sync::{Mutex, MutexGuard},
    time::timeout,
};

use super::{StoreError, postgres_open::Connector, remembered::Remembered};
use crate::model::{Epoch, LogState, Offset, StalledAfter, TaskId, Timestamp};

/// How much longer than the server's own limit a statement is waited for.
pub(super) const MARGIN: Duration = Duration::from_secs(2);

/// The shared store.
#[derive(Debug, Clone)]
pub struct PostgresStore {
    pub(super) readers: PgPool,
    /// Each is used by one operation at a time.
    pub(super) writers: Arc<[Mutex<Writer>]>,
    /// Removes what is kept no longer; never waited for by those that append.
    pub(super) purger: Arc<Mutex<Writer>>,
    pub(super) connector: Arc<Connector>,
    pub(super) remembered: Arc<Remembered>,
    pub(super) stalled_after: StalledAfter,
}

/// A connection that writes, made again whenever something went wrong on it. It is no pool's, so that an operation that is given up
/// takes its connection, and any locks, with it.
#[derive(Debug, Default)]
pub(super) struct Writer {
    connection: Option<PgConnection>,
    /// Keys for new invocations: the next one, and how many are left.
    pub(super) keys: (i64, u32),
}

impl Writer {
    /// Takes the connection out; [`Writer::put_back`] it if all went well.
    pub(super) async fn take(&mut self, connector: &Connector) -> Result<PgConnection, StoreError> {
        match self.connection.take() {
            Some(connection) => Ok(connection),
            None => connector.connect_writer().await,
        }
    }

    pub(super) fn put_back(&mut self, connection: PgConnection) {
        self.connection = Some(connection);
    }
}

impl PostgresStore {
    pub(super) async fn ping(&self) -> Result<(), StoreError> {
        self.within(async { Ok(sqlx::query("SELECT 1").execute(&self.readers).await.map(drop)?) }).await
    }

    pub(super) async fn close(&self) {
        self.readers.close().await;
        for writer in self.writers.iter().chain([&*self.purger]) {
            if let Some(connection) = writer.lock().await.connection.take()
                && let Err(error) = connection.close().await
            {
                tracing::debug!(%error, "a writing connection could not be closed in order");
            }
        }
    }

    /// The work, or an error if the server does not answer in time.
    pub(super) async fn within<T>(&self, work: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
        timeout(self.connector.statement_timeout + MARGIN, work)
            .await
            .unwrap_or_else(|_| Err(StoreError::Unavailable("no answer in time".to_owned())))
    }

    /// A writing connection that nobody uses; if all are used, the first one when it is free.
    pub(super) async fn free_writer(&self) -> MutexGuard<'_, Writer> {
        match self.writers.iter().find_map(|writer| writer.try_lock().ok()) {
            Some(writer) => writer,
            None => self.writers[0].lock().await,
        }
    }

    /// Work on a writing connection, which is kept if it goes well or the server refuses it in good order.
    pub(super) async fn write<T>(
        &self,
        work: impl AsyncFnOnce(&mut PgConnection) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.write_on(async || self.free_writer().await, work).await
    }

    /// The same on the connection for removals, which no append waits for.
    pub(super) async fn purge<T>(
        &self,
        work: impl AsyncFnOnce(&mut PgConnection) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.write_on(async || self.purger.lock().await, work).await
    }

    async fn write_on<'a, T>(
        &'a self,
        writer: impl AsyncFnOnce() -> MutexGuard<'a, Writer>,
        work: impl AsyncFnOnce(&mut PgConnection) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.within(async {
            let mut writer = writer().await;
            let mut connection = writer.take(&self.connector).await?;
            let done = work(&mut connection).await?;
            writer.put_back(connection);
            Ok(done)
        })
        .await
    }
}

/// What a failed statement means: SQLSTATE classes 22 (data) and 23 (constraint) are the data's fault, everything else may pass.
pub(super) fn refuses(code: &str) -> bool {
    code.starts_with("22") || code.starts_with("23")
}

/// Serialization failure and deadlock: the same again may well succeed at once.
pub(super) fn collided(code: &str) -> bool {
    matches!(code, "40001" | "40P01")
}

pub(super) fn foreign(column: &str) -> StoreError {
    StoreError::Refused(format!("column {column} holds a value of unknown form"))
}

pub(super) fn stored(number: u64) -> i64 {
    i64::try_from(number).expect("our integers are below 2^53")
}

pub(super) fn names(tasks: &[TaskId]) -> Vec<&str> {
    tasks.iter().map(TaskId::as_str).collect()
}

pub(super) fn number(row: &PgRow, column: &str) -> Result<Option<u64>, StoreError> {
    use sqlx::Row;
    let value: Option<i64> = row.try_get(column)?;
    value.map(|value| u64::try_from(value).map_err(|_| foreign(column))).transpose()
}

pub(super) fn count(row: &PgRow, column: &str) -> Result<u64, StoreError> {
    number(row, column)?.ok_or_else(|| foreign(column))
}

pub(super) fn offset(row: &PgRow, column: &str) -> Result<Offset, StoreError> {
    number(row, column)?.and_then(Offset::new).ok_or_else(|| foreign(column))
}

pub(super) fn time(row: &PgRow, column: &str) -> Result<Timestamp, StoreError> {
    maybe_time(row, column)?.ok_or_else(|| foreign(column))
}

pub(super) fn maybe_time(row: &PgRow, column: &str) -> Result<Option<Timestamp>, StoreError> {
    number(row, column)?.map(|millis| Timestamp::from_millis(millis).ok_or_else(|| foreign(column))).transpose()
}

pub(super) fn epoch(row: &PgRow) -> Result<Epoch, StoreError> {
    let value = number(row, "epoch")?.and_then(|value| u32::try_from(value).ok());
    value.map(Epoch::from_stored).ok_or_else(|| foreign("epoch"))
}

pub(super) fn log_state(row: &PgRow) -> Result<LogState, StoreError> {
    Ok(LogState { epoch: epoch(row)?, head: offset(row, "head")?, floor: offset(row, "floor")? })
}

/// A word of a closed set, such as a status, or a name of ours.
pub(super) fn word<T: std::str::FromStr>(row: &PgRow, column: &str) -> Result<Option<T>, StoreError> {
    use sqlx::Row;
    let text: Option<&str> = row.try_get(column)?;
    text.map(|text| text.parse().map_err(|_| foreign(column))).transpose()
}
