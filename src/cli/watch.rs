//! `tasklight watch`: something to say, or to do, when a task fails, ends, stalls or the like. Without a browser, without a desktop.

mod changes;
mod command;
mod told;

use std::{ffi::OsString, io, process::ExitCode};

use anstyle::Style;
use clap::Args;
use tokio::signal::unix::{SignalKind, signal};

use super::{
    exit,
    hub_args::{HubArgs, failed, not_followed},
};
use crate::{
    auth::Pattern,
    client::{Client, ListEvent, WatchTasks},
    config::Span,
    model::{Became, Status, TaskSummary},
};
use changes::{Change, KNOWN_TASKS, NoRoom, Tasks};
use command::{Commands, Waiting};
use told::Told;

/// How often the first connection is tried before the hub counts as away. Later ones are tried for ever.
const FIRST_TRIES: u32 = 3;

const AFTER_HELP: &str = "\
For each task of which runs became what --on says, a line is printed, or the
command is run: directly, never by a shell, one at a time, with
  TASKLIGHT_TASK TASKLIGHT_TITLE TASKLIGHT_URL   the task and its page
  TASKLIGHT_STATUS     what its runs became: failed, stalled …
  TASKLIGHT_RUNS       how many of them
  TASKLIGHT_PREVIOUS   where the task stood before; empty if it is new
  TASKLIGHT_RUN TASKLIGHT_AGENT TASKLIGHT_REASON TASKLIGHT_EXIT_CODE
                       the latest of those runs, as far as it is known
  TASKLIGHT_HUB        the hub
Texts come from agents: quote them, and never give them to a shell as code.

How tasks stand at the start is not told, unless --existing. What happens while
the hub is away is told when it is back. When several happen to a task while a
command runs, those of a kind are joined.

Examples:
  tasklight watch                                  lines, for failed, lost, stalled
  tasklight watch --on failed,stalled -- notify-send 'A task needs you'
  tasklight watch --task 'deploy-*' --on completed,failed -- ./announce.sh
  tasklight watch --label team=ci --json | jq -r .task.taskId
  tasklight watch --task build-42 --on completed,failed --once && make deploy

Exit codes: with --once by what happened: 0 completed, 10 failed, 11 cancelled,
12 lost, 13 stalled, 14 pending, 15 running. Otherwise 1 refused, 2 wrong usage,
3 hub not reachable at the start, 128 and the signal's number after a signal.";

/// Flags of `tasklight watch`.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct WatchArgs {
    /// What to tell: pending, running, completed, failed, cancelled, lost, stalled
    #[arg(long, value_name = "WHAT", value_delimiter = ',', default_value = "failed,lost,stalled")]
    on: Vec<Became>,
    /// Only tasks of these ids; * stands for any characters; can be given several times
    #[arg(long, value_name = "PATTERN")]
    task: Vec<Pattern>,
    /// Only tasks with this label, NAME=VALUE, or NAME for any value; all of them if given several times
    #[arg(long, value_name = "LABEL")]
    label: Vec<String>,
    /// Tell of how tasks stand at the start, too
    #[arg(long)]
    existing: bool,
    /// End after the first, with an exit code by what happened
    #[arg(long)]
    once: bool,
    /// How long the command may take; then it is ended
    #[arg(long, value_name = "TIME", default_value = "60s")]
    timeout: Span,
    /// Print JSON lines
    #[arg(long, conflicts_with = "command")]
    json: bool,
    #[command(flatten)]
    hub: HubArgs,
    /// The command to run for each, and its arguments
    #[arg(last = true, value_name = "CMD")]
    command: Vec<OsString>,
}

/// Watches until a signal, or until the first with `--once`.
pub(crate) async fn run(args: WatchArgs) -> anyhow::Result<ExitCode> {
    let client = match args.hub.client() {
        Ok(client) => client,
        Err(error) => return Ok(failed(&error)),
    };
    let list = client.watch_tasks();
    let mut signals = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()].map(|kind| (kind, signal(kind)));
    let [(_, Ok(interrupt)), (_, Ok(terminate)), (_, Ok(hangup))] = &mut signals else {
        anyhow::bail!("signals cannot be heard");
    };
    let mut watch = Watch::new(&args, client);
    let code = tokio::select! {
        code = watch.run(list) => code?,
        _ = interrupt.recv() => 128 + 2,
        _ = terminate.recv() => 128 + 15,
        _ = hangup.recv() => 128 + 1,
    };
    watch.commands.end().await;
    Ok(ExitCode::from(code))
}

/// What is known, and what is still to be told.
struct Watch<'a> {
    args: &'a WatchArgs,
    client: Client,
    tasks: Tasks,
    commands: Commands,
    waiting: Waiting,
    /// Whether the list was complete once: what comes then is news.
    begun: bool,
    /// How often the first connection failed.
    tries: u32,
    /// Whether a lost connection was said.
    away: bool,
    /// Whether it was said that there are too many tasks.
    crowded: bool,
}

