//! Webhooks: what somebody is told who does not watch, whatever breaks in between.

mod addresses;
mod breaks;
mod receiver;
mod trouble;

use aws_lc_rs::hmac;
use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use tasklight::config::Settings;

use self::receiver::{Answer, Arrival, Receiver};
use crate::{
    harness::{PATIENCE, TestHub, message},
    services::{Database, postgres_database},
};

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// An endpoint that wants to hear everything.
fn endpoint(name: &str, url: &str) -> Value {
    let everything = "pending,running,completed,failed,cancelled,lost,stalled";
    json!({"name": name, "url": url, "secret": SECRET, "on": everything})
}

/// Webhooks that are quick, and may go to loopback.
fn tell(settings: &mut Settings, endpoints: Value) {
    let webhooks = &mut settings.webhooks;
    webhooks.endpoint = serde_json::from_value(endpoints).expect("endpoints");
    webhooks.allow_http = true;
    webhooks.allow_private = serde_json::from_value(json!("127.0.0.0/8")).expect("a list");
    webhooks.page_url = "https://tasklight.example".to_owned();
    webhooks.interval = "20ms".parse().expect("a duration");
    webhooks.stall_interval = "50ms".parse().expect("a duration");
    webhooks.retry_first = "20ms".parse().expect("a duration");
    webhooks.retry_most = "200ms".parse().expect("a duration");
}

fn status(run: &str, status: &str) -> Value {
    json!({"invocationId": run, "type": "status", "data": {"status": status}})
}

/// A figure of the hub's metrics; nothing if there is none.
async fn figure(hub: &TestHub, name: &str) -> u64 {
    let url = format!("http://{}/metrics", hub.node().admin_address());
    let text = reqwest::get(url).await.expect("an answer").text().await.expect("text");
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.and_then(|value| value.parse().ok()).unwrap_or_default()
}

/// Waits until a figure is at least so much.
async fn until_figure(hub: &TestHub, name: &str, least: u64) {
    let reached = async { while figure(hub, name).await < least {} };
    tokio::time::timeout(PATIENCE, reached).await.unwrap_or_else(|_| panic!("{name} stays below {least}"));
}

fn is_signed(arrival: &Arrival) -> bool {
    let secret = STANDARD.decode(SECRET.trim_start_matches("whsec_")).expect("base 64");
    let key = hmac::Key::new(hmac::HMAC_SHA256, &secret);
    let signed = [arrival.id().as_bytes(), b".", arrival.header("webhook-timestamp").as_bytes(), b".", &arrival.text].concat();
    let signature = arrival.header("webhook-signature").strip_prefix("v1,").expect("version 1");
    hmac::verify(&key, &signed, &STANDARD.decode(signature).expect("base 64")).is_ok()
}

/// On every store: a hub that tells a receiver everything.
async fn on_each_store(name: &str, change: impl Fn(&mut Settings)) -> Vec<(TestHub, Receiver, Option<Database>)> {
    let mut all = Vec::new();
    for database in [None, Some(postgres_database().await)] {
        let receiver = Receiver::start().await;
        let hub = TestHub::start_with(|settings| {
            if let Some(database) = &database {
                settings.store.url = database.url();
            }
            tell(settings, json!([endpoint(name, &receiver.url("/hook?key=k"))]));
            change(settings);
        })
        .await;
        all.push((hub, receiver, database));
    }
    all
}

