//! `tasklight publish` against a real hub.

use std::process::Stdio;

use tempfile::TempDir;
use tokio::io::AsyncWriteExt;

use crate::{
    harness::{HubProcess, TestHub},
    program::{Finished, end, finish, log, tasklight},
};

/// Publishes this standard input.
async fn publish(hub: &str, flags: &[&str], input: &str) -> Finished {
    let arguments = [&["publish", "t"], flags].concat();
    let mut child = tasklight(hub, arguments).stdin(Stdio::piped()).spawn().expect("it starts");
    child.stdin.take().expect("piped").write_all(input.as_bytes()).await.expect("it reads");
    end(child).await
}

#[tokio::test]
async fn lines_are_stored_in_order_and_refusals_name_line_code_and_field() {
    let hub = TestHub::start().await;
    let input = r#"{"type":"message","data":{"text":"one"}}
not json

{"type":"nope"}
{"type":"message","invocationId":"other","data":{"text": "two"}}
{"type":"heartbeat"}
"#;
    let done = publish(&hub.url(""), &["--invocation", "mine"], input).await;
    assert_eq!(
        (done.code, done.out().as_str()),
        (Some(1), "published 2 activities to t (offsets 1 to 2), 1 heartbeat, 2 refused\n")
    );
    assert!(done.stderr.contains("line 2 was refused") && done.stderr.contains("(invalid_json)"), "{}", done.stderr);
    assert!(done.stderr.contains("line 4 was refused") && done.stderr.contains("(unknown_type, field type)"), "{}", done.stderr);
    let log = log(&hub.url(""), "t").await;
    let stored: Vec<_> = log.iter().map(|activity| (activity.invocation.as_str(), activity.data())).collect();
    assert_eq!(stored, [("mine", r#"{"text":"one"}"#), ("other", r#"{"text": "two"}"#)]);
}

#[tokio::test]
async fn results_can_be_had_as_json() {
    let hub = TestHub::start().await;
    let id = "0190c6a4-7c1e-7000-8000-5f3a9c1e0001";
    let flags = ["--json", "--invocation", "r", "--type", "error", "--text", "boom", "--event-id", id, "--timestamp", "7"];
    for duplicate in ["false", "true"] {
        let done = publish(&hub.url(""), &flags, "").await;
        let receipt = format!(r#"{{"line":1,"eventId":"{id}","offset":1,"cursor":""#);
        assert!(done.code == Some(0) && done.out().starts_with(&receipt), "{done:?}");
        assert!(done.out().ends_with(&format!("\"duplicate\":{duplicate}}}\n")), "{done:?}");
    }
    let log = log(&hub.url(""), "t").await;
    assert_eq!((log[0].data(), log[0].timestamp.as_millis()), (r#"{"message":"boom"}"#, 7));
    let refused = publish(&hub.url(""), &["--json", "--invocation", "r", "--type", "status", "--data", "{}"], "").await;
    assert!(refused.code == Some(1) && refused.out().starts_with(r#"{"line":1,"error":{"#), "{refused:?}");
}

#[tokio::test]
async fn lines_are_sent_as_they_come() {
    let hub = TestHub::start().await;
    let mut child = tasklight(&hub.url(""), ["publish", "t", "--invocation", "r", "--json"])
        .stdin(Stdio::piped())
        .spawn()
        .expect("it starts");
    let mut input = child.stdin.take().expect("piped");
    for _ in 0..3 {
        input.write_all(b"{\"type\":\"custom\"}\n").await.expect("it reads");
        crate::program::hear(&mut child, "\"duplicate\":false}\n").await;
    }
    drop(input);
    assert_eq!(end(child).await.code, Some(0));
}

#[tokio::test]
async fn many_lines_go_in_requests_that_the_hub_takes() {
    let hub = TestHub::start_with(|settings| settings.limits.request_activities = 40).await;
    let input: String = (0..1_000).map(|number| format!("{{\"type\":\"custom\",\"data\":{{\"n\":{number}}}}}\n")).collect();
    let done = publish(&hub.url(""), &["--invocation", "r"], &input).await;
    assert_eq!(
        (done.code, done.out().as_str()),
        (Some(0), "published 1000 activities to t (offsets 1 to 1000)\n"),
        "{}",
        done.stderr
    );
    let numbers: Vec<u32> = log(&hub.url(""), "t").await.iter().filter_map(|activity| activity.field("n")).collect();
    assert_eq!(numbers, (0..1_000).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_hub_that_is_away_for_a_while_is_waited_for() {
    let folder = TempDir::new().expect("a folder");
    let hub = HubProcess::start(&folder.path().join("log.db"), "127.0.0.1:0");
    let (url, address) = (format!("http://{}", hub.address()), hub.address().to_string());
    hub.kill();
    let flags = ["publish", "t", "--invocation", "r", "--type", "custom"];
    let given_up = finish(&mut tasklight(&url, [&flags[..], &["--retry-for", "0s"]].concat())).await;
    assert_eq!(given_up.code, Some(3), "{}", given_up.stderr);
    let child = tasklight(&url, flags).spawn().expect("it starts");
    let hub = HubProcess::start(&folder.path().join("log.db"), &address);
    assert_eq!(end(child).await.code, Some(0));
    assert_eq!(log(&format!("http://{}", hub.address()), "t").await.len(), 1);
}

#[tokio::test]
async fn flags_that_make_no_sense_are_refused_before_anything_is_sent() {
    for flags in [
        vec!["--type", "message"],
        vec!["--type", "nope", "--invocation", "r"],
        vec!["--text", "x"],
        vec!["--type", "message", "--invocation", "r", "--data", "[]"],
        vec!["--type", "message", "--invocation", "r", "--text", "a", "--data", "{\"text\":\"b\"}"],
    ] {
        let done = finish(&mut tasklight("http://127.0.0.1:1", [&["publish", "t"], flags.as_slice()].concat())).await;
        assert_eq!(done.code, Some(2), "{flags:?}: {}", done.stderr);
    }
}
