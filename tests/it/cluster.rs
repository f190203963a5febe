//! Several hubs around one Postgres and one Redis, all in this process: one log, whichever of them is asked.

use futures_util::{StreamExt, future::join_all};
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::{
    harness::{PATIENCE, TestHub},
    services::{Database, postgres_database, prefix, redis_url},
    stand_in::OwnRedis,
    viewer::{Stream, Viewer},
};
use tasklight::config::Settings;

/// Hubs, and an agent that only knows Redis.
pub struct Cluster {
    pub hubs: Vec<TestHub>,
    pub database: Database,
    redis: String,
    pub prefix: String,
    pub agent: redis::aio::MultiplexedConnection,
}

impl Cluster {
    pub async fn start(count: usize, redis: &str, change: impl Fn(&mut Settings)) -> Self {
        let (database, prefix, agent) = (postgres_database().await, prefix(), agent(redis).await);
        let mut cluster = Self { hubs: Vec::new(), database, redis: redis.to_owned(), prefix, agent };
        for _ in 0..count {
            cluster.add(&change).await;
        }
        cluster
    }

    pub async fn add(&mut self, change: impl Fn(&mut Settings)) {
        let number = self.hubs.len() + 1;
        let hub = TestHub::start_with(|settings| {
            settings.node.id = format!("hub-{number}");
            settings.store.url = self.database.url();
            settings.broker.url = self.redis.clone();
            settings.broker.prefix = self.prefix.clone();
            settings.broker.probe_interval = "200ms".parse().expect("a duration");
            settings.broker.probe_timeout = "3s".parse().expect("a duration");
            settings.cluster.beat_interval = "100ms".parse().expect("a duration");
            settings.cluster.member_timeout = "5s".parse().expect("a duration");
            change(settings);
        })
        .await;
        hub.member().await;
        self.hubs.push(hub);
    }

    /// Publishes until somebody hears it, announcing the task while nobody does; gives how many heard it.
    pub async fn publish(&mut self, task: &str, payload: &Value) -> u64 {
        let published = async {
            loop {
                let channel = format!("{}task:{task}", self.prefix);
                let sent = redis::cmd("PUBLISH").arg(channel).arg(payload.to_string()).query_async(&mut self.agent).await;
                match sent {
                    Ok(count) if 0 < count => return count,
                    _ => {
                        let channel = format!("{}tasks", self.prefix);
                        let text = json!({"taskId": task}).to_string();
                        // While Redis is away neither arrives; both are tried again.
                        let _ = redis::cmd("PUBLISH").arg(channel).arg(text).query_async::<u64>(&mut self.agent).await;
                        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
                    }
                }
            }
        };
        timeout(PATIENCE, published).await.expect("somebody hears it")
    }

    /// Until `count` nodes hear what is published to the task.
    pub async fn heard_by(&mut self, task: &str, count: u64) {
        let heartbeat = json!({"invocationId": "probe", "type": "heartbeat"});
        let heard = async { while self.publish(task, &heartbeat).await != count {} };
        timeout(PATIENCE, heard).await.expect("an owner and a standby");
    }

    /// The log by REST of one of the hubs, once it has `count` activities.
    pub async fn log_of(&self, hub: usize, task: &str, count: usize) -> Vec<Value> {
        let mut viewer = Viewer::subscribe(self.hubs[hub].address(), task, json!({"after": "start"})).await;
        viewer.activities(count).await;
        self.hubs[hub].log(task).await
    }
}

async fn agent(redis: &str) -> redis::aio::MultiplexedConnection {
    let client = redis::Client::open(redis).expect("a URL");
    client.get_multiplexed_async_connection().await.expect("Redis is there")
}

/// A message with a number and an `eventId`.
pub fn numbered(n: usize) -> Value {
    let event = uuid::Uuid::now_v7().to_string();
    json!({"invocationId": "r", "type": "message", "eventId": event, "data": {"n": n}})
}

/// The numbers of messages.
pub fn numbers(log: &[Value]) -> Vec<u64> {
    log.iter().map(|activity| activity["data"]["n"].as_u64().expect("a number")).collect()
}

