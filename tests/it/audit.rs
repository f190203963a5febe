//! What was stored before a rule was there is found by it, and cleaned in its place.

use serde_json::{Value, json};
use tasklight::{
    model::{Reject, Timestamp},
    store::{Attempt, Store},
};
use tempfile::TempDir;
use tokio::time::timeout;

use crate::{
    harness::{PATIENCE, TestHub},
    program::{Finished, finish, tasklight},
    redact::{is_clean, planted},
    services::postgres_database,
    store_contract::{activity, options, task},
    viewer::Viewer,
};

const PASSWORD: &str = "PLANTED-hunter2";

async fn audit(url: &str, arguments: &[&str]) -> Finished {
    let folder = TempDir::new().expect("a folder");
    finish(tasklight("", [&["audit", "--store", url], arguments].concat()).current_dir(folder.path())).await
}

/// Secrets wherever a text is stored, by a hub that does not look for any.
async fn plant(hub: &TestHub, store: &Store) {
    let labels = json!({"env": "prod", "token": PASSWORD});
    let title = format!("with password={PASSWORD}");
    assert_eq!(hub.send("PUT", "/v1/tasks/t", json!({"title": title, "labels": labels})).await.0, 201);
    let (status, answer) = hub.post("t", planted().into()).await;
    assert_eq!(status, 200, "{answer}");
    for text in ["and API_TOKEN=", PASSWORD, " done\n"] {
        hub.post("t", json!({"invocationId": "r", "type": "output", "data": {"stream": "stdout", "text": text}})).await;
    }
    // As a stream of bytes keeps what is sent to it.
    for bytes in ["and API_TOKEN=", PASSWORD, " done\u{100}"] {
        hub.post("t", json!({"invocationId": "ds", "type": "custom", "data": {"bytes": bytes}})).await;
    }
    let usage = json!({"invocationId": "r", "type": "usage", "data": {"inputTokens": 1, "api_key": PASSWORD}});
    hub.post("t", usage).await;
    hub.publish("clean", &["nothing here", "max_tokens: 5"]).await;
    let reject = Reject {
        task: task("t"),
        at: Timestamp::now(),
        code: "unknown_field".to_owned(),
        field: Some(format!("password={PASSWORD}")),
        message: format!("DB_PASSWORD={PASSWORD} is no field"),
        event_id: None,
        bytes: 7,
        excerpt: "{}".to_owned(),
    };
    store.keep_rejects(&[reject]).await.expect("it is kept");
}

/// Everything that the API tells of the task.
async fn everything(hub: &TestHub) -> Vec<Value> {
    let mut all = hub.log("t").await;
    for path in ["/v1/tasks", "/v1/tasks/t", "/v1/tasks/t/rejects", "/v1/tasks/t/invocations"] {
        all.push(hub.get(path).await.1);
    }
    all
}

fn places(log: &[Value]) -> Vec<(Value, Value, Value)> {
    log.iter().map(|a| (a["cursor"].clone(), a["eventId"].clone(), a["receivedAt"].clone())).collect()
}

#[tokio::test]
async fn sqlite_is_cleaned_in_place_while_its_hub_is_stopped() {
    let mut hub = TestHub::start_with(|settings| settings.redact.enabled = false).await;
    plant(&hub, hub.node().store()).await;
    let url = format!("sqlite://{}", hub.database().display());
    let before = places(&hub.log("t").await);
    let clean = hub.log("clean").await;
    let running = audit(&url, &[]).await;
    assert!(running.code == Some(1) && running.stderr.contains("in use by another tasklight process"), "{running:?}");
    assert!(hub.stop().await);

    let dry = audit(&url, &[]).await;
    assert_eq!(dry.code, Some(1), "{dry:?}");
    is_clean("what is said", dry.out() + &dry.stderr);
    for words in ["named-secret  t\n", "github-token  t\n", "private-key  t\n", "secrets in 1 tasks; nothing was changed"] {
        assert!(dry.out().contains(words), "{words} in {}", dry.out());
    }
    assert!(String::from_utf8_lossy(&std::fs::read(hub.database()).expect("readable")).contains("PLANTED"));
    let one = audit(&url, &["--task", "clean"]).await;
    assert_eq!((one.code, one.out().as_str()), (Some(0), "no secrets found\n"));

    let done = audit(&url, &["--clean"]).await;
    assert_eq!(done.code, Some(0), "{done:?}");
    assert!(done.out().contains("in 1 tasks were replaced"), "{}", done.out());
    for file in std::fs::read_dir(hub.database().parent().expect("a folder")).expect("readable") {
        let path = file.expect("readable").path();
        is_clean(&path.display().to_string(), std::fs::read(&path).expect("readable"));
    }
    let again = audit(&url, &[]).await;
    assert_eq!((again.code, again.out().as_str()), (Some(0), "no secrets found\n"));

    hub.start_again().await;
    is_clean("the API", json!(everything(&hub).await).to_string());
    assert_eq!(places(&hub.log("t").await), before, "nothing else of an activity has changed");
    assert_eq!(hub.log("clean").await, clean);
    let (_, shown) = hub.get("/v1/tasks/t").await;
    assert_eq!(
        (&shown["title"], &shown["labels"]["token"]),
        (&json!("with password=[redacted:named-secret]"), &json!("[redacted:named-secret]"))
    );
    let runs = shown["invocations"].as_array().expect("runs");
    let run = runs.iter().find(|run| run["invocationId"] == "r").expect("its run");
    assert_eq!(run["usage"], json!({"inputTokens": 1, "api_key": "[redacted:named-secret]"}));
}

