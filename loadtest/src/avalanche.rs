//! Everybody is thrown out at once: a hub is killed, or stopped as by a deployment, under its viewers while it is published to, and started
//! again at the same address. All of them come back and go on after what they have seen: who is not back after a minute, or has not everything, fails the run.

use std::{
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::Duration,
};

use anyhow::ensure;
use clap::Args;
use tokio::time::{Instant, interval, sleep};
use uuid::Uuid;

use super::{
    bench::Bench,
    clock,
    publisher::data,
    report::{Row, Target},
    request::Connection,
    restarting::{Fault, Restarting},
    viewers::{
        millis,
        returning::{Habits, Patience, Returning},
        tally::Tally,
    },
};

#[derive(Debug, Clone, Args)]
pub struct Options {
    /// How many viewers.
    #[arg(long, default_value_t = 5_000)]
    pub viewers: usize,
    /// How the hub ends: each by itself.
    #[arg(long, value_enum, value_delimiter = ',', default_value = "kill,stop")]
    pub fault: Vec<Fault>,
    /// Viewers try again at once and four times a second, all together, instead of as clients do.
    #[arg(long)]
    pub herd: bool,
    /// With another node beside it, to which the viewers go; needs a Postgres and a Redis.
    #[arg(long)]
    pub beside: bool,
    /// On SQLite, although there are a Postgres and a Redis.
    #[arg(long)]
    pub sqlite: bool,
}

/// What was measured by others elsewhere, as they published it.
const PUBLISHED: &str = "published by AnyCable, measured there: Socket.IO 6.8 s, and 3.8 % never back";

/// As clients wait (`RECONNECT_FIRST`, `RECONNECT_MOST` of each of them).
const CLIENTS: Patience = Patience::Jitter { first: Duration::from_millis(250), most: Duration::from_secs(5) };
const HERD: Patience = Patience::None { again: Duration::from_millis(250) };

/// Activities a second.
const RATE: f64 = 2.0;

/// How long it is published before the fault.
const BEFORE: Duration = Duration::from_secs(5);

/// Who is not back by then never is.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long a publisher waits before it tries again.
const AGAIN: Duration = Duration::from_millis(100);

pub async fn run(bench: &Bench, options: &Options) -> anyhow::Result<Vec<Row>> {
    let mut rows = Vec::new();
    for fault in &options.fault {
        rows.extend(measure(bench, options, *fault).await?);
    }
    Ok(rows)
}

