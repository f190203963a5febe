//! `tasklight migrate`: the schema, without serving; the rights of the hubs' role; another life for every log.

use std::process::ExitCode;

use clap::Args;

use super::serve::StoreArgs;
use crate::{store::Store, telemetry};

const AFTER_HELP: &str = "\
A hub brings the schema up to date by itself when it starts, unless store.migrate is
false. That is for when the hubs' database role may not change tables: run this as
the owner instead, before hubs of a new version start. Any number of hubs may start
at once; migrations run one at a time, under a lock.

Examples:
  tasklight migrate --store postgres://owner@db/tasklight
  tasklight migrate --store postgres://owner@db/tasklight --grant-to tasklight_hub
  tasklight migrate --store postgres://owner@db/tasklight --renew-epochs

--renew-epochs is for after a restore that the server does not show by itself (such as
one table's rows put back from a copy): every viewer that comes back with an old cursor
is told to start over instead of continuing in another history. A failover, a restore
to a point in time and a restore from a dump are noticed without it.";

/// Flags of `tasklight migrate`.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct MigrateArgs {
    #[command(flatten)]
    store: StoreArgs,
    /// Let this database role do what a hub does, and no more (Postgres)
    #[arg(long, value_name = "ROLE")]
    grant_to: Option<String>,
    /// Give every task's log a new epoch: all cursors from before are told to start over
    #[arg(long)]
    renew_epochs: bool,
}

/// Opens the store, which brings its schema up to date, does what the flags say, and closes it again.
pub(crate) async fn run(args: MigrateArgs) -> anyhow::Result<ExitCode> {
    let settings = args.store.load(Vec::new())?.settings;
    telemetry::start(&settings.log_options())?;
    let mut options = settings.store_options();
    options.migrate = true;
    let store = Store::open(&options).await?;
    println!("the schema of {} is up to date", settings.values().remove("store.url").unwrap_or_default());
    if let Some(role) = &args.grant_to {
        store.grant_to(role).await?;
        println!("{role} may do what a hub does");
    }
    if args.renew_epochs {
        store.renew_epochs().await?;
        println!("every log has a new epoch");
    }
    store.close().await;
    Ok(ExitCode::SUCCESS)
}
