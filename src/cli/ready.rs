//! `tasklight ready`: whether a hub should get work, as an exit code; for health checks where there is no shell and no curl.

use std::{net::IpAddr, path::PathBuf, process::ExitCode};

use clap::Args;
use serde_json::Value;

use super::exit;
use crate::config::{Settings, Sources, Span};

/// The most bytes of an answer that are looked at.
const ANSWER_BYTES: usize = 64 * 1024;

const AFTER_HELP: &str = "\
Asks /readyz, on the admin listener that the configuration (file and environment) names:
inside a container or a unit, that of the hub in it.

Examples:
  tasklight ready
  tasklight ready --admin http://hub-1:9090 --timeout 1s

Exit codes: 0 ready (even if degraded: without Redis), 1 not ready, with the reason,
2 wrong usage, 3 nobody answers.";

/// Flags of `tasklight ready`.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct ReadyArgs {
    /// The hub's admin listener [default: the one that the configuration names]
    #[arg(long, value_name = "URL")]
    admin: Option<String>,
    /// The configuration file [default: tasklight.toml if it is there]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// How long the answer may take
    #[arg(long, value_name = "DURATION", default_value = "3s")]
    timeout: Span,
}

/// Asks once, and says in a line how the hub stands.
pub(crate) async fn run(args: ReadyArgs) -> anyhow::Result<ExitCode> {
    let admin = match args.admin {
        Some(url) => url,
        None => own_admin(args.config)?,
    };
    let url: reqwest::Url = match format!("{}/readyz", admin.trim_end_matches('/')).parse() {
        Ok(url) => url,
        Err(error) => {
            eprintln!("tasklight: --admin {admin:?} is no URL such as http://127.0.0.1:9090: {error}");
            return Ok(ExitCode::from(exit::USAGE));
        }
    };
    // The hub next door is asked, never a proxy.
    let client = reqwest::Client::builder().no_proxy().timeout(args.timeout.get()).build()?;
    let answer = async {
        let response = client.get(url).send().await?;
        let (ready, mut response) = (response.status().is_success(), response);
        let mut body = Vec::new();
        while body.len() < ANSWER_BYTES
            && let Some(part) = response.chunk().await?
        {
            body.extend_from_slice(&part);
        }
        Ok::<_, reqwest::Error>((ready, body))
    };
    match answer.await {
        Ok((ready, body)) => {
            let trouble = trouble(&body);
            let word = if ready { "ready" } else { "not ready" };
            println!("{word}{}{trouble}", if trouble.is_empty() { "" } else { ": " });
            Ok(ExitCode::from(if ready { 0 } else { exit::FAILED }))
        }
        Err(error) => {
            eprintln!("tasklight: nobody answers at {admin}: {error}");
            Ok(ExitCode::from(exit::UNREACHABLE))
        }
    }
}

/// The admin listener of the hub that is configured as we are.
fn own_admin(file: Option<PathBuf>) -> anyhow::Result<String> {
    // Nothing listens here: what `serve` was allowed by a flag of its own is not asked again.
    let flags = ["insecure_listen", "insecure_admin_listen"].map(|key| (key, "true".to_owned())).to_vec();
    let mut address = Settings::load(&Sources { file, flags })?.settings.admin_listen;
    if address.ip().is_unspecified() {
        address.set_ip(match address.ip() {
            IpAddr::V4(_) => std::net::Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
        });
    }
    Ok(format!("http://{address}"))
}

/// The checks that are not as they should be.
fn trouble(body: &[u8]) -> String {
    let answer: Value = serde_json::from_slice(body).unwrap_or_default();
    let checks = answer["checks"].as_object().into_iter().flatten();
    let bad =
        checks.filter_map(|(name, state)| state.as_str().filter(|state| *state != "ok").map(|state| format!("{name} {state}")));
    super::terminal::safe_line(&bad.collect::<Vec<_>>().join(", "))
}
