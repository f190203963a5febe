//! From the start of a POST to the frame at a viewer, at 200 activities a second.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use anyhow::ensure;
use tokio::task::JoinSet;

use super::{
    publisher::activity,
    quantile,
    reference::sqlite as reference,
    server::{Hub, next},
};

const COUNT: usize = 2_000;
const PERIOD: Duration = Duration::from_millis(5);

pub async fn run(binary: &Path) -> anyhow::Result<()> {
    let hub = Hub::start(binary)?;
    let client = reqwest::Client::new();
    client.post(hub.publish_url("load")).body(activity(0)).send().await?;
    let mut viewer = hub.follow("load").await?;
    let starts = tokio::sync::mpsc::channel::<Instant>(COUNT);
    let (sender, mut receiver) = starts;
    let url = hub.publish_url("load");
    let mut publisher = JoinSet::new();
    publisher.spawn(async move {
        let mut ticks = tokio::time::interval(PERIOD);
        for number in 1..=COUNT {
            ticks.tick().await;
            sender.send(Instant::now()).await?;
            client.post(&url).body(activity(number)).send().await?.error_for_status()?;
        }
        anyhow::Ok(())
    });
    let mut took = Vec::with_capacity(COUNT);
    while took.len() < COUNT {
        let message = next(&mut viewer).await?;
        if message["op"] == "activity" {
            let expected = took.len() + 1;
            ensure!(message["data"]["n"] == expected, "expected {expected}, got {}", message["data"]["n"]);
            let start = receiver.recv().await.expect("published before it was seen");
            took.push(start.elapsed().as_secs_f64() * 1_000.0);
        }
    }
    while let Some(published) = publisher.join_next().await {
        published??;
    }
    took.sort_by(f64::total_cmp);
    let commits = reference::commits(1, Duration::from_secs(2)).await?;
    for (name, share) in [("p50", 0.5), ("p99", 0.99)] {
        let (ours, bare) = (quantile(&took, share), quantile(&commits, share));
        println!("| POST to viewer, 200/s, {name} | {ours:.2} ms | {bare:.2} ms one bare SQLite commit | {:.2} |", ours / bare);
    }
    Ok(())
}
