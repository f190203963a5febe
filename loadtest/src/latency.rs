//! From the time when an activity should be published to the frame at a viewer, at 200 a second; beside a bare commit at the same rate.

use clap::Args;

use super::{
    bench::Bench,
    publisher, quantile, reference,
    report::{Row, Target},
    server::Hub,
    viewers::{Transport, Viewer, Viewers, millis},
};

#[derive(Debug, Clone, Args)]
pub struct Options {
    /// Activities a second.
    #[arg(long, default_value_t = 200.0)]
    pub rate: f64,
    /// How long, in seconds.
    #[arg(long, default_value_t = 10)]
    pub seconds: u64,
}

/// What the target leaves beside one commit, in milliseconds.
const BESIDE_COMMIT: f64 = 1.0;

pub async fn run(bench: &Bench, options: &Options) -> anyhow::Result<Vec<Row>> {
    let time = bench.seconds(options.seconds);
    let mut rows = Vec::new();
    if let Some(services) = bench.services_if_any() {
        let (url, _) = services.database().await?;
        let hub = Hub::start_node(&bench.binary, &url, &[])?;
        // The same machine in the same minute: half of the commits before, half after.
        let mut commits = reference::postgres::commits(services, options.rate, time / 2).await?;
        let latency = measure(bench, &hub, options).await?;
        commits.extend(reference::postgres::commits(services, options.rate, time / 2).await?);
        rows.extend(beside("Postgres", options.rate, &latency, commits));
    }
    let hub = Hub::start(&bench.binary)?;
    let mut commits = reference::sqlite::commits(options.rate, time / 2).await?;
    let latency = measure(bench, &hub, options).await?;
    commits.extend(reference::sqlite::commits(options.rate, time / 2).await?);
    rows.extend(beside("SQLite", options.rate, &latency, commits));
    Ok(rows)
}

/// The latencies of one viewer.
async fn measure(bench: &Bench, hub: &Hub, options: &Options) -> anyhow::Result<[f64; 2]> {
    publisher::one(hub, "load").await?;
    let viewers = Viewers::start(&hub.address, Transport::WebSocket, vec![Viewer::of("load")]).await?;
    let tasks = ["load".to_owned()];
    let warm = publisher::to_hub(hub, &tasks, options.rate, 1, bench.seconds(2)).await?;
    viewers.wait_for(warm, publisher::SETTLE).await?;
    viewers.measure();
    let published = publisher::to_hub(hub, &tasks, options.rate, 1, bench.seconds(options.seconds)).await?;
    viewers.wait_for(warm + published, publisher::SETTLE).await?;
    let latency = viewers.latency();
    Ok([millis(&latency, 0.5), millis(&latency, 0.99)])
}

fn beside(store: &str, rate: f64, latency: &[f64; 2], mut commits: Vec<f64>) -> [Row; 2] {
    commits.sort_by(f64::total_cmp);
    let (p50, p99) = (quantile(&commits, 0.5), quantile(&commits, 0.99));
    let row = |name, took, bound: f64, what| {
        Row::new("6", format!("publish to viewer, {store}, {rate}/s, {name}"), took / bound, Target::AtMost(1.0))
            .measured(format!("{took:.2} ms"))
            .reference(format!("{bound:.2} ms: {what}"))
    };
    [
        row("p50", latency[0], p50 + BESIDE_COMMIT, format!("a bare commit of {p50:.2} ms and {BESIDE_COMMIT} ms")),
        row("p99", latency[1], p99 * 3.0, format!("three bare commits of {p99:.2} ms")),
    ]
}
