//! A calm after faults: from the moment at which the last one was healed, how long it takes until each viewer has been at the head, and until all nodes
//! have settled. The first has a limit, which is a promise.

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Context, Result, ensure};
use sqlx::{Connection, PgConnection};
use tokio::time::{Instant, sleep, timeout};

use crate::{agents, faults::Arena, figures::Calm, fleet::Listeners, run::Run};

/// In so long all viewers must have been at the head.
const AT_HEAD: Duration = Duration::from_secs(10);

/// How often the heads are looked at.
const LOOK: Duration = Duration::from_millis(100);

/// A viewer that has joined since reads its way to the head first.
const OLD: Duration = Duration::from_secs(45);

/// How long Postgres may take to answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// Waits for it, and says how long it took since the last fault was `healed`.
pub async fn come(arena: &mut Arena, healed: Instant) -> Result<()> {
    let run = arena.run.clone();
    let url = arena.postgres.as_ref().context("there is no postgres")?.url();
    let (viewers, nodes) = tokio::try_join!(at_head(&run, &url, healed), async {
        // What the hour is for is said about viewers; this is told at the end.
        if let Some(missing) = arena.fleet.settle_or_say(Listeners::Exactly).await? {
            println!("[{:6.1} s] NODES DID NOT SETTLE: {missing}", run.timeline.elapsed().as_secs_f64());
            run.figures.unsettled.one();
        }
        Ok(healed.elapsed())
    })?;
    run.timeline.all_settled();
    run.figures.calm(Calm { viewers, nodes });
    println!(
        "[{:6.1} s] calm: all viewers at the head after {:.1} s, all nodes settled after {:.1} s; {} faults, {} published, {} delivered so far",
        run.timeline.elapsed().as_secs_f64(),
        viewers.as_secs_f64(),
        nodes.as_secs_f64(),
        run.figures.faults(),
        run.figures.published(),
        run.figures.delivered(),
    );
    let published = || [&run.figures.http, &run.figures.acked, &run.figures.forget].map(|of| of.activities.get());
    let before = published();
    let go_on = async {
        while !before.iter().zip(published()).all(|(before, after)| *before < after) {
            sleep(LOOK).await;
        }
    };
    timeout(AT_HEAD, go_on).await.with_context(|| format!("a kind of publisher gets nothing through: {:?}", published()))?;
    Ok(())
}

/// Waits until each viewer has been at the head of each of its tasks, as the store had it a moment ago.
async fn at_head(run: &Run, url: &str, healed: Instant) -> Result<Duration> {
    let mut waiting: Vec<_> = run.board.marks().into_iter().filter(|mark| mark.is_older_than(OLD)).collect();
    let mut postgres = timeout(ANSWER_TIMEOUT, PgConnection::connect(url)).await.context("postgres lets nobody in")??;
    while !waiting.is_empty() {
        let heads = heads(&mut postgres).await?;
        // What was committed just now may be on its way.
        sleep(LOOK).await;
        waiting.retain(|mark| match heads.get(&mark.task) {
            Some(head) => mark.offset() < *head,
            // What was taken of it is not in the store yet.
            None => run.board.is_published(&mark.task),
        });
        if AT_HEAD < healed.elapsed() && !waiting.is_empty() {
            let behind = |mark: &std::sync::Arc<crate::run::Mark>| {
                let head = heads.get(&mark.task).copied().unwrap_or_default();
                format!("{} of {} at {} of {head}", mark.viewer, mark.task, mark.offset())
            };
            let behind: Vec<_> = waiting.iter().map(behind).collect();
            ensure!(
                run.over.is_cancelled(),
                "not at the head {AT_HEAD:?} after the last fault was healed: {}",
                behind.join(", ")
            );
            break;
        }
    }
    let lasted = healed.elapsed();
    postgres.close().await?;
    Ok(lasted)
}

async fn heads(postgres: &mut PgConnection) -> Result<BTreeMap<String, u64>> {
    let rows: Vec<(String, i64)> = sqlx::query_as(
        r#"SELECT name, (SELECT coalesce(max("offset"), 0) FROM activities WHERE task = tasks.id) FROM tasks WHERE name = ANY($1)"#,
    )
    .bind(agents::tasks())
    .fetch_all(postgres)
    .await?;
    rows.into_iter().map(|(task, head)| Ok((task, u64::try_from(head)?))).collect()
}
