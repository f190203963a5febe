//! What is done to the system, one thing at a time: it begins, it is healed, and everything settles before the next one.

use std::{fmt, ops::Range, sync::Arc, time::Duration};

use anyhow::{Context, Result, ensure};
use rand::{SeedableRng, prelude::*, rngs::StdRng};
use tokio::time::{Instant, sleep, sleep_until, timeout};

use crate::{
    fleet::Fleet,
    proxy::Cut,
    run::Run,
    services::{Postgres, Redis},
    timeline::Kind,
};

/// A node that has no use of its connections to Redis for so long must say so in its readiness.
const NOTICE: Duration = Duration::from_secs(20);

/// How long things last.
#[derive(Debug, Clone)]
pub struct Times {
    /// A killed hub stays away.
    pub hub_down: Range<Duration>,
    /// A hub is frozen: longer than its membership lasts (5 s).
    pub frozen: Range<Duration>,
    /// Redis stays away.
    pub redis_down: Range<Duration>,
    /// A direction is swallowed: longer than it takes to find out (5 s).
    pub cut: Range<Duration>,
    /// It is swallowed at least until the node says so.
    pub until_noticed: bool,
    /// Postgres stays away.
    pub postgres_down: Range<Duration>,
    /// An added node stays.
    pub added: Range<Duration>,
    /// Between two faults.
    pub between: Range<Duration>,
}

/// From a tenth of a second to another.
const fn tenths(from: u64, to: u64) -> Range<Duration> {
    Duration::from_millis(from * 100)..Duration::from_millis(to * 100)
}

impl Times {
    /// For `make test`.
    pub fn short() -> Self {
        Self {
            hub_down: tenths(1, 15),
            frozen: tenths(300, 310),
            redis_down: tenths(5, 25),
            cut: tenths(70, 90),
            until_noticed: true,
            postgres_down: tenths(5, 25),
            added: tenths(20, 30),
            between: tenths(3, 10),
        }
    }

    /// For `make chaos`.
    pub fn long() -> Self {
        Self {
            hub_down: tenths(0, 100),
            frozen: tenths(20, 330),
            redis_down: tenths(1, 100),
            cut: tenths(10, 300),
            until_noticed: false,
            postgres_down: tenths(1, 100),
            added: tenths(10, 100),
            between: tenths(3, 60),
        }
    }
}

/// What is done, and to which node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fault {
    kind: Kind,
    /// Counted from 0, where it matters.
    hub: usize,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            Kind::KillHub | Kind::FreezeHub | Kind::CutToHub | Kind::CutFromHub => {
                write!(f, "{} (hub-{})", self.kind.name(), self.hub + 1)
            }
            _ => f.write_str(self.kind.name()),
        }
    }
}

/// Faults in the order that a seed gives them.
#[derive(Debug)]
pub struct Plan {
    random: StdRng,
    hubs: usize,
    postgres: bool,
}

impl Plan {
    /// For so many hubs, on Postgres or not.
    pub fn new(seed: u64, hubs: usize, postgres: bool) -> Self {
        Self { random: StdRng::seed_from_u64(seed), hubs, postgres }
    }

    /// Everything once, `kill -9` once for each hub, in a random order.
    pub fn round(&mut self) -> Vec<Fault> {
        let fits = |kind: &Kind| match kind {
            Kind::RestartPostgres => self.postgres,
            // SQLite takes one node only.
            Kind::AddAndRemoveHub => self.postgres,
            _ => true,
        };
        let mut round = Vec::new();
        for kind in Kind::ALL.into_iter().filter(fits) {
            if kind == Kind::KillHub {
                round.extend((0..self.hubs).map(|hub| Fault { kind, hub }));
            } else {
                round.push(Fault { kind, hub: self.random.random_range(0..self.hubs) });
            }
        }
        round.shuffle(&mut self.random);
        round
    }