#[tokio::test]
async fn what_becomes_of_runs_is_told_once_signed_and_in_order() {
    for (hub, mut receiver, _database) in on_each_store("ops", |_| {}).await {
        hub.send("PUT", "/v1/tasks/build-1", json!({"title": "Build", "labels": {"team": "ci"}})).await;
        let began =
            json!({"invocationId": "r", "type": "status", "data": {"status": "pending", "agent": "claude", "title": "try 1"}});
        let failed =
            json!({"invocationId": "r", "type": "status", "data": {"status": "failed", "exitCode": 2, "reason": "no space"}});
        // In one request, in several, by a status and by a mere sign of life.
        hub.post("build-1", json!([began, message("x"), message("y")])).await;
        let (_, answer) = hub.post("build-1", failed).await;
        hub.post("build-1", message("it goes on saying things")).await;
        hub.post("build-2", status("r", "completed")).await;
        let (mut arrivals, mut ids) = (Vec::new(), std::collections::BTreeSet::new());
        for _ in 0..4 {
            let arrival = receiver.next().await;
            assert!(is_signed(&arrival), "{arrival:?}");
            assert_eq!((arrival.path.as_str(), arrival.header("content-type")), ("/hook?key=k", "application/json"));
            assert_eq!(arrival.id(), arrival.body()["id"]);
            assert!(ids.insert(arrival.id().to_owned()), "each once: {arrival:?}");
            arrivals.push(arrival);
        }
        let words: Vec<_> = arrivals.iter().map(Arrival::words).collect();
        let expected =
            [["build-1", "r", "pending"], ["build-1", "r", "running"], ["build-1", "r", "failed"], ["build-2", "r", "completed"]];
        assert_eq!(words, expected);
        let told = arrivals[2].body();
        let cursor = answer["results"][0]["cursor"].as_str().expect("a receipt");
        let (_, run) = hub.get("/v1/tasks/build-1/invocations/r").await;
        let expected = json!({
            "id": told["id"], "type": "invocation.failed", "time": told["time"], "cursor": cursor, "previousStatus": "running",
            "task": {"taskId": "build-1", "title": "Build", "labels": {"team": "ci"}, "status": "failed"},
            "invocation": {"invocationId": "r", "status": "failed", "agent": "claude", "title": "try 1", "exitCode": 2,
                           "reason": "no space", "stalled": false, "stalledReason": null},
            "url": "https://tasklight.example/tasks/build-1#4",
        });
        assert_eq!(told, expected);
        assert_eq!(told["time"], run["lastActivityAt"].as_u64().map(|_| told["time"].clone()).expect("it is there"));
        until_figure(&hub, r#"tasklight_webhook_deliveries_total{endpoint="ops"}"#, 4).await;
        assert!(receiver.is_silent(), "no more than that");
    }
}

#[tokio::test]
async fn only_what_was_asked_for_is_told_and_nothing_that_was_recorded_afterwards() {
    let mut receiver = Receiver::start().await;
    let only = json!({"name": "ops", "url": receiver.url("/"), "secret": SECRET, "on": ["failed"], "tasks": ["build-*", "x"]});
    let hub = TestHub::start_with(|settings| tell(settings, json!([only]))).await;
    let old = json!({"invocationId": "old", "type": "status", "data": {"status": "failed", "backfilled": true}});
    for (task, body) in [
        ("build-1", status("r", "running")),
        ("deploy-1", status("r", "failed")),
        ("build-1", old),
        ("build-1", status("r", "failed")),
        ("x", status("r", "failed")),
    ] {
        assert_eq!(hub.post(task, body).await.0, 200);
    }
    assert_eq!(receiver.words(2).await, [["build-1", "r", "failed"], ["x", "r", "failed"]]);
    until_figure(&hub, r#"tasklight_webhook_deliveries_total{endpoint="ops"}"#, 2).await;
    assert!(receiver.is_silent());
}

#[tokio::test]
async fn a_run_that_does_not_get_on_is_told_once_each_time() {
    let quick = |settings: &mut Settings| settings.reconciler.stalled_after = "300ms".parse().expect("a duration");
    for (hub, mut receiver, _database) in on_each_store("ops", quick).await {
        hub.post("t", json!({"invocationId": "r", "type": "status", "data": {"status": "running", "agent": "codex"}})).await;
        assert_eq!(receiver.words(1).await, [["t", "r", "running"]]);
        let first = receiver.next().await;
        let told = first.body();
        assert_eq!((&told["type"], &told["previousStatus"]), (&json!("invocation.stalled"), &json!("running")));
        let run = &told["invocation"];
        assert_eq!((&run["stalled"], &run["stalledReason"], &run["agent"]), (&json!(true), &json!("idle"), &json!("codex")));
        assert_eq!(run["reason"], "no activity");
        // It speaks, and falls silent again; a person is asked, on another task.
        hub.post("t", message("x")).await;
        let second = receiver.next().await;
        assert_eq!(second.words()[2], "stalled");
        assert_ne!(first.id(), second.id());
        hub.post("t", json!({"invocationId": "r", "type": "custom", "data": {"name": "needs_approval"}})).await;
        assert_eq!(receiver.next().await.body()["invocation"]["stalledReason"], "waiting");
        hub.post("t", status("r", "completed")).await;
        assert_eq!(receiver.words(1).await, [["t", "r", "completed"]], "each stall was told once");
    }
}

#[tokio::test]
async fn who_is_slow_delays_neither_another_one_nor_who_publishes() {
    let (mut slow, mut quick) = (Receiver::start().await, Receiver::start().await);
    slow.answers((0..50).map(|_| Answer::None));
    let both = json!([endpoint("slow", &slow.url("/")), endpoint("quick", &quick.url("/"))]);
    let hub = TestHub::start_with(|settings| {
        tell(settings, both);
        settings.webhooks.timeout = "20s".parse().expect("a duration");
    })
    .await;
    for n in 0..20 {
        assert_eq!(hub.post(&format!("t{n}"), status("r", "failed")).await.0, 200);
    }
    let told = quick.words(20).await;
    assert_eq!(told.len(), 20);
    // All that was said to the slow one so far is the first, and that is not over.
    assert_eq!(slow.next().await.words()[0], "t0");
    assert!(slow.is_silent());
    until_figure(&hub, r#"tasklight_webhook_deliveries_total{endpoint="quick"}"#, 20).await;
    assert_eq!(figure(&hub, r#"tasklight_webhook_deliveries_total{endpoint="slow"}"#).await, 0);
}
