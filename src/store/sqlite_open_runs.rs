//! Runs that have not ended, gone through in SQLite.

use std::collections::HashMap;

use sqlx::{AssertSqlSafe, Row, SqliteExecutor, sqlite::SqliteRow};

use super::{
    StoreError,
    condition::Heard,
    open_runs::{LOOK_BACK, OpenRun, SaidStatus},
    sqlite::{SqliteStore, epoch, foreign, maybe_time, number, offset, stored, time, word},
    sqlite_append::text,
    stalls::{doing, parse_doing},
};
use crate::model::{Data, Offset};

impl SqliteStore {
    pub(super) async fn open_runs(&self, after: i64, limit: usize) -> Result<Vec<OpenRun>, StoreError> {
        open_runs(&self.readers, after, limit).await
    }

    pub(super) async fn last_statuses(&self, runs: &[i64]) -> Result<HashMap<i64, SaidStatus>, StoreError> {
        last_statuses(&self.readers, runs).await
    }
}

pub(super) async fn open_runs(database: impl SqliteExecutor<'_>, after: i64, limit: usize) -> Result<Vec<OpenRun>, StoreError> {
    let sql = format!(
        "SELECT run.id, tasks.name AS task, tasks.epoch, run.name, run.status, run.last_activity_at, run.heartbeat_at, \
           a.\"offset\" AS newest, a.received_at AS newest_at, {} AS doing, \
           CASE a.type WHEN 'status' THEN a.data ->> '$.status' END AS said \
         FROM (SELECT * FROM invocations AS i INDEXED BY invocations_open WHERE i.status IN ('pending', 'running') \
           AND i.backfilled = 0 AND i.id > ?1 ORDER BY i.id LIMIT ?2) AS run CROSS JOIN tasks ON tasks.id = run.task \
         LEFT JOIN activities AS a ON a.task = run.task AND a.\"offset\" = \
           (SELECT max(b.\"offset\") FROM activities AS b WHERE b.invocation = run.id) ORDER BY run.id",
        doing("a.data")
    );
    let rows = sqlx::query(AssertSqlSafe(sql)).bind(after).bind(stored(limit as u64)).fetch_all(database).await?;
    rows.iter().map(run).collect()
}

pub(super) async fn last_statuses(
    database: impl SqliteExecutor<'_>,
    runs: &[i64],
) -> Result<HashMap<i64, SaidStatus>, StoreError> {
    let wanted: Vec<_> = runs.iter().map(|run| serde_json::json!(run)).collect();
    let rows = sqlx::query(
        "SELECT i.id AS run, a.\"offset\", a.timestamp, a.data FROM json_each(?1) AS wanted \
         CROSS JOIN invocations AS i ON i.id = wanted.value CROSS JOIN activities AS a ON a.task = i.task AND a.\"offset\" = \
           (SELECT newest.\"offset\" FROM (SELECT b.\"offset\", b.type FROM activities AS b WHERE b.invocation = i.id \
             ORDER BY b.\"offset\" DESC LIMIT ?2) AS newest WHERE newest.type = 'status' ORDER BY newest.\"offset\" DESC LIMIT 1)",
    )
    .bind(text(&wanted))
    .bind(stored(LOOK_BACK))
    .fetch_all(database)
    .await?;
    let read = |row: &SqliteRow| {
        let data: String = row.try_get("data")?;
        let data = Data::from_checked(data.into()).ok_or_else(|| foreign("data"))?;
        let said = SaidStatus { offset: offset(row, "offset")?, timestamp: time(row, "timestamp")?, data };
        Ok((row.try_get("run")?, said))
    };
    rows.iter().map(read).collect()
}

fn run(row: &SqliteRow) -> Result<OpenRun, StoreError> {
    let newest = number(row, "newest")?.and_then(Offset::new);
    Ok(OpenRun {
        key: row.try_get("id")?,
        task: word(row, "task")?.ok_or_else(|| foreign("name"))?,
        epoch: epoch(row)?,
        invocation: word(row, "name")?.ok_or_else(|| foreign("name"))?,
        status: word(row, "status")?.ok_or_else(|| foreign("status"))?,
        heard: Heard { newest, heartbeat_at: maybe_time(row, "heartbeat_at")? },
        last_activity_at: time(row, "last_activity_at")?.max(maybe_time(row, "newest_at")?.unwrap_or_default()),
        doing: parse_doing(row.try_get("doing")?),
        // What is no status was no status when it was published.
        said: row.try_get::<Option<&str>, _>("said")?.and_then(|word| word.parse().ok()),
    })
}
