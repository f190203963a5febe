//! A start with very many open tasks: what two nodes ask of Postgres and Redis until each has its part.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use sqlx::Executor;
use tokio::time::sleep;

use super::{
    server::Hub,
    services::{Services, redis_count},
};

const TASKS: usize = 100_000;
const NODES: usize = 2;

pub async fn run(binary: &Path, services: &Services) -> anyhow::Result<()> {
    let (url, mut database) = services.database().await?;
    // The schema comes from a hub that starts and ends.
    let prefix = format!("load{:08x}:", rand::random::<u32>());
    let settings = [("TASKLIGHT__BROKER__URL", services.redis.as_str()), ("TASKLIGHT__BROKER__PREFIX", prefix.as_str())];
    drop(Hub::start_node(binary, &url, &settings[..0])?);
    database
        .execute(
            "INSERT INTO tasks (name, epoch, head, created_at, status, running) \
               SELECT 't' || n, n, 0, n, 'running', 1 FROM generate_series(1, 100000) AS n; \
             INSERT INTO invocations (id, task, name, status, created_at, last_activity_at) SELECT id, id, 'r', 'running', 0, 0 FROM tasks; \
             ANALYZE",
        )
        .await?;
    let mut redis = services.redis().await?;
    let commands = redis_count(&mut redis, "total_commands_processed:").await?;
    let bytes = redis_count(&mut redis, "total_net_input_bytes:").await?;
    let started = Instant::now();
    let hubs = (0..NODES).map(|_| Hub::start_node(binary, &url, &settings)).collect::<anyhow::Result<Vec<_>>>()?;
    let serving = started.elapsed();
    loop {
        let mut owned = 0.0;
        for hub in &hubs {
            owned += hub.metric("tasklight_cluster_owned_tasks").await?;
        }
        if owned as usize == TASKS {
            break;
        }
        anyhow::ensure!(started.elapsed() < Duration::from_secs(180), "after 180 s {owned} of {TASKS} tasks have an owner");
        sleep(Duration::from_millis(100)).await;
    }
    let owned = started.elapsed();
    let cpu = hubs.iter().map(|hub| hub.process.cpu_seconds()).sum::<anyhow::Result<f64>>()?;
    let memory = hubs.iter().map(|hub| hub.process.memory_kib()).sum::<anyhow::Result<u64>>()? / 1024;
    println!("{TASKS} open tasks, {NODES} nodes that start at once\n");
    println!("| what | measured |\n|---|---|");
    println!("| both serve viewers and HTTP after | {:.1} s |", serving.as_secs_f64());
    println!("| every task has its owner after | {:.1} s |", owned.as_secs_f64());
    println!("| the hubs' CPU, together | {cpu:.1} s |");
    println!("| their memory, together | {memory} MiB |");
    println!("| commands to Redis | {:.0} |", redis_count(&mut redis, "total_commands_processed:").await? - commands);
    println!("| bytes to Redis | {:.1} MiB |", (redis_count(&mut redis, "total_net_input_bytes:").await? - bytes) / 1_048_576.0);
    Ok(())
}
