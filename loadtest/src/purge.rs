//! What others notice while millions of activities are removed: a publisher at a steady rate, by the time from when a request should have been sent to its
//! answer, which comes after the commit. On Postgres the purge is a process of its own, which is stopped and goes on again every few seconds, so
//! that what is compared is from the same minutes; on SQLite, and with `--inside`, it is the hub's, before and during. The long log is written by SQL, not through the hub.

use std::{
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use clap::Args;
use futures_util::future::try_join_all;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection, SqliteConnection};
use tempfile::TempDir;
use tokio::{sync::Mutex, time::sleep};

use super::{
    bench::Bench,
    clock,
    publisher::{Pace, data},
    quantile,
    reference::postgres::migrate,
    request::Connection as Publisher,
    server::Hub,
    services::Services,
};

/// How many publishers share the rate, and how many activities each request has.
const LANES: usize = 16;
const BATCH: usize = 5;

/// How many rows one statement fills in.
const FILLED: u64 = 250_000;

/// How long the purge runs, and is stopped, in turns.
const WINDOW: Duration = Duration::from_secs(3);

/// What is left of the long log.
const KEPT: u64 = 1_000;

#[derive(Debug, Clone, Args)]
pub struct Options {
    /// How many activities the long log has.
    #[arg(long, default_value_t = 10_000_000)]
    pub rows: u64,
    /// The bites to compare, each on a log of its own.
    #[arg(long, value_delimiter = ',', default_value = "2000")]
    pub bites: Vec<u64>,
    /// The share of the time that removing may take, in percent.
    #[arg(long, default_value_t = 25)]
    pub busy: u64,
    /// Activities a second that are published meanwhile.
    #[arg(long, default_value_t = 500.0)]
    pub rate: f64,
    /// How long it is measured before the purge, in seconds (SQLite).
    #[arg(long, default_value_t = 60)]
    pub seconds: u64,
    /// A database of Postgres with such a log, of which copies are purged; without one it is filled first.
    #[arg(long)]
    pub template: Option<String>,
    /// On SQLite.
    #[arg(long)]
    pub sqlite: bool,
    /// By the hub itself on Postgres too, before and during.
    #[arg(long)]
    pub inside: bool,
}

/// One purge.
struct Purge {
    rows: u64,
    bite: u64,
    took: Duration,
    before: Vec<f64>,
    during: Vec<f64>,
}

pub async fn run(bench: &Bench, options: &Options) -> anyhow::Result<()> {
    println!(
        "{} activities a second in requests of {BATCH}, from when a request is due to its answer, in milliseconds; at most {} % of the time removing\n",
        options.rate, options.busy
    );
    println!(
        "| store | activities removed | bite | took | a second | p50 without | during | p99 without | during | ratio | most without | during |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|---|---|");
    if options.sqlite {
        for bite in &options.bites {
            println!("{}", on_sqlite(bench, options, *bite).await?.row("SQLite"));
        }
        return Ok(());
    }
    let services = bench.services()?;
    let filled = match &options.template {
        Some(name) => name.clone(),
        None => filled(bench, options, services).await?,
    };
    for bite in &options.bites {
        println!("{}", on_postgres(bench, options, *bite, services, &filled).await?.row("Postgres"));
    }
    if options.template.is_none() {
        drop_database(&mut PgConnection::connect(&services.postgres).await?, &filled).await?;
    }
    Ok(())
}

impl Purge {
    fn row(mut self, store: &str) -> String {
        self.before.sort_by(f64::total_cmp);
        self.during.sort_by(f64::total_cmp);
        let pair = |share| (quantile(&self.before, share), quantile(&self.during, share));
        let (p50, p99, most) = (pair(0.5), pair(0.99), pair(1.0));
        format!(
            "| {store} | {} | {} | {:.1} s | {:.0} | {:.2} | {:.2} | {:.2} | {:.2} | {:.2} | {:.1} | {:.1} |",
            self.rows,
            self.bite,
            self.took.as_secs_f64(),
            self.rows as f64 / self.took.as_secs_f64(),
            p50.0,
            p50.1,
            p99.0,
            p99.1,
            p99.1 / p99.0,
            most.0,
            most.1
        )
    }
}

