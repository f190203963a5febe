//! `tasklight doctor`: looks at the store, at Redis and at the hubs from outside, and says what is wrong, what that means and what to do.

mod clock;
mod finding;
mod leases;
mod logs;
mod postgres;
mod readiness;
mod redis;
mod runs;
mod schema;
mod sqlite;

use std::process::ExitCode;

use clap::Args;

use super::{serve::StoreArgs, tasks::span};
use crate::{
    config::Settings,
    store::{Inspector, StoreError},
    telemetry,
};

use finding::{Finding, Level, Report};

const AFTER_HELP: &str = "\
Reads the same configuration as `tasklight serve`, connects to the store and to
Redis, and changes nothing: it may run beside hubs, also on SQLite's file.

  schema      the migrations that the store has had
  logs        rows of tasks against their logs: heads, holes, counts of runs
  runs        runs that ended and are said to run, or that nobody hears of
  leases      who does what one node at a time does, and since when
  clock       this machine's time against Postgres's and Redis's
  postgres    durability, connections, vacuum, old transactions
  sqlite      the file's integrity, the length of its write-ahead log
  redis       output buffers, memory policy, timeouts, as far as it may look
  members     the hubs that Redis counts
  hub         what /readyz of a hub says (with --admin)

Without --full the 500 newest tasks (the last 10,000 activities of each) and
1,000 runs are looked at; with it all of them, which takes long on a large store.

Examples:
  tasklight doctor
  tasklight doctor --config /etc/tasklight/tasklight.toml --admin http://127.0.0.1:9090
  tasklight doctor --store postgres://db/tasklight --broker redis://redis --full
  tasklight doctor --json | jq -r '.findings[] | select(.level != \"ok\") | .found'

Exit codes: 0 all is well, 1 there are warnings, 2 there are errors (or wrong
usage). What it may not look at is said, and counts for neither.";

/// Flags of `tasklight doctor`.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct DoctorArgs {
    #[command(flatten)]
    store: StoreArgs,
    /// Redis, as for `serve` [default: broker.url of the configuration]
    #[arg(long, value_name = "URL")]
    broker: Option<String>,
    /// Where a hub serves /readyz, to ask it too
    #[arg(long, value_name = "URL")]
    admin: Option<String>,
    /// Look at every task and every run
    #[arg(long)]
    full: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Looks at everything that can be looked at, and says what was found.
pub(crate) async fn run(args: DoctorArgs) -> anyhow::Result<ExitCode> {
    let flags = args.broker.map(|url| ("broker.url", url)).into_iter().collect();
    let settings = args.store.load(flags)?.settings;
    telemetry::start(&settings.log_options())?;
    let mut report = Report::default();
    let members = redis::examine(&settings, &mut report).await?;
    examine_store(&settings, args.full, members.as_deref(), &mut report).await;
    if let Some(url) = &args.admin {
        readiness::examine(url, &mut report).await;
    }
    if args.json {
        report.write_json()?
    } else {
        report.write_table()?
    }
    Ok(match report.worst() {
        Level::Ok | Level::Unknown => ExitCode::SUCCESS,
        Level::Warning => ExitCode::from(1),
        Level::Error => ExitCode::from(2),
    })
}

async fn examine_store(settings: &Settings, full: bool, members: Option<&[String]>, report: &mut Report) {
    let options = settings.store_options();
    let place = settings.values().remove("store.url").unwrap_or_default();
    let mut inspector = match Inspector::open(&options).await {
        Ok(inspector) => inspector,
        Err(error) => {
            report.add(Finding::error(
                "store",
                format!("{place} cannot be opened: {error}"),
                "Hubs can neither store nor show anything.",
                "Is the server running, and are address, name and password right? store.url or --store says where it is.",
            ));
            return;
        }
    };
    let mut store = Examined { settings, full, members, inspector: &mut inspector, report };
    if let Err(error) = store.all().await {
        report.add(Finding::error(
            "store",
            format!("{place} could not be looked at to the end: {error}"),
            "What is not said here was not looked at.",
            "If the role may not read the tables: `tasklight migrate --grant-to ROLE`.",
        ));
    }
}

/// A store under examination.
struct Examined<'a> {
    settings: &'a Settings,
    full: bool,
    /// The hubs that Redis counts, if that is known.
    members: Option<&'a [String]>,
    inspector: &'a mut Inspector,
    report: &'a mut Report,
}

impl Examined<'_> {
    async fn all(&mut self) -> Result<(), StoreError> {
        // First, because nothing else can be read for certain from a file that is damaged.
        let broken = self.inspector.integrity(self.full).await?;
        sqlite::tell_damage(&broken, self.report);
        let up_to_date = schema::examine(&self.inspector.schema().await?, self.report);
        let settings = self.inspector.settings().await?;
        match self.inspector {
            Inspector::Postgres(_) => postgres::examine(&settings, self.settings, self.members, self.report),
            Inspector::Sqlite(_) => sqlite::examine(&settings, self.report),
        }
        if !up_to_date {
            // The tables may not be those that are asked below.
            return Ok(());
        }
        clock::examine_store(self.inspector, self.report).await?;
        let (rows, now) = self.inspector.leases().await?;
        leases::examine(&rows, now, self.members, self.settings, self.report);
        logs::examine(self.inspector, self.full, self.report).await?;
        let since = leases::listening_since(&rows, now);
        runs::examine(self.inspector, self.full, self.settings, since, self.report).await
    }
}
