//! Postgres fails over to a replica that had not received the last commits: receipts are lost by nature. Every task must live another life
//! then, viewers must be told so, nobody may see something else under a cursor that was given out before, and what was promised before the
//! replica's last commit must be there.

use std::{path::Path, time::Duration};

use anyhow::{Context, Result, ensure};
use sqlx::{Connection, PgConnection};
use tokio::time::{Instant, sleep};

use super::Stage;
use crate::{
    agents,
    ending::Failover,
    hubs::HubOptions,
    logs,
    proxy::{Cut, Proxy},
    services::{Postgres, Redis},
};

/// How long the replica receives nothing before the failover.
const BEHIND: Duration = Duration::from_secs(5);

/// How long a replica may take to come to the primary's place.
const PATIENCE: Duration = Duration::from_secs(20);

/// What was answered by the old server may be heard so much later.
const ON_ITS_WAY: u64 = 2_000;

pub(super) async fn play(options: &HubOptions, folder: &Path) -> Result<()> {
    let primary = Postgres::start(folder).await?;
    let replication = Proxy::start(primary.address()).await?;
    let mut stage = Stage::set(options, Redis::start(folder).await?, primary).await?;
    let mut replica = Postgres::replica(folder, replication.address()).await?;
    let run = stage.arena.run.clone();
    sleep(super::WELL).await;

    // Whatever was promised until now the replica has.
    let from_ms = run.timeline.elapsed_ms();
    let primary = stage.arena.postgres.as_mut().context("there is a postgres")?;
    receive_all(primary, &replica).await?;
    replication.cut(Cut::ToHub);
    sleep(BEHIND).await;
    let (here, there) = (heads(&primary.url()).await?, heads(&replica.url()).await?);
    println!("the primary has {here} activities, the replica {there}");
    ensure!(there < here, "the replica has everything: there is nothing to be lost");
    let mut failover = Failover { from_ms, ..Failover::default() };
    for task in agents::tasks() {
        let epoch = logs::epoch(&run, &task).await?;
        failover.former.insert(task, epoch);
    }

    run.let_start_over();
    primary.stop_at_once().await?;
    replica.promote().await?;
    for member in &stage.arena.fleet.members {
        member.links.postgres.as_ref().context("it has a postgres")?.aim(replica.address());
    }
    let began = Instant::now();
    failover.to_ms = run.timeline.elapsed_ms() + ON_ITS_WAY;
    stage.arena.postgres = Some(replica);
    stage.settle("after the failover").await?;
    println!("settled {:.1} s after the failover", began.elapsed().as_secs_f64());
    stage.conclude(Some(failover)).await?;
    let (told, places) = (run.figures.resets.get(), run.board.marks().len());
    println!("viewers were told {told} times that a log starts over; there were {places} places in logs");
    ensure!(places as u64 <= told, "a viewer was not told that its log starts over");
    Ok(())
}

/// Waits until the replica has what the primary has now.
async fn receive_all(primary: &Postgres, replica: &Postgres) -> Result<()> {
    let mut from = PgConnection::connect(&primary.url()).await?;
    let mut to = PgConnection::connect(&replica.url()).await?;
    let place: String = sqlx::query_scalar("SELECT pg_current_wal_flush_lsn()::text").fetch_one(&mut from).await?;
    let end = Instant::now() + PATIENCE;
    let has = "SELECT coalesce(pg_last_wal_replay_lsn() >= $1::pg_lsn, false)";
    while !sqlx::query_scalar::<_, bool>(has).bind(&place).fetch_one(&mut to).await? {
        ensure!(Instant::now() < end, "the replica has not come to {place} in {PATIENCE:?}");
        sleep(Duration::from_millis(50)).await;
    }
    Ok(())
}

/// How many activities all tasks have.
async fn heads(url: &str) -> Result<i64> {
    let mut postgres = PgConnection::connect(url).await?;
    Ok(sqlx::query_scalar("SELECT count(*) FROM activities").fetch_one(&mut postgres).await?)
}