#[tokio::test]
async fn what_one_hub_commits_is_shown_by_all() {
    // Only hints can bring it: heads are not compared for ten minutes.
    let cluster =
        Cluster::start(3, &redis_url(), |settings| settings.hub.resync_interval = "10m".parse().expect("a duration")).await;
    let mut viewers = Vec::new();
    for hub in &cluster.hubs {
        let mut viewer = Viewer::subscribe(hub.address(), "t", json!({})).await;
        viewer.until("subscribed").await;
        viewers.push(viewer);
    }
    let mut stream = Stream::open(cluster.hubs[2].address(), "t", "", None).await.expect("a stream");
    for round in 0..30 {
        let text = round.to_string();
        cluster.hubs[round % 3].publish("t", &[&text]).await;
        for viewer in &mut viewers {
            assert_eq!(viewer.texts(1).await, [text.as_str()]);
        }
    }
    let mut events = 0;
    while events < 30 {
        let event = stream.next().await.expect("the stream goes on");
        events += usize::from(event.name.is_none());
    }
}

#[tokio::test]
async fn two_hubs_that_write_one_task_at_once_make_one_order() {
    let cluster = Cluster::start(2, &redis_url(), |_| {}).await;
    let mut viewers = Vec::new();
    for hub in &cluster.hubs {
        viewers.push(Viewer::subscribe(hub.address(), "t", json!({})).await);
    }
    let writers = (0..8).map(|writer| {
        let hub = &cluster.hubs[writer % 2];
        async move {
            for n in 0..25 {
                hub.publish("t", &[&format!("{writer}-{n}")]).await;
            }
        }
    });
    join_all(writers).await;
    let log = cluster.log_of(0, "t", 200).await;
    let offsets: Vec<_> = log.iter().map(|activity| activity["offset"].as_u64().expect("an offset")).collect();
    assert_eq!(offsets, (1..=200).collect::<Vec<_>>());
    let order: Vec<_> = log.iter().map(|activity| activity["data"]["text"].as_str().expect("a text").to_owned()).collect();
    for viewer in &mut viewers {
        assert_eq!(viewer.texts(200).await, order, "every viewer sees the same");
    }
}

#[tokio::test]
async fn a_published_activity_is_heard_by_two_stored_once_and_acked() {
    let mut cluster = Cluster::start(3, &redis_url(), |_| {}).await;
    cluster.heard_by("t", 2).await;
    let client = redis::Client::open(cluster.redis.as_str()).expect("a URL");
    let mut acks = client.get_async_pubsub().await.expect("Redis is there");
    acks.subscribe(format!("{}ack:t", cluster.prefix)).await.expect("it subscribes");
    let activity = numbered(1);
    assert_eq!(cluster.publish("t", &json!([activity, {"invocationId": "r", "type": "nonsense"}])).await, 2);
    let mut messages = acks.on_message();
    let (mut acked, mut rejected) = (0, 0);
    while acked + rejected < 2 {
        let message = timeout(PATIENCE, messages.next()).await.expect("in time").expect("the connection lives");
        let ack: Value = serde_json::from_slice(message.get_payload_bytes()).expect("JSON");
        if ack["invocationId"] == "r" {
            assert_eq!(ack["eventIds"], json!([activity["eventId"]]));
            acked += 1;
        } else {
            assert_eq!(ack["rejected"][0]["code"], "unknown_type");
            rejected += 1;
        }
    }
    for hub in 0..3 {
        assert_eq!(numbers(&cluster.log_of(hub, "t", 1).await), [1]);
    }
}

#[tokio::test]
async fn tasks_change_hands_without_loss_or_disorder_while_nodes_come_and_go() {
    let mut cluster = Cluster::start(2, &redis_url(), |_| {}).await;
    let tasks: Vec<_> = (0..12).map(|n| format!("t{n}")).collect();
    for task in &tasks {
        cluster.heard_by(task, 2).await;
    }
    let mut n = 0;
    let mut publish_all = async |cluster: &mut Cluster, rounds: usize| {
        for _ in 0..rounds {
            n += 1;
            for (index, task) in tasks.iter().enumerate() {
                // Half of them without an eventId: nobody could tell if those were stored twice.
                let mut activity = numbered(n);
                if index % 2 == 0 {
                    activity.as_object_mut().expect("an object").remove("eventId");
                }
                cluster.publish(task, &activity).await;
            }
        }
        n
    };
    publish_all(&mut cluster, 20).await;
    cluster.add(|_| {}).await;
    publish_all(&mut cluster, 60).await;
    let mut first = cluster.hubs.remove(0);
    let (stopped, ()) = tokio::join!(first.stop(), async {
        publish_all(&mut cluster, 60).await;
    });
    assert!(stopped, "it stops by itself");
    let last = publish_all(&mut cluster, 20).await;
    for task in &tasks {
        let mut viewer = Viewer::subscribe(cluster.hubs[0].address(), task, json!({})).await;
        let mut seen = Vec::new();
        while seen.last() != Some(&(last as u64)) {
            let message = viewer.activities(1).await.remove(0);
            seen.push(message["data"]["n"].as_u64().expect("a number"));
        }
        assert_eq!(seen, (1..=last as u64).collect::<Vec<_>>(), "{task}: once, in order, and nothing missing");
    }
}

