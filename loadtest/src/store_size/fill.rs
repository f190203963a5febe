//! A store of many activities, written past the hub: one transaction that makes the table anew without its indexes, copies rows that are frozen from
//! the start, and then builds the indexes as the migrations describe them. Fifty million rows take minutes so, and are as if they had always been there.

use std::fmt::Write;

use anyhow::{Context, ensure};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use uuid::Uuid;

use crate::{bench::Bench, reference::postgres::migrate};

/// How many activities each middling task has, and how many runs they are of.
pub const OF_MIDDLING: u64 = 4_000;
const RUNS_OF_MIDDLING: u64 = 20;

/// Which share of all activities the huge task has, and which share of them is a run of its own in the task of many runs.
const HUGE: u64 = 5;
const RUNS: u64 = 500;

/// One of so many activities ends a series.
const SERIES: u64 = 100;

/// When the first activity was taken, in epoch milliseconds, and how far they are apart.
const BEGAN: u64 = 1_764_000_000_000;
const APART: u64 = 10;

/// How many bytes go to the server at once.
const CHUNK: usize = 1 << 20;

/// The tasks `huge` and `runs`, with the keys 1 and 2, and the middling ones `m0`, `m1` and so on behind them.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    pub huge: u64,
    pub runs: u64,
    pub middling: u64,
}

impl Shape {
    /// Of about so many activities.
    pub fn of(activities: u64) -> Self {
        let (huge, runs) = (activities / HUGE, activities / RUNS);
        Self { huge, runs, middling: ((activities - huge - runs) / OF_MIDDLING).max(1) }
    }

    /// How many activities exactly.
    pub fn activities(self) -> u64 {
        self.huge + self.runs + self.middling * OF_MIDDLING
    }

    /// How many runs: keys from 1 on, in order of their tasks.
    fn invocations(self) -> u64 {
        1 + self.runs + self.middling * RUNS_OF_MIDDLING
    }
}

/// A database with a store of this shape: its URL.
pub async fn filled(bench: &Bench, shape: Shape) -> anyhow::Result<String> {
    let (url, mut database) = bench.services()?.database().await?;
    migrate(&bench.binary, &url)?;
    // Nobody needs rows to survive a power cut while they are written; from then on fsync is on.
    set_fsync(&mut database, false).await?;
    let done = fill(&mut database, shape).await;
    set_fsync(&mut database, true).await?;
    done?;
    database.execute("VACUUM ANALYZE").await?;
    database.execute("CHECKPOINT").await?;
    let count: i64 = sqlx::query_scalar("SELECT count(*) FROM tasks").fetch_one(&mut database).await?;
    ensure!(u64::try_from(count)? == shape.middling + 2, "{count} tasks were made");
    database.close().await?;
    Ok(url)
}

async fn set_fsync(database: &mut PgConnection, on: bool) -> anyhow::Result<()> {
    let word = if on { "on" } else { "off" };
    for setting in ["fsync", "full_page_writes"] {
        database.execute(sqlx::raw_sql(AssertSqlSafe(format!("ALTER SYSTEM SET {setting} = {word}")))).await?;
    }
    database.execute("SELECT pg_reload_conf()").await?;
    Ok(())
}

async fn fill(database: &mut PgConnection, shape: Shape) -> anyhow::Result<()> {
    database.execute(sqlx::raw_sql(AssertSqlSafe(rows_above(shape)))).await?;
    database.execute("SET maintenance_work_mem = '768MB'; SET session_replication_role = replica").await?;
    let constraints: Vec<(String, String)> = sqlx::query_as(
        "SELECT conname::text, pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = 'activities'::regclass AND contype IN ('p', 'u')",
    )
    .fetch_all(&mut *database)
    .await?;
    let indexes: Vec<(String, String)> = sqlx::query_as(
        "SELECT indexname::text, indexdef FROM pg_indexes WHERE tablename = 'activities' AND indexname NOT IN \
         (SELECT conname FROM pg_constraint WHERE conrelid = 'activities'::regclass)",
    )
    .fetch_all(&mut *database)
    .await?;
    ensure!(!constraints.is_empty() && !indexes.is_empty(), "activities has no indexes");
    let mut sql = "BEGIN; TRUNCATE activities; ".to_owned();
    for (name, _) in &constraints {
        write!(sql, "ALTER TABLE activities DROP CONSTRAINT \"{name}\"; ")?;
    }
    for (name, _) in &indexes {
        write!(sql, "DROP INDEX \"{name}\"; ")?;
    }
    database.execute(sqlx::raw_sql(AssertSqlSafe(sql))).await?;
    copy(database, shape).await?;
    for (name, definition) in constraints {
        let sql = format!("ALTER TABLE activities ADD CONSTRAINT \"{name}\" {definition}");
        database.execute(sqlx::raw_sql(AssertSqlSafe(sql))).await?;
    }
    for (_, definition) in indexes {
        database.execute(sqlx::raw_sql(AssertSqlSafe(definition))).await?;
    }
    database.execute("COMMIT").await?;
    Ok(())
}