#[tokio::test]
async fn what_clients_of_streams_have_named_is_looked_at_and_said_to_stay() {
    let database = postgres_database().await;
    let token = format!("ghp_{}", "A1b2C3d4E5f6G7h8I9j0K1l2M3n4O5p6Q7r8");
    for url in [None, Some(database.url())] {
        let mut hub = TestHub::start_with(|settings| {
            settings.redact.enabled = false;
            settings.store.url = url.clone().unwrap_or_else(|| settings.store.url.clone());
        })
        .await;
        let client = reqwest::Client::new();
        for (task, header) in [("kind", "content-type"), ("seq", "stream-seq"), ("producer", "producer-id"), ("clean", "x")] {
            let address = hub.url(&format!("/v1/ds/{task}"));
            let value = if header == "content-type" { format!("text/{token}") } else { token.clone() };
            let kind = if header == "content-type" { value.as_str() } else { "text/plain" };
            let made = client.put(&address).header("content-type", kind).send().await.expect("an answer");
            assert_eq!(made.status(), 201, "{task}");
            for (n, name) in ["writer-1", if header == "producer-id" { &value } else { "writer-2" }].into_iter().enumerate() {
                let mut append = client.post(&address).header("content-type", kind).body("x");
                append = append.header("producer-id", name).header("producer-epoch", "0").header("producer-seq", "0");
                let seq = if header == "stream-seq" { format!("{n} {token}") } else { n.to_string() };
                assert_eq!(append.header("stream-seq", seq).send().await.expect("an answer").status(), 200, "{task}");
            }
        }
        let url = url.unwrap_or_else(|| format!("sqlite://{}", hub.database().display()));
        assert!(hub.stop().await);
        for flags in [&[][..], &["--clean"]] {
            let said = audit(&url, flags).await;
            // A content type is its run's title, too, which can be cleaned.
            assert_eq!(said.code, Some(1), "{said:?}");
            for task in ["kind", "seq", "producer"] {
                assert!(said.out().contains(&format!("id  github-token  {task}: ")), "{task} in {}", said.out());
            }
            assert!(!said.out().contains("clean:") && !said.out().contains(&token), "{}", said.out());
        }
    }
}

#[tokio::test]
async fn postgres_is_cleaned_while_hubs_go_on_and_they_stop_showing_the_old_text() {
    let database = postgres_database().await;
    let start = || {
        TestHub::start_with(|settings| {
            settings.redact.enabled = false;
            settings.store.url = database.url();
            settings.hub.resync_interval = "50ms".parse().expect("a duration");
        })
    };
    let (hub, other) = (start().await, start().await);
    plant(&hub, hub.node().store()).await;
    // Both have it in memory, because somebody watches.
    let mut viewers = Vec::new();
    let count = hub.log("t").await.len();
    for node in [&hub, &other] {
        let mut viewer = Viewer::subscribe(node.address(), "t", json!({"after": "start"})).await;
        assert!(json!(viewer.activities(count).await).to_string().contains("PLANTED"));
        viewers.push(viewer);
    }
    let before = places(&hub.log("t").await);
    let dry = audit(&database.url(), &[]).await;
    assert_eq!(dry.code, Some(1), "{dry:?}");
    let done = audit(&database.url(), &["--clean"]).await;
    assert_eq!(done.code, Some(0), "{done:?}");
    assert_eq!(audit(&database.url(), &[]).await.code, Some(0));
    is_clean("the API", json!(everything(&hub).await).to_string());
    assert_eq!(places(&hub.log("t").await), before);
    for node in [&hub, &other] {
        let forgotten = async {
            loop {
                let mut viewer = Viewer::subscribe(node.address(), "t", json!({"after": "start"})).await;
                if !json!(viewer.activities(count).await).to_string().contains("PLANTED") {
                    return;
                }
            }
        };
        timeout(PATIENCE, forgotten).await.expect("it is read again from the store");
    }
    // Who watched goes on, without a gap.
    hub.publish("t", &["afterwards"]).await;
    for viewer in &mut viewers {
        assert_eq!(viewer.texts(1).await, ["afterwards"]);
    }
}

