//! `tasklight demo`: agents that are none, for trying the page and for loads.

mod agent;
mod script;
mod words;

use std::{process::ExitCode, sync::Arc, time::Duration};

use clap::Args;
use tokio::{
    select,
    signal::ctrl_c,
    task::JoinSet,
    time::{Instant, sleep},
};
use tokio_util::sync::CancellationToken;

use super::{
    exit,
    hub_args::{HubArgs, code_of, failed},
    progress::Progress,
};
use crate::{
    client::TasksWanted,
    model::{TaskId, Timestamp},
};
use agent::{Agent, Shared};

/// The most agents: each is a task of its own in this process.
const MOST_AGENTS: u32 = 10_000;

/// How often progress is looked at.
const LOOK: Duration = Duration::from_millis(200);

const AFTER_HELP: &str = "\
Each agent does one run after another: a prompt, thinking, text as it streams,
tool calls with their results, output in colours, diffs, progress, errors, tokens.
Most runs end well; some fail, are cancelled, fall silent for long, or die in the
middle of a tool call and are never heard of again.

The same --seed tells the same stories. Nothing in them looks like a secret,
unless --secrets puts made-up ones in, which the hub replaces.

Examples:
  tasklight demo                                    five agents for a minute
  tasklight demo --agents 20 --rate 50 --for 10m
  tasklight demo --agents 200 --rate 5000 --for 30s     a load
  tasklight demo --seed 7 --secrets

Exit codes: 0 done, 1 something was refused, 2 wrong usage, 3 hub not reachable.";

/// Flags of `tasklight demo`.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct DemoArgs {
    /// How many agents work at once
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=i64::from(MOST_AGENTS)))]
    agents: u32,
    /// How many activities a second all of them publish together [default: 2 for each]
    #[arg(long, value_name = "PER_SECOND", value_parser = rate)]
    rate: Option<f64>,
    /// For how long
    #[arg(long = "for", value_name = "DURATION", default_value = "60s", value_parser = humantime::parse_duration)]
    duration: Duration,
    /// Which stories they tell [default: new ones each time]
    #[arg(long)]
    seed: Option<u64>,
    /// On how many tasks they work [default: one each]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    tasks: Option<u32>,
    /// What the names of the tasks begin with
    #[arg(long, default_value = "demo-")]
    prefix: String,
    /// Have them print made-up secrets, to see them go
    #[arg(long)]
    secrets: bool,
    #[command(flatten)]
    hub: HubArgs,
}

fn rate(text: &str) -> Result<f64, String> {
    let rate: f64 = text.parse().map_err(|_| "it is a number".to_owned())?;
    if rate.is_finite() && 0.0 < rate { Ok(rate) } else { Err("it is a number above 0".to_owned()) }
}

/// Publishes until the time is up or somebody has seen enough.
pub(crate) async fn run(args: DemoArgs) -> anyhow::Result<ExitCode> {
    let client = match args.hub.client() {
        Ok(client) => client,
        Err(error) => return Ok(failed(&error)),
    };
    // Better said at once than by each agent.
    if let Err(error) = client.tasks(&TasksWanted { limit: 1, ..TasksWanted::default() }).await {
        return Ok(failed(&error));
    }
    let seed = args.seed.unwrap_or_else(rand::random);
    let pace = Duration::from_secs_f64(f64::from(args.agents) / args.rate.unwrap_or(2.0 * f64::from(args.agents)));
    let tasks = args.tasks.unwrap_or(args.agents).min(args.agents);
    let mut names: Vec<TaskId> = Vec::new();
    for task in 0..tasks {
        match words::task(&args.prefix, task).parse() {
            Ok(task) => names.push(task),
            Err(error) => {
                eprintln!("tasklight: --prefix: {error}");
                return Ok(ExitCode::from(exit::USAGE));
            }
        }
    }
    println!("watch {}/  ({} agents on {tasks} tasks, --seed {seed}; Ctrl-C ends it)", client.hub(), args.agents);
    let stop = CancellationToken::new();
    let shared = Arc::new(Shared::new(client, pace, args.secrets, stop.clone()));
    let mut agents = JoinSet::new();
    // Runs of another demo, on the same hub, are other ones.
    let start = Timestamp::now().as_millis() / 1_000;
    for number in 0..args.agents {
        let task = &names[usize::try_from(number % tasks)?];
        agents.spawn(Agent::new(shared.clone(), task.clone(), number, seed, start).work());
    }
    let mut progress = Progress::new();
    let until = Instant::now() + args.duration;
    while Instant::now() < until && !agents.is_empty() {
        select! {
            () = sleep(LOOK.min(until - Instant::now())) => {}
            signal = ctrl_c() => {
                signal?;
                break;
            }
        }
        progress.at(|| shared.words());
    }
    stop.cancel();
    let mut error = None;
    while let Some(done) = agents.join_next().await {
        error = done?.err().or(error);
    }
    progress.clear();
    println!("{}", shared.words());
    Ok(match error {
        Some(error) => {
            failed(&error);
            ExitCode::from(code_of(&error))
        }
        None if shared.refused() == 0 => ExitCode::SUCCESS,
        None => ExitCode::from(exit::FAILED),
    })
}
