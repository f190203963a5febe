//! Runs that do not get on, as those who watch the list hear of it.

use serde_json::{Value, json};

use crate::{
    harness::{PATIENCE, TestHub, message},
    viewer::Viewer,
};

/// A hub that is impatient, and somebody who has the list of its tasks.
async fn watched(idle: &str, tool: &str, heartbeat: &str) -> (TestHub, Viewer) {
    let hub = TestHub::start_with(|settings| {
        settings.reconciler.stalled_after = idle.parse().expect("a duration");
        settings.reconciler.tool_stalled_after = tool.parse().expect("a duration");
        settings.reconciler.heartbeat_stalled_after = heartbeat.parse().expect("a duration");
        settings.writer.heartbeat_interval = "50ms".parse().expect("a duration");
        settings.hub.resync_interval = "50ms".parse().expect("a duration");
        settings.hub.list_interval = "20ms".parse().expect("a duration");
    })
    .await;
    let mut list = Viewer::connect(hub.address()).await;
    list.say(json!({"op": "subscribe", "list": "tasks"})).await;
    list.until("live").await;
    (hub, list)
}

/// Waits until the list says that task `t` is stalled for this reason, or not at all.
async fn until(list: &mut Viewer, reason: Value) -> Value {
    let told = async {
        loop {
            let task = list.next().await;
            if task["op"] == "task" && task["taskId"] == "t" && task["stalled"]["reason"] == reason {
                return task;
            }
        }
    };
    tokio::time::timeout(PATIENCE, told).await.expect("it is told in time")
}

#[tokio::test]
async fn a_list_tells_that_a_run_fell_silent_although_nothing_was_written() {
    let (hub, mut list) = watched("600ms", "2s", "10s").await;
    hub.publish("t", &["x"]).await;
    until(&mut list, Value::Null).await;
    let told = until(&mut list, json!("idle")).await;
    let expected = json!({"count": 1, "reason": "idle", "since": told["lastActivityAt"], "invocationId": "r"});
    assert_eq!(told["stalled"], expected);
    let (_, run) = hub.get("/v1/tasks/t/invocations/r").await;
    assert_eq!((&run["stalled"], &run["stalledReason"]), (&json!(true), &json!("idle")), "the same rule everywhere");
    assert_eq!(run["stalledSince"], told["lastActivityAt"]);
    hub.publish("t", &["y"]).await;
    until(&mut list, Value::Null).await;
    hub.post("t", json!({"invocationId": "r", "type": "tool_call", "data": {"name": "bash"}})).await;
    let told = until(&mut list, json!("tool")).await;
    let open = told["stalled"]["since"].as_u64().expect("a time");
    assert!(open + 2_000 <= tasklight::model::Timestamp::now().as_millis(), "not before its time: {told}");
}

#[tokio::test]
async fn a_list_tells_at_once_that_a_person_is_asked() {
    let (hub, mut list) = watched("60s", "60s", "60s").await;
    hub.post("t", json!({"invocationId": "r", "type": "custom", "data": {"name": "needs_approval"}})).await;
    until(&mut list, json!("waiting")).await;
    hub.post("t", message("thank you")).await;
    until(&mut list, Value::Null).await;
}

#[tokio::test]
async fn a_list_tells_that_heartbeats_stopped_and_that_they_came_back() {
    let (hub, mut list) = watched("60s", "60s", "400ms").await;
    let beat = json!({"invocationId": "r", "type": "heartbeat"});
    hub.publish("t", &["x"]).await;
    hub.post("t", beat.clone()).await;
    until(&mut list, json!("heartbeat")).await;
    hub.post("t", beat).await;
    until(&mut list, Value::Null).await;
    until(&mut list, json!("heartbeat")).await;
}

#[tokio::test]
async fn who_comes_later_is_told_of_what_changes_too() {
    let (hub, list) = watched("60s", "60s", "400ms").await;
    drop(list);
    hub.publish("t", &["x"]).await;
    let beat = json!({"invocationId": "r", "type": "heartbeat"});
    hub.post("t", beat.clone()).await;
    let stalled = async { while hub.get("/v1/tasks/t").await.1["stalled"].is_null() {} };
    tokio::time::timeout(PATIENCE, stalled).await.expect("it is stalled in time");
    let mut list = Viewer::connect(hub.address()).await;
    list.say(json!({"op": "subscribe", "list": "tasks"})).await;
    let snapshot = list.until("live").await;
    assert!(snapshot.iter().any(|task| task["stalled"]["reason"] == "heartbeat"), "{snapshot:?}");
    hub.post("t", beat).await;
    until(&mut list, Value::Null).await;
}
