//! Faults, one after the other, while agents publish and viewers watch; then everything is compared with the log. See docs/chaos.md.

mod agents;
mod calm;
mod checker;
mod clock;
mod ending;
mod faults;
mod figures;
mod fleet;
mod front;
mod hubs;
mod kind;
mod lanes;
mod logs;
mod plan;
mod proxy;
mod run;
mod scenarios;
mod services;
mod timeline;
mod viewers;

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, Result};
use clap::Parser;
use tokio::time::sleep;

use agents::Agents;
use clock::Clock;
use faults::Arena;
use fleet::Fleet;
use front::Front;
use hubs::HubOptions;
use plan::{Plan, Times};
use run::Run;
use scenarios::Scenario;
use services::{Postgres, Redis};
use viewers::{Language, Sdk, Viewers};

/// Between the arrival of two viewers that come late.
const LATE: Duration = Duration::from_secs(25);

/// How many of them come.
const LATE_VIEWERS: usize = 6;

/// Into how many parts they divide a run.
const LATE_PARTS: u32 = 10;

/// How many tasks a viewer by an SDK follows.
const SDK_TASKS: usize = 3;

/// How many lines of each log are shown after a failure.
const TAIL: usize = 15;

/// Breaks what can break while agents publish and viewers watch, and compares what they were promised with what the store has.
#[derive(Debug, Clone, Parser)]
struct Arguments {
    /// Everything again and again, with full times, instead of everything once.
    #[arg(long)]
    long: bool,
    /// Brief faults in several lanes at the same time, with a calm every minute in which all viewers must come to the head.
    #[arg(long, conflicts_with_all = ["long", "single"])]
    storm: bool,
    /// One of these instead.
    #[arg(long, conflicts_with_all = ["long", "single", "storm"])]
    scenario: Option<Scenario>,
    /// How long the long form and the storm go on.
    #[arg(long, default_value_t = 15)]
    minutes: u64,
    /// Decides about the order of faults and their lengths; random, and printed, if left out.
    #[arg(long)]
    seed: Option<u64>,
    /// One hub on SQLite instead of three on Postgres.
    #[arg(long)]
    single: bool,
    /// Keep the folder with the logs and databases, whatever the outcome.
    #[arg(long)]
    keep: bool,
    /// The program that hubs are processes of, instead of the one built with this.
    #[arg(long, default_value = env!("CARGO_BIN_EXE_tasklight"))]
    program: PathBuf,
    /// `log.level` of the hubs.
    #[arg(long, default_value = "info")]
    log: String,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let outcome = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("starting the runtime")
        .and_then(|runtime| runtime.block_on(whole(&arguments)));
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        // Not the Debug of it: a backtrace of this program says nothing about the hubs.
        Err(error) => {
            eprintln!("chaos: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// A run in a folder of its own, which is kept if anything went wrong.
async fn whole(arguments: &Arguments) -> Result<()> {
    let folder = tempfile::Builder::new().prefix("tasklight-chaos-").tempdir()?;
    let seed = arguments.seed.unwrap_or_else(|| rand::random_range(0..1_000_000));
    let shape = if arguments.single { "one hub on SQLite" } else { "three hubs on Postgres" };
    let form = match (arguments.scenario, arguments.storm, arguments.long) {
        (Some(scenario), ..) => format!("scenario {scenario:?}"),
        (None, true, _) => "storm".to_owned(),
        (None, false, true) => "long form".to_owned(),
        (None, false, false) => "short form".to_owned(),
    };
    println!("chaos: {shape}, seed {seed}, {form}");
    let outcome = tokio::select! {
        outcome = everything(arguments, seed, folder.path()) => outcome,
        _ = tokio::signal::ctrl_c() => Err(anyhow::anyhow!("interrupted")),
    };
    if outcome.is_err() || arguments.keep {
        println!("logs and databases are kept in {}", folder.keep().display());
    }
    outcome.with_context(|| format!("failed with seed {seed}"))
}

async fn everything(arguments: &Arguments, seed: u64, folder: &Path) -> Result<()> {
    let options = HubOptions {
        program: arguments.program.clone(),
        store: format!("sqlite://{}/log.db", folder.display()),
        broker: None,
        log_level: arguments.log.clone(),
        folder: folder.to_owned(),
    };
    if let Some(scenario) = arguments.scenario {
        return scenarios::play(scenario, &options, folder).await;
    }
    let redis = Redis::start(folder).await?;
    let postgres = if arguments.single { None } else { Some(Postgres::start(folder).await?) };
    let hubs = if arguments.single { 1 } else { 3 };
    let run = Arc::new(Run::new(redis.address(), arguments.single));
    let mut fleet = Fleet::new(run.clone(), options, postgres.as_ref().map(Postgres::address));
    if arguments.storm && !Clock::is_possible() {
        println!("LEFT OUT: no clock will jump, because libfaketime is not installed (Debian: apt-get install libfaketime)");
    }
    for number in 1..=hubs {
        if arguments.storm && Clock::is_possible() && number == hubs {
            fleet.add_with_clock().await?;
        } else {
            fleet.add().await?;
        }
    }
    let mut arena = Arena { run, fleet, redis, postgres };
    let outcome = test(arguments, seed, &mut arena).await;
    if outcome.is_err() {
        for log in arena.fleet.logs() {
            println!("==> the end of {}\n{}\n", log.display(), hubs::tail(&log, TAIL));
        }
        println!("{:#?}", arena.fleet.conditions().await);
    }
    outcome
}

async fn test(arguments: &Arguments, seed: u64, arena: &mut Arena) -> Result<()> {
    let run = arena.run.clone();
    // Nobody promises the order of what is published without acks while nodes that have just started do not know of each other.
    arena.fleet.meet().await.context("at the beginning")?;
    let agents = Agents::start(&run);
    let mut viewers = Viewers::start(&run, &agents::tasks());
    let front = if arguments.storm { Some(join_sdks(&run, &mut viewers).await?) } else { None };
    arena.fleet.settle().await.context("once all tasks are known")?;
    let time = if arguments.storm || arguments.long { Duration::from_secs(60 * arguments.minutes) } else { Duration::ZERO };
    let raged = tokio::select! {
        raged = rage(arguments, seed, arena, time) => raged,
        () = come_late(&run, &mut viewers, time) => Ok(()),
    };
    // What was seen until then is compared all the same.
    if let Err(error) = &raged {
        println!("faults ended early: {error:#}");
        arena.heal().await.context("healing what was on")?;
    }
    let concluded = ending::conclude(arena, agents, viewers, None).await;
    if raged.is_err()
        && let Err(error) = &concluded
    {
        println!("and in the end: {error:#}");
    }
    let outcome = raged.and(concluded);
    drop(front);
    outcome
}

/// Faults, in the form that was asked for.
async fn rage(arguments: &Arguments, seed: u64, arena: &mut Arena, time: Duration) -> Result<()> {
    if arguments.storm {
        return lanes::storm(arena, seed, time).await;
    }
    let times = if arguments.long { Times::long() } else { Times::short() };
    let until_noticed = times.until_noticed;
    let mut plan = Plan::new(seed, arena.fleet.members.len(), arena.postgres.is_some(), times);
    arena.rage(&mut plan, until_noticed, time).await
}

/// A viewer by each SDK, through one address in front of all hubs.
async fn join_sdks(run: &Arc<Run>, viewers: &mut Viewers) -> Result<Front> {
    let front = Front::start(run.clone()).await?;
    for language in [Language::TypeScript, Language::Python] {
        let tasks = agents::tasks().into_iter().take(SDK_TASKS).collect();
        viewers.join_sdk(run, Sdk { language, hub: front.address(), tasks });
    }
    Ok(front)
}

/// Viewers that come late read everything from the start. In a run of `time` they come over most of it.
async fn come_late(run: &Arc<Run>, viewers: &mut Viewers, time: Duration) {
    for number in 1..=LATE_VIEWERS {
        sleep(LATE.max(time / LATE_PARTS)).await;
        let by_sse = number % 2 == 0;
        let tasks: Vec<_> = agents::tasks().into_iter().skip(number - 1).take(if by_sse { 1 } else { 3 }).collect();
        viewers.join(run, format!("late-{number}"), tasks, by_sse);
    }
    std::future::pending().await
}
