//! A long run: three hubs on one Postgres and one Redis under everything that comes to hubs at once, for hours or for ten minutes. Tasks come, end and go; what
//! stays is bounded by retention, so that whatever grows is a fault. Every few seconds all is looked at; at the end a line is put through the second half of
//! each figure, and the run fails if one rises by more than its bound or was seen too seldom to know, or if anything was lost, repeated or out of order.

mod agents;
mod field;
mod pests;
mod sample;
mod verdict;
mod visitors;

use std::{
    path::PathBuf,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use anyhow::{Context, ensure};
use clap::Args;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use tokio::{
    task::JoinSet,
    time::{Instant, MissedTickBehavior, interval, sleep},
};

use self::{field::Field, sample::Sampler};
use super::{
    bench::Bench,
    server::Hub,
    services::Services,
    viewers::{Transport, Viewer, Viewers},
};

#[derive(Debug, Clone, Args)]
pub struct Options {
    /// For how long.
    #[arg(long, default_value_t = 120.0)]
    pub minutes: f64,
    /// How many hubs.
    #[arg(long, default_value_t = 3)]
    pub hubs: usize,
    /// Seconds between looks.
    #[arg(long, default_value_t = 5)]
    pub every: u64,
    /// How much of the load: 2 is twice as many agents and visitors.
    #[arg(long, default_value_t = 1)]
    pub load: usize,
    /// All samples, as CSV.
    #[arg(long)]
    pub csv: Option<PathBuf>,
}

/// Agents over HTTP and over Redis, visitors by WebSocket and by SSE, viewers that do not read; for each `load`.
const HTTP: usize = 6;
const WIRE: usize = 4;
const SOCKETS: usize = 8;
const STREAMS: usize = 4;
const UNREAD: usize = 2;

/// Tasks that stay, activities a second to all of them, and viewers of each at each hub.
const STEADY: usize = 4;
const STEADY_RATE: f64 = 40.0;
const STEADY_VIEWERS: usize = 5;

/// How long everybody has to end what they are at.
const END: Duration = Duration::from_secs(60);

pub async fn run(bench: &Bench, options: &Options) -> anyhow::Result<()> {
    let services = bench.services()?;
    let (url, database) = services.database().await?;
    let done = soak(bench, options, services, &url, database).await;
    let (_, name) = url.rsplit_once('/').context("a database at the end of the URL")?;
    let mut server = PgConnection::connect(&services.postgres).await?;
    server.execute(sqlx::raw_sql(AssertSqlSafe(format!("DROP DATABASE {name} WITH (FORCE)")))).await?;
    done
}

async fn soak(bench: &Bench, options: &Options, services: &Services, url: &str, database: PgConnection) -> anyhow::Result<()> {
    let prefix = format!("load{:08x}:", rand::random::<u32>());
    // The receiver of webhooks is there before the hubs, and knows only where to count.
    let counting = Arc::new(Field::new(Vec::new(), String::new(), String::new()));
    let (receiver, _receiving) = pests::receiver(counting.clone()).await?;
    let settings = settings(services, &prefix, &receiver);
    let settings: Vec<_> = settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let mut hubs =
        (0..options.hubs).map(|_| Hub::start_node(&bench.binary, url, &settings)).collect::<anyhow::Result<Vec<_>>>()?;
    for hub in &hubs {
        while !hub.is_well().await? {
            sleep(Duration::from_millis(50)).await;
        }
    }
    let addresses = hubs.iter().map(|hub| hub.address.clone()).collect();
    let field = Arc::new(Field::new(addresses, services.redis.clone(), prefix));
    pests::fatten(&field).await?;
    let steady: Vec<_> = (0..STEADY).map(|n| format!("steady-{n}")).collect();
    let mut viewers = Vec::new();
    for hub in &hubs {
        let all = steady.iter().flat_map(|task| vec![Viewer::of(task); STEADY_VIEWERS]).collect();
        viewers.push(Viewers::start(&hub.address, Transport::WebSocket, all).await?);
    }
    let mut crowd = crowd(&field, options.load, &steady);
    let mut sampler = Sampler::new(&hubs, &viewers, &field, services.redis().await?, database).await?;
    watch(options, &mut sampler, &mut crowd).await?;
    end(&field, &mut crowd).await?;
    let (series, looks) = (sampler.series, sampler.looks);
    for viewers in &viewers {
        viewers.check()?;
    }
    if let Some(path) = &options.csv {
        std::fs::write(path, sample::csv(&series)?)?;
    }
    let told = counting.counts.told.load(Ordering::Relaxed);
    say(&field, &viewers, told);
    drop(viewers);
    for hub in &mut hubs {
        hub.process.stop(END).await?;
    }
    let verdict = verdict::print(&series, looks);
    ensure!(0 < told, "no webhook was told of anything");
    ensure!(0 < field.counts.closed.load(Ordering::Relaxed) || options.minutes < 1.0, "no viewer that does not read was closed");
    let unknown = verdict.unknown.iter().map(|name| format!("{name} (seen at too few looks to know)"));
    let wrong: Vec<_> = verdict.grown.iter().cloned().chain(unknown).collect();
    ensure!(wrong.is_empty(), "these grow: {}", wrong.join("; "));
    Ok(())
}

/// Everything that removes or looks after something is on, at a pace that shows in minutes.
fn settings(services: &Services, prefix: &str, receiver: &str) -> Vec<(&'static str, String)> {
    let endpoint = format!(
        r#"[{{"name":"soak","url":"http://{receiver}/","secret":"whsec_c29hay1zb2FrLXNvYWstc29hay1zb2FrLXNvYWs=","on":["completed","failed","lost","stalled"]}}]"#
    );
    let own = |value: &str| value.to_owned();
    vec![
        ("TASKLIGHT__BROKER__URL", services.redis.clone()),
        ("TASKLIGHT__BROKER__PREFIX", own(prefix)),
        // Rings are full within a minute; with the default they would go on filling for most of a short soak.
        ("TASKLIGHT__HUB__RING_ACTIVITIES", own("500")),
        ("TASKLIGHT__RETENTION__INTERVAL", own("5s")),
        ("TASKLIGHT__RETENTION__MAX_ACTIVITIES", own("1000")),
        ("TASKLIGHT__RETENTION__FINISHED_MAX_AGE", own("1m")),
        // The task for viewers that do not read stays.
        ("TASKLIGHT__RETENTION__RULES", own(r#"[{label = "kept", max_activities = 0, finished_max_age = "0s"}]"#)),
        ("TASKLIGHT__RECONCILER__INTERVAL", own("5s")),
        ("TASKLIGHT__RECONCILER__ORPHAN_AFTER", own("45s")),
        ("TASKLIGHT__RECONCILER__STALLED_AFTER", own("20s")),
        ("TASKLIGHT__RECONCILER__HEARTBEAT_STALLED_AFTER", own("20s")),
        ("TASKLIGHT__INGEST__IDLE_TIMEOUT", own("20s")),
        ("TASKLIGHT__SESSION__WRITE_TIMEOUT", own("5s")),
        ("TASKLIGHT__SESSION__HEARTBEAT", own("5s")),
        ("TASKLIGHT__WEBHOOKS__ENDPOINT", endpoint),
        ("TASKLIGHT__WEBHOOKS__ALLOW_HTTP", own("true")),
        ("TASKLIGHT__WEBHOOKS__ALLOW_PRIVATE", own("127.0.0.0/8")),
    ]
}

/// Everybody begins.
fn crowd(field: &Arc<Field>, load: usize, steady: &[String]) -> JoinSet<anyhow::Result<()>> {
    let mut crowd = JoinSet::new();
    for lane in 0..HTTP * load {
        crowd.spawn(agents::over_http(field.clone(), lane));
    }
    for lane in 0..WIRE * load {
        crowd.spawn(agents::over_redis(field.clone(), lane));
    }
    for number in 0..(SOCKETS + STREAMS) * load {
        crowd.spawn(visitors::visit(field.clone(), SOCKETS * load <= number));
    }
    for _ in 0..UNREAD * load {
        crowd.spawn(pests::not_read(field.clone()));
    }
    crowd.spawn(agents::steadily(field.clone(), steady.to_vec(), STEADY_RATE));
    crowd.spawn(pests::ask_wrongly(field.clone()));
    crowd.spawn(pests::look_around(field.clone()));
    crowd
}

/// Looks at everything until the time is over or something is wrong.
async fn watch(options: &Options, sampler: &mut Sampler<'_>, crowd: &mut JoinSet<anyhow::Result<()>>) -> anyhow::Result<()> {
    let until = Instant::now() + Duration::from_secs_f64(options.minutes * 60.0);
    let mut ticks = interval(Duration::from_secs(options.every.max(1)));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while Instant::now() < until {
        tokio::select! {
            _ = ticks.tick() => sampler.look().await?,
            Some(ended) = crowd.join_next() => ended?.context("somebody ended before the time")?,
        }
        for viewers in sampler.viewers {
            viewers.check()?;
        }
    }
    Ok(())
}

/// Everybody ends what they are at; nobody may have seen anything wrong.
async fn end(field: &Field, crowd: &mut JoinSet<anyhow::Result<()>>) -> anyhow::Result<()> {
    field.stop.cancel();
    let all = async {
        while let Some(ended) = crowd.join_next().await {
            ended??;
        }
        anyhow::Ok(())
    };
    tokio::time::timeout(END, all).await.context("somebody does not end")?
}

fn say(field: &Field, viewers: &[Viewers], told: u64) {
    let of = |count: &std::sync::atomic::AtomicU64| count.load(Ordering::Relaxed);
    let counts = &field.counts;
    let watched: u64 = viewers.iter().map(|viewers| viewers.seen().activities()).sum();
    println!(
        "{} activities published and found; {} runs ended whole, {} tasks deleted over HTTP; {watched} deliveries to viewers that stay and {} to visitors, \
         all in order; {} logs seen from start to end, {} times resumed at a hub; {} bad requests refused; {} viewers that did not read closed; \
         {} lists, pages and searches; {told} webhook events taken\n",
        of(&counts.published),
        of(&counts.runs),
        of(&counts.deleted),
        of(&counts.seen),
        of(&counts.whole),
        of(&counts.resumed),
        of(&counts.refused),
        of(&counts.closed),
        of(&counts.asked),
    );
}
