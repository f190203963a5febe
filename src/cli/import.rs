//! `tasklight import`: what was recorded elsewhere, as finished invocations with the times of then.

mod archive;
mod files;
mod legacy;
mod row;
mod sender;
mod session;
mod table;

use std::{path::PathBuf, process::ExitCode, time::Duration};

use clap::Args;

use super::{
    exit,
    hub_args::{HubArgs, code_of, failed},
    progress::Progress,
    redact_args::RedactArgs,
};
use crate::{client::ClientError, model::TaskId};
use sender::Sender;

const AFTER_HELP: &str = "\
PATHs are session files of Claude Code, Codex and Gemini CLI, or folders of
them, whatever their names. Each session becomes an invocation of the task
named like its project's folder (or --task): its messages, thinking, tool calls
and results, tokens, with the times at which they were, marked as recorded
afterwards. What is not known is kept as it is and counted. A session that the
hub has seen live is left alone, because it would be there twice.

--archive FILE… brings back what retention archived before it was removed: the
same activities with their eventIds and times and, byte for byte, their payloads,
as new offsets; the task's title and labels, if the task is not there. Its runs
are marked as recorded afterwards. docs/retention.md says exactly what.

--legacy FILE imports the table task_invocations of an old SQLite database, which
is only read. Each row becomes a completed invocation that started and ended at
its created_at; columns that are not known are kept with it. Rows whose date
cannot be read are named, and imported with the time of the row before them.

Doing it again stores nothing twice: after an interruption, run it again.

Examples:
  tasklight import ~/.claude/projects ~/.codex/sessions ~/.gemini/tmp
  tasklight import --dry-run ~/.claude/projects/-home-me-web
  tasklight import --task old-runs session.jsonl
  tasklight import --legacy old.db --dry-run
  tasklight import --legacy old.db
  tasklight import --archive /var/lib/tasklight/archive/build-42

Exit codes: 0 everything is stored, 1 something could not be imported as it is
(standard error says what), 2 wrong usage, 3 hub not reachable.";

/// Flags of `tasklight import`.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct ImportArgs {
    /// Session files of agents, or folders of them
    #[arg(value_name = "PATH", required_unless_present_any = ["legacy", "archive"], conflicts_with_all = ["legacy", "archive"])]
    paths: Vec<PathBuf>,
    /// Files that retention archived, or folders of them
    #[arg(long, value_name = "FILE", num_args = 1.., conflicts_with = "legacy")]
    archive: Vec<PathBuf>,
    /// The old SQLite database
    #[arg(long, value_name = "FILE")]
    legacy: Option<PathBuf>,
    /// The table of the old database
    #[arg(long, value_name = "NAME", default_value = "task_invocations", requires = "legacy")]
    table: String,
    /// The task of everything [default: each session's project; each row's task_id]
    #[arg(long)]
    task: Option<TaskId>,
    /// Read everything, say what would be done, and store nothing; needs no hub
    #[arg(long)]
    dry_run: bool,
    /// Import sessions that the hub has seen live, too; what both tell is there twice
    #[arg(long)]
    seen_live: bool,
    /// How long to try again while the hub is away or busy
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = humantime::parse_duration)]
    retry_for: Duration,
    #[command(flatten)]
    hub: HubArgs,
    #[command(flatten)]
    redact: RedactArgs,
}

/// Why an import ended before its end.
#[derive(Debug, thiserror::Error)]
enum Stop {
    /// The hub does not take it.
    #[error(transparent)]
    Hub(#[from] ClientError),
    /// What is to be imported cannot be read.
    #[error("{0:#}")]
    Source(#[from] anyhow::Error),
}

/// What an import did.
#[derive(Debug, Default)]
struct Done {
    /// One line about it.
    summary: String,
    /// Whether all of it is as it was.
    whole: bool,
}

/// Imports, and says what became of it.
pub(crate) async fn run(args: ImportArgs) -> anyhow::Result<ExitCode> {
    let client = match args.hub.client() {
        Ok(client) => client,
        Err(error) => return Ok(failed(&error)),
    };
    let client = (!args.dry_run).then_some(client);
    let mut sender = Sender::new(client, args.redact.scrubber()?, args.retry_for);
    let mut progress = Progress::new();
    let done = match &args.legacy {
        Some(file) => legacy::import(file, &args.table, args.task.as_ref(), &mut sender, &mut progress).await,
        None if !args.archive.is_empty() => archive::import(&args.archive, args.task.as_ref(), &mut sender, &mut progress).await,
        None => session::import(&args.paths, args.task.as_ref(), args.seen_live, &mut sender, &mut progress).await,
    };
    progress.clear();
    match done {
        Ok(done) => {
            println!("{}{}", if args.dry_run { "nothing was stored (--dry-run): " } else { "" }, done.summary);
            Ok(if done.whole && sender.refused() == 0 { ExitCode::SUCCESS } else { ExitCode::from(exit::FAILED) })
        }
        Err(Stop::Hub(error)) => {
            failed(&error);
            eprintln!("  {} so far; run it again to go on", sender.words());
            Ok(ExitCode::from(code_of(&error)))
        }
        Err(Stop::Source(error)) => Err(error),
    }
}
