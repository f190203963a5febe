//! Everybody comes back at once: viewers that reconnect within two seconds, each a different distance behind on the same task.

use std::time::{Duration, Instant};

use anyhow::Context;
use clap::Args;
use sqlx::{Connection, PgConnection};
use tokio::time::sleep;

use super::{
    bench::Bench,
    publisher::{self, SETTLE},
    report::{Row, Target},
    server::Hub,
    viewers::{Transport, Viewer, Viewers},
};

#[derive(Debug, Clone, Args)]
pub struct Options {
    /// How many viewers.
    #[arg(long, default_value_t = 10_000)]
    pub viewers: usize,
    /// Within which time they connect, in seconds.
    #[arg(long, default_value_t = 2.0)]
    pub within: f64,
    /// How far behind the last of them is.
    #[arg(long, default_value_t = 500)]
    pub behind: usize,
}

/// How long Postgres may take to publish what it counted.
const STATISTICS: Duration = Duration::from_secs(2);

/// Pages that the hub read from the store for viewers.
const COLD_READS: &str = "tasklight_hub_cold_reads_total";

pub async fn run(bench: &Bench, options: &Options) -> anyhow::Result<Vec<Row>> {
    let count = bench.count(options.viewers);
    let (hub, mut database) = match bench.services_if_any() {
        Some(services) => {
            let (url, _) = services.database().await?;
            (Hub::start_node(&bench.binary, &url, &[])?, Some(PgConnection::connect(&url).await?))
        }
        None => (Hub::start(&bench.binary)?, None),
    };
    publisher::many(&hub, "load", options.behind + 100).await?;
    let task = hub.task("load").await?;
    let (epoch, head) = (task["epoch"].as_str().context("an epoch")?, task["head"].as_u64().context("a head")?);
    let viewers = (0..count).map(|number| {
        let after = format!("{epoch}-{}", head - behind(number, options.behind));
        let comes = Duration::from_secs_f64(options.within * number as f64 / count as f64);
        Viewer { after, comes: Some(comes), ..Viewer::of("load") }
    });
    let quiet = transactions(&mut database, STATISTICS).await?;
    let (reads, cpu) = (hub.metric(COLD_READS).await?, hub.process.cpu_seconds()?);
    let began = Instant::now();
    let coming = Viewers::begin(&hub.address, Transport::WebSocket, viewers.collect())?;
    coming.wait_live(SETTLE).await?;
    let live = began.elapsed().as_secs_f64();
    let missed = (0..count).map(|number| behind(number, options.behind)).sum();
    coming.wait_for(missed, SETTLE).await?;
    let cpu = hub.process.cpu_seconds()? - cpu;
    let reads = hub.metric(COLD_READS).await? - reads;
    let during = transactions(&mut database, STATISTICS).await? - quiet;
    let what = format!("{count} viewers reconnect within {} s, each up to {} behind", options.within, options.behind);
    let told = database.map_or_else(String::new, |_| format!("{during:.0} transactions more than before, as Postgres counts"));
    Ok(vec![
        Row::new("7", format!("{what}: pages read from the store"), reads, Target::AtMost(10.0))
            .unit(" reads")
            .measured(format!("{reads:.0}"))
            .reference(told),
        Row::new("7", "the same: until everyone is live", live, Target::AtMost(3.0)).unit(" s").measured(format!(
            "{live:.2} s, {:.1} µs of the hub's CPU for each of {missed} activities",
            cpu * 1e6 / missed as f64
        )),
    ])
}

/// How far behind a viewer is: spread evenly, in no order.
fn behind(number: usize, most: usize) -> u64 {
    (number * 37 % (most + 1)) as u64
}

/// Transactions so far, as the server says after some rest; 0 without Postgres.
async fn transactions(database: &mut Option<PgConnection>, rest: Duration) -> anyhow::Result<f64> {
    let Some(database) = database else { return Ok(0.0) };
    sleep(rest).await;
    let sql = "SELECT xact_commit::float8 FROM pg_stat_database WHERE datname = current_database()";
    Ok(sqlx::query_scalar(sql).fetch_one(database).await?)
}
