//! What many nodes would need, from what few nodes cost: costs are found from measured runs, checked against other runs, and put to a load that no
//! machine here carries.

mod costs;
mod measure;
mod record;
mod scale;
mod scene;

use std::{io::Write, path::PathBuf};

use anyhow::ensure;
use clap::Args;

use self::{
    costs::{ACCOUNTS, Account, Costs},
    measure::{Run, measure},
    scale::{Machines, Need, need},
    scene::{Scene, Way},
};
use super::bench::Bench;

#[derive(Debug, Clone, Args)]
pub struct Options {
    /// How long each run is measured, in seconds.
    #[arg(long, default_value_t = 8)]
    pub seconds: u64,
    /// How often all runs are measured; what is told of each is the mean.
    #[arg(long, default_value_t = 1)]
    pub passes: usize,
    /// A file to which measured runs are added.
    #[arg(long)]
    pub record: Option<PathBuf>,
    /// Nothing is measured: the runs are those of this file.
    #[arg(long)]
    pub recorded: Option<PathBuf>,
    /// Viewers, tasks and activities a second of the load to predict.
    #[arg(long, default_value_t = 1_000_000.0)]
    pub viewers: f64,
    #[arg(long, default_value_t = 100_000)]
    pub tasks: usize,
    #[arg(long, default_value_t = 100_000.0)]
    pub rate: f64,
}

/// How long a commit takes where a load is predicted, in seconds: a disk that is quick to sync, and a network between. Where it is measured, that counts.
const COMMIT: f64 = 0.002;

/// By how much less than planned may be published in a run: what is counted with is what was.
const SLOWER: f64 = 0.1;

/// By how much of what was measured the model may be off in a check; more, and what it says of other loads is not worth telling.
const MOST_OFF: f64 = 0.2;

/// How often a run is tried that did not go as it should.
const TRIES: usize = 4;

/// The tasks of every measured run.
const TASKS: usize = 64;

/// Runs from which costs are found.
const CALIBRATION: [Plan; 14] = [
    (1, Way::Redis, 300.0, 1.0, 2.0),
    (2, Way::Redis, 600.0, 1.0, 1.0),
    (4, Way::Redis, 300.0, 1.0, 4.0),
    (2, Way::Redis, 300.0, 1.0, 8.0),
    (1, Way::Redis, 800.0, 1.0, 8.0),
    (4, Way::Redis, 700.0, 1.0, 1.0),
    (1, Way::Redis, 4_000.0, 20.0, 1.0),
    (2, Way::Redis, 2_000.0, 10.0, 4.0),
    (4, Way::Redis, 4_000.0, 20.0, 2.0),
    (1, Way::Http, 400.0, 1.0, 2.0),
    (2, Way::Http, 800.0, 1.0, 4.0),
    (4, Way::Http, 400.0, 1.0, 1.0),
    (2, Way::Http, 4_000.0, 20.0, 1.0),
    (4, Way::Http, 3_000.0, 10.0, 4.0),
];

/// Other runs, against which the costs are checked.
const CHECKS: [Plan; 10] = [
    (1, Way::Redis, 500.0, 1.0, 4.0),
    (2, Way::Redis, 500.0, 1.0, 2.0),
    (4, Way::Redis, 500.0, 1.0, 2.0),
    (1, Way::Redis, 2_500.0, 10.0, 4.0),
    (2, Way::Redis, 3_000.0, 20.0, 2.0),
    (4, Way::Redis, 2_000.0, 10.0, 3.0),
    (1, Way::Http, 600.0, 1.0, 1.0),
    (2, Way::Http, 500.0, 1.0, 2.0),
    (4, Way::Http, 600.0, 1.0, 3.0),
    (4, Way::Http, 2_000.0, 10.0, 2.0),
];

/// Machines of the prediction: nodes of 4 cores and 16 GiB that may be 60 % busy and take 50,000 connections, rings of 64 KiB (a hundred
/// activities), a Postgres of 32 cores. What runs with few viewers cannot show is from docs/benchmarks.md: a write to one of 10,000 sockets in turn, an
/// idle viewer, its memory; and from docs/scaling.md: the memory of a task.
const MACHINES: Machines = Machines {
    node_cores: 4.0,
    busy: 0.6,
    sockets: 50_000.0,
    node_gib: 16.0,
    viewer_bytes: 4.4 * 1024.0,
    ring_bytes: 64.0 * 1024.0,
    task_bytes: 2.0 * 1024.0,
    cold_write: 20.2e-6,
    idle_viewer: 0.73e-6,
    postgres_cores: 32.0,
    row_bytes: 530.0,
};