/// Tasks and runs, all of which have ended.
fn rows_above(shape: Shape) -> String {
    let Shape { huge, runs, middling } = shape;
    let last = BEGAN + shape.activities() * APART;
    let first_middling = runs + 2;
    format!(
        "INSERT INTO tasks (name, epoch, head, created_at, status, completed, last_activity_at) \
           SELECT name, 1, head, {BEGAN}, 'completed', runs, {last} - key FROM ( \
             SELECT 1 AS key, 'huge' AS name, {huge} AS head, 1 AS runs UNION ALL SELECT 2, 'runs', {runs}, {runs} UNION ALL \
             SELECT n + 3, 'm' || n, {OF_MIDDLING}, {RUNS_OF_MIDDLING} FROM generate_series(0, {middling} - 1) AS n) AS t ORDER BY key; \
         INSERT INTO invocations (id, task, name, status, agent, created_at, started_at, completed_at, last_activity_at) \
           SELECT id, task, name, 'completed', 'filler', {BEGAN} + id, {BEGAN} + id, {BEGAN} + id, {BEGAN} + id FROM ( \
             SELECT 1 AS id, 1 AS task, 'r0' AS name UNION ALL SELECT n + 2, 2, 'r' || n FROM generate_series(0, {runs} - 1) AS n UNION ALL \
             SELECT {first_middling} + n, 3 + n / {RUNS_OF_MIDDLING}, 'r' || n % {RUNS_OF_MIDDLING} \
               FROM generate_series(0, {middling} * {RUNS_OF_MIDDLING} - 1) AS n) AS i; \
         SELECT setval('invocation_blocks', {} / 1000 + 1)",
        shape.invocations()
    )
}

/// All activities, in order of their tasks.
async fn copy(database: &mut PgConnection, shape: Shape) -> anyhow::Result<()> {
    let mut copy = database.copy_in_raw("COPY activities FROM STDIN WITH (FREEZE)").await?;
    let (mut text, mut number) = (String::with_capacity(CHUNK + 1024), 0);
    let tasks = [(1, 1, 1, shape.huge), (2, 2, shape.runs, shape.runs)].into_iter();
    let first_middling = shape.runs + 2;
    let middling = (0..shape.middling).map(|n| (3 + n, first_middling + n * RUNS_OF_MIDDLING, RUNS_OF_MIDDLING, OF_MIDDLING));
    for (task, first_run, runs, activities) in tasks.chain(middling) {
        let of_run = activities / runs;
        for offset in 1..=activities {
            number += 1;
            let (run, place) = (((offset - 1) / of_run).min(runs - 1), (offset - 1) % of_run);
            line(&mut text, task, offset, first_run + run, place, number)?;
            if CHUNK <= text.len() {
                copy.send(text.as_bytes()).await?;
                text.clear();
            }
        }
    }
    copy.send(text.as_bytes()).await?;
    let rows = copy.finish().await?;
    ensure!(rows == shape.activities(), "{rows} rows were copied");
    Ok(())
}

/// A row as COPY takes it. A run begins by saying so.
fn line(text: &mut String, task: u64, offset: u64, invocation: u64, place: u64, number: u64) -> anyhow::Result<()> {
    let (event, at) = (Uuid::now_v7(), BEGAN + number * APART);
    let kind = match place {
        0 => "status",
        n if n % 10 == 1 => "tool_call",
        n if n % 10 == 2 => "tool_result",
        n if n % 10 < 6 => "message",
        _ => "output",
    };
    write!(text, "{task}\t{offset}\t{invocation}\t{event}\t{kind}\t{at}\t{at}\t")?;
    if place == 0 {
        text.push_str(r#"{"status":"running"}"#);
    } else {
        let filler = &FILLER[..80 + usize::try_from(number * 7 % 60)?];
        write!(text, r#"{{"n":{number},"text":"{filler}"}}"#)?;
    }
    if number.is_multiple_of(SERIES) { writeln!(text, "\ts{number}\tt") } else { writeln!(text, "\t\\N\t\\N") }.context("a line")
}

/// What payloads are filled with: about a hundred bytes of it.
const FILLER: &str = concat!(
    "the quick brown fox jumps over the lazy dog while the linker waits for its turn; warning: unused variable in a ",
    "function that was written long ago and is read by nobody"
);