impl<'a> Watch<'a> {
    fn new(args: &'a WatchArgs, client: Client) -> Self {
        let commands = Commands::new(args.command.clone(), args.timeout.get());
        let (tasks, waiting) = (Tasks::default(), Waiting::default());
        Self { args, client, tasks, commands, waiting, begun: false, tries: 0, away: false, crowded: false }
    }

    /// Gives the exit code at the end.
    async fn run(&mut self, mut list: WatchTasks) -> anyhow::Result<u8> {
        loop {
            // Whatever is heard while a command runs waits in its queue; that the list is read all the time keeps the connection alive.
            tokio::select! {
                event = list.next() => match event {
                    Ok(event) => if let Some(code) = self.hear(event)? {
                        return Ok(code);
                    },
                    Err(error) => {
                        not_followed(&error);
                        return Ok(exit::FAILED);
                    }
                },
                told = self.commands.done() => if self.args.once {
                    list.close().await;
                    return Ok(once_code(told));
                },
            }
            if let Some(code) = self.go_on().await? {
                list.close().await;
                return Ok(code);
            }
        }
    }

    /// Tells what waits, as far as that is possible now.
    async fn go_on(&mut self) -> io::Result<Option<u8>> {
        while !self.commands.is_busy() {
            let Some(change) = self.waiting.next() else { return Ok(None) };
            let told = Told::of(&self.client, change).await;
            if self.args.command.is_empty() {
                told.print(self.args.json)?;
                if self.args.once {
                    return Ok(Some(once_code(told.became())));
                }
            } else if !self.commands.start(&told, self.args.hub.url()) && self.args.once {
                return Ok(Some(exit::FAILED));
            }
        }
        Ok(None)
    }

    /// Takes an event. Gives an exit code if it was the last one.
    fn hear(&mut self, event: ListEvent) -> io::Result<Option<u8>> {
        match event {
            ListEvent::Task(task) if self.is_wanted(&task) => self.see(&task),
            ListEvent::Task(task) => self.tasks.forget(&task.task_id),
            ListEvent::Deleted(task) => self.tasks.forget(&task),
            ListEvent::Live => {
                self.begun = true;
                if std::mem::take(&mut self.away) {
                    notice("connected again");
                }
            }
            ListEvent::Reconnecting { reason, .. } => return Ok(self.disconnected(&reason)),
        }
        Ok(None)
    }

    fn is_wanted(&self, task: &TaskSummary) -> bool {
        let fits = self.args.task.is_empty() || self.args.task.iter().any(|pattern| pattern.matches(&task.task_id));
        fits && self.args.label.iter().all(|label| match label.split_once('=') {
            Some((name, value)) => task.labels.get(name).is_some_and(|found| found == value),
            None => task.labels.contains_key(label),
        })
    }

    fn see(&mut self, task: &TaskSummary) {
        match self.tasks.see(task) {
            Ok(changes) if self.begun || self.args.existing => {
                for change in changes.into_iter().filter(|change| self.args.on.contains(&change.became)) {
                    self.wait_for(change);
                }
            }
            Ok(_) => {}
            Err(NoRoom) if std::mem::replace(&mut self.crowded, true) => {}
            Err(NoRoom) => {
                notice(&format!("there are more than {KNOWN_TASKS} tasks: choose some with --task, others are not told of"))
            }
        }
    }

    fn wait_for(&mut self, change: Change) {
        if let Some(lost) = self.waiting.push(change) {
            notice(&format!("too much happens at once for the command: not told that {} is {}", lost.task.task_id, lost.became));
        }
    }

    fn disconnected(&mut self, reason: &str) -> Option<u8> {
        if !self.begun {
            self.tries += 1;
            if FIRST_TRIES <= self.tries {
                notice(reason);
                return Some(exit::UNREACHABLE);
            }
        } else if !std::mem::replace(&mut self.away, true) {
            notice(&format!("{reason}: reconnecting, what happens meanwhile is told then"));
        }
        None
    }
}

/// The exit code of `--once`.
fn once_code(became: Became) -> u8 {
    match became {
        Became::Status(Status::Completed) => 0,
        Became::Status(Status::Failed) => 10,
        Became::Status(Status::Cancelled) => 11,
        Became::Status(Status::Lost) => 12,
        Became::Stalled => 13,
        Became::Status(Status::Pending) => 14,
        Became::Status(Status::Running) => 15,
    }
}

/// Says something that is not an event.
fn notice(text: &str) {
    let faint = Style::new().dimmed();
    anstream::eprintln!("{faint}tasklight: {text}{faint:#}");
}
