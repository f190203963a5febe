//! What goes is archived before, and comes back.

use std::{fs::File, io::Read, path::Path};

use flate2::read::MultiGzDecoder;
use serde_json::{Value, json};
use tasklight::{
    model::Offset,
    store::{Attempt, ReadAfter, Store},
};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    task::JoinSet,
};

use crate::{
    harness::TestHub,
    program::{Finished, finish, tasklight},
    retention::retention,
    services::{execute_on, postgres_database},
    store_contract::{activity, everything, options, task},
};

/// What of an activity must come back.
type Kept = (String, String, String, u64, String);

async fn log(store: &Store, id: &str) -> Vec<Kept> {
    log_after(store, id, 0).await
}

async fn log_after(store: &Store, id: &str, after: u64) -> Vec<Kept> {
    let range = ReadAfter { after: Offset::new(after).expect("small"), ..everything() };
    let page = store.read_after(&task(id), &range).await.expect("it reads").expect("the task is there");
    let row = |(_, activity): &(_, tasklight::model::Activity)| {
        (
            activity.event_id.to_string(),
            activity.invocation.to_string(),
            activity.kind.to_string(),
            activity.timestamp.as_millis(),
            activity.data.as_str().to_owned(),
        )
    };
    page.activities.iter().map(row).collect()
}

/// What publishers write that others might write in another way.
const ODD: [&str; 3] = [
    r#"{"b": 1.50, "a":"\u00e9\/", "dup":1,"dup":2}"#,
    "{ \"snow\" : \"\u{2603}\u{1f600}\u{2028}\" , \"n\":123456789012345678901234567890}",
    r#"{"seriesId":"s","delta":true,"text":"a"}"#,
];

