//! The nodes: processes of the built program, which are killed, stopped, frozen and started again at the same addresses.

use std::{
    net::SocketAddr,
    os::unix::process::ExitStatusExt,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use tokio::time::{Instant, sleep};

use crate::{
    clock::Clock,
    services::{free_address, log_file},
};

/// How long a node may take from its start until it is ready.
pub const READY_PATIENCE: Duration = Duration::from_secs(30);

/// How long a node may take to stop in order: `node.stop_timeout` is 20 s.
const STOP_PATIENCE: Duration = Duration::from_secs(25);

/// How long a node may take to answer about itself.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);

/// How often something is looked at that will come to be.
const LOOK: Duration = Duration::from_millis(50);

/// The most characters shown of a line of a log.
const LINE: usize = 240;

/// What a node is started with.
#[derive(Debug, Clone)]
pub struct HubOptions {
    /// The built program.
    pub program: PathBuf,
    /// `--store`.
    pub store: String,
    /// `--broker`, where it is not each hub's own proxy.
    pub broker: Option<String>,
    /// `log.level`.
    pub log_level: String,
    /// Where logs go.
    pub folder: PathBuf,
}

/// One node, running or not.
pub struct Hub {
    /// Its `node.id`.
    pub name: String,
    /// Where its API is.
    pub address: SocketAddr,
    admin: SocketAddr,
    broker: String,
    options: HubOptions,
    clock: Option<Clock>,
    child: Option<Child>,
    client: reqwest::Client,
}

/// What a node says about itself.
#[derive(Debug, Clone, Default)]
pub struct Condition {
    /// It takes work, and nothing that it needs is missing.
    pub well: bool,
    /// What `/readyz` says.
    pub said: String,
    /// How many nodes it sees.
    pub members: u64,
    /// Tasks that it knows to need an owner.
    pub known: u64,
    /// Tasks whose PUBLISHed activities it stores.
    pub owned: u64,
    /// Tasks that it listens to for others.
    pub standby: u64,
    /// Activities held until another node's ack.
    pub held: u64,
    /// Activities that it had no room for; never supposed to happen.
    pub overflowed: u64,
}

impl Hub {
    /// A node that is to use Redis at `broker`. It does not run yet.
    pub fn new(name: &str, broker: String, options: HubOptions) -> Result<Self> {
        let client = reqwest::Client::builder().timeout(ANSWER_TIMEOUT).pool_max_idle_per_host(0).build()?;
        let (address, admin) = (free_address()?, free_address()?);
        Ok(Self { name: name.to_owned(), address, admin, broker, options, clock: None, child: None, client })
    }

    /// From its next start on it goes by a clock that can be set.
    pub fn give_clock(&mut self) -> Result<()> {
        self.clock = Some(Clock::new(&self.options.folder.join(format!("{}.clock", self.name)))?);
        Ok(())
    }

    /// Its clock, if it has one of its own.
    pub fn clock(&self) -> Option<&Clock> {
        self.clock.as_ref()
    }

    /// Starts the process; it is not ready yet.
    pub fn start(&mut self) -> Result<()> {
        ensure!(self.child.is_none(), "{} runs already", self.name);
        let (out, err) = log_file(&self.log())?;
        let mut command = Command::new(&self.options.program);
        if let Some(clock) = &self.clock {
            clock.wind(&mut command);
        }
        let child = command
            .args(["serve", "--listen", &self.address.to_string(), "--admin-listen", &self.admin.to_string()])
            .args(["--store", &self.options.store, "--broker", &self.broker])
            .env("TASKLIGHT__NODE__ID", &self.name)
            .env("TASKLIGHT__LOG__LEVEL", &self.options.log_level)
            .env("TASKLIGHT__LOG__FORMAT", "pretty")
            // Away from any tasklight.toml.
            .current_dir(&self.options.folder)
            .stdin(Stdio::null())
            .stdout(out)
            .stderr(err)
            .spawn()
            .context("starting the hub")?;
        self.child = Some(child);
        Ok(())
    }

    /// Waits until it takes work.
    pub async fn ready(&mut self) -> Result<()> {
        let end = Instant::now() + READY_PATIENCE;
        loop {
            if let Some(status) = self.ended()? {
                bail!("{} ended while it was started: {status}", self.name);
            }
            let answer = self.client.get(format!("http://{}/readyz", self.admin)).send().await;
            if answer.is_ok_and(|answer| answer.status().is_success()) {
                return Ok(());
            }
            ensure!(Instant::now() < end, "{} was not ready within {READY_PATIENCE:?}", self.name);
            sleep(LOOK).await;
        }
    }

    /// Starts it, as often as it takes while something that it needs may be missing, and waits until it takes work.
    pub async fn revive(&mut self) -> Result<()> {
        let end = Instant::now() + 2 * READY_PATIENCE;
        while Instant::now() < end {
            self.start()?;
            match self.ready().await {
                Ok(()) => return Ok(()),
                Err(error) => println!("{error:#}; it is started again"),
            }
            self.kill()?;
        }
        bail!("{} did not come to life in {:?}", self.name, 2 * READY_PATIENCE)
    }

    /// Whether it is supposed to run.
    pub fn is_started(&self) -> bool {
        self.child.is_some()
    }

    /// How it ended, if it has although nobody asked it to.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>> {
        let child = self.child.as_mut().with_context(|| format!("{} does not run", self.name))?;
        Ok(child.try_wait()?)
    }

    /// `kill -9`, and waits until it is gone.
    pub fn kill(&mut self) -> Result<()> {
        if let Some(mut child) = self.child.take() {
            child.kill()?;
            child.wait()?;
        }
        Ok(())
    }

    /// SIGTERM, and waits until it has stopped in order.
    pub async fn stop(&mut self) -> Result<()> {
        self.signal(Signal::TERM)?;
        let end = Instant::now() + STOP_PATIENCE;
        loop {
            if let Some(status) = self.ended()? {
                self.child = None;
                ensure!(status.success(), "{} did not stop in order: {status} (signal {:?})", self.name, status.signal());
                return Ok(());
            }
            ensure!(Instant::now() < end, "{} did not stop within {STOP_PATIENCE:?}", self.name);
            sleep(LOOK).await;
        }
    }

    /// SIGSTOP: from now on it does nothing, and its sockets stay open.
    pub fn freeze(&self) -> Result<()> {
        self.signal(Signal::STOP)
    }

    /// SIGCONT: it goes on, and does not know that time has passed.
    pub fn thaw(&self) -> Result<()> {
        self.signal(Signal::CONT)
    }

    /// What it says about itself; nothing if it does not answer.
    pub async fn condition(&self) -> Option<Condition> {
        let text = async |path: &str| {
            let answer = self.client.get(format!("http://{}{path}", self.admin)).send().await.ok()?;
            answer.text().await.ok()
        };
        let said = text("/readyz").await?;
        let metrics = text("/metrics").await?;
        let ready: serde_json::Value = serde_json::from_str(&said).ok()?;
        let number = |name: &str| {
            let line = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
            line.and_then(|value| value.trim().parse().ok()).unwrap_or_default()
        };
        Some(Condition {
            well: ready["ready"] == true && ready["degraded"] == false,
            said,
            members: number("tasklight_cluster_members"),
            known: number("tasklight_cluster_known_tasks"),
            owned: number("tasklight_cluster_owned_tasks"),
            standby: number("tasklight_cluster_standby_tasks"),
            held: number("tasklight_cluster_held_activities"),
            overflowed: number("tasklight_channel_overflowed_total"),
        })
    }

    /// Waits until it says that something is missing.
    pub async fn unwell(&self) {
        while self.condition().await.is_none_or(|condition| condition.well) {
            sleep(LOOK).await;
        }
    }

    /// Where it logs.
    pub fn log(&self) -> PathBuf {
        self.options.folder.join(format!("{}.log", self.name))
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        let child = self.child.as_ref().with_context(|| format!("{} does not run", self.name))?;
        let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw).context("a process id")?;
        Ok(kill_process(pid, signal)?)
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        // It may have ended already. A frozen process dies of SIGKILL, too.
        let _ = self.kill();
    }
}

/// The last lines of a log, each cut to what a terminal shows.
pub fn tail(log: &Path, lines: usize) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let all: Vec<String> = text.lines().map(|line| line.chars().take(LINE).collect()).collect();
    all[all.len().saturating_sub(lines)..].join("\n")
}
