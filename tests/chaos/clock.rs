//! A wall clock of one process's own, by libfaketime: what an NTP step, a virtual machine that was moved, or an operator does to one node.

use std::{
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context, Result};
use tokio::time::sleep;

/// How long a process goes on by what it read last.
const CACHED: Duration = Duration::from_secs(1);

/// Where Debian puts the library, for the architectures there are.
const FOLDERS: &str = "/usr/lib";

/// A clock.
#[derive(Debug)]
pub struct Clock {
    file: PathBuf,
    library: PathBuf,
}

impl Clock {
    /// Right at first; set by what is written into `file`.
    pub fn new(file: &Path) -> Result<Self> {
        let library = library().context("libfaketime is not installed (Debian: apt-get install libfaketime)")?;
        let clock = Self { file: file.to_owned(), library };
        clock.write(0)?;
        Ok(clock)
    }

    /// Whether there can be clocks here.
    pub fn is_possible() -> bool {
        library().is_some()
    }

    /// Has a process go by it. Waiting stays true: only the wall clock is elsewhere.
    pub fn wind(&self, command: &mut Command) {
        command
            .env("LD_PRELOAD", &self.library)
            .env("FAKETIME_TIMESTAMP_FILE", &self.file)
            .env("FAKETIME_CACHE_DURATION", CACHED.as_secs().to_string())
            .env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
    }

    /// Puts it forward or back, and waits until the process has seen it.
    pub async fn set(&self, seconds: i64) -> Result<()> {
        self.write(seconds)?;
        // It looks again when what it knows is older than that, in whole seconds.
        sleep(2 * CACHED + CACHED / 2).await;
        Ok(())
    }

    fn write(&self, seconds: i64) -> Result<()> {
        // Whole at once: it is read at any time.
        let new = self.file.with_extension("new");
        std::fs::write(&new, format!("{seconds:+}s\n")).with_context(|| format!("writing {}", new.display()))?;
        Ok(std::fs::rename(&new, &self.file)?)
    }
}

fn library() -> Option<PathBuf> {
    let folders = std::fs::read_dir(FOLDERS).ok()?.flatten();
    folders.map(|folder| folder.path().join("faketime/libfaketimeMT.so.1")).find(|library| library.exists())
}
