//! Load on a hub of its own, bounded in count and time, and self-checking: a figure is only printed when nothing was lost, repeated or
//! out of order. Every figure stands beside a reference measured in the same run, because machines differ and share their cores.

mod clock;
mod fanout;
mod idle;
mod ingest;
mod inserts;
mod latency;
mod nodes;
mod open_tasks;
mod publisher;
mod reference;
mod server;
mod services;
mod viewers;

use std::path::PathBuf;

use clap::{Parser, Subcommand};

/// Measures a Tasklight hub on this machine.
#[derive(Debug, Parser)]
struct Cli {
    /// The program to measure; build it with `cargo build --release`.
    #[arg(long, default_value = "target/release/tasklight", global = true)]
    hub_binary: PathBuf,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Activities a second through POST, beside bare SQLite commits.
    Ingest,
    /// From POST to a viewer, beside one bare SQLite commit.
    Latency,
    /// What a delivery costs: processor time and latency, beside a bare write(2) and the way of the tutorials.
    Fanout(fanout::Options),
    /// A reference server: one thread, one write(2) per viewer.
    #[command(hide = true)]
    Floor,
    /// A reference server: tokio-tungstenite and a broadcast channel.
    #[command(hide = true)]
    Tutorial,
    /// Memory for each idle viewer.
    Idle,
    /// All of these, as one table in Markdown.
    All,
    /// What a node more costs: processor time and Redis bytes per activity at 1, 2 and 4 nodes.
    Nodes(services::Services),
    /// How nodes start on very many open tasks.
    OpenTasks(services::Services),
    /// Ways to write activities to Postgres: UNNEST, COPY and VALUES, short keys and names.
    Inserts(services::Services),
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let cli = Cli::parse();
    match &cli.command {
        Command::Nodes(services) => return nodes::run(&cli.hub_binary, services).await,
        Command::OpenTasks(services) => return open_tasks::run(&cli.hub_binary, services).await,
        Command::Inserts(services) => return inserts::run(services).await,
        Command::Fanout(options) => return fanout::run(&cli.hub_binary, options).await,
        Command::Floor => return reference::floor::run(),
        Command::Tutorial => return reference::tutorial::run().await,
        _ => {}
    }
    println!("| what | measured | reference in the same run | ratio |\n|---|---|---|---|");
    let all = matches!(cli.command, Command::All);
    if all || matches!(cli.command, Command::Ingest) {
        ingest::run(&cli.hub_binary).await?;
    }
    if all || matches!(cli.command, Command::Latency) {
        latency::run(&cli.hub_binary).await?;
    }
    if all || matches!(cli.command, Command::Idle) {
        idle::run(&cli.hub_binary).await?;
    }
    Ok(())
}

/// The value below which `share` of the sorted values lie, in milliseconds.
fn quantile(sorted: &[f64], share: f64) -> f64 {
    let last = sorted.len().saturating_sub(1);
    let index = (last as f64 * share).round() as usize;
    sorted.get(index).copied().unwrap_or_default()
}
