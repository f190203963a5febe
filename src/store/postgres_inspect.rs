//! A look at Postgres from outside.

use std::{
    collections::{BTreeMap, HashMap},
    str::FromStr,
};

use sqlx::{AssertSqlSafe, Connection, Executor, Row, postgres::PgConnectOptions, postgres::PgRow};
use tokio::time::timeout;

use super::{
    LeaseRow, OpenRun, SaidStatus, StoreError, StoreOptions,
    inspect::{LookAt, PostgresInspector, Schema, TaskFacts},
    postgres::{maybe_time, stored},
    postgres_leases, postgres_open, postgres_open_runs,
};
use crate::model::{StatusCounts, Timestamp};

impl PostgresInspector {
    pub(super) async fn open(options: &StoreOptions) -> Result<Self, StoreError> {
        let connect = PgConnectOptions::from_str(&options.url)?.application_name("tasklight doctor");
        let connecting = timeout(options.connect_timeout, sqlx::PgConnection::connect_with(&connect));
        let mut connection = connecting.await.map_err(|_| StoreError::Unavailable("connecting takes too long".to_owned()))??;
        let limit = options.statement_timeout.as_millis();
        let sql = format!(
            "SET default_transaction_read_only = on; SET statement_timeout = {limit}; SET lock_timeout = {limit}; SET enable_seqscan = off; \
             SET enable_hashjoin = off; SET enable_mergejoin = off; SET jit = off"
        );
        connection.execute(sqlx::raw_sql(AssertSqlSafe(sql))).await?;
        Ok(Self { connection })
    }

    pub(super) async fn schema(&mut self) -> Result<Schema, StoreError> {
        let there: bool =
            sqlx::query_scalar("SELECT to_regclass('_sqlx_migrations') IS NOT NULL").fetch_one(&mut self.connection).await?;
        let known = postgres_open::known_migrations();
        if !there {
            return Ok(Schema { known, ..Schema::default() });
        }
        let rows =
            sqlx::query("SELECT version, success FROM _sqlx_migrations ORDER BY version").fetch_all(&mut self.connection).await?;
        let mut schema = Schema { known, ..Schema::default() };
        for row in &rows {
            let version = row.try_get("version")?;
            if row.try_get("success")? { schema.applied.push(version) } else { schema.broken.push(version) }
        }
        Ok(schema)
    }

    pub(super) async fn tasks(&mut self, look: LookAt) -> Result<Vec<TaskFacts>, StoreError> {
        let order = if look.all { "id" } else { "listed_at DESC, id DESC" };
        let sql = format!(
            "SELECT t.id, t.name, t.head, t.floor, t.last_activity_at, \
               ARRAY[t.pending, t.running, t.completed, t.failed, t.cancelled, t.lost] AS counts, \
               (SELECT ARRAY[count(*) FILTER (WHERE i.status = 'pending'), count(*) FILTER (WHERE i.status = 'running'), \
                 count(*) FILTER (WHERE i.status = 'completed'), count(*) FILTER (WHERE i.status = 'failed'), \
                 count(*) FILTER (WHERE i.status = 'cancelled'), count(*) FILTER (WHERE i.status = 'lost')] \
                 FROM invocations AS i WHERE i.task = t.id) AS runs, \
               first.\"offset\" AS first, last.\"offset\" AS last, last.received_at AS newest_at, \
               (SELECT count(*) FROM activities AS a WHERE a.task = t.id AND a.\"offset\" > last.\"offset\" - $3) AS counted \
             FROM (SELECT * FROM tasks WHERE id > $1 ORDER BY {order} LIMIT $2) AS t \
             LEFT JOIN LATERAL (SELECT a.\"offset\" FROM activities AS a WHERE a.task = t.id ORDER BY a.\"offset\" LIMIT 1) \
               AS first ON true \
             LEFT JOIN LATERAL (SELECT a.\"offset\", a.received_at FROM activities AS a WHERE a.task = t.id \
               ORDER BY a.\"offset\" DESC LIMIT 1) AS last ON true"
        );
        let rows = sqlx::query(AssertSqlSafe(sql))
            .bind(look.after)
            .bind(stored(look.limit as u64))
            .bind(i64::try_from(look.window).unwrap_or(i64::MAX))
            .fetch_all(&mut self.connection)
            .await?;
        let mut tasks = rows.iter().map(facts).collect::<Result<Vec<_>, _>>()?;
        tasks.sort_by_key(|task| task.key);
        Ok(tasks)
    }

    pub(super) async fn open_runs(&mut self, after: i64, limit: usize) -> Result<Vec<OpenRun>, StoreError> {
        postgres_open_runs::open_runs(&mut self.connection, after, limit).await
    }

    pub(super) async fn last_statuses(&mut self, runs: &[i64]) -> Result<HashMap<i64, SaidStatus>, StoreError> {
        postgres_open_runs::last_statuses(&mut self.connection, runs).await
    }

    pub(super) async fn open_backfilled(&mut self) -> Result<u64, StoreError> {
        let sql = "SELECT count(*) FROM invocations WHERE status IN ('pending', 'running') AND backfilled";
        let count: i64 = sqlx::query_scalar(sql).fetch_one(&mut self.connection).await?;
        Ok(u64::try_from(count).unwrap_or_default())
    }

    pub(super) async fn leases(&mut self) -> Result<(Vec<LeaseRow>, Timestamp), StoreError> {
        postgres_leases::leases(&mut self.connection).await
    }

    pub(super) async fn settings(&mut self) -> Result<BTreeMap<String, String>, StoreError> {
        let rows = sqlx::query(
            "SELECT name, setting FROM pg_settings WHERE name IN ('server_version', 'server_version_num', 'fsync', 'full_page_writes', \
               'synchronous_commit', 'autovacuum', 'max_connections', 'superuser_reserved_connections') \
             UNION ALL SELECT 'connections', count(*)::text FROM pg_stat_activity \
             UNION ALL SELECT 'hub_connections', count(*)::text FROM pg_stat_activity \
               WHERE application_name = 'tasklight' AND datname = current_database() \
             UNION ALL SELECT 'oldest_transaction_seconds', coalesce(max(extract(epoch FROM clock_timestamp() - xact_start))::int8, 0)::text \
               FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND backend_type = 'client backend' \
             UNION ALL SELECT 'in_recovery', pg_is_in_recovery()::text",
        )
        .fetch_all(&mut self.connection)
        .await?;
        let pair = |row: &PgRow| Ok((row.try_get("name")?, row.try_get("setting")?));
        rows.iter().map(pair).collect()
    }
}

fn counts(row: &PgRow, column: &str) -> Result<StatusCounts, StoreError> {
    let numbers: Vec<i64> = row.try_get(column)?;
    let of = |index: usize| numbers.get(index).and_then(|number| u64::try_from(*number).ok()).unwrap_or_default();
    Ok(StatusCounts { pending: of(0), running: of(1), completed: of(2), failed: of(3), cancelled: of(4), lost: of(5) })
}

fn facts(row: &PgRow) -> Result<TaskFacts, StoreError> {
    let (first, last): (Option<i64>, Option<i64>) = (row.try_get("first")?, row.try_get("last")?);
    Ok(TaskFacts {
        key: row.try_get("id")?,
        name: row.try_get("name")?,
        head: row.try_get("head")?,
        floor: row.try_get("floor")?,
        last_activity_at: maybe_time(row, "last_activity_at")?,
        counts: counts(row, "counts")?,
        runs: counts(row, "runs")?,
        kept: first.zip(last),
        newest_at: maybe_time(row, "newest_at")?,
        counted: row.try_get("counted")?,
    })
}