#[tokio::test]
async fn without_redis_viewers_and_publishers_over_http_go_on() {
    let mut redis = OwnRedis::start().await;
    let mut cluster =
        Cluster::start(2, &redis.url(), |settings| settings.hub.resync_interval = "200ms".parse().expect("a duration")).await;
    cluster.heard_by("t", 2).await;
    let mut viewer = Viewer::subscribe(cluster.hubs[1].address(), "t", json!({})).await;
    let mut list = Viewer::connect(cluster.hubs[1].address()).await;
    list.say(json!({"op": "subscribe", "list": "tasks"})).await;
    cluster.hubs[0].publish("t", &["while Redis is there"]).await;
    assert_eq!(viewer.texts(1).await, ["while Redis is there"]);
    list.until("task").await;
    redis.kill();
    let noticed = async {
        loop {
            let (status, body) = cluster.hubs[0].readiness().await;
            assert_eq!(status, 200, "a hub without Redis still serves");
            if body["degraded"] == true {
                return body;
            }
        }
    };
    let degraded = timeout(PATIENCE, noticed).await.expect("it notices");
    assert_ne!(degraded["checks"]["broker"], "ok");
    cluster.hubs[0].publish("t", &["while Redis is away"]).await;
    assert_eq!(viewer.texts(1).await, ["while Redis is away"]);
    cluster.hubs[0].publish("new", &["a task of its own"]).await;
    let new = async { while list.until("task").await.last().is_none_or(|task| task["taskId"] != "new") {} };
    timeout(PATIENCE, new).await.expect("the list shows it");
    redis.back().await;
    cluster.agent = agent(&cluster.redis).await;
    cluster.hubs[0].member().await;
    cluster.heard_by("t", 2).await;
    // With an eventId, because a node that has lapsed meanwhile drops what nobody could tell from its repetition.
    let mut back = numbered(1);
    back["data"] = json!({"text": "Redis is back"});
    cluster.publish("t", &back).await;
    assert_eq!(viewer.texts(1).await, ["Redis is back"]);
}

#[tokio::test]
async fn a_full_node_is_not_counted_and_what_was_counted_is_stored() {
    let mut cluster = Cluster::start(1, &redis_url(), |settings| {
        settings.writer.queue_activities = 50;
        settings.ingest.queue_bytes = "16KiB".parse().expect("a size");
        settings.store.busy_timeout = "100ms".parse().expect("a duration");
    })
    .await;
    cluster.heard_by("t", 1).await;
    let mut intruder = <sqlx::PgConnection as sqlx::Connection>::connect(&cluster.database.url()).await.expect("Postgres");
    let lock = "BEGIN; LOCK TABLE activities IN SHARE ROW EXCLUSIVE MODE";
    sqlx::Executor::execute(&mut intruder, sqlx::raw_sql(lock)).await.expect("the lock");
    let mut counted = Vec::new();
    let channel = format!("{}task:t", cluster.prefix);
    let filled = async {
        for n in 0.. {
            let text = numbered(n).to_string();
            let count: u64 =
                redis::cmd("PUBLISH").arg(&channel).arg(text).query_async(&mut cluster.agent).await.expect("a count");
            if count == 0 {
                return;
            }
            counted.push(n as u64);
        }
    };
    timeout(PATIENCE, filled).await.expect("the count comes to 0");
    let (status, _) = cluster.hubs[0].get("/v1/tasks").await;
    assert_eq!(status, 200, "it still answers");
    sqlx::Executor::execute(&mut intruder, sqlx::raw_sql("ROLLBACK")).await.expect("the lock goes");
    let log = cluster.log_of(0, "t", counted.len()).await;
    assert_eq!(numbers(&log), counted, "everything that was counted, in order");
    cluster.heard_by("t", 1).await;
}

#[tokio::test]
async fn a_task_deleted_at_one_hub_ends_at_the_others() {
    let cluster =
        Cluster::start(2, &redis_url(), |settings| settings.hub.resync_interval = "10m".parse().expect("a duration")).await;
    cluster.hubs[0].publish("t", &["x"]).await;
    let mut viewer = Viewer::subscribe(cluster.hubs[1].address(), "t", json!({})).await;
    viewer.until("live").await;
    let (status, _) = cluster.hubs[0].send("DELETE", "/v1/tasks/t", json!({})).await;
    assert_eq!(status, 204);
    viewer.until("unsubscribed").await;
}
