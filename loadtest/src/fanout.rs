//! What a delivery costs: the server's processor time per delivery, and the time from publisher to viewer, of the hub and of the references,
//! one after the other within the same minute.

use anyhow::ensure;
use clap::Args;
use hdrhistogram::Histogram;

use super::{
    bench::Bench,
    publisher::{self, SETTLE},
    quantile, reference,
    report::{Row, Target},
    server::{Hub, Reference},
    viewers::{Transport, Viewer, Viewers, millis},
};

#[derive(Debug, Clone, Args)]
pub struct Options {
    /// How many viewers.
    #[arg(long, default_value_t = 1_000)]
    pub viewers: usize,
    /// Activities a second.
    #[arg(long, default_value_t = 200.0)]
    pub rate: f64,
    /// Activities that are published together.
    #[arg(long, default_value_t = 1)]
    pub batch: usize,
    /// How long, in seconds.
    #[arg(long, default_value_t = 10)]
    pub seconds: u64,
    /// Only the hub, without references.
    #[arg(long)]
    pub hub_only: bool,
}

/// What serves the viewers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Server {
    Floor,
    /// Each event to one viewer only, to one after the other.
    FloorInTurn,
    Tutorial,
    HubWebSocket,
    HubSse,
}

pub const SERVERS: [Server; 4] = [Server::Floor, Server::Tutorial, Server::HubWebSocket, Server::HubSse];

impl Server {
    pub fn name(self) -> &'static str {
        match self {
            Self::Floor => "floor",
            Self::FloorInTurn => "floor, one viewer each",
            Self::Tutorial => "tutorial",
            Self::HubWebSocket => "hub, WebSocket",
            Self::HubSse => "hub, SSE",
        }
    }
}

/// What one server did.
#[derive(Debug, Clone)]
pub struct Run {
    pub server: Server,
    /// The server's processor time, in microseconds per delivery.
    pub cpu: f64,
    /// The same of the hub's delivering threads alone; all of them in a reference.
    pub delivering: f64,
    pub latency: Histogram<u64>,
}

impl Run {
    /// Both together.
    fn and(mut self, other: Self) -> Self {
        self.cpu = f64::midpoint(self.cpu, other.cpu);
        // Both have the same bounds.
        self.latency += other.latency;
        self
    }

    pub fn p50(&self) -> f64 {
        millis(&self.latency, 0.5)
    }

    pub fn p99(&self) -> f64 {
        millis(&self.latency, 0.99)
    }
}

/// How long load runs before it counts.
const WARM_UP_SECONDS: u64 = 2;

/// How the hub's threads that have the sockets are named.
pub const DELIVERING: &str = "shard-";

/// Above this rate events are joined, and what counts is that nothing is lost and what a delivery costs.
const FLAT_OUT: f64 = 1_000.0;

/// What a delivery may cost then, in microseconds.
const FLAT_OUT_CPU: f64 = 0.5;

/// Measures, and puts it beside its references.
pub async fn run(bench: &Bench, options: &Options) -> anyhow::Result<Vec<Row>> {
    let mut runs = Vec::new();
    for server in SERVERS {
        let is_hub = matches!(server, Server::HubWebSocket | Server::HubSse);
        // The way of the tutorials loses its viewers at such rates.
        let skipped = (options.hub_only && !is_hub) || (server == Server::Tutorial && FLAT_OUT <= options.rate);
        if !skipped {
            runs.push(measure(bench, server, options).await?);
        }
    }
    let commits = reference::sqlite::commits(options.rate, bench.seconds(4)).await?;
    let floor = if options.hub_only {
        runs[0].clone()
    } else {
        // Once more at the end: the machine may have changed meanwhile.
        runs[0].clone().and(measure(bench, Server::Floor, options).await?)
    };
    // The floor itself stands beside every other.
    let others = runs.iter().filter(|run| run.server != Server::Floor);
    Ok(others.flat_map(|run| beside(run, &floor, &commits, options)).collect())
}

