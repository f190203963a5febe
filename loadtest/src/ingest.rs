//! Activities a second through POST: publishers that wait for their receipts, with one or a hundred activities a request.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use anyhow::ensure;
use tokio::task::JoinSet;

use super::{publisher::activity, reference::sqlite as reference, server::Hub};

const TIME: Duration = Duration::from_secs(8);

pub async fn run(binary: &Path) -> anyhow::Result<()> {
    for (publishers, batch) in [(1, 1), (64, 1), (1, 100), (16, 100)] {
        let hub = Hub::start(binary)?;
        let rate = measure(&hub, publishers, batch).await?;
        let commits = reference::commits(batch, Duration::from_secs(2)).await?;
        let bare = commits.len() as f64 * batch as f64 / (commits.iter().sum::<f64>() / 1_000.0);
        println!(
            "| POST, {publishers} publishers, {batch} a request | {rate:.0} activities/s | {bare:.0} rows/s bare SQLite, {batch} a commit | {:.2} |",
            rate / bare
        );
    }
    Ok(())
}

async fn measure(hub: &Hub, publishers: usize, batch: usize) -> anyhow::Result<f64> {
    let client = reqwest::Client::new();
    let body = (0..batch).map(activity).collect::<Vec<_>>().join("\n");
    let started = Instant::now();
    let mut work = JoinSet::new();
    for _ in 0..publishers {
        let (client, body, url) = (client.clone(), body.clone(), hub.publish_url("load"));
        work.spawn(async move {
            let mut sent = 0;
            while started.elapsed() < TIME {
                let response = client.post(&url).body(body.clone()).send().await?;
                ensure!(response.status().is_success(), "the hub refused a request: {}", response.status());
                response.bytes().await?;
                sent += batch;
            }
            anyhow::Ok(sent)
        });
    }
    let mut sent = 0;
    while let Some(publisher) = work.join_next().await {
        sent += publisher??;
    }
    let rate = sent as f64 / started.elapsed().as_secs_f64();
    let stored = hub.head("load").await?;
    ensure!(stored == sent as u64, "{sent} activities have receipts, {stored} are stored");
    Ok(rate)
}
