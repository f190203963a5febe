//! What a node says about itself while it runs: logs on standard error.

use std::io::IsTerminal;

use tracing_subscriber::{EnvFilter, fmt};

use crate::{config::LogSettings, trail::TARGET as TRAIL};

/// Starts logging for the whole process; a second call changes nothing. Fails if the level cannot be read.
pub fn start(settings: &LogSettings) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(&settings.level).map_err(|error| {
        anyhow::anyhow!("log.level = {:?} is not a filter such as info or tasklight=debug: {error}", settings.level)
    })?;
    // Who did what is told whatever else is wanted; `audit.trail` says whether.
    let filter = filter.add_directive(format!("{TRAIL}=info").parse()?);
    let pretty = match settings.format.as_str() {
        "auto" => std::io::stderr().is_terminal(),
        format => format == "pretty",
    };
    let builder = fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let started = if pretty {
        builder.with_target(false).with_ansi(std::io::stderr().is_terminal()).try_init()
    } else {
        builder.json().flatten_event(true).try_init()
    };
    if started.is_err() {
        tracing::debug!("logging had been started already");
    }
    Ok(())
}
