//! `tasklight run`: a command as if it ran alone, and its life as an invocation of a task.
//!
//! Two streams are captured into an outbox, a sender empties it, and neither waits for the other: the command is never held up by a hub,
//! and what a hub has not confirmed is kept.

mod capture;
mod journal;
mod leftover;
mod outbox;
mod recorder;
mod sender;
mod signals;
mod spill;
mod text;

use std::{
    ffi::{OsStr, OsString},
    io,
    path::Path,
    pin::pin,
    process::{ExitCode, Stdio},
    time::Duration,
};

use clap::Args;
use tokio::{
    process::{Child, Command},
    sync::watch,
    time::{Instant, sleep},
};

use super::{destination::DestinationArgs, hub_args::failed, redact_args::RedactArgs};
use crate::{
    config::Size,
    model::{InvocationId, Status, TaskId},
};
use capture::{End, capture};
use journal::{Journal, StatusData, Stream};
use outbox::Outbox;
use recorder::Recorder;
use sender::Sender;
use signals::{Ending, Signals};

/// How long delivery after the command's end goes on before it is said.
const SAY_WAITING_AFTER: Duration = Duration::from_secs(2);

const AFTER_HELP: &str = "\
The command keeps its standard input, its place in pipes and its exit code
(128+N when signal N killed it, 127 not found, 126 not executable). Its output
passes through at once and unchanged. SIGINT, SIGTERM, SIGHUP and the like are
passed on to it. When whoever reads its output goes away, it finds out by
SIGPIPE, as it would without us.

It is never slowed down by a hub that is away: up to 4 MiB wait in memory and
--spill-limit on disk (in $TMPDIR); everything arrives once and in order when
the hub is back. What is left when the command has ended and --wait is over is
kept in a file, whose name is said.

Secrets in its output and in the title are replaced by [redacted:RULE] before
anything is kept or sent; what is passed through stays as it is. See
`tasklight redact --help`.

Inside the command TASKLIGHT_TASK and TASKLIGHT_INVOCATION are set, and where
to deliver (TASKLIGHT_HUB or TASKLIGHT_REDIS), so it can add to its own
invocation:
  tasklight publish $TASKLIGHT_TASK --type progress --data '{\"percent\":40}'
What it leaves running in the background is recorded for 3 seconds more; give
such a program an output of its own.

Examples:
  tasklight run --task build-42 -- make -j4
  tasklight run --task deploy --title 'to staging' -- ./deploy.sh staging
  tasklight run --task nightly --agent claude -- claude -p 'fix the build'
  tasklight run --task build-42 --redis redis://10.0.0.7:6379 -- make -j4";

/// Flags of `tasklight run`.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct RunArgs {
    /// The task that the command works on; it is made if it does not exist
    #[arg(long, value_name = "TASK")]
    task: TaskId,
    /// The invocation's id, unique within the task [default: run- and a random word]
    #[arg(long, value_name = "ID")]
    invocation: Option<InvocationId>,
    /// Which agent runs [default: the command's name]
    #[arg(long, value_name = "NAME")]
    agent: Option<String>,
    /// What this run is about [default: the command line]
    #[arg(long, value_name = "TEXT")]
    title: Option<String>,
    /// How long to go on delivering after the command's end
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = humantime::parse_duration)]
    wait: Duration,
    /// The most bytes of output that wait on disk while the hub is away; beyond it the newest is dropped
    #[arg(long, value_name = "SIZE", default_value = "1GiB")]
    spill_limit: Size,
    /// Do not say where to watch, nor that the hub is away; losses are said all the same
    #[arg(long)]
    quiet: bool,
    /// The command and its arguments
    #[arg(trailing_var_arg = true, required = true, value_name = "COMMAND")]
    command: Vec<OsString>,
    #[command(flatten)]
    destination: DestinationArgs,
    #[command(flatten)]
    redact: RedactArgs,
}

