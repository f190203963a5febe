//! What a Postgres server has computed so far: all its processes, those that have ended too.

use std::{fs, path::PathBuf};

use anyhow::Context;
use sqlx::PgConnection;

/// How many of the kernel's ticks a second has, as Linux tells them to programs.
const TICKS: f64 = 100.0;

/// The server's first process, whose children all others are.
#[derive(Debug, Clone, Copy)]
pub struct Postmaster(u32);

impl Postmaster {
    /// That of the server, which must run on this machine.
    pub async fn of(database: &mut PgConnection) -> anyhow::Result<Self> {
        let backend: i32 = sqlx::query_scalar("SELECT pg_backend_pid()").fetch_one(database).await?;
        let stat = stat(u32::try_from(backend)?).context("Postgres does not run on this machine")?;
        Ok(Self(stat.parent))
    }

    /// The file to which it logs: where its standard error goes.
    pub fn log(self) -> anyhow::Result<PathBuf> {
        let Self(pid) = self;
        fs::read_link(format!("/proc/{pid}/fd/2")).context("Postgres's log is not to be had")
    }

    /// Its processor time and that of all its children, in seconds.
    pub fn cpu_seconds(self) -> anyhow::Result<f64> {
        let own = stat(self.0).context("the postmaster is gone")?;
        let mut ticks = own.own + own.ended;
        for entry in fs::read_dir("/proc")? {
            let Some(pid) = entry?.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
            // A process may end meanwhile.
            ticks += stat(pid).filter(|stat| stat.parent == self.0).map_or(0.0, |stat| stat.own);
        }
        Ok(ticks / TICKS)
    }
}

/// What the kernel says of a process, in ticks.
struct Stat {
    parent: u32,
    own: f64,
    /// Of children that have ended and were waited for.
    ended: f64,
}

fn stat(pid: u32) -> Option<Stat> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut fields = text.rsplit_once(") ")?.1.split_ascii_whitespace();
    let parent = fields.nth(1)?.parse().ok()?;
    let mut ticks = fields.skip(9).map(|field| field.parse::<f64>().ok());
    let mut two = || Some(ticks.next()?? + ticks.next()??);
    Some(Stat { parent, own: two()?, ended: two()? })
}
