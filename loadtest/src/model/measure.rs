//! A load on real hubs, a Redis and a Postgres: what each of them used in a second.

use std::{fs::read_to_string, time::Duration};

use anyhow::{Context, ensure};
use futures_util::future::{join_all, try_join_all};
use sqlx::{Executor, PgConnection};
use tokio::{
    sync::Mutex,
    time::{Instant, sleep},
};
use uuid::Uuid;

use super::{
    costs::{ACCOUNTS, Account},
    scene::{Scene, Way},
};
use crate::{
    bench::Bench,
    publisher::{self, Pace, SETTLE, data},
    server::Hub,
    services::{Services, redis_count},
    viewers::{Transport, Viewer, Viewers},
};

/// How long hubs rest when tasks have found their owners and viewers have come.
const REST: Duration = Duration::from_secs(2);

/// How long it is published before it counts.
const WARM_UP: Duration = Duration::from_secs(1);

/// How many messages may be on their way to Redis at once.
const LANES: usize = 8;

/// A hub's commits, and how long they took together.
const COMMITS: &str = "tasklight_writer_commit_seconds_count";
const COMMITTING: &str = "tasklight_writer_commit_seconds_sum";

/// How many times a second the kernel counts in `/proc/PID/stat` (`USER_HZ`, the same on all that Linux runs on).
const TICKS: f64 = 100.0;

/// What was used in a second, in the order of [`ACCOUNTS`]; and the scene as it came out.
#[derive(Debug, Clone)]
pub struct Run {
    pub scene: Scene,
    pub used: Vec<f64>,
}

impl Run {
    pub fn of(&self, account: Account) -> f64 {
        ACCOUNTS.iter().zip(&self.used).find(|(other, _)| **other == account).map_or(0.0, |(_, used)| *used)
    }
}

/// The load for so long.
pub async fn measure(bench: &Bench, scene: &Scene, time: Duration) -> anyhow::Result<Run> {
    let services = bench.services()?;
    let (url, mut database) = services.database().await?;
    let prefix = format!("load{:08x}:", rand::random::<u32>());
    let settings = [("TASKLIGHT__BROKER__URL", services.redis.as_str()), ("TASKLIGHT__BROKER__PREFIX", &prefix)];
    let hubs = (0..scene.nodes).map(|_| Hub::start_node(&bench.binary, &url, &settings)).collect::<anyhow::Result<Vec<_>>>()?;
    for hub in &hubs {
        while !hub.is_well().await? {
            sleep(Duration::from_millis(20)).await;
        }
    }
    let tasks: Vec<_> = (0..scene.tasks).map(|task| format!("t{task}")).collect();
    publisher::each(&hubs[0], &tasks).await?;
    let mut viewers = Vec::new();
    for (node, hub) in hubs.iter().enumerate() {
        // A task's viewers are on nodes one after the other.
        let here = |task: usize| (0..scene.viewers as usize).filter(move |viewer| (task + viewer) % scene.nodes == node);
        let follow = tasks.iter().enumerate().flat_map(|(task, name)| here(task).map(|_| Viewer::of(name)));
        viewers.push(Viewers::start(&hub.address, Transport::WebSocket, follow.collect()).await?);
    }
    sleep(REST).await;
    // Whole pages are written after a checkpoint: there shall be none while it counts.
    database.execute("CHECKPOINT").await?;
    publish(services, &prefix, &hubs, &tasks, scene, WARM_UP).await?;
    sleep(WARM_UP).await;
    let committing = sum(&hubs, COMMITTING).await?;
    let (before, began) = (snapshot(&hubs, services, &mut database).await?, Instant::now());
    let seen = viewers.iter().map(|viewers| viewers.seen().activities()).sum::<u64>();
    let published = publish(services, &prefix, &hubs, &tasks, scene, time).await?;
    let expected = seen + published * scene.viewers as u64;
    while viewers.iter().map(|viewers| viewers.seen().activities()).sum::<u64>() < expected {
        ensure!(began.elapsed() < time + SETTLE, "viewers do not get what was published");
        sleep(Duration::from_millis(5)).await;
    }
    let took = began.elapsed().as_secs_f64();
    let after = snapshot(&hubs, services, &mut database).await?;
    viewers.iter().try_for_each(Viewers::check)?;
    let stored: i64 = sqlx::query_scalar("SELECT count(*) FROM activities").fetch_one(&mut database).await?;
    ensure!(published <= stored as u64, "{published} were published, {stored} are stored");
    let committing = (sum(&hubs, COMMITTING).await? - committing) / took;
    let used = before.iter().zip(&after).map(|(before, after)| (after - before) / took).collect();
    let (rate, watching) = (published as f64 / took, scene.viewers.min(scene.nodes as f64));
    let mut run = Run { scene: Scene { rate, watching, ..*scene }, used };
    run.scene.commit = committing / run.of(Account::Commits);
    Ok(run)
}

