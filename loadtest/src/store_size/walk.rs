//! The walk: everything that two hubs ask the store on the hot path and beside it, in the same order and with the same numbers on every store, one thing
//! after the other, so that calls can be compared. It is walked twice: what is only done once is not counted.

use std::time::Duration;

use anyhow::{Context, ensure};
use serde_json::Value;
use sqlx::{Connection, PgConnection};
use tokio::time::{Instant, sleep};

use super::{
    Options, Store,
    fill::{OF_MIDDLING, Shape},
    statements::{self, Statement},
};
use crate::{
    api::Api,
    bench::Bench,
    publisher::data,
    request::Connection as Publisher,
    server::{Hub, Socket},
    services::Services,
};

/// How often each thing is done; when all must be quick, a fifth as often.
const OFTEN: u64 = 200;
const SELDOM: u64 = 25;
const QUICK: u64 = 5;

/// Activities of a request.
const BATCH: u64 = 10;

/// To how many of the middling tasks is published; to those behind them, other things are done.
const MIDDLING: u64 = 8;

/// What is left of a task that retention trims.
const KEPT: u64 = 100;

/// A run that was silent for so long is lost.
const ORPHANED: Duration = Duration::from_secs(9);

/// How long what comes by itself is waited for, and how long it has to come a few times.
const PATIENCE: Duration = Duration::from_secs(60);
const ROUNDS: Duration = Duration::from_secs(6);

pub async fn run(bench: &Bench, options: &Options, store: &Store) -> anyhow::Result<Vec<Statement>> {
    ensure!(4 * options.again + 4 + MIDDLING < store.shape.middling, "too few tasks: let the small store be larger");
    let services = bench.services()?;
    let prefix = format!("load{:08x}:", rand::random::<u32>());
    let rules = format!("[{{label = \"trim\", max_activities = {KEPT}}}]");
    let orphaned = format!("{}s", ORPHANED.as_secs());
    let settings = [
        ("TASKLIGHT__BROKER__URL", services.redis.as_str()),
        ("TASKLIGHT__BROKER__PREFIX", &prefix),
        ("TASKLIGHT__RETENTION__RULES", &rules),
        ("TASKLIGHT__RETENTION__INTERVAL", "1s"),
        ("TASKLIGHT__RECONCILER__INTERVAL", "1s"),
        ("TASKLIGHT__RECONCILER__ORPHAN_AFTER", &orphaned),
        ("TASKLIGHT__CLUSTER__LEASE_TIMEOUT", "3s"),
        ("TASKLIGHT__RECONCILER__HEARTBEAT_STALLED_AFTER", "3s"),
        ("TASKLIGHT__RECONCILER__STALLED_AFTER", "5s"),
        ("TASKLIGHT__HUB__RESYNC_INTERVAL", "1s"),
        ("TASKLIGHT__WRITER__HEARTBEAT_INTERVAL", "1s"),
        ("TASKLIGHT__INGEST__IDLE_TIMEOUT", "2s"),
    ];
    let hubs = [Hub::start_node(&bench.binary, &store.url, &settings)?, Hub::start_node(&bench.binary, &store.url, &settings)?];
    for hub in &hubs {
        while !hub.is_well().await? {
            sleep(Duration::from_millis(50)).await;
        }
    }
    let mut database = PgConnection::connect(&store.url).await?;
    statements::begin(&mut database).await?;
    let time = format!("{:06x}", rand::random::<u32>() >> 8);
    let api = Api::of(&hubs[0].address);
    let (shape, again, less) = (store.shape, options.again, if bench.quick { QUICK } else { 1 });
    let (often, seldom) = (OFTEN / less, SELDOM / less);
    let mut walk = Walk { hubs: &hubs, shape, again, often, seldom, time, pass: 0, chance: 7, api };
    walk.all(services, &prefix, &mut database).await.context("the walk before")?;
    walk.pass = 1;
    walk.all(services, &prefix, &mut database).await
}

struct Walk<'a> {
    hubs: &'a [Hub; 2],
    shape: Shape,
    again: u64,
    often: u64,
    seldom: u64,
    /// What names begin with that this time, and this store, has not seen.
    time: String,
    pass: u64,
    /// The state of what chooses places: the same ones each time.
    chance: u64,
    api: Api,
}

