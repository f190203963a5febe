//! `tasklight tail` and `tasklight tasks` against a real hub.

use std::process::Stdio;

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt, BufReader, Lines},
    process::{Child, ChildStdout},
    time::timeout,
};

use crate::{
    harness::{HubProcess, PATIENCE, TestHub},
    program::{end, finish, tasklight},
};

async fn offset(lines: &mut Lines<BufReader<ChildStdout>>) -> u64 {
    let line = timeout(PATIENCE, lines.next_line()).await.expect("it comes").expect("UTF-8").expect("a line");
    let activity: Value = serde_json::from_str(&line).expect("JSON");
    activity["offset"].as_u64().expect("an offset")
}

fn lines(child: &mut Child) -> Lines<BufReader<ChildStdout>> {
    BufReader::new(child.stdout.take().expect("piped")).lines()
}

async fn publish(hub: &str, count: usize) {
    for _ in 0..count {
        let arguments = ["publish", "t", "--invocation", "r", "--type", "message", "--text", "hi"];
        assert_eq!(finish(&mut tasklight(hub, arguments)).await.code, Some(0));
    }
}

#[tokio::test]
async fn following_goes_on_through_restarts_of_the_hub() {
    let folder = TempDir::new().expect("a folder");
    let database = folder.path().join("log.db");
    let mut hub = HubProcess::start(&database, "127.0.0.1:0");
    let (url, address) = (format!("http://{}", hub.address()), hub.address().to_string());
    publish(&url, 2).await;
    let mut child = tasklight(&url, ["tail", "t", "--json"]).spawn().expect("it starts");
    let mut lines = lines(&mut child);
    let mut expected = 1;
    for _ in 0..3 {
        for _ in 0..2 {
            assert_eq!(offset(&mut lines).await, expected);
            expected += 1;
        }
        hub.kill();
        hub = HubProcess::start(&database, &address);
        publish(&url, 2).await;
    }
    assert_eq!((offset(&mut lines).await, offset(&mut lines).await), (expected, expected + 1));
    let (status, _) = (reqwest::Client::new().delete(format!("{url}/v1/tasks/t")).send().await.expect("an answer").status(), ());
    assert_eq!(status, 204);
    let done = end(child).await;
    assert_eq!(done.code, Some(0));
    assert!(done.stderr.contains("reconnecting") && done.stderr.contains("was deleted"), "{}", done.stderr);
}

#[tokio::test]
async fn json_lines_are_what_the_hub_keeps_byte_for_byte() {
    let hub = TestHub::start().await;
    let body = r#"{"invocationId":"r","type":"custom","data":{"a": 1.0, "b":"\u00e9\/"}}"#;
    let url = hub.url("/v1/tasks/t/activities");
    reqwest::Client::new().post(&url).body(body).send().await.expect("an answer");
    hub.publish("t", &["two", "three"]).await;
    let done = finish(&mut tasklight(&hub.url(""), ["tail", "t", "--json", "--no-follow", "--after", "start"])).await;
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    let export = reqwest::Client::new().get(&url).header("accept", "application/x-ndjson").send().await.expect("an answer");
    assert_eq!(done.out(), export.text().await.expect("a body"));
    assert!(done.out().contains(r#""data":{"a": 1.0, "b":"\u00e9\/"}}"#));
}

#[tokio::test]
async fn where_to_begin_and_what_to_show_can_be_chosen() {
    let hub = TestHub::start().await;
    let cursors = hub.publish("t", &["one", "two", "three"]).await;
    hub.post("t", json!({"invocationId": "other", "type": "error", "data": {"message": "boom"}})).await;
    for (flags, offsets) in [
        (vec!["--last", "2"], vec![3, 4]),
        (vec!["--after", &cursors[1]], vec![3, 4]),
        (vec!["--after", "end"], vec![]),
        (vec!["--type", "error"], vec![4]),
        (vec!["--type", "usage"], vec![]),
        (vec!["--invocation", "r"], vec![1, 2, 3]),
        (vec![], vec![1, 2, 3, 4]),
    ] {
        let arguments = [&["tail", "t", "--json", "--no-follow"], flags.as_slice()].concat();
        let done = finish(&mut tasklight(&hub.url(""), arguments)).await;
        let shown: Vec<u64> = done
            .out()
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).expect("JSON")["offset"].as_u64().expect("an offset"))
            .collect();
        assert_eq!((done.code, shown), (Some(0), offsets), "{flags:?}: {}", done.stderr);
    }
}

