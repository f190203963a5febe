//! Activities a second into the store: publishers that wait for what says that theirs are stored, beside what the bare database takes into
//! the same tables.

mod publishers;
mod worst;

use std::time::{Duration, Instant};

use anyhow::ensure;
use clap::Args;
use sqlx::PgConnection;
use tokio::time::sleep;

use self::publishers::{Plan, Publishers};
use super::{
    bench::Bench,
    reference,
    report::{Row, Target},
    server::Hub,
};

#[derive(Debug, Clone, Args)]
pub struct Options {
    /// How long each is measured, in seconds.
    #[arg(long, default_value_t = 8)]
    pub seconds: u64,
    /// How many publish at once.
    #[arg(long, default_value_t = 64)]
    pub publishers: usize,
    /// Activities of a request or message.
    #[arg(long, default_value_t = 100)]
    pub batch: usize,
    /// To how many tasks they publish, in turn.
    #[arg(long, default_value_t = 8)]
    pub tasks: usize,
    /// For how long 10,000 tasks are written to in turn while the tables are watched.
    #[arg(long, default_value_t = 0.25)]
    pub minutes: f64,
    /// Only these parts.
    #[arg(long, value_enum, value_delimiter = ',', default_value = "http,single,redis,tasks,sqlite")]
    pub only: Vec<Part>,
}

/// What can be measured by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Part {
    /// Arrays over HTTP to Postgres.
    Http,
    /// One activity a request to Postgres.
    Single,
    /// Arrays over Redis to Postgres.
    Redis,
    /// Ten thousand tasks in turn.
    Tasks,
    /// Arrays over HTTP to SQLite.
    Sqlite,
}

/// How long publishers run before they count.
const WARM_UP: Duration = Duration::from_secs(1);

/// How many rows a large COPY has.
const LARGE: usize = 5_000;

/// From how many connections events are written one by one.
const CONNECTIONS: usize = 8;

/// Metrics of the hub: commits, and what was in them.
const COMMITS: &str = "tasklight_writer_commit_seconds_count";
const APPENDED: &str = "tasklight_activities_appended_total";

/// What a hub did under load.
#[derive(Debug, Clone, Copy)]
struct Load {
    /// Activities a second.
    rate: f64,
    /// The hub's processor time for each, in microseconds.
    cpu: f64,
    /// Activities of a commit, on average.
    commit: f64,
}

impl Load {
    fn mean(self, other: Self) -> Self {
        let mean = f64::midpoint;
        Self { rate: mean(self.rate, other.rate), cpu: mean(self.cpu, other.cpu), commit: mean(self.commit, other.commit) }
    }
}

pub async fn run(bench: &Bench, options: &Options) -> anyhow::Result<Vec<Row>> {
    let has = |part| options.only.contains(&part);
    let time = bench.seconds(options.seconds);
    let arrays = Plan { publishers: options.publishers, batch: options.batch, tasks: options.tasks };
    let single = Plan { batch: 1, tasks: 1, ..arrays.clone() };
    let mut rows = Vec::new();
    if has(Part::Http) {
        let (load, beside) = beside_copy(bench, Way::Http, &arrays, time, Target::AtLeast(0.8)).await?;
        rows.extend(beside);
        rows.push(beside_one_by_one(bench, load, time).await?);
        let one_task = Plan { tasks: 1, ..arrays.clone() };
        rows.extend(beside_copy(bench, Way::Http, &one_task, time, Target::None).await?.1);
    }
    if has(Part::Redis) {
        rows.extend(beside_copy(bench, Way::Redis, &arrays, time, Target::AtLeast(0.8)).await?.1);
    }
    if has(Part::Single) {
        rows.extend(beside_copy(bench, Way::Http, &single, time, Target::None).await?.1);
    }
    if has(Part::Tasks) {
        rows.extend(worst::run(bench, &single, time, options.minutes).await?);
    }
    if has(Part::Sqlite) {
        rows.push(sqlite(bench, &arrays, time).await?);
    }
    Ok(rows)
}

/// How activities come to the hub.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Http,
    Redis,
}

/// A hub on an empty Postgres under load.
async fn load(bench: &Bench, way: Way, plan: &Plan, time: Duration) -> anyhow::Result<Load> {
    let services = bench.services()?;
    let (url, mut database) = services.database().await?;
    let prefix = format!("load{:08x}:", rand::random::<u32>());
    let broker = [("TASKLIGHT__BROKER__URL", services.redis.as_str()), ("TASKLIGHT__BROKER__PREFIX", &prefix)];
    let hub = Hub::start_node(&bench.binary, &url, if way == Way::Redis { &broker } else { &[] })?;
    while !hub.is_well().await? {
        sleep(Duration::from_millis(20)).await;
    }
    let publishers = match way {
        Way::Http => Publishers::over_http(&hub.address, plan).await?,
        Way::Redis => Publishers::over_redis(&services.redis, &prefix, plan).await?,
    };
    let (load, stored) = measure(&hub, publishers, time).await?;
    expect_stored(&mut database, stored).await?;
    Ok(load)
}