/// Publishes for so long; gives how many activities.
async fn publish(
    services: &Services,
    prefix: &str,
    hubs: &[Hub],
    tasks: &[String],
    scene: &Scene,
    time: Duration,
) -> anyhow::Result<u64> {
    if scene.way == Way::Redis {
        return over_redis(services, prefix, tasks, scene, time).await;
    }
    // Each task is published to at one node, as by an agent that keeps its connection.
    let (nodes, batch) = (hubs.len(), scene.batch as usize);
    let all = hubs.iter().enumerate().map(|(node, hub)| async move {
        let tasks: Vec<_> = tasks.iter().skip(node).step_by(nodes).cloned().collect();
        publisher::to_hub(hub, &tasks, scene.rate / nodes as f64, batch, time).await
    });
    join_all(all).await.into_iter().sum()
}

async fn over_redis(services: &Services, prefix: &str, tasks: &[String], scene: &Scene, time: Duration) -> anyhow::Result<u64> {
    let pace = &Mutex::new((Pace::new(scene.messages()), 0));
    let (batch, messages) = (scene.batch as usize, (scene.messages() * time.as_secs_f64()).round() as usize);
    let lanes = (0..LANES).map(|_| async move {
        let mut redis = services.redis().await?;
        loop {
            let (due, number) = {
                let mut turn = pace.lock().await;
                if turn.1 == messages {
                    return anyhow::Ok(());
                }
                turn.1 += 1;
                (turn.0.tick().await, turn.1)
            };
            let activities: Vec<_> = (0..batch).map(|n| activity(number * batch + n, due)).collect();
            let message = if batch == 1 { activities.concat() } else { format!("[{}]", activities.join(",")) };
            let channel = format!("{prefix}task:{}", tasks[number % tasks.len()]);
            let heard: usize = redis::cmd("PUBLISH").arg(channel).arg(message).query_async(&mut redis).await?;
            ensure!(heard == scene.nodes.min(2), "{heard} nodes heard a message");
        }
    });
    try_join_all(lanes).await?;
    Ok((messages * batch) as u64)
}

fn activity(number: usize, due: u64) -> String {
    format!(r#"{{"invocationId":"load","type":"message","eventId":"{}","data":{}}}"#, Uuid::now_v7(), data(due, number))
}

/// What everybody has used so far, in the order of [`ACCOUNTS`].
async fn snapshot(hubs: &[Hub], services: &Services, database: &mut PgConnection) -> anyhow::Result<Vec<f64>> {
    let mut redis = services.redis().await?;
    let sql = "SELECT (pg_current_wal_lsn() - '0/0')::float8, pg_backend_pid()";
    let (wal, backend): (f64, i32) = sqlx::query_as(sql).fetch_one(&mut *database).await?;
    let mut used = Vec::new();
    for account in ACCOUNTS {
        used.push(match account {
            Account::Hubs => hubs.iter().map(|hub| hub.process.cpu_seconds()).sum::<anyhow::Result<f64>>()?,
            Account::Redis => redis_count(&mut redis, "used_cpu_sys:").await? + redis_count(&mut redis, "used_cpu_user:").await?,
            Account::RedisIn => redis_count(&mut redis, "total_net_input_bytes:").await?,
            Account::RedisOut => redis_count(&mut redis, "total_net_output_bytes:").await?,
            Account::Postgres => postgres_seconds(backend)?,
            // Postgres's own count comes a second late.
            Account::Commits => sum(hubs, COMMITS).await?,
            Account::Wal => wal,
        });
    }
    Ok(used)
}

/// A metric of all hubs together.
async fn sum(hubs: &[Hub], metric: &str) -> anyhow::Result<f64> {
    join_all(hubs.iter().map(|hub| hub.metric(metric))).await.into_iter().sum()
}

/// The processor time of a Postgres on this machine and all that have been its processes, by one of them; in seconds.
fn postgres_seconds(backend: i32) -> anyhow::Result<f64> {
    let server = Stat::of(&backend.to_string()).context("this needs a Postgres on this machine")?.parent;
    // Those that have ended.
    let mut all = Stat::of(&server.to_string()).context("the server")?.children;
    for process in std::fs::read_dir("/proc")? {
        let name = process?.file_name();
        let stat = name.to_str().and_then(Stat::of);
        all += stat.filter(|stat| stat.parent == server).map_or(0.0, |stat| stat.own);
    }
    Ok(all)
}

/// What the kernel says of a process; times in seconds.
struct Stat {
    parent: i32,
    own: f64,
    children: f64,
}

impl Stat {
    fn of(process: &str) -> Option<Self> {
        let text = read_to_string(format!("/proc/{process}/stat")).ok()?;
        // Its name, in brackets, may contain anything.
        let fields: Vec<_> = text.rsplit_once(") ")?.1.split(' ').collect();
        let ticks = |at: usize| fields.get(at)?.parse::<f64>().ok();
        let parent = fields.get(1)?.parse().ok()?;
        Some(Self { parent, own: (ticks(11)? + ticks(12)?) / TICKS, children: (ticks(13)? + ticks(14)?) / TICKS })
    }
}
