//! Nobody reads or writes what their token does not grant, whichever way they try.

mod forged;
mod keys;
mod sessions;
mod tokens;

use std::time::Duration;

use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use reqwest::Method;
use serde_json::{Value, json};
use tasklight::{config::Settings, model::Timestamp};
use tempfile::TempDir;

use crate::harness::TestHub;

pub const SECRET: &str = "a secret of the tests, of more than 32 bytes";

/// Now, in seconds.
pub fn now() -> u64 {
    Timestamp::now().as_millis() / 1_000
}

/// A token with these claims, signed with the tests' secret.
pub fn signed(claims: &Value) -> String {
    encode(&Header::new(Algorithm::HS256), claims, &EncodingKey::from_secret(SECRET.as_bytes())).expect("it signs")
}

/// A token of `subject` for an hour.
pub fn token(subject: &str, grants: Value) -> String {
    signed(&json!({"sub": subject, "iat": now(), "exp": now() + 3_600, "tasklight": grants}))
}

/// A hub that asks for tokens.
pub struct GuardedHub {
    pub hub: TestHub,
    pub folder: TempDir,
    client: reqwest::Client,
}

impl GuardedHub {
    pub async fn start() -> Self {
        Self::start_with(|_, _| {}).await
    }

    pub async fn start_with(change: impl FnOnce(&mut Settings, &TempDir)) -> Self {
        let folder = TempDir::new().expect("a folder");
        let secret = folder.path().join("secret");
        std::fs::write(&secret, format!("{SECRET}\n")).expect("it is written");
        let hub = TestHub::start_with(|settings| {
            settings.auth.hmac_secret_file = secret.display().to_string();
            change(settings, &folder);
        });
        Self { hub: hub.await, folder, client: reqwest::Client::new() }
    }

