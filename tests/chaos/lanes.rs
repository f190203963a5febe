//! A storm: several lanes of brief faults at the same time, each in the order that its own seed gives, for less than a minute; then a calm, in which
//! everything must settle and all viewers must come to the head in time. And again.

use std::{sync::Arc, time::Duration};

use anyhow::{Context, Result, ensure};
use parking_lot::Mutex;
use tokio::time::{Instant, sleep, sleep_until};

use crate::{
    calm,
    clock::Clock,
    faults::{Arena, hubs, links, postgres, redis, tasks},
    fleet::{Fleet, Links},
    kind::{Kind, Line},
    plan::{Fault, Lane, Plan, Times},
    run::Run,
    services::{Postgres, Redis},
    timeline::LOOKED_UP,
};

/// How long faults follow each other before a calm.
const SPELL: Duration = Duration::from_secs(45);

/// Between a calm and the next spell; around a polite one it is longer ([`LOOKED_UP`]).
const BREATH: Duration = Duration::from_secs(2);

/// In so many spells of a hundred nothing is done to Redis, and the next fault of a hub waits until all has settled after the one before: so that the
/// promises about one failing hub hold all the time, whatever happens to Postgres and to clients.
const POLITE: f64 = 0.25;

/// What all lanes of a spell share.
struct Spell {
    run: Arc<Run>,
    end: Instant,
    polite: bool,
    links: Vec<Arc<Links>>,
    /// When the last of its faults was healed until now.
    last_healed: Mutex<Option<Instant>>,
}

/// Goes on until `time` is over or an anomaly was seen.
pub async fn storm(arena: &mut Arena, seed: u64, time: Duration) -> Result<()> {
    let nodes = arena.fleet.members.len();
    let clock = Clock::is_possible();
    ensure!(arena.postgres.is_some(), "a storm needs several hubs");
    let mut moods = Plan::new(seed, nodes, true, Times::storm());
    let seeds = Lane::ALL.iter().zip(1..).map(|(lane, number)| (*lane, seed.wrapping_mul(1_000).wrapping_add(number)));
    let mut plans: Vec<(Lane, Plan)> = seeds.map(|(lane, seed)| (lane, Plan::new(seed, nodes, true, Times::storm()))).collect();
    let mut polite = moods.chance(POLITE);
    while arena.run.timeline.elapsed() < time && !arena.run.over.is_cancelled() {
        let links = arena.fleet.members.iter().map(|member| member.links.clone()).collect();
        let (run, end) = (arena.run.clone(), Instant::now() + SPELL);
        let spell = Spell { run, end, polite, links, last_healed: Mutex::default() };
        rage(&spell, arena, &mut plans, clock).await?;
        let healed = spell.last_healed.lock().unwrap_or_else(Instant::now);
        calm::come(arena, healed).await.context("in the calm after faults")?;
        let next = moods.chance(POLITE);
        sleep(if polite || next { LOOKED_UP } else { BREATH }).await;
        polite = next;
    }
    Ok(())
}

/// All lanes at once, each until the fault is healed that was on when the spell's time was up.
async fn rage(spell: &Spell, arena: &mut Arena, plans: &mut [(Lane, Plan)], clock: bool) -> Result<()> {
    let Arena { fleet, redis, postgres, .. } = arena;
    let postgres = postgres.as_mut().context("there is no postgres")?;
    let [
        (_, of_hubs),
        (_, of_redis),
        (_, of_postgres),
        (_, of_redis_links),
        (_, of_postgres_links),
        (_, of_clients),
        (_, of_tasks),
    ] = plans
    else {
        anyhow::bail!("a plan for each lane");
    };
    tokio::try_join!(
        hub_lane(spell, of_hubs, fleet, clock),
        redis_lane(spell, of_redis, redis),
        postgres_lane(spell, of_postgres, postgres),
        link_lane(spell, of_redis_links, Line::Redis),
        link_lane(spell, of_postgres_links, Line::Postgres),
        link_lane(spell, of_clients, Line::Clients),
        task_lane(spell, of_tasks),
    )?;
    Ok(())
}

