//! Load on a hub of its own, bounded in count and time, and self-checking: a run fails when anything was lost, repeated or out of order, or a
//! viewer stayed away. An aim of speed or size that was missed is told and is no failure. Every figure stands beside a reference measured in the same run, because machines differ and share their cores.

mod all;
mod api;
mod avalanche;
mod bench;
mod catchup;
mod clock;
mod fanout;
mod idle;
mod ingest;
mod inserts;
mod jitter;
mod latency;
mod model;
mod nodes;
mod open_tasks;
mod page;
mod plot;
mod publisher;
mod purge;
mod reference;
mod report;
mod request;
mod restarting;
mod rolling;
mod server;
mod services;
mod slow;
mod soak;
mod start;
mod store_size;
mod storm;
mod tasks;
mod viewers;

use std::path::PathBuf;

use clap::{Parser, Subcommand};

use self::{bench::Bench, services::Services};

/// Measures a Tasklight hub on this machine.
///
/// A run fails (exit code 1, with a line that says what was missed) if anything was lost, repeated or out of order, or if a viewer did not come back.
/// How fast something was, or how much it took, is no failure, because machines are shared: in the column `met` an aim that was missed is a
/// **no**, and after the table stands "aims missed: …". `model`, `soak` and `store-size` fail by the bounds that they name.
#[derive(Debug, Parser)]
struct Cli {
    /// The program to measure; build it with `cargo build --release`.
    #[arg(long, default_value = "target/release/tasklight", global = true)]
    hub_binary: PathBuf,
    /// Seconds must be enough for everything: the figures are rough.
    #[arg(long, global = true)]
    quick: bool,
    /// A Redis that nobody else uses at the same time.
    #[arg(long, env = "TASKLIGHT_TEST_REDIS_URL", global = true)]
    redis: Option<String>,
    /// A Postgres in which databases may be made.
    #[arg(long, env = "TASKLIGHT_TEST_POSTGRES_URL", global = true)]
    postgres: Option<String>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// What a delivery costs: processor time and latency, beside a bare write(2) and the way of the tutorials.
    Fanout(fanout::Options),
    /// Activities a second into the store, beside COPY and bare inserts.
    Ingest(ingest::Options),
    /// From publish to viewer, beside a bare commit.
    Latency(latency::Options),
    /// Many tasks with a viewer each, and many on each socket.
    Tasks(tasks::Options),
    /// What idle viewers cost: memory, and processor time for heartbeats.
    Idle(idle::Options),
    /// A cold viewer of a long log, beside COPY TO STDOUT.
    Catchup(catchup::Options),
    /// Everybody reconnects at once.
    Storm(storm::Options),
    /// Viewers with bad connections, cut again and again: the shape of a public benchmark.
    Jitter(jitter::Options),
    /// A hub that is killed or stopped under its viewers, who all come back.
    Avalanche(avalanche::Options),
    /// Three hubs under viewers with bad connections, of which each is stopped and started again in turn.
    Rolling(rolling::Options),
    /// Viewers that stop reading, and what others notice.
    Slow(slow::Options),
    /// How long a start takes, and how large the program is.
    Start(start::Options),
    /// All of these: prints them, and writes docs/benchmarks.md with its plots.
    All(all::Options),
    /// What a node more costs: processor time and Redis bytes per activity at 1, 2 and 4 nodes.
    Nodes,
    /// What a load needs that no machine here carries, from costs that are measured and checked here.
    Model(model::Options),
    /// How nodes start on very many open tasks.
    OpenTasks,
    /// Ways to write activities to Postgres: UNNEST, COPY and VALUES, short keys and names.
    Inserts,
    /// What a publisher notices while millions of activities are removed.
    Purge(purge::Options),
    /// Three hubs under everything that comes to hubs at once, for hours: what grows?
    Soak(soak::Options),
    /// Whether anything on the hot path grows with the store: the same load on few activities and on fifty million.
    StoreSize(store_size::Options),
    /// A reference server: one thread, one write(2) per viewer.
    #[command(hide = true)]
    Floor {
        /// Each event to one viewer only, to one after the other.
        #[arg(long)]
        in_turn: bool,
    },
    /// A reference server: one thread that lets idle viewers know that it is there.
    #[command(hide = true)]
    Beats,
    /// A reference server: tokio-tungstenite and a broadcast channel.
    #[command(hide = true)]
    Tutorial,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let cli = Cli::parse();
    let services = cli.redis.zip(cli.postgres).map(|(redis, postgres)| Services { redis, postgres });
    let bench = Bench::new(cli.hub_binary, cli.quick, services);
    let rows = match &cli.command {
        Command::Fanout(options) => fanout::run(&bench, options).await?,
        Command::Ingest(options) => ingest::run(&bench, options).await?,
        Command::Latency(options) => latency::run(&bench, options).await?,
        Command::Tasks(options) => tasks::run(&bench, options).await?,
        Command::Idle(options) => idle::run(&bench, options).await?,
        Command::Catchup(options) => catchup::run(&bench, options).await?,
        Command::Storm(options) => storm::run(&bench, options).await?,
        Command::Jitter(options) => jitter::run(&bench, options).await?,
        Command::Avalanche(options) => avalanche::run(&bench, options).await?,
        Command::Rolling(options) => rolling::run(&bench, options).await?,
        Command::Slow(options) => slow::run(&bench, options).await?,
        Command::Start(options) => start::run(&bench, options).await?,
        Command::All(options) => return all::run(&bench, options).await,
        Command::Nodes => return nodes::run(&bench.binary, bench.services()?).await,
        Command::Model(options) => return model::run(&bench, options).await,
        Command::OpenTasks => return open_tasks::run(&bench.binary, bench.services()?).await,
        Command::Inserts => return inserts::run(bench.services()?).await,
        Command::Purge(options) => return purge::run(&bench, options).await,
        Command::Soak(options) => return soak::run(&bench, options).await,
        Command::StoreSize(options) => return store_size::run(&bench, options).await,
        Command::Floor { in_turn } => return reference::floor::run(*in_turn),
        Command::Beats => return reference::beats::run(),
        Command::Tutorial => return reference::tutorial::run().await,
    };
    report::print(&rows);
    report::conclude(&rows)
}

/// The value below which `share` of the sorted values lie, in milliseconds.
fn quantile(sorted: &[f64], share: f64) -> f64 {
    let last = sorted.len().saturating_sub(1);
    let index = (last as f64 * share).round() as usize;
    sorted.get(index).copied().unwrap_or_default()
}