/// A task that is over: one run ended by itself, one was lost, and of one nothing is said but a message.
async fn fill(url: &str) -> Vec<Kept> {
    let store = Store::open(&options(url.to_owned())).await.expect("it opens");
    let mut batch = Vec::new();
    let mut say = |run: &str, kind: &str, data: &str| {
        batch.push(activity(
            "t",
            &format!(
                r#"{{"invocationId":"{run}","type":"{kind}","timestamp":{},"data":{data}}}"#,
                1_764_000_000_000_u64 + batch.len() as u64
            ),
        ));
    };
    say("r", "status", r#"{"status":"pending","title":"build","agent":"make"}"#);
    for odd in ODD {
        say("r", "custom", odd);
    }
    say("r", "usage", r#"{"inputTokens":7}"#);
    say("r", "status", r#"{"status":"failed","exitCode":2}"#);
    say("a run", "message", r#"{"text":"hi"}"#);
    say("a run", "status", r#"{"status":"lost","reason":"silence"}"#);
    for append in &mut batch {
        append.activity.activity.received_at = tasklight::model::Timestamp::from_millis(1_764_000_000_000).expect("a time");
    }
    store.append(&batch, Attempt::First).await.expect("it is stored");
    let change = tasklight::store::TaskChange {
        title: Some(Some("A title".to_owned())),
        labels: Some([("kind".to_owned(), "ci".to_owned())].into()),
    };
    store.patch_task(&task("t"), &change).await.expect("it is described");
    let log = log(&store, "t").await;
    store.close().await;
    log
}

fn configuration(archive: &str) -> String {
    format!("[retention]\nfinished_max_age = \"1d\"\nbite = 3\narchive = \"{archive}\"\n")
}

fn files(folder: &Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found
}

async fn import(hub: &TestHub, flags: &[&str], path: &Path) -> Finished {
    let path = path.to_str().expect("UTF-8");
    finish(&mut tasklight(&hub.url(""), [&["import"], flags, &["--archive", path]].concat())).await
}

async fn an_archived_task_comes_back(url: &str) {
    let before = fill(url).await;
    let folder = TempDir::new().expect("a folder");
    let archive = folder.path().join("deep/archive");
    let gone = retention(url, &configuration(&format!("file://{}", archive.display())), &["--now"]).await;
    assert_eq!(gone.code, Some(0), "{gone:?}");
    assert!(gone.out().starts_with("8 activities") && gone.out().contains(" and 1 tasks were removed"), "{}", gone.out());
    let there = files(&archive);
    assert_eq!(there.len(), 1, "{there:?}");
    let mut text = String::new();
    MultiGzDecoder::new(File::open(&there[0]).expect("a file")).read_to_string(&mut text).expect("gzip of text");
    let manifest: Value = serde_json::from_str(text.lines().next().expect("a line")).expect("JSON");
    for (name, value) in [
        ("tasklightArchive", json!(1)),
        ("taskId", json!("t")),
        ("title", json!("A title")),
        ("labels", json!({"kind": "ci"})),
        ("first", json!(1)),
        ("last", json!(8)),
        ("head", json!(8)),
        ("floor", json!(1)),
        ("whole", json!(true)),
    ] {
        assert_eq!(manifest[name], value, "{name}");
    }
    assert_eq!(manifest["invocations"].as_array().map(Vec::len), Some(2));
    assert!(text.lines().nth(2).expect("a line").contains(ODD[0]), "byte for byte");

    let mut hub = TestHub::start().await;
    let dry = import(&hub, &["--dry-run"], &archive).await;
    assert_eq!((dry.code, hub.get("/v1/tasks/t").await.0), (Some(0), 404), "{dry:?}");
    let done = import(&hub, &[], &archive).await;
    assert_eq!(done.code, Some(0), "{done:?}");
    let (_, shown) = hub.get("/v1/tasks/t").await;
    assert_eq!((&shown["title"], &shown["labels"]), (&json!("A title"), &json!({"kind": "ci"})));
    for (run, status, exit) in [("r", "failed", json!(2)), ("a%20run", "lost", Value::Null)] {
        let (_, run) = hub.get(&format!("/v1/tasks/t/invocations/{run}")).await;
        assert_eq!((&run["status"], &run["exitCode"], &run["backfilled"]), (&json!(status), &exit, &json!(true)), "{run}");
        assert_eq!(run["stalled"], false);
    }
    let again = import(&hub, &[], &archive).await;
    assert_eq!(again.code, Some(0), "{again:?}");
    assert!(again.out().contains("0 activities stored, 8 were there before"), "{}", again.out());
    let ours = hub.log("t").await.len();
    assert_eq!(ours, before.len() + 2, "a mark for each run, once");
    let other = import(&hub, &["--task", "copy"], &there[0]).await;
    assert_eq!(other.code, Some(0), "{other:?}");
    assert!(hub.stop().await);
    let store = Store::open(&options(format!("sqlite://{}", hub.database().display()))).await.expect("it opens");
    for name in ["t", "copy"] {
        let mut after = log(&store, name).await;
        after.retain(|(_, _, kind, _, data)| kind != "status" || !data.contains("backfilled"));
        assert_eq!(after, before, "{name}");
    }
    store.close().await;
}

#[tokio::test]
async fn an_archived_task_comes_back_from_sqlite() {
    let folder = TempDir::new().expect("a folder");
    an_archived_task_comes_back(&format!("sqlite://{}", folder.path().join("log.db").display())).await;
}

#[tokio::test]
async fn an_archived_task_comes_back_from_postgres() {
    let database = postgres_database().await;
    an_archived_task_comes_back(&database.url()).await;
}

#[tokio::test]
async fn a_long_log_is_archived_in_parts_and_what_stays_is_not() {
    let folder = TempDir::new().expect("a folder");
    let url = format!("sqlite://{}", folder.path().join("log.db").display());
    let store = Store::open(&options(url.clone())).await.expect("it opens");
    store.append(&[activity("t", r#"{"invocationId":"r","type":"message"}"#)], Attempt::First).await.expect("it is stored");
    let many = "WITH RECURSIVE n(n) AS (VALUES (2) UNION ALL SELECT n + 1 FROM n WHERE n < 105000) INSERT INTO activities \
                (task, \"offset\", invocation, event_id, type, timestamp, received_at, data) \
                SELECT 1, n, 1, randomblob(16), 'message', n, n, '{\"n\":' || n || '}' FROM n";
    execute_on(&url, many).await;
    let before = log_after(&store, "t", 104_000).await;
    store.close().await;
    let archive = folder.path().join("archive");
    let file = format!(
        "[retention]\nmax_activities = 1000\nbite = 50000\nbusy_percent = 100\narchive = \"file://{}\"\n",
        archive.display()
    );
    let gone = retention(&url, &file, &["--now"]).await;
    assert_eq!(gone.code, Some(0), "{gone:?}");
    let mut names: Vec<_> =
        files(&archive).iter().map(|path| path.file_name().expect("a name").to_string_lossy()[9..].to_owned()).collect();
    names.sort_unstable();
    assert_eq!(names, ["000000000001-000000100000.ndjson.gz", "000000100001-000000104000.ndjson.gz"]);
    let store = Store::open(&options(url)).await.expect("it opens");
    assert_eq!(log(&store, "t").await, before);
    store.close().await;
}

async fn nothing_goes(url: &str, archive: &str, more: &str, said: &str) {
    let folder = TempDir::new().expect("a folder");
    std::fs::write(folder.path().join("tasklight.toml"), configuration(archive) + more).expect("a file");
    let mut command = tasklight("", ["retention", "--now", "--store", url]);
    command.current_dir(folder.path()).env("AWS_ACCESS_KEY_ID", "key").env("AWS_SECRET_ACCESS_KEY", "PLANTED-secret");
    let failed = finish(&mut command).await;
    assert_eq!(failed.code, Some(1), "{failed:?}");
    assert!(failed.stderr.contains("could not be archived") && failed.stderr.contains(said), "{failed:?}");
    assert!(!failed.stderr.contains("PLANTED") && !failed.stderr.contains("X-Amz-Signature"), "{failed:?}");
    assert!(failed.out().starts_with("0 activities"), "{}", failed.out());
    let store = Store::open(&options(url.to_owned())).await.expect("it opens");
    assert_eq!(log(&store, "t").await.len(), 8, "everything is there");
    store.close().await;
}

#[tokio::test]
async fn what_cannot_be_archived_stays() {
    let folder = TempDir::new().expect("a folder");
    let url = format!("sqlite://{}", folder.path().join("log.db").display());
    fill(&url).await;
    std::fs::write(folder.path().join("file"), "").expect("a file");
    nothing_goes(&url, &format!("file://{}/file/archive", folder.path().display()), "", "file/archive").await;
    // A server that refuses, one that is away, and one that gives back something else than it was given.
    for (answer, said) in [
        (
            "HTTP/1.1 403 Forbidden\r\nContent-Length: 36\r\n\r\n<Error><Code>AccessDenied</Code></E>",
            "403 Forbidden AccessDenied",
        ),
        ("", "archive's server"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nother", "is not what was put there"),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let endpoint = format!("archive_endpoint = \"http://{}\"\n", listener.local_addr().expect("an address"));
        let mut serving = JoinSet::new();
        serving.spawn(serve(listener, answer));
        nothing_goes(&url, "s3://bucket/some/prefix", &endpoint, said).await;
        serving.abort_all();
    }
}

/// Gives every request the same answer; by an empty one, the connection is closed.
async fn serve(listener: TcpListener, answer: &'static str) {
    let mut connections = JoinSet::new();
    while let Ok((mut stream, _)) = listener.accept().await {
        connections.spawn(async move {
            let (mut buffer, mut heard) = (vec![0; 64 << 10], Vec::new());
            loop {
                let Ok(count) = stream.read(&mut buffer).await else { return };
                heard.extend_from_slice(&buffer[..count]);
                // Requests are short: a body comes with its head, or right after.
                let Some(head) = heard.windows(4).position(|window| window == b"\r\n\r\n") else { continue };
                let text = String::from_utf8_lossy(&heard[..head]).to_ascii_lowercase();
                let length =
                    text.lines().find_map(|line| line.strip_prefix("content-length: ")?.trim().parse().ok()).unwrap_or(0);
                if count == 0 || answer.is_empty() {
                    return;
                }
                if head + 4 + length <= heard.len() {
                    heard.drain(..head + 4 + length);
                    if stream.write_all(answer.as_bytes()).await.is_err() {
                        return;
                    }
                }
            }
        });
    }
}