pub async fn run(bench: &Bench, options: &Options) -> anyhow::Result<()> {
    let runs = match &options.recorded {
        Some(file) => std::fs::read_to_string(file)?.lines().map(record::parse).collect::<anyhow::Result<Vec<_>>>()?,
        None => measured(bench, options).await?,
    };
    let (calibration, checks): (Vec<_>, Vec<_>) =
        runs.into_iter().partition(|run| CALIBRATION.iter().any(|plan| is_of(plan, run)));
    let of = |account: Account| calibration.iter().map(|run| (run.scene, run.of(account))).collect::<Vec<_>>();
    let costs: Vec<_> = ACCOUNTS.into_iter().map(|account| Costs::fit(account, &of(account))).collect();
    tell_costs(&costs);
    println!("Runs that the costs are from: measured, and by how much the model is above or below\n");
    tell_errors(&CALIBRATION, &calibration, &costs);
    println!("Other runs: measured, and by how much the model is above or below\n");
    let errors = tell_errors(&CHECKS, &checks, &costs);
    tell_need(options, &costs);
    let wrong = wrong(&errors);
    ensure!(
        wrong.is_empty(),
        "the model is more than {:.0} % off, or there is no run to check it by: {}",
        MOST_OFF * 100.0,
        wrong.join("; ")
    );
    Ok(())
}

/// Those that are further off than they may be, and those of which nothing is known.
fn wrong(errors: &[(String, f64)]) -> Vec<String> {
    let far = errors.iter().filter(|(_, error)| !error.is_finite() || MOST_OFF < error.abs());
    far.map(|(what, error)| format!("{what}: {:+.0} %", error * 100.0)).collect()
}

/// A run that is measured: nodes, way, activities a second, in a message, viewers of a task.
type Plan = (usize, Way, f64, f64, f64);

/// Whether a run is one of this plan: it may be a little slower.
fn is_of((nodes, way, rate, batch, viewers): &Plan, Run { scene, .. }: &Run) -> bool {
    (scene.nodes, scene.way, scene.batch, scene.viewers) == (*nodes, *way, *batch, *viewers)
        && (scene.rate / rate - 1.0).abs() < SLOWER
}

async fn measured(bench: &Bench, options: &Options) -> anyhow::Result<Vec<Run>> {
    let (time, mut measured) = (bench.seconds(options.seconds), Vec::new());
    let all = CALIBRATION.iter().chain(&CHECKS);
    for plan in std::iter::repeat_n(all, options.passes).flatten() {
        let (nodes, way, rate, batch, viewers) = *plan;
        let scene = Scene { nodes, tasks: TASKS, rate, batch, way, viewers, watching: 1.0, commit: COMMIT };
        let mut run = measure(bench, &scene, time).await;
        for _ in 1..TRIES {
            // Where a node lost its membership for want of a processor, others heard its messages, too: that is another load.
            let Err(error) = &run else { break };
            eprintln!("once more: {error:#}");
            run = measure(bench, &scene, time).await;
        }
        let run = run?;
        ensure!(is_of(plan, &run), "this machine cannot publish {rate} a second: {:?}", run.scene);
        eprintln!("{}", record::line(&run));
        if let Some(file) = &options.record {
            writeln!(std::fs::OpenOptions::new().create(true).append(true).open(file)?, "{}", record::line(&run))?;
        }
        measured.push(run);
    }
    Ok(measured)
}

fn tell_costs(costs: &[Costs]) {
    println!("| account | cost of each |\n|---|---|");
    let any = Scene { nodes: 1, tasks: 1, rate: 1.0, batch: 1.0, way: Way::Redis, viewers: 1.0, watching: 1.0, commit: COMMIT };
    for Costs { account, of_each } in costs {
        let each = account.causes(&any).into_iter().zip(of_each).map(|((name, _), cost)| match account {
            Account::Hubs | Account::Redis | Account::Postgres => format!("{name} {:.1} µs", cost * 1e6),
            Account::Commits => format!("{name} {cost:.2}"),
            Account::RedisIn | Account::RedisOut | Account::Wal => format!("{name} {cost:.0} bytes"),
        });
        println!("| {} | {} |", account.name(), each.collect::<Vec<_>>().join(" · "));
    }
    println!("\nWhat a node costs is of each second.\n");
}