/// The settings of a hub that trims what has the label, as soon as it has it.
fn settings(options: &Options, bite: u64) -> [(&'static str, String); 4] {
    [
        ("TASKLIGHT__RETENTION__RULES", format!("[{{label = \"purge\", max_activities = {KEPT}}}]")),
        ("TASKLIGHT__RETENTION__INTERVAL", "1s".to_owned()),
        ("TASKLIGHT__RETENTION__BITE", bite.to_string()),
        ("TASKLIGHT__RETENTION__BUSY_PERCENT", options.busy.to_string()),
    ]
}

/// A database with the long log, from which others are copied.
async fn filled(bench: &Bench, options: &Options, services: &Services) -> anyhow::Result<String> {
    let (url, mut database) = services.database().await?;
    migrate(&bench.binary, &url)?;
    database.execute(sqlx::raw_sql(AssertSqlSafe(rows_of_long(options.rows)))).await?;
    for first in (1..=options.rows).step_by(usize::try_from(FILLED)?) {
        let last = (first + FILLED - 1).min(options.rows);
        let sql = format!(
            "INSERT INTO activities (task, \"offset\", invocation, event_id, type, timestamp, received_at, data) \
             SELECT 1, n, 1, gen_random_uuid(), 'output', 1764000000000 + n, 1764000000000 + n, \
               '{{\"stream\":\"stdout\",\"text\":\"' || repeat('x', 200) || '\"}}' FROM generate_series({first}, {last}) AS n"
        );
        database.execute(sqlx::raw_sql(AssertSqlSafe(sql))).await?;
    }
    database.execute("VACUUM ANALYZE").await?;
    database.close().await?;
    Ok(name_of(&url)?.to_owned())
}

async fn on_postgres(bench: &Bench, options: &Options, bite: u64, services: &Services, filled: &str) -> anyhow::Result<Purge> {
    let mut server = PgConnection::connect(&services.postgres).await?;
    let name = format!("{filled}_{bite}");
    let sql = format!("CREATE DATABASE {name} TEMPLATE {filled} STRATEGY file_copy");
    server.execute(sqlx::raw_sql(AssertSqlSafe(sql))).await?;
    let (base, _) = services.postgres.rsplit_once('/').context("a database at the end of the URL")?;
    let url = format!("{base}/{name}");
    // What filling left to write is not the purge's.
    server.execute("CHECKPOINT").await?;
    let purge =
        if options.inside { measure(bench, options, bite, &url).await? } else { alternate(bench, options, bite, &url).await? };
    let mut database = PgConnection::connect(&url).await?;
    let left: i64 = sqlx::query_scalar("SELECT count(*) FROM activities WHERE task = 1").fetch_one(&mut database).await?;
    ensure!(left == i64::try_from(KEPT)?, "{left} activities of the long log are left");
    database.close().await?;
    drop_database(&mut server, &name).await?;
    Ok(purge)
}

fn name_of(url: &str) -> anyhow::Result<&str> {
    Ok(url.rsplit_once('/').context("a database at the end of the URL")?.1)
}

async fn drop_database(server: &mut PgConnection, name: &str) -> anyhow::Result<()> {
    server.execute(sqlx::raw_sql(AssertSqlSafe(format!("DROP DATABASE {name} WITH (FORCE)")))).await?;
    Ok(())
}

async fn on_sqlite(bench: &Bench, options: &Options, bite: u64) -> anyhow::Result<Purge> {
    let folder = TempDir::new()?;
    let url = format!("sqlite://{}", folder.path().join("log.db").display());
    migrate(&bench.binary, &url)?;
    let mut database = SqliteConnection::connect(&url).await?;
    database.execute(sqlx::raw_sql(AssertSqlSafe(rows_of_long(options.rows)))).await?;
    for first in (1..=options.rows).step_by(usize::try_from(FILLED)?) {
        let last = (first + FILLED - 1).min(options.rows);
        let sql = format!(
            "WITH RECURSIVE n(n) AS (VALUES ({first}) UNION ALL SELECT n + 1 FROM n WHERE n < {last}) \
             INSERT INTO activities (task, \"offset\", invocation, event_id, type, timestamp, received_at, data) \
             SELECT 1, n, 1, randomblob(16), 'output', 1764000000000 + n, 1764000000000 + n, \
               '{{\"stream\":\"stdout\",\"text\":\"' || hex(zeroblob(100)) || '\"}}' FROM n"
        );
        database.execute(sqlx::raw_sql(AssertSqlSafe(sql))).await?;
    }
    database.execute("PRAGMA wal_checkpoint(TRUNCATE)").await?;
    database.close().await?;
    measure(bench, options, bite, &url).await
}

/// The long log's task and run.
fn rows_of_long(rows: u64) -> String {
    format!(
        "INSERT INTO tasks (name, epoch, head, created_at, status, running, last_activity_at) \
           VALUES ('long', 1, {rows}, 1, 'running', 1, 1764000000000); \
         INSERT INTO invocations (id, task, name, status, created_at, last_activity_at) VALUES (1, 1, 'run', 'running', 1, 1764000000000)"
    )
}

/// The purge runs for a while, and is stopped for a while.
async fn alternate(bench: &Bench, options: &Options, bite: u64, url: &str) -> anyhow::Result<Purge> {
    let hub = Hub::start_node(&bench.binary, url, &[])?;
    publish_until(&hub, options.rate, &AtomicBool::new(false), for_a_while(Duration::from_secs(3))).await?;
    label(&hub).await?;
    let removing = AtomicBool::new(true);
    let (requests, took) = publish_until(&hub, options.rate, &removing, async {
        let mut child = Command::new(&bench.binary)
            .args(["retention", "--now", "--store", url])
            .envs(settings(options, bite))
            .env("TASKLIGHT__CLUSTER__LEASE_TIMEOUT", "5m")
            .stdout(Stdio::null())
            .spawn()?;
        let mut took = Duration::ZERO;
        let mut began = Instant::now();
        let code = loop {
            if let Some(code) = child.try_wait()? {
                break code;
            }
            if WINDOW <= began.elapsed() {
                took += began.elapsed();
                removing.store(false, Ordering::Relaxed);
                signal(&child, "-STOP")?;
                sleep(WINDOW).await;
                removing.store(true, Ordering::Relaxed);
                signal(&child, "-CONT")?;
                began = Instant::now();
            }
            sleep(Duration::from_millis(20)).await;
        };
        ensure!(code.success(), "the purge failed: {code}");
        Ok(took + began.elapsed())
    })
    .await?;
    let of = |wanted| requests.iter().filter(|(_, removing)| *removing == wanted).map(|(took, _)| *took).collect();
    Ok(Purge { rows: options.rows - KEPT, bite, took, before: of(false), during: of(true) })
}

fn signal(child: &Child, name: &str) -> anyhow::Result<()> {
    ensure!(Command::new("kill").args([name, &child.id().to_string()]).status()?.success(), "the purge has ended");
    Ok(())
}

async fn measure(bench: &Bench, options: &Options, bite: u64, url: &str) -> anyhow::Result<Purge> {
    let settings = settings(options, bite);
    let settings = settings.each_ref().map(|(name, value)| (*name, value.as_str()));
    let hub = Hub::start_node(&bench.binary, url, &settings)?;
    // Tasks and runs are made, and what is remembered of them.
    let removing = &AtomicBool::new(false);
    publish_until(&hub, options.rate, removing, for_a_while(Duration::from_secs(3))).await?;
    let time = bench.seconds(options.seconds);
    let (before, ()) = publish_until(&hub, options.rate, removing, for_a_while(time)).await?;
    let (during, took) = publish_until(&hub, options.rate, removing, async {
        label(&hub).await?;
        let began = Instant::now();
        while hub.task("long").await?["floor"].as_u64() != Some(options.rows - KEPT + 1) {
            sleep(Duration::from_millis(50)).await;
        }
        Ok(began.elapsed())
    })
    .await?;
    let removed = hub.metric("tasklight_retention_activities_total").await?;
    ensure!(removed as u64 == options.rows - KEPT, "the hub says that it removed {removed}");
    let times = |requests: Vec<(f64, bool)>| requests.into_iter().map(|(took, _)| took).collect();
    Ok(Purge { rows: options.rows - KEPT, bite, took, before: times(before), during: times(during) })
}

async fn for_a_while(time: Duration) -> anyhow::Result<()> {
    sleep(time).await;
    Ok(())
}

/// From now on the long log is to be trimmed.
async fn label(hub: &Hub) -> anyhow::Result<()> {
    let url = format!("http://{}/v1/tasks/long", hub.address);
    let answer = reqwest::Client::new().patch(url).body(r#"{"labels":{"purge":"now"}}"#).send().await?;
    ensure!(answer.status().is_success(), "the label was not taken: {}", answer.status());
    Ok(())
}

/// Publishes at this rate until `work` is done; gives how long each request took, in milliseconds, and whether something was being removed then.
async fn publish_until<T>(
    hub: &Hub,
    rate: f64,
    removing: &AtomicBool,
    work: impl Future<Output = anyhow::Result<T>>,
) -> anyhow::Result<(Vec<(f64, bool)>, T)> {
    let over = &AtomicBool::new(false);
    let pace = &Mutex::new((Pace::new(rate / BATCH as f64), 0_usize));
    let lanes = (0..LANES).map(|lane| async move {
        let mut connection = Publisher::open(&hub.address).await?;
        let (task, mut took) = (format!("short-{lane}"), Vec::new());
        while !over.load(Ordering::Relaxed) {
            let (due, number) = {
                let mut turn = pace.lock().await;
                turn.1 += 1;
                (turn.0.tick().await, turn.1)
            };
            let during = removing.load(Ordering::Relaxed);
            let one = |n| format!(r#"{{"invocationId":"r","type":"message","data":{}}}"#, data(due, number * BATCH + n));
            let body: Vec<_> = (0..BATCH).map(one).collect();
            connection.publish(&task, body.join("\n").as_bytes()).await?;
            took.push(((clock::nanos() - due) as f64 / 1e6, during));
        }
        anyhow::Ok(took)
    });
    let work = async {
        let done = work.await;
        over.store(true, Ordering::Relaxed);
        done
    };
    let (took, done) = tokio::join!(try_join_all(lanes), work);
    Ok((took?.concat(), done?))
}
