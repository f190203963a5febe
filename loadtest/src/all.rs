//! Every measurement, one after the other, and the page that tells them.

use std::path::PathBuf;

use clap::{Args, Command};

use super::{
    bench::Bench,
    catchup,
    fanout::{self, Run, SERVERS, Server},
    idle, ingest, latency, page,
    plot::{COLORS, Line, Plot},
    report::{self, Row},
    slow, start, storm, tasks,
};

#[derive(Debug, Clone, Args)]
pub struct Options {
    /// The folder in which `benchmarks.md` and `images/` are written.
    #[arg(long, default_value = "docs")]
    docs: PathBuf,
    /// For how long 10,000 tasks are written to in turn while the tables are watched.
    #[arg(long, default_value_t = 2.0)]
    minutes: f64,
}

/// The numbers of viewers of the first plot.
const VIEWERS: [usize; 5] = [10, 30, 100, 300, 1_000];

/// The rates of the second plot.
const RATES: [f64; 5] = [20.0, 50.0, 100.0, 200.0, 500.0];

/// How long a point of a plot is measured, in seconds.
const POINT_SECONDS: u64 = 4;

pub async fn run(bench: &Bench, options: &Options) -> anyhow::Result<()> {
    let mut rows = Vec::new();
    let mut add = |more: Vec<Row>| {
        // What is known is told at once: the rest takes minutes.
        report::print(&more);
        rows.extend(more);
    };
    let fanout: fanout::Options = defaults()?;
    add(fanout::run(bench, &fanout).await?);
    add(fanout::run(bench, &fanout::Options { rate: 2_000.0, ..fanout.clone() }).await?);
    add(tasks::run(bench, &defaults()?).await?);
    add(idle::run(bench, &defaults()?).await?);
    add(ingest::run(bench, &ingest::Options { minutes: options.minutes, ..defaults()? }).await?);
    add(latency::run(bench, &defaults()?).await?);
    add(catchup::run(bench, &defaults()?).await?);
    add(storm::run(bench, &defaults()?).await?);
    add(slow::run(bench, &defaults()?).await?);
    add(start::run(bench, &defaults()?).await?);
    let plots = [("bench-cpu.svg", cpu(bench).await?.to_svg()), ("bench-latency.svg", latencies(bench).await?.to_svg())];
    page::write(&options.docs, &rows, &plots, bench.quick)?;
    report::conclude(&rows)
}

/// What a command is given when nothing is said.
fn defaults<T: Args>() -> anyhow::Result<T> {
    let command = T::augment_args(Command::new("defaults").no_binary_name(true));
    Ok(T::from_arg_matches(&command.try_get_matches_from([""; 0])?)?)
}

/// CPU per delivery against viewers.
async fn cpu(bench: &Bench) -> anyhow::Result<Plot> {
    let mut lines = Vec::new();
    for (server, color) in SERVERS.into_iter().zip(COLORS) {
        let mut points = Vec::new();
        for viewers in some(bench, VIEWERS) {
            points.push((viewers as f64, point(bench, server, viewers, 200.0).await?.cpu));
        }
        lines.push(Line { name: server.name().to_owned(), color, dashed: is_reference(server), points });
    }
    Ok(Plot { title: "CPU per delivery, 200 activities a second", across: "viewers", up: "µs", lines })
}

/// Latency against rate, for 1,000 viewers.
async fn latencies(bench: &Bench) -> anyhow::Result<Plot> {
    let mut lines = Vec::new();
    for (server, color) in
        [Server::Floor, Server::HubWebSocket, Server::HubSse].into_iter().zip([COLORS[0], COLORS[2], COLORS[3]])
    {
        let (mut p50, mut p99) = (Vec::new(), Vec::new());
        for rate in some(bench, RATES) {
            let run = point(bench, server, 1_000, rate).await?;
            p50.push((rate, run.p50()));
            p99.push((rate, run.p99()));
        }
        lines.push(Line { name: format!("{}, p50", server.name()), color, dashed: false, points: p50 });
        lines.push(Line { name: format!("{}, p99", server.name()), color, dashed: true, points: p99 });
    }
    Ok(Plot { title: "Publish to viewer, 1,000 viewers", across: "activities a second", up: "ms", lines })
}

async fn point(bench: &Bench, server: Server, viewers: usize, rate: f64) -> anyhow::Result<Run> {
    let options = fanout::Options { viewers, rate, seconds: POINT_SECONDS, ..defaults()? };
    fanout::measure(bench, server, &options).await
}

/// All points of a plot, or its ends when all must be quick.
fn some<T: Copy>(bench: &Bench, points: [T; 5]) -> Vec<T> {
    if bench.quick { vec![points[0], points[4]] } else { points.to_vec() }
}

fn is_reference(server: Server) -> bool {
    matches!(server, Server::Floor | Server::Tutorial)
}
