//! Viewers with bad connections: each is cut without a word every 15 seconds or so, for two seconds or so, while a task is published to. What has
//! not come when everybody had a minute is lost, and the run fails. The shape is that of AnyCable's public benchmark of real-time servers; the way of the tutorials stands beside it in the same run.

use std::time::Duration;

use anyhow::{Context, ensure};
use clap::Args;
use tokio::time::{Instant, sleep};

use super::{
    bench::Bench,
    publisher,
    report::{Row, Target},
    server::{Hub, Process, Reference},
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
    /// How many activities, two a second.
    #[arg(long, default_value_t = 120)]
    pub messages: usize,
    /// Activities a second.
    #[arg(long, default_value_t = 2.0)]
    pub rate: f64,
    /// Only Tasklight, without the way of the tutorials.
    #[arg(long)]
    pub hub_only: bool,
    /// On SQLite, although there are a Postgres and a Redis.
    #[arg(long)]
    pub sqlite: bool,
}

/// What was measured by others elsewhere, as they published it: the share delivered, and the p99 of all deliveries.
const PUBLISHED: &str = "published by AnyCable, measured there on 32 cores: Socket.IO 84.6 %, uWebSockets 87.0 %, socketioxide 91.6 %, \
                         Socket.IO with recovery 100 %, AnyCable 100 %";
const PUBLISHED_REPLAY: &str = "published: Socket.IO with recovery 4.6 s, AnyCable 6.1 s, of all deliveries";

/// When viewers are cut, in seconds: the published shape.
const FIRST_CUT: std::ops::Range<f64> = 5.0..20.0;
const CUT_EVERY: std::ops::Range<f64> = 15.0..20.0;
const AWAY: std::ops::Range<f64> = 1.5..2.5;

/// Over which time viewers come at the beginning: a thousand in so long.
const COME_EACH_THOUSAND: Duration = Duration::from_millis(600);

/// How long everybody may take to come, or to have everything at the end.
const SETTLE: Duration = Duration::from_secs(60);

/// How long a server without recovery is waited for when everybody is back: more than what it has sent already does not come.
const REST: Duration = Duration::from_secs(2);

/// What becomes of what was published while a viewer was away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lost {
    Replayed,
    Gone,
}

/// A server under this load.
struct Run {
    tally: Tally,
    expected: u64,
    /// Its processor time while activities were published, in cores.
    cores: f64,
    back: usize,
}

pub async fn run(bench: &Bench, options: &Options) -> anyhow::Result<Vec<Row>> {
    let count = bench.count(options.viewers);
    let hub = match bench.services_if_any().filter(|_| !options.sqlite) {
        Some(services) => {
            let (url, _) = services.database().await?;
            let prefix = format!("load{:08x}:", rand::random::<u32>());
            let broker = [("TASKLIGHT__BROKER__URL", services.redis.as_str()), ("TASKLIGHT__BROKER__PREFIX", &prefix)];
            Hub::start_node(&bench.binary, &url, &broker)?
        }
        None => Hub::start(&bench.binary)?,
    };
    while !hub.is_well().await? {
        sleep(Duration::from_millis(20)).await;
    }
    publisher::one(&hub, "load").await?;
    let epoch = hub.task("load").await?["epoch"].as_str().context("an epoch")?.to_owned();
    let (messages, time) = (options.messages, Duration::from_secs_f64(options.messages as f64 / options.rate));
    let viewers = begin(&hub.address, count, (epoch, 1), time)?;
    let ours = load(&viewers, (count, messages), Lost::Replayed, &hub.process, async || {
        publisher::to_hub(&hub, &["load".to_owned()], options.rate, 1, time).await
    })
    .await?;
    ensure!(ours.tally.in_order(), "repeated, skipped or reset: {:?}", ours.tally);
    drop(viewers);
    let mut rows = told(&ours, count, messages);
    if !options.hub_only {
        let server = Reference::start(&["tutorial"])?;
        let viewers = begin(&server.address, count, ("none".to_owned(), 0), time)?;
        let theirs = load(&viewers, (count, messages), Lost::Gone, &server.process, async || {
            publisher::to_reference(&server.publisher, options.rate, 1, 1, time).await
        })
        .await?;
        let (share, lost) = (theirs.share() * 100.0, theirs.expected - theirs.tally.received);
        rows.push(
            Row::new("11", format!("the way of the tutorials, the same {count} viewers: share delivered"), share, Target::None)
                .unit(" %")
                .measured(format!("{share:.2} %, {lost} lost, {:.2} cores", theirs.cores)),
        );
    }
    Ok(rows)
}

fn begin(address: &str, count: usize, (epoch, seen): (String, u64), time: Duration) -> anyhow::Result<Returning> {
    let come = COME_EACH_THOUSAND.mul_f64(count as f64 / 1_000.0);
    let cuts = Cuts { first: FIRST_CUT, then: CUT_EVERY, away: AWAY, until: come + REST + time };
    let patience = Patience::Jitter { first: Duration::from_millis(250), most: Duration::from_secs(5) };
    Returning::begin(
        &[address],
        count,
        Habits { task: "load".to_owned(), epoch, seen, come, cuts: Some(cuts), patience, scattered: false },
    )
}

