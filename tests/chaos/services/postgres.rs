//! A Postgres of our own that keeps its promises: fsync is on, and it is stopped the hard way.

use std::{
    net::SocketAddr,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use tokio::{process::Command, time::timeout};

use super::free_address;

/// How long `initdb` and `pg_ctl` may take.
const PATIENCE: Duration = Duration::from_secs(90);

/// The most connections it takes.
const CONNECTIONS: u32 = 150;

/// What is said when something is missing.
const INSTALL: &str = "is it installed? (Debian: apt-get install postgresql)";

/// The user that Postgres runs as when this runs as root, which Postgres refuses to be.
const USER: &str = "postgres";

/// A Postgres with one empty database.
pub struct Postgres {
    address: SocketAddr,
    programs: PathBuf,
    data: PathBuf,
    log: PathBuf,
    as_other: bool,
    runs: bool,
    /// Keeps little of what was written: for a small disk.
    small: bool,
}

impl Postgres {
    /// Makes a cluster in `folder` and starts it.
    pub async fn start(folder: &Path) -> Result<Self> {
        Self::placed(folder, "postgres").await?.make().await
    }

    /// The same for a small disk.
    pub async fn start_small(folder: &Path) -> Result<Self> {
        let mut postgres = Self::placed(folder, "postgres").await?;
        postgres.small = true;
        postgres.make().await
    }

    async fn make(mut self) -> Result<Self> {
        let mut initdb = self.program("initdb");
        initdb.args(["--username=tasklight", "--auth=trust", "--encoding=UTF8", "--no-locale", "--pgdata"]).arg(&self.data);
        finish(&mut initdb).await.context("initdb")?;
        self.start_again().await?;
        Ok(self)
    }

    /// Makes a replica, in `folder`, of the one that listens at `primary`, and starts it.
    pub async fn replica(folder: &Path, primary: SocketAddr) -> Result<Self> {
        let mut replica = Self::placed(folder, "replica").await?;
        let mut copy = replica.program("pg_basebackup");
        copy.args(["--host=127.0.0.1", "--username=tasklight", "--write-recovery-conf", "--checkpoint=fast", "--port"]);
        copy.arg(primary.port().to_string()).arg("--pgdata").arg(&replica.data);
        finish(&mut copy).await.context("pg_basebackup")?;
        replica.start_again().await?;
        Ok(replica)
    }

    /// Makes the replica a server of its own, on a timeline of its own.
    pub async fn promote(&mut self) -> Result<()> {
        let mut promote = self.program("pg_ctl");
        promote.args(["promote", "-w", "-D"]).arg(&self.data);
        finish(&mut promote).await.context("promoting the replica")
    }

    /// Whether it runs, as far as `pg_ctl` knows.
    pub async fn runs(&self) -> bool {
        let mut status = self.program("pg_ctl");
        status.args(["status", "-D"]).arg(&self.data);
        finish(&mut status).await.is_ok()
    }

    /// A place in `folder` for one, and an address.
    async fn placed(folder: &Path, name: &str) -> Result<Self> {
        let home = folder.join(name);
        std::fs::create_dir_all(&home).with_context(|| format!("creating {}", home.display()))?;
        let as_other = rustix::process::geteuid().is_root();
        if as_other {
            // The way to its data must be open to it.
            std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o755))?;
            finish(Command::new("chown").arg(USER).arg(&home)).await.context("giving the folder to the user postgres")?;
        }
        let (data, log) = (home.join("data"), home.join("postgres.log"));
        let programs = programs().await?;
        Ok(Self { address: free_address()?, programs, data, log, as_other, runs: false, small: false })
    }

    /// Where it listens, also while it is down.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What connects to it.
    pub fn url(&self) -> String {
        format!("postgres://tasklight@{}/postgres", self.address)
    }

    /// Ends every process of it at once, without a checkpoint and without a word to clients: what it left has to be recovered.
    pub async fn stop_at_once(&mut self) -> Result<()> {
        let mut stop = self.program("pg_ctl");
        stop.args(["stop", "-w", "-m", "immediate", "-D"]).arg(&self.data);
        finish(&mut stop).await.context("stopping postgres")?;
        self.runs = false;
        Ok(())
    }

    /// Starts it at the same address, and waits until it answers.
    pub async fn start_again(&mut self) -> Result<()> {
        let port = self.address.port();
        // fsync is on by default; said here because everything rests on it.
        let options = format!(
            "-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c fsync=on -c max_connections={CONNECTIONS}"
        );
        let little = "-c max_wal_size=32MB -c min_wal_size=32MB";
        let options = if self.small { format!("{options} {little}") } else { options };
        let mut start = self.program("pg_ctl");
        start.args(["start", "-w", "-o", &options, "-l"]).arg(&self.log).arg("-D").arg(&self.data);
        finish(&mut start).await.with_context(|| format!("starting postgres; its log is {}", self.log.display()))?;
        self.runs = true;
        Ok(())
    }

    fn program(&self, name: &str) -> Command {
        let path = self.programs.join(name);
        let mut command = if self.as_other {
            let mut command = Command::new("runuser");
            command.args(["-u", USER, "--"]).arg(path);
            command
        } else {
            Command::new(path)
        };
        // A folder that the other user may enter; and the server must not hold a pipe of ours open.
        command.current_dir("/");
        command
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        if self.runs {
            let program = self.program("pg_ctl");
            let mut stop = program.into_std();
            stop.args(["stop", "-w", "-m", "immediate", "-D"]).arg(&self.data).stdout(std::process::Stdio::null());
            if let Err(error) = stop.status() {
                eprintln!("postgres in {} could not be stopped: {error}", self.data.display());
            }
        }
    }
}

/// The folder of the server's programs: what `pg_config` says, else the newest that Debian installed.
async fn programs() -> Result<PathBuf> {
    let said = Command::new("pg_config").arg("--bindir").output().await;
    let said = said.ok().filter(|output| output.status.success());
    let said = said.map(|output| PathBuf::from(String::from_utf8_lossy(&output.stdout).trim()));
    let installed = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut versions: Vec<(u32, PathBuf)> =
        installed.filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path().join("bin")))).collect();
    versions.sort();
    let newest = versions.pop().map(|(_, path)| path);
    let complete = |path: &PathBuf| path.join("initdb").exists() && path.join("pg_ctl").exists();
    said.filter(complete).or(newest.filter(complete)).with_context(|| format!("initdb and pg_ctl were not found: {INSTALL}"))
}

/// Runs a program to its end. Its output goes to files, because a server that it leaves behind would keep a pipe open.
async fn finish(command: &mut Command) -> Result<()> {
    let mut output = tempfile::tempfile()?;
    command.stdin(std::process::Stdio::null()).stdout(output.try_clone()?).stderr(output.try_clone()?);
    let mut child = command.spawn().with_context(|| format!("starting {:?}: {INSTALL}", command.as_std().get_program()))?;
    let Ok(status) = timeout(PATIENCE, child.wait()).await else {
        child.start_kill()?;
        bail!("it did not end in {PATIENCE:?}");
    };
    let status = status?;
    if !status.success() {
        use std::io::{Read, Seek};
        let mut text = String::new();
        output.rewind()?;
        output.read_to_string(&mut text)?;
        ensure!(status.success(), "{status}: {}", text.trim());
    }
    Ok(())
}
