//! The writer when things go wrong: poison, a store that does not answer, a queue that is full.

use serde_json::json;
use sqlx::{Connection, SqliteConnection, sqlite::SqliteConnectOptions};
use tokio::time::timeout;

use crate::harness::{PATIENCE, TestHub, message};

/// A connection of its own to the hub's database.
async fn intruder(hub: &TestHub) -> SqliteConnection {
    let options = SqliteConnectOptions::new().filename(hub.database());
    SqliteConnection::connect_with(&options).await.expect("a connection")
}

#[tokio::test]
async fn what_the_store_refuses_fails_alone() {
    let hub = TestHub::start().await;
    hub.publish("t", &["before"]).await;
    sqlx::query(
        "CREATE TRIGGER poison BEFORE INSERT ON activities WHEN new.data LIKE '%poison%' BEGIN SELECT raise(ABORT, 'no'); END",
    )
    .execute(&mut intruder(&hub).await)
    .await
    .expect("a trigger");
    let batch: Vec<_> = (0..50).map(|n| message(if n == 33 { "poison" } else { "fine" })).collect();
    let (status, answer) = hub.post("t", json!(batch)).await;
    assert_eq!(status, 200);
    for (n, result) in answer["results"].as_array().expect("results").iter().enumerate() {
        match n {
            33 => assert_eq!(result["error"]["code"], "unstorable", "{result}"),
            n if n < 33 => assert_eq!(result["offset"], n + 2),
            n => assert_eq!(result["offset"], n + 1),
        }
    }
    assert_eq!(hub.log("t").await.len(), 50);
}

#[tokio::test]
async fn a_store_that_does_not_answer_loses_nothing_and_says_so() {
    let hub = TestHub::start_with(|settings| {
        settings.store.busy_timeout = "20ms".parse().expect("a duration");
        settings.writer.commit_timeout = "300ms".parse().expect("a duration");
    })
    .await;
    let mut intruder = intruder(&hub).await;
    let lock = intruder.begin_with("BEGIN IMMEDIATE").await.expect("the lock");
    let event = json!({"invocationId": "r", "type": "message", "eventId": "0190c6a4-7c1e-7000-8000-5f3a9c1e0001", "data": {}});
    let response =
        reqwest::Client::new().post(hub.url("/v1/tasks/t/activities")).body(event.to_string()).send().await.expect("an answer");
    assert_eq!(response.status(), 503);
    assert!(response.headers().contains_key("retry-after"));
    let problem: serde_json::Value = response.json().await.expect("a problem");
    assert_eq!(problem["code"], "store_unavailable");
    let readyz = format!("http://{}/readyz", hub.node().admin_address());
    let told = async { while reqwest::get(&readyz).await.expect("an answer").status() != 503 {} };
    timeout(PATIENCE, told).await.expect("readiness tells");
    lock.rollback().await.expect("the lock goes");
    // It may take longer than it is waited for until the store is tried again.
    let again = async {
        loop {
            let (status, answer) = hub.post("t", event.clone()).await;
            if status != 503 {
                return (status, answer);
            }
        }
    };
    let (status, answer) = timeout(PATIENCE, again).await.expect("it is stored");
    assert_eq!((status, &answer["results"][0]["offset"]), (200, &json!(1)), "{answer}");
    assert_eq!(hub.log("t").await.len(), 1, "taken again and again, stored once");
}