fn beside(run: &Run, floor: &Run, commits: &[f64], options: &Options) -> Vec<Row> {
    let Options { viewers, rate, .. } = options;
    let what = |figure: &str| format!("{}, {viewers} viewers, {rate}/s: {figure}", run.server.name());
    let is_hub = matches!(run.server, Server::HubWebSocket | Server::HubSse);
    let cpu = |number, value, target| {
        Row::new(number, what("CPU per delivery"), value, target)
            .measured(format!("{:.2} µs", run.cpu))
            .reference(format!("{:.2} µs, the floor", floor.cpu))
    };
    if FLAT_OUT <= *rate {
        let target = if is_hub { Target::AtMost(FLAT_OUT_CPU) } else { Target::None };
        let latency = format!("{:.1} ms", run.p99());
        return vec![
            cpu("2", run.cpu, target).unit(" µs"),
            Row::new("2", what("p99"), f64::NAN, Target::None).measured(latency).reference(format!("{:.1} ms", floor.p99())),
        ];
    }
    let target = |limit| if is_hub { Target::AtMost(limit) } else { Target::None };
    let mut rows = vec![cpu("1", run.cpu / floor.cpu, target(1.25))];
    for (name, share, took, bare) in [("p50", 0.5, run.p50(), floor.p50()), ("p99", 0.99, run.p99(), floor.p99())] {
        let commit = quantile(commits, share);
        let row = if is_hub {
            let bound = 1.5 * bare + commit;
            Row::new("1", what(name), took / bound, target(1.0))
                .reference(format!("{bound:.2} ms: 1.5 × the floor's {bare:.2} ms and a commit of {commit:.2} ms"))
        } else {
            Row::new("1", what(name), took / bare, Target::None).reference(format!("{bare:.2} ms, the floor"))
        };
        rows.push(row.measured(format!("{took:.2} ms")));
    }
    rows
}

/// Loads one server.
pub async fn measure(bench: &Bench, server: Server, options: &Options) -> anyhow::Result<Run> {
    match server {
        Server::Floor => reference_server(bench, server, &["floor"], options).await,
        Server::FloorInTurn => reference_server(bench, server, &["floor", "--in-turn"], options).await,
        Server::Tutorial => reference_server(bench, server, &["tutorial"], options).await,
        Server::HubWebSocket => hub(bench, server, Transport::WebSocket, options).await,
        Server::HubSse => hub(bench, server, Transport::Sse, options).await,
    }
}

async fn reference_server(bench: &Bench, server: Server, arguments: &[&str], options: &Options) -> anyhow::Result<Run> {
    let reference = Reference::start(arguments)?;
    let all = vec![Viewer::of("load"); options.viewers];
    let viewers = Viewers::start(&reference.address, Transport::WebSocket, all).await?;
    // The publisher's connection is the first and only one, so warming up and measuring are one run.
    let warm_up = bench.seconds(WARM_UP_SECONDS);
    let time = warm_up + bench.seconds(options.seconds);
    let (logs, viewers_of_each) = if server == Server::FloorInTurn { (options.viewers, 1) } else { (1, options.viewers) };
    let publishing = publisher::to_reference(&reference.publisher, options.rate, options.batch, logs, time);
    let measuring = async {
        tokio::time::sleep(warm_up).await;
        viewers.measure();
        anyhow::Ok((reference.process.cpu_seconds()?, viewers.seen().activities()))
    };
    let (published, before) = tokio::join!(publishing, measuring);
    let (cpu, seen) = before?;
    viewers.wait_for(published? * viewers_of_each as u64, SETTLE).await?;
    let deliveries = viewers.seen().activities() - seen;
    let cpu = (reference.process.cpu_seconds()? - cpu) * 1e6 / deliveries as f64;
    Ok(Run { server, cpu, delivering: cpu, latency: viewers.latency() })
}

async fn hub(bench: &Bench, server: Server, transport: Transport, options: &Options) -> anyhow::Result<Run> {
    let hub = Hub::start(&bench.binary)?;
    publisher::one(&hub, "load").await?;
    let viewers = Viewers::start(&hub.address, transport, vec![Viewer::of("load"); options.viewers]).await?;
    let tasks = ["load".to_owned()];
    let (rate, batch) = (options.rate, options.batch);
    let warm = publisher::to_hub(&hub, &tasks, rate, batch, bench.seconds(WARM_UP_SECONDS)).await?;
    viewers.wait_for(warm * options.viewers as u64, SETTLE).await?;
    viewers.measure();
    let (cpu, delivering) = (hub.process.cpu_seconds()?, hub.process.cpu_seconds_of(DELIVERING)?);
    let seen = viewers.seen().activities();
    let published = publisher::to_hub(&hub, &tasks, rate, batch, bench.seconds(options.seconds)).await?;
    viewers.wait_for((warm + published) * options.viewers as u64, SETTLE).await?;
    let deliveries = viewers.seen().activities() - seen;
    let each = |seconds: f64| seconds * 1e6 / deliveries as f64;
    let cpu = each(hub.process.cpu_seconds()? - cpu);
    let delivering = each(hub.process.cpu_seconds_of(DELIVERING)? - delivering);
    ensure!(viewers.seen().closed() == 0, "{} viewers were closed", viewers.seen().closed());
    Ok(Run { server, cpu, delivering, latency: viewers.latency() })
}
