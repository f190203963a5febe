//! `tasklight migrate`: the schema, without serving.

use std::process::ExitCode;

use super::serve::StoreArgs;
use crate::{store::Store, telemetry};

/// Opens the store, which brings its schema up to date, and closes it again.
pub(crate) async fn run(args: StoreArgs) -> anyhow::Result<ExitCode> {
    let settings = args.load(Vec::new())?.settings;
    telemetry::start(&settings.log)?;
    let mut options = settings.store_options();
    options.migrate = true;
    let store = Store::open(&options).await?;
    store.close().await;
    println!("the schema of {} is up to date", settings.values().remove("store.url").unwrap_or_default());
    Ok(ExitCode::SUCCESS)
}
