//! What a node says about itself while it runs: logs on standard error, and traces to a collector.

mod traces;

use std::io::IsTerminal;

use tracing_subscriber::{EnvFilter, fmt};

use crate::config::LogSettings;

pub(crate) use traces::{Span, SpanKind, Tracer, TracerOptions};

/// What is not logged unless the level names it: the texts of statements, which say more of the store than a log should.
const QUIET: &str = "sqlx::query=off";

/// Starts logging for the whole process; a second call changes nothing. Fails if the level cannot be read.
pub fn start(settings: &LogSettings) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(format!("{QUIET},{}", settings.level)).map_err(|error| {
        anyhow::anyhow!("log.level = {:?} is not a filter such as info or tasklight=debug: {error}", settings.level)
    })?;
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