    /// How long something lasts.
    fn lasts(&mut self, range: &Range<Duration>) -> Duration {
        self.random.random_range(range.clone())
    }
}

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
    pub async fn rage(&mut self, plan: &mut Plan, times: &Times, time: Duration) -> Result<()> {
        loop {
            for fault in plan.round() {
                sleep(plan.lasts(&times.between)).await;
                self.one(fault, plan, times).await.with_context(|| format!("during {fault}"))?;
                if !time.is_zero() && time < self.run.timeline.elapsed() {
                    return Ok(());
                }
            }
            if time.is_zero() {
                return Ok(());
            }
        }
    }

    /// One fault from its beginning until everything has settled.
    async fn one(&mut self, fault: Fault, plan: &mut Plan, times: &Times) -> Result<()> {
        let (run, began) = (self.run.clone(), Instant::now());
        let before = (run.figures.published(), run.figures.delivered());
        let start = run.timeline.elapsed().as_secs_f64();
        run.timeline.begin(fault.kind);
        let lasted = self.inflict(fault, plan, times).await?;
        let healed = Instant::now();
        self.fleet.settle().await?;
        run.timeline.settled();
        let settled = healed.elapsed();
        run.figures.fault(fault.kind, settled);
        println!(
            "[{start:6.1} s] {fault:<28} {:>5.1} s, settled {:>4.1} s later; meanwhile {} published, {} delivered",
            lasted.unwrap_or(healed - began).as_secs_f64(),
            settled.as_secs_f64(),
            run.figures.published() - before.0,
            run.figures.delivered() - before.1,
        );
        Ok(())
    }

    /// Begins a fault, waits, and heals it. Says how long it was meant to last, if that was decided here.
    async fn inflict(&mut self, fault: Fault, plan: &mut Plan, times: &Times) -> Result<Option<Duration>> {
        let lasts = match fault.kind {
            Kind::KillHub => plan.lasts(&times.hub_down),
            Kind::FreezeHub => plan.lasts(&times.frozen),
            Kind::KillRedis => plan.lasts(&times.redis_down),
            Kind::CutToHub | Kind::CutFromHub => plan.lasts(&times.cut),
            Kind::RestartPostgres => plan.lasts(&times.postgres_down),
            Kind::AddAndRemoveHub => plan.lasts(&times.added),
            Kind::RollingRestart => Duration::ZERO,
        };
        let member = &mut self.fleet.members[fault.hub];
        match fault.kind {
            Kind::KillHub => {
                member.hub.kill()?;
                sleep(lasts).await;
                member.hub.start()?;
                member.hub.ready().await?;
            }
            Kind::FreezeHub => {
                member.hub.freeze()?;
                sleep(lasts).await;
                member.hub.thaw()?;
            }
            Kind::KillRedis => {
                self.redis.kill()?;
                sleep(lasts).await;
                self.redis.start_again().await?;
            }
            Kind::CutToHub | Kind::CutFromHub => {
                let began = Instant::now();
                member.proxy.cut(if fault.kind == Kind::CutToHub { Cut::ToHub } else { Cut::FromHub });
                let at_most = if times.until_noticed { lasts.max(NOTICE) } else { lasts };
                if timeout(at_most, member.hub.unwell()).await.is_ok() {
                    self.run.figures.noticed(fault.kind, began.elapsed());
                } else {
                    ensure!(at_most < NOTICE, "{} was cut off for {at_most:?} and says that all is well", member.hub.name);
                }
                sleep_until(began + lasts).await;
                member.proxy.heal();
            }
            Kind::RestartPostgres => {
                let postgres = self.postgres.as_mut().context("there is no postgres")?;
                postgres.stop_at_once().await?;
                sleep(lasts).await;
                postgres.start_again().await?;
            }
            Kind::AddAndRemoveHub => {
                self.fleet.add().await?;
                self.fleet.settle().await.context("with one more node")?;
                sleep(lasts).await;
                self.fleet.remove().await?;
            }
            Kind::RollingRestart => {
                for index in 0..self.fleet.members.len() {
                    if index != 0 {
                        self.fleet.settle().await.context("between two restarts")?;
                    }
                    let hub = &mut self.fleet.members[index].hub;
                    hub.stop().await?;
                    hub.start()?;
                    hub.ready().await?;
                }
                return Ok(None);
            }
        }
        Ok(Some(lasts))
    }
}
