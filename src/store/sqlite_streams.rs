//! Streams in SQLite: how they stand, read by itself and in the transaction that appends.

use sqlx::{Row, SqliteConnection, sqlite::SqliteRow};

use super::{
    Append, StoreError, StreamWrite,
    plan::Rows,
    sqlite::{SqliteStore, count, number, stored},
    streams::{FoundStream, StreamRow, task_of},
};
use crate::model::{Offset, TaskId};

impl SqliteStore {
    pub(super) async fn stream(&self, task: &TaskId) -> Result<Option<StreamRow>, StoreError> {
        let found = sqlx::query("SELECT streams.* FROM tasks JOIN streams ON streams.task = tasks.id WHERE tasks.name = ?1")
            .bind(task.as_str().to_owned())
            .fetch_optional(&self.readers)
            .await?;
        found.as_ref().map(row).transpose()
    }
}

fn row(row: &SqliteRow) -> Result<StreamRow, StoreError> {
    Ok(StreamRow {
        content_type: row.try_get("content_type")?,
        seq: row.try_get("seq")?,
        closed_at: number(row, "closed_at")?.and_then(Offset::new),
    })
}

/// Notes in `rows`, within a transaction that writes, what the stream does not take, and writes how it stands if it takes everything. Says whether it has
/// written something, which is to be committed although no activity may be new.
pub(super) async fn check(
    connection: &mut SqliteConnection,
    write: &StreamWrite,
    batch: &[Append],
    rows: &mut Rows,
) -> Result<bool, StoreError> {
    let Some(key) = task_of(batch).and_then(|task| rows.tasks.get(task)).map(|task| task.key) else { return Ok(false) };
    let stream = sqlx::query("SELECT * FROM streams WHERE task = ?1").bind(key).fetch_optional(&mut *connection).await?;
    let mut found = FoundStream { row: stream.as_ref().map(row).transpose()?, ..FoundStream::default() };
    if let Some(producer) = &write.producer {
        let known = sqlx::query(
            "SELECT p.epoch, p.seq, (SELECT count(*) FROM stream_producers WHERE task = ?1) AS producers \
             FROM (SELECT 1) LEFT JOIN stream_producers AS p ON p.task = ?1 AND p.name = ?2",
        )
        .bind(key)
        .bind(producer.name.clone())
        .fetch_one(&mut *connection)
        .await?;
        found.producers = count(&known, "producers")?;
        found.producer = number(&known, "epoch")?.zip(number(&known, "seq")?);
    }
    let Some(Ok((key, stream))) = write.judge_batch(&found, batch, rows) else { return Ok(false) };
    sqlx::query(
        "INSERT INTO streams (task, content_type, seq, closed_at) VALUES (?1, ?2, ?3, ?4) \
         ON CONFLICT (task) DO UPDATE SET seq = excluded.seq, closed_at = excluded.closed_at",
    )
    .bind(key)
    .bind(stream.content_type)
    .bind(stream.seq)
    .bind(stream.closed_at.map(|at| stored(at.get())))
    .execute(&mut *connection)
    .await?;
    if let Some(producer) = &write.producer {
        sqlx::query(
            "INSERT INTO stream_producers (task, name, epoch, seq) VALUES (?1, ?2, ?3, ?4) \
             ON CONFLICT (task, name) DO UPDATE SET epoch = excluded.epoch, seq = excluded.seq",
        )
        .bind(key)
        .bind(producer.name.clone())
        .bind(stored(producer.epoch))
        .bind(stored(producer.seq))
        .execute(&mut *connection)
        .await?;
    }
    Ok(true)
}
