//! Signed envelopes over Redis: whose words are taken, which are refused and how that is said, against hubs that ask for them.

use std::time::Duration;

use futures_util::StreamExt;
use redis::aio::PubSub;
use serde_json::{Value, json};
use tasklight::{broker::EnvelopeKey, model::Timestamp};
use tempfile::TempDir;
use tokio::time::timeout;

use crate::{
    cluster::{Cluster, numbered, numbers},
    harness::PATIENCE,
    program::{end, tasklight},
    services::redis_url,
};

const SEVEN: &str = "tle_agent7_7777777777777777777777777777777777777777";
const EIGHT: &str = "tle_agent8_8888888888888888888888888888888888888888";

/// How long an agent of these tests waits before it publishes again: a refusal that a coming owner heard is said by nobody.
const AGAIN: Duration = Duration::from_secs(5);

/// Hubs that take what is sealed by two agents.
struct Sealed {
    cluster: Cluster,
    folder: TempDir,
}

fn stored(key: &str, subject: &str) -> String {
    format!("[[key]]\nkey = \"{key}\"\nsubject = \"{subject}\"\npublish = [\"{subject}-*\"]\n")
}

impl Sealed {
    async fn start(count: usize, envelopes: &str) -> Self {
        let folder = TempDir::new().expect("a folder");
        let file = folder.path().join("keys.toml");
        std::fs::write(&file, format!("{}{}", stored(SEVEN, "agent-7"), stored(EIGHT, "agent-8"))).expect("a file");
        for (name, key) in [("seven", SEVEN), ("eight", EIGHT)] {
            std::fs::write(folder.path().join(name), format!("{key}\n")).expect("a file");
        }
        let cluster = Cluster::start(count, &redis_url(), |settings| {
            settings.ingest.envelopes = envelopes.to_owned();
            settings.ingest.envelope_keys = file.display().to_string();
        })
        .await;
        Self { cluster, folder }
    }

    fn channel(&self, task: &str) -> String {
        format!("{}task:{task}", self.cluster.prefix)
    }

    /// What this agent would publish now.
    fn seal(&self, key: &str, task: &str, body: &Value) -> String {
        self.seal_at(key, task, body, Timestamp::now())
    }

    fn seal_at(&self, key: &str, task: &str, body: &Value, at: Timestamp) -> String {
        let key: EnvelopeKey = key.parse().expect("a key");
        String::from_utf8(key.seal(&self.channel(task), at, &body.to_string()).to_vec()).expect("UTF-8")
    }

    async fn acks(&self, task: &str) -> PubSub {
        let client = redis::Client::open(redis_url()).expect("a URL");
        let mut acks = client.get_async_pubsub().await.expect("Redis is there");
        acks.subscribe(format!("{}ack:{task}", self.cluster.prefix)).await.expect("it is confirmed");
        acks
    }

    /// Publishes the text as it stands, announcing the task while nobody hears it.
    async fn publish(&mut self, task: &str, text: &str) {
        let channel = self.channel(task);
        let mut say = redis::cmd("PUBLISH");
        say.arg(channel).arg(text);
        while say.query_async::<u64>(&mut self.cluster.agent).await.expect("Redis is there") == 0 {
            self.cluster.publish(task, &json!({"invocationId": "r", "type": "heartbeat"})).await;
        }
    }

    /// Publishes as agents do, again if nothing is said of it for a while, and gives what is said of an `eventId`.
    async fn said(&mut self, acks: &mut PubSub, task: &str, text: &str, event: &Value) -> String {
        let said = async {
            loop {
                self.publish(task, text).await;
                if let Ok(said) = timeout(AGAIN, next_word(acks, event)).await {
                    return said;
                }
            }
        };
        timeout(PATIENCE, said).await.expect("something is said of it")
    }
}

/// What is said of an `eventId` next: `stored`, or why not.
async fn next_word(acks: &mut PubSub, event: &Value) -> String {
    let mut heard = acks.on_message();
    while let Some(message) = heard.next().await {
        let said: Value = serde_json::from_slice(message.get_payload_bytes()).expect("JSON");
        if said["eventIds"].as_array().is_some_and(|events| events.contains(event)) {
            return "stored".to_owned();
        }
        let refused = said["rejected"].as_array().and_then(|all| all.iter().find(|one| one["eventId"] == *event));
        if let Some(refused) = refused {
            return refused["code"].as_str().expect("a code").to_owned();
        }
    }
    panic!("Redis is there");
}

