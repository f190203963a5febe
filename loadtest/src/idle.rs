//! What an idle viewer costs: resident memory of the hub, and its processor time for heartbeats.

use std::time::Duration;

use clap::Args;
use tokio::time::sleep;

use super::{
    bench::Bench,
    publisher,
    report::{Row, Target},
    server::{Hub, Reference},
    viewers::{Transport, Viewer, Viewers},
};

#[derive(Debug, Clone, Args)]
pub struct Options {
    /// How many viewers.
    #[arg(long, default_value_t = 10_000)]
    pub viewers: usize,
    /// How long they are idle, in seconds: longer than a heartbeat's period (25 s), or there are none to pay for.
    #[arg(long, default_value_t = 30)]
    pub seconds: u64,
}

/// Viewers that are there before anything is measured: what the hub allocates once must not count for viewers.
const WARM: usize = 100;

/// How long connections settle before they count as idle.
const SETTLE: Duration = Duration::from_secs(2);

pub async fn run(bench: &Bench, options: &Options) -> anyhow::Result<Vec<Row>> {
    let (mut rows, count) = (Vec::new(), bench.count(options.viewers));
    let bare = bare(count, bench.seconds(options.seconds)).await?;
    for (transport, name) in [(Transport::WebSocket, "WebSocket"), (Transport::Sse, "SSE")] {
        let hub = Hub::start(&bench.binary)?;
        publisher::one(&hub, "load").await?;
        let warm = Viewers::start(&hub.address, transport, vec![Viewer::of("load"); WARM]).await?;
        sleep(SETTLE).await;
        let before = hub.process.memory_kib()?;
        let viewers = Viewers::start(&hub.address, transport, vec![Viewer::of("load"); count]).await?;
        sleep(SETTLE).await;
        let each = hub.process.memory_kib()?.saturating_sub(before) as f64 / count as f64;
        let (cpu, time) = (hub.process.cpu_seconds()?, bench.seconds(options.seconds));
        sleep(time).await;
        let share = (hub.process.cpu_seconds()? - cpu) / time.as_secs_f64() * 100.0;
        let later = hub.process.memory_kib()?.saturating_sub(before) as f64 / count as f64;
        viewers.check()?;
        warm.check()?;
        let what = |figure: &str| format!("{count} idle viewers, {name}: {figure}");
        let per_10_000 = share * 10_000.0 / count as f64;
        rows.push(
            Row::new("4", what("memory of each"), each.max(later), Target::AtMost(5.0))
                .unit(" KiB")
                .measured(format!("{each:.1} KiB, {later:.1} KiB after {} s", time.as_secs())),
        );
        rows.push(
            Row::new("4", what("share of a core for 10,000"), per_10_000, Target::AtMost(0.3))
                .unit(" %")
                .measured(format!("{per_10_000:.2} % over {} s", time.as_secs()))
                .reference(format!("{bare:.2} %, a thread that does nothing but a write(2) and a read(2) for each")),
        );
    }
    Ok(rows)
}

/// The share of a core that [`super::reference::beats`] takes for 10,000, in percent.
async fn bare(count: usize, time: Duration) -> anyhow::Result<f64> {
    let server = Reference::start(&["beats"])?;
    let viewers = Viewers::start(&server.address, Transport::WebSocket, vec![Viewer::of("load"); count]).await?;
    sleep(SETTLE).await;
    let cpu = server.process.cpu_seconds()?;
    sleep(time).await;
    let share = (server.process.cpu_seconds()? - cpu) / time.as_secs_f64() * 100.0;
    viewers.check()?;
    Ok(share * 10_000.0 / count as f64)
}
