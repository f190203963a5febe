//! What a delivery costs: the server's processor time per delivery, and the time from publisher to viewer, of the hub and of the references,
//! one after the other within the same minute.

use std::{path::Path, time::Duration};

use anyhow::ensure;
use clap::Args;
use hdrhistogram::Histogram;

use super::{
    publisher::{self, activity},
    server::{Hub, Reference},
    viewers::{Transport, Viewer, Viewers, millis},
};

#[derive(Debug, Clone, Args)]
pub struct Options {
    /// How many viewers.
    #[arg(long, default_value_t = 1_000)]
    viewers: usize,
    /// Activities a second.
    #[arg(long, default_value_t = 200.0)]
    rate: f64,
    /// Activities that are published together.
    #[arg(long, default_value_t = 1)]
    batch: usize,
    /// How long, in seconds.
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// Only the hub, without references.
    #[arg(long)]
    hub_only: bool,
}

/// What one server did.
#[derive(Debug, Clone)]
pub struct Run {
    pub name: &'static str,
    /// Deliveries.
    pub deliveries: u64,
    /// The server's processor time, in microseconds per delivery.
    pub cpu: f64,
    pub latency: Histogram<u64>,
}

/// How long load runs before it counts.
const WARM_UP: Duration = Duration::from_secs(2);

/// How long the last deliveries may take.
const SETTLE: Duration = Duration::from_secs(30);

pub async fn run(binary: &Path, options: &Options) -> anyhow::Result<()> {
    let mut runs = Vec::new();
    if !options.hub_only {
        runs.push(reference("floor", options).await?);
        runs.push(reference("tutorial", options).await?);
    }
    runs.push(hub(binary, Transport::WebSocket, options).await?);
    runs.push(hub(binary, Transport::Sse, options).await?);
    println!("| server | deliveries | CPU per delivery | of the floor | p50 | p99 |\n|---|---|---|---|---|---|");
    let floor = runs[0].cpu;
    for run in &runs {
        let (p50, p99) = (millis(&run.latency, 0.5), millis(&run.latency, 0.99));
        println!(
            "| {} | {} | {:.2} µs | {:.2} | {p50:.2} ms | {p99:.2} ms |",
            run.name,
            run.deliveries,
            run.cpu,
            run.cpu / floor
        );
    }
    Ok(())
}

fn viewers(options: &Options) -> Vec<Viewer> {
    vec![Viewer::of("load"); options.viewers]
}

pub async fn reference(name: &'static str, options: &Options) -> anyhow::Result<Run> {
    let server = Reference::start(name)?;
    let viewers = Viewers::start(&server.address, Transport::WebSocket, viewers(options)).await?;
    // The publisher's connection is the first and only one, so warming up and measuring are one run.
    let time = WARM_UP + Duration::from_secs(options.seconds);
    let publishing = publisher::to_reference(&server.publisher, options.rate, options.batch, time);
    let measuring = async {
        tokio::time::sleep(WARM_UP).await;
        viewers.measure();
        anyhow::Ok((server.process.cpu_seconds()?, viewers.seen().activities()))
    };
    let (published, before) = tokio::join!(publishing, measuring);
    let (cpu, seen) = before?;
    viewers.wait_for(published? * options.viewers as u64, SETTLE).await?;
    let deliveries = viewers.seen().activities() - seen;
    let cpu = (server.process.cpu_seconds()? - cpu) * 1e6 / deliveries as f64;
    Ok(Run { name, deliveries, cpu, latency: viewers.latency() })
}

pub async fn hub(binary: &Path, transport: Transport, options: &Options) -> anyhow::Result<Run> {
    let hub = Hub::start(binary)?;
    reqwest::Client::new().post(hub.publish_url("load")).body(activity(0)).send().await?;
    let viewers = Viewers::start(&hub.address, transport, viewers(options)).await?;
    let tasks = ["load".to_owned()];
    let warm = publisher::to_hub(&hub, &tasks, options.rate, options.batch, WARM_UP).await?;
    viewers.wait_for(warm * options.viewers as u64, SETTLE).await?;
    viewers.measure();
    let (cpu, seen) = (hub.process.cpu_seconds()?, viewers.seen().activities());
    let published = publisher::to_hub(&hub, &tasks, options.rate, options.batch, Duration::from_secs(options.seconds)).await?;
    viewers.wait_for((warm + published) * options.viewers as u64, SETTLE).await?;
    let deliveries = viewers.seen().activities() - seen;
    let cpu = (hub.process.cpu_seconds()? - cpu) * 1e6 / deliveries as f64;
    ensure!(viewers.seen().closed() == 0, "{} viewers were closed", viewers.seen().closed());
    let name = if transport == Transport::Sse { "hub, SSE" } else { "hub, WebSocket" };
    Ok(Run { name, deliveries, cpu, latency: viewers.latency() })
}
