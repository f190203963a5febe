//! `tasklight token`: secrets, tokens and API keys, for trying, for scripts and for agents; and taking them back.

mod make;
mod show;

use std::{io::Write, path::PathBuf, process::ExitCode};

use anyhow::Context;
use clap::{Args, Subcommand};
use rand::distr::{Alphanumeric, SampleString};

use super::hub_args::{HubArgs, failed};
use crate::{
    auth::{Grants, Pattern, Subject, generate_key},
    client::RevokeWanted,
    config::Span,
    model::Timestamp,
};

/// The characters of a new secret, of 62 each: more than 256 bits.
const SECRET_CHARS: usize = 64;

const AFTER_HELP: &str = "\
A hub asks for tokens as soon as it has a key to check them with. The shortest way:

  tasklight token secret > hub.secret
  export TASKLIGHT__AUTH__HMAC_SECRET_FILE=hub.secret
  tasklight serve &
  export TASKLIGHT_TOKEN=$(tasklight token make --subject me --read '*' --publish '*' --admin)
  tasklight tasks list

In production whoever signs people in makes the tokens (auth.jwks_url or auth.public_keys), and
agents get API keys, of which the hub keeps hashes only:

  tasklight token key --subject agent-7 --publish 'agent-7-*' --file keys.toml
  TASKLIGHT__AUTH__KEY_FILE=keys.toml tasklight serve

Exit codes: 0 done, 1 refused or not accepted, 2 wrong usage, 3 hub not reachable.";

/// Flags of `tasklight token`.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct TokenArgs {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Print a new secret for auth.hmac_secret_file
    Secret,
    /// Print a token signed with the configured secret
    Make(make::MakeArgs),
    /// Print a new API key, and keep its hash in a file
    Key(KeyArgs),
    /// Show what a token says and whether a hub with this configuration takes it; the token comes on standard input
    Show(show::ShowArgs),
    /// Take tokens back: at every node within two seconds
    Revoke(RevokeArgs),
}

/// Whom a token speaks for and what it grants.
#[derive(Debug, Args)]
struct GrantArgs {
    /// Whom it speaks for: a person, an agent, a service
    #[arg(long, value_name = "NAME")]
    subject: Subject,
    /// Tasks that may be seen, with * for any characters; may be given again
    #[arg(long, value_name = "PATTERN")]
    read: Vec<Pattern>,
    /// Tasks that may be published to; may be given again
    #[arg(long, value_name = "PATTERN")]
    publish: Vec<Pattern>,
    /// May also delete those tasks, and revoke tokens
    #[arg(long)]
    admin: bool,
}

impl GrantArgs {
    fn grants(self) -> (Subject, Grants) {
        let Self { subject, read, publish, admin } = self;
        if read.is_empty() && publish.is_empty() {
            eprintln!("tasklight: this grants nothing yet: --read 'build-*', --publish 'agent-7-*'");
        }
        (subject, Grants { read, publish, admin })
    }
}

/// Flags of `tasklight token key`.
#[derive(Debug, Args)]
struct KeyArgs {
    #[command(flatten)]
    grant: GrantArgs,
    /// How long it is good for, as in 90d; for ever if left out
    #[arg(long = "for", value_name = "DURATION")]
    life: Option<Span>,
    /// The file that its hash is added to (auth.key_file); without one, that part is printed on standard error
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
}

/// Flags of `tasklight token revoke`.
#[derive(Debug, Args)]
#[group(required = true, multiple = false, id = "which")]
struct RevokeArgs {
    /// All tokens of this subject made until now, and its API keys
    #[arg(long, value_name = "NAME", group = "which")]
    subject: Option<Subject>,
    /// The token with this jti, the API key with this id, or the certificate with this SHA-256
    #[arg(long, value_name = "ID", group = "which")]
    id: Option<String>,
    /// For how long it has to be remembered: as long as such tokens live. For ever if left out
    #[arg(long = "for", value_name = "DURATION")]
    life: Option<Span>,
    #[command(flatten)]
    hub: HubArgs,
}

pub(crate) async fn run(args: TokenArgs) -> anyhow::Result<ExitCode> {
    match args.what {
        What::Secret => {
            println!("{}", Alphanumeric.sample_string(&mut rand::rng(), SECRET_CHARS));
            Ok(ExitCode::SUCCESS)
        }
        What::Make(args) => make::run(args),
        What::Key(args) => key(args),
        What::Show(args) => show::run(args).await,
        What::Revoke(args) => revoke(args).await,
    }
}

fn key(args: KeyArgs) -> anyhow::Result<ExitCode> {
    let (subject, grants) = args.grant.grants();
    let (key, stored) = generate_key(subject, grants, args.life.map(|life| Timestamp::now().plus(life.get())));
    let table = stored.table();
    match &args.file {
        Some(path) => {
            let mut file = std::fs::OpenOptions::new().create(true).append(true).open(path);
            let written = file.as_mut().map_err(|error| std::io::Error::new(error.kind(), error.to_string()));
            written.and_then(|file| file.write_all(table.as_bytes())).with_context(|| path.display().to_string())?;
            eprintln!("the hash of key {} is in {}; the key itself is shown this once:", stored.id, path.display());
        }
        None => eprint!("add this to the hub's auth.key_file; the key itself is shown this once:\n{table}\n"),
    }
    println!("{key}");
    Ok(ExitCode::SUCCESS)
}

async fn revoke(args: RevokeArgs) -> anyhow::Result<ExitCode> {
    let wanted = RevokeWanted { subject: args.subject.map(String::from), token_id: args.id, life: args.life.map(Span::get) };
    let done = match args.hub.client() {
        Ok(client) => client.revoke(&wanted).await,
        Err(error) => Err(error),
    };
    Ok(match done {
        Ok(()) => {
            println!("revoked");
            ExitCode::SUCCESS
        }
        Err(error) => failed(&error),
    })
}
