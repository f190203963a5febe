//! `tasklight token show`: what a token says, and whether it is taken.

use std::{
    io::{Read, stdin},
    process::ExitCode,
};

use anyhow::ensure;
use clap::Args;

use crate::{
    auth::Auth,
    cli::{exit, serve::StoreArgs, terminal::safe_line},
    model::Timestamp,
};

/// The longest token.
const LONGEST: usize = 16 * 1024;

/// Flags of `tasklight token show`.
#[derive(Debug, Args)]
pub(super) struct ShowArgs {
    #[command(flatten)]
    config: StoreArgs,
}

/// Shows it. What was revoked only the hub knows.
pub(super) async fn run(args: ShowArgs) -> anyhow::Result<ExitCode> {
    let settings = args.config.load(Vec::new())?.settings;
    let auth = Auth::new(settings.auth_options()?)?;
    ensure!(!auth.is_open(), "no key is configured, so every token is taken: see tasklight token --help");
    let mut token = String::new();
    stdin().take(LONGEST as u64).read_to_string(&mut token)?;
    match auth.check(Some(token.trim())).await {
        Ok(caller) => {
            let grants = caller.grants();
            let list = |patterns: &[crate::auth::Pattern]| patterns.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
            println!("subject  {}", safe_line(caller.subject().as_str()));
            if let Some(id) = caller.id() {
                println!("id       {}", safe_line(id));
            }
            println!("read     {}", list(&grants.read));
            println!("publish  {}", list(&grants.publish));
            println!("admin    {}", grants.admin);
            if let Some(end) = caller.expires() {
                let left = end.as_millis().saturating_sub(Timestamp::now().as_millis()) / 1_000;
                println!("ends in  {}", humantime::format_duration(std::time::Duration::from_secs(left)));
            }
            Ok(ExitCode::SUCCESS)
        }
        Err(refusal) => {
            eprintln!("tasklight: {refusal}");
            Ok(ExitCode::from(exit::FAILED))
        }
    }
}
