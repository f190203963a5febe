//! The servers under load: each a process of its own, whose processor time and memory the kernel tells.

use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, ChildStdout, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::Context;
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{net::TcpStream, time::sleep};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async, tungstenite::Message};

/// A session with the hub.
pub type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// A process that ends with its handle.
pub struct Process {
    child: Child,
    /// What it said when it was ready.
    line: String,
    _stdout: BufReader<ChildStdout>,
}

impl Process {
    /// Starts it and waits for its first line.
    pub fn start(command: &mut Command) -> anyhow::Result<Self> {
        let program = command.get_program().to_owned();
        let spawned = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
        let mut child =
            spawned.with_context(|| format!("{program:?} does not start: build it with `cargo build --release --workspace`"))?;
        let mut stdout = BufReader::new(child.stdout.take().context("piped")?);
        let mut line = String::new();
        stdout.read_line(&mut line)?;
        anyhow::ensure!(!line.is_empty(), "{program:?} ended before it was ready");
        Ok(Self { child, line, _stdout: stdout })
    }

    /// Asks it to end, and waits until it has.
    pub fn terminate(mut self) -> anyhow::Result<()> {
        Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status()?;
        self.child.wait()?;
        Ok(())
    }

    /// How long it has computed so far, in seconds: of all its threads that live, as the scheduler counts, in nanoseconds.
    pub fn cpu_seconds(&self) -> anyhow::Result<f64> {
        self.cpu_seconds_of("")
    }

    /// The same of those threads whose names begin so.
    pub fn cpu_seconds_of(&self, name: &str) -> anyhow::Result<f64> {
        let mut nanos = 0.0;
        for thread in std::fs::read_dir(format!("/proc/{}/task", self.child.id()))? {
            let folder = thread?.path();
            // A thread may end meanwhile.
            let Ok(comm) = std::fs::read_to_string(folder.join("comm")) else { continue };
            let Ok(text) = std::fs::read_to_string(folder.join("schedstat")) else { continue };
            if !comm.starts_with(name) {
                continue;
            }
            nanos += text.split_whitespace().next().context("a time")?.parse::<f64>()?;
        }
        Ok(nanos / 1e9)
    }

    /// Ends it in order, as an operator would, and waits for its end.
    pub async fn stop(&mut self, patience: Duration) -> anyhow::Result<()> {
        let signalled = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status()?;
        anyhow::ensure!(signalled.success(), "it has ended already");
        let until = Instant::now() + patience;
        let code = loop {
            match self.child.try_wait()? {
                Some(code) => break code,
                None if until < Instant::now() => anyhow::bail!("it does not stop within {patience:?}"),
                None => sleep(Duration::from_millis(20)).await,
            }
        };
        anyhow::ensure!(code.success(), "it stopped with {code}");
        Ok(())
    }

    /// The processor time of all its threads, of those that have ended, too, in seconds and in steps of a hundredth.
    pub fn cpu_seconds_ever(&self) -> anyhow::Result<f64> {
        let text = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        let after = text.rsplit_once(") ").context("a name in parentheses")?.1;
        let mut ticks = after.split_ascii_whitespace().skip(11).map(str::parse::<f64>);
        let mut next = || Ok::<_, anyhow::Error>(ticks.next().context("ticks")??);
        Ok((next()? + next()?) / 100.0)
    }

    /// The memory that it has resident, in KiB.
    pub fn memory_kib(&self) -> anyhow::Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).context("VmRSS")?;
        Ok(line.split_whitespace().nth(1).context("a number")?.parse()?)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// One of the reference servers in this program.
pub struct Reference {
    pub process: Process,
    /// Where viewers connect.
    pub address: String,
    /// Where its publisher connects.
    pub publisher: String,
}