    /// What the hub answers to this, with this token.
    pub async fn ask(&self, token: Option<&str>, method: &str, path: &str, body: Value) -> (u16, Value) {
        let method: Method = method.parse().expect("a method");
        let mut request = self.client.request(method, self.hub.url(path));
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        if !body.is_null() {
            request = request.body(body.to_string());
        }
        let response = request.timeout(Duration::from_secs(10)).send().await.expect("an answer");
        let status = response.status().as_u16();
        if status == 200 && response.headers().get("content-type").is_some_and(|kind| kind == "text/event-stream") {
            return (status, Value::Null);
        }
        let text = response.text().await.expect("a body");
        (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
    }

    /// Publishes as one who may do everything.
    pub async fn publish(&self, task: &str, text: &str) {
        let all = token("all", json!({"read": ["*"], "publish": ["*"]}));
        let body = json!({"invocationId": "r", "type": "message", "data": {"text": text}});
        let (status, answer) = self.ask(Some(&all), "POST", &format!("/v1/tasks/{task}/activities"), body).await;
        assert_eq!(status, 200, "{answer}");
    }
}

/// A route about one task: its method, its path and what it is sent.
fn task_routes(task: &str) -> Vec<(&'static str, String, Value)> {
    let at = |rest: &str| format!("/v1/tasks/{task}{rest}");
    let activity = json!({"invocationId": "r", "type": "message", "data": {"text": "x"}});
    vec![
        ("GET", at(""), Value::Null),
        ("PUT", at(""), json!({"title": "x"})),
        ("PATCH", at(""), json!({"title": "x"})),
        ("GET", at("/activities"), Value::Null),
        ("GET", at("/activities?after=start"), Value::Null),
        ("POST", at("/activities"), activity),
        ("GET", at("/stream"), Value::Null),
        ("GET", at("/search?q=x"), Value::Null),
        ("GET", at("/activities?format=ndjson"), Value::Null),
        ("GET", at("/rejects"), Value::Null),
        ("GET", at("/invocations"), Value::Null),
        ("GET", at("/invocations/r"), Value::Null),
        ("DELETE", at(""), Value::Null),
    ]
}

#[tokio::test]
async fn every_route_does_for_every_user_what_is_granted_and_no_more() {
    let hub = GuardedHub::start().await;
    let users = [
        ("reader", json!({"read": ["a-*"]})),
        ("publisher", json!({"publish": ["a-*"]})),
        ("both", json!({"read": ["a-*"], "publish": ["a-*"]})),
        ("admin", json!({"read": ["a-*"], "publish": ["a-*"], "admin": true})),
        ("elsewhere", json!({"read": ["b-*"], "publish": ["b-*"], "admin": true})),
        ("nobody", json!({})),
    ];
    let root = token("root", json!({"publish": ["*"], "admin": true}));
    let mut checked = 0;
    for (user, grants) in &users {
        let token = token(user, grants.clone());
        let has = |field: &str| grants[field].as_array().is_some_and(|patterns| patterns.iter().any(|pattern| pattern == "a-*"));
        for task in ["a-there", "a-absent", "c-there", "c-absent"] {
            for (method, path, body) in task_routes(task) {
                hub.publish("a-there", "x").await;
                hub.publish("c-there", "x").await;
                hub.ask(Some(&root), "DELETE", "/v1/tasks/a-absent", Value::Null).await;
                let (status, answer) = hub.ask(Some(&token), method, &path, body).await;
                let granted = task.starts_with("a-")
                    && match method {
                        "GET" => has("read"),
                        "DELETE" => has("publish") && grants["admin"] == true,
                        _ => has("publish"),
                    };
                let what = format!("{user}: {method} {path}: {status} {answer}");
                if granted {
                    assert!(matches!(status, 200 | 201 | 204 | 404), "{what}");
                    assert_eq!(
                        status == 404,
                        task.ends_with("absent") && !path.ends_with("/stream") && method != "PUT" && method != "POST",
                        "{what}"
                    );
                } else {
                    // The same for a task that is there and for one that is not.
                    assert_eq!((status, &answer["code"]), (403, &json!("forbidden")), "{what}");
                }
                checked += 1;
            }
        }
    }
    assert_eq!(checked, users.len() * 4 * task_routes("t").len());
}

#[tokio::test]
async fn no_route_of_the_api_is_open() {
    let hub = GuardedHub::start().await;
    let (status, document) = hub.ask(None, "GET", "/openapi.json", Value::Null).await;
    assert_eq!(status, 200, "how the API looks is no secret");
    let mut checked = 0;
    for (path, methods) in document["paths"].as_object().expect("paths") {
        let path = path.replace("{task}", "t").replace("{invocation}", "r");
        for method in methods.as_object().expect("methods").keys().filter(|name| *name != "parameters") {
            let (status, answer) = hub.ask(None, &method.to_uppercase(), &path, Value::Null).await;
            if path.starts_with("/v1/") && path != "/v1/ws" {
                let said = if method == "head" { &Value::Null } else { &json!("token_missing") };
                assert_eq!((status, &answer["code"]), (401, said), "{method} {path}");
                checked += 1;
            } else if path == "/v1/ws" {
                assert_eq!(status, 426, "a socket may send its token as its first message");
            }
        }
    }
    assert!(10 <= checked, "the document names the routes: {checked}");
    let (status, _) = hub.ask(None, "GET", "/v1/nowhere", Value::Null).await;
    assert_eq!(status, 401, "what there is is not told to anybody");
}

#[tokio::test]
async fn the_list_shows_what_may_be_seen() {
    let hub = GuardedHub::start().await;
    for task in ["a-1", "a-2", "A-3", "a_4", "b-1", "ab-1"] {
        hub.publish(task, "x").await;
    }
    for (patterns, expected) in [
        (json!(["a-*"]), vec!["a-1", "a-2"]),
        (json!(["a*1", "b-*"]), vec!["a-1", "ab-1", "b-1"]),
        (json!(["a_4"]), vec!["a_4"]),
        (json!([]), vec![]),
        (json!(["*"]), vec!["A-3", "a-1", "a-2", "a_4", "ab-1", "b-1"]),
    ] {
        let token = token("reader", json!({"read": patterns}));
        let mut found = Vec::new();
        let mut path = "/v1/tasks?limit=1".to_owned();
        loop {
            let (status, page) = hub.ask(Some(&token), "GET", &path, Value::Null).await;
            assert_eq!(status, 200, "{page}");
            found.extend(
                page["tasks"].as_array().expect("tasks").iter().map(|task| task["taskId"].as_str().expect("an id").to_owned()),
            );
            let Some(next) = page["next"].as_str() else { break };
            path = format!("/v1/tasks?limit=1&page={next}");
        }
        found.sort();
        assert_eq!(found, expected, "{patterns}");
    }
}

#[tokio::test]
async fn a_token_in_an_address_is_refused_and_a_ticket_is_good_once() {
    let hub = GuardedHub::start().await;
    hub.publish("a-1", "x").await;
    let token = token("reader", json!({"read": ["a-*"]}));
    for name in ["token", "access_token"] {
        let (status, answer) = hub.ask(None, "GET", &format!("/v1/tasks/a-1/stream?{name}={token}"), Value::Null).await;
        assert_eq!((status, &answer["code"]), (400, &json!("token_in_url")));
    }
    let (status, answer) = hub.ask(Some(&token), "POST", "/v1/tickets", Value::Null).await;
    assert_eq!(status, 201, "{answer}");
    let ticket = answer["ticket"].as_str().expect("a ticket");
    assert!(answer["expiresInMs"].as_u64().expect("a time") <= 30_000);
    let (status, _) = hub.ask(None, "GET", &format!("/v1/tasks/a-1/stream?ticket={ticket}"), Value::Null).await;
    assert_eq!(status, 200);
    let (status, answer) = hub.ask(None, "GET", &format!("/v1/tasks/a-1/stream?ticket={ticket}"), Value::Null).await;
    assert_eq!((status, &answer["code"]), (401, &json!("token_invalid")), "used once");
    let (_, answer) = hub.ask(Some(&token), "POST", "/v1/tickets", Value::Null).await;
    let ticket = answer["ticket"].as_str().expect("a ticket");
    let (status, answer) = hub.ask(None, "GET", &format!("/v1/tasks/b-1/stream?ticket={ticket}"), Value::Null).await;
    assert_eq!((status, &answer["code"]), (403, &json!("forbidden")), "it grants no more than its token did");
}

#[tokio::test]
async fn hooks_publish_only_where_the_token_may() {
    let hub = GuardedHub::start().await;
    let event = json!({"hook_event_name": "UserPromptSubmit", "session_id": "s", "prompt": "hello", "cwd": "/x"});
    for (grants, expected) in [(json!({"publish": ["a-*"]}), 200), (json!({"publish": ["b-*"], "read": ["*"]}), 403)] {
        let token = token("hooks", grants);
        let (status, answer) = hub.ask(Some(&token), "POST", "/v1/hooks/claude?task=a-1", event.clone()).await;
        assert_eq!(status, expected, "{answer}");
    }
}
