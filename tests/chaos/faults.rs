//! What is done to the system, one thing at a time: it begins, it is healed, and everything settles before the next one.

pub mod hubs;
pub mod links;
pub mod postgres;
pub mod redis;
pub mod tasks;

use std::{sync::Arc, time::Duration};

use anyhow::{Context, Result, ensure};
use tokio::time::{Instant, sleep, sleep_until, timeout};

use crate::{
    fleet::Fleet,
    kind::{Kind, Line, Trouble},
    plan::{Fault, Plan},
    proxy::Cut,
    run::Run,
    services::{Postgres, Redis},
};

/// A node that has no use of its connections to Redis for so long must say so in its readiness.
const NOTICE: Duration = Duration::from_secs(20);

/// The system that faults are done to.
pub struct Arena {
    /// What everyone shares.
    pub run: Arc<Run>,
    /// The nodes.
    pub fleet: Fleet,
    /// Their Redis.
    pub redis: Redis,
    /// Their Postgres, if they have one.
    pub postgres: Option<Postgres>,
}

impl Arena {
    /// Does everything once, and then, until `time` is over, everything again.
    pub async fn rage(&mut self, plan: &mut Plan, until_noticed: bool, time: Duration) -> Result<()> {
        loop {
            for fault in plan.round() {
                sleep(fault.pause).await;
                self.one(&fault, until_noticed).await.with_context(|| format!("during {fault}"))?;
                let enough = !time.is_zero() && time < self.run.timeline.elapsed();
                if enough || self.run.over.is_cancelled() {
                    return Ok(());
                }
            }
            if time.is_zero() {
                return Ok(());
            }
        }
    }

    /// Heals whatever was on when faults ended early.
    pub async fn heal(&mut self) -> Result<()> {
        self.redis.revive().await?;
        if let Some(postgres) = &mut self.postgres
            && !postgres.runs().await
        {
            postgres.start_again().await?;
        }
        self.fleet.heal().await
    }

    /// One fault from its beginning until everything has settled.
    async fn one(&mut self, fault: &Fault, until_noticed: bool) -> Result<()> {
        let (run, began) = (self.run.clone(), Instant::now());
        let before = (run.figures.published(), run.figures.delivered());
        let start = run.timeline.elapsed().as_secs_f64();
        let begun = run.timeline.begin(fault.kind);
        let took = self.inflict(fault, until_noticed).await?;
        let healed = Instant::now();
        self.fleet.settle().await?;
        run.timeline.settled(begun);
        let settled = healed.elapsed();
        run.figures.fault(fault.kind, took);
        run.figures.settled(fault.kind, settled);
        println!(
            "[{start:6.1} s] {:<32} {:>5.1} s, settled {:>4.1} s later; meanwhile {} published, {} delivered",
            format!("{fault}{}", if took { "" } else { ", in vain" }),
            (healed - began).as_secs_f64(),
            settled.as_secs_f64(),
            run.figures.published() - before.0,
            run.figures.delivered() - before.1,
        );
        Ok(())
    }

    /// Begins a fault, waits, and heals it. Whether it was done to anything.
    async fn inflict(&mut self, fault: &Fault, until_noticed: bool) -> Result<bool> {
        let Self { run, fleet, redis, postgres } = self;
        match fault.kind {
            Kind::Link(Line::Redis, trouble @ (Trouble::Deaf | Trouble::Mute)) => {
                let cut = if trouble == Trouble::Deaf { Cut::ToHub } else { Cut::FromHub };
                cut_off(run, fleet, fault, cut, until_noticed).await?;
                Ok(true)
            }
            Kind::RollingRestart => hubs::restart_one_by_one(fleet, true).await,
            Kind::AddAndRemoveHub => {
                fleet.add().await?;
                fleet.settle().await.context("with one more node")?;
                sleep(fault.lasts).await;
                fleet.remove().await?;
                Ok(true)
            }
            Kind::KillHub | Kind::FreezeHub | Kind::JumpClock => hubs::inflict(fleet, fault).await,
            Kind::KillRedis | Kind::FreezeRedis | Kind::KillClients | Kind::PauseClients | Kind::FlapMembers => {
                redis::inflict(redis, fault).await
            }
            Kind::RestartPostgres | Kind::EndBackends | Kind::TakeConnections | Kind::Deadlock => {
                postgres::inflict(postgres.as_mut().context("there is no postgres")?, fault).await
            }
            Kind::Link(line, trouble) => {
                let index = fault.hub.min(fleet.members.len() - 1);
                links::inflict(&fleet.members[index].links, line, trouble, fault).await
            }
            Kind::DeleteTask => tasks::inflict(run, fault).await,
        }
    }
}

/// A link to Redis is cut in one direction; the node has to notice.
async fn cut_off(run: &Run, fleet: &Fleet, fault: &Fault, cut: Cut, until_noticed: bool) -> Result<()> {
    let (member, began) = (&fleet.members[fault.hub], Instant::now());
    member.links.redis.cut(cut);
    let at_most = if until_noticed { fault.lasts.max(NOTICE) } else { fault.lasts };
    if timeout(at_most, member.hub.unwell()).await.is_ok() {
        run.figures.noticed(fault.kind, began.elapsed());
    } else {
        ensure!(at_most < NOTICE, "{} was cut off for {at_most:?} and says that all is well", member.hub.name);
    }
    sleep_until(began + fault.lasts).await;
    member.links.redis.heal();
    Ok(())
}
