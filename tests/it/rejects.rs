//! What is refused over Redis is shown to whoever asks, its neighbours are stored, and nothing of its content is kept.

use futures_util::StreamExt;
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::{
    harness::{PATIENCE, TestHub},
    program::{finish, tasklight},
    services::{postgres_database, prefix, redis_url},
    viewer::Viewer,
};

/// An agent that publishes to task `t` as it likes, and a hub that hears it.
struct Scene {
    hub: TestHub,
    agent: redis::aio::MultiplexedConnection,
    acks: redis::aio::PubSub,
    prefix: String,
    _database: crate::services::Database,
}

impl Scene {
    async fn start() -> Self {
        let (database, prefix) = (postgres_database().await, prefix());
        let hub = TestHub::start_with(|settings| {
            settings.store.url = database.url();
            settings.broker.url = redis_url();
            settings.broker.prefix = prefix.clone();
        })
        .await;
        hub.member().await;
        let client = redis::Client::open(redis_url()).expect("a URL");
        let mut acks = client.get_async_pubsub().await.expect("Redis is there");
        acks.subscribe(format!("{prefix}ack:t")).await.expect("it subscribes");
        let agent = client.get_multiplexed_async_connection().await.expect("Redis is there");
        let mut scene = Self { hub, agent, acks, prefix, _database: database };
        let heard = async { while scene.publish(&json!([]).to_string()).await == 0 {} };
        timeout(PATIENCE, heard).await.expect("somebody hears it");
        scene
    }

    async fn publish(&mut self, text: &str) -> u64 {
        let announcement = json!({"taskId": "t"}).to_string();
        let () = redis::cmd("PUBLISH")
            .arg(format!("{}tasks", self.prefix))
            .arg(announcement)
            .query_async(&mut self.agent)
            .await
            .expect("it takes it");
        redis::cmd("PUBLISH").arg(format!("{}task:t", self.prefix)).arg(text).query_async(&mut self.agent).await.expect("a count")
    }

    /// The codes of the next `count` refusals on the ack channel.
    async fn refusals(&mut self, count: usize) -> Vec<String> {
        let mut codes = Vec::new();
        let mut messages = self.acks.on_message();
        while codes.len() < count {
            let message = timeout(PATIENCE, messages.next()).await.expect("in time").expect("the connection lives");
            let ack: Value = serde_json::from_slice(message.get_payload_bytes()).expect("JSON");
            let rejected = ack["rejected"].as_array().cloned().unwrap_or_default();
            codes.extend(rejected.iter().map(|one| one["code"].as_str().expect("a code").to_owned()));
        }
        codes
    }

    /// The rejects by the API, once there are `count`.
    async fn rejects(&self, count: usize) -> Vec<Value> {
        let kept = async {
            loop {
                let (status, answer) = self.hub.get("/v1/tasks/t/rejects").await;
                let rejects = answer["rejects"].as_array().cloned().unwrap_or_default();
                if status == 200 && rejects.len() == count {
                    return rejects;
                }
            }
        };
        timeout(PATIENCE, kept).await.expect("they are kept")
    }
}

fn message(text: &str) -> Value {
    json!({"invocationId": "r", "type": "message", "data": {"text": text}})
}

#[tokio::test]
async fn bad_ones_are_shown_and_hurt_no_neighbour() {
    let mut scene = Scene::start().await;
    scene.refusals(0).await;
    let (status, _) = scene.hub.get("/v1/tasks/u/rejects").await;
    assert_eq!(status, 404, "neither a task nor rejects");
    let bad = json!({"invocationId": "r", "type": "tool_call", "data": "hunter2-hunter2"});
    let large = message(&"x".repeat(70_000));
    scene.publish("{\"invocationId\": \"hunter2-hunter2").await;
    scene.publish(&json!([message("before"), bad, large, message("after")]).to_string()).await;
    let mut viewer = Viewer::subscribe(scene.hub.address(), "t", json!({})).await;
    assert_eq!(viewer.texts(2).await, ["before", "after"]);
    let rejects = scene.rejects(3).await;
    let mut codes: Vec<_> = rejects.iter().map(|reject| reject["code"].as_str().expect("a code")).collect();
    let mut told = scene.refusals(3).await;
    codes.sort_unstable();
    told.sort_unstable();
    assert_eq!(codes, told, "the agent and the one who looks are told the same");
    assert!(!json!(rejects).to_string().contains("hunter2"), "no content is kept: {rejects:?}");
    let done = finish(&mut tasklight(&scene.hub.url(""), ["rejects", "t"])).await;
    assert_eq!(done.code, Some(0));
    for code in &codes {
        assert!(done.out().contains(code), "{code} in {}", done.out());
    }
    let done = finish(&mut tasklight(&scene.hub.url(""), ["rejects", "t", "--json", "--limit", "2"])).await;
    assert_eq!(done.out().lines().count(), 2);
    let done = finish(&mut tasklight(&scene.hub.url(""), ["rejects", "u"])).await;
    assert_eq!(done.code, Some(1), "no such task: {}", done.stderr);
}

#[tokio::test]
async fn a_task_keeps_its_last_hundred() {
    let mut scene = Scene::start().await;
    let bad: Vec<_> = (0..150).map(|_| json!({"invocationId": "r", "type": "nonsense"})).collect();
    scene.publish(&json!(bad).to_string()).await;
    assert_eq!(scene.refusals(150).await.len(), 150, "each is answered");
    scene.rejects(100).await;
}
