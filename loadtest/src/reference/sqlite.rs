//! What bare SQLite does on this disk: prepared multi-row inserts of the same payload, one transaction each, as durable as the hub's.

use std::time::{Duration, Instant};

use sqlx::{
    Connection, QueryBuilder, Sqlite, SqliteConnection,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous},
};
use tempfile::TempDir;

/// Commits of `rows` rows for as long as `time`; gives how long each took, in milliseconds, sorted.
pub async fn commits(rows: usize, time: Duration) -> anyhow::Result<Vec<f64>> {
    let folder = TempDir::new()?;
    let options = SqliteConnectOptions::new()
        .filename(folder.path().join("reference.db"))
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full);
    let mut connection = SqliteConnection::connect_with(&options).await?;
    sqlx::query("CREATE TABLE reference (id INTEGER PRIMARY KEY, data TEXT NOT NULL) STRICT").execute(&mut connection).await?;
    let payload = crate::publisher::activity(0);
    let started = Instant::now();
    let mut took = Vec::new();
    while started.elapsed() < time {
        let one = Instant::now();
        let mut query = QueryBuilder::<Sqlite>::new("INSERT INTO reference (data) ");
        query.push_values(0..rows, |mut values, _| {
            values.push_bind(payload.clone());
        });
        query.build().execute(&mut connection).await?;
        took.push(one.elapsed().as_secs_f64() * 1_000.0);
    }
    took.sort_by(f64::total_cmp);
    Ok(took)
}
