//! What many nodes would need, from what few nodes cost: costs are found from measured runs, checked against other runs, and put to a load that no
//! machine here carries.

mod costs;
mod measure;
mod scale;
mod scene;

use std::time::Duration;

use clap::Args;

use self::{
    costs::{ACCOUNTS, Account, Costs, commit_takes},
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
    /// Viewers, tasks and activities a second of the load to predict.
    #[arg(long, default_value_t = 1_000_000.0)]
    pub viewers: f64,
    #[arg(long, default_value_t = 100_000)]
    pub tasks: usize,
    #[arg(long, default_value_t = 100_000.0)]
    pub rate: f64,
}

/// The tasks of every measured run.
const TASKS: usize = 64;

/// Runs from which costs are found: nodes, way, activities a second, in a message, viewers of a task.
const CALIBRATION: [(usize, Way, f64, f64, f64); 14] = [
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
const CHECKS: [(usize, Way, f64, f64, f64); 10] = [
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
/// activities), a Postgres of 32 cores. Bytes of a viewer and of a task are those of docs/benchmarks.md and docs/scaling.md.
const MACHINES: Machines = Machines {
    node_cores: 4.0,
    busy: 0.6,
    sockets: 50_000.0,
    node_gib: 16.0,
    viewer_bytes: 4.4 * 1024.0,
    ring_bytes: 64.0 * 1024.0,
    task_bytes: 2.0 * 1024.0,
    postgres_cores: 32.0,
    row_bytes: 430.0,
};

pub async fn run(bench: &Bench, options: &Options) -> anyhow::Result<()> {
    let time = bench.seconds(options.seconds);
    let calibration = measured(bench, &CALIBRATION, time).await?;
    let checks = measured(bench, &CHECKS, time).await?;
    let of = |account: Account| calibration.iter().map(|run| (run.scene, run.of(account))).collect::<Vec<_>>();
    let takes = commit_takes(&of(Account::Commits));
    let costs: Vec<_> = ACCOUNTS.into_iter().map(|account| Costs::fit(account, &of(account), takes)).collect();
    tell_costs(&costs, takes);
    for (what, runs) in [("Runs that the costs are from", &calibration), ("Other runs", &checks)] {
        println!("{what}: measured, and by how much the model is above or below\n");
        tell_errors(runs, &costs, takes);
    }
    tell_need(options, &costs, takes);
    Ok(())
}

async fn measured(bench: &Bench, runs: &[(usize, Way, f64, f64, f64)], time: Duration) -> anyhow::Result<Vec<Run>> {
    let mut measured = Vec::new();
    for (nodes, way, rate, batch, viewers) in runs.iter().copied() {
        let scene = Scene { nodes, tasks: TASKS, rate, batch, way, viewers, watching: 1.0 };
        measured.push(measure(bench, &scene, time).await?);
        eprintln!("{:?}", measured.last());
    }
    Ok(measured)
}

fn tell_costs(costs: &[Costs], takes: f64) {
    println!("| account | cost of each |\n|---|---|");
    let any = Scene { nodes: 1, tasks: 1, rate: 1.0, batch: 1.0, way: Way::Redis, viewers: 1.0, watching: 1.0 };
    for Costs { account, of_each } in costs {
        let each = account.causes(&any, takes).into_iter().zip(of_each).map(|((name, _), cost)| match account {
            Account::Hubs | Account::Redis | Account::Postgres => format!("{name} {:.1} µs", cost * 1e6),
            Account::Commits => format!("{name} {cost:.2}"),
            Account::RedisIn | Account::RedisOut | Account::Wal => format!("{name} {cost:.0} bytes"),
        });
        println!("| {} | {} |", account.name(), each.collect::<Vec<_>>().join(" · "));
    }
    println!("\nA commit takes {:.1} ms. What a node costs is of each second.\n", takes * 1_000.0);
}

fn tell_errors(runs: &[Run], costs: &[Costs], takes: f64) {
    let names: Vec<_> = ACCOUNTS.iter().map(|account| account.name()).collect();
    println!("| nodes, way | {} |\n|---|{}", names.join(" | "), "---|".repeat(names.len()));
    let mut worst = vec![0.0_f64; names.len()];
    for run in runs {
        let Scene { nodes, way, rate, batch, viewers, .. } = run.scene;
        let mut line = format!("| {nodes}, {way:?}, {rate:.0}/s by {batch:.0}, {viewers:.0} viewers |");
        for (costs, worst) in costs.iter().zip(&mut worst) {
            let (measured, predicted) = (run.of(costs.account), costs.predict(&run.scene, takes));
            let error = (predicted / measured - 1.0) * 100.0;
            *worst = worst.max(error.abs());
            line.push_str(&format!(" {} {error:+.0} % |", amount(costs.account, measured)));
        }
        println!("{line}");
    }
    let worst: Vec<_> = worst.iter().map(|error| format!("{error:.0} %")).collect();
    println!("| **the largest error** | {} |\n", worst.join(" | "));
}

/// An amount of a second, with its unit.
fn amount(account: Account, value: f64) -> String {
    match account {
        Account::Hubs | Account::Redis | Account::Postgres => format!("{value:.3} cores"),
        Account::Commits => format!("{value:.0}/s"),
        Account::RedisIn | Account::RedisOut | Account::Wal => format!("{:.2} MB/s", value / 1e6),
    }
}

fn tell_need(options: &Options, costs: &[Costs], takes: f64) {
    println!("{:.0} viewers, {} tasks, {:.0} activities/s\n", options.viewers, options.tasks, options.rate);
    println!(
        "| how | nodes by CPU, sockets, memory | hubs | Redis: cores, shards, in, out | Postgres: cores, transactions, WAL, a day |\n|---|---|---|---|---|"
    );
    let viewers = options.viewers / options.tasks as f64;
    for (way, batch) in [(Way::Redis, 1.0), (Way::Redis, 10.0), (Way::Http, 1.0), (Way::Http, 10.0)] {
        let load = Scene { nodes: 1, tasks: options.tasks, rate: options.rate, batch, way, viewers, watching: 1.0 };
        for (how, together) in [("a task's viewers on one node", true), ("viewers anywhere", false)] {
            let placed = |scene: Scene| if together { scene } else { scene.spread() };
            let Need {
                by_cpu,
                by_sockets,
                by_memory,
                scene,
                hub_cores,
                hub_gib,
                redis_cores,
                redis_in,
                redis_out,
                postgres_cores,
                transactions,
                wal,
                a_day,
            } = &need(&load, placed, costs, takes, &MACHINES);
            let all = need(&load, placed, costs, takes, &MACHINES);
            println!(
                "| {way:?} by {batch:.0}, {how} | {by_cpu}, {by_sockets}, {by_memory}: **{}** | {hub_cores:.0} cores, {hub_gib:.0} GiB | {redis_cores:.1}, {} shards, {:.0} MB/s, {:.0} MB/s | {postgres_cores:.1} ({} servers of {:.0}), {transactions:.0}/s, {:.0} MB/s, {:.1} TB |",
                scene.nodes,
                all.shards(&MACHINES),
                redis_in / 1e6,
                redis_out / 1e6,
                all.postgres(&MACHINES),
                MACHINES.postgres_cores,
                wal / 1e6,
                a_day / 1e12
            );
        }
    }
}