/// Runs the command and delivers what it does. Exits as the command did.
pub(crate) async fn run(args: RunArgs) -> anyhow::Result<ExitCode> {
    let destination = &args.destination;
    let (publisher, announcement) = match (destination.publisher(&args.task), destination.announcement(&args.task)) {
        (Ok(publisher), Ok(announcement)) => (publisher, announcement),
        (Err(error), _) | (_, Err(error)) => return Ok(failed(&error)),
    };
    if !args.quiet {
        eprintln!("tasklight: {announcement}");
    }
    let invocation = args.invocation.clone().map_or_else(random_invocation, Ok)?;
    let mut signals = Signals::new()?;
    let outbox = Outbox::new(args.spill_limit.bytes() as u64);
    let journal = Journal::new(&outbox, invocation.clone(), args.redact.scrubber()?);
    let mut sender = Sender::new(publisher, &outbox, journal.heartbeat(), args.quiet);
    let (code, delivered) = {
        let mut sending = pin!(sender.run());
        let code = tokio::select! {
            code = supervise(&args, &invocation, &journal, &mut signals) => code,
            () = &mut sending => unreachable!("it ends when the outbox is closed, which comes after"),
        };
        outbox.close();
        let delivered = tokio::select! {
            biased;
            () = &mut sending => true,
            () = patience(args.wait, &outbox) => false,
            () = signals.next_request_to_end() => false,
        };
        (code, delivered)
    };
    if !delivered {
        keep_the_rest(&args, &sender, &outbox);
    }
    say_losses(&journal, &sender, &outbox);
    Ok(ExitCode::from(code))
}

/// An id that no other run of the task has.
fn random_invocation() -> Result<InvocationId, crate::model::Invalid> {
    format!("run-{:012x}", rand::random::<u64>() >> 16).parse()
}

/// From the command's start to its end, with everything it prints. Gives the exit code.
async fn supervise(args: &RunArgs, invocation: &InvocationId, journal: &Journal<'_>, signals: &mut Signals) -> u8 {
    let (title, agent) = describe(args);
    let mut child = match spawn(args, invocation) {
        Ok(child) => child,
        Err(error) => {
            let code = if error.kind() == io::ErrorKind::NotFound { 127 } else { 126 };
            let reason = format!("{}: {error}", args.command[0].to_string_lossy());
            eprintln!("tasklight: {reason}");
            let (status, reason) = (Some(Status::Failed), Some(reason));
            journal.status(StatusData { status, agent, title, exit_code: Some(code), reason });
            return code;
        }
    };
    journal.status(StatusData { status: Some(Status::Running), agent, title, ..StatusData::default() });
    let (exited, exit) = watch::channel(None);
    let stdout = child.stdout.take().expect("it is piped");
    let stderr = child.stderr.take().expect("it is piped");
    let recorder = Recorder::new(journal);
    let (ending, out, err) = tokio::join!(
        async {
            let ending = wait(&mut child, signals).await;
            exited.send_replace(Some(Instant::now()));
            ending
        },
        capture(stdout, tokio::io::stdout(), Stream::Stdout, &recorder, exit.clone()),
        capture(stderr, tokio::io::stderr(), Stream::Stderr, &recorder, exit.clone()),
    );
    if [out, err].contains(&End::Abandoned) {
        eprintln!("tasklight: something that the command started still holds its output; it is not recorded any further");
    }
    journal.status(last_status(ending, signals).await);
    ending.exit_code()
}

