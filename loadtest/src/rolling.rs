//! A rolling restart: three hubs on one Postgres and one Redis, viewers with bad connections at all of them, and one hub after the other is
//! stopped, as by a deployment, and started again. Nothing may be missing, and those that a hub sends away may not come back in a crowd.

use std::{
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::Duration,
};

use anyhow::{Context, ensure};
use clap::Args;
use tokio::time::{Instant, interval, sleep};

use super::{
    avalanche::publish,
    bench::Bench,
    clock,
    jitter::cut_again,
    report::{Row, Target},
    restarting::{Fault, Restarting},
    viewers::{
        millis,
        returning::{Cuts, Habits, Patience, Returning},
        tally::Tally,
    },
};

#[derive(Debug, Clone, Args)]
pub struct Options {
    /// How many viewers.
    #[arg(long, default_value_t = 10_000)]
    pub viewers: usize,
    /// Activities a second.
    #[arg(long, default_value_t = 2.0)]
    pub rate: f64,
}

const HUBS: usize = 3;

/// When viewers are cut, in seconds.
const FIRST_CUT: std::ops::Range<f64> = 5.0..20.0;
const CUT_EVERY: std::ops::Range<f64> = 15.0..20.0;
const AWAY: std::ops::Range<f64> = 1.5..2.5;

/// Over which time a thousand viewers come at the beginning.
const COME_EACH_THOUSAND: Duration = Duration::from_millis(600);

/// How long all is left alone before the first stop and after the last one.
const QUIET: Duration = Duration::from_secs(10);

/// From one stop to the next: until those who were sent away are back (`session.drain_spread` and `session.reconnect_window`, 5 s each).
const APART: Duration = Duration::from_secs(12);

/// How long viewers may take to come, a hub to be well, or all to have everything.
const SETTLE: Duration = Duration::from_secs(60);

/// Those who come back within so long are a crowd if they are more than this share of all who were sent away.
const MOMENT: u64 = 500_000_000;
const CROWD: f64 = 10.0;

/// One stop: when, in nanoseconds, and how long it took to end and to listen again.
struct Stop {
    at: u64,
    ended: Duration,
    started: Duration,
}

pub async fn run(bench: &Bench, options: &Options) -> anyhow::Result<Vec<Row>> {
    let (url, _) = bench.services()?.database().await?;
    let mut hubs = start(bench, &url).await?;
    let addresses: Vec<String> = hubs.iter().map(|hub| hub.address.clone()).collect();
    publish(&addresses[0], 0, clock::nanos()).await;
    let (epoch, _) = hubs[0].log("load").await?;
    let count = bench.count(options.viewers);
    let viewers = begin(&addresses, count, epoch)?;
    let began = Instant::now();
    while viewers.live() < count && viewers.tally().cuts == 0 {
        ensure!(began.elapsed() < SETTLE, "only {} of {count} viewers are live", viewers.live());
        sleep(Duration::from_millis(20)).await;
    }
    let (published, over) = (AtomicU64::new(0), AtomicBool::new(false));
    let publishing = async {
        let mut ticks = interval(Duration::from_secs_f64(1.0 / options.rate));
        while !over.load(Ordering::Relaxed) {
            ticks.tick().await;
            let number = published.fetch_add(1, Ordering::Relaxed) as usize;
            publish_somewhere(&addresses, number, clock::nanos()).await;
        }
    };
    let restarting = async {
        let stops = one_by_one(&mut hubs).await;
        over.store(true, Ordering::Relaxed);
        stops
    };
    let ((), stops) = tokio::join!(publishing, restarting);
    let (stops, published) = (stops?, published.load(Ordering::Relaxed));
    let (_, head) = hubs[0].log("load").await?;
    ensure!(head == published + 1, "{published} were published, the log ends at {head}");
    let ended = Instant::now();
    while viewers.received() < published * count as u64 && ended.elapsed() < SETTLE {
        sleep(Duration::from_millis(20)).await;
    }
    let tally = viewers.tally();
    ensure!(tally.in_order(), "repeated, skipped or reset: {tally:?}");
    told(&tally, count, published, &stops)
}

async fn start(bench: &Bench, url: &str) -> anyhow::Result<Vec<Restarting>> {
    let settings = vec![
        ("TASKLIGHT__HTTP__CONNECTIONS", "30000".to_owned()),
        ("TASKLIGHT__LIMITS__CONNECTIONS_PER_ADDRESS", "0".to_owned()),
        ("TASKLIGHT__BROKER__URL", bench.services()?.redis.clone()),
        ("TASKLIGHT__BROKER__PREFIX", format!("load{:08x}:", rand::random::<u32>())),
    ];
    let mut hubs = Vec::new();
    for _ in 0..HUBS {
        let hub = Restarting::on(bench, url, settings.clone())?;
        well(&hub).await?;
        hubs.push(hub);
    }
    Ok(hubs)
}