/// What the hub does in this time; and how many activities were stored before, in and after it.
async fn measure(hub: &Hub, publishers: Publishers, time: Duration) -> anyhow::Result<(Load, u64)> {
    sleep(WARM_UP).await;
    let (began, stored, cpu) = (Instant::now(), publishers.stored(), hub.process.cpu_seconds()?);
    let (commits, appended) = (hub.metric(COMMITS).await?, hub.metric(APPENDED).await?);
    sleep(time).await;
    let count = (publishers.stored() - stored) as f64;
    let cpu = hub.process.cpu_seconds()? - cpu;
    let rate = count / began.elapsed().as_secs_f64();
    let commit = (hub.metric(APPENDED).await? - appended) / (hub.metric(COMMITS).await? - commits);
    Ok((Load { rate, cpu: cpu * 1e6 / count, commit }, publishers.finish().await?))
}

/// Whether the store holds what was confirmed, without a hole.
async fn expect_stored(database: &mut PgConnection, confirmed: u64) -> anyhow::Result<()> {
    let sql = "SELECT sum(rows)::int8, sum(last)::int8 FROM (SELECT count(*) AS rows, max(\"offset\") AS last FROM activities GROUP BY task) AS logs";
    let (rows, last): (Option<i64>, Option<i64>) = sqlx::query_as(sql).fetch_one(database).await?;
    let expected = Some(i64::try_from(confirmed)?);
    ensure!(rows == expected && last == expected, "{confirmed} are confirmed, {rows:?} stored, the last offsets say {last:?}");
    Ok(())
}

/// The hub before and after COPY of as many rows a transaction as the hub commits, and of many.
async fn beside_copy(bench: &Bench, way: Way, plan: &Plan, time: Duration, target: Target) -> anyhow::Result<(Load, [Row; 2])> {
    let before = load(bench, way, plan, time / 2).await?;
    let (url, _) = reference::postgres::schema(&bench.binary, bench.services()?).await?;
    let commit = (before.commit.round() as usize).max(1);
    let same = reference::postgres::copy(&url, commit, time / 2).await?;
    let large = reference::postgres::copy(&url, LARGE, time / 2).await?;
    let both = before.mean(load(bench, way, plan, time / 2).await?);
    let how = if way == Way::Redis { "Redis" } else { "HTTP" };
    let tasks = if plan.tasks == 1 { "one task".to_owned() } else { format!("{} tasks", plan.tasks) };
    let what = format!("stored in Postgres, {} publishers over {how}, {} at once, {tasks}", plan.publishers, plan.batch);
    let Load { rate, cpu, .. } = both;
    let rows = [
        Row::new("5", &what, rate / same, target)
            .measured(format!("{rate:.0}/s, {cpu:.1} µs of the hub's CPU each"))
            .reference(format!("{same:.0}/s by COPY, {commit} a transaction as the hub's")),
        Row::new("5", what, rate / large, Target::None)
            .measured(format!("{rate:.0}/s"))
            .reference(format!("{large:.0}/s by COPY, {LARGE} a transaction")),
    ];
    Ok((both, rows))
}

/// INSERT and UPDATE for each event.
async fn beside_one_by_one(bench: &Bench, load: Load, time: Duration) -> anyhow::Result<Row> {
    let (url, _) = reference::postgres::schema(&bench.binary, bench.services()?).await?;
    let rate = reference::postgres::one_by_one(&url, CONNECTIONS, time / 2).await?;
    Ok(Row::new("5", "the same, beside a transaction for each event", load.rate / rate, Target::AtLeast(10.0))
        .measured(format!("{:.0}/s", load.rate))
        .reference(format!("{rate:.0}/s by INSERT and UPDATE from {CONNECTIONS} connections")))
}

/// The hub before and after bare inserts.
async fn sqlite(bench: &Bench, plan: &Plan, time: Duration) -> anyhow::Result<Row> {
    let load = async || {
        let hub = Hub::start(&bench.binary)?;
        let publishers = Publishers::over_http(&hub.address, plan).await?;
        let (load, stored) = measure(&hub, publishers, time / 2).await?;
        let mut heads = 0;
        for task in 0..plan.tasks {
            heads += hub.head(&format!("t{task}")).await?;
        }
        ensure!(heads == stored, "{stored} are confirmed, the heads say {heads}");
        Ok(load)
    };
    let before = load().await?;
    let commit = (before.commit.round() as usize).max(1);
    let bare = reference::sqlite::rows(commit, time / 2).await?;
    let Load { rate, cpu, .. } = before.mean(load().await?);
    let what = format!("stored in SQLite, {} publishers over HTTP, {} at once", plan.publishers, plan.batch);
    Ok(Row::new("5", what, rate / bare, Target::AtLeast(0.8))
        .measured(format!("{rate:.0}/s, {cpu:.1} µs of the hub's CPU each"))
        .reference(format!("{bare:.0}/s by a prepared INSERT, {commit} a transaction as the hub's")))
}
