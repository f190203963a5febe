//! A hub to test against: in this process on free ports, or as a process of its own that can be killed.

use std::{
    io::{BufRead, BufReader},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use serde_json::{Value, json};
use tasklight::{config::Settings, node::Node};
use tempfile::TempDir;

/// How long anything may take before a test gives up on it; far more than it ever needs.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// A hub in this process.
pub struct TestHub {
    node: Option<Node>,
    settings: Settings,
    client: reqwest::Client,
    _folder: TempDir,
}

impl TestHub {
    /// A hub on an empty store with everything at its default but what `change` says.
    pub async fn start_with(change: impl FnOnce(&mut Settings)) -> Self {
        let folder = TempDir::new().expect("a folder");
        let mut settings = Settings {
            listen: "127.0.0.1:0".parse().expect("an address"),
            admin_listen: "127.0.0.1:0".parse().expect("an address"),
            ..Settings::default()
        };
        settings.store.url = format!("sqlite://{}", folder.path().join("log.db").display());
        settings.session.drain_spread = "50ms".parse().expect("a duration");
        change(&mut settings);
        let node = Node::start(&settings).await.expect("the hub starts");
        Self { node: Some(node), settings, client: reqwest::Client::new(), _folder: folder }
    }

    pub async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    /// Stops it in order and starts it again on the same store, at another port.
    pub async fn restart(&mut self) {
        assert!(self.stop().await, "it stops by itself");
        self.start_again().await;
    }

    /// Starts it after it was stopped.
    pub async fn start_again(&mut self) {
        self.node = Some(Node::start(&self.settings).await.expect("it starts again"));
    }

    /// Stops it in order; says whether everything ended by itself.
    pub async fn stop(&mut self) -> bool {
        self.node.take().expect("it runs").shutdown().await
    }

    pub fn node(&self) -> &Node {
        self.node.as_ref().expect("it runs")
    }

    pub fn address(&self) -> SocketAddr {
        self.node().address()
    }

    /// The database file.
    pub fn database(&self) -> PathBuf {
        self.settings.store.url.trim_start_matches("sqlite://").into()
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address())
    }

    pub async fn get(&self, path: &str) -> (u16, Value) {
        answer(self.client.get(self.url(path)).send().await.expect("an answer")).await
    }

    pub async fn send(&self, method: &str, path: &str, body: Value) -> (u16, Value) {
        let method = method.parse().expect("a method");
        answer(self.client.request(method, self.url(path)).body(body.to_string()).send().await.expect("an answer")).await
    }

    pub async fn post(&self, task: &str, body: Value) -> (u16, Value) {
        self.send("POST", &format!("/v1/tasks/{task}/activities"), body).await
    }

    /// Publishes `texts` as messages of invocation `r`; gives their cursors.
    pub async fn publish(&self, task: &str, texts: &[&str]) -> Vec<String> {
        let (status, answer) = self.post(task, texts.iter().map(|text| message(text)).collect()).await;
        assert_eq!(status, 200, "{answer}");
        let results = answer["results"].as_array().expect("results");
        results.iter().map(|result| result["cursor"].as_str().expect("a receipt").to_owned()).collect()
    }

    /// What `/readyz` says.
    pub async fn readiness(&self) -> (u16, Value) {
        let url = format!("http://{}/readyz", self.node().admin_address());
        answer(self.client.get(url).send().await.expect("an answer")).await
    }

    /// Waits until it is ready and nothing is missing: with a broker, until it is counted among the nodes.
    pub async fn member(&self) {
        let whole = async { while self.readiness().await.1["degraded"] != false {} };
        tokio::time::timeout(PATIENCE, whole).await.expect("it becomes a member");
    }

    /// All activities of a task, by pages.
    pub async fn log(&self, task: &str) -> Vec<Value> {
        let mut all = Vec::new();
        let mut after = "start".to_owned();
        loop {
            let (status, page) = self.get(&format!("/v1/tasks/{task}/activities?limit=1000&after={after}")).await;
            assert_eq!(status, 200, "{page}");
            all.extend(page["activities"].as_array().expect("activities").iter().cloned());
            match page["next"].as_str() {
                Some(next) => after = next.to_owned(),
                None => return all,
            }
        }
    }
}

async fn answer(response: reqwest::Response) -> (u16, Value) {
    let status = response.status().as_u16();
    let text = response.text().await.expect("a body");
    (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
}

/// A message of invocation `r`.
pub fn message(text: &str) -> Value {
    json!({"invocationId": "r", "type": "message", "data": {"text": text}})
}

/// A hub as a process of its own.
pub struct HubProcess {
    child: Child,
    address: SocketAddr,
}

impl HubProcess {
    /// Starts one on this database file, at `listen`.
    pub fn start(database: &Path, listen: &str) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_tasklight"))
            .args(["serve", "--admin-listen", "127.0.0.1:0", "--listen", listen, "--store"])
            .arg(format!("sqlite://{}", database.display()))
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the hub starts");
        let stdout = BufReader::new(child.stdout.take().expect("piped"));
        let line = stdout.lines().next().expect("the hub says where it listens").expect("UTF-8");
        let url = line.split_whitespace().nth(1).expect("an address");
        let address = url.trim_start_matches("http://").trim_end_matches('/').parse().expect("an address");
        Self { child, address }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The most memory that it has had resident, in KiB.
    pub fn peak_memory_kib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("it runs");
        let line = status.lines().find(|line| line.starts_with("VmHWM:")).expect("VmHWM");
        line.split_whitespace().nth(1).and_then(|number| number.parse().ok()).expect("a number")
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits until it has stopped in order, having been told to.
    pub fn wait(mut self) {
        assert!(self.child.wait().expect("it ends").success(), "it stops in order");
    }

    /// `kill -9`, and waits until it is gone.
    pub fn kill(mut self) {
        self.end();
    }

    fn end(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for HubProcess {
    fn drop(&mut self) {
        self.end();
    }
}
