//! SIGHUP: what of a new configuration holds at once, what takes a restart, and that a bad one changes nothing.

use std::{
    fs,
    io::{BufRead, BufReader, Lines},
    path::PathBuf,
    process::{Child, ChildStderr, Command, Stdio},
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::access::{SECRET, now, signed};

/// A hub with a configuration of its own, whose log is read line by line.
struct Hub {
    child: Child,
    log: Lines<BufReader<ChildStderr>>,
    url: String,
    file: PathBuf,
    folder: TempDir,
}

impl Hub {
    fn start(text: &str) -> Self {
        let folder = TempDir::new().expect("a folder");
        let file = folder.path().join("tasklight.toml");
        fs::write(&file, Self::whole(&folder, text)).expect("a file");
        let mut child = Command::new(env!("CARGO_BIN_EXE_tasklight"))
            .args(["serve", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", "--config"])
            .arg(&file)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the hub starts");
        let line = BufReader::new(child.stdout.take().expect("piped")).lines().next();
        let line = line.expect("the hub says where it listens").expect("UTF-8");
        let url = line.split_whitespace().nth(1).expect("an address").trim_end_matches('/').to_owned();
        let log = BufReader::new(child.stderr.take().expect("piped")).lines();
        Self { child, log, url, file, folder }
    }

    fn whole(folder: &TempDir, text: &str) -> String {
        let store = folder.path().join("log.db");
        format!("[auth]\nhmac_secret = \"{SECRET}\"\n[store]\nurl = \"sqlite://{}\"\n{text}", store.display())
    }

    /// Has this read as its configuration; gives the line in which it says what has become of it.
    fn reload(&mut self, text: &str) -> Value {
        fs::write(&self.file, Self::whole(&self.folder, text)).expect("a file");
        kill_process(Pid::from_child(&self.child), Signal::HUP).expect("it runs");
        let lines = self.log.by_ref().map(|line| line.expect("UTF-8"));
        let mut lines = lines.map(|line| serde_json::from_str::<Value>(&line).expect("one object a line"));
        lines.find(|line| line["message"].as_str().is_some_and(|text| text.contains("the configuration"))).expect("it says so")
    }

    /// Publishes it, and gives it as it was stored.
    async fn publish(&self, data: Value) -> (u16, Value) {
        let grants = json!({"read": ["*"], "publish": ["*"]});
        let token = signed(&json!({"sub": "ada", "iat": now(), "exp": now() + 600, "tasklight": grants}));
        let client = reqwest::Client::new();
        let path = format!("{}/v1/tasks/t/activities", self.url);
        let body = json!({"invocationId": "r", "type": "custom", "data": data}).to_string();
        let status = client.post(&path).bearer_auth(&token).body(body).send().await.expect("an answer").status().as_u16();
        let page = client.get(format!("{path}?limit=1000")).bearer_auth(&token).send().await.expect("an answer");
        let page: Value = page.json().await.expect("JSON");
        let last = page["activities"].as_array().and_then(|all| all.last()).map(|activity| activity["data"].clone());
        (status, last.unwrap_or_default())
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

const LOG: &str = "[log]\nformat = \"json\"\n";

#[tokio::test]
async fn rules_and_limits_hold_at_once_and_the_rest_takes_a_restart() {
    let mut hub = Hub::start(LOG);
    let data = json!({"tortoise": "hunter2"});
    assert_eq!(hub.publish(data.clone()).await, (200, data.clone()));

    let said = hub.reload(&format!("{LOG}[redact]\nkeys_deny = [\"tortoise\"]\n[hub]\nlinger = \"5s\"\n"));
    assert_eq!(said["level"], "WARN");
    assert_eq!((&said["taken_up"], &said["left"]), (&json!("[\"redact.keys_deny\"]"), &json!("[\"hub.linger\"]")));
    let (status, stored) = hub.publish(data.clone()).await;
    assert!(status == 200 && stored["tortoise"].as_str().is_some_and(|text| text.starts_with("[redacted")), "{stored}");

    let said = hub.reload(&format!("{LOG}[limits]\npublishes_per_second = 1\n"));
    assert_eq!((&said["level"], &said["taken_up"]), (&json!("INFO"), &json!("[\"limits.publishes_per_second\"]")));
    assert_eq!(hub.publish(data.clone()).await, (200, data.clone()), "the rule is gone with its key");
    let mut refused = 0;
    for _ in 0..30 {
        refused += usize::from(hub.publish(data.clone()).await.0 == 429);
    }
    assert!(0 < refused, "a burst of ten, and then one a second");
}

#[tokio::test]
async fn what_cannot_be_used_changes_nothing() {
    let before = format!("{LOG}[redact]\nkeys_deny = [\"tortoise\"]\n");
    let mut hub = Hub::start(&before);
    for bad in ["[log]\nlevel = \"!!\"\n", "[redakt]\nenabled = false\n", "[redact]\nrules = [\"/nowhere.toml\"]\n", "[["] {
        let said = hub.reload(bad);
        assert!(said["level"] == "ERROR" && said["error"].is_string(), "{bad}: {said}");
    }
    let (status, stored) = hub.publish(json!({"tortoise": "hunter2"})).await;
    assert!(status == 200 && stored["tortoise"].as_str().is_some_and(|text| text.starts_with("[redacted")), "{stored}");
}

#[test]
fn the_log_says_more_from_now_on() {
    let mut hub = Hub::start(&format!("{LOG}level = \"warn\"\n"));
    let said = hub.reload(&format!("{LOG}level = \"info\"\n"));
    assert_eq!((&said["level"], &said["taken_up"]), (&json!("INFO"), &json!("[\"log.level\"]")));
}