/// Publishes while viewers come and go, and waits until everybody has everything, or, where that never comes, is back for long enough.
async fn load(
    viewers: &Returning,
    (count, messages): (usize, usize),
    lost: Lost,
    server: &Process,
    publish: impl AsyncFnOnce() -> anyhow::Result<u64>,
) -> anyhow::Result<Run> {
    let began = Instant::now();
    while viewers.live() < count {
        ensure!(began.elapsed() < SETTLE, "only {} of {count} viewers are live; {:?}", viewers.live(), viewers.tally().failures);
        if viewers.tally().cuts != 0 {
            // Whoever came first has been cut before the last one came: nearly all are there.
            break;
        }
        sleep(Duration::from_millis(20)).await;
    }
    let (began, cpu) = (Instant::now(), server.cpu_seconds()?);
    let published = publish().await?;
    ensure!(published.abs_diff(messages as u64) <= 1, "{published} were published");
    let cores = (server.cpu_seconds()? - cpu) / began.elapsed().as_secs_f64();
    let (ended, expected) = (Instant::now(), published * count as u64);
    let mut back_since = None;
    while viewers.received() < expected && ended.elapsed() < SETTLE {
        let back_for = (viewers.live() == count).then(|| back_since.get_or_insert_with(Instant::now).elapsed());
        if lost == Lost::Gone && back_for.is_some_and(|time| REST < time) {
            break;
        }
        sleep(Duration::from_millis(20)).await;
    }
    Ok(Run { tally: viewers.tally(), expected, cores, back: viewers.live() })
}

impl Run {
    fn share(&self) -> f64 {
        self.tally.received as f64 / self.expected as f64
    }
}

/// Returns that were cut again before everything missed was there.
pub fn cut_again(number: &'static str, tally: &Tally) -> Row {
    let what = "of these returns, cut again before everything missed was there";
    Row::new(number, what, tally.cut_again as f64, Target::None).unit(" returns").measured(tally.cut_again.to_string())
}

fn told(run: &Run, count: usize, messages: usize) -> Vec<Row> {
    let Run { tally, expected, cores, back } = run;
    let what = format!("{count} viewers, each cut every 15 to 20 s for 2 s, {messages} activities");
    let p99 = millis(&tally.replay, 0.99) / 1_000.0;
    let quantiles =
        |times| format!("p50 {:.1} ms, p99 {:.1} ms, max {:.1} ms", millis(times, 0.5), millis(times, 0.99), millis(times, 1.0));
    vec![
        Row::new("11", format!("{what}: share delivered"), run.share() * 100.0, Target::AtLeast(100.0))
            .unit(" %")
            .measured(format!(
                "{:.3} %: {} of {expected}, {} cuts, {} repeated, {} skipped, {} connections lost, {} tries in vain, {back} back at the end, {cores:.2} cores",
                run.share() * 100.0,
                tally.received,
                tally.cuts,
                tally.repeated,
                tally.skipped,
                tally.lost,
                tally.failures
            ))
            .reference(PUBLISHED)
            .required(),
        Row::new(
            "11",
            "the same: replay, from the first packet after the time away until everything missed is there, or the viewer is cut again, p99",
            p99,
            Target::AtMost(1.0),
        )
        .unit(" s")
        .measured(format!("{} of {} returns", quantiles(&tally.replay), tally.returns + tally.cut_again)),
        cut_again("11", tally),
        Row::new("11", "the same from the subscription on", millis(&tally.resume, 0.99), Target::None)
            .unit(" ms")
            .measured(quantiles(&tally.resume)),
        Row::new("11", "from publish to viewer, all deliveries, with the time away", millis(&tally.delivery, 0.99), Target::None)
            .unit(" ms")
            .measured(quantiles(&tally.delivery))
            .reference(PUBLISHED_REPLAY),
        Row::new("11", "from publish to viewer, to those who are live", millis(&tally.live, 0.99), Target::None)
            .unit(" ms")
            .measured(quantiles(&tally.live)),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::conclude;

    #[test]
    fn a_lost_tail_fails_and_a_slow_replay_does_not() {
        let mut tally = Tally::new();
        (tally.received, tally.returns) = (1_000, 1);
        tally.replay.saturating_record(Duration::from_secs(9).as_nanos() as u64);
        let run = |expected: u64| Run { tally: tally.clone(), expected, cores: 0.1, back: 10 };
        assert!(conclude(&told(&run(1_000), 10, 100)).is_ok());
        let failed = conclude(&told(&run(1_001), 10, 100)).expect_err("one is missing").to_string();
        assert!(failed.contains("1000 of 1001"), "{failed}");
    }
}