/// Prints what was measured and by which share of it the model is off; gives the latter with the names of row and column.
fn tell_errors(plans: &[Plan], runs: &[Run], costs: &[Costs]) -> Vec<(String, f64)> {
    let names: Vec<_> = ACCOUNTS.iter().map(|account| account.name()).collect();
    println!("| nodes, way, a commit | {} |\n|---|{}", names.join(" | "), "---|".repeat(names.len()));
    let (mut worst, mut errors) = (vec![0.0_f64; names.len()], Vec::new());
    for plan in plans {
        let runs: Vec<_> = runs.iter().filter(|run| is_of(plan, run)).collect();
        let mean = |of: &dyn Fn(&Run) -> f64| runs.iter().map(|run| of(run)).sum::<f64>() / runs.len() as f64;
        let (nodes, way, rate, batch, viewers) = plan;
        let commit = mean(&|run| run.scene.commit) * 1_000.0;
        let plan = format!("{nodes}, {way:?}, {rate:.0}/s by {batch:.0}, {viewers:.0} viewers");
        let mut line = format!("| {plan}, {commit:.1} ms |");
        for (costs, worst) in costs.iter().zip(&mut worst) {
            let (measured, predicted) = (mean(&|run| run.of(costs.account)), mean(&|run| costs.predict(&run.scene)));
            let error = predicted / measured - 1.0;
            *worst = worst.max(error.abs());
            line.push_str(&format!(" {} {:+.0} % |", amount(costs.account, measured), error * 100.0));
            errors.push((format!("{plan}, {}", costs.account.name()), error));
        }
        println!("{line}");
    }
    let worst: Vec<_> = worst.iter().map(|error| format!("{:.0} %", error * 100.0)).collect();
    println!("| **the largest error** | {} |\n", worst.join(" | "));
    errors
}

/// An amount of a second, with its unit.
fn amount(account: Account, value: f64) -> String {
    match account {
        Account::Hubs | Account::Redis | Account::Postgres => format!("{value:.3} cores"),
        Account::Commits => format!("{value:.0}/s"),
        Account::RedisIn | Account::RedisOut | Account::Wal => format!("{:.2} MB/s", value / 1e6),
    }
}

fn tell_need(options: &Options, costs: &[Costs]) {
    println!("{:.0} viewers, {} tasks, {:.0} activities/s\n", options.viewers, options.tasks, options.rate);
    println!(
        "| how | nodes by CPU, sockets, memory | hubs | Redis: cores, shards, in, out | Postgres: cores, commits, WAL, a day, ends at |\n|---|---|---|---|---|"
    );
    let viewers = options.viewers / options.tasks as f64;
    for (way, batch) in [(Way::Redis, 1.0), (Way::Redis, 10.0), (Way::Http, 1.0), (Way::Http, 10.0)] {
        let load =
            Scene { nodes: 1, tasks: options.tasks, rate: options.rate, batch, way, viewers, watching: 1.0, commit: COMMIT };
        for (how, together) in [("a task's viewers on one node", true), ("viewers anywhere", false)] {
            let all = need(&load, |scene| if together { scene } else { scene.spread() }, costs, &MACHINES);
            println!("| {way:?} by {batch:.0}, {how} | {} |", needs(&all));
        }
    }
}

/// The cells of a line.
fn needs(all: &Need) -> String {
    let nodes = format!("{}, {}, {}: **{}**", all.by_cpu, all.by_sockets, all.by_memory, all.scene.nodes);
    let hubs = format!("{:.0} cores, {:.0} GiB", all.hub_cores, all.hub_gib);
    let (redis_in, redis_out) = (all.redis_in / 1e6, all.redis_out / 1e6);
    let redis = format!("{:.1}, {}, {redis_in:.0} MB/s, {redis_out:.0} MB/s", all.redis_cores, all.shards(&MACHINES));
    let postgres = format!(
        "{:.1}, {:.0}/s, {:.0} MB/s, {:.1} TB, {:.0}/s",
        all.postgres_cores,
        all.commits,
        all.wal / 1e6,
        all.a_day / 1e12,
        all.postgres_ends
    );
    format!("{nodes} | {hubs} | {redis} | {postgres}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_check_that_is_far_off_or_was_not_run_is_named() {
        let errors = [("near", 0.2), ("below", -0.21), ("none", f64::NAN), ("above", 3.0)];
        let errors = errors.map(|(name, error)| (name.to_owned(), error));
        assert_eq!(wrong(&errors), ["below: -21 %", "none: NaN %", "above: +300 %"]);
    }

    #[test]
    fn each_check_and_account_is_judged() {
        let costs: Vec<_> = ACCOUNTS.into_iter().map(|account| Costs::fit(account, &[])).collect();
        // Nothing was measured: nothing is known of any of them.
        let errors = tell_errors(&CHECKS, &[], &costs);
        assert_eq!(wrong(&errors).len(), CHECKS.len() * ACCOUNTS.len());
    }
}
