//! Secrets that are published appear nowhere: not in the files of the store, on any way out, in answers or among what was refused.

use std::process::Stdio;

use futures_util::StreamExt;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{io::AsyncWriteExt, time::timeout};

use crate::{
    harness::{PATIENCE, TestHub},
    program::{end, finish, run, tasklight},
    services::{postgres_database, prefix, redis_url},
    viewer::Viewer,
};

/// Made up, and each with a part of its own that is looked for.
const TOKEN: &str = "ghp_PLANTEDa1b2c3d4e5f6g7h8i9j0k1l2m3n4o5p6";
const AWS: &str = "AKIAPLANTEDQ3RSTUVWX";
const PASSWORD: &str = "PLANTED-hunter2";
const URL: &str = "postgres://app:PLANTED-in-url@db/app";
const KEY: &str = "-----BEGIN PRIVATE KEY-----\nPLANTEDIBADANBgkqhkiG9w0BAQEFAASCBKcw\n-----END PRIVATE KEY-----";

pub fn is_clean(what: &str, text: impl AsRef<[u8]>) {
    let text = String::from_utf8_lossy(text.as_ref()).into_owned();
    if let Some(at) = text.find("PLANTED") {
        let around: String = text[..at].chars().rev().take(60).collect::<Vec<_>>().into_iter().rev().collect();
        panic!("{what} has a secret behind {around:?}");
    }
}

/// Activities with secrets in every place where one may be.
pub fn planted() -> Vec<Value> {
    let activity = |kind: &str, data: Value| json!({"invocationId": "r", "type": kind, "data": data});
    vec![
        activity("status", json!({"status": "running", "title": format!("deploy {TOKEN}"), "agent": AWS, "reason": URL})),
        activity("message", json!({"text": format!("the key is\n{KEY}\nkeep it")})),
        activity(
            "tool_call",
            json!({"toolCallId": "1", "name": "bash", "input": {"command": format!("login --password {PASSWORD}"), "env": {"API_KEY": PASSWORD}}}),
        ),
        activity(
            "tool_result",
            json!({"toolCallId": "1", "output": json!({"client_secret": PASSWORD, "a": [1, {"b": TOKEN}]}).to_string()}),
        ),
        activity(
            "custom",
            json!({TOKEN: 1, "headers": [["Authorization", format!("Bearer {PASSWORD}")]], "name": "DB_PASSWORD", "value": PASSWORD}),
        ),
        activity("output", json!({"stream": "stdout", "text": format!("export DB_PASSWORD={PASSWORD}\nDATABASE_URL={URL}\n")})),
    ]
}

async fn text_of(url: String) -> String {
    reqwest::get(url).await.expect("an answer").text().await.expect("a body")
}

