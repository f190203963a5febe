//! The end of a run: agents finish, everything comes to rest, viewers come to the head, and the checker has the word.

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Context, Result, anyhow, bail, ensure};
use tokio::time::{Instant, sleep, timeout};

use crate::{
    agents::{self, Agents},
    checker::{self, Proof, Publication, Transcript, Verdict},
    faults::Arena,
    logs,
    services::Postgres,
    viewers::{Heads, Viewers},
};

/// How long everything may take until agents have finished when all is well; each agent has its own patience, which is shorter.
const AGENTS_PATIENCE: Duration = Duration::from_secs(90);

/// How long it may take until nothing is on its way any more: what nobody acked is looked up in the store after 10 s.
const DRAIN_PATIENCE: Duration = Duration::from_secs(60);

/// The logs have come to rest when they have not changed for so long.
const REST: Duration = Duration::from_secs(2);

/// Every log has left a life, and what it had promised last is gone with it.
#[derive(Debug, Default)]
pub struct Failover {
    /// The epochs before, by task.
    pub former: BTreeMap<String, String>,
    /// What was told after this, in milliseconds from the start of the run …
    pub from_ms: u64,
    /// … and before this may be gone; a receipt that names the new life may not.
    pub to_ms: u64,
}

/// Ends the run; an error if anything is not as it must be.
pub async fn conclude(arena: &mut Arena, agents: Agents, viewers: Viewers, failover: Option<Failover>) -> Result<()> {
    let run = arena.run.clone();
    let outcome = finish(arena, agents, viewers, failover).await;
    match run.first_anomaly() {
        None => outcome,
        Some(seen) => Err(outcome.err().unwrap_or_else(|| anyhow!("and the comparison found nothing")).context(seen)),
    }
}

async fn finish(arena: &mut Arena, agents: Agents, viewers: Viewers, failover: Option<Failover>) -> Result<()> {
    let run = arena.run.clone();
    run.quiet.cancel();
    let mut publications = timeout(AGENTS_PATIENCE, agents.finish()).await.context("agents do not finish")??;
    let rested = come_to_rest(arena).await;
    let heads = match &rested {
        Ok(heads) => heads.clone(),
        Err(error) => {
            println!("NOT AT REST, and compared all the same: {error:#}");
            heads(arena).await?
        }
    };
    let transcripts = viewers.finish(heads).await?;
    if let Some(failover) = &failover {
        let gone = failover.forgive(&mut publications);
        println!("what was told between the last that was replicated and the failover is not asked for: {gone} activities");
    }
    let verdict = compare(arena, &publications, &transcripts, failover.as_ref()).await?;
    println!("{}", run.figures.table(&verdict, run.timeline.elapsed()));
    for difference in &verdict.differences {
        println!("{difference}");
    }
    if !verdict.history.is_empty() {
        println!("the history of the first by time:\n{}", verdict.history);
    }
    rested.context("what was found by comparing is told above")?;
    let unsettled = run.figures.unsettled.get();
    match verdict.differences.first() {
        Some(first) => bail!("{first}"),
        None if unsettled != 0 => bail!("in {unsettled} calms nodes did not settle, as told above; nothing else was found"),
        None => Ok(()),
    }
}

impl Failover {
    /// Takes back what promises were lost; says how many they were.
    fn forgive(&self, publications: &mut [Publication]) -> u64 {
        let mut gone = 0;
        for publication in publications {
            let former = self.former.get(&publication.task).map(String::as_str);
            for sent in &mut publication.sent {
                let new = sent.life.is_some() && sent.life.as_deref() != former;
                if self.from_ms < sent.at_ms && sent.at_ms <= self.to_ms && !new && sent.proof != Proof::None {
                    sent.proof = Proof::None;
                    gone += 1;
                }
            }
        }
        gone
    }
}

/// Waits until no node holds anything for another and no log grows any more; gives the heads.
async fn come_to_rest(arena: &mut Arena) -> Result<Heads> {
    let end = Instant::now() + DRAIN_PATIENCE;
    let (mut heads, mut since) = (Heads::new(), Instant::now());
    loop {
        arena.fleet.settle().await?;
        let conditions = arena.fleet.conditions().await;
        let held: u64 = conditions.iter().map(|(_, condition)| condition.as_ref().map_or(1, |condition| condition.held)).sum();
        let now = self::heads(arena).await?;
        if held != 0 || heads != now {
            (heads, since) = (now, Instant::now());
        } else if REST <= since.elapsed() {
            return Ok(heads);
        }
        ensure!(Instant::now() < end, "after {DRAIN_PATIENCE:?} {held} activities are held, and the heads are {heads:?}");
        sleep(REST / 10).await;
    }
}

async fn heads(arena: &Arena) -> Result<Heads> {
    let mut heads = Heads::new();
    for task in agents::tasks() {
        let head = logs::head(&arena.run, &task).await?;
        heads.insert(task, head);
    }
    Ok(heads)
}

async fn compare(
    arena: &Arena,
    publications: &[Publication],
    transcripts: &[Transcript],
    failover: Option<&Failover>,
) -> Result<Verdict> {
    let postgres = arena.postgres.as_ref().map(Postgres::url);
    let mut logs = Vec::new();
    for task in agents::tasks() {
        let mut log = logs::read(&arena.run, postgres.as_deref(), &task).await?;
        if let Some(failover) = failover {
            log.former = failover.former.get(&task).cloned().into_iter().collect();
            log.renewed_ms = failover.to_ms;
        }
        ensure!(!log.former.contains(&log.epoch), "{task} goes on in the life that it had before the failover");
        logs.push(log);
    }
    Ok(checker::check(&logs, publications, transcripts))
}
