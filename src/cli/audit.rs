//! `tasklight audit`: what is stored, looked at again by the rules of now, and cleaned.

mod findings;
mod look;

use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::Args;
use tokio::{select, signal::ctrl_c};

use super::{exit, progress::Progress, serve::StoreArgs};
use crate::{
    model::TaskId,
    redact::{Carry, CarryLimits},
    store::{AuditPlace, Store, StoredActivity, StoredKind, StoredTexts},
    telemetry,
};
use findings::Findings;
use look::Look;

/// How many rows are read, and changed in one transaction, at once.
const BATCH: usize = 500;

/// What is remembered of streams that were cut into pieces.
const CARRY: CarryLimits = CarryLimits { streams: 65_536, bytes: 4 * 1024 };

const AFTER_HELP: &str = "\
A hub removes secrets before it stores anything, by the rules that it has then.
After new rules (a new version, or rules of your own) this looks at everything
that was stored before: activities, titles, labels, agents, reasons, usage,
what was refused, and what clients of streams have named. It says which rule
found how much in which task, never what.

With --clean each secret is replaced by [redacted:RULE] in its place: offsets,
eventIds and cursors stay. Restart hubs with the new rules first, or they go on
storing what this removes.

Postgres: hubs may go on meanwhile; within hub.resync_interval they stop showing
the old text from memory. SQLite: stop the hub first; the file is written anew.
What viewers have seen they have; backups and the database's own logs are not
touched. docs/redaction.md says more.

Examples:
  tasklight audit                               count, change nothing
  tasklight audit --config tasklight.toml --task build-42
  tasklight audit --store postgres://db/tasklight --clean
  tasklight audit --clean --from build-42       go on after an interruption

Exit codes: 0 nothing was found, or all of it was cleaned; 1 something was found
(or cannot be cleaned), or it failed; 2 wrong usage.";

/// Flags of `tasklight audit`.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct AuditArgs {
    #[command(flatten)]
    store: StoreArgs,
    /// Replace what is found
    #[arg(long)]
    clean: bool,
    /// Look at the activities of this task only
    #[arg(long, value_name = "TASK", conflicts_with = "from")]
    task: Option<TaskId>,
    /// Begin with the activities of this task, as an interrupted audit said
    #[arg(long, value_name = "TASK")]
    from: Option<TaskId>,
}

/// Looks at everything, and cleans it if that is asked for.
pub(crate) async fn run(args: AuditArgs) -> anyhow::Result<ExitCode> {
    let (clean, task, from) = (args.clean, args.task.clone(), args.from.clone());
    let settings = args.store.load(Vec::new())?.settings;
    telemetry::start(&settings.log_options())?;
    let Some(redactor) = settings.redactor()? else { bail!("redact.enabled = false: there are no rules to look by") };
    let mut options = settings.store_options();
    // Looking changes nothing, the schema neither.
    options.migrate = false;
    if let Some(path) = options.url.strip_prefix("sqlite://").filter(|path| !std::path::Path::new(path).exists()) {
        bail!("there is no database at {path}: --store names another one");
    }
    let store = Store::open(&options).await?;
    let look = Look::new(redactor, Carry::new(CARRY));
    let mut audit =
        Audit { store: store.clone(), look, clean, findings: Findings::default(), progress: Progress::new(), at: None, seen: 0 };
    let done = select! {
        done = audit.all(task.as_ref(), from.as_ref()) => done.map(|()| true),
        signal = ctrl_c() => signal.map(|()| false).map_err(Into::into),
    };
    audit.progress.clear();
    let left = audit.findings.tell(clean)?;
    if !matches!(done, Ok(true)) {
        let from = audit.at.as_ref().map(|task| format!(" --from {task}")).unwrap_or_default();
        eprintln!(
            "tasklight: it has not come to the end; to go on: tasklight audit{}{from}",
            if clean { " --clean" } else { "" }
        );
    }
    if clean {
        // Also if nothing was found: an audit that was killed may have left it to this one.
        store.forget_old_texts().await.context("the file could not be written anew")?;
    }
    store.close().await;
    Ok(if done? && !left { ExitCode::SUCCESS } else { ExitCode::from(exit::FAILED) })
}

struct Audit {
    store: Store,
    look: Look,
    clean: bool,
    findings: Findings,
    progress: Progress,
    /// The task whose activities are looked at.
    at: Option<TaskId>,
    seen: u64,
}

impl Audit {
    async fn all(&mut self, task: Option<&TaskId>, from: Option<&TaskId>) -> anyhow::Result<()> {
        let begin = match task.or(from) {
            Some(name) => Some(self.store.audit_key(name).await?.with_context(|| format!("there is no task {name}"))?),
            None => None,
        };
        if begin.is_none() {
            for kind in StoredKind::ALL {
                self.texts(kind).await?;
            }
        }
        let only = task.and(begin);
        self.activities(AuditPlace { task: begin.unwrap_or(i64::MIN), ..AuditPlace::default() }, only).await
    }

    async fn texts(&mut self, kind: StoredKind) -> anyhow::Result<()> {
        let mut after = i64::MIN;
        loop {
            let rows = self.store.audit_texts(kind, after, BATCH).await?;
            let Some(last) = rows.last() else { return Ok(()) };
            after = last.key;
            let mut changed: Vec<(StoredTexts, StoredTexts)> = Vec::new();
            for row in rows {
                if let Some(clean) = self.look.texts(kind, &row, &mut self.findings) {
                    changed.push((row, clean));
                }
            }
            if self.clean && !changed.is_empty() {
                self.store.clean_texts(kind, &changed).await?;
            }
        }
    }

    async fn activities(&mut self, mut after: AuditPlace, only: Option<i64>) -> anyhow::Result<()> {
        let all = self.store.activities_kept().await?;
        loop {
            let mut rows = self.store.audit_activities(after, BATCH).await?;
            if let Some(task) = only {
                rows.retain(|row| row.place.task == task);
            }
            let Some(last) = rows.last() else { return Ok(()) };
            after = last.place;
            self.at = rows.first().map(|row| row.task.clone());
            self.seen += rows.len() as u64;
            let changed: Vec<StoredActivity> =
                rows.into_iter().filter_map(|row| self.look.activity(row, &mut self.findings)).collect();
            if self.clean && !changed.is_empty() {
                self.store.clean_activities(&changed).await?;
            }
            let (seen, found) = (self.seen, self.findings.count());
            self.progress.at(|| format!("{seen} of about {all} activities, {found} secrets found"));
        }
    }
}