impl Reference {
    pub fn start(arguments: &[&str]) -> anyhow::Result<Self> {
        let process = Process::start(Command::new(std::env::current_exe()?).args(arguments))?;
        let mut words = process.line.split_whitespace().skip(2);
        let address = words.next().context("an address")?.trim_start_matches("http://").trim_end_matches('/').to_owned();
        let publisher = words.nth(1).context("a publisher's address")?.to_owned();
        Ok(Self { process, address, publisher })
    }
}

/// A hub that ends with its handle.
pub struct Hub {
    pub process: Process,
    pub address: String,
    admin: String,
    _folder: TempDir,
}

impl Hub {
    /// One by itself, on an empty SQLite.
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
        let process = Process::start(
            Command::new(binary)
                .args(["serve", "--listen", "127.0.0.1:0", "--admin-listen", &admin, "--store", store])
                .env("TASKLIGHT__HTTP__CONNECTIONS", "30000")
                .env("TASKLIGHT__LIMITS__CONNECTIONS_PER_ADDRESS", "0")
                .envs(settings.iter().copied()),
        )?;
        let url = process.line.split_whitespace().nth(1).context("an address")?;
        let address = url.trim_start_matches("http://").trim_end_matches('/').to_owned();
        Ok(Self { process, address, admin, _folder: folder })
    }

    pub fn publish_url(&self, task: &str) -> String {
        format!("http://{}/v1/tasks/{task}/activities", self.address)
    }

    /// Where a log stands: its head.
    pub async fn head(&self, task: &str) -> anyhow::Result<u64> {
        self.task(task).await?["head"].as_u64().context("a head")
    }

    /// A task, as the API describes it.
    pub async fn task(&self, task: &str) -> anyhow::Result<Value> {
        let text = reqwest::get(format!("http://{}/v1/tasks/{task}", self.address)).await?.text().await?;
        Ok(serde_json::from_str(&text)?)
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

    /// The sum of the metrics of this name, whatever their labels.
    pub async fn metric(&self, name: &str) -> anyhow::Result<f64> {
        summed(&reqwest::get(format!("http://{}/metrics", self.admin)).await?.text().await?, name)
    }

    /// What its process is doing, as it says itself.
    pub async fn runtime(&self) -> anyhow::Result<Value> {
        let text = reqwest::get(format!("http://{}/debug/runtime", self.admin)).await?.text().await?;
        Ok(serde_json::from_str(&text)?)
    }

    /// Whether it is ready and nothing is missing.
    pub async fn is_well(&self) -> anyhow::Result<bool> {
        let text = reqwest::get(format!("http://{}/readyz", self.admin)).await?.text().await?;
        Ok(text.contains("\"degraded\":false") && text.contains("\"ready\":true"))
    }
}

/// The sum of the metrics of this name in what a hub says of itself; an error if there is none, because a name that is wrong would be nothing for ever.
fn summed(text: &str, name: &str) -> anyhow::Result<f64> {
    let mut sum = None;
    for line in text.lines() {
        let of_name = line.strip_prefix(name).filter(|rest| rest.starts_with([' ', '{']));
        let Some((_, value)) = of_name.and_then(|rest| rest.rsplit_once(' ')) else { continue };
        *sum.get_or_insert(0.0) += value.parse::<f64>().with_context(|| format!("no number: {line}"))?;
    }
    sum.with_context(|| format!("the hub has no metric {name}"))
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

#[cfg(test)]
mod tests {
    use super::summed;

    #[test]
    fn a_metric_is_the_sum_over_its_labels_and_one_that_is_not_there_is_an_error() {
        let text =
            "# TYPE queue gauge\nqueue 3\nqueue_limit 50000\ntaken_total{by=\"a b\"} 1\ntaken_total{by=\"c\"} 2.5\nodd x\n";
        assert_eq!((summed(text, "queue").unwrap(), summed(text, "taken_total").unwrap()), (3.0, 3.5));
        for name in ["que", "taken", "odd"] {
            assert!(summed(text, name).is_err(), "{name}");
        }
    }
}
