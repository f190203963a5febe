//! Publishing at a rate while viewers watch and come, pages are read and tasks are listed: what an activity costs the hub and Postgres, and how long each
//! of these takes. Small and large store have their turns one after the other, so that what is compared is from the same minutes.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use anyhow::ensure;
use futures_util::future::try_join_all;
use rand::RngExt;
use sqlx::{Connection, PgConnection};
use tokio::{
    sync::Mutex,
    time::{Instant, MissedTickBehavior, interval, sleep},
};

use super::{Options, Store, account::Postmaster, fill::OF_MIDDLING};
use crate::{
    api::Api,
    bench::Bench,
    clock,
    publisher::{Pace, SETTLE, data},
    quantile,
    request::Connection as Publisher,
    server::Hub,
    viewers::{Transport, Viewer, Viewers},
};

/// Publishers, and activities of a request.
const LANES: usize = 16;
const BATCH: usize = 5;

/// Of the middling tasks so many are published to; so many are made anew in each turn.
const MIDDLING: usize = 8;
const NEW: usize = 8;

/// How many watch each of them.
const VIEWERS: usize = 2;

/// How often a second pages are read, tasks listed, logs joined.
const PAGES: u64 = 20;
const LISTS: u64 = 5;
const JOINS: u64 = 5;

/// By how much more of a processor an activity may take in the large store. How long things take is told only: it is what the disk and its cache make of it.
const CPU_GROWTH: f64 = 1.5;

/// What a turn cost and how long things took, in milliseconds, sorted.
pub struct Figures {
    activities: f64,
    hub: f64,
    postgres: f64,
    publish: Vec<f64>,
    pages: Vec<f64>,
    lists: Vec<f64>,
    joins: Vec<f64>,
}

pub async fn run(bench: &Bench, options: &Options, store: &Store, turn: usize) -> anyhow::Result<Figures> {
    let hub = Hub::start_node(&bench.binary, &store.url, &[])?;
    let mut database = PgConnection::connect(&store.url).await?;
    let postmaster = Postmaster::of(&mut database).await?;
    let turn = format!("{turn}-{:06x}", rand::random::<u32>() >> 8);
    let new = (0..NEW).map(|n| format!("turn-{turn}-{n}"));
    let tasks: Vec<_> =
        ["huge".to_owned(), "runs".to_owned()].into_iter().chain((0..MIDDLING).map(|n| format!("m{n}"))).chain(new).collect();
    publish(&hub, options.rate, &tasks, &turn, sleep(Duration::from_secs(2))).await?;
    let watching = tasks.iter().flat_map(|task| vec![Viewer::of(task); VIEWERS]).collect();
    let viewers = Viewers::start(&hub.address, Transport::WebSocket, watching).await?;
    let over = AtomicBool::new(false);
    let (cpu, server) = (hub.process.cpu_seconds()?, postmaster.cpu_seconds()?);
    let measured = async {
        let published = publish(&hub, options.rate, &tasks, &turn, sleep(bench.seconds(options.seconds))).await;
        over.store(true, Ordering::Relaxed);
        published
    };
    let (published, pages, lists, joins) =
        tokio::join!(measured, pages(&hub, store, &over), lists(&hub, &over), joins(&hub, &tasks, &over));
    let publish = published?;
    let activities = (publish.len() * BATCH) as f64;
    let (hub_used, server_used) = (hub.process.cpu_seconds()? - cpu, postmaster.cpu_seconds()? - server);
    viewers.wait_for((publish.len() * BATCH * VIEWERS) as u64, SETTLE).await?;
    let sorted = |mut took: Vec<f64>| {
        took.sort_by(f64::total_cmp);
        took
    };
    Ok(Figures {
        activities,
        hub: hub_used * 1e6 / activities,
        postgres: server_used * 1e6 / activities,
        publish: sorted(publish),
        pages: sorted(pages?),
        lists: sorted(lists?),
        joins: sorted(joins?),
    })
}

