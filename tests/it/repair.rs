//! Hints that come late, twice, out of order or never: viewers see the store's log all the same.

use serde_json::json;
use tasklight::{
    model::{FrameBatch, FrameBuilder},
    store::Attempt,
};

use crate::{
    harness::{PATIENCE, TestHub},
    store_contract::activity,
    viewer::Viewer,
};

/// Commits messages behind the hub's back, as another node would; gives the hint for each that never came.
async fn commit_elsewhere(hub: &TestHub, texts: &[&str]) -> Vec<Vec<FrameBatch>> {
    let mut hints = Vec::new();
    for text in texts {
        let new = activity("t", &format!(r#"{{"invocationId":"r","type":"message","data":{{"text":"{text}"}}}}"#));
        let appended = hub.node().store().append(std::slice::from_ref(&new), Attempt::First).await.expect("it is stored");
        let commit = &appended.commits[0];
        let mut builder = FrameBuilder::new(&new.task, commit.epoch);
        builder.push(commit.first, &new.activity.activity);
        hints.push(builder.finish());
    }
    hints
}

/// A hub that compares heads with the store this often, and a viewer that is live.
async fn watched(resync: &str) -> (TestHub, Viewer) {
    let hub = TestHub::start_with(|settings| settings.hub.resync_interval = resync.parse().expect("a duration")).await;
    hub.publish("t", &["first"]).await;
    let mut viewer = Viewer::subscribe(hub.address(), "t", json!({})).await;
    viewer.until("live").await;
    (hub, viewer)
}

#[tokio::test]
async fn a_gap_is_filled_from_the_store_in_order() {
    let (hub, mut viewer) = watched("10m").await;
    let mut hints = commit_elsewhere(&hub, &["a", "b", "c"]).await;
    let task = "t".parse().expect("valid");
    hub.node().hub().apply(&task, hints.remove(2));
    assert_eq!(viewer.texts(3).await, ["a", "b", "c"]);
    hub.publish("t", &["d"]).await;
    assert_eq!(viewer.texts(1).await, ["d"]);
}

#[tokio::test]
async fn hints_in_any_order_and_again_are_shown_once() {
    let (hub, mut viewer) = watched("10m").await;
    let hints = commit_elsewhere(&hub, &["a", "b", "c", "d"]).await;
    let task = "t".parse().expect("valid");
    for index in [0, 0, 3, 1, 2, 3, 1] {
        hub.node().hub().apply(&task, hints[index].clone());
    }
    assert_eq!(viewer.texts(4).await, ["a", "b", "c", "d"]);
    hub.publish("t", &["e"]).await;
    assert_eq!(viewer.texts(1).await, ["e"], "nothing came twice");
}

#[tokio::test]
async fn a_lost_last_hint_is_found_by_comparing_heads() {
    let (hub, mut viewer) = watched("50ms").await;
    commit_elsewhere(&hub, &["lost"]).await;
    assert_eq!(viewer.texts(1).await, ["lost"]);
}

#[tokio::test]
async fn a_task_made_again_elsewhere_is_reset_not_mixed() {
    let (hub, mut viewer) = watched("50ms").await;
    let task = "t".parse().expect("valid");
    assert!(hub.node().store().delete_task(&task).await.expect("it deletes"));
    let hints = commit_elsewhere(&hub, &["other life 1", "other life 2"]).await;
    hub.node().hub().apply(&task, hints[1].clone());
    let seen = viewer.until("activity").await;
    let ops: Vec<_> = seen.iter().map(|message| message["op"].as_str().expect("an op")).collect();
    assert!(ops.starts_with(&["reset"]), "{ops:?}");
    assert_eq!(seen.last().expect("an activity")["data"]["text"], "other life 1");
    assert_eq!(viewer.texts(1).await, ["other life 2"]);
}

#[tokio::test]
async fn a_cursor_ahead_of_a_hub_that_is_behind_is_not_reset() {
    let (hub, _viewer) = watched("10m").await;
    commit_elsewhere(&hub, &["a", "b"]).await;
    let (_, page) = hub.get("/v1/tasks/t/activities").await;
    let cursor = page["activities"][2]["cursor"].as_str().expect("a cursor");
    let mut ahead = Viewer::subscribe(hub.address(), "t", json!({"after": cursor})).await;
    let ops: Vec<_> = ahead.until("live").await.iter().map(|message| message["op"].clone()).collect();
    assert_eq!(ops, ["subscribed", "live"], "the store knows better than the hub");
}

#[tokio::test]
async fn a_ring_goes_a_while_after_its_last_viewer() {
    let hub = TestHub::start_with(|settings| {
        settings.hub.resync_interval = "20ms".parse().expect("a duration");
        settings.hub.linger = "100ms".parse().expect("a duration");
    })
    .await;
    let mut viewers = Vec::new();
    for _ in 0..2 {
        viewers.push(Viewer::subscribe(hub.address(), "t", json!({})).await);
    }
    hub.publish("t", &["x"]).await;
    for viewer in &mut viewers {
        viewer.texts(1).await;
    }
    assert_eq!(hub.node().hub().watched_tasks(), 1);
    drop(viewers);
    let gone = async {
        while hub.node().hub().watched_tasks() != 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, gone).await.expect("nobody watches");
}
