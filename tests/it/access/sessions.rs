//! Open sessions: they end with their token, are renewed in place, and stop when it is taken back.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::time::timeout;

use super::{GuardedHub, now, signed, token};
use crate::{
    harness::{PATIENCE, TestHub},
    services::postgres_database,
    viewer::Viewer,
};

/// Within how long a revocation is everywhere.
const EVERYWHERE: Duration = Duration::from_secs(2);

async fn viewer(hub: &TestHub, token: &str) -> Viewer {
    Viewer::connect_as(hub.address(), &format!("tasklight.v1, bearer.{token}")).await
}

/// A token of `subject` that ends in so many seconds.
fn short(subject: &str, seconds: u64, read: &str) -> String {
    signed(&json!({"sub": subject, "iat": now(), "exp": now() + seconds, "tasklight": {"read": [read]}}))
}

fn subscribe(task: &str) -> Value {
    json!({"op": "subscribe", "task": task})
}

#[tokio::test]
async fn a_socket_says_whom_it_is_for_in_its_handshake_or_its_first_message_or_ends() {
    let hub = GuardedHub::start_with(|settings, _| {
        settings.auth.first_message_timeout = "300ms".parse().expect("a duration");
    })
    .await;
    hub.publish("a-1", "x").await;
    let good = token("reader", json!({"read": ["a-*"]}));

    let mut first = Viewer::connect(hub.hub.address()).await;
    first.say(json!({"op": "subscribe", "task": "a-1"})).await;
    assert_eq!(first.next().await["code"], "token_missing", "nothing is told before");
    first.say(json!({"op": "subscribe", "list": "tasks"})).await;
    assert_eq!(first.next().await["code"], "token_missing");
    // What follows a token waits until it was looked at.
    first.say(json!({"op": "auth", "token": good})).await;
    first.say(subscribe("a-1")).await;
    assert_eq!(first.texts(1).await, ["x"]);

    let mut silent = Viewer::connect(hub.hub.address()).await;
    assert_eq!(silent.closed().await.0, 4401, "nobody waits for ever");

    let mut wrong = Viewer::connect(hub.hub.address()).await;
    wrong.say(json!({"op": "auth", "token": "abc"})).await;
    assert_eq!(wrong.closed().await.0, 4401);

    let (status, answer) = hub.ask(Some("abc"), "GET", "/v1/ws", Value::Null).await;
    assert_eq!((status, &answer["code"]), (401, &json!("token_invalid")), "before the handshake");
}

#[tokio::test]
async fn a_session_ends_on_time_unless_its_token_is_renewed_by_the_same_subject() {
    let hub = GuardedHub::start().await;
    hub.publish("a-1", "x").await;
    let begun = Instant::now();
    let mut ends = viewer(&hub.hub, &short("eve", 2, "a-*")).await;
    let mut renewed = viewer(&hub.hub, &short("eve", 2, "a-*")).await;
    renewed.say(subscribe("a-1")).await;
    renewed.say(json!({"op": "auth", "token": short("eve", 3_600, "a-*")})).await;
    let mut shortened = viewer(&hub.hub, &short("eve", 3_600, "a-*")).await;
    shortened.say(json!({"op": "auth", "token": short("eve", 2, "a-*")})).await;
    let mut other = viewer(&hub.hub, &short("eve", 60, "a-*")).await;
    other.say(json!({"op": "auth", "token": short("ann", 3_600, "a-*")})).await;
    assert_eq!(other.closed().await.0, 4403, "somebody else's token does not renew");

    let client = reqwest::Client::new();
    let stream =
        client.get(hub.hub.url("/v1/tasks/a-1/stream")).bearer_auth(short("eve", 2, "a-*")).send().await.expect("an answer");
    assert_eq!(stream.status(), 200);
    timeout(PATIENCE, stream.bytes()).await.expect("the stream ends, too").expect("in order");
    for ended in [&mut ends, &mut shortened] {
        assert_eq!(ended.closed().await.0, 4401);
    }
    assert!(begun.elapsed() < Duration::from_secs(10), "on time: {:?}", begun.elapsed());

    hub.publish("a-1", "after").await;
    assert_eq!(renewed.texts(2).await, ["x", "after"], "the renewed one goes on");
}

#[tokio::test]
async fn what_a_renewed_token_does_not_grant_stops() {
    let hub = GuardedHub::start().await;
    for task in ["a-1", "b-1"] {
        hub.publish(task, "x").await;
    }
    let mut viewer = viewer(&hub.hub, &token("eve", json!({"read": ["a-*", "b-*"]}))).await;
    for task in ["a-1", "b-1"] {
        viewer.say(subscribe(task)).await;
    }
    viewer.say(json!({"op": "subscribe", "list": "tasks"})).await;
    viewer.activities(2).await;
    viewer.say(json!({"op": "auth", "token": token("eve", json!({"read": ["b-*"]}))})).await;
    let seen = viewer.until("unsubscribed").await;
    assert_eq!(seen.last().map(|message| message["task"].clone()), Some(json!("a-1")));
    assert_eq!(seen.last().map(|message| message["reason"].clone()), Some(json!("forbidden")));
    viewer.say(subscribe("a-1")).await;
    viewer.say(json!({"op": "ping"})).await;
    let seen = viewer.until("pong").await;
    assert!(seen.iter().any(|message| message["op"] == "error" && message["code"] == "forbidden"), "{seen:?}");
    hub.publish("a-1", "unseen").await;
    hub.publish("b-1", "seen").await;
    let after = viewer.until("activity").await;
    assert_eq!(after.last().map(|message| message["data"]["text"].clone()), Some(json!("seen")));
    let foreign = |message: &Value| message["taskId"] == "a-1" || message["task"] == "a-1";
    assert!(!after.iter().any(foreign), "neither by its log nor by the list: {after:?}");
}

