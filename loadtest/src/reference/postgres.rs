//! What bare Postgres does with the hub's own tables, as `tasklight migrate` makes them: COPY, a transaction for each event, one commit.

use std::{
    fmt::Write,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use anyhow::ensure;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use tokio::task::JoinSet;
use uuid::Uuid;

use super::wire::Wire;
use crate::{
    publisher::{Pace, data},
    services::Services,
};

/// As many as there are publishers.
const INVOCATIONS: usize = 64;

/// An empty database with the hub's tables, a task for each invocation and these.
pub async fn schema(binary: &Path, services: &Services) -> anyhow::Result<(String, PgConnection)> {
    let (url, mut database) = services.database().await?;
    migrate(binary, &url)?;
    let rows = format!(
        "INSERT INTO tasks (name, epoch, created_at) SELECT 't' || n, n, 0 FROM generate_series(1, {INVOCATIONS}) AS n; \
         INSERT INTO invocations (id, task, name, status, created_at, last_activity_at) \
           SELECT n, 1, 'run-' || n, 'running', 0, 0 FROM generate_series(1, {INVOCATIONS}) AS n"
    );
    database.execute(sqlx::raw_sql(AssertSqlSafe(rows))).await?;
    Ok((url, database))
}

/// Makes the hub's tables, on whichever store.
pub fn migrate(binary: &Path, url: &str) -> anyhow::Result<()> {
    let migrated = Command::new(binary).args(["migrate", "--store", url]).output()?;
    ensure!(migrated.status.success(), "the schema was not made: {}", String::from_utf8_lossy(&migrated.stderr));
    Ok(())
}

/// Rows a second by COPY, `batch` rows a transaction. Making the rows is not counted.
pub async fn copy(url: &str, batch: usize, time: Duration) -> anyhow::Result<f64> {
    let mut database = PgConnection::connect(url).await?;
    let last: Option<i64> =
        sqlx::query_scalar("SELECT max(\"offset\") FROM activities WHERE task = 1").fetch_one(&mut database).await?;
    let first = u64::try_from(last.unwrap_or_default() + 1)?;
    let url = url.to_owned();
    tokio::task::spawn_blocking(move || {
        let mut wire = Wire::connect(&url)?;
        let mut offset = first;
        let (began, mut took, mut rows) = (Instant::now(), Duration::ZERO, 0);
        let mut text = String::new();
        while began.elapsed() < time {
            text.clear();
            for _ in 0..batch {
                let (invocation, event, data) = (offset as usize % INVOCATIONS + 1, Uuid::now_v7(), data(0, offset as usize));
                writeln!(text, "1\t{offset}\t{invocation}\t{event}\tmessage\t1764000000000\t1764000000000\t{data}\t\\N\t\\N")?;
                offset += 1;
            }
            let one = Instant::now();
            wire.copy_in("COPY activities FROM STDIN", text.as_bytes())?;
            took += one.elapsed();
            rows += batch;
        }
        Ok(rows as f64 / took.as_secs_f64())
    })
    .await?
}

/// Events a second, each an INSERT and an UPDATE in a transaction of its own, from so many connections, each with a task of its own.
pub async fn one_by_one(url: &str, connections: usize, time: Duration) -> anyhow::Result<f64> {
    let mut work = JoinSet::new();
    let began = Instant::now();
    for number in 2..connections as i64 + 2 {
        let url = url.to_owned();
        work.spawn(async move {
            let mut connection = PgConnection::connect(&url).await?;
            let mut events = 0_i64;
            while began.elapsed() < time {
                events += 1;
                let mut transaction = connection.begin().await?;
                sqlx::query(
                    "INSERT INTO activities VALUES ($1, $2, $1, $3, 'message', 1764000000000, 1764000000000, $4, NULL, NULL)",
                )
                .bind(number)
                .bind(events)
                .bind(Uuid::now_v7())
                .bind(data(0, 0))
                .execute(&mut *transaction)
                .await?;
                sqlx::query("UPDATE tasks SET head = $2, last_activity_at = $3 WHERE id = $1")
                    .bind(number)
                    .bind(events)
                    .bind(1_764_000_000_000_i64 + events)
                    .execute(&mut *transaction)
                    .await?;
                transaction.commit().await?;
            }
            anyhow::Ok(events)
        });
    }
    let mut events = 0;
    while let Some(done) = work.join_next().await {
        events += done??;
    }
    Ok(events as f64 / began.elapsed().as_secs_f64())
}

/// How long one row and its commit take in a table without any index, at this rate; in milliseconds, sorted.
pub async fn commits(services: &Services, rate: f64, time: Duration) -> anyhow::Result<Vec<f64>> {
    let (_, mut connection) = services.database().await?;
    connection.execute("CREATE TABLE reference (data TEXT NOT NULL)").await?;
    let (began, mut took, mut pace) = (Instant::now(), Vec::new(), Pace::new(rate));
    while began.elapsed() < time {
        pace.tick().await;
        let one = Instant::now();
        sqlx::query("INSERT INTO reference VALUES ($1)").bind(data(0, 0)).execute(&mut connection).await?;
        took.push(one.elapsed().as_secs_f64() * 1_000.0);
    }
    took.sort_by(f64::total_cmp);
    Ok(took)
}
