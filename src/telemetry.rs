//! What a node says about itself while it runs: logs on standard error, and traces to a collector.

mod traces;

use std::io::IsTerminal;

use tracing_subscriber::{EnvFilter, fmt, reload};

use crate::trail::TARGET as TRAIL;

/// What is logged, and how it is written.
#[derive(Debug, Clone)]
pub struct LogOptions {
    /// Which events, as in RUST_LOG.
    pub level: String,
    /// How they are written.
    pub format: LogFormat,
}

/// How events are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people on a terminal, else for programs.
    Auto,
    /// For people.
    Pretty,
    /// For programs: an object a line.
    Json,
}

/// What is logged, as long as the process lives.
pub struct LogLevel(Box<dyn Fn(EnvFilter) -> Result<(), reload::Error> + Send + Sync>);

impl LogLevel {
    /// Logs this from now on.
    pub(crate) fn set(&self, filter: EnvFilter) -> anyhow::Result<()> {
        Ok(self.0(filter)?)
    }
}

pub(crate) use traces::{Span, SpanKind, Tracer, TracerOptions};

/// What is not logged unless the level names it: the texts of statements, which say more of the store than a log should.
const QUIET: &str = "sqlx::query=off";

/// Starts logging for the whole process; a second call changes nothing. Fails if the level cannot be read.
pub fn start(options: &LogOptions) -> anyhow::Result<LogLevel> {
    let filter = filter(&options.level)?;
    let pretty = match options.format {
        LogFormat::Auto => std::io::stderr().is_terminal(),
        LogFormat::Pretty => true,
        LogFormat::Json => false,
    };
    let builder = fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let (level, started): (LogLevel, _) = if pretty {
        let builder = builder.with_target(false).with_ansi(std::io::stderr().is_terminal()).with_filter_reloading();
        let handle = builder.reload_handle();
        (LogLevel(Box::new(move |filter| handle.reload(filter))), builder.try_init())
    } else {
        let builder = builder.json().flatten_event(true).with_filter_reloading();
        let handle = builder.reload_handle();
        (LogLevel(Box::new(move |filter| handle.reload(filter))), builder.try_init())
    };
    if started.is_err() {
        tracing::debug!("logging had been started already");
    }
    Ok(level)
}

/// What `log.level` asks for.
pub(crate) fn filter(level: &str) -> anyhow::Result<EnvFilter> {
    let filter = EnvFilter::try_new(format!("{QUIET},{level}"))
        .map_err(|error| anyhow::anyhow!("log.level = {level:?} is not a filter such as info or tasklight=debug: {error}"))?;
    // Who did what is told whatever else is wanted; `audit.trail` says whether.
    Ok(filter.add_directive(format!("{TRAIL}=info").parse()?))
}
