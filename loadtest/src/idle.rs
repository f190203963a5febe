//! What an idle viewer costs: resident memory of the hub, with one subscription on each WebSocket.

use std::path::Path;

use super::server::Hub;

const VIEWERS: usize = 5_000;

pub async fn run(binary: &Path) -> anyhow::Result<()> {
    let hub = Hub::start(binary)?;
    let client = reqwest::Client::new();
    client.post(hub.publish_url("load")).body(super::publisher::activity(0)).send().await?;
    // Warm: what the hub allocates once must not count for viewers.
    let mut sockets = Vec::with_capacity(VIEWERS);
    for _ in 0..100 {
        sockets.push(hub.follow("load").await?);
    }
    let before = hub.process.memory_kib()?;
    while sockets.len() < VIEWERS {
        sockets.push(hub.follow("load").await?);
    }
    let grown = hub.process.memory_kib()? - before;
    let each = grown as f64 / (VIEWERS - 100) as f64;
    println!(
        "| memory for each idle WebSocket of {VIEWERS} | {each:.1} KiB | 4 KiB read buffer of each socket | {:.1} |",
        each / 4.0
    );
    Ok(())
}
