//! A Postgres that cannot be reached, with every socket still open: publishers are told, nothing counted is lost, and it passes by itself.

use serde_json::{Value, json};
use tokio::time::timeout;

use crate::{
    harness::{PATIENCE, TestHub, message},
    proxy::{Cut, Proxy},
    services::{postgres_database, prefix, redis_url},
    viewer::Viewer,
};

#[tokio::test]
async fn publishers_are_told_and_what_was_counted_is_stored_when_it_is_back() {
    let (database, prefix) = (postgres_database().await, prefix());
    let direct: reqwest::Url = database.url().parse().expect("a URL");
    let address = format!("127.0.0.1:{}", direct.port().expect("a port")).parse().expect("an address");
    let proxy = Proxy::start(address).await.expect("a proxy");
    let mut through = direct.clone();
    through.set_port(Some(proxy.address().port())).expect("it takes a port");
    let hub = TestHub::start_with(|settings| {
        settings.store.url = through.to_string();
        settings.store.statement_timeout = "1s".parse().expect("a duration");
        settings.store.connect_timeout = "500ms".parse().expect("a duration");
        settings.store.busy_timeout = "500ms".parse().expect("a duration");
        settings.writer.queue_activities = 50;
        settings.writer.admit_timeout = "200ms".parse().expect("a duration");
        settings.writer.commit_timeout = "1s".parse().expect("a duration");
        settings.ingest.queue_bytes = "16KiB".parse().expect("a size");
        settings.broker.url = redis_url();
        settings.broker.prefix = prefix.clone();
    })
    .await;
    hub.member().await;
    let client = redis::Client::open(redis_url()).expect("a URL");
    let mut agent = client.get_multiplexed_async_connection().await.expect("Redis is there");
    let channel = format!("{prefix}task:t");
    hub.publish("t", &["before"]).await;
    let heard = async {
        loop {
            let announcement = json!({"taskId": "t"}).to_string();
            let () = redis::cmd("PUBLISH")
                .arg(format!("{prefix}tasks"))
                .arg(announcement)
                .query_async(&mut agent)
                .await
                .expect("taken");
            let count: u64 = redis::cmd("PUBLISH").arg(&channel).arg("[]").query_async(&mut agent).await.expect("a count");
            if count == 1 {
                return;
            }
        }
    };
    timeout(PATIENCE, heard).await.expect("the task has an owner");
    proxy.cut(Cut::ToHub);

    let mut counted = Vec::new();
    let full = async {
        for n in 0..100_000_u64 {
            let event = uuid::Uuid::now_v7().to_string();
            let activity = json!({"invocationId": "r", "type": "message", "eventId": event, "data": {"n": n}}).to_string();
            let count: u64 = redis::cmd("PUBLISH").arg(&channel).arg(activity).query_async(&mut agent).await.expect("a count");
            if count == 0 {
                return;
            }
            counted.push(n);
        }
    };
    timeout(PATIENCE, full).await.expect("the count comes to 0: nobody would store it");
    let unready = async { while hub.readiness().await.0 != 503 {} };
    timeout(PATIENCE, unready).await.expect("it says that the store is missing");
    let (_, said) = hub.readiness().await;
    assert_eq!((&said["checks"]["store"], &said["checks"]["broker"]), (&json!("not answering"), &json!("ok")));
    let health = reqwest::get(format!("http://{}/healthz", hub.node().admin_address())).await.expect("an answer");
    assert_eq!(health.status(), 200, "restarting it would not help");
    let answer = reqwest::Client::new().post(hub.url("/v1/tasks/t/activities")).body(message("during").to_string()).send().await;
    let answer = answer.expect("an answer");
    assert_eq!(answer.status(), 503);
    assert!(answer.headers().contains_key("retry-after"));

    proxy.heal();
    let mut viewer = Viewer::subscribe(hub.address(), "t", json!({"after": "start"})).await;
    let mut numbers: Vec<u64> = Vec::new();
    while numbers.len() < counted.len() {
        let activity: Value = viewer.activities(1).await.remove(0);
        numbers.extend(activity["data"]["n"].as_u64());
    }
    assert_eq!(numbers, counted, "everything that was counted, once and in order");
    let ready = async { while hub.readiness().await.0 != 200 {} };
    timeout(PATIENCE, ready).await.expect("it is ready again without a restart");
}