async fn well(hub: &Restarting) -> anyhow::Result<()> {
    let began = Instant::now();
    while !hub.is_well().await? {
        ensure!(began.elapsed() < SETTLE, "a hub does not become well");
        sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}

fn begin(addresses: &[String], count: usize, epoch: String) -> anyhow::Result<Returning> {
    let come = COME_EACH_THOUSAND.mul_f64(count as f64 / 1_000.0);
    let until = come + QUIET * 2 + APART * u32::try_from(HUBS)?;
    let cuts = Cuts { first: FIRST_CUT, then: CUT_EVERY, away: AWAY, until };
    let patience = Patience::Jitter { first: Duration::from_millis(250), most: Duration::from_secs(5) };
    let addresses: Vec<_> = addresses.iter().map(String::as_str).collect();
    let habits = Habits { task: "load".to_owned(), epoch, seen: 1, come, cuts: Some(cuts), patience, scattered: true };
    Returning::begin(&addresses, count, habits)
}

/// Publishes at one hub after the other; one that is away is passed over by the next try of `publish`.
async fn publish_somewhere(addresses: &[String], number: usize, due: u64) {
    for address in addresses.iter().cycle().skip(number) {
        if tokio::net::TcpStream::connect(address).await.is_ok() {
            return publish(address, number + 1, due).await;
        }
    }
}

async fn one_by_one(hubs: &mut Vec<Restarting>) -> anyhow::Result<Vec<Stop>> {
    let mut stops = Vec::new();
    sleep(QUIET).await;
    for _ in 0..HUBS {
        let (began, at) = (Instant::now(), clock::nanos());
        let mut hub = hubs.remove(0);
        let (took, hub) = tokio::task::spawn_blocking(move || (hub.restart(Fault::Stop), hub)).await?;
        let (ended, started) = took?;
        well(&hub).await?;
        hubs.push(hub);
        stops.push(Stop { at, ended, started });
        tokio::time::sleep_until(began + APART).await;
    }
    sleep(QUIET).await;
    Ok(stops)
}

/// Of those who came back between two moments: how many, and the most of them within half a second.
fn crowd(returns: &[u64], from: u64, to: u64) -> (usize, usize) {
    let mut returns: Vec<u64> = returns.iter().copied().filter(|at| from <= *at && *at < to).collect();
    returns.sort_unstable();
    let within = |first: usize| returns.partition_point(|at| *at < returns[first] + MOMENT) - first;
    (returns.len(), (0..returns.len()).map(within).max().unwrap_or_default())
}

fn told(tally: &Tally, count: usize, published: u64, stops: &[Stop]) -> anyhow::Result<Vec<Row>> {
    let expected = published * count as u64;
    let share = tally.received as f64 / expected as f64 * 100.0;
    let quantiles =
        |times| format!("p50 {:.1} ms, p99 {:.1} ms, max {:.1} ms", millis(times, 0.5), millis(times, 0.99), millis(times, 1.0));
    let mut rows = vec![
        Row::new(
            "13",
            format!("{count} viewers cut every 15 to 20 s, {HUBS} hubs stopped in turn: share delivered"),
            share,
            Target::AtLeast(100.0),
        )
        .unit(" %")
        .measured(format!(
            "{share:.3} %: {} of {expected}, {} cuts, {} sent away, {} repeated, {} skipped, {} tries in vain",
            tally.received,
            tally.cuts,
            tally.sent_away.len(),
            tally.repeated,
            tally.skipped,
            tally.failures
        ))
        .required(),
        Row::new(
            "13",
            "the same: from the first packet after the time away until everything missed is there, or the viewer is cut again, p99",
            millis(&tally.replay, 0.99) / 1e3,
            Target::AtMost(2.0),
        )
        .unit(" s")
        .measured(format!("{} of {} returns", quantiles(&tally.replay), tally.returns + tally.cut_again)),
        cut_again("13", tally),
        Row::new("13", "from publish to viewer, to those who are live", millis(&tally.live, 0.99), Target::None)
            .unit(" ms")
            .measured(quantiles(&tally.live)),
    ];
    for (number, stop) in stops.iter().enumerate() {
        let next = stops.get(number + 1).map_or(u64::MAX, |stop| stop.at);
        let (back, most) = crowd(&tally.sent_away, stop.at, next);
        let share = Some(most as f64 / back as f64 * 100.0).filter(|share| share.is_finite()).context("nobody was sent away")?;
        rows.push(
            Row::new(
                "13",
                format!("hub {}: of those sent away, back within the fullest half second", number + 1),
                share,
                Target::AtMost(CROWD),
            )
            .unit(" %")
            .measured(format!(
                "{most} of {back}; it ended in {:.2} s and listened {:.2} s later",
                stop.ended.as_secs_f64(),
                stop.started.as_secs_f64()
            )),
        );
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::conclude;

    #[test]
    fn a_lost_tail_fails() {
        let mut tally = Tally::new();
        tally.received = 1_000;
        assert!(conclude(&told(&tally, 10, 100, &[]).unwrap()).is_ok());
        assert!(conclude(&told(&tally, 10, 101, &[]).unwrap()).is_err());
    }

    #[test]
    fn a_crowd_is_the_most_within_half_a_second() {
        let returns = [5, 0, 1, 499_999_999, 500_000_000, 2_000_000_000];
        assert_eq!(crowd(&returns, 0, u64::MAX), (6, 4));
        assert_eq!(crowd(&returns, 1, 1_000_000_000), (4, 4));
        assert_eq!(crowd(&returns, 3_000_000_000, u64::MAX), (0, 0));
    }
}