#[tokio::test]
async fn scripts_can_tell_why_it_ended() {
    let hub = TestHub::start().await;
    let here = hub.url("");
    for (hub, arguments, code) in [
        (here.as_str(), vec!["tail", "none", "--no-follow"], 1),
        (here.as_str(), vec!["tail", "t", "--after", "nonsense"], 2),
        (here.as_str(), vec!["tasks", "show", "none"], 1),
        (here.as_str(), vec!["tasks", "delete", "none"], 2),
        (here.as_str(), vec!["tasks", "delete", "none", "--yes"], 1),
        ("http://127.0.0.1:1", vec!["tail", "t"], 3),
        ("http://127.0.0.1:1", vec!["tasks", "list"], 3),
        ("nonsense", vec!["tasks", "list"], 2),
    ] {
        let done = finish(&mut tasklight(hub, &arguments)).await;
        assert_eq!(done.code, Some(code), "{arguments:?}: {}", done.stderr);
        assert!(!done.stderr.is_empty() && done.stdout.is_empty(), "{arguments:?}");
    }
}

#[tokio::test]
async fn a_reader_that_goes_is_no_failure() {
    let hub = TestHub::start().await;
    hub.publish("t", &["one"]).await;
    let mut child = tasklight(&hub.url(""), ["tail", "t", "--json"]).spawn().expect("it starts");
    let mut lines = lines(&mut child);
    offset(&mut lines).await;
    drop(lines);
    hub.publish("t", &["two"]).await;
    let done = end(child).await;
    assert_eq!((done.code, done.stderr.as_str()), (Some(0), ""));
}

#[tokio::test]
async fn tasks_are_listed_shown_and_deleted() {
    let hub = TestHub::start().await;
    for task in ["a", "b", "c"] {
        hub.publish(task, &["x"]).await;
    }
    hub.send("PATCH", "/v1/tasks/b", json!({"title": "the second", "labels": {"team": "ci"}})).await;
    let list = async |flags: &[&str]| {
        let done = finish(&mut tasklight(&hub.url(""), [&["tasks", "list"], flags].concat())).await;
        assert_eq!(done.code, Some(0), "{}", done.stderr);
        done.out()
    };
    assert_eq!(list(&["--json"]).await.lines().count(), 3);
    assert_eq!(list(&["--json", "--limit", "2"]).await.lines().count(), 2);
    assert!(list(&["--label", "team=ci"]).await.contains("the second"));
    assert!(!list(&["--q", "second"]).await.contains("\na "));
    let shown = finish(&mut tasklight(&hub.url(""), ["tasks", "show", "b", "--json"])).await;
    let (_, api) = hub.get("/v1/tasks/b").await;
    assert_eq!(serde_json::from_slice::<Value>(&shown.stdout).expect("JSON"), api);
    assert!(finish(&mut tasklight(&hub.url(""), ["tasks", "show", "b"])).await.out().contains("team=ci"));
    assert_eq!(finish(&mut tasklight(&hub.url(""), ["tasks", "delete", "b", "--yes"])).await.code, Some(0));
    assert_eq!(list(&["--json"]).await.lines().count(), 2);
}

#[tokio::test]
async fn a_task_that_is_yet_to_come_is_waited_for() {
    let hub = TestHub::start().await;
    let mut child =
        tasklight(&hub.url(""), ["tail", "t", "--json", "--last", "0"]).stdin(Stdio::null()).spawn().expect("it starts");
    let mut notices = BufReader::new(child.stderr.take().expect("piped")).lines();
    let notice = timeout(PATIENCE, notices.next_line()).await.expect("it says so").expect("UTF-8");
    assert!(notice.is_some_and(|notice| notice.contains("waiting for it")));
    hub.publish("t", &["one"]).await;
    assert_eq!(offset(&mut lines(&mut child)).await, 1);
}
