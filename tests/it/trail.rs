//! The audit trail: every deed is in the log once, with who did it, and without what was said.

use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tasklight::{broker::EnvelopeKey, model::Timestamp};
use tempfile::TempDir;

use crate::{
    access::{SECRET, now, signed},
    harness::PATIENCE,
    services::redis_url,
};

const ENVELOPE: &str = "tle_agent7_7777777777777777777777777777777777777777";
const CANARY: &str = "what-nobody-may-find-in-a-log";
const EVENT: &str = "0190c6a4-0000-7000-8000-000000000001";

/// A hub whose log is kept, with access control and a Redis.
struct Hub {
    child: Child,
    url: String,
    folder: TempDir,
    prefix: String,
    client: reqwest::Client,
}

impl Hub {
    fn start(settings: &str) -> Self {
        let folder = TempDir::new().expect("a folder");
        let at = |name: &str| folder.path().join(name);
        let prefix = format!("trail-{}:", folder.path().file_name().expect("a name").to_string_lossy());
        let keys = format!("[[key]]\nkey = \"{ENVELOPE}\"\nsubject = \"agent-7\"\npublish = [\"*\"]\n");
        fs::write(at("keys.toml"), keys).expect("a file");
        let config = format!(
            "[log]\nformat = \"json\"\nlevel = \"warn\"\n[auth]\nhmac_secret = \"{SECRET}\"\n[store]\nurl = \"sqlite://{}\"\n\
             [broker]\nurl = \"{}\"\nprefix = \"{prefix}\"\n[ingest]\nenvelopes = \"accepted\"\nenvelope_keys = \"{}\"\n{settings}",
            at("log.db").display(),
            redis_url(),
            at("keys.toml").display(),
        );
        fs::write(at("tasklight.toml"), config).expect("a file");
        let mut child = Command::new(env!("CARGO_BIN_EXE_tasklight"))
            .args(["serve", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", "--config"])
            .arg(at("tasklight.toml"))
            .stdout(Stdio::piped())
            .stderr(fs::File::create(at("log.json")).expect("a file"))
            .spawn()
            .expect("the hub starts");
        let line = BufReader::new(child.stdout.take().expect("piped")).lines().next();
        let line = line.expect("the hub says where it listens").expect("UTF-8");
        let url = line.split_whitespace().nth(1).expect("an address").trim_end_matches('/').to_owned();
        Self { child, url, folder, prefix, client: reqwest::Client::new() }
    }

    async fn ask(&self, token: &str, method: &str, path: &str, body: Value) {
        let request = self.client.request(method.parse().expect("a method"), format!("{}{path}", self.url));
        let request = request.bearer_auth(token).body(body.to_string()).timeout(Duration::from_secs(10));
        let response = request.send().await.expect("an answer");
        assert!(response.status().is_success(), "{method} {path}: {response:?}");
        response.bytes().await.expect("a body");
    }

    /// Publishes over Redis until somebody hears it.
    async fn say(&self, task: &str, message: &[u8]) {
        let client = redis::Client::open(redis_url()).expect("a URL");
        let mut redis = client.get_multiplexed_async_connection().await.expect("Redis is there");
        let heard = async {
            loop {
                let announcement = json!({"taskId": task}).to_string();
                let mut announce = redis::cmd("PUBLISH");
                announce.arg(format!("{}tasks", self.prefix)).arg(announcement);
                announce.query_async::<u64>(&mut redis).await.expect("Redis is there");
                let mut say = redis::cmd("PUBLISH");
                say.arg(format!("{}task:{task}", self.prefix)).arg(message);
                if 0 < say.query_async::<u64>(&mut redis).await.expect("Redis is there") {
                    return;
                }
            }
        };
        tokio::time::timeout(PATIENCE, heard).await.expect("it is heard");
    }

    /// Stops it in order; gives the whole log, and the lines of its trail by what was done.
    fn stop(mut self) -> (String, BTreeMap<String, Vec<Value>>) {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, Signal::TERM).expect("it runs");
        assert!(self.child.wait().expect("it ends").success(), "it stops in order");
        let log = fs::read_to_string(self.folder.path().join("log.json")).expect("a log");
        let mut deeds = BTreeMap::<String, Vec<Value>>::new();
        for line in log.lines().map(|line| serde_json::from_str::<Value>(line).expect("one object a line")) {
            if line["target"] == "tasklight::audit" {
                deeds.entry(line["action"].as_str().expect("an action").to_owned()).or_default().push(line);
            }
        }
        (log, deeds)
    }
}

fn activity(event: Option<&str>) -> Value {
    let mut activity = json!({"invocationId": "r", "type": "message", "data": {"text": CANARY}});
    if let Some(event) = event {
        activity["eventId"] = event.into();
    }
    activity
}

#[tokio::test]
async fn the_log_says_who_did_what_once_and_nothing_that_was_said() {
    let hub = Hub::start("");
    let grants = json!({"read": ["*"], "publish": ["*"], "admin": true});
    let token = signed(&json!({"sub": "ada", "jti": "t-1", "iat": now(), "exp": now() + 600, "tasklight": grants}));
    let tasks = "/v1/tasks/build-1";
    hub.ask(&token, "PUT", tasks, json!({"title": CANARY})).await;
    hub.ask(&token, "PATCH", tasks, json!({"labels": {"team": CANARY}})).await;
    for _ in 0..3 {
        hub.ask(&token, "POST", &format!("{tasks}/activities"), json!([activity(None), activity(None)])).await;
    }
    let hook = json!({"session_id": "s", "hook_event_name": "UserPromptSubmit", "prompt": CANARY, "cwd": "/x"});
    hub.ask(&token, "POST", "/v1/hooks/claude?task=hooked", hook).await;
    hub.say("loose", activity(Some(EVENT)).to_string().as_bytes()).await;
    let key: EnvelopeKey = ENVELOPE.parse().expect("a key");
    let body = activity(Some(EVENT)).to_string();
    hub.say("sealed", &key.seal(&format!("{}task:sealed", hub.prefix), Timestamp::now(), &body)).await;
    hub.ask(&token, "GET", &format!("{tasks}/activities?format=ndjson"), Value::Null).await;
    hub.ask(&token, "GET", &format!("{tasks}/activities"), Value::Null).await;
    hub.ask(&token, "DELETE", tasks, Value::Null).await;
    hub.ask(&token, "POST", "/v1/admin/revoke", json!({"subject": "eve"})).await;
    let (log, deeds) = hub.stop();

    let by = |line: &Value| (line["subject"].as_str().map(str::to_owned), line["means"].clone(), line["task.id"].clone());
    let ada = |task: Value| (Some("ada".to_owned()), json!("Token"), task);
    for (deed, count) in [("described", 2), ("exported", 1), ("deleted", 1)] {
        let lines = &deeds[deed];
        assert!(lines.len() == count && lines.iter().all(|line| by(line) == ada(json!("build-1"))), "{deed}: {lines:?}");
        assert_eq!(lines[0]["token.id"], "t-1");
    }
    let revoked = &deeds["revoked"];
    assert!(revoked.len() == 1 && by(&revoked[0]) == ada(Value::Null), "{revoked:?}");
    assert!(revoked[0]["revoked"].as_str().is_some_and(|text| text.contains("eve")), "{revoked:?}");

    let published: BTreeMap<_, _> = deeds["published"]
        .iter()
        .map(|line| (line["task.id"].as_str().expect("a task"), (by(line).0, line["way"].clone(), line["activities"].clone())))
        .collect();
    assert_eq!(deeds["published"].len(), 4, "sums, not requests: {published:?}");
    let ada = Some("ada".to_owned());
    assert_eq!(published["build-1"], (ada.clone(), json!("Http"), json!(6)));
    assert_eq!((&published["hooked"].0, &published["hooked"].1), (&ada, &json!("Hook")));
    assert_eq!(published["loose"], (None, json!("Redis"), json!(1)));
    assert_eq!(published["sealed"], (Some("agent-7".to_owned()), json!("Redis"), json!(1)));
    for secret in [CANARY, token.as_str(), SECRET, ENVELOPE] {
        assert!(!log.contains(secret), "the log holds {secret}");
    }
}

#[tokio::test]
async fn without_a_trail_nothing_is_told() {
    let hub = Hub::start("[audit]\ntrail = \"off\"\n");
    let token = signed(&json!({"sub": "ada", "iat": now(), "exp": now() + 600, "tasklight": {"publish": ["*"]}}));
    hub.ask(&token, "POST", "/v1/tasks/build-1/activities", activity(None)).await;
    let (log, deeds) = hub.stop();
    assert!(deeds.is_empty(), "{log}");
}
