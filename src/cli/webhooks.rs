//! `tasklight webhooks`: trying out webhooks without waiting for something to happen.

use std::{path::PathBuf, process::ExitCode};

use anstyle::AnsiColor;
use clap::{Args, Subcommand};

use super::exit;
use crate::{
    config::{Settings, Sources},
    webhooks::{Outcome, Sender, test_event},
};

const AFTER_HELP: &str = "\
Sends a signed event {\"type\": \"test\"} to the webhooks of the configuration, from
this machine, once, as a hub would send it: only to addresses that a hub may
send to, without following redirects.

Examples:
  tasklight webhooks test                      all of them
  tasklight webhooks test ops --config /etc/tasklight/tasklight.toml

Exit codes: 0 all took it, 1 some did not, 2 wrong usage.";

/// Flags of `tasklight webhooks`.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct WebhooksArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Send a test event.
    #[command(after_help = AFTER_HELP)]
    Test(TestArgs),
}

#[derive(Debug, Args)]
struct TestArgs {
    /// The names of the webhooks; all if none is given
    name: Vec<String>,
    /// The configuration file [default: tasklight.toml if it is there]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// Does what the subcommand says.
pub(crate) async fn run(args: WebhooksArgs) -> anyhow::Result<ExitCode> {
    let Command::Test(args) = args.command;
    let settings = Settings::load(&Sources { file: args.config, flags: Vec::new() })?.settings;
    let Some(options) = settings.webhook_options()? else {
        eprintln!("tasklight: no webhook is configured: [[webhooks.endpoint]] in tasklight.toml does that");
        return Ok(ExitCode::from(exit::USAGE));
    };
    if let Some(unknown) = args.name.iter().find(|name| options.endpoints.iter().all(|endpoint| endpoint.name != **name)) {
        eprintln!("tasklight: no webhook is called {unknown:?}");
        return Ok(ExitCode::from(exit::USAGE));
    }
    let sender = Sender::new(options.requests)?;
    let mut all_took_it = true;
    for endpoint in options.endpoints.iter().filter(|endpoint| args.name.is_empty() || args.name.contains(&endpoint.name)) {
        let (id, body) = test_event();
        let (style, words) = match sender.send(endpoint, &id, &body).await {
            Outcome::Delivered => (AnsiColor::Green.on_default(), "took it".to_owned()),
            Outcome::Gone => (AnsiColor::Red.on_default(), "is gone (410)".to_owned()),
            Outcome::Failed { failure, .. } => (AnsiColor::Red.on_default(), format!("did not take it: {}", failure.describe())),
        };
        all_took_it &= style == AnsiColor::Green.on_default();
        anstream::println!("{}  {style}{words}{style:#}", endpoint.name);
    }
    Ok(if all_took_it { ExitCode::SUCCESS } else { ExitCode::from(exit::FAILED) })
}
