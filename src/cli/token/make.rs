//! `tasklight token make`: a token signed with the configured secret.

use std::process::ExitCode;

use anyhow::Context;
use clap::Args;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde::Serialize;
use uuid::Uuid;

use super::GrantArgs;
use crate::{
    auth::{Grants, Subject},
    cli::serve::StoreArgs,
    config::Span,
    model::Timestamp,
};

/// Flags of `tasklight token make`.
#[derive(Debug, Args)]
pub(super) struct MakeArgs {
    #[command(flatten)]
    grant: GrantArgs,
    /// How long it is good for
    #[arg(long = "for", value_name = "DURATION", default_value = "12h")]
    life: Span,
    /// Its own name, by which it can be revoked; made up if left out
    #[arg(long, value_name = "ID")]
    id: Option<String>,
    #[command(flatten)]
    config: StoreArgs,
}

#[derive(Serialize)]
struct Claims<'a> {
    sub: Subject,
    exp: u64,
    iat: u64,
    jti: String,
    #[serde(skip_serializing_if = "str::is_empty")]
    iss: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    aud: &'a str,
    tasklight: Grants,
}

/// Prints it. `iss` and `aud` are what the hub asks for.
pub(super) fn run(args: MakeArgs) -> anyhow::Result<ExitCode> {
    let settings = args.config.load(Vec::new())?.settings;
    let (secret, algorithm) = settings.auth_options()?.secret.context(
        "there is no secret to sign with: set auth.hmac_secret_file (tasklight token secret > hub.secret, then \
         TASKLIGHT__AUTH__HMAC_SECRET_FILE=hub.secret)",
    )?;
    let algorithm: Algorithm = algorithm.parse().context("auth.hmac_algorithm")?;
    let (sub, tasklight) = args.grant.grants();
    let now = Timestamp::now();
    let seconds = |time: Timestamp| time.as_millis() / 1_000;
    let claims = Claims {
        sub,
        exp: seconds(now.plus(args.life.get())),
        iat: seconds(now),
        jti: args.id.unwrap_or_else(|| Uuid::now_v7().to_string()),
        iss: &settings.auth.issuer,
        aud: &settings.auth.audience,
        tasklight,
    };
    println!("{}", encode(&Header::new(algorithm), &claims, &EncodingKey::from_secret(&secret))?);
    Ok(ExitCode::SUCCESS)
}
