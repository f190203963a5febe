//! What bare SQLite does on this disk, as durable as the hub's: one row a commit at a rate, and prepared multi-row inserts of the hub's own
//! rows into the hub's own tables.

use std::time::{Duration, Instant};

use sqlx::{
    AssertSqlSafe, Connection, Executor, SqliteConnection,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous},
};
use tempfile::TempDir;
use uuid::Uuid;

use crate::publisher::{Pace, data};

const SCHEMA: &str = include_str!("../../../migrations/sqlite/0001_log.sql");

/// The most rows of one statement: SQLite takes 32,766 parameters.
const STATEMENT_ROWS: usize = 1_000;

/// How long one row and its commit take in a table without any index, at this rate; in milliseconds, sorted.
pub async fn commits(rate: f64, time: Duration) -> anyhow::Result<Vec<f64>> {
    let folder = TempDir::new()?;
    let mut connection = open(&folder).await?;
    connection.execute("CREATE TABLE reference (id INTEGER PRIMARY KEY, data TEXT NOT NULL) STRICT").await?;
    let (began, mut took, mut pace) = (Instant::now(), Vec::new(), Pace::new(rate));
    while began.elapsed() < time {
        pace.tick().await;
        let one = Instant::now();
        sqlx::query("INSERT INTO reference (data) VALUES (?1)").bind(data(0, 0)).execute(&mut connection).await?;
        took.push(one.elapsed().as_secs_f64() * 1_000.0);
    }
    took.sort_by(f64::total_cmp);
    Ok(took)
}

/// Rows a second into the hub's tables, `batch` rows a transaction. Making the rows is not counted.
pub async fn rows(batch: usize, time: Duration) -> anyhow::Result<f64> {
    let folder = TempDir::new()?;
    let mut connection = open(&folder).await?;
    connection.execute(SCHEMA).await?;
    connection
        .execute(
            "INSERT INTO tasks (id, name, epoch, created_at) VALUES (1, 't1', 1, 0); \
             INSERT INTO invocations (id, task, name, status, created_at, last_activity_at) VALUES (1, 1, 'run', 'running', 0, 0)",
        )
        .await?;
    let (began, mut took, mut offset) = (Instant::now(), Duration::ZERO, 0_i64);
    while began.elapsed() < time {
        let new: Vec<_> = (1..=batch as i64).map(|n| (offset + n, Uuid::now_v7(), data(0, 0))).collect();
        offset += batch as i64;
        let one = Instant::now();
        let mut transaction = connection.begin().await?;
        for part in new.chunks(STATEMENT_ROWS) {
            let places = vec!["(1, ?, 1, ?, 'message', 1764000000000, 1764000000000, ?, NULL, NULL)"; part.len()].join(",");
            let mut query = sqlx::query(AssertSqlSafe(format!("INSERT INTO activities VALUES {places}")));
            for (offset, event, data) in part {
                query = query.bind(offset).bind(event.as_bytes().as_slice()).bind(data.as_str());
            }
            query.execute(&mut *transaction).await?;
        }
        transaction.commit().await?;
        took += one.elapsed();
    }
    Ok(offset as f64 / took.as_secs_f64())
}

async fn open(folder: &TempDir) -> anyhow::Result<SqliteConnection> {
    let options = SqliteConnectOptions::new()
        .filename(folder.path().join("reference.db"))
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full);
    Ok(SqliteConnection::connect_with(&options).await?)
}