#[tokio::test]
async fn what_is_published_over_http_appears_nowhere() {
    let mut hub = TestHub::start().await;
    let mut viewer = Viewer::subscribe(hub.address(), "t", json!({})).await;
    let mut list = Viewer::connect(hub.address()).await;
    list.say(json!({"op": "subscribe", "list": "tasks"})).await;
    let labels = json!({"env": "prod", "token": PASSWORD, "note": URL});
    let (status, answer) = hub.send("PUT", "/v1/tasks/t", json!({"title": format!("with {TOKEN}"), "labels": labels})).await;
    assert_eq!(status, 201, "{answer}");
    assert_eq!(answer["title"], "with [redacted:github-token]");
    is_clean("the answer to PUT", answer.to_string());
    let stream = reqwest::get(hub.url("/v1/tasks/t/stream?after=start")).await.expect("an answer");
    let (status, answer) = hub.post("t", planted().into()).await;
    assert_eq!(status, 200, "{answer}");
    // Hidden by escapes, which a look at the bytes alone would miss.
    let escaped: String = TOKEN.chars().map(|c| format!("\\u{:04x}", u32::from(c))).collect();
    let body = format!(r#"{{"invocationId":"r","type":"message","data":{{"text":"{escaped}","p\u0061ssword":"\u0050LANTED"}}}}"#);
    let response = reqwest::Client::new().post(hub.url("/v1/tasks/t/activities")).body(body).send().await.expect("an answer");
    assert_eq!(response.status(), 200);
    // Cut in two.
    for text in ["and API_TOKEN=", PASSWORD, " done\n"] {
        hub.post("t", json!({"invocationId": "r", "type": "output", "data": {"stream": "stdout", "text": text}})).await;
    }
    for bad in [
        json!({"invocationId": "r", "type": "message", TOKEN: 1}),
        json!({"invocationId": "r", "type": "message", "data": PASSWORD}),
        json!({"invocationId": TOKEN, "type": "message"}),
        json!({"invocationId": "r", "type": format!("PLANTED {TOKEN}")}),
    ] {
        let (status, answer) = hub.post("t", bad).await;
        assert_eq!(status, 400);
        is_clean("a refusal", answer.to_string());
    }

    let seen = viewer.activities(planted().len() + 4).await;
    is_clean("the WebSocket", json!(seen).to_string());
    assert_eq!(seen[0]["data"]["agent"], "[redacted:aws-access-key]");
    assert_eq!(seen[1]["data"]["text"], "the key is\n[redacted:private-key]\nkeep it");
    assert_eq!(seen[6]["data"], json!({"text": "[redacted:github-token]", "password": "[redacted:named-secret]"}));
    assert_eq!(seen[8]["data"]["text"], "[redacted:named-secret]");
    is_clean("the list", list.until("task").await.iter().map(Value::to_string).collect::<String>());
    let mut chunks = stream.bytes_stream();
    let mut events = Vec::new();
    while !String::from_utf8_lossy(&events).contains(" done") {
        events.extend(timeout(PATIENCE, chunks.next()).await.expect("in time").expect("more").expect("bytes"));
    }
    is_clean("the stream", events);
    for path in ["/v1/tasks", "/v1/tasks/t", "/v1/tasks/t/activities", "/v1/tasks/t/invocations", "/v1/tasks/t/rejects"] {
        is_clean(path, text_of(hub.url(path)).await);
    }
    let metrics = text_of(format!("http://{}/metrics", hub.node().admin_address())).await;
    is_clean("the metrics", &metrics);
    assert!(metrics.contains(r#"tasklight_secrets_redacted_total{rule="github-token"}"#), "{metrics}");
    drop((viewer, list));
    let database = hub.database();
    let mut looked_at = 0;
    for file in std::fs::read_dir(database.parent().expect("a folder")).expect("readable") {
        let path = file.expect("readable").path();
        is_clean(&path.display().to_string(), std::fs::read(&path).expect("readable"));
        looked_at += 1;
    }
    assert!(2 <= looked_at, "the database and its log");
    assert!(hub.stop().await);
    is_clean("the database at rest", std::fs::read(database).expect("readable"));
}

#[tokio::test]
async fn what_is_published_over_redis_appears_nowhere() {
    let (database, prefix) = (postgres_database().await, prefix());
    let hub = TestHub::start_with(|settings| {
        settings.store.url = database.url();
        settings.broker.url = redis_url();
        settings.broker.prefix = prefix.clone();
    })
    .await;
    hub.member().await;
    let client = redis::Client::open(redis_url()).expect("a URL");
    let mut heard = client.get_async_pubsub().await.expect("Redis is there");
    heard.psubscribe(format!("{prefix}ack:*")).await.expect("it subscribes");
    heard.psubscribe(format!("{prefix}feed:*")).await.expect("it subscribes");
    let mut agent = client.get_multiplexed_async_connection().await.expect("Redis is there");
    let mut publish = async |channel: &str, text: String| -> u64 {
        redis::cmd("PUBLISH").arg(format!("{prefix}{channel}")).arg(text).query_async(&mut agent).await.expect("a count")
    };
    let announced = async {
        while publish("task:t", "[]".to_owned()).await == 0 {
            publish("tasks", json!({"taskId": "t"}).to_string()).await;
        }
    };
    timeout(PATIENCE, announced).await.expect("somebody hears it");
    let mut all = planted();
    all.push(json!({"invocationId": "r", "type": "message", TOKEN: PASSWORD}));
    all.push(json!({"invocationId": "r", "type": "message", "data": {"text": "last"}, "eventId": "0190c6a4-7c1e-7000-8000-5f3a9c1e0001"}));
    publish("task:t", json!(all).to_string()).await;
    let mut messages = heard.on_message();
    let mut acked = false;
    while !acked {
        let message = timeout(PATIENCE, messages.next()).await.expect("in time").expect("the connection lives");
        is_clean("a channel", message.get_payload_bytes());
        acked = String::from_utf8_lossy(message.get_payload_bytes()).contains("5f3a9c1e0001");
    }
    let log = hub.log("t").await;
    assert_eq!(log.len(), planted().len() + 1);
    is_clean("the log", json!(log).to_string());
    let kept = async {
        loop {
            let rejects = text_of(hub.url("/v1/tasks/t/rejects")).await;
            if rejects.contains("unknown_field") {
                return rejects;
            }
        }
    };
    is_clean("the rejects", timeout(PATIENCE, kept).await.expect("it is kept"));
}

#[tokio::test]
async fn a_bad_rule_file_stops_the_start_and_a_good_one_is_used() {
    let folder = TempDir::new().expect("a folder");
    let file = folder.path().join("rules.toml");
    let serve = |name: &str| {
        let mut command = tasklight("", ["serve", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"]);
        command.current_dir(folder.path()).env("TASKLIGHT__REDACT__RULES", name);
        command
    };
    std::fs::write(&file, "\n[[rules]]\nid = \"acme\"\nregex = 'acme-[a-z'\nkeywords = [\"acme-\"]\n").expect("written");
    let done = finish(&mut serve("rules.toml")).await;
    assert_eq!(done.code, Some(1));
    for word in ["rules.toml, line 2", "\"acme\"", "unclosed character class"] {
        assert!(done.stderr.contains(word), "{word} in {}", done.stderr);
    }
    std::fs::write(
        &file,
        "[[rules]]\nid = \"acme\"\nregex = 'acme-[a-z]{8}'\nkeywords = [\"acme-\"]\ntp = [\"acme-abcdefgh\"]\n",
    )
    .expect("written");
    let hub = TestHub::start_with(|settings| {
        let set = format!("[\"{}\"]", file.display());
        settings.redact.rules = serde_json::from_str(&set).expect("a list");
        settings.redact.disable = serde_json::from_str("[\"named-secret\"]").expect("a list");
    })
    .await;
    hub.publish("t", &["acme-abcdefgh and PASSWORD=hunter2"]).await;
    assert_eq!(hub.log("t").await[0]["data"]["text"], "[redacted:acme] and PASSWORD=hunter2");
}

#[tokio::test]
async fn run_and_publish_take_secrets_out_before_anything_leaves() {
    // A hub that stores what it gets shows what was sent.
    let hub = TestHub::start_with(|settings| settings.redact.enabled = false).await;
    let script = format!("echo 'export PASSWORD={PASSWORD}'; printf 'TOKEN='; sleep 0.5; echo {TOKEN} >&2; echo {PASSWORD}");
    let done = finish(&mut run(&hub.url(""), &["--title", &format!("with {TOKEN}")], &script)).await;
    assert!(done.out().contains(PASSWORD) && done.stderr.contains(TOKEN), "the command's own output stays: {done:?}");
    let line = json!({"type": "custom", "data": {"password": PASSWORD, "n": 1}}).to_string();
    let mut child =
        tasklight(&hub.url(""), ["publish", "t", "--invocation", "p"]).stdin(Stdio::piped()).spawn().expect("it starts");
    child.stdin.take().expect("piped").write_all(line.as_bytes()).await.expect("it reads");
    assert_eq!(end(child).await.code, Some(0));
    let text = format!("see {URL}");
    finish(&mut tasklight(&hub.url(""), ["publish", "t", "--invocation", "p", "--type", "message", "--text", &text])).await;
    let log = json!(hub.log("t").await).to_string();
    is_clean("the log", &log);
    for expected in [
        "with [redacted:github-token]",
        "PASSWORD=[redacted:named-secret]",
        r#""n":1"#,
        "postgres://app:[redacted:url-password]@db/app",
    ] {
        assert!(log.contains(expected), "{expected} in {log}");
    }
    finish(&mut tasklight(
        &hub.url(""),
        ["publish", "u", "--no-redact", "--invocation", "p", "--type", "message", "--text", &text],
    ))
    .await;
    assert!(json!(hub.log("u").await).to_string().contains(URL), "on request everything goes");
}

#[tokio::test]
async fn what_is_kept_for_later_holds_no_secrets() {
    let folder = TempDir::new().expect("a folder");
    let script = format!("echo PASSWORD={PASSWORD}; echo end");
    let done = finish(run("http://127.0.0.1:1", &["--wait", "0s"], &script).env("TMPDIR", folder.path())).await;
    assert_eq!(done.code, Some(0));
    let file = std::fs::read_dir(folder.path()).expect("a folder").next().expect("a file").expect("readable").path();
    let kept = std::fs::read_to_string(file).expect("UTF-8");
    assert!(kept.contains("PASSWORD=[redacted:named-secret]") && kept.contains("end"), "{kept}");
    // The title is the command line.
    is_clean("what is kept", kept);
}

#[tokio::test]
async fn the_filter_says_which_rule_found_something_where_and_never_what() {
    let mut child = tasklight("", ["redact", "--explain"]).stdin(Stdio::piped()).spawn().expect("it starts");
    let input = format!("one\n{TOKEN}\n{{\"password\":\"{PASSWORD}\"}}\n");
    child.stdin.take().expect("piped").write_all(input.as_bytes()).await.expect("it reads");
    let done = end(child).await;
    assert_eq!(done.out(), "one\n[redacted:github-token]\n{\"password\":\"[redacted:named-secret]\"}\n");
    assert_eq!(done.stderr, "tasklight: line 2: github-token\ntasklight: line 3: named-secret\n");
    let done = finish(&mut tasklight("", ["redact", "--list"])).await;
    assert!(done.out().lines().count() > 100 && done.out().contains("github-token"), "{}", done.out());
}
