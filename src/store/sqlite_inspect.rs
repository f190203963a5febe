//! A look at SQLite's file from outside. A hub that has it open goes on: readers do not disturb who writes.

use std::{
    collections::{BTreeMap, HashMap},
    path::Path,
};

use sqlx::{AssertSqlSafe, Connection, Row, SqliteConnection, sqlite::SqliteConnectOptions, sqlite::SqliteRow};

use super::{
    LeaseRow, OpenRun, SaidStatus, StoreError, StoreOptions,
    inspect::{LookAt, Schema, SqliteInspector, TaskFacts},
    sqlite::{maybe_time, stored},
    sqlite_leases, sqlite_open, sqlite_open_runs,
};
use crate::model::{StatusCounts, Timestamp};

/// The most things that are said to be broken.
const MOST_BROKEN: u32 = 20;

impl SqliteInspector {
    pub(super) async fn open(path: &Path, options: &StoreOptions) -> Result<Self, StoreError> {
        let connect = SqliteConnectOptions::new()
            .filename(path)
            .read_only(true)
            .busy_timeout(options.busy_timeout)
            .pragma("query_only", "on");
        let connection = SqliteConnection::connect_with(&connect).await?;
        Ok(Self { connection, path: path.to_owned() })
    }

    pub(super) async fn schema(&mut self) -> Result<Schema, StoreError> {
        let there: Option<i64> = sqlx::query_scalar("SELECT 1 FROM sqlite_schema WHERE name = '_sqlx_migrations'")
            .fetch_optional(&mut self.connection)
            .await?;
        let mut schema = Schema { known: sqlite_open::known_migrations(), ..Schema::default() };
        if there.is_none() {
            return Ok(schema);
        }
        let rows =
            sqlx::query("SELECT version, success FROM _sqlx_migrations ORDER BY version").fetch_all(&mut self.connection).await?;
        for row in &rows {
            let version = row.try_get("version")?;
            if row.try_get("success")? { schema.applied.push(version) } else { schema.broken.push(version) }
        }
        Ok(schema)
    }

    pub(super) async fn tasks(&mut self, look: LookAt) -> Result<Vec<TaskFacts>, StoreError> {
        let order = if look.all { "id" } else { "listed_at DESC, id DESC" };
        let sql = format!(
            "SELECT t.*, (SELECT a.received_at FROM activities AS a WHERE a.task = t.id AND a.\"offset\" = t.last) AS newest_at, \
               (SELECT count(*) FROM activities AS a WHERE a.task = t.id AND a.\"offset\" > t.last - ?3) AS counted, \
               (SELECT json_group_array(json_array(by.status, by.runs)) FROM (SELECT i.status, count(*) AS runs FROM invocations AS i \
                 WHERE i.task = t.id GROUP BY i.status) AS by) AS runs \
             FROM (SELECT tasks.*, (SELECT min(a.\"offset\") FROM activities AS a WHERE a.task = tasks.id) AS first, \
                 (SELECT max(a.\"offset\") FROM activities AS a WHERE a.task = tasks.id) AS last \
               FROM tasks WHERE id > ?1 ORDER BY {order} LIMIT ?2) AS t"
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
        sqlite_open_runs::open_runs(&mut self.connection, after, limit).await
    }

    pub(super) async fn last_statuses(&mut self, runs: &[i64]) -> Result<HashMap<i64, SaidStatus>, StoreError> {
        sqlite_open_runs::last_statuses(&mut self.connection, runs).await
    }

    pub(super) async fn open_backfilled(&mut self) -> Result<u64, StoreError> {
        let sql = "SELECT count(*) FROM invocations WHERE status IN ('pending', 'running') AND backfilled = 1";
        let count: i64 = sqlx::query_scalar(sql).fetch_one(&mut self.connection).await?;
        Ok(u64::try_from(count).unwrap_or_default())
    }

    pub(super) async fn leases(&mut self) -> Result<(Vec<LeaseRow>, Timestamp), StoreError> {
        sqlite_leases::leases(&mut self.connection).await
    }

    /// What the file says of itself, and how long the log beside it is.
    pub(super) async fn settings(&mut self) -> Result<BTreeMap<String, String>, StoreError> {
        let row = sqlx::query(
            "SELECT sqlite_version() AS version, (SELECT journal_mode FROM pragma_journal_mode) AS journal_mode, \
               (SELECT page_size FROM pragma_page_size) AS page_size, (SELECT page_count FROM pragma_page_count) AS page_count, \
               (SELECT freelist_count FROM pragma_freelist_count) AS free_pages",
        )
        .fetch_one(&mut self.connection)
        .await?;
        let mut all = BTreeMap::new();
        for column in ["page_size", "page_count", "free_pages"] {
            all.insert(column.to_owned(), row.try_get::<i64, _>(column)?.to_string());
        }
        for column in ["version", "journal_mode"] {
            all.insert(column.to_owned(), row.try_get::<String, _>(column)?);
        }
        let mut wal = self.path.clone().into_os_string();
        wal.push("-wal");
        let bytes = std::fs::metadata(wal).map(|file| file.len()).unwrap_or_default();
        all.insert("wal_bytes".to_owned(), bytes.to_string());
        Ok(all)
    }

    pub(super) async fn integrity(&mut self, thorough: bool) -> Result<Vec<String>, StoreError> {
        let check = if thorough { "integrity_check" } else { "quick_check" };
        let sql = AssertSqlSafe(format!("PRAGMA {check}({MOST_BROKEN})"));
        let mut said: Vec<String> = match sqlx::query_scalar(sql).fetch_all(&mut self.connection).await {
            Ok(said) => said,
            // Too broken to be looked through.
            Err(error @ sqlx::Error::Database(_)) => return Ok(vec![error.to_string()]),
            Err(error) => return Err(error.into()),
        };
        said.retain(|line| line != "ok");
        if thorough {
            let rows = sqlx::query("SELECT DISTINCT \"table\" AS name, parent FROM pragma_foreign_key_check")
                .fetch_all(&mut self.connection)
                .await?;
            for row in &rows {
                let (table, parent): (String, String) = (row.try_get("name")?, row.try_get("parent")?);
                said.push(format!("rows of {table} refer to rows of {parent} that are not there"));
            }
        }
        Ok(said)
    }
}

fn facts(row: &SqliteRow) -> Result<TaskFacts, StoreError> {
    let (first, last): (Option<i64>, Option<i64>) = (row.try_get("first")?, row.try_get("last")?);
    let by_status: Vec<(crate::model::Status, u64)> = serde_json::from_str(row.try_get("runs")?).unwrap_or_default();
    let mut runs = StatusCounts::default();
    for (status, count) in by_status {
        *runs.of(status) = count;
    }
    Ok(TaskFacts {
        key: row.try_get("id")?,
        name: row.try_get("name")?,
        head: row.try_get("head")?,
        floor: row.try_get("floor")?,
        last_activity_at: maybe_time(row, "last_activity_at")?,
        counts: super::sqlite_append::status_counts(row)?,
        runs,
        kept: first.zip(last),
        newest_at: maybe_time(row, "newest_at")?,
        counted: row.try_get("counted")?,
    })
}