/// Publishes until `work` is done; gives how long each request took from when it was due.
async fn publish(hub: &Hub, rate: f64, tasks: &[String], turn: &str, work: impl Future<Output = ()>) -> anyhow::Result<Vec<f64>> {
    let (over, pace) = (&AtomicBool::new(false), &Mutex::new((Pace::new(rate / BATCH as f64), 0_usize)));
    let lanes = (0..LANES).map(|_| async move {
        let (mut connection, mut took) = (Publisher::open(&hub.address).await?, Vec::new());
        while !over.load(Ordering::Relaxed) {
            let (due, number) = {
                let mut turn = pace.lock().await;
                turn.1 += 1;
                (turn.0.tick().await, turn.1)
            };
            let one = |n| {
                let (event, data) = (uuid::Uuid::now_v7(), data(due, n));
                format!(r#"{{"invocationId":"turn-{turn}-{}","type":"message","eventId":"{event}","data":{data}}}"#, number / 200)
            };
            let body: Vec<_> = (0..BATCH).map(one).collect();
            connection.publish(&tasks[number % tasks.len()], body.join("\n").as_bytes()).await?;
            took.push((clock::nanos() - due) as f64 / 1e6);
        }
        anyhow::Ok(took)
    });
    let work = async {
        work.await;
        over.store(true, Ordering::Relaxed);
    };
    let (took, ()) = tokio::join!(try_join_all(lanes), work);
    Ok(took?.concat())
}

/// Does something so often a second until it is over; gives how long each took.
async fn often(
    per_second: u64,
    over: &AtomicBool,
    mut work: impl AsyncFnMut(u64) -> anyhow::Result<()>,
) -> anyhow::Result<Vec<f64>> {
    let (mut ticks, mut took) = (interval(Duration::from_secs(1) / u32::try_from(per_second)?), Vec::new());
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut number = 0;
    while !over.load(Ordering::Relaxed) {
        ticks.tick().await;
        let began = Instant::now();
        work(number).await?;
        took.push(began.elapsed().as_secs_f64() * 1_000.0);
        number += 1;
    }
    Ok(took)
}

/// Pages of a hundred, from anywhere in the huge log and the middling ones.
async fn pages(hub: &Hub, store: &Store, over: &AtomicBool) -> anyhow::Result<Vec<f64>> {
    let api = Api::of(&hub.address);
    let epoch = hub.task("huge").await?["epoch"].as_str().unwrap_or_default().to_owned();
    often(PAGES, over, async |number| {
        let (task, length) = if number % 2 == 0 {
            ("huge".to_owned(), store.shape.huge)
        } else {
            let middling = rand::rng().random_range(0..store.shape.middling);
            (format!("m{middling}"), OF_MIDDLING)
        };
        let after = rand::rng().random_range(0..length - 100);
        // All middling logs were made with one epoch, and so was the huge one.
        let page =
            api.ask(reqwest::Method::GET, &format!("/v1/tasks/{task}/activities?limit=100&after={epoch}-{after}"), "").await?;
        // Of those that the walk went over, some are deleted and some are trimmed.
        anyhow::ensure!(page.0.is_success() || matches!(page.0.as_u16(), 404 | 410), "{task}: {} {}", page.0, page.1);
        Ok(())
    })
    .await
}

async fn lists(hub: &Hub, over: &AtomicBool) -> anyhow::Result<Vec<f64>> {
    let api = Api::of(&hub.address);
    often(LISTS, over, async |_| api.get("/v1/tasks?limit=50").await.map(drop)).await
}

/// From a new connection to being live.
async fn joins(hub: &Hub, tasks: &[String], over: &AtomicBool) -> anyhow::Result<Vec<f64>> {
    often(JOINS, over, async |number| hub.follow(&tasks[usize::try_from(number)? % tasks.len()]).await.map(drop)).await
}

/// Prints the turns of both stores beside each other, the median turn of each figure; fails if an activity takes more of a processor in the large one.
pub fn judge(small: &Store, large: &Store) -> anyhow::Result<()> {
    println!("| what | {} activities | {} | ratio |\n|---|---|---|---|", small.shape.activities(), large.shape.activities());
    let row = |name: &str, unit: &str, of: &dyn Fn(&Figures) -> f64| {
        let [small, large] = [small, large].map(|store| {
            let mut turns: Vec<_> = store.figures.iter().map(of).collect();
            turns.sort_by(f64::total_cmp);
            turns.get(turns.len() / 2).copied().unwrap_or(f64::NAN)
        });
        println!("| {name} | {small:.2} {unit} | {large:.2} {unit} | {:.2} |", large / small);
        (name.to_owned(), large / small)
    };
    let cpu = [
        row("the hub's CPU per activity, with pages, lists and joins", "µs", &|f| f.hub),
        row("Postgres's CPU per activity, with all that", "µs", &|f| f.postgres),
    ];
    let times = |name: &str, of: fn(&Figures) -> &[f64]| {
        for (word, share) in [("p50", 0.5), ("p99", 0.99)] {
            row(&format!("{name}, {word}"), "ms", &|f| quantile(of(f), share));
        }
    };
    times("publish to receipt", |f| &f.publish);
    times("a page of 100 from anywhere", |f| &f.pages);
    times("the list of tasks", |f| &f.lists);
    times("from connecting to being live", |f| &f.joins);
    row("activities published in a turn", "", &|f| f.activities);
    let dearer = dearer(&cpu);
    ensure!(dearer.is_empty(), "more than {CPU_GROWTH} times as much in the large store: {}", dearer.join("; "));
    Ok(())
}

/// What takes too much more, or is not known.
fn dearer(ratios: &[(String, f64)]) -> Vec<String> {
    let dearer = ratios.iter().filter(|(_, ratio)| !ratio.is_finite() || CPU_GROWTH < *ratio);
    dearer.map(|(name, ratio)| format!("{name} ({ratio:.2})")).collect()
}

#[cfg(test)]
mod tests {
    use super::dearer;

    #[test]
    fn what_takes_half_as_much_again_or_is_not_known_fails() {
        let ratios = [("flat", 1.02), ("near", 1.5), ("dear", 1.51), ("unknown", f64::NAN)];
        let ratios = ratios.map(|(name, ratio)| (name.to_owned(), ratio));
        assert_eq!(dearer(&ratios), ["dear (1.51)", "unknown (NaN)"]);
    }
}
