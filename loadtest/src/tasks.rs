//! Many tasks with one viewer each, and many on each socket: nothing is shared between the deliveries but the machinery. What a delivery
//! costs is what the threads that have the sockets compute. What the hub computes in all is told beside the same publishing without viewers.

use std::time::Duration;

use clap::Args;
use tokio::time::sleep;

use super::{
    bench::Bench,
    fanout::{self, DELIVERING, Server},
    publisher::{self, SETTLE},
    report::{Row, Target},
    server::Hub,
    viewers::{Transport, Viewer, Viewers},
};

#[derive(Debug, Clone, Args)]
pub struct Options {
    /// How many tasks.
    #[arg(long, default_value_t = 10_000)]
    pub tasks: usize,
    /// Activities a second, of all tasks together.
    #[arg(long, default_value_t = 2_000.0)]
    pub rate: f64,
    /// How many tasks a socket follows in the second case.
    #[arg(long, default_value_t = 50)]
    pub subscriptions: usize,
    /// How long, in seconds.
    #[arg(long, default_value_t = 10)]
    pub seconds: u64,
}

/// What a delivery may cost beside one to a thousand viewers of one task.
const LIMIT: Target = Target::AtMost(2.0);

/// How long the hub may rest when viewers have come or gone.
const REST: Duration = Duration::from_secs(2);

pub async fn run(bench: &Bench, options: &Options) -> anyhow::Result<Vec<Row>> {
    let one = fanout::Options { viewers: 1_000, rate: 200.0, batch: 1, seconds: options.seconds, hub_only: true };
    let reference = fanout::measure(bench, Server::HubWebSocket, &one).await?;
    let mut rows = Vec::new();
    for subscriptions in [1, options.subscriptions] {
        let Costs { without, with, delivering } = measure(bench, options, subscriptions).await?;
        let tasks = bench.count(options.tasks);
        let sockets = tasks.div_ceil(subscriptions);
        let in_turn = fanout::Options { viewers: sockets, rate: options.rate, ..one.clone() };
        let floor = fanout::measure(bench, Server::FloorInTurn, &in_turn).await?;
        let what = format!("{tasks} tasks on {sockets} sockets, {}/s in all", options.rate);
        rows.push(
            Row::new("3", format!("{what}: delivering threads' CPU per delivery"), delivering / reference.delivering, LIMIT)
                .measured(format!("{delivering:.1} µs"))
                .reference(format!("{:.2} µs to 1,000 viewers of one task", reference.delivering)),
        );
        rows.push(
            Row::new("3", format!("{what}: the same beside the floor's"), delivering / floor.cpu, Target::None)
                .measured(format!("{delivering:.1} µs"))
                .reference(format!(
                    "{:.1} µs, a thread that does nothing but one write(2) for each, to one socket after the other",
                    floor.cpu
                )),
        );
        rows.push(
            Row::new("3", format!("{what}: CPU with viewers and without"), with / without, Target::None)
                .measured(format!("{with:.0} µs an activity"))
                .reference(format!("{without:.0} µs, the same publishing without viewers")),
        );
    }
    Ok(rows)
}

/// The hub's processor time for an activity, in microseconds.
struct Costs {
    /// Without viewers: the mean of before they came and after they went.
    without: f64,
    with: f64,
    /// That of the delivering threads.
    delivering: f64,
}

async fn measure(bench: &Bench, options: &Options, subscriptions: usize) -> anyhow::Result<Costs> {
    let hub = Hub::start(&bench.binary)?;
    let tasks: Vec<_> = (0..bench.count(options.tasks)).map(|n| format!("t{n}")).collect();
    publisher::each(&hub, &tasks).await?;
    let time = bench.seconds(options.seconds);
    let publish = async || {
        let cpu = hub.process.cpu_seconds()?;
        let published = publisher::to_hub(&hub, &tasks, options.rate, 1, time).await?;
        anyhow::Ok((published, cpu))
    };
    let each = |(published, cpu)| anyhow::Ok((hub.process.cpu_seconds()? - cpu) * 1e6 / published as f64);
    let before = each(publish().await?)?;
    let following = tasks.chunks(subscriptions).map(|tasks| Viewer { tasks: tasks.to_vec(), ..Viewer::of("") }).collect();
    let viewers = Viewers::start(&hub.address, Transport::WebSocket, following).await?;
    // What connecting left to do must not count.
    sleep(REST).await;
    let delivering = hub.process.cpu_seconds_of(DELIVERING)?;
    let begun = publish().await?;
    viewers.wait_for(begun.0, SETTLE).await?;
    let delivering = (hub.process.cpu_seconds_of(DELIVERING)? - delivering) * 1e6 / begun.0 as f64;
    let with = each(begun)?;
    drop(viewers);
    sleep(REST).await;
    let after = each(publish().await?)?;
    Ok(Costs { without: f64::midpoint(before, after), with, delivering })
}
