//! What nobody may find in what a hub says of itself: tokens, tickets and payloads are put into everything that can be sent to it, and looked for
//! in its log at debug, its metrics and its traces. And nobody writes lines into its log.

use std::path::Path;

use futures_util::StreamExt;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{net::TcpStream, time::timeout};
use tokio_tungstenite::tungstenite::{Message, client::IntoClientRequest};

use crate::{
    access::{SECRET, token},
    harness::PATIENCE,
    program::{end, hear, tasklight},
    redact::planted,
    traces::Collector,
};

/// In payloads, names, headers and wherever else somebody may write something.
const CANARY: &str = "PLANTEDcanary7";

/// What would be a line of its own, if a line break came through.
const FORGED: &str = "a\n{\"level\":\"ERROR\",\"message\":\"PLANTEDforged\"}";

/// The hub under test: its address and the operator's.
struct Hub {
    url: String,
    client: reqwest::Client,
}

impl Hub {
    async fn send(&self, method: &str, path: &str, token: &str, body: impl Into<String>) -> (u16, String) {
        let request = self.client.request(method.parse().expect("a method"), format!("{}{path}", self.url));
        let request = request
            .bearer_auth(token)
            .header("user-agent", CANARY)
            .header("cookie", format!("session={CANARY}"))
            .header("x-forwarded-for", CANARY)
            .header("tracestate", format!("vendor={CANARY}"))
            .header("x-tasklight-task", CANARY)
            .header("last-event-id", CANARY)
            .body(body.into());
        let response = request.send().await.expect("an answer");
        (response.status().as_u16(), response.text().await.expect("a body"))
    }

