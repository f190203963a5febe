//! The HTTP API in this process: what the independent clients do not reach.

use serde_json::json;

use crate::{
    harness::{TestHub, message},
    viewer::{Stream, Viewer},
};

#[tokio::test]
async fn the_openapi_document_names_every_route() {
    let hub = TestHub::start().await;
    let (status, document) = hub.get("/openapi.json").await;
    assert_eq!(status, 200);
    let paths = document["paths"].as_object().expect("paths");
    for (path, methods) in [
        ("/v1/tasks", vec!["get"]),
        ("/v1/tasks/{task}", vec!["get", "put", "patch", "delete"]),
        ("/v1/tasks/{task}/activities", vec!["get", "post"]),
        ("/v1/tasks/{task}/search", vec!["get"]),
        ("/v1/tasks/{task}/stream", vec!["get"]),
        ("/v1/tasks/{task}/rejects", vec!["get"]),
        ("/v1/tasks/{task}/invocations", vec!["get"]),
        ("/v1/tasks/{task}/invocations/{invocation}", vec!["get"]),
        ("/v1/rates", vec!["get"]),
        ("/v1/hooks/claude", vec!["post"]),
        ("/v1/ws", vec!["get"]),
    ] {
        for method in methods {
            assert!(paths[path].get(method).is_some(), "{method} {path} is not described");
        }
    }
}

#[tokio::test]
async fn a_viewer_that_came_before_the_task_sees_it_from_the_first() {
    let hub = TestHub::start().await;
    let mut early = Viewer::subscribe(hub.address(), "t", json!({"after": "end"})).await;
    assert_eq!(early.next().await, json!({"op": "subscribed", "task": "t", "epoch": null, "floor": 1, "head": 0, "after": null}));
    hub.publish("t", &["first", "second"]).await;
    assert_eq!(early.texts(2).await, ["first", "second"]);
}

#[tokio::test]
async fn a_task_deleted_under_viewers_is_said_and_its_old_cursor_is_reset() {
    let hub = TestHub::start().await;
    let cursors = hub.publish("t", &["old"]).await;
    let mut viewer = Viewer::subscribe(hub.address(), "t", json!({})).await;
    viewer.until("live").await;
    let (status, _) = hub.send("DELETE", "/v1/tasks/t", json!({})).await;
    assert_eq!(status, 204);
    assert_eq!(viewer.next().await, json!({"op": "unsubscribed", "task": "t", "reason": "deleted"}));
    let mut waiting = Viewer::subscribe(hub.address(), "t", json!({"after": cursors[0]})).await;
    assert_eq!(waiting.next().await["op"], "subscribed");
    hub.publish("t", &["new"]).await;
    let seen = waiting.until("activity").await;
    assert_eq!((&seen[0]["op"], &seen[1]["data"]["text"]), (&json!("reset"), &json!("new")), "{seen:?}");
}

#[tokio::test]
async fn a_stream_never_pairs_an_old_cursor_with_a_new_life() {
    let hub = TestHub::start().await;
    hub.publish("t", &["a", "b"]).await;
    let mut stream = Stream::open(hub.address(), "t", "", Some("00000000-2")).await.expect("a stream");
    let first = stream.next().await.expect("subscribed");
    assert_eq!(
        (first.name.as_deref(), first.id.as_deref()),
        (Some("subscribed"), Some("00000000-2")),
        "a cut here must not skip anything"
    );
    let second = stream.next().await.expect("reset");
    assert_eq!(second.name.as_deref(), Some("reset"));
    assert!(second.id.expect("an id").ends_with("-0"), "it goes on from the start");
}

#[tokio::test]
async fn batches_are_bounded() {
    let hub = TestHub::start().await;
    let (status, problem) = hub.post("t", json!(vec![message("x"); 1_001])).await;
    assert_eq!((status, &problem["code"]), (413, &json!("too_many_activities")));
    let (status, problem) = hub.post("t", json!("x".repeat(5 << 20))).await;
    assert_eq!((status, &problem["code"]), (413, &json!("body_too_large")));
    let (status, _) = hub.get("/v1/tasks/t").await;
    assert_eq!(status, 404, "nothing was taken");
}

#[tokio::test]
async fn the_page_is_at_its_addresses_and_nothing_else_is() {
    let hub = TestHub::start().await;
    let client = reqwest::Client::new();
    for path in ["/", "/tasks/build-42"] {
        let answer = client.get(hub.url(path)).send().await.expect("an answer");
        let header = |name: &str| answer.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
        assert_eq!((answer.status().as_u16(), header("content-type")), (200, "text/html; charset=utf-8".to_owned()), "{path}");
        let policy = header("content-security-policy");
        for part in ["default-src 'none'", "script-src 'self'", "worker-src 'self'", "manifest-src 'self'"] {
            assert!(policy.contains(part), "{part} in {policy}");
        }
        assert!(!policy.contains("unsafe") && !policy.contains("sandbox"), "{policy}");
    }
    for path in ["/v1/tasks", "/v1/tasks/t/stream", "/v1/ds/t", "/openapi.json", "/unknown.txt"] {
        let answer = client.get(hub.url(path)).send().await.expect("an answer");
        let policies: Vec<_> = answer.headers().get_all("content-security-policy").iter().collect();
        assert_eq!(policies, ["default-src 'none'; sandbox; frame-ancestors 'none'"], "{path}");
    }
    for path in ["/unknown.txt", "/assets/unknown.js", "/assets/../index.html", "/index.html.gz", "/tasks", "/v2/tasks"] {
        let (status, problem) = hub.get(path).await;
        assert_eq!((status, &problem["code"]), (404, &json!("route_not_found")), "{path}");
    }
    let (status, problem) = hub.send("POST", "/favicon.svg", json!({})).await;
    assert_eq!((status, &problem["code"]), (404, &json!("route_not_found")));
}

#[tokio::test]
async fn rates_are_told_of_up_to_100_tasks_at_once() {
    let hub = TestHub::start().await;
    hub.publish("a", &["1", "2", "3"]).await;
    let (status, answer) = hub.get("/v1/rates?task=a&task=nowhere&task=a").await;
    assert_eq!((status, &answer["bucketMs"]), (200, &json!(60_000)));
    let rates = answer["rates"].as_array().expect("rates");
    let counts = rates[0]["counts"].as_array().expect("counts");
    let sum: u64 = counts.iter().filter_map(serde_json::Value::as_u64).sum();
    assert_eq!((rates.len(), counts.len(), sum, &rates[0]["complete"]), (1, 30, 3, &json!(true)), "{answer}");
    assert_eq!(hub.get("/v1/rates").await.1["rates"], json!([]));
    let many: Vec<_> = (0..101).map(|n| format!("task=t{n}")).collect();
    let (status, problem) = hub.get(&format!("/v1/rates?{}", many.join("&"))).await;
    assert_eq!((status, &problem["code"]), (400, &json!("too_many_tasks")));
    let (status, problem) = hub.get("/v1/rates?task=no%20id").await;
    assert_eq!((status, &problem["code"]), (400, &json!("invalid_task_id")));
}
