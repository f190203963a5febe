//! Retention as users and operators see it: what goes, who is told, and what a dry run says.

use std::path::Path;

use serde_json::{Value, json};
use tasklight::{
    config::{RetentionRule, Settings},
    store::{Attempt, Store},
};
use tempfile::TempDir;
use tokio::time::timeout;

use crate::{
    harness::{PATIENCE, TestHub, message},
    program::{Finished, finish, tasklight},
    services::{Database, postgres_database},
    store_contract::{activity, everything, message as append, options, task, texts},
    viewer::{Stream, Viewer},
};

/// A hub that looks often.
async fn hub(database: Option<&Database>, change: impl FnOnce(&mut Settings)) -> TestHub {
    TestHub::start_with(|settings| {
        settings.retention.interval = "20ms".parse().expect("a duration");
        settings.retention.busy_percent = 100;
        settings.cluster.lease_timeout = "300ms".parse().expect("a duration");
        settings.hub.resync_interval = "50ms".parse().expect("a duration");
        if let Some(database) = database {
            settings.store.url = database.url();
        }
        change(settings);
    })
    .await
}

/// A rule for tasks with this label.
pub fn rule(label: &str, max_activities: usize) -> RetentionRule {
    RetentionRule {
        label: label.to_owned(),
        max_age: None,
        max_activities: Some(max_activities),
        max_bytes: None,
        finished_max_age: None,
    }
}

/// Waits until the task's log begins there.
pub async fn until_floor(hub: &TestHub, task: &str, floor: u64) {
    let trimmed = async { while hub.get(&format!("/v1/tasks/{task}")).await.1["floor"] != floor {} };
    timeout(PATIENCE, trimmed).await.expect("it is trimmed in time");
}

async fn label(hub: &TestHub, task: &str, labels: Value) {
    let (status, answer) = hub.send("PUT", &format!("/v1/tasks/{task}"), json!({"labels": labels})).await;
    assert!(status < 300, "{answer}");
}

async fn those_below_the_floor_are_told(database: Option<Database>) {
    let hub = hub(database.as_ref(), |settings| settings.retention.rules.0 = vec![rule("short", 5)]).await;
    let cursors = hub.publish("t", &["1", "2", "3", "4", "5", "6", "7", "8", "9", "10"]).await;
    let mut live = Viewer::subscribe(hub.address(), "t", json!({"after": "start"})).await;
    live.texts(10).await;
    label(&hub, "t", json!({"short": "yes"})).await;
    until_floor(&hub, "t", 6).await;
    let mut viewer = Viewer::subscribe(hub.address(), "t", json!({"after": cursors[2]})).await;
    let told = viewer.until("truncated").await.pop().expect("a message");
    assert_eq!((&told["task"], &told["floor"]), (&json!("t"), &json!(6)));
    assert_eq!(viewer.texts(5).await, ["6", "7", "8", "9", "10"]);
    let mut stream = Stream::open(hub.address(), "t", "", Some(&cursors[2])).await.expect("a stream");
    let told = loop {
        let event = stream.next().await.expect("it goes on");
        if event.name.as_deref() == Some("truncated") {
            break event;
        }
        assert_ne!(event.name.as_deref(), Some("activity"), "nothing before that: {event:?}");
    };
    assert!(told.data.contains("\"floor\":6"), "{told:?}");
    let (status, problem) = hub.get(&format!("/v1/tasks/t/activities?after={}", cursors[2])).await;
    assert_eq!((status, &problem["code"], &problem["floor"]), (410, &json!("cursor_truncated"), &json!(6)), "{problem}");
    let (status, page) = hub.get(&format!("/v1/tasks/t/activities?after={}", cursors[4])).await;
    assert_eq!((status, page["activities"].as_array().map(Vec::len)), (200, Some(5)), "the last one before the floor goes on");
    // Who was at the head notices nothing, and the log goes on being cut.
    hub.publish("t", &["11"]).await;
    let mut between = live.until("activity").await;
    assert_eq!(between.pop().expect("an activity")["data"]["text"], "11");
    assert!(between.iter().all(|message| message["op"] != "truncated"), "{between:?}");
    until_floor(&hub, "t", 7).await;
}

#[tokio::test]
async fn those_below_the_floor_are_told_on_sqlite() {
    those_below_the_floor_are_told(None).await;
}

