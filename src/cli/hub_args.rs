//! Which hub a client command talks to, and how it ends when the hub does not do what was asked.

use std::{path::PathBuf, process::ExitCode};

use clap::Args;

use super::exit;
use crate::client::{Client, ClientError, FollowError, TlsFiles, Token};

/// The flags that every client command has.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Hub")]
pub(crate) struct HubArgs {
    /// The hub's URL
    #[arg(long, value_name = "URL", env = "TASKLIGHT_HUB", default_value = "http://127.0.0.1:8080")]
    hub: String,
    /// The token that grants access; better given by the environment, because others on this machine can see command lines
    #[arg(long, value_name = "TOKEN", env = "TASKLIGHT_TOKEN", hide_env_values = true)]
    token: Option<Token>,
    /// Certificates (PEM) of who may have signed the hub's own, if it is not one of the web's authorities
    #[arg(long = "ca-file", value_name = "FILE", env = "TASKLIGHT_CA_FILE")]
    hub_ca: Option<PathBuf>,
    /// A certificate (PEM) to show to hubs that ask for one
    #[arg(long = "cert", value_name = "FILE", env = "TASKLIGHT_CERT_FILE")]
    hub_cert: Option<PathBuf>,
    /// The key (PEM) of that certificate
    #[arg(long = "key", value_name = "FILE", env = "TASKLIGHT_KEY_FILE")]
    hub_key: Option<PathBuf>,
}

impl HubArgs {
    /// A client of that hub.
    pub(crate) fn client(&self) -> Result<Client, ClientError> {
        // A variable that is set to nothing is not set.
        let given = |path: &Option<PathBuf>| path.clone().filter(|path| !path.as_os_str().is_empty());
        let files = TlsFiles { ca: given(&self.hub_ca), cert: given(&self.hub_cert), key: given(&self.hub_key) };
        Client::with_files(&self.hub, self.token.clone(), &files)
    }

    /// Whether there is a token.
    pub(crate) fn has_token(&self) -> bool {
        self.token.is_some()
    }

    /// The hub's URL, without a slash at its end.
    pub(crate) fn url(&self) -> &str {
        self.hub.trim_end_matches('/')
    }
}

/// Says on standard error what went wrong and what would help, and gives the exit code for it.
pub(crate) fn failed(error: &ClientError) -> ExitCode {
    eprintln!("tasklight: {error}");
    match error {
        ClientError::Unreachable { hub, reason } if is_about_certificates(hub, reason) => {
            eprintln!("  --ca-file or TASKLIGHT_CA_FILE names who signed the hub's certificate; --cert and --key give ours");
        }
        ClientError::Unreachable { .. } => eprintln!("  is it running there? --hub or TASKLIGHT_HUB names another one"),
        ClientError::RedisUnreachable { .. } => eprintln!("  --redis or TASKLIGHT_REDIS names another one"),
        ClientError::NoHub { hubs: 0, .. } => {
            eprintln!("  is a hub's broker.url this Redis, and its broker.prefix --redis-prefix (TASKLIGHT_REDIS_PREFIX)?");
        }
        ClientError::NoHub { .. } => eprintln!("  they may be too busy, or without their store: their /readyz says why"),
        ClientError::Refused(problem) if problem.status == 401 => eprintln!("  --token or TASKLIGHT_TOKEN gives a token"),
        _ => {}
    }
    ExitCode::from(code_of(error))
}

/// What is heard of a connection that the other side has closed.
const CLOSED: [&str; 4] = ["connection was not ready", "connection closed", "reset by peer", "Broken pipe"];

/// Whether a reason is TLS's: one side does not believe the other. By TLS 1.3 (RFC 8446) a client is done before the hub has looked at its certificate:
/// whether it hears why the connection ends, or only that it does, is up to chance.
fn is_about_certificates(hub: &str, reason: &str) -> bool {
    let said = |words: &[&str]| words.iter().any(|words| reason.contains(words));
    said(&["certificate", "fatal alert"]) || (hub.starts_with("https:") && said(&CLOSED))
}

/// The exit code of a failed request.
pub(crate) fn code_of(error: &ClientError) -> u8 {
    match error {
        ClientError::Setup(_) => exit::USAGE,
        ClientError::Unreachable { .. }
        | ClientError::RedisUnreachable { .. }
        | ClientError::NoHub { .. }
        | ClientError::Unconfirmed { .. } => exit::UNREACHABLE,
        ClientError::Refused(problem) if problem.is_transient() => exit::UNREACHABLE,
        ClientError::Redirected { .. } | ClientError::Refused(_) | ClientError::RedisRefused { .. } | ClientError::Answer(_) => {
            exit::FAILED
        }
    }
}

/// As [`failed`], for a task that cannot be followed.
pub(crate) fn not_followed(error: &FollowError) -> ExitCode {
    eprintln!("tasklight: {error}");
    if matches!(error, FollowError::Unauthorized(_)) {
        eprintln!("  --token or TASKLIGHT_TOKEN gives a token");
    }
    ExitCode::from(exit::FAILED)
}
