//! The price of a node more: the same agents and viewers with 1, 2 and 4 nodes. Agents publish over Redis, viewers are spread over the nodes.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use anyhow::ensure;
use serde_json::json;
use sqlx::Row;
use tokio::time::{interval, sleep};

use super::{
    server::{Hub, next},
    services::{Services, redis_count},
};

const TASKS: usize = 16;
const RATE: usize = 500;
const TIME: Duration = Duration::from_secs(10);
const VIEWERS: usize = 2;

pub async fn run(binary: &Path, services: &Services) -> anyhow::Result<()> {
    println!("{RATE} activities/s of 300 bytes to {TASKS} tasks by PUBLISH, {VIEWERS} viewers a task, {} s\n", TIME.as_secs());
    println!(
        "| nodes | hubs' CPU per activity | Redis's CPU per activity | bytes into Redis | bytes out of Redis | commits per activity |\n\
         |---|---|---|---|---|---|"
    );
    for nodes in [1, 2, 4] {
        measure(binary, services, nodes).await?;
    }
    Ok(())
}

async fn measure(binary: &Path, services: &Services, nodes: usize) -> anyhow::Result<()> {
    let (url, mut database) = services.database().await?;
    let prefix = format!("load{:08x}:", rand::random::<u32>());
    let settings = [("TASKLIGHT__BROKER__URL", services.redis.as_str()), ("TASKLIGHT__BROKER__PREFIX", &prefix)];
    let hubs = (0..nodes).map(|_| Hub::start_node(binary, &url, &settings)).collect::<anyhow::Result<Vec<_>>>()?;
    for hub in &hubs {
        while !hub.is_well().await? {
            sleep(Duration::from_millis(50)).await;
        }
    }
    let mut viewers = Vec::new();
    for index in 0..TASKS * VIEWERS {
        viewers.push(hubs[index % nodes].follow(&format!("t{}", index / VIEWERS)).await?);
    }
    let mut redis = services.redis().await?;
    for task in 0..TASKS {
        let announcement = json!({"taskId": format!("t{task}")}).to_string();
        let () = redis::cmd("PUBLISH").arg(format!("{prefix}tasks")).arg(announcement).query_async(&mut redis).await?;
    }
    sleep(Duration::from_secs(2)).await;
    let before = Account::of(&hubs, &mut redis, &mut database).await?;
    let seen = viewers.into_iter().map(|mut viewer| async move {
        let mut count = 0;
        while count < RATE * TIME.as_secs() as usize / TASKS {
            count += usize::from(next(&mut viewer).await?["op"] == "activity");
        }
        anyhow::Ok(count)
    });
    let (published, seen) = tokio::join!(publish(&mut redis, &prefix), futures_util::future::join_all(seen));
    let published = published?;
    seen.into_iter().collect::<anyhow::Result<Vec<_>>>()?;
    let mut connection = services.redis().await?;
    let used = Account::of(&hubs, &mut connection, &mut database).await?.since(&before);
    let stored: i64 = sqlx::query("SELECT count(*) FROM activities").fetch_one(&mut database).await?.get(0);
    ensure!(stored == published as i64, "{published} were published, {stored} are stored");
    let each = |value: f64| value / published as f64;
    println!(
        "| {nodes} | {:.0} µs | {:.0} µs | {:.0} | {:.0} | {:.2} |",
        each(used.hubs) * 1e6,
        each(used.redis) * 1e6,
        each(used.bytes_in),
        each(used.bytes_out),
        each(used.commits)
    );
    Ok(())
}

/// Publishes at the rate, each when its time has come; gives how many.
async fn publish(redis: &mut redis::aio::MultiplexedConnection, prefix: &str) -> anyhow::Result<usize> {
    let all = RATE * TIME.as_secs() as usize / TASKS * TASKS;
    let mut ticks = interval(Duration::from_secs_f64(1.0 / RATE as f64));
    let started = Instant::now();
    for number in 0..all {
        ticks.tick().await;
        let event = uuid::Uuid::now_v7();
        let activity = json!({"invocationId": "load", "type": "message", "eventId": event.to_string(), "data": {"n": number, "text": "x".repeat(200)}});
        let channel = format!("{prefix}task:t{}", number % TASKS);
        let heard: u64 = redis::cmd("PUBLISH").arg(channel).arg(activity.to_string()).query_async(redis).await?;
        ensure!(heard != 0, "nobody heard activity {number}");
    }
    ensure!(started.elapsed() < TIME * 2, "this machine cannot publish {RATE} a second");
    Ok(all)
}

/// What everybody has used so far.
struct Account {
    hubs: f64,
    redis: f64,
    bytes_in: f64,
    bytes_out: f64,
    commits: f64,
}

impl Account {
    async fn of(
        hubs: &[Hub],
        redis: &mut redis::aio::MultiplexedConnection,
        database: &mut sqlx::PgConnection,
    ) -> anyhow::Result<Self> {
        let commits: i64 = sqlx::query("SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()")
            .fetch_one(database)
            .await?
            .get(0);
        Ok(Self {
            hubs: hubs.iter().map(|hub| hub.process.cpu_seconds()).sum::<anyhow::Result<f64>>()?,
            redis: redis_count(redis, "used_cpu_sys:").await? + redis_count(redis, "used_cpu_user:").await?,
            bytes_in: redis_count(redis, "total_net_input_bytes:").await?,
            bytes_out: redis_count(redis, "total_net_output_bytes:").await?,
            commits: commits as f64,
        })
    }

    fn since(&self, before: &Self) -> Self {
        Self {
            hubs: self.hubs - before.hubs,
            redis: self.redis - before.redis,
            bytes_in: self.bytes_in - before.bytes_in,
            bytes_out: self.bytes_out - before.bytes_out,
            commits: self.commits - before.commits,
        }
    }
}