#[tokio::test]
async fn those_below_the_floor_are_told_on_postgres() {
    those_below_the_floor_are_told(Some(postgres_database().await)).await;
}

#[tokio::test]
async fn a_viewer_that_was_passed_by_a_purge_is_told_where_it_goes_on() {
    const ALL: u64 = 3_000;
    let hub = hub(None, |settings| {
        settings.retention.rules.0 = vec![rule("short", 100)];
        settings.hub.ring_activities = 16;
        settings.hub.page_activities = 32;
        settings.session.queue_frames = 8;
        settings.session.queue_bytes = "16KiB".parse().expect("a size");
    })
    .await;
    let text = "x".repeat(4_000);
    for _ in 0..ALL / 500 {
        let (status, answer) = hub.post("t", json!(vec![message(&text); 500])).await;
        assert_eq!(status, 200, "{answer}");
    }
    // It reads nothing yet: what is on its way to it fills its socket, and far from everything fits.
    let mut slow = Viewer::subscribe(hub.address(), "t", json!({"after": "start"})).await;
    slow.until("subscribed").await;
    label(&hub, "t", json!({"short": ""})).await;
    until_floor(&hub, "t", ALL - 99).await;
    let (mut next, mut jumped) = (1, false);
    while next <= ALL {
        let message = slow.next().await;
        match message["op"].as_str() {
            Some("activity") => {
                assert_eq!(message["offset"], next, "no hole that is not told");
                next += 1;
            }
            Some("truncated") => {
                // The purge goes on meanwhile: it may be told more than once.
                let floor = message["floor"].as_u64().expect("a floor");
                assert!(next < floor && floor <= ALL - 99, "{next} to {floor}");
                (next, jumped) = (floor, true);
            }
            Some("heartbeat") => {}
            other => panic!("unexpected: {other:?}"),
        }
    }
    assert!(jumped, "it was passed by");
}

#[tokio::test]
async fn tasks_are_kept_as_the_first_rule_that_fits_says() {
    let hub = hub(None, |settings| {
        settings.retention.max_activities = 8;
        let all = RetentionRule { max_bytes: Some("0".parse().expect("a size")), ..rule("keep", 0) };
        let bytes =
            RetentionRule { max_activities: Some(0), max_bytes: Some("30".parse().expect("a size")), ..rule("kind=tiny", 0) };
        settings.retention.rules.0 = vec![all, bytes, rule("kind", 2)];
    })
    .await;
    label(&hub, "kept", json!({"keep": "yes", "kind": "tiny"})).await;
    label(&hub, "tiny", json!({"kind": "tiny"})).await;
    label(&hub, "other", json!({"kind": "x"})).await;
    for name in ["kept", "tiny", "other", "none"] {
        hub.publish(name, &["01", "02", "03", "04", "05", "06", "07", "08", "09", "10"]).await;
    }
    // A payload is {"text":"01"}: two of them are 26 bytes.
    for (name, floor) in [("tiny", 9), ("other", 9), ("none", 3)] {
        until_floor(&hub, name, floor).await;
    }
    assert_eq!(hub.log("kept").await.len(), 10, "a rule that says 0 keeps everything");
    hub.publish("tiny", &["11", "12"]).await;
    until_floor(&hub, "tiny", 11).await;
}