#[tokio::test]
async fn a_full_queue_is_told_at_once() {
    let hub = TestHub::start_with(|settings| {
        settings.store.busy_timeout = "10s".parse().expect("a duration");
        settings.writer.commit_timeout = "50ms".parse().expect("a duration");
        settings.writer.admit_timeout = "50ms".parse().expect("a duration");
        settings.writer.queue_activities = 2;
    })
    .await;
    let mut intruder = intruder(&hub).await;
    let lock = intruder.begin_with("BEGIN IMMEDIATE").await.expect("the lock");
    let mut codes = Vec::new();
    for _ in 0..3 {
        let (status, problem) = hub.post("t", message("x")).await;
        assert_eq!(status, 503);
        codes.push(problem["code"].as_str().expect("a code").to_owned());
    }
    assert_eq!(codes, ["store_unavailable", "store_unavailable", "queue_full"]);
    lock.rollback().await.expect("the lock goes");
    let after = async {
        loop {
            let (status, answer) = hub.post("t", message("after")).await;
            if status == 200 {
                return answer;
            }
            // Until what waits is stored, the queue may still be full for longer than a publisher waits here.
            assert_eq!(answer["code"], "queue_full", "nothing was taken: {answer}");
        }
    };
    let answer = timeout(PATIENCE, after).await.expect("there is room again");
    assert_eq!(answer["results"][0]["offset"], 3, "what was taken was stored: {answer}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_publishers_share_commits_and_keep_one_order() {
    let hub = TestHub::start().await;
    let requests = (0..32).map(|publisher| {
        let hub = &hub;
        async move {
            for n in 0..10 {
                hub.publish("t", &[&format!("{publisher}-{n}")]).await;
            }
        }
    });
    futures_util::future::join_all(requests).await;
    let log = hub.log("t").await;
    let offsets: Vec<_> = log.iter().map(|activity| activity["offset"].as_u64().expect("an offset")).collect();
    assert_eq!(offsets, (1..=320).collect::<Vec<_>>());
    for publisher in 0..32 {
        let prefix = format!("{publisher}-");
        let own: Vec<_> =
            log.iter().filter_map(|a| a["data"]["text"].as_str()?.strip_prefix(&prefix).map(str::to_owned)).collect();
        assert_eq!(own, (0..10).map(|n| n.to_string()).collect::<Vec<_>>(), "each publisher's order is kept");
    }
}

#[tokio::test]
async fn a_stop_ends_in_time_even_if_the_store_never_answers() {
    let mut hub = TestHub::start_with(|settings| {
        settings.store.busy_timeout = "60s".parse().expect("a duration");
        settings.writer.commit_timeout = "50ms".parse().expect("a duration");
        settings.node.stop_timeout = "300ms".parse().expect("a duration");
    })
    .await;
    let mut intruder = intruder(&hub).await;
    let lock = intruder.begin_with("BEGIN IMMEDIATE").await.expect("the lock");
    let (status, _) = hub.post("t", message("taken, not confirmed")).await;
    assert_eq!(status, 503);
    let stopped = timeout(PATIENCE, hub.stop()).await;
    assert_eq!(stopped, Ok(false), "it says that not everything ended by itself");
    lock.rollback().await.expect("the lock goes");
}

#[tokio::test]
async fn what_waits_for_the_store_takes_up_the_room_of_bodies() {
    let hub = TestHub::start_with(|settings| {
        settings.store.busy_timeout = "20ms".parse().expect("a duration");
        settings.limits.request = "64KiB".parse().expect("a size");
        settings.http.body_bytes = "64KiB".parse().expect("a size");
    })
    .await;
    let mut intruder = intruder(&hub).await;
    let lock = intruder.begin_with("BEGIN IMMEDIATE").await.expect("the lock");
    let large = message(&"x".repeat(40_000));
    let first = hub.post("t", large.clone());
    let second = async {
        let waits = async { while hub.readiness().await.0 != 503 {} };
        timeout(PATIENCE, waits).await.expect("the first one is with the writer");
        let (status, problem) = hub.post("t", large.clone()).await;
        assert_eq!((status, &problem["code"]), (503, &json!("too_many_bodies")), "{problem}");
        lock.rollback().await.expect("the lock goes");
    };
    let ((status, answer), ()) = tokio::join!(first, second);
    assert_eq!(status, 200, "{answer}");
    assert_eq!(hub.post("t", large).await.0, 200, "there is room again");
}
