//! The hub under load: a process of its own on an empty store.

use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
};

use anyhow::Context;
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async, tungstenite::Message};

/// A session with the hub.
pub type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// A hub that ends with its handle.
pub struct Hub {
    child: Child,
    address: String,
    admin: String,
    _folder: TempDir,
}

impl Hub {
    /// One by itself, on SQLite.
    pub fn start(binary: &Path) -> anyhow::Result<Self> {
        let folder = TempDir::new()?;
        let store = format!("sqlite://{}", folder.path().join("log.db").display());
        Self::start_in(folder, binary, &store, &[])
    }

    /// One of many, with these settings in its environment.
    pub fn start_node(binary: &Path, store: &str, settings: &[(&str, &str)]) -> anyhow::Result<Self> {
        Self::start_in(TempDir::new()?, binary, store, settings)
    }

    fn start_in(folder: TempDir, binary: &Path, store: &str, settings: &[(&str, &str)]) -> anyhow::Result<Self> {
        let admin = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string();
        let mut child = Command::new(binary)
            .args(["serve", "--listen", "127.0.0.1:0", "--admin-listen", &admin, "--store", store])
            .envs(settings.iter().copied())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .with_context(|| format!("{} does not start: build it with `cargo build --release`", binary.display()))?;
        let stdout = child.stdout.take().context("piped")?;
        let line = BufReader::new(stdout).lines().next().context("the hub says where it listens")??;
        let url = line.split_whitespace().nth(1).context("an address")?;
        let address = url.trim_start_matches("http://").trim_end_matches('/').to_owned();
        Ok(Self { child, address, admin, _folder: folder })
    }

    pub fn publish_url(&self, task: &str) -> String {
        format!("http://{}/v1/tasks/{task}/activities", self.address)
    }

    /// Where a log stands: its head.
    pub async fn head(&self, task: &str) -> anyhow::Result<u64> {
        let text = reqwest::get(format!("http://{}/v1/tasks/{task}", self.address)).await?.text().await?;
        let task: Value = serde_json::from_str(&text)?;
        task["head"].as_u64().context("a head")
    }

    /// A session that follows `task` and is live.
    pub async fn follow(&self, task: &str) -> anyhow::Result<Socket> {
        let (mut socket, _) = connect_async(format!("ws://{}/v1/ws", self.address)).await?;
        let subscribe = json!({"op": "subscribe", "task": task, "after": "end"});
        socket.send(Message::text(subscribe.to_string())).await?;
        loop {
            let message = next(&mut socket).await?;
            let waits = message["op"] == "subscribed" && message["epoch"].is_null();
            if message["op"] == "live" || waits {
                return Ok(socket);
            }
        }
    }

    /// The sum of the metrics whose names begin so.
    pub async fn metric(&self, name: &str) -> anyhow::Result<f64> {
        let text = reqwest::get(format!("http://{}/metrics", self.admin)).await?.text().await?;
        let values = text.lines().filter(|line| line.starts_with(name)).filter_map(|line| line.rsplit(' ').next());
        Ok(values.filter_map(|value| value.parse::<f64>().ok()).sum())
    }

    /// Whether it is ready and nothing is missing.
    pub async fn is_well(&self) -> anyhow::Result<bool> {
        let text = reqwest::get(format!("http://{}/readyz", self.admin)).await?.text().await?;
        Ok(text.contains("\"degraded\":false") && text.contains("\"ready\":true"))
    }

    /// How long it has computed so far, in seconds. The kernel counts in hundredths (USER_HZ).
    pub fn cpu_seconds(&self) -> anyhow::Result<f64> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        let (_, fields) = stat.rsplit_once(')').context("a command")?;
        let times = fields.split_whitespace().skip(11).take(2).map(str::parse::<f64>);
        Ok(times.sum::<Result<f64, _>>()? / 100.0)
    }

    /// The memory that it has resident, in KiB.
    pub fn memory_kib(&self) -> anyhow::Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).context("VmRSS")?;
        Ok(line.split_whitespace().nth(1).context("a number")?.parse()?)
    }
}

/// The next message of a session.
pub async fn next(socket: &mut Socket) -> anyhow::Result<Value> {
    loop {
        match socket.next().await.context("the session goes on")?? {
            Message::Text(text) => return Ok(serde_json::from_str(&text)?),
            Message::Close(_) => anyhow::bail!("the hub closed the session"),
            _ => {}
        }
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An activity of about 300 bytes on the wire.
pub fn activity(number: usize) -> String {
    json!({"invocationId": "load", "type": "message", "data": {"n": number, "text": "x".repeat(200)}}).to_string()
}