#[tokio::test]
async fn a_rule_of_ones_own_finds_what_was_stored_before_it_was_there() {
    let folder = TempDir::new().expect("a folder");
    let url = format!("sqlite://{}", folder.path().join("log.db").display());
    let store = Store::open(&options(url.clone())).await.expect("it opens");
    let said = |n: usize| {
        let text = if n.is_multiple_of(400) { "acme-abcdefgh" } else { "nothing" };
        activity(&format!("t{}", n % 3), &format!(r#"{{"invocationId":"r","type":"message","data":{{"text":"{text} {n}"}}}}"#))
    };
    let many: Vec<_> = (1..=2_000).map(said).collect();
    store.append(&many, Attempt::First).await.expect("it is stored");
    store
        .append(&[activity("t0", r#"{"invocationId":"acme-abcdefgh","type":"message"}"#)], Attempt::First)
        .await
        .expect("stored");
    store.close().await;
    assert_eq!(audit(&url, &[]).await.code, Some(0), "nobody knew");
    let rules = folder.path().join("rules.toml");
    std::fs::write(&rules, "[[rules]]\nid = \"acme\"\nregex = 'acme-[a-z]{8}'\nkeywords = [\"acme-\"]\n").expect("written");
    let config = folder.path().join("tasklight.toml");
    std::fs::write(&config, format!("[redact]\nrules = [\"{}\"]\n", rules.display())).expect("written");
    let config = config.to_str().expect("UTF-8");
    let dry = audit(&url, &["--config", config]).await;
    assert!(dry.out().contains("5 secrets in 3 tasks"), "{}", dry.out());
    // From a task on, as after an interruption.
    let rest = audit(&url, &["--config", config, "--clean", "--from", "t2"]).await;
    assert!(rest.out().contains("secrets in") && rest.code == Some(0), "{rest:?}");
    let done = audit(&url, &["--config", config, "--clean"]).await;
    assert_eq!(done.code, Some(1), "an id cannot be changed");
    assert!(done.out().contains("acme  t0: an id of the task or of one of its runs"), "{}", done.out());
    let left = audit(&url, &["--config", config]).await;
    assert!(left.out().contains("no secrets found"), "{}", left.out());
    let missing = audit(&url, &["--task", "nowhere"]).await;
    assert!(missing.code == Some(1) && missing.stderr.contains("there is no task nowhere"), "{missing:?}");
    let nothing = audit("sqlite:///nowhere/log.db", &[]).await;
    assert!(nothing.stderr.contains("there is no database at /nowhere/log.db"), "{nothing:?}");
}

#[tokio::test]
async fn cleaning_runs_undoes_nothing_of_what_hubs_write_meanwhile() {
    const RUNS: usize = 40;
    let database = postgres_database().await;
    let hub = TestHub::start_with(|settings| {
        settings.redact.enabled = false;
        settings.store.url = database.url();
    })
    .await;
    let status = |run: usize, status: &str, more: Value| {
        let mut data = json!({"status": status});
        data.as_object_mut().expect("an object").extend(more.as_object().cloned().unwrap_or_default());
        json!({"invocationId": format!("r{run}"), "type": "status", "data": data})
    };
    let begin = (0..RUNS).map(|run| status(run, "running", json!({"title": format!("password={PASSWORD}")})));
    hub.post("t", begin.collect()).await;
    let url = database.url();
    let cleaning = async {
        for _ in 0..3 {
            assert_eq!(audit(&url, &["--clean"]).await.code, Some(0));
        }
    };
    let writing = async {
        for round in 0..50 {
            let usage = |run| json!({"invocationId": format!("r{run}"), "type": "usage", "data": {"inputTokens": round}});
            assert_eq!(hub.post("t", (0..RUNS).map(usage).collect()).await.0, 200);
        }
        hub.post("t", (0..RUNS).map(|run| status(run, "completed", json!({"reason": "done"}))).collect()).await
    };
    let ((), _) = tokio::join!(cleaning, writing);
    let (_, runs) = hub.get("/v1/tasks/t/invocations").await;
    let runs = runs["invocations"].as_array().expect("runs");
    assert_eq!(runs.len(), RUNS);
    for run in runs {
        let told = (&run["status"], &run["reason"], &run["usage"]["inputTokens"], &run["title"]);
        assert_eq!(told, (&json!("completed"), &json!("done"), &json!(49), &json!("password=[redacted:named-secret]")));
    }
    let (_, task) = hub.get("/v1/tasks/t").await;
    assert_eq!(task["invocationCounts"], json!({"completed": RUNS}));
}
