//! The worst case for a row per task: many tasks in turn, one activity each. What it costs in rate, in WAL, and in tables that grow.

use std::time::{Duration, Instant};

use sqlx::{Connection, Executor, PgConnection};
use tokio::time::sleep;

use super::{Plan, Publishers, expect_stored, measure};
use crate::{
    bench::Bench,
    report::{Row, Target},
    server::Hub,
};

/// How many tasks.
const TASKS: usize = 10_000;

/// How often the tables are looked at in the whole time.
const LOOKS: u32 = 6;

/// What an activity's row is in `activities`, and what it is with its places in the indexes; in bytes.
const ROW_BYTES: &str = "SELECT (SELECT avg(pg_column_size(a.*)) FROM (SELECT * FROM activities LIMIT 1000) AS a)::float8, \
     (SELECT pg_total_relation_size('activities')::float8 / count(*) FROM activities)";

pub async fn run(bench: &Bench, plan: &Plan, time: Duration, minutes: f64) -> anyhow::Result<Vec<Row>> {
    let one = watched(bench, plan, time).await?;
    let many = Plan { tasks: bench.count(TASKS), ..plan.clone() };
    let time = if bench.quick { time } else { Duration::from_secs_f64(minutes * 60.0) };
    let all = watched(bench, &many, time).await?;
    let tasks = many.tasks;
    let wal = |run: &Watched| {
        format!("{:.0} bytes of WAL each (a row: {:.0} bytes, {:.0} with its indexes)", run.wal, run.row, run.row_indexed)
    };
    let first = all.looks.first().copied().unwrap_or_default();
    let last = all.looks.last().copied().unwrap_or_default();
    Ok(vec![
        Row::new("5", format!("{tasks} tasks in turn, one activity each"), all.rate / one.rate, Target::AtLeast(0.5))
            .measured(format!("{:.0}/s, {:.1} µs of the hub's CPU each", all.rate, all.cpu))
            .reference(format!("{:.0}/s to one task", one.rate)),
        Row::new("5", "WAL of an activity, one task", one.wal / one.row, Target::AtMost(2.5))
            .measured(wal(&one))
            .reference(format!("{:.0} bytes, its row", one.row)),
        Row::new("5", format!("WAL of an activity, {tasks} tasks in turn"), all.wal / all.row, Target::AtMost(2.5))
            .measured(wal(&all))
            .reference(format!("{:.0} bytes, its row", all.row)),
        Row::new(
            "5",
            format!("growth of `tasks` in {:.1} min", time.as_secs_f64() / 60.0),
            last.0 / first.0,
            Target::AtMost(1.1),
        )
        .measured(format!("{:.0} KiB, {:.0} dead rows", last.0 / 1024.0, last.2))
        .reference(format!("{:.0} KiB after a {LOOKS}th of the time", first.0 / 1024.0)),
        Row::new("5", "growth of `invocations` in the same time", last.1 / first.1, Target::AtMost(1.1))
            .measured(format!("{:.0} KiB, {:.0} dead rows", last.1 / 1024.0, last.3))
            .reference(format!("{:.0} KiB", first.1 / 1024.0)),
    ])
}

/// What Postgres says of a load.
struct Watched {
    rate: f64,
    cpu: f64,
    /// Bytes of an activity: in the write-ahead log, in the table, in the table and its indexes.
    wal: f64,
    row: f64,
    row_indexed: f64,
    /// Bytes of `tasks` and `invocations`, and their dead rows, over time.
    looks: Vec<(f64, f64, f64, f64)>,
}

async fn watched(bench: &Bench, plan: &Plan, time: Duration) -> anyhow::Result<Watched> {
    let (url, mut database) = bench.services()?.database().await?;
    let hub = Hub::start_node(&bench.binary, &url, &[])?;
    let publishers = Publishers::over_http(&hub.address, plan).await?;
    // Until each task and invocation is there, what is measured is the making of them.
    while publishers.stored() < 2 * plan.tasks as u64 {
        sleep(Duration::from_millis(20)).await;
    }
    // Pages are written whole to the log when they change first after a checkpoint: that is the same for everybody, and not counted.
    database.execute("CHECKPOINT").await?;
    let (lsn, stored) = (wal(&mut database).await?, publishers.stored());
    let looking = look(&url, time);
    let (measured, looks) = tokio::join!(measure(&hub, publishers, time), looking);
    let (load, confirmed) = measured?;
    let wal = (wal(&mut database).await? - lsn) / (confirmed - stored) as f64;
    expect_stored(&mut database, confirmed).await?;
    let (row, row_indexed) = sqlx::query_as(ROW_BYTES).fetch_one(&mut database).await?;
    Ok(Watched { rate: load.rate, cpu: load.cpu, wal, row, row_indexed, looks: looks? })
}

/// Bytes written to the log since the server was made.
async fn wal(database: &mut PgConnection) -> anyhow::Result<f64> {
    Ok(sqlx::query_scalar("SELECT (pg_current_wal_lsn() - '0/0')::float8").fetch_one(database).await?)
}

async fn look(url: &str, time: Duration) -> anyhow::Result<Vec<(f64, f64, f64, f64)>> {
    let mut database = PgConnection::connect(url).await?;
    let (began, mut looks) = (Instant::now(), Vec::new());
    for turn in 1..=LOOKS {
        sleep((time * turn / LOOKS).saturating_sub(began.elapsed())).await;
        let sql = "SELECT pg_relation_size('tasks')::float8, pg_relation_size('invocations')::float8, \
             (SELECT n_dead_tup::float8 FROM pg_stat_user_tables WHERE relname = 'tasks'), \
             (SELECT n_dead_tup::float8 FROM pg_stat_user_tables WHERE relname = 'invocations')";
        looks.push(sqlx::query_as(sql).fetch_one(&mut database).await?);
    }
    Ok(looks)
}
