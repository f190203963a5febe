//! Viewers that stop reading among others that go on: what they cost in memory, and what the others notice.

use std::time::Duration;

use anyhow::ensure;
use clap::Args;

use super::{
    bench::Bench,
    publisher::{self, SETTLE},
    report::{Row, Target},
    server::Hub,
    viewers::{Transport, Viewer, Viewers, millis},
};

#[derive(Debug, Clone, Args)]
pub struct Options {
    /// How many viewers.
    #[arg(long, default_value_t = 1_000)]
    pub viewers: usize,
    /// How many of them stop reading.
    #[arg(long, default_value_t = 100)]
    pub slow: usize,
    /// Activities a second while latency is measured.
    #[arg(long, default_value_t = 200.0)]
    pub rate: f64,
    /// How long, in seconds; less than the 30 s after which the hub closes a viewer that takes nothing.
    #[arg(long, default_value_t = 10)]
    pub seconds: u64,
}

/// What fills the kernel's buffers first, some megabytes for each viewer.
const BURST_RATE: f64 = 2_000.0;
const BURST_BATCH: usize = 10;
const BURST: Duration = Duration::from_secs(6);

/// What the hub may keep for a viewer that does not read (`session.queue_bytes`), in KiB.
const CAP_KIB: f64 = 256.0;

pub async fn run(bench: &Bench, options: &Options) -> anyhow::Result<Vec<Row>> {
    let without = measure(bench, options, 0).await?;
    let with = measure(bench, options, options.slow).await?;
    let Options { viewers, slow, rate, .. } = options;
    let what = format!("{slow} of {viewers} viewers stop reading");
    let (grown, caps) = (with.grown_kib - without.grown_kib, CAP_KIB * *slow as f64);
    Ok(vec![
        Row::new("8", format!("{what}: the hub's memory grows"), grown / caps, Target::AtMost(1.0))
            .measured(format!("{:.1} MiB more than when all read", grown / 1024.0))
            .reference(format!("{:.1} MiB, their write caps", caps / 1024.0)),
        Row::new("8", format!("{what}: p99 of the others, {rate}/s"), with.p99 / without.p99, Target::AtMost(1.2))
            .measured(format!("{:.2} ms", with.p99))
            .reference(format!("{:.2} ms when all read", without.p99)),
    ])
}

struct Measured {
    grown_kib: f64,
    p99: f64,
}

async fn measure(bench: &Bench, options: &Options, slow: usize) -> anyhow::Result<Measured> {
    let hub = Hub::start(&bench.binary)?;
    publisher::one(&hub, "load").await?;
    let reading = options.viewers - options.slow;
    let viewers = Viewers::start(&hub.address, Transport::WebSocket, vec![Viewer::of("load"); reading]).await?;
    let rest = Viewer { reads: slow == 0, ..Viewer::of("load") };
    let others = Viewers::start(&hub.address, Transport::WebSocket, vec![rest; options.slow]).await?;
    let tasks = ["load".to_owned()];
    let before = hub.process.memory_kib()?;
    let burst = publisher::to_hub(&hub, &tasks, BURST_RATE, BURST_BATCH, BURST).await?;
    viewers.wait_for(burst * reading as u64, SETTLE).await?;
    viewers.measure();
    let published = publisher::to_hub(&hub, &tasks, options.rate, 1, bench.seconds(options.seconds)).await?;
    viewers.wait_for((burst + published) * reading as u64, SETTLE).await?;
    let grown_kib = hub.process.memory_kib()? as f64 - before as f64;
    let taken = hub.metric("tasklight_activities_delivered_total").await?;
    let all = ((burst + published) * options.viewers as u64) as f64;
    ensure!(slow == 0 || taken < all, "those who stopped reading were never in the way: the kernel took everything");
    others.check()?;
    Ok(Measured { grown_kib, p99: millis(&viewers.latency(), 0.99) })
}
