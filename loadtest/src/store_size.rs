//! Whether anything on the hot path grows with the store: the same load on a small store and on one with fifty million activities, in turns, and what
//! each statement that the hubs really ran touched and gave, as `pg_stat_statements` counts it, and how the server carried it out, as `auto_explain` tells. Nothing
//! is explained from a copy of the text: what is compared is the real calls. An index is a page or two deeper in a store a thousand times as large; more than that
//! fails the run, and so do more rows, a plan that goes over a large table, and an activity that takes half as much again of a processor.

mod account;
mod fill;
mod judge;
mod load;
mod plans;
mod statements;
mod walk;

use anyhow::{Context, ensure};
use clap::Args;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};

pub use self::account::Postmaster;
use self::{fill::Shape, load::Figures, plans::Plans, statements::Statement};
use super::bench::Bench;

#[derive(Debug, Clone, Args)]
pub struct Options {
    /// How many activities the large store has.
    #[arg(long, default_value_t = 50_000_000)]
    pub rows: u64,
    /// How many the small one has.
    #[arg(long, default_value_t = 100_000)]
    pub small: u64,
    /// Only these parts.
    #[arg(long, value_enum, value_delimiter = ',', default_value = "walk,load")]
    pub only: Vec<Part>,
    /// Only fill them, say where they are and leave them there.
    #[arg(long)]
    pub fill_only: bool,
    /// The small and the large store, filled before with the same numbers of rows.
    #[arg(long, num_args = 2)]
    pub filled: Vec<String>,
    /// How often stores that were filled before have been walked over: the tasks that are trimmed and deleted are other ones each time.
    #[arg(long, default_value_t = 0)]
    pub again: u64,
    /// How long publishing at a rate is measured on each store, each time, in seconds.
    #[arg(long, default_value_t = 20)]
    pub seconds: u64,
    /// How often each store has its turn.
    #[arg(long, default_value_t = 3)]
    pub turns: usize,
    /// Activities a second.
    #[arg(long, default_value_t = 500.0)]
    pub rate: f64,
}

/// What can be measured by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Part {
    /// What each statement touches.
    Walk,
    /// What an activity costs, and how long things take.
    Load,
}

pub async fn run(bench: &Bench, options: &Options) -> anyhow::Result<()> {
    let shapes = [Shape::of(options.small), Shape::of(options.rows)];
    let urls: Vec<String> = match &options.filled[..] {
        [] => {
            let mut urls = Vec::new();
            for shape in shapes {
                let began = std::time::Instant::now();
                urls.push(fill::filled(bench, shape).await?);
                eprintln!("{} activities written in {:.0} s", shape.activities(), began.elapsed().as_secs_f64());
            }
            urls
        }
        given => given.to_vec(),
    };
    if options.fill_only {
        println!("{}", urls.join(","));
        return Ok(());
    }
    let mut stores = Vec::new();
    for (url, shape) in urls.iter().zip(shapes) {
        stores.push(Store { url: url.clone(), shape, statements: Vec::new(), plans: Plans::new(), figures: Vec::new() });
    }
    let walked = measure(bench, options, &mut stores).await;
    if options.filled.is_empty() {
        for url in &urls {
            drop_database(bench, url).await?;
        }
    }
    walked?;
    let [small, large] = &stores[..] else { anyhow::bail!("two stores") };
    let mut wrong = Vec::new();
    if options.only.contains(&Part::Load) {
        wrong.extend(load::judge(small, large).err());
    }
    if options.only.contains(&Part::Walk) {
        wrong.extend(judge::judge(small, large).err());
        wrong.extend(plans::judge(&large.plans, &large.statements).err());
    }
    let wrong: Vec<_> = wrong.iter().map(|error| format!("{error:#}")).collect();
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

/// A store that is measured.
pub struct Store {
    pub url: String,
    pub shape: Shape,
    /// What the walk's statements touched.
    pub statements: Vec<Statement>,
    /// How they were carried out; of the large store only.
    pub plans: Plans,
    /// What publishing at a rate cost, for each turn.
    pub figures: Vec<Figures>,
}

async fn measure(bench: &Bench, options: &Options, stores: &mut [Store]) -> anyhow::Result<()> {
    let large = stores.len() - 1;
    for (number, store) in stores.iter_mut().enumerate().filter(|_| options.only.contains(&Part::Walk)) {
        let mut database = PgConnection::connect(&store.url).await?;
        let log = if number == large { Some(plans::Log::begin(&mut database).await?) } else { None };
        let walked = walk::run(bench, options, store).await;
        let plans = match log {
            Some(log) => log.end(&mut database).await,
            None => Ok(Plans::new()),
        };
        store.statements = walked.with_context(|| format!("on {} activities", store.shape.activities()))?;
        store.plans = plans?;
    }
    let turns = if options.only.contains(&Part::Load) { options.turns } else { 0 };
    for turn in 0..turns {
        for store in &mut *stores {
            let figures = load::run(bench, options, store, turn).await?;
            store.figures.push(figures);
        }
    }
    Ok(())
}

async fn drop_database(bench: &Bench, url: &str) -> anyhow::Result<()> {
    let (_, name) = url.rsplit_once('/').context("a database at the end of the URL")?;
    ensure!(name.starts_with("load_"), "{name} is not ours");
    let mut server = PgConnection::connect(&bench.services()?.postgres).await?;
    server.execute(sqlx::raw_sql(AssertSqlSafe(format!("DROP DATABASE {name} WITH (FORCE)")))).await?;
    Ok(())
}
