//! A cold viewer of a long log: over WebSocket, SSE and REST, beside `COPY … TO STDOUT` of the same rows.

use std::time::{Duration, Instant};

use anyhow::ensure;
use clap::Args;

use super::{
    bench::Bench,
    publisher,
    reference::wire::Wire,
    report::{Row, Target},
    server::Hub,
    viewers::{Transport, Viewer, Viewers},
};

#[derive(Debug, Clone, Args)]
pub struct Options {
    /// How long the log is.
    #[arg(long, default_value_t = 100_000)]
    pub activities: usize,
}

/// The rows as the table has them, in the order in which viewers see them.
const COPY: &str = "COPY (SELECT * FROM activities ORDER BY task, \"offset\") TO STDOUT";

/// How long a viewer may take.
const PATIENCE: Duration = Duration::from_secs(120);

/// How often each is measured; the best counts, because the first of them warms the caches for all.
const ROUNDS: usize = 2;

pub async fn run(bench: &Bench, options: &Options) -> anyhow::Result<Vec<Row>> {
    let count = bench.count(options.activities);
    let (url, _) = bench.services()?.database().await?;
    let hub = Hub::start_node(&bench.binary, &url, &[])?;
    publisher::many(&hub, "load", count).await?;
    let (mut copy, mut socket, mut sse, mut rest) = (Best::default(), Best::default(), Best::default(), Best::default());
    for _ in 0..ROUNDS {
        let url = url.clone();
        let took = tokio::task::spawn_blocking(move || {
            let mut wire = Wire::connect(&url)?;
            let began = Instant::now();
            let rows = wire.copy_out(COPY)?;
            ensure!(rows == count as u64, "COPY gave {rows} rows of {count}");
            anyhow::Ok(began.elapsed().as_secs_f64())
        });
        copy.note(took.await??, 0.0);
        socket.add(&hub, viewer(&hub, Transport::WebSocket, count)).await?;
        sse.add(&hub, viewer(&hub, Transport::Sse, count)).await?;
        rest.add(&hub, ndjson(&hub, count)).await?;
    }
    let rate = |best: Best| count as f64 / best.seconds;
    let row = |name: &str, best: Best| {
        Row::new("7", format!("{count} activities from the start, {name}"), rate(best) / rate(copy), Target::AtLeast(0.5))
            .measured(format!("{:.0}/s, {:.2} µs of the hub's CPU each", rate(best), best.cpu * 1e6 / count as f64))
            .reference(format!("{:.0}/s by COPY TO STDOUT", rate(copy)))
    };
    Ok(vec![row("WebSocket", socket), row("SSE", sse), row("NDJSON", rest)])
}

/// The best of several rounds.
#[derive(Debug, Clone, Copy)]
struct Best {
    seconds: f64,
    /// The hub's processor time, in seconds.
    cpu: f64,
}

impl Default for Best {
    fn default() -> Self {
        Self { seconds: f64::INFINITY, cpu: 0.0 }
    }
}

impl Best {
    fn note(&mut self, seconds: f64, cpu: f64) {
        if seconds < self.seconds {
            *self = Self { seconds, cpu };
        }
    }

    async fn add(&mut self, hub: &Hub, round: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
        let (began, cpu) = (Instant::now(), hub.process.cpu_seconds()?);
        round.await?;
        self.note(began.elapsed().as_secs_f64(), hub.process.cpu_seconds()? - cpu);
        Ok(())
    }
}

/// One that connects and follows from the start until it has all.
async fn viewer(hub: &Hub, transport: Transport, count: usize) -> anyhow::Result<()> {
    let viewer = Viewer { after: "start".to_owned(), ..Viewer::of("load") };
    let viewers = Viewers::start(&hub.address, transport, vec![viewer]).await?;
    viewers.wait_for(count as u64, PATIENCE).await
}

/// Everything as lines.
async fn ndjson(hub: &Hub, count: usize) -> anyhow::Result<()> {
    let request = reqwest::Client::new().get(hub.publish_url("load")).header("Accept", "application/x-ndjson");
    let mut response = request.send().await?.error_for_status()?;
    let mut lines = 0;
    while let Some(chunk) = response.chunk().await? {
        lines += memchr::memchr_iter(b'\n', &chunk).count();
    }
    ensure!(lines == count, "{lines} lines of {count}");
    Ok(())
}