async fn hub_lane(spell: &Spell, plan: &mut Plan, fleet: &mut Fleet, clock: bool) -> Result<()> {
    let weights = Lane::Hubs.weights(clock);
    while let Some(fault) = spell.next(plan, &weights).await {
        let begun = spell.begin(&fault);
        let took = match fault.kind {
            Kind::RollingRestart => hubs::restart_one_by_one(fleet, false).await,
            Kind::AddAndRemoveHub => hubs::add_and_remove(fleet, &fault).await,
            _ => hubs::inflict(fleet, &fault).await,
        };
        spell.healed(begun, took)?;
        if spell.polite {
            // After the last one it is the calm that waits: viewers have to be looked at from its healing on.
            let settled = async {
                fleet.settle().await.with_context(|| format!("after {fault}"))?;
                spell.run.timeline.settled(begun.2);
                sleep(LOOKED_UP).await;
                Ok::<_, anyhow::Error>(())
            };
            tokio::select! {
                settled = settled => settled?,
                () = spell.ends() => {}
            }
        }
    }
    Ok(())
}

async fn redis_lane(spell: &Spell, plan: &mut Plan, redis: &mut Redis) -> Result<()> {
    if spell.polite {
        return Ok(());
    }
    let weights = Lane::Redis.weights(false);
    while let Some(fault) = spell.next(plan, &weights).await {
        let begun = spell.begin(&fault);
        spell.healed(begun, redis::inflict(redis, &fault).await)?;
    }
    Ok(())
}

async fn postgres_lane(spell: &Spell, plan: &mut Plan, postgres: &mut Postgres) -> Result<()> {
    let weights = Lane::Postgres.weights(false);
    while let Some(fault) = spell.next(plan, &weights).await {
        let begun = spell.begin(&fault);
        spell.healed(begun, postgres::inflict(postgres, &fault).await)?;
    }
    Ok(())
}

async fn link_lane(spell: &Spell, plan: &mut Plan, line: Line) -> Result<()> {
    if spell.polite && line == Line::Redis {
        return Ok(());
    }
    let weights = Lane::Link(line).weights(false);
    while let Some(fault) = spell.next(plan, &weights).await {
        let Kind::Link(_, trouble) = fault.kind else { continue };
        let begun = spell.begin(&fault);
        let links = &spell.links[fault.hub];
        spell.healed(begun, links::inflict(links, line, trouble, &fault).await)?;
    }
    Ok(())
}

async fn task_lane(spell: &Spell, plan: &mut Plan) -> Result<()> {
    let weights = Lane::Tasks.weights(false);
    while let Some(fault) = spell.next(plan, &weights).await {
        let begun = spell.begin(&fault);
        spell.healed(begun, tasks::inflict(&spell.run, &fault).await)?;
    }
    Ok(())
}

/// A fault that was begun, since when, and its window.
type Begun<'a> = (&'a Fault, f64, crate::timeline::Begun);

impl Spell {
    /// The next fault of a lane, when its time has come; none if the spell is over.
    async fn next(&self, plan: &mut Plan, weights: &[(Kind, u32)]) -> Option<Fault> {
        if self.is_over() {
            return None;
        }
        let fault = plan.kept.take().unwrap_or_else(|| plan.one_of(weights));
        tokio::select! {
            () = sleep(fault.pause) => {}
            () = self.ends() => {}
        }
        if self.is_over() {
            // What was drawn is done first in the next spell: the order of a lane does not depend on when spells end.
            plan.kept = Some(fault);
            return None;
        }
        Some(fault)
    }

    /// Waits until it is over.
    async fn ends(&self) {
        tokio::select! {
            () = sleep_until(self.end) => {}
            () = self.run.over.cancelled() => {}
        }
    }

    fn is_over(&self) -> bool {
        self.end <= Instant::now() || self.run.over.is_cancelled()
    }

    fn begin<'a>(&self, fault: &'a Fault) -> Begun<'a> {
        (fault, self.run.timeline.elapsed().as_secs_f64(), self.run.timeline.begin(fault.kind))
    }

    fn healed(&self, (fault, start, begun): Begun<'_>, took: Result<bool>) -> Result<()> {
        let took = took.with_context(|| format!("during {fault}, begun at {start:.1} s"))?;
        self.run.timeline.healed(begun);
        *self.last_healed.lock() = Some(Instant::now());
        self.run.figures.fault(fault.kind, took);
        let lasted = self.run.timeline.elapsed().as_secs_f64() - start;
        println!("[{start:6.1} s] {:<32} {lasted:>5.1} s", format!("{fault}{}", if took { "" } else { ", in vain" }));
        Ok(())
    }
}
