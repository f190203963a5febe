//! What cannot be one fault among others, because it changes what may be asked for, or needs servers of another shape: a run of its own each.

mod disk_full;
mod sentinel;
mod stale_replica;

use std::{path::Path, sync::Arc, time::Duration};

use anyhow::{Context, Result};
use clap::ValueEnum;
use tokio::time::sleep;

use crate::{
    agents::{self, Agents},
    ending::{self, Failover},
    faults::Arena,
    fleet::Fleet,
    front::Front,
    hubs::HubOptions,
    join_sdks,
    run::Run,
    services::{Postgres, Redis},
    viewers::Viewers,
};

/// How many hubs there are.
const HUBS: usize = 3;

/// How long things go well before and after.
const WELL: Duration = Duration::from_secs(10);

/// Which.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Scenario {
    /// Postgres fails over to a replica that had not received the last commits.
    StaleReplica,
    /// Redis fails over, by Sentinel, to a server of which nothing is heard.
    Sentinel,
    /// Postgres's disk is full, again and again.
    DiskFull,
}

/// Plays it in `folder`.
pub async fn play(scenario: Scenario, options: &HubOptions, folder: &Path) -> Result<()> {
    match scenario {
        Scenario::StaleReplica => stale_replica::play(options, folder).await,
        Scenario::Sentinel => sentinel::play(options, folder).await,
        Scenario::DiskFull => disk_full::play(options, folder).await,
    }
}

/// Three hubs at work.
struct Stage {
    arena: Arena,
    agents: Agents,
    viewers: Viewers,
    _front: Front,
}

impl Stage {
    /// Starts hubs, agents, viewers of all kinds, and lets them work for a while.
    async fn set(options: &HubOptions, redis: Redis, postgres: Postgres) -> Result<Self> {
        let run = Arc::new(Run::new(redis.address(), false));
        let mut fleet = Fleet::new(run.clone(), options.clone(), Some(postgres.address()));
        for _ in 0..HUBS {
            fleet.add().await?;
        }
        // As in the other forms: order is not promised while nodes that have just started do not know of each other.
        fleet.meet().await.context("at the beginning")?;
        let agents = Agents::start(&run);
        let mut viewers = Viewers::start(&run, &agents::tasks());
        let front = join_sdks(&run, &mut viewers).await?;
        let mut stage = Self { arena: Arena { run, fleet, redis, postgres: Some(postgres) }, agents, viewers, _front: front };
        stage.settle("once all tasks are known").await?;
        sleep(WELL).await;
        Ok(stage)
    }

    /// Waits until all has settled.
    async fn settle(&mut self, when: &'static str) -> Result<()> {
        self.arena.fleet.settle().await.context(when)
    }

    /// Lets them work for a while, and asks the checker.
    async fn conclude(self, failover: Option<Failover>) -> Result<()> {
        let Self { mut arena, agents, viewers, _front } = self;
        sleep(WELL).await;
        ending::conclude(&mut arena, agents, viewers, failover).await
    }
}
