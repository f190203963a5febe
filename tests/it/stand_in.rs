//! The hub's half of publishing over Redis, by the protocol and at the test's word: what it takes, acks, refuses or passes over in silence.
//! And a Redis that can go away.

use std::{
    collections::HashSet,
    net::TcpListener,
    process::{Child, Command, Stdio},
    time::Duration,
};

use futures_util::StreamExt;
use redis::{
    AsyncCommands,
    aio::{MultiplexedConnection, PubSub},
};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::time::{sleep, timeout};

use crate::harness::PATIENCE;

/// How long somebody who has something to say would keep silent at most.
const SILENCE: Duration = Duration::from_millis(100);

/// How often a server that starts is asked whether it has.
const RETRY: Duration = Duration::from_millis(20);

/// Somebody who listens as a hub does.
pub struct StandIn {
    prefix: String,
    heard: PubSub,
    commands: MultiplexedConnection,
}

impl StandIn {
    /// Listens to announcements, and to nothing else yet.
    pub async fn listen(url: &str, prefix: &str) -> Self {
        let client = redis::Client::open(url).expect("a URL");
        let commands = client.get_multiplexed_async_connection().await.expect("Redis is there");
        let mut heard = client.get_async_pubsub().await.expect("Redis is there");
        heard.subscribe(format!("{prefix}tasks")).await.expect("it is confirmed");
        Self { prefix: prefix.to_owned(), heard, commands }
    }

    /// As [`StandIn::listen`], and takes this task.
    pub async fn owner(url: &str, prefix: &str, task: &str) -> Self {
        let mut hub = Self::listen(url, prefix).await;
        hub.take(task).await;
        hub
    }

    /// Subscribes to a task's activities.
    pub async fn take(&mut self, task: &str) {
        self.heard.subscribe(format!("{}task:{task}", self.prefix)).await.expect("it is confirmed");
    }

    /// Lets go of a task's activities.
    pub async fn withdraw(&mut self, task: &str) {
        self.heard.unsubscribe(format!("{}task:{task}", self.prefix)).await.expect("it is confirmed");
    }

    /// Gives a user of Redis these rights.
    pub async fn set_user(&mut self, user: &str, rules: impl IntoIterator<Item = String>) {
        let mut command = redis::cmd("ACL");
        command.arg("SETUSER").arg(user);
        for rule in rules {
            command.arg(rule);
        }
        let () = command.query_async(&mut self.commands).await.expect("they are rules");
    }

    async fn hear(&mut self) -> (String, Value) {
        let mut messages = self.heard.on_message();
        let message = timeout(PATIENCE, messages.next()).await.expect("something is said").expect("Redis is there");
        let payload = serde_json::from_slice(message.get_payload_bytes()).expect("JSON");
        (message.get_channel_name().trim_start_matches(&self.prefix).to_owned(), payload)
    }

    /// Whether nothing is said for a while.
    pub async fn is_silent(&mut self) -> bool {
        let mut messages = self.heard.on_message();
        timeout(SILENCE, messages.next()).await.is_err()
    }

    /// The next announcement: the task's id.
    pub async fn announced(&mut self) -> String {
        let (channel, payload) = self.hear().await;
        assert_eq!(channel, "tasks", "{payload}");
        payload["taskId"].as_str().expect("an id").to_owned()
    }

    /// The next activities; announcements meanwhile are passed over.
    pub async fn activities(&mut self) -> Vec<Value> {
        loop {
            match self.hear().await {
                (channel, _) if channel == "tasks" => {}
                (_, Value::Array(activities)) => return activities,
                (_, activity) => return vec![activity],
            }
        }
    }

    async fn say(&mut self, task: &str, words: Value) {
        let channel = format!("{}ack:{task}", self.prefix);
        let () = self.commands.publish(channel, words.to_string()).await.expect("Redis is there");
    }

    /// Says that these are stored, by invocation as hubs do.
    pub async fn ack<'a>(&mut self, task: &str, activities: impl IntoIterator<Item = &'a Value>) {
        for activity in activities.into_iter().filter(|activity| activity["type"] != "heartbeat") {
            let words = json!({"invocationId": activity["invocationId"], "eventIds": [activity["eventId"]]});
            self.say(task, words).await;
        }
    }

    /// Refuses one.
    pub async fn reject(&mut self, task: &str, activity: &Value, code: &str) {
        let refusal = json!({"eventId": activity["eventId"], "code": code, "message": "not so", "field": "data"});
        self.say(task, json!({"rejected": [refusal]})).await;
    }

    /// Stores everything, once, until so many invocations have ended. Gives the log.
    pub async fn store_until(&mut self, task: &str, ends: usize) -> Vec<Value> {
        let mut log = Log::default();
        while log.ends < ends {
            let activities = self.activities().await;
            self.ack(task, &activities).await;
            log.store(activities);
        }
        log.activities
    }
}

