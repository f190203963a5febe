//! A Redis and a Postgres of our own, because they are killed: on free ports of the loopback, with their data in a folder that goes
//! with the run. A missing program is said by name; nothing is ever skipped.

use std::{
    fs::{File, OpenOptions},
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use tokio::time::{Instant, sleep};

mod postgres;

pub use postgres::Postgres;

/// How long a service may take until it answers.
const START_PATIENCE: Duration = Duration::from_secs(30);

/// Ports are taken from here: below what the kernel gives to outgoing connections, or a client that tries a dead service again and
/// again would one day be given that very port and connect to itself.
const PORTS: std::ops::Range<u16> = 15_000..30_000;

/// An address of the loopback at which nobody listens.
pub fn free_address() -> Result<SocketAddr> {
    for _ in 0..200 {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, rand::random_range(PORTS)));
        if TcpListener::bind(address).is_ok() {
            return Ok(address);
        }
    }
    bail!("no free port was found in {PORTS:?}")
}

/// Opens a log file for appending; twice, for standard output and standard error.
pub fn log_file(path: &Path) -> Result<(File, File)> {
    let file = OpenOptions::new().create(true).append(true).open(path).with_context(|| format!("opening {}", path.display()))?;
    let other = file.try_clone()?;
    Ok((file, other))
}

/// A Redis that forgets everything when it ends: nothing is ever written to disk.
pub struct Redis {
    address: SocketAddr,
    folder: PathBuf,
    child: Option<Child>,
}

impl Redis {
    /// Starts one with its log in `folder`.
    pub async fn start(folder: &Path) -> Result<Self> {
        let mut redis = Self { address: free_address()?, folder: folder.to_owned(), child: None };
        redis.start_again().await?;
        Ok(redis)
    }

    /// Where it listens, also while it is down.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// `kill -9`, and waits until it is gone.
    pub fn kill(&mut self) -> Result<()> {
        if let Some(mut child) = self.child.take() {
            child.kill().context("killing redis-server")?;
            child.wait().context("waiting for redis-server")?;
        }
        Ok(())
    }

    /// Becomes a replica of the one at `main`, which others find at this port, and waits until it has all.
    pub async fn follow(&self, main: SocketAddr, announced: u16) -> Result<()> {
        let client = redis::Client::open(format!("redis://{}", self.address))?;
        let mut connection = client.get_multiplexed_async_connection().await?;
        let announce = ["CONFIG", "SET", "replica-announce-ip", "127.0.0.1", "replica-announce-port", &announced.to_string()]
            .map(str::to_owned);
        let follow = ["REPLICAOF", "127.0.0.1", &main.port().to_string()].map(str::to_owned);
        for words in [&announce[..], &follow[..]] {
            let mut command = redis::cmd(&words[0]);
            let () = command.arg(&words[1..]).query_async(&mut connection).await?;
        }
        let end = Instant::now() + START_PATIENCE;
        loop {
            let said: String = redis::cmd("INFO").arg("replication").query_async(&mut connection).await?;
            if said.contains("master_link_status:up") {
                return Ok(());
            }
            ensure!(Instant::now() < end, "redis-server at {} does not follow {main}: {said}", self.address);
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// SIGSTOP: it answers nobody, and all sockets stay open.
    pub fn freeze(&self) -> Result<()> {
        self.signal(Signal::STOP)
    }

    /// SIGCONT.
    pub fn thaw(&self) -> Result<()> {
        self.signal(Signal::CONT)
    }

    /// Thaws it, or starts it if it was killed.
    pub async fn revive(&mut self) -> Result<()> {
        if self.child.is_some() { self.thaw() } else { self.start_again().await }
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        let child = self.child.as_ref().context("redis does not run")?;
        let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw).context("a process id")?;
        Ok(kill_process(pid, signal)?)
    }

    /// Starts it, empty, at the same address.
    pub async fn start_again(&mut self) -> Result<()> {
        let (out, err) = log_file(&self.folder.join("redis.log"))?;
        let port = self.address.port().to_string();
        let child = Command::new("redis-server")
            .args(["--port", &port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--daemonize", "no", "--dir"])
            .arg(&self.folder)
            .stdin(Stdio::null())
            .stdout(out)
            .stderr(err)
            .spawn()
            .context("starting redis-server: is it installed? (Debian: apt-get install redis-server)")?;
        self.child = Some(child);
        let client = redis::Client::open(format!("redis://{}", self.address))?;
        let end = Instant::now() + START_PATIENCE;
        loop {
            if let Ok(mut connection) = client.get_multiplexed_async_connection().await
                && redis::cmd("PING").query_async::<String>(&mut connection).await.is_ok()
            {
                return Ok(());
            }
            ensure!(Instant::now() < end, "redis-server at {} did not answer in {START_PATIENCE:?}", self.address);
            sleep(Duration::from_millis(20)).await;
        }
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        // It may have gone already.
        let _ = self.kill();
    }
}