impl Walk<'_> {
    /// What each part's statements touched.
    async fn all(&mut self, services: &Services, prefix: &str, database: &mut PgConnection) -> anyhow::Result<Vec<Statement>> {
        let mut all = Vec::new();
        statements::begin(database).await?;
        let viewers = self.watch().await?;
        all.extend(statements::taken(database, "joining").await?);
        self.publish().await.context("publishing")?;
        all.extend(statements::taken(database, "publishing").await?);
        self.publish_again().await.context("publishing what is stored")?;
        all.extend(statements::taken(database, "publishing again").await?);
        self.over_redis(services, prefix).await.context("publishing over Redis")?;
        all.extend(statements::taken(database, "over Redis").await?);
        self.read().await.context("reading")?;
        all.extend(statements::taken(database, "reading").await?);
        self.read_filtered().await.context("reading with filters")?;
        all.extend(statements::taken(database, "reading with filters").await?);
        self.search().await.context("searching")?;
        all.extend(statements::taken(database, "searching").await?);
        self.list().await.context("listing")?;
        all.extend(statements::taken(database, "listing").await?);
        self.change().await.context("changing")?;
        all.extend(statements::taken(database, "changing").await?);
        self.fall_silent().await.context("falling silent")?;
        drop(viewers);
        // Heads are compared, leases are renewed, retention and the reconciler look around.
        sleep(ROUNDS).await;
        all.extend(statements::taken(database, "by itself").await?);
        Ok(all)
    }

    /// What is made in this pass has this in its name.
    fn name(&self) -> String {
        format!("{}{}", self.time, self.pass)
    }

    /// A place in a log of this length.
    fn place(&mut self, length: u64) -> u64 {
        self.chance = self.chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        1 + (self.chance >> 33) % length
    }

    /// Viewers join on both hubs, at the end and in the middle of logs.
    async fn watch(&self) -> anyhow::Result<Vec<Socket>> {
        let mut sockets = Vec::new();
        for number in 0..self.seldom {
            let hub = &self.hubs[usize::try_from(number % 2)?];
            sockets.push(hub.follow(&format!("m{}", number % MIDDLING)).await?);
            sockets.push(hub.follow("huge").await?);
            sockets.push(hub.follow(&format!("later-{}-{number}", self.name())).await?);
        }
        Ok(sockets)
    }

    async fn publish(&self) -> anyhow::Result<()> {
        let (pass, mut publisher) = (self.name(), Publisher::open(&self.hubs[0].address).await?);
        for number in 0..self.often {
            publisher.publish("huge", body(&format!("a{pass}"), BATCH, &[]).as_bytes()).await?;
            publisher.publish("runs", body(&format!("b{pass}"), BATCH, &[]).as_bytes()).await?;
            // Runs that begin and end.
            let run = format!("c{pass}-{number}");
            publisher
                .publish(&format!("m{}", number % MIDDLING), body(&run, BATCH, &["running", "completed"]).as_bytes())
                .await?;
            publisher.publish(&format!("new-{pass}-{number}"), body("r", BATCH, &["running", "failed"]).as_bytes()).await?;
        }
        // Of two that write the same log in turn, neither remembers how it stands. A connection that waits for long is closed.
        let mut publishers = [publisher, Publisher::open(&self.hubs[1].address).await?];
        for number in 0..self.often {
            let publisher = &mut publishers[usize::try_from(number % 2)?];
            publisher.publish("huge", body(&format!("d{pass}"), BATCH, &[]).as_bytes()).await?;
            publisher.publish(&format!("m{}", number / 2 % MIDDLING), body(&format!("e{pass}"), BATCH, &[]).as_bytes()).await?;
        }
        for number in 0..self.seldom {
            let beat = format!(r#"{{"invocationId":"d{pass}","type":"heartbeat"}}"#);
            publishers[usize::try_from(number % 2)?].publish("huge", beat.as_bytes()).await?;
        }
        // Everything that was begun here ends, or the reconciler would be asked of it later.
        for (task, run) in [("huge", "a"), ("huge", "d"), ("runs", "b")] {
            publishers[0].publish(task, body(&format!("{run}{pass}"), 1, &["completed"]).as_bytes()).await?;
        }
        for number in 0..MIDDLING {
            publishers[0].publish(&format!("m{number}"), body(&format!("e{pass}"), 1, &["completed"]).as_bytes()).await?;
        }
        Ok(())
    }

    /// What was stored long ago comes again with its ids.
    async fn publish_again(&mut self) -> anyhow::Result<()> {
        for number in 0..self.seldom {
            let (task, length) = if number % 2 == 0 {
                ("huge".to_owned(), self.shape.huge)
            } else {
                (format!("m{}", number % MIDDLING), OF_MIDDLING)
            };
            let after = self.place(length - 100);
            let page = self.page(&task, &format!("limit=20&after={}", self.cursor(&task, after).await?)).await?;
            let again: Vec<_> = page["activities"].as_array().context("activities")?.iter().map(again).collect();
            let answer = self.api.post(&format!("/v1/tasks/{task}/activities"), &format!("[{}]", again.join(","))).await?;
            let results = answer["results"].as_array().context("results")?;
            ensure!(results.len() == 20 && results.iter().all(|result| result["duplicate"] == true), "stored twice: {answer}");
        }
        Ok(())
    }

    async fn over_redis(&self, services: &Services, prefix: &str) -> anyhow::Result<()> {
        let mut redis = services.redis().await?;
        let pass = self.name();
        let tasks: Vec<_> =
            (0..self.seldom).map(|n| format!("wire-{pass}-{n}")).chain(["huge".to_owned(), "m0".to_owned()]).collect();
        for task in &tasks {
            let announced = format!(r#"{{"taskId":"{task}"}}"#);
            let _: u64 = redis::cmd("PUBLISH").arg(format!("{prefix}tasks")).arg(announced).query_async(&mut redis).await?;
        }
        for number in 0..4_u64 {
            for task in &tasks {
                let message = body(&format!("f{pass}"), BATCH, if number == 3 { &["completed"] } else { &[] });
                let began = Instant::now();
                loop {
                    let heard: u64 = redis::cmd("PUBLISH")
                        .arg(format!("{prefix}task:{task}"))
                        .arg(array(&message))
                        .query_async(&mut redis)
                        .await?;
                    if heard != 0 {
                        break;
                    }
                    ensure!(began.elapsed() < PATIENCE, "nobody listens to {task}");
                    sleep(Duration::from_millis(10)).await;
                }
            }
        }
        for task in &tasks {
            self.until(async || {
                Ok(self
                    .api
                    .get(&format!("/v1/tasks/{task}/invocations/f{pass}"))
                    .await
                    .is_ok_and(|run| run["status"] == "completed"))
            })
            .await?;
        }
        Ok(())
    }

    /// A task, and a place in its log.
    async fn somewhere(&mut self, number: u64) -> anyhow::Result<(String, String)> {
        let (task, length) = if number.is_multiple_of(2) {
            ("huge".to_owned(), self.shape.huge)
        } else {
            (format!("m{}", number % MIDDLING), OF_MIDDLING)
        };
        let at = self.place(length);
        let cursor = self.cursor(&task, at).await?;
        Ok((task, cursor))
    }

    async fn read(&mut self) -> anyhow::Result<()> {
        for number in 0..self.often {
            let (task, cursor) = self.somewhere(number).await?;
            self.page(&task, &format!("limit=100&after={cursor}")).await?;
            self.page(&task, &format!("limit=100&before={cursor}")).await?;
        }
        Ok(())
    }

    /// Of a type of which there may be none in millions.
    async fn read_filtered(&mut self) -> anyhow::Result<()> {
        for number in 0..self.seldom {
            let (task, cursor) = self.somewhere(number).await?;
            for way in ["after", "before"] {
                self.page(&task, &format!("limit=100&{way}={cursor}&type=error")).await?;
                self.page(&task, &format!("limit=100&{way}={cursor}&invocation=r0")).await?;
                self.page(&task, &format!("limit=100&{way}={cursor}&series=final")).await?;
            }
        }
        Ok(())
    }

    async fn search(&mut self) -> anyhow::Result<()> {
        for number in 0..self.seldom {
            let (task, cursor) = self.somewhere(number).await?;
            self.api.get(&format!("/v1/tasks/{task}/search?q=zzz&after={cursor}")).await?;
        }
        Ok(())
    }

    async fn list(&self) -> anyhow::Result<()> {
        for number in 0..self.seldom {
            let mut page = String::new();
            for _ in 0..2 {
                let tasks = self.api.get(&format!("/v1/tasks?limit=10{page}")).await?;
                page = format!("&page={}", tasks["next"].as_str().context("a second page")?);
            }
            self.api.get("/v1/tasks?limit=10&status=completed").await?;
            self.api.get("/v1/tasks?limit=10&status=running").await?;
            for task in ["huge", "runs", &format!("m{}", number % MIDDLING)] {
                self.api.get(&format!("/v1/tasks/{task}")).await?;
                self.api.get(&format!("/v1/tasks/{task}/invocations")).await?;
                self.api.get(&format!("/v1/tasks/{task}/invocations/r0")).await?;
            }
            self.api.get("/v1/rates?task=huge&task=m0&task=m1").await?;
        }
        Ok(())
    }

    /// Titles and labels; retention trims what has the label, and tasks are deleted.
    async fn change(&self) -> anyhow::Result<()> {
        let pass = self.name();
        for number in 0..self.seldom {
            let task = format!("new-{pass}-{number}");
            self.api.patch(&format!("/v1/tasks/{task}"), r#"{"title":"another","labels":{"of":"the walk"}}"#).await?;
            self.api.delete(&format!("/v1/tasks/{task}")).await?;
        }
        let trimmed = format!("m{}", MIDDLING + 4 * self.again + self.pass);
        self.api.patch(&format!("/v1/tasks/{trimmed}"), r#"{"labels":{"trim":"now"}}"#).await?;
        self.until(async || Ok(self.hubs[0].task(&trimmed).await?["floor"].as_u64() == Some(OF_MIDDLING - KEPT + 1))).await?;
        self.api.delete(&format!("/v1/tasks/m{}", MIDDLING + 4 * self.again + 2 + self.pass)).await
    }

    /// Runs of which nothing is heard any more.
    async fn fall_silent(&self) -> anyhow::Result<()> {
        let (pass, mut publisher) = (self.name(), Publisher::open(&self.hubs[0].address).await?);
        let tasks: Vec<_> =
            (0..self.seldom).map(|n| if n % 2 == 0 { "huge".to_owned() } else { format!("m{}", n % MIDDLING) }).collect();
        for (number, task) in tasks.iter().enumerate() {
            publisher.publish(task, body(&format!("silent-{pass}-{number}"), 2, &["running"]).as_bytes()).await?;
        }
        for (number, task) in tasks.iter().enumerate() {
            let run = format!("/v1/tasks/{task}/invocations/silent-{pass}-{number}");
            self.until(async || Ok(self.api.get(&run).await?["status"] == "lost")).await?;
        }
        Ok(())
    }

    async fn page(&self, task: &str, query: &str) -> anyhow::Result<Value> {
        self.api.get(&format!("/v1/tasks/{task}/activities?{query}")).await
    }

    async fn cursor(&self, task: &str, offset: u64) -> anyhow::Result<String> {
        let described = self.hubs[0].task(task).await?;
        Ok(format!("{}-{offset}", described["epoch"].as_str().context("an epoch")?))
    }

    async fn until(&self, mut done: impl AsyncFnMut() -> anyhow::Result<bool>) -> anyhow::Result<()> {
        let began = Instant::now();
        while !done().await? {
            ensure!(began.elapsed() < PATIENCE, "it does not happen");
            sleep(Duration::from_millis(500)).await;
        }
        Ok(())
    }
}

/// So many activities of a run, with ids, between its first status and its last one, where there are any.
fn body(run: &str, count: u64, statuses: &[&str]) -> String {
    let mut lines = Vec::new();
    let id = || uuid::Uuid::now_v7();
    let status =
        |word: &str| format!(r#"{{"invocationId":"{run}","type":"status","eventId":"{}","data":{{"status":"{word}"}}}}"#, id());
    let messages = count.saturating_sub(statuses.len() as u64);
    lines.extend(statuses.first().filter(|word| **word == "running").map(|word| status(word)));
    for number in 0..messages {
        let data = data(0, usize::try_from(number).unwrap_or_default());
        lines.push(format!(r#"{{"invocationId":"{run}","type":"message","eventId":"{}","data":{data}}}"#, id()));
    }
    lines.extend(statuses.last().filter(|word| **word != "running").map(|word| status(word)));
    lines.join("\n")
}

/// Lines as an array, as messages over Redis are.
fn array(lines: &str) -> String {
    format!("[{}]", lines.replace('\n', ","))
}

/// A stored activity as it was published.
fn again(activity: &Value) -> String {
    let Value::Object(fields) = activity else { return "null".to_owned() };
    let wanted = ["invocationId", "type", "eventId", "timestamp", "data"];
    let fields: Vec<_> = wanted.iter().map(|name| format!("\"{name}\":{}", fields[*name])).collect();
    format!("{{{}}}", fields.join(","))
}
