//! A hub that is killed or stopped, and started again at the same address on the same store.

use std::{
    path::PathBuf,
    process::Command,
    time::{Duration, Instant},
};

use anyhow::Context;
use tempfile::TempDir;

use super::{
    bench::Bench,
    server::{Hub, Process},
};

/// How a hub ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Fault {
    /// kill -9.
    Kill,
    /// SIGTERM, as a deployment does: it tells its viewers when to come back.
    Stop,
}

/// Such a hub; it ends with its handle.
pub struct Restarting {
    binary: PathBuf,
    pub address: String,
    /// The address of a node beside it that nothing happens to.
    pub other: Option<String>,
    admin: String,
    store: String,
    settings: Vec<(&'static str, String)>,
    process: Option<Process>,
    _beside: Option<Hub>,
    _folder: TempDir,
}

impl Restarting {
    /// One on Postgres and Redis where they are given, else on SQLite; with another node beside it, or without.
    pub async fn start(bench: &Bench, sqlite: bool, beside: bool) -> anyhow::Result<Self> {
        let folder = TempDir::new()?;
        let mut settings = vec![
            ("TASKLIGHT__HTTP__CONNECTIONS", "30000".to_owned()),
            ("TASKLIGHT__LIMITS__CONNECTIONS_PER_ADDRESS", "0".to_owned()),
        ];
        let store = match bench.services_if_any().filter(|_| !sqlite) {
            Some(services) => {
                settings.push(("TASKLIGHT__BROKER__URL", services.redis.clone()));
                settings.push(("TASKLIGHT__BROKER__PREFIX", format!("load{:08x}:", rand::random::<u32>())));
                services.database().await?.0
            }
            None => format!("sqlite://{}", folder.path().join("log.db").display()),
        };
        let (binary, address, admin) = (bench.binary.clone(), free()?, free()?);
        let mut this =
            Self { binary, address, other: None, admin, store, settings, process: None, _beside: None, _folder: folder };
        this.again()?;
        if beside {
            let settings: Vec<_> = this.settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
            let hub = Hub::start_node(&this.binary, &this.store, &settings)?;
            while !hub.is_well().await? {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            this.other = Some(hub.address.clone());
            this._beside = Some(hub);
        }
        Ok(this)
    }

    /// One of several on this store, with their settings.
    pub fn on(bench: &Bench, store: &str, settings: Vec<(&'static str, String)>) -> anyhow::Result<Self> {
        let (binary, address, admin) = (bench.binary.clone(), free()?, free()?);
        let (store, folder) = (store.to_owned(), TempDir::new()?);
        let mut this =
            Self { binary, address, other: None, admin, store, settings, process: None, _beside: None, _folder: folder };
        this.again()?;
        Ok(this)
    }

    /// Starts it; it listens when this returns.
    fn again(&mut self) -> anyhow::Result<()> {
        let mut command = Command::new(&self.binary);
        command.args(["serve", "--listen", &self.address, "--admin-listen", &self.admin, "--store", &self.store]);
        self.process = Some(Process::start(command.envs(self.settings.iter().map(|(name, value)| (name, value))))?);
        Ok(())
    }

    /// Ends it in this way and starts it again; says how long it took to end, and to listen again.
    pub fn restart(&mut self, fault: Fault) -> anyhow::Result<(Duration, Duration)> {
        let process = self.process.take().context("it runs")?;
        let began = Instant::now();
        match fault {
            Fault::Kill => drop(process),
            Fault::Stop => process.terminate()?,
        }
        let ended = began.elapsed();
        self.again()?;
        Ok((ended, began.elapsed() - ended))
    }

    /// Whether it is ready and nothing is missing.
    pub async fn is_well(&self) -> anyhow::Result<bool> {
        let text = reqwest::get(format!("http://{}/readyz", self.admin)).await?.text().await?;
        Ok(text.contains("\"degraded\":false") && text.contains("\"ready\":true"))
    }

    /// Its processor time since it was last started, in seconds.
    pub fn cpu_seconds(&self) -> anyhow::Result<f64> {
        self.process.as_ref().context("it runs")?.cpu_seconds()
    }

    /// The epoch and the head of a task's log.
    pub async fn log(&self, task: &str) -> anyhow::Result<(String, u64)> {
        let text = reqwest::get(format!("http://{}/v1/tasks/{task}", self.address)).await?.text().await?;
        let task: serde_json::Value = serde_json::from_str(&text)?;
        Ok((task["epoch"].as_str().context("an epoch")?.to_owned(), task["head"].as_u64().context("a head")?))
    }
}

/// An address of this machine that nobody listens at.
fn free() -> anyhow::Result<String> {
    Ok(std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string())
}