#[tokio::test]
async fn only_what_its_agent_has_sealed_is_taken() {
    let mut sealed = Sealed::start(2, "required").await;
    let task = "agent-7-build";
    let mut acks = sealed.acks(task).await;
    let activity = numbered(0);
    let event = activity["eventId"].clone();
    let hour = Duration::from_secs(3_600);
    let good = sealed.seal(SEVEN, task, &activity);
    let elsewhere = sealed.seal(SEVEN, "agent-7-other", &activity);
    for (text, code) in [
        (activity.to_string(), "envelope_missing"),
        (json!([activity]).to_string(), "envelope_missing"),
        (good.replace("\"mac\":\"", "\"mac\":\"0"), "envelope_invalid"),
        (good.replace("agent7", "agent8"), "envelope_invalid"),
        (good.replace("\\\"n\\\":0", "\\\"n\\\":7"), "envelope_invalid"),
        (elsewhere, "envelope_invalid"),
        (sealed.seal(&SEVEN.replace("7777777777", "7777777770"), task, &activity), "envelope_invalid"),
        (sealed.seal(&SEVEN.replace("agent7", "agent9"), task, &activity), "envelope_invalid"),
        (sealed.seal_at(SEVEN, task, &activity, Timestamp::now().minus(hour)), "envelope_stale"),
        (sealed.seal_at(SEVEN, task, &activity, Timestamp::now().plus(hour)), "envelope_stale"),
        (sealed.seal(EIGHT, task, &activity), "envelope_forbidden"),
        (good.clone(), "stored"),
        // Again, while its time is good: it is the same event.
        (good.clone(), "stored"),
        (good.clone(), "stored"),
    ] {
        assert_eq!(sealed.said(&mut acks, task, &text, &event).await, code, "{text}");
    }
    // What could be said again without anybody noticing is not taken, and does not keep its neighbours out.
    let anonymous = json!({"invocationId": "r", "type": "message", "data": {"n": 9}});
    let next = numbered(1);
    let text = sealed.seal(SEVEN, task, &json!([anonymous, next]));
    assert_eq!(sealed.said(&mut acks, task, &text, &next["eventId"]).await, "stored");
    assert_eq!(numbers(&sealed.cluster.log_of(0, task, 2).await), [0, 1]);
    let (_, rejects) = sealed.cluster.hubs[0].get(&format!("/v1/tasks/{task}/rejects")).await;
    let rejects = rejects["rejects"].as_array().expect("a list");
    for code in ["envelope_missing", "envelope_invalid", "envelope_stale", "envelope_forbidden", "missing_field"] {
        assert!(rejects.iter().any(|reject| reject["code"] == code), "{code}: {rejects:?}");
    }
    // The standby has checked it by itself: it holds nothing forged when the owner goes.
    assert!(sealed.cluster.hubs[0].stop().await);
    let last = numbered(2);
    let text = sealed.seal(SEVEN, task, &last);
    assert_eq!(sealed.said(&mut acks, task, &text, &last["eventId"]).await, "stored");
    assert_eq!(numbers(&sealed.cluster.log_of(1, task, 3).await), [0, 1, 2]);
}

#[tokio::test]
async fn the_program_seals_and_says_what_is_refused() {
    let sealed = Sealed::start(1, "required").await;
    let run = async |task: &str, key: Option<&str>| {
        let arguments = ["publish", task, "--invocation", "r", "--type", "message", "--data", "{\"n\":1}", "--retry-for", "0s"];
        let mut command = tasklight("http://127.0.0.1:1", arguments);
        command.env_remove("TASKLIGHT_HUB").env("TASKLIGHT_REDIS", redis_url());
        command.env("TASKLIGHT_REDIS_PREFIX", &sealed.cluster.prefix);
        if let Some(key) = key {
            command.env("TASKLIGHT_ENVELOPE_KEY", sealed.folder.path().join(key));
        }
        end(command.spawn().expect("it starts")).await
    };
    let done = run("agent-7-build", Some("seven")).await;
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    assert_eq!(numbers(&sealed.cluster.hubs[0].log("agent-7-build").await), [1]);
    for (key, code) in [(None, "envelope_missing"), (Some("eight"), "envelope_forbidden")] {
        let done = run("agent-7-build", key).await;
        assert!(done.code == Some(1) && done.stderr.contains(code), "{key:?}: {:?} {}", done.code, done.stderr);
    }
    let done = run("agent-7-build", Some("keys.toml")).await;
    assert!(done.code == Some(2) && done.stderr.contains("--envelope-key") && !done.stderr.contains("77777"), "{}", done.stderr);
    // A command that is recorded publishes with the same key.
    let script = format!("{} publish agent-7-run --type progress --data '{{\"percent\":40}}'", env!("CARGO_BIN_EXE_tasklight"));
    let key = sealed.folder.path().join("seven").display().to_string();
    let arguments = ["run", "--task", "agent-7-run", "--envelope-key", &key, "--", "sh", "-c", &script];
    let mut command = tasklight("http://127.0.0.1:1", arguments);
    command.env_remove("TASKLIGHT_HUB").env("TASKLIGHT_REDIS", redis_url()).env("TASKLIGHT_REDIS_PREFIX", &sealed.cluster.prefix);
    let done = end(command.spawn().expect("it starts")).await;
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    let log = sealed.cluster.hubs[0].log("agent-7-run").await;
    assert!(log.iter().any(|activity| activity["type"] == "progress"), "{log:?}");
}

#[tokio::test]
async fn a_key_that_is_taken_out_of_the_file_is_good_no_more() {
    let mut sealed = Sealed::start(1, "accepted").await;
    let task = "agent-7-build";
    let mut acks = sealed.acks(task).await;
    let plain = numbered(0);
    assert_eq!(sealed.said(&mut acks, task, &plain.to_string(), &plain["eventId"]).await, "stored", "it need not be sealed");
    let forged = numbered(1);
    let text = sealed.seal(SEVEN, task, &forged).replace("\\\"n\\\":1", "\\\"n\\\":7");
    assert_eq!(sealed.said(&mut acks, task, &text, &forged["eventId"]).await, "envelope_invalid");
    std::fs::write(sealed.folder.path().join("keys.toml"), stored(EIGHT, "agent-8")).expect("a file");
    let mut said = "stored".to_owned();
    while said == "stored" {
        let activity = numbered(2);
        let text = sealed.seal(SEVEN, task, &activity);
        said = sealed.said(&mut acks, task, &text, &activity["eventId"]).await;
    }
    assert_eq!(said, "envelope_invalid");
}
