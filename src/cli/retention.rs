//! `tasklight retention`: what would be removed, or a round by hand.

use std::{io::Write, process::ExitCode, time::Duration};

use anyhow::{Context, bail};
use clap::{ArgGroup, Args};
use prometheus_client::metrics::gauge::Gauge;
use tokio::{select, signal::ctrl_c, time::Instant};

use super::{exit, progress::Progress, serve::StoreArgs};
use crate::{
    jobs::{
        Lease,
        retention::{Found, Retention, RetentionMetrics, RetentionOptions, Survey},
    },
    store::{LeaseName, Store},
    telemetry,
};

/// How often it is asked whether the lease is free.
const ASK: Duration = Duration::from_millis(500);

const AFTER_HELP: &str = "\
What is kept for how long is configured in [retention], for all tasks and by
label; without it nothing is ever removed. Hubs look every retention.interval.

--dry-run says what a look would remove now, by task and by key, and changes
nothing. It reads as much of what would go as it takes to add up its bytes.

--now does one round from here, under the same lease as the hubs: while a hub
does it, this waits for --wait and then gives up.

SQLite: stop the hub first, its file is open in one process at a time.

Examples:
  tasklight retention --dry-run
  tasklight retention --dry-run --config tasklight.toml --store postgres://db/tasklight
  tasklight retention --now

Exit codes: 0 done, 1 something could not be archived or done, 2 wrong usage.";

/// Flags of `tasklight retention`.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP, group(ArgGroup::new("what").required(true).args(["dry_run", "now"])))]
pub(crate) struct RetentionArgs {
    #[command(flatten)]
    store: StoreArgs,
    /// Say what would be removed, and remove nothing
    #[arg(long)]
    dry_run: bool,
    /// Do one round now
    #[arg(long)]
    now: bool,
    /// How long to wait for the lease
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = humantime::parse_duration, requires = "now")]
    wait: Duration,
}

/// Opens the store and does it, until it is done or Ctrl-C.
pub(crate) async fn run(args: RetentionArgs) -> anyhow::Result<ExitCode> {
    let (now, wait) = (args.now, args.wait);
    let settings = args.store.load(Vec::new())?.settings;
    telemetry::start(&settings.log_options())?;
    let Some(options) = settings.retention_options()? else {
        bail!("nothing is configured to be removed: [retention] has neither max_age nor any other bound")
    };
    let mut store_options = settings.store_options();
    store_options.migrate = false;
    if let Some(path) = store_options.url.strip_prefix("sqlite://").filter(|path| !std::path::Path::new(path).exists()) {
        bail!("there is no database at {path}: --store names another one");
    }
    let store = Store::open(&store_options).await?;
    let work = async {
        match now {
            true => round(&store, options, settings.cluster.lease_timeout.get(), wait).await,
            false => dry_run(&store, options).await,
        }
    };
    let done = select! {
        done = work => done,
        signal = ctrl_c() => signal.map(|()| ExitCode::from(exit::FAILED)).map_err(Into::into),
    };
    store.close().await;
    done
}

async fn dry_run(store: &Store, options: RetentionOptions) -> anyhow::Result<ExitCode> {
    let mut progress = Progress::new();
    let (mut tasks, mut whole, mut activities, mut bytes) = (0_u64, 0_u64, 0, 0);
    let mut survey = Survey::new(store.clone(), options);
    let mut failed = None;
    let tell = |seen, found: Option<Found>| {
        let Some(found) = found else { return progress.at(|| format!("{seen} tasks looked at")) };
        progress.clear();
        (tasks, whole) = (tasks + 1, whole + u64::from(found.goal.whole));
        (activities, bytes) = (activities + found.activities, bytes + found.bytes);
        let what = if found.goal.whole { "delete" } else { "trim  " };
        let of = found.rule.map(|rule| format!(" of {rule}")).unwrap_or_default();
        let line = writeln!(
            anstream::stdout(),
            "{what}  {}  {} activities, {}  by {}{of}",
            found.task,
            found.activities,
            words(found.bytes),
            found.goal.reason.as_str()
        );
        failed = failed.take().or(line.err());
    };
    survey.run(tell).await?;
    if let Some(error) = failed {
        return Err(error.into());
    }
    println!(
        "{activities} activities ({}) of {tasks} tasks would go, {whole} of the tasks as a whole; nothing was removed (--dry-run)",
        words(bytes)
    );
    Ok(ExitCode::SUCCESS)
}

async fn round(store: &Store, options: RetentionOptions, term: Duration, wait: Duration) -> anyhow::Result<ExitCode> {
    let holder = format!("retention-{}#{:08x}", std::process::id(), rand::random::<u32>());
    let mut lease = Lease::new(store.clone(), LeaseName::Retention, holder.into(), term, Gauge::default());
    let until = Instant::now() + wait;
    while lease.hold().await.is_none() {
        if until < Instant::now() {
            bail!("{}", held_by(store).await?);
        }
        tokio::time::sleep(ASK).await;
    }
    let mut progress = Progress::new();
    let retention = Retention::new(store.clone(), None, options, RetentionMetrics::default());
    let tell = |done: &crate::jobs::retention::Done| {
        progress.at(|| format!("{} activities ({}) and {} tasks removed", done.activities, words(done.bytes), done.tasks));
    };
    let (done, ended) = retention.all_tasks(&mut lease, tell).await;
    lease.release().await;
    progress.clear();
    println!("{} activities ({}) and {} tasks were removed", done.activities, words(done.bytes), done.tasks);
    ended.context("it did not come to the end; it is safe to do it again")?;
    if done.failures != 0 {
        eprintln!("tasklight: {} tasks could not be archived; nothing more of them was removed", done.failures);
        return Ok(ExitCode::from(exit::FAILED));
    }
    Ok(ExitCode::SUCCESS)
}

/// Who has the lease.
async fn held_by(store: &Store) -> anyhow::Result<String> {
    let (leases, _) = store.leases().await?;
    let holder = leases.into_iter().find(|lease| lease.name == LeaseName::Retention.as_str()).and_then(|lease| lease.holder);
    Ok(match holder {
        Some(holder) => format!("{holder} has the lease: it does this every retention.interval"),
        None => "the lease could not be had".to_owned(),
    })
}

/// Bytes for people.
fn words(bytes: u64) -> String {
    match bytes {
        0..10_240 => format!("{bytes} bytes"),
        10_240..10_485_760 => format!("{} KiB", bytes >> 10),
        _ => format!("{} MiB", bytes >> 20),
    }
}
