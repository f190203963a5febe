//! Streams in Postgres: how they stand, read by itself and in the transaction that appends, under the task's lock.

use sqlx::{PgConnection, Row, postgres::PgRow};

use super::{
    Append, StoreError, StreamWrite,
    plan::Rows,
    postgres::{PostgresStore, count, number, stored},
    streams::{FoundStream, StreamRow, task_of},
};
use crate::model::{Offset, TaskId};

impl PostgresStore {
    pub(super) async fn stream(&self, task: &TaskId) -> Result<Option<StreamRow>, StoreError> {
        let query = sqlx::query("SELECT streams.* FROM tasks JOIN streams ON streams.task = tasks.id WHERE tasks.name = $1")
            .bind(task.as_str());
        let found = self.within(async { Ok(query.fetch_optional(&self.readers).await?) }).await?;
        found.as_ref().map(row).transpose()
    }
}

fn row(row: &PgRow) -> Result<StreamRow, StoreError> {
    Ok(StreamRow {
        content_type: row.try_get("content_type")?,
        seq: row.try_get("seq")?,
        closed_at: number(row, "closed_at")?.and_then(Offset::new),
    })
}

/// Notes in `rows`, which are locked, what the stream does not take, and writes how it stands if it takes everything. Says whether it has
/// written something, which is to be committed although no activity may be new.
pub(super) async fn check(
    connection: &mut PgConnection,
    write: &StreamWrite,
    batch: &[Append],
    rows: &mut Rows,
) -> Result<bool, sqlx::Error> {
    let Some(key) = task_of(batch).and_then(|task| rows.tasks.get(task)).map(|task| task.key) else { return Ok(false) };
    let found = find(connection, write, key).await?;
    let Some(Ok((key, stream))) = write.judge_batch(&found, batch, rows) else { return Ok(false) };
    sqlx::query(
        "INSERT INTO streams (task, content_type, seq, closed_at) VALUES ($1, $2, $3, $4) \
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
            "INSERT INTO stream_producers (task, name, epoch, seq) VALUES ($1, $2, $3, $4) \
             ON CONFLICT (task, name) DO UPDATE SET epoch = excluded.epoch, seq = excluded.seq",
        )
        .bind(key)
        .bind(&producer.name)
        .bind(stored(producer.epoch))
        .bind(stored(producer.seq))
        .execute(&mut *connection)
        .await?;
    }
    Ok(true)
}

async fn find(connection: &mut PgConnection, write: &StreamWrite, key: i64) -> Result<FoundStream, sqlx::Error> {
    let unread = |error: StoreError| sqlx::Error::Decode(error.into());
    let stream = sqlx::query("SELECT * FROM streams WHERE task = $1").bind(key).fetch_optional(&mut *connection).await?;
    let mut found = FoundStream { row: stream.as_ref().map(row).transpose().map_err(unread)?, ..FoundStream::default() };
    if let Some(producer) = &write.producer {
        let known = sqlx::query(
            "SELECT p.epoch, p.seq, (SELECT count(*) FROM stream_producers WHERE task = $1) AS producers \
             FROM (SELECT 1) AS one LEFT JOIN stream_producers AS p ON p.task = $1 AND p.name = $2",
        )
        .bind(key)
        .bind(&producer.name)
        .fetch_one(connection)
        .await?;
        found.producers = count(&known, "producers").map_err(unread)?;
        let (epoch, seq) = (number(&known, "epoch").map_err(unread)?, number(&known, "seq").map_err(unread)?);
        found.producer = epoch.zip(seq);
    }
    Ok(found)
}
