//! Runs that have not ended, gone through in Postgres.

use std::collections::HashMap;

use sqlx::{AssertSqlSafe, PgExecutor, Row, postgres::PgRow};

use super::{
    StoreError,
    condition::Heard,
    open_runs::{LOOK_BACK, OpenRun, SaidStatus},
    postgres::{PostgresStore, epoch, foreign, maybe_time, number, offset, stored, time, word},
    postgres_read::EPOCH,
    stalls::{doing, parse_doing},
};
use crate::model::{Data, Offset};

impl PostgresStore {
    pub(super) async fn open_runs(&self, after: i64, limit: usize) -> Result<Vec<OpenRun>, StoreError> {
        self.within(open_runs(&self.readers, after, limit)).await
    }

    pub(super) async fn last_statuses(&self, runs: &[i64]) -> Result<HashMap<i64, SaidStatus>, StoreError> {
        self.within(last_statuses(&self.readers, runs)).await
    }
}

pub(super) async fn open_runs(database: impl PgExecutor<'_>, after: i64, limit: usize) -> Result<Vec<OpenRun>, StoreError> {
    let sql = format!(
        "SELECT run.id, tasks.name AS task, {EPOCH}, run.name, run.status, run.last_activity_at, run.heartbeat_at, newest.* \
         FROM (SELECT * FROM invocations AS i WHERE i.status IN ('pending', 'running') AND NOT i.backfilled AND i.id > $1 \
           ORDER BY i.id LIMIT $2) AS run JOIN tasks ON tasks.id = run.task \
         LEFT JOIN LATERAL (SELECT a.\"offset\" AS newest, a.received_at AS newest_at, {} AS doing, \
           CASE a.type WHEN 'status' THEN a.data::json ->> 'status' END AS said FROM activities AS a \
           WHERE a.invocation = run.id ORDER BY a.\"offset\" DESC LIMIT 1) AS newest ON true ORDER BY run.id",
        doing("a.data::json")
    );
    let rows = sqlx::query(AssertSqlSafe(sql)).bind(after).bind(stored(limit as u64)).fetch_all(database).await?;
    rows.iter().map(run).collect()
}

pub(super) async fn last_statuses(database: impl PgExecutor<'_>, runs: &[i64]) -> Result<HashMap<i64, SaidStatus>, StoreError> {
    let rows = sqlx::query(
        "SELECT wanted.run, said.* FROM unnest($1::int8[]) AS wanted(run) CROSS JOIN LATERAL ( \
           SELECT newest.\"offset\", newest.timestamp, newest.data FROM (SELECT * FROM activities AS a \
             WHERE a.invocation = wanted.run ORDER BY a.\"offset\" DESC LIMIT $2) AS newest \
           WHERE newest.type = 'status' ORDER BY newest.\"offset\" DESC LIMIT 1) AS said",
    )
    .bind(runs)
    .bind(stored(LOOK_BACK))
    .fetch_all(database)
    .await?;
    let read = |row: &PgRow| {
        let data: String = row.try_get("data")?;
        let data = Data::from_checked(data.into()).ok_or_else(|| foreign("data"))?;
        let said = SaidStatus { offset: offset(row, "offset")?, timestamp: time(row, "timestamp")?, data };
        Ok((row.try_get("run")?, said))
    };
    rows.iter().map(read).collect()
}

fn run(row: &PgRow) -> Result<OpenRun, StoreError> {
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