    /// A WebSocket of someone who shows `protocols` and then says these; gives what was answered last.
    async fn talk(&self, protocols: &str, messages: &[Value]) -> Value {
        let mut request = format!("{}/v1/ws", self.url.replace("http:", "ws:")).into_client_request().expect("a request");
        request.headers_mut().insert("sec-websocket-protocol", protocols.parse().expect("a header"));
        let stream = TcpStream::connect(self.url.trim_start_matches("http://")).await.expect("it is there");
        let Ok((mut socket, _)) = tokio_tungstenite::client_async(request, stream).await else { return Value::Null };
        for message in messages {
            // A hub that has had enough closes.
            let _ = futures_util::SinkExt::send(&mut socket, Message::text(message.to_string())).await;
        }
        let _ = futures_util::SinkExt::send(&mut socket, Message::text(r#"{"op":"ping"}"#)).await;
        let mut last = Value::Null;
        let until_pong = async {
            while let Some(Ok(Message::Text(text))) = socket.next().await {
                last = serde_json::from_str(&text).expect("JSON");
                if last["op"] == "pong" {
                    return;
                }
            }
        };
        timeout(PATIENCE, until_pong).await.expect("it answers or closes");
        last
    }
}

/// Everything that can be sent, with something in it that must not be found. Gives the secrets that were made on the way.
async fn send_everything(hub: &Hub) -> Vec<String> {
    let good = token("agent", json!({"read": ["*"], "publish": ["*"], "admin": true}));
    let bad = format!("eyJhbGciOiJIUzI1NiJ9.{CANARY}.{CANARY}");
    let at = |task: &str| format!("/v1/tasks/{task}/activities");
    let message = |text: &str| json!({"invocationId": "r", "type": "message", "data": {"text": text}}).to_string();
    assert_eq!(hub.send("POST", &at("t"), &good, message(CANARY)).await.0, 200);
    assert_eq!(hub.send("POST", &at("t"), &good, json!(planted()).to_string()).await.0, 200);
    for body in [
        format!("no JSON but {CANARY}"),
        format!(r#"{{"invocationId":"r","type":"message","{CANARY}":1}}"#),
        json!({"invocationId": "r", "type": CANARY}).to_string(),
        json!({"invocationId": format!("ghp_{CANARY}d4E5f6G7h8I9j0K1l2M3n4O"), "type": "message"}).to_string(),
        json!({"invocationId": "r", "type": "status", "data": {"status": FORGED}}).to_string(),
    ] {
        assert_eq!(hub.send("POST", &at("t"), &good, body.as_str()).await.0, 400, "{body}");
    }
    for (method, path) in [
        ("GET", "/v1/tasks/a%0A%7B%22level%22:%22ERROR%22,%22message%22:%22PLANTEDforged%22%7D/activities".to_owned()),
        ("GET", format!("/v1/tasks/t/activities?after={CANARY}")),
        ("GET", format!("/v1/tasks/t/search?q={CANARY}")),
        ("GET", format!("/v1/tasks?label={CANARY}={CANARY}")),
        ("GET", format!("/v1/tasks/t/stream?token={CANARY}")),
        ("GET", format!("/v1/tasks/t/stream?ticket={CANARY}")),
        ("GET", format!("/{CANARY}/..%2f{CANARY}")),
        (CANARY, "/v1/tasks".to_owned()),
        ("POST", format!("/v1/hooks/claude?task=t&x={CANARY}")),
        ("POST", "/v1/admin/revoke".to_owned()),
    ] {
        hub.send(method, &path, &good, json!({"session_id": CANARY, "prompt": CANARY, "token": CANARY}).to_string()).await;
    }
    hub.send("PUT", "/v1/tasks/t", &good, json!({"title": CANARY, "labels": {"team": CANARY}}).to_string()).await;
    assert_eq!(hub.send("POST", &at("t"), &bad, message("x")).await.0, 401);
    let (status, answer) = hub.send("POST", "/v1/tickets", &good, "").await;
    assert_eq!(status, 201, "{answer}");
    let ticket = serde_json::from_str::<Value>(&answer).expect("JSON")["ticket"].as_str().expect("a ticket").to_owned();
    // Once it is good; the stream goes on until it is dropped.
    for expected in [200, 401] {
        let path = format!("{}/v1/tasks/t/stream?ticket={ticket}", hub.url);
        assert_eq!(hub.client.get(path).send().await.expect("an answer").status().as_u16(), expected);
    }
    let nonsense = [
        json!({"op": "subscribe", "task": FORGED}),
        json!({"op": "subscribe", "task": "t", "after": CANARY}),
        json!({"op": "subscribe", "task": "t", "invocation": FORGED}),
        json!({"op": CANARY}),
        json!({CANARY: CANARY}),
        json!({"op": "subscribe", "task": "t"}),
    ];
    assert_eq!(hub.talk(&format!("tasklight.v1, bearer.{good}"), &nonsense).await["op"], "pong");
    hub.talk(&format!("tasklight.v1, bearer.{bad}"), &[]).await;
    hub.talk("tasklight.v1", &[json!({"op": "auth", "token": bad})]).await;
    hub.talk("tasklight.v1", &[json!({"op": "auth", "token": good})]).await;
    hub.talk(CANARY, &[]).await;
    let secrets = [good.rsplit('.').next().expect("a signature"), &ticket, SECRET, "PLANTED", &good];
    secrets.map(str::to_owned).to_vec()
}

fn is_without(what: &str, text: &[u8], secrets: &[String]) {
    for secret in secrets {
        let found = text.windows(secret.len()).position(|window| window == secret.as_bytes());
        let around = found.map(|at| String::from_utf8_lossy(&text[at.saturating_sub(200)..text.len().min(at + 80)]).into_owned());
        assert_eq!(around, None, "{what} has {secret}");
    }
}

#[tokio::test]
async fn what_is_sent_to_a_hub_is_not_in_its_log_its_metrics_or_its_traces() {
    let collector = Collector::start().await;
    let folder = TempDir::new().expect("a folder");
    let (log, secret) = (folder.path().join("log"), folder.path().join("secret"));
    std::fs::write(&secret, SECRET).expect("written");
    let mut child = tasklight("", ["serve", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"])
        .current_dir(folder.path())
        .env("TASKLIGHT__LOG__LEVEL", "debug")
        .env("TASKLIGHT__LOG__FORMAT", "json")
        .env("TASKLIGHT__AUTH__HMAC_SECRET_FILE", &secret)
        .env("TASKLIGHT__TELEMETRY__OTLP_ENDPOINT", collector.url())
        .env("TASKLIGHT__TELEMETRY__SAMPLE_RATIO", "1")
        .stderr(std::fs::File::create(&log).expect("a file"))
        .spawn()
        .expect("it starts");
    let said = hear(&mut child, "make\n").await;
    let url =
        said.split_whitespace().find(|word| word.starts_with("http://")).expect("its address").trim_end_matches('/').to_owned();
    let hub = Hub { url, client: reqwest::Client::new() };
    let secrets = send_everything(&hub).await;
    let metrics = reqwest::get(format!("{}/metrics", admin_of(&log))).await.expect("an answer").bytes().await.expect("a body");
    crate::run::signal(&child, rustix::process::Signal::TERM);
    assert_eq!(end(child).await.code, Some(0));
    assert!(
        String::from_utf8_lossy(&metrics).contains(r#"tasklight_activities_accepted_total{via="http"} 7"#),
        "it counted them"
    );
    is_without("/metrics", &metrics, &secrets);
    let spans = collector.spans(1).await;
    assert!(spans.iter().any(|(_, span)| span.name == "commit"), "it traced them");
    is_without("what is traced", &collector.raw(), &secrets);
    let words = std::fs::read(&log).expect("it is there");
    is_without("the log", &words, &secrets);
    let mut seen = [false; 3];
    for line in String::from_utf8(words).expect("UTF-8").lines() {
        let line: Value = serde_json::from_str(line).unwrap_or_else(|_| panic!("no JSON: {line:?}"));
        assert_ne!(line["level"], "ERROR", "{line}");
        assert!(line["timestamp"].is_string() && line["target"].is_string(), "{line}");
        assert!(line.get("db.statement").is_none(), "statements are not for the log: {line}");
        let told = [
            line["session.id"].is_string() && line["task.id"] == "t",
            line["message"] == "answered",
            line["message"] == "committed",
        ];
        seen = [0, 1, 2].map(|index| seen[index] || told[index]);
    }
    assert_eq!(seen, [true; 3], "sessions, requests and commits are told of");
}

/// Where the operator's listener is, as the log says.
fn admin_of(log: &Path) -> String {
    let words = std::fs::read_to_string(log).expect("it is there");
    let lines = words.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let admin = lines.filter_map(|line| Some(line["admin"].as_str()?.to_owned())).next().expect("it says where it listens");
    format!("http://{admin}")
}