fn spawn(args: &RunArgs, invocation: &InvocationId) -> io::Result<Child> {
    let mut command = Command::new(&args.command[0]);
    command.args(&args.command[1..]);
    command.env("TASKLIGHT_TASK", args.task.as_str()).env("TASKLIGHT_INVOCATION", invocation.as_str());
    for (name, value) in args.destination.environment() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command.stdin(Stdio::inherit()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()
}

/// The title and the agent, as given or as the command line tells.
fn describe(args: &RunArgs) -> (Option<String>, Option<String>) {
    let words: Vec<_> = args.command.iter().map(|word| shell_word(&word.to_string_lossy())).collect();
    let title = args.title.clone().unwrap_or_else(|| words.join(" "));
    let program = Path::new(&args.command[0]).file_name().map(OsStr::to_string_lossy);
    let agent = args.agent.clone().or_else(|| program.map(|name| name.into_owned()));
    (Some(title), agent)
}

/// A word as one would type it into a shell.
fn shell_word(word: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "-_./:=@%+,".contains(c);
    if !word.is_empty() && word.chars().all(plain) { word.to_owned() } else { format!("'{}'", word.replace('\'', r"'\''")) }
}

/// Until the command has ended. Signals to us are passed on to it.
async fn wait(child: &mut Child, signals: &mut Signals) -> Ending {
    loop {
        tokio::select! {
            status = child.wait() => return match status {
                Ok(status) => Ending::of(status),
                Err(error) => {
                    eprintln!("tasklight: how the command ended cannot be known: {error}");
                    Ending::Exited(u8::MAX)
                }
            },
            signal = signals.next() => signals.forward(signal, child.id()),
        }
    }
}

async fn last_status(ending: Ending, signals: &mut Signals) -> StatusData {
    let asked = match ending.signal() {
        Some(number) => signals.was_asked_by(number).await,
        None => false,
    };
    let status = match ending {
        Ending::Exited(0) => Status::Completed,
        _ if asked => Status::Cancelled,
        Ending::Exited(_) | Ending::Killed(_) => Status::Failed,
    };
    let reason = match ending {
        Ending::Killed(number) => Some(format!("killed by {}", signals::name(number))),
        Ending::Exited(_) => None,
    };
    StatusData { status: Some(status), exit_code: Some(ending.exit_code()), reason, ..StatusData::default() }
}

/// How long delivery may still take; says that it does.
async fn patience(wait: Duration, outbox: &Outbox) {
    let silent = wait.min(SAY_WAITING_AFTER);
    sleep(silent).await;
    if silent < wait {
        let rest = humantime::format_duration(Duration::from_secs((wait - silent).as_secs().max(1)));
        eprintln!("tasklight: still delivering, {} to go, for {rest} at most", activities(outbox.waiting().max(1)));
    }
    sleep(wait - silent).await;
}

fn activities(count: u64) -> String {
    if count == 1 { "1 activity".to_owned() } else { format!("{count} activities") }
}

/// What is not confirmed goes into a file.
fn keep_the_rest(args: &RunArgs, sender: &Sender<'_>, outbox: &Outbox) {
    let waiting = sender.unconfirmed().count() as u64 + outbox.waiting();
    if waiting == 0 {
        return;
    }
    match leftover::keep(&args.task, sender, outbox) {
        Ok((path, count)) => {
            eprintln!("tasklight: {} could not be delivered: {}", activities(count), sender.trouble());
            let flags: Vec<_> = args.destination.flags().iter().map(|word| shell_word(word)).collect();
            let (task, flags, path) = (&args.task, flags.join(" "), shell_word(&path.to_string_lossy()));
            eprintln!("  they are kept; to send them: tasklight publish {task} {flags} < {path}");
        }
        Err(error) => eprintln!(
            "tasklight: {waiting} activities are lost: they could not be delivered ({}), nor kept: {error}",
            sender.trouble()
        ),
    }
}

fn say_losses(journal: &Journal<'_>, sender: &Sender<'_>, outbox: &Outbox) {
    for (count, what) in [
        (journal.dropped_bytes(), "bytes of output were dropped because there was no more room for them"),
        (outbox.lost(), "activities are lost because the spill file could not be read"),
        (sender.refused(), "activities were refused by the hub"),
    ] {
        if 0 < count {
            eprintln!("tasklight: {count} {what}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_can_be_typed_again() {
        for (word, typed) in
            [("make", "make"), ("-j4", "-j4"), ("", "''"), ("a b", "'a b'"), ("it's", r"'it'\''s'"), ("$x", "'$x'")]
        {
            assert_eq!(shell_word(word), typed);
        }
    }
}
