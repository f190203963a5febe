//! Runs that nobody hears of any more, on a hub that runs: who is lost, who is not, who sees it, and who comes back.

use std::time::Duration;

use serde_json::{Value, json};
use tasklight::{
    config::Settings,
    model::Timestamp,
    store::{Append, Attempt, Heartbeat, LeaseRow, Store},
};
use tokio::time::timeout;

use crate::{
    harness::{PATIENCE, TestHub},
    proxy::{Cut, Proxy},
    services::{Database, execute_on, postgres_database, prefix, redis_url},
    store_contract::{activity, task},
    viewer::Viewer,
};

/// A hub that looks often, and where its store is.
pub struct Watched {
    hub: TestHub,
    url: String,
    _database: Option<Database>,
}

pub fn impatient(settings: &mut Settings) {
    settings.reconciler.interval = "50ms".parse().expect("a duration");
    settings.cluster.lease_timeout = "600ms".parse().expect("a duration");
}

impl Watched {
    async fn on_sqlite() -> Self {
        let hub = TestHub::start_with(impatient).await;
        let url = format!("sqlite://{}", hub.database().display());
        Self { hub, url, _database: None }
    }

    async fn on_postgres() -> Self {
        let database = postgres_database().await;
        let url = database.url();
        let hub = TestHub::start_with(|settings| {
            impatient(settings);
            settings.store.url = url.clone();
        })
        .await;
        Self { hub, url, _database: Some(database) }
    }

    fn store(&self) -> &Store {
        self.hub.node().store()
    }

    /// What a run said so many minutes ago.
    async fn said(&self, run: &str, minutes: u64, kind: &str, data: &str) {
        said(self.store(), run, minutes, kind, data).await;
    }

    /// As if a hub had listened for years.
    async fn has_listened(&self) {
        until_held(self.store(), |_| true).await;
        execute_on(&self.url, "UPDATE leases SET since = 1").await;
    }

    /// How the run stands, by the API.
    async fn run(&self, id: &str) -> Value {
        self.hub.get(&format!("/v1/tasks/t/invocations/{id}")).await.1
    }

