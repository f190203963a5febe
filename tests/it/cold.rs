//! A long history reaches a viewer whole, in order, in constant memory.

use futures_util::StreamExt;
use serde_json::json;
use tempfile::TempDir;

use crate::{
    harness::HubProcess,
    viewer::{Stream, Viewer},
};

const ACTIVITIES: usize = 100_000;
const BATCH: usize = 1_000;

/// How much the hub's memory may grow while one viewer reads everything: some pages and buffers, not the 30 MB that are read.
const GROWTH_KIB: u64 = 16 * 1024;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_thousand_activities_stream_to_cold_viewers_in_constant_memory() {
    let folder = TempDir::new().expect("a folder");
    let hub = HubProcess::start(&folder.path().join("log.db"), "127.0.0.1:0");
    let client = reqwest::Client::new();
    let url = format!("http://{}/v1/tasks/t/activities", hub.address());
    let padding = "x".repeat(200);
    let requests = (0..ACTIVITIES / BATCH).map(|batch| {
        let lines: Vec<_> = (0..BATCH)
            .map(|n| {
                json!({"invocationId": "r", "type": "message", "data": {"n": batch * BATCH + n, "text": padding}}).to_string()
            })
            .collect();
        client.post(&url).body(lines.join("\n")).send()
    });
    futures_util::stream::iter(requests)
        .buffered(1)
        .for_each(|answer| async { assert_eq!(answer.expect("an answer").status(), 200) })
        .await;

    let before = hub.peak_memory_kib();
    let mut viewer = Viewer::subscribe(hub.address(), "t", json!({"after": "start"})).await;
    let mut next = 0;
    while next < ACTIVITIES {
        let message = viewer.next().await;
        if message["op"] == "activity" {
            assert_eq!((&message["data"]["n"], &message["offset"]), (&json!(next), &json!(next + 1)));
            next += 1;
        }
    }
    assert_eq!(viewer.next().await, json!({"op": "live", "task": "t", "offset": ACTIVITIES}));

    let mut stream = Stream::open(hub.address(), "t", "", None).await.expect("a stream");
    let mut seen = 0;
    while let Some(event) = stream.next().await {
        match event.name.as_deref() {
            None => {
                seen += 1;
                assert!(event.data.contains(&format!("\"offset\":{seen},")), "{} after {seen}", event.data);
            }
            Some("live") => break,
            Some(_) => {}
        }
    }
    assert_eq!(seen, ACTIVITIES);
    let growth = hub.peak_memory_kib() - before;
    assert!(growth < GROWTH_KIB, "the hub grew by {growth} KiB");
}