async fn old_activities_and_finished_tasks_go(database: Option<Database>) {
    let hub = hub(database.as_ref(), |settings| {
        settings.retention.max_age = "1h".parse().expect("a duration");
        settings.retention.finished_max_age = "30m".parse().expect("a duration");
        settings.hub.list_interval = "20ms".parse().expect("a duration");
        settings.hub.resync_interval = "50ms".parse().expect("a duration");
    })
    .await;
    let mut list = Viewer::connect(hub.address()).await;
    list.say(json!({"op": "subscribe", "list": "tasks"})).await;
    list.until("live").await;
    let mut viewer = Viewer::subscribe(hub.address(), "over", json!({"after": "start"})).await;
    let ago = |minutes: u64, mut append: tasklight::store::Append| {
        let at = tasklight::model::Timestamp::now().minus(std::time::Duration::from_secs(minutes * 60));
        append.activity.activity.received_at = at;
        append
    };
    let end = |id: &str| activity(id, r#"{"invocationId":"r","type":"status","data":{"status":"completed"}}"#);
    let batch = [
        ago(61, append("open", "old")),
        ago(59, append("open", "young")),
        ago(31, append("over", "x")),
        ago(29, end("just-over")),
    ];
    hub.node().store().append(&batch, Attempt::First).await.expect("it is stored");
    until_floor(&hub, "open", 2).await;
    // While it is open it stays, and who watches it sees it.
    viewer.until("activity").await;
    hub.node().store().append(&[ago(31, end("over"))], Attempt::First).await.expect("it is stored");
    let gone = async { while hub.get("/v1/tasks/over").await.0 != 404 {} };
    timeout(PATIENCE, gone).await.expect("it goes");
    let told = async {
        loop {
            let message = viewer.next().await;
            if message["op"] == "unsubscribed" {
                return message;
            }
        }
    };
    assert_eq!(timeout(PATIENCE, told).await.expect("its viewer is told")["reason"], "deleted");
    let told = async {
        loop {
            let message = list.next().await;
            if message["taskId"] == "over" && message["deleted"] == true {
                return;
            }
        }
    };
    timeout(PATIENCE, told).await.expect("who has the list is told");
    assert_eq!(hub.log("just-over").await.len(), 1);
    assert_eq!(hub.log("open").await[0]["data"]["text"], "young");
}

#[tokio::test]
async fn old_activities_and_finished_tasks_go_on_sqlite() {
    old_activities_and_finished_tasks_go(None).await;
}

#[tokio::test]
async fn old_activities_and_finished_tasks_go_on_postgres() {
    old_activities_and_finished_tasks_go(Some(postgres_database().await)).await;
}

#[tokio::test]
async fn a_long_log_is_deleted_with_its_task() {
    for database in [None, Some(postgres_database().await)] {
        let hub = TestHub::start_with(|settings| {
            if let Some(database) = &database {
                settings.store.url = database.url();
            }
        })
        .await;
        for _ in 0..5 {
            let (status, answer) = hub.post("t", json!(vec![message("x"); 1_000])).await;
            assert_eq!(status, 200, "{answer}");
        }
        let before = hub.get("/v1/tasks/t").await.1["epoch"].clone();
        assert_eq!(hub.send("DELETE", "/v1/tasks/t", json!({})).await.0, 204);
        assert_eq!(hub.get("/v1/tasks/t").await.0, 404);
        hub.publish("t", &["again"]).await;
        assert_eq!(hub.log("t").await.len(), 1);
        assert_ne!(hub.get("/v1/tasks/t").await.1["epoch"], before);
        drop(hub);
    }
}

/// `tasklight retention` with this configuration.
pub async fn retention(url: &str, configuration: &str, arguments: &[&str]) -> Finished {
    let folder = TempDir::new().expect("a folder");
    std::fs::write(folder.path().join("tasklight.toml"), configuration).expect("a file");
    run(url, folder.path(), arguments).await
}

async fn run(url: &str, folder: &Path, arguments: &[&str]) -> Finished {
    finish(tasklight("", [&["retention", "--store", url], arguments].concat()).current_dir(folder)).await
}

async fn a_dry_run_says_what_would_go(url: &str) {
    let store = Store::open(&options(url.to_owned())).await.expect("it opens");
    let many: Vec<_> = (0..30).map(|_| append("long", "x")).collect();
    store.append(&many, Attempt::First).await.expect("it is stored");
    let mut end = activity("over", r#"{"invocationId":"r","type":"status","data":{"status":"failed"}}"#);
    end.activity.activity.received_at = tasklight::model::Timestamp::from_millis(1).expect("a time");
    store.append(&[end, append("short", "x")], Attempt::First).await.expect("it is stored");
    store.close().await;
    let file = "[retention]\nmax_activities = 10\nfinished_max_age = \"1d\"\n[[retention.rules]]\nlabel = \"keep\"\nmax_activities = 0\n";
    let dry = retention(url, file, &["--dry-run"]).await;
    assert_eq!(dry.code, Some(0), "{dry:?}");
    assert!(dry.out().contains("trim    long  20 activities, 240 bytes  by max_activities\n"), "{}", dry.out());
    assert!(dry.out().contains("delete  over  1 activities, 19 bytes  by finished_max_age\n"), "{}", dry.out());
    assert!(dry.out().contains("21 activities (259 bytes) of 2 tasks would go, 1 of the tasks as a whole"), "{}", dry.out());
    let store = Store::open(&options(url.to_owned())).await.expect("it opens");
    for (name, count) in [("long", 30), ("over", 1), ("short", 1)] {
        assert_eq!(texts(&store, name, &everything()).await.len(), count, "nothing is gone");
    }
    store.close().await;
    let now = retention(url, file, &["--now"]).await;
    assert_eq!((now.code, now.out().as_str()), (Some(0), "21 activities (259 bytes) and 1 tasks were removed\n"), "{now:?}");
    let store = Store::open(&options(url.to_owned())).await.expect("it opens");
    assert_eq!(texts(&store, "long", &everything()).await.len(), 10);
    assert!(store.summaries(&[task("over")]).await.expect("it reads").is_empty());
    store.close().await;
    let nothing = retention(url, "", &["--now"]).await;
    assert!(nothing.code == Some(1) && nothing.stderr.contains("nothing is configured"), "{nothing:?}");
    assert_eq!(retention(url, file, &[]).await.code, Some(2), "one of both must be said");
}

#[tokio::test]
async fn a_dry_run_says_what_would_go_of_sqlite() {
    let folder = TempDir::new().expect("a folder");
    a_dry_run_says_what_would_go(&format!("sqlite://{}", folder.path().join("log.db").display())).await;
}

#[tokio::test]
async fn a_dry_run_says_what_would_go_of_postgres() {
    let database = postgres_database().await;
    a_dry_run_says_what_would_go(&database.url()).await;
}

#[tokio::test]
async fn a_round_by_hand_waits_for_its_turn() {
    let database = postgres_database().await;
    let hub = hub(Some(&database), |settings| settings.retention.max_activities = 5).await;
    hub.publish("t", &["1", "2", "3", "4", "5", "6"]).await;
    until_floor(&hub, "t", 2).await;
    let refused = retention(&database.url(), "[retention]\nmax_activities = 5\n", &["--now", "--wait", "1ms"]).await;
    assert!(refused.code == Some(1) && refused.stderr.contains("has the lease"), "{refused:?}");
}

#[test]
fn what_makes_no_sense_is_refused_by_name() {
    let loaded = |text: &str, environment: Option<&str>| {
        let folder = TempDir::new().expect("a folder");
        std::fs::write(folder.path().join("tasklight.toml"), text).expect("a file");
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_tasklight"));
        command.arg("config").current_dir(folder.path());
        if let Some(rules) = environment {
            command.env("TASKLIGHT__RETENTION__RULES", rules);
        }
        let output = command.output().expect("it runs");
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
        (output.status.success(), text(output.stdout), text(output.stderr))
    };
    for (text, words) in [
        ("[retention]\nbite = 0\n", "retention.bite"),
        ("[retention]\nbusy_percent = 101\n", "retention.busy_percent"),
        ("[retention]\ninterval = \"0s\"\n", "retention.interval"),
        ("[retention]\narchive = \"/var/lib\"\n", "file:///PATH"),
        ("[retention]\narchive = \"file://var\"\n", "absolute"),
        ("[retention]\narchive = \"s3://bucket/x\"\n", "AWS_ACCESS_KEY_ID"),
        ("[[retention.rules]]\nlabel = \"a\"\n", "says nothing"),
        ("[[retention.rules]]\nlabel = \"=a\"\nmax_age = \"1h\"\n", "needs a label"),
        ("[[retention.rules]]\nlabel = \"a\"\nmax_agee = \"1h\"\n", "max_agee"),
        ("[[retention.rules]]\nmax_age = \"1h\"\n", "label"),
    ] {
        let (ok, _, error) = loaded(text, None);
        assert!(!ok && error.contains(words), "{words:?} is missing in {error:?} for {text:?}");
    }
    let file = "[retention]\nmax_age = \"30d\"\n[[retention.rules]]\nlabel = \"kind=ci\"\nmax_age = \"7d\"\n";
    let (ok, out, error) = loaded(file, None);
    assert!(ok, "{error}");
    assert!(out.contains("retention.rules = [{ label = \"kind=ci\", max_age = \"7days\" }]  # tasklight.toml"), "{out}");
    let (ok, out, error) = loaded("", Some("[{label = \"a\", max_bytes = \"1MiB\"}]"));
    assert!(ok, "{error}");
    assert!(out.contains("retention.rules = [{ label = \"a\", max_bytes = \"1MiB\" }]  # environment"), "{out}");
    let (ok, _, error) = loaded("", Some("kind=ci:7d"));
    assert!(!ok && error.contains("retention.rules") && error.contains("environment"), "{error}");
}