#[tokio::test]
async fn the_list_over_a_socket_shows_what_may_be_seen_and_nothing_of_the_rest() {
    let hub = GuardedHub::start().await;
    for task in ["a-1", "b-1"] {
        hub.publish(task, "x").await;
    }
    let mut viewer = viewer(&hub.hub, &token("eve", json!({"read": ["a-*"]}))).await;
    viewer.say(json!({"op": "subscribe", "list": "tasks"})).await;
    let tasks = |seen: Vec<Value>| -> Vec<Value> {
        seen.into_iter().filter(|message| message["op"] == "task").map(|message| message["taskId"].clone()).collect()
    };
    assert_eq!(tasks(viewer.until("live").await), [json!("a-1")]);
    for task in ["b-1", "b-2", "a-2"] {
        hub.publish(task, "x").await;
    }
    let (_, _) =
        hub.ask(Some(&token("all", json!({"publish": ["*"], "admin": true}))), "DELETE", "/v1/tasks/b-1", Value::Null).await;
    assert_eq!(tasks(viewer.until("task").await), [json!("a-2")], "the first that it hears of");
}

#[tokio::test]
async fn what_is_revoked_at_one_node_ends_at_another_within_two_seconds() {
    let database = postgres_database().await;
    let url = database.url();
    let start = || GuardedHub::start_with(|settings, _| settings.store.url = url.clone());
    let (one, two) = (start().await, start().await);
    one.publish("a-1", "x").await;
    let issued =
        signed(&json!({"sub": "eve", "jti": "t-1", "iat": now() - 5, "exp": now() + 3_600, "tasklight": {"read": ["*"]}}));
    let named =
        signed(&json!({"sub": "ann", "jti": "t-2", "iat": now() - 5, "exp": now() + 3_600, "tasklight": {"read": ["*"]}}));
    let stays =
        signed(&json!({"sub": "ann", "jti": "t-3", "iat": now() - 5, "exp": now() + 3_600, "tasklight": {"read": ["*"]}}));
    let admin = token("root", json!({"admin": true}));
    let mut by_subject = viewer(&two.hub, &issued).await;
    let mut by_name = viewer(&two.hub, &named).await;
    let mut other = viewer(&two.hub, &stays).await;
    let (status, answer) = one.ask(Some(&issued), "POST", "/v1/admin/revoke", json!({"subject": "ann"})).await;
    assert_eq!((status, &answer["code"]), (403, &json!("forbidden")), "not everybody may");
    let begun = Instant::now();
    for body in [json!({"subject": "eve"}), json!({"tokenId": "t-2"})] {
        let (status, answer) = one.ask(Some(&admin), "POST", "/v1/admin/revoke", body).await;
        assert_eq!(status, 204, "{answer}");
    }
    assert_eq!(by_subject.closed().await.0, 4401);
    assert_eq!(by_name.closed().await.0, 4401);
    assert!(begun.elapsed() < EVERYWHERE, "{:?}", begun.elapsed());
    for node in [&one, &two] {
        for token in [&issued, &named] {
            let (status, answer) = node.ask(Some(token), "GET", "/v1/tasks", Value::Null).await;
            assert_eq!((status, &answer["code"]), (401, &json!("token_revoked")));
        }
    }
    other.say(subscribe("a-1")).await;
    assert_eq!(other.texts(1).await, ["x"], "another token of the same subject goes on");
    let (status, _) = one.ask(Some(&admin), "POST", "/v1/admin/revoke", json!({})).await;
    assert_eq!(status, 400);
}

#[tokio::test]
async fn an_export_ends_when_its_token_is_taken_back() {
    // More than the sockets between them hold, so that most of it is not read when that happens.
    const REQUESTS: u64 = 32;
    let hub = GuardedHub::start_with(|settings, _| settings.redact.enabled = false).await;
    let (all, admin) = (token("all", json!({"publish": ["*"]})), token("root", json!({"admin": true})));
    let activity = json!({"invocationId": "r", "type": "message", "data": {"text": "x".repeat(60_000)}});
    for _ in 0..REQUESTS {
        let (status, answer) = hub.ask(Some(&all), "POST", "/v1/tasks/a/activities", json!(vec![&activity; 16])).await;
        assert_eq!(status, 200, "{answer}");
    }
    let reader = token("eve", json!({"read": ["a"]}));
    let request = reqwest::Client::new().get(hub.hub.url("/v1/tasks/a/activities?format=ndjson")).bearer_auth(&reader);
    let mut export = request.send().await.expect("it begins");
    let first = export.chunk().await.expect("it goes on").expect("a part");
    assert_eq!(hub.ask(Some(&admin), "POST", "/v1/admin/revoke", json!({"subject": "eve"})).await.0, 204);
    let rest = async {
        let mut bytes = first.len();
        while let Some(part) = export.chunk().await? {
            bytes += part.len();
        }
        Ok::<_, reqwest::Error>(bytes)
    };
    timeout(PATIENCE, rest).await.expect("it ends").expect_err("it is broken off");
}