/// What a hub stores: each `eventId` once.
#[derive(Debug, Default)]
pub struct Log {
    known: HashSet<String>,
    pub activities: Vec<Value>,
    pub ends: usize,
}

impl Log {
    pub fn store(&mut self, activities: Vec<Value>) {
        for activity in activities.into_iter().filter(|activity| activity["type"] != "heartbeat") {
            if self.known.insert(activity["eventId"].as_str().expect("each has one").to_owned()) {
                self.ends += usize::from(activity["type"] == "status" && activity["data"]["status"] != "running");
                self.activities.push(activity);
            }
        }
    }
}

/// The text of an invocation's standard output, in order.
pub fn printed(log: &[Value], invocation: &str) -> String {
    let ours = log.iter().filter(|activity| activity["type"] == "output" && activity["invocationId"] == invocation);
    ours.map(|activity| activity["data"]["text"].as_str().expect("output has text")).collect()
}

/// A Redis of one test's own, which can be killed and come back at its port, empty.
pub struct OwnRedis {
    folder: TempDir,
    port: u16,
    flags: &'static [&'static str],
    children: Vec<Child>,
}

impl OwnRedis {
    pub async fn start() -> Self {
        Self::start_with(&[]).await
    }

    async fn start_with(flags: &'static [&'static str]) -> Self {
        let mut redis = Self { folder: TempDir::new().expect("a folder"), port: free_port(), flags, children: Vec::new() };
        redis.back().await;
        redis
    }

    /// A cluster of one, which has all slots. Its address is that of a cluster.
    pub async fn cluster() -> (Self, String) {
        let redis = Self::start_with(&["--cluster-enabled", "yes"]).await;
        let client = redis::Client::open(redis.url()).expect("a URL");
        let mut connection = client.get_multiplexed_async_connection().await.expect("Redis is there");
        let mut slots = redis::cmd("CLUSTER");
        let () = slots.arg("ADDSLOTSRANGE").arg(0).arg(16_383).query_async(&mut connection).await.expect("they are free");
        let serving = async {
            loop {
                let info: String = redis::cmd("CLUSTER").arg("INFO").query_async(&mut connection).await.expect("an answer");
                if info.contains("cluster_state:ok") {
                    return;
                }
                sleep(RETRY).await;
            }
        };
        timeout(PATIENCE, serving).await.expect("the cluster serves");
        let url = format!("redis+cluster://127.0.0.1:{}", redis.port);
        (redis, url)
    }

    /// A server and a Sentinel, which knows it as `main`. Their address is that of the Sentinel.
    pub async fn sentinel() -> (Self, String) {
        let mut redis = Self::start().await;
        let (port, file) = (free_port(), redis.folder.path().join("sentinel.conf"));
        std::fs::write(&file, format!("bind 127.0.0.1\nport {port}\nsentinel monitor main 127.0.0.1 {} 1\n", redis.port))
            .expect("a file");
        let mut command = Command::new("redis-server");
        redis.children.push(command.arg(&file).arg("--sentinel").stdout(Stdio::null()).spawn().expect("it starts"));
        answering(&format!("redis://127.0.0.1:{port}")).await;
        (redis, format!("redis+sentinel://127.0.0.1:{port}/main"))
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        for mut child in self.children.drain(..) {
            // It may have ended already.
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Starts it again, and waits until it answers.
    pub async fn back(&mut self) {
        let mut command = Command::new("redis-server");
        command.args(["--bind", "127.0.0.1", "--save", "", "--port"]).arg(self.port.to_string());
        command.arg("--dir").arg(self.folder.path()).args(self.flags);
        self.children.push(command.stdout(Stdio::null()).spawn().expect("redis-server is installed"));
        answering(&self.url()).await;
    }
}

impl Drop for OwnRedis {
    fn drop(&mut self) {
        self.kill();
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a free port").port()
}

async fn answering(url: &str) {
    let client = redis::Client::open(url).expect("a URL");
    let answering = async {
        while client.get_multiplexed_async_connection().await.is_err() {
            sleep(RETRY).await;
        }
    };
    timeout(PATIENCE, answering).await.expect("Redis starts");
}