async fn measure(bench: &Bench, options: &Options, fault: Fault) -> anyhow::Result<Vec<Row>> {
    let count = bench.count(options.viewers);
    let mut hub = Restarting::start(bench, options.sqlite, options.beside).await?;
    publish(&hub.address, 0, clock::nanos()).await;
    let (epoch, _) = hub.log("load").await?;
    let patience = if options.herd { HERD } else { CLIENTS };
    let come = Duration::from_secs_f64(count as f64 / 2_000.0);
    let habits = Habits { task: "load".to_owned(), epoch, seen: 1, come, cuts: None, patience, scattered: false };
    let addresses: Vec<_> = std::iter::once(hub.address.as_str()).chain(hub.other.as_deref()).collect();
    let viewers = Returning::begin(&addresses, count, habits)?;
    all_live(&viewers, count, PATIENCE).await;
    ensure!(viewers.live() == count, "only {} of {count} viewers are live", viewers.live());
    let (published, stop) = (AtomicU64::new(0), AtomicBool::new(false));
    let address = hub.other.clone().unwrap_or_else(|| hub.address.clone());
    let publishing = async {
        let mut ticks = interval(Duration::from_secs_f64(1.0 / RATE));
        while !stop.load(Ordering::Relaxed) {
            ticks.tick().await;
            publish(&address, published.fetch_add(1, Ordering::Relaxed) as usize + 1, clock::nanos()).await;
        }
    };
    let falling = async {
        sleep(BEFORE).await;
        let began = Instant::now();
        let (took, hub) = tokio::task::spawn_blocking(move || (hub.restart(fault), hub)).await?;
        let (ended, started) = took?;
        let listens = began.elapsed();
        while viewers.tally().lost < count as u64 && began.elapsed() < PATIENCE {
            sleep(Duration::from_millis(5)).await;
        }
        all_live(&viewers, count, PATIENCE).await;
        let (all, cpu) = (began.elapsed(), hub.cpu_seconds()?);
        sleep(Duration::from_secs(2)).await;
        stop.store(true, Ordering::Relaxed);
        anyhow::Ok((hub, ended, started, listens, all, cpu))
    };
    let ((), fallen) = tokio::join!(publishing, falling);
    let (hub, ended, started, listens, all, cpu) = fallen?;
    let (_, head) = hub.log("load").await?;
    let expected = published.load(Ordering::Relaxed);
    ensure!(head == expected + 1, "{expected} were published, the log ends at {head}");
    let waited = Instant::now();
    while viewers.received() < expected * count as u64 && waited.elapsed() < PATIENCE {
        sleep(Duration::from_millis(20)).await;
    }
    let tally = viewers.tally();
    ensure!(tally.in_order(), "repeated, skipped or reset: {tally:?}");
    let (never, due) = (count - viewers.live(), expected * count as u64);
    let nodes = if options.beside { "one of two hubs" } else { "the hub" };
    let how = if fault == Fault::Kill { "killed (kill -9)" } else { "stopped (SIGTERM)" };
    let store = if options.sqlite || bench.services_if_any().is_none() { "SQLite" } else { "Postgres and Redis" };
    let seconds = |share| millis(&tally.downtime, share) / 1_000.0;
    let what = format!("{count} viewers, {nodes} on {store} is {how} and started again");
    let mut rows = Vec::from(back(&what, never, &tally, due, cpu));
    rows.push(
        Row::new("12", "the same: downtime of a viewer, until everything missed is there", seconds(0.99), Target::None).unit(" s").measured(format!(
            "p50 {:.2} s, p95 {:.2} s, p99 {:.2} s, max {:.2} s; the hub ended in {:.2} s, listened after {:.2} s more, everyone was back {:.2} s after that",
            seconds(0.5),
            seconds(0.95),
            seconds(0.99),
            seconds(1.0),
            ended.as_secs_f64(),
            started.as_secs_f64(),
            all.saturating_sub(listens).as_secs_f64()
        )),
    );
    Ok(rows)
}

/// Who and what came back, all of which must.
fn back(what: &str, never: usize, tally: &Tally, due: u64, cpu: f64) -> [Row; 2] {
    let share = tally.received as f64 / due as f64 * 100.0;
    let never_back = Row::new("12", format!("{what}: never back"), never as f64, Target::AtMost(0.0));
    let delivered = Row::new("12", "the same: share delivered", share, Target::AtLeast(100.0));
    [
        never_back
            .unit(" viewers")
            .measured(format!("{never}; {} tries in vain, {cpu:.2} s of the new hub's CPU", tally.failures))
            .reference(PUBLISHED)
            .required(),
        delivered.unit(" %").measured(format!("{share:.3} %: {} of {due}", tally.received)).required(),
    ]
}

/// Waits until all viewers are live.
async fn all_live(viewers: &Returning, count: usize, patience: Duration) {
    let began = Instant::now();
    while viewers.live() < count && began.elapsed() < patience {
        sleep(Duration::from_millis(5)).await;
    }
}

/// Publishes an activity until there is a receipt for it.
pub async fn publish(address: &str, number: usize, due: u64) {
    let (event, data) = (Uuid::now_v7(), data(due, number));
    let body = format!(r#"{{"invocationId":"load","type":"message","eventId":"{event}","data":{data}}}"#);
    loop {
        let published = async { Connection::open(address).await?.publish("load", body.as_bytes()).await }.await;
        match published {
            Ok(()) => return,
            // The receipt was lost with the hub.
            Err(error) if error.to_string().contains("stored before") => return,
            Err(_) => sleep(AGAIN).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::conclude;

    #[test]
    fn a_viewer_that_stays_away_and_a_lost_tail_fail() {
        let mut tally = Tally::new();
        tally.received = 1_000;
        assert!(conclude(&back("a hub", 0, &tally, 1_000, 0.1)).is_ok());
        assert!(conclude(&back("a hub", 1, &tally, 1_000, 0.1)).is_err());
        // The last activity never came: nothing is out of order.
        assert!(tally.in_order() && conclude(&back("a hub", 0, &tally, 1_001, 0.1)).is_err());
    }
}