    async fn until_run_is(&self, id: &str, status: &str) -> Value {
        let there = async {
            loop {
                let run = self.run(id).await;
                if run["status"] == status {
                    return run;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(PATIENCE, there).await.unwrap_or_else(|_| panic!("{id} never became {status}"))
    }

    async fn until_metric(&self, line: &str) {
        until_metric(&self.hub.node().admin_address().to_string(), line).await;
    }
}

/// What a run of the task `t` said so many minutes ago, told to the store alone.
pub async fn said(store: &Store, run: &str, minutes: u64, kind: &str, data: &str) {
    let mut append: Append = activity("t", &format!(r#"{{"invocationId":"{run}","type":"{kind}","data":{data}}}"#));
    append.activity.activity.received_at = Timestamp::now().minus(Duration::from_secs(60 * minutes));
    append.activity.activity.timestamp = append.activity.activity.received_at;
    store.append(&[append], Attempt::First).await.expect("it is stored");
}

/// Waits until the reconciler's lease is held by whom it should be.
pub async fn until_held(store: &Store, wanted: impl Fn(&LeaseRow) -> bool) -> LeaseRow {
    until_lease(store, |row| row.holder.is_some() && wanted(row)).await
}

pub async fn until_lease(store: &Store, wanted: impl Fn(&LeaseRow) -> bool) -> LeaseRow {
    let there = async {
        loop {
            let (rows, _) = store.leases().await.expect("it reads");
            if let Some(row) = rows.into_iter().find(|row| row.name == "reconciler" && wanted(row)) {
                return row;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(PATIENCE, there).await.expect("the lease comes to whom it should")
}

/// Waits until this line is in `/metrics`.
pub async fn until_metric(admin: &str, line: &str) {
    let there = async {
        loop {
            let answer = reqwest::get(format!("http://{admin}/metrics")).await.expect("an answer");
            if answer.text().await.expect("text").lines().any(|metric| metric == line) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(PATIENCE, there).await.unwrap_or_else(|_| panic!("{line} never came"));
}

async fn a_silent_run_is_lost_before_viewers_eyes_and_comes_back(w: Watched) {
    w.said("silent", 31, "message", r#"{"text":"and then"}"#).await;
    w.said("speaks", 29, "message", r#"{"text":"still here"}"#).await;
    w.said("beats", 300, "tool_call", "{}").await;
    let invocation = "beats".parse().expect("valid");
    let beat = Heartbeat { task: task("t"), invocation, at: Timestamp::now().minus(Duration::from_secs(60)) };
    w.store().heartbeats(&[beat]).await.expect("it is noted");
    w.said("imported", 300, "status", r#"{"status":"running","backfilled":true}"#).await;
    w.said("queued", 300, "status", r#"{"status":"pending"}"#).await;
    w.said("forgotten", 1_441, "status", r#"{"status":"pending"}"#).await;
    let mut viewer = Viewer::subscribe(w.hub.address(), "t", json!({"after": "start"})).await;
    viewer.until("live").await;
    let mut list = Viewer::connect(w.hub.address()).await;
    list.say(json!({"op": "subscribe", "list": "tasks"})).await;
    list.until("live").await;
    w.until_metric("tasklight_runs_stalled{reason=\"tool\"} 1").await;
    assert_eq!(w.run("silent").await["status"], "running", "the hub has only just begun to listen");

    w.has_listened().await;
    let mut lost = viewer.activities(2).await;
    lost.sort_by_key(|activity| activity["invocationId"].to_string());
    let told: Vec<_> = lost.iter().map(|activity| (&activity["invocationId"], &activity["data"])).collect();
    let reason = |span: &str| json!({"status": "lost", "reason": format!("nothing was heard for {span}")});
    let expected = [(json!("forgotten"), reason("1day")), (json!("silent"), reason("30m"))];
    assert_eq!(told, expected.iter().map(|(run, data)| (run, data)).collect::<Vec<_>>());
    let counted = async {
        loop {
            let told = list.next().await;
            if told["op"] == "task" && told["invocationCounts"]["lost"] == 2 {
                return told;
            }
        }
    };
    let told = timeout(PATIENCE, counted).await.expect("the list tells it");
    assert_eq!((&told["status"], &told["invocationCounts"]["running"]), (&json!("running"), &json!(3)));
    for (run, status) in [
        ("silent", "lost"),
        ("forgotten", "lost"),
        ("speaks", "running"),
        ("beats", "running"),
        ("imported", "running"),
        ("queued", "pending"),
    ] {
        assert_eq!(w.run(run).await["status"], status, "{run}");
    }
    let silent = w.run("silent").await;
    assert!(silent["completedAt"].is_number() && silent["reason"] == "nothing was heard for 30m", "{silent}");
    w.until_metric("tasklight_runs_reconciled_total{outcome=\"lost\"} 2").await;

    let back = json!({"invocationId": "silent", "type": "message", "data": {"text": "back"}});
    assert_eq!(w.hub.post("t", back).await.0, 200);
    assert_eq!(viewer.texts(1).await, ["back"]);
    let silent = w.run("silent").await;
    assert_eq!((&silent["status"], &silent["completedAt"], &silent["reason"]), (&json!("running"), &Value::Null, &Value::Null));
    let log = w.hub.log("t").await;
    assert_eq!(log.len(), 9, "each was said once");
}

async fn an_end_that_is_only_in_the_log_is_put_into_the_row(mut w: Watched) {
    w.said("r", 20, "message", "{}").await;
    let end = r#"{"status":"failed","exitCode":2,"reason":"no space left"}"#;
    w.said("r", 10, "status", end).await;
    w.said("late", 40, "status", r#"{"status":"completed"}"#).await;
    w.said("late", 39, "message", r#"{"text":"a last word"}"#).await;
    assert_eq!(w.run("r").await["status"], "failed");
    assert!(w.hub.stop().await, "it stops by itself");
    // As rows are that were put back from a copy older than the log.
    let older = "UPDATE invocations SET status = 'running', completed_at = NULL, exit_code = NULL, reason = NULL; \
                 UPDATE tasks SET status = 'running', running = 2, failed = 0, completed = 0";
    execute_on(&w.url, older).await;
    w.hub.start_again().await;
    let run = w.until_run_is("r", "failed").await;
    assert_eq!((&run["exitCode"], &run["reason"]), (&json!(2), &json!("no space left")));
    let ended = run["completedAt"].as_u64().expect("a time");
    assert!(ended < Timestamp::now().minus(Duration::from_secs(590)).as_millis(), "it ended when it ended: {run}");
    assert_eq!(w.run("late").await["status"], "running", "its end is not the last that it said, and it may still speak");
    w.has_listened().await;
    w.until_run_is("late", "completed").await;
    let (_, told) = w.hub.get("/v1/tasks/t").await;
    assert_eq!(
        (&told["status"], &told["invocationCounts"]),
        (&json!("completed"), &json!({"completed": 1, "failed": 1})),
        "{told}"
    );
    let log = w.hub.log("t").await;
    let ends: Vec<_> = log.iter().filter(|said| said["type"] == "status").map(|said| said["data"]["status"].clone()).collect();
    assert_eq!(ends, ["failed", "completed", "failed", "completed"], "what the end was is said again, and nothing else");
}

async fn who_could_not_be_heard_has_all_the_time_again(mut w: Watched) {
    w.has_listened().await;
    assert!(w.hub.stop().await, "it stops by itself");
    w.hub.start_again().await;
    let held = until_held(w.store(), |row| 1 < row.token).await;
    assert_eq!(held.since.as_millis(), 1, "a short stop is none");
    assert!(w.hub.stop().await, "it stops by itself");
    // Everything was away for an hour: the hubs, or the database.
    let hour_ago = Timestamp::now().minus(Duration::from_secs(3_600)).as_millis();
    execute_on(&w.url, &format!("UPDATE leases SET expires_at = {hour_ago}")).await;
    w.hub.start_again().await;
    w.said("r", 61, "message", "{}").await;
    let held = until_held(w.store(), |row| 2 < row.token).await;
    assert!(Timestamp::now().minus(Duration::from_secs(60)) < held.since, "{held:?}");
    w.until_metric("tasklight_runs_stalled{reason=\"idle\"} 1").await;
    assert_eq!(w.run("r").await["status"], "running", "nobody listened when it might have spoken");
    execute_on(&w.url, &format!("UPDATE leases SET since = {hour_ago}")).await;
    w.until_run_is("r", "lost").await;
}

/// Each of these on both stores.
macro_rules! on_both_stores {
    ($($name:ident),+ $(,)?) => {
        mod on_sqlite {
            $(#[tokio::test]
            async fn $name() {
                super::$name(super::Watched::on_sqlite().await).await;
            })+
        }
        mod on_postgres {
            $(#[tokio::test]
            async fn $name() {
                super::$name(super::Watched::on_postgres().await).await;
            })+
        }
    };
}

on_both_stores!(
    a_silent_run_is_lost_before_viewers_eyes_and_comes_back,
    an_end_that_is_only_in_the_log_is_put_into_the_row,
    who_could_not_be_heard_has_all_the_time_again,
);

#[tokio::test]
async fn nothing_is_lost_where_that_is_switched_off() {
    let database = postgres_database().await;
    let url = database.url();
    let hub = TestHub::start_with(|settings| {
        impatient(settings);
        settings.store.url = url.clone();
        settings.reconciler.orphan_after = "0s".parse().expect("a duration");
    })
    .await;
    let w = Watched { hub, url, _database: Some(database) };
    w.said("r", 100_000, "message", "{}").await;
    w.said("queued", 100_000, "status", r#"{"status":"pending"}"#).await;
    w.has_listened().await;
    w.until_run_is("queued", "lost").await;
    assert_eq!(w.run("r").await["status"], "running");
}

#[tokio::test]
async fn a_hub_that_agents_cannot_reach_gives_the_lease_back() {
    let server: reqwest::Url = redis_url().parse().expect("a URL");
    let address = format!("127.0.0.1:{}", server.port().expect("a port")).parse().expect("an address");
    let proxy = Proxy::start(address).await.expect("a proxy");
    let mut through = server.clone();
    through.set_port(Some(proxy.address().port())).expect("it takes a port");
    let (database, prefix) = (postgres_database().await, prefix());
    let hub = TestHub::start_with(|settings| {
        impatient(settings);
        settings.store.url = database.url();
        settings.broker.url = through.to_string();
        settings.broker.prefix = prefix;
        settings.broker.probe_interval = "200ms".parse().expect("a duration");
        settings.broker.probe_timeout = "600ms".parse().expect("a duration");
        settings.broker.response_timeout = "500ms".parse().expect("a duration");
        settings.cluster.beat_interval = "100ms".parse().expect("a duration");
        settings.cluster.member_timeout = "1s".parse().expect("a duration");
    })
    .await;
    let store = hub.node().store();
    until_held(store, |_| true).await;
    proxy.cut(Cut::FromHub);
    let left = until_lease(store, |row| row.holder.is_none()).await;
    proxy.heal();
    until_held(store, |row| left.token < row.token).await;
}
