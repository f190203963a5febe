//! How long the hub takes from its start to being ready on an empty SQLite, and how large its program is.

use std::time::Instant;

use anyhow::ensure;
use clap::Args;

use super::{
    bench::Bench,
    quantile,
    report::{Row, Target},
    server::Hub,
};

#[derive(Debug, Clone, Args)]
pub struct Options {
    /// How often it is started.
    #[arg(long, default_value_t = 20)]
    pub starts: usize,
}

/// Fewer say nothing.
const FEWEST: usize = 5;

pub async fn run(bench: &Bench, options: &Options) -> anyhow::Result<Vec<Row>> {
    let mut took = Vec::new();
    for _ in 0..bench.count(options.starts).max(FEWEST) {
        let began = Instant::now();
        // Its first line comes when it listens; that it is ready as well is what is asked then.
        let hub = Hub::start(&bench.binary)?;
        ensure!(hub.is_well().await?, "it listens, but it is not ready");
        took.push(began.elapsed().as_secs_f64() * 1_000.0);
    }
    took.sort_by(f64::total_cmp);
    let (median, slowest) = (quantile(&took, 0.5), quantile(&took, 1.0));
    let size = std::fs::metadata(&bench.binary)?.len() as f64 / 1e6;
    Ok(vec![
        Row::new("10", "start to ready on an empty SQLite", median, Target::AtMost(100.0))
            .unit(" ms")
            .measured(format!("{median:.0} ms, the median of {}; at most {slowest:.0} ms", took.len())),
        Row::new("10", "size of the program", size, Target::AtMost(30.0)).unit(" MB").measured(format!("{size:.1} MB")),
    ])
}
