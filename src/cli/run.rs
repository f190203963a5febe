//! `tasklight run`: a command as if it ran alone, and its life as an invocation of a task.
//!
//! Two streams are captured into an outbox, a sender empties it, and neither waits for the other: the command is never held up by a hub,
//! and what a hub has not confirmed is kept. What known agents print is understood; everything else is text.

mod capture;
mod delivery;
mod journal;
mod leftover;
mod outbox;
pub(super) mod pipe;
mod recorder;
mod sender;
mod signals;
mod spill;
mod terminal;
mod text;
mod verdict;

use std::{
    ffi::{OsStr, OsString},
    future::{Future, pending},
    io,
    path::Path,
    process::{ExitCode, Stdio},
};

use clap::Args;
use rustix::process::Signal;
use tokio::{
    io::AsyncRead,
    process::{Child, Command},
    sync::watch,
    time::Instant,
};

use super::{format_args::FormatChoice, hub_args::failed, terminal::safe_line};
use crate::{
    formats::{Choice, Format, Transcript, advise},
    model::{InvocationId, Status},
};
use capture::{End, capture};
use delivery::{RecordArgs, StartError, deliver};
use journal::{Journal, StatusData, Stream};
use recorder::{Naming, Recorder};
use signals::{Ending, Reach, Signals};
use terminal::{Keys, Terminal, TerminalSize, pass_input};
use verdict::Wish;

pub(super) use terminal::RawMode;

const AFTER_HELP: &str = "\
The command keeps its standard input, its place in pipes and its exit code
(128+N when signal N killed it, 127 not found, 126 not executable). Its output
passes through at once and unchanged. SIGINT, SIGTERM, SIGHUP and the like are
passed on to it. When whoever reads its output goes away, it finds out by
SIGPIPE, as it would without us.

Coding agents are understood (`tasklight formats` lists them): messages,
thinking, tool calls with their results, tokens, cost, and whether the agent
says that it succeeded. A known agent that is started without a conversation
(claude -p, codex exec, gemini -p, opencode run, cursor-agent -p, amp -x, goose
run) gets the flag that makes it print JSON; that is said, and --no-flags keeps
it away. Started by a script, it is known by its first lines. Anything else is
recorded as text; a line that is drawn over itself, as progress bars are, is
shown as progress with its last state.

It is never slowed down by a hub that is away: up to 4 MiB wait in memory and
--spill-limit on disk (in $TMPDIR); everything arrives once and in order when
the hub is back. What is left when the command has ended and --wait is over is
kept in a file, whose name is said. What an agent says has ids made from the
invocation and the line, so the same transcript sent again is stored once.

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
  tasklight run --task nightly -- claude -p 'fix the build'
  tasklight run --task nightly -- codex exec 'fix the build'
  tasklight run --task deploy --title 'to staging' -- ./deploy.sh staging
  tasklight run --task build-42 --pty -- cargo build
  tasklight run --task mine --format jsonl -- ./prints-json-lines
  tasklight run --task build-42 --redis redis://10.0.0.7:6379 -- make -j4";

/// Flags of `tasklight run`.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct RunArgs {
    #[command(flatten)]
    record: RecordArgs,
    /// What the command prints: auto, text, jsonl, claude, codex, gemini, opencode, cursor, amp or goose. `auto` looks at the command and
    /// at the first lines of its output
    #[arg(long, value_name = "FORMAT", default_value = "auto", help_heading = None)]
    format: FormatChoice,
    /// Do not add the flag that makes a known agent print JSON
    #[arg(long, help_heading = None)]
    no_flags: bool,
    /// Give the command a terminal of its own, for programs that hold their output back otherwise; its two output streams become one
    #[arg(long, help_heading = None)]
    pty: bool,
    /// The command and its arguments
    #[arg(trailing_var_arg = true, required = true, value_name = "COMMAND", help_heading = None)]
    command: Vec<OsString>,
}

/// Runs the command and delivers what it does. Exits as the command did.
pub(crate) async fn run(args: RunArgs) -> anyhow::Result<ExitCode> {
    let invocation = args.record.invocation();
    let mut signals = Signals::new(if args.pty { Reach::CommandsTerminal } else { Reach::OurTerminal })?;
    let work = async |journal: &Journal<'_>, signals: &mut Signals| supervise(&args, &invocation, journal, signals).await;
    match deliver(&args.record, invocation.clone(), &mut signals, work).await {
        Ok(code) => Ok(ExitCode::from(code)),
        Err(StartError::Client(error)) => Ok(failed(&error)),
        Err(StartError::Other(error)) => Err(error),
    }
}

/// The command line as it will be started, and what it will print as far as that is known.
fn prepare(args: &RunArgs) -> (Vec<OsString>, Choice) {
    let FormatChoice(choice) = args.format;
    let words: Option<Vec<String>> = args.command.iter().map(|word| word.to_str().map(str::to_owned)).collect();
    let advice = words.and_then(|words| advise(&words));
    let wanted = |format| choice == Choice::Auto || choice == Choice::Known(format);
    let Some(advice) = advice.filter(|advice| wanted(advice.format) && (!args.no_flags || advice.added.is_empty())) else {
        return (args.command.clone(), choice);
    };
    if !advice.added.is_empty() && !args.record.quiet {
        let (flags, agent) = (advice.added.join(" "), advice.format);
        eprintln!("tasklight: {agent} is told {flags}, so that what it does can be shown (--no-flags leaves that out)");
    }
    (advice.command.into_iter().map(OsString::from).collect(), Choice::Known(advice.format))
}

/// From the command's start to its end, with everything it prints. Gives the exit code.
async fn supervise(args: &RunArgs, invocation: &InvocationId, journal: &Journal<'_>, signals: &mut Signals) -> u8 {
    let (command, choice) = prepare(args);
    let (title, agent) = describe(args, choice);
    let (mut child, pty) = match spawn(args, &command, invocation) {
        Ok(spawned) => spawned,
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
    let naming = if args.record.agent.is_some() { Naming::Given } else { Naming::Found };
    let recorder = Recorder::new(journal, Transcript::new(choice, invocation.clone()), naming);
    let (ending, end) = match pty {
        Some(Terminal { output, input, size }) => {
            let _raw = RawMode::set();
            let (nothing, keys) = (tokio::io::empty(), Keys::default());
            let typing = pass_input(input, &size, &keys);
            let ended = follow(&mut child, signals, &recorder, (output, nothing), typing, Some(&size)).await;
            keys.typed().for_each(|signal| signals.note(signal));
            ended
        }
        None => {
            let stdout = child.stdout.take().expect("it is piped");
            let stderr = child.stderr.take().expect("it is piped");
            follow(&mut child, signals, &recorder, (stdout, stderr), pending(), None).await
        }
    };
    if end == End::Abandoned {
        eprintln!("tasklight: something that the command started still holds its output; it is not recorded any further");
    }
    let followed = match ending.signal() {
        Some(number) => signals.was_asked_by(number).await,
        None => false,
    };
    let wish = match (followed, signals.was_asked()) {
        (true, _) => Wish::Followed,
        (false, true) => Wish::Heard,
        (false, false) => Wish::None,
    };
    journal.status(verdict::of_command(ending, wish, &recorder.heard()));
    if !args.record.quiet {
        say_unknown(&recorder);
    }
    ending.exit_code()
}

/// Until the command and its output have ended. Gives how both did.
async fn follow(
    child: &mut Child,
    signals: &mut Signals,
    recorder: &Recorder<'_>,
    (stdout, stderr): (impl AsyncRead + Unpin, impl AsyncRead + Unpin),
    input: impl Future<Output = ()>,
    size: Option<&TerminalSize>,
) -> (Ending, End) {
    let (exited, exit) = watch::channel(None);
    let (gone, hang_up) = watch::channel(false);
    let (ending, out, err) = tokio::join!(
        async {
            let ending = tokio::select! {
                ending = wait(child, signals, size, hang_up) => ending,
                () = async { input.await; pending().await } => unreachable!("it never ends"),
                () = recorder.watch_for_lingering() => unreachable!("it never ends"),
            };
            exited.send_replace(Some(Instant::now()));
            ending
        },
        async {
            let end = capture(stdout, tokio::io::stdout(), Stream::Stdout, recorder, exit.clone()).await;
            // A pipe tells the command itself; a terminal is open as long as we hold its input.
            gone.send_replace(end == End::ReaderGone && size.is_some());
            end
        },
        capture(stderr, tokio::io::stderr(), Stream::Stderr, recorder, exit.clone()),
    );
    (ending, if err == End::Abandoned { err } else { out })
}

/// Says that lines of an agent were kept but not understood, which mostly means that it is newer than this program.
fn say_unknown(recorder: &Recorder<'_>) {
    let Some((format, version, tally)) = recorder.tally() else { return };
    let count = tally.unknown_lines();
    if 0 < count {
        let version = version.map(|version| format!(" {}", safe_line(&version))).unwrap_or_default();
        let kinds: Vec<_> = tally.unknown.keys().take(5).map(|kind| safe_line(kind)).collect();
        eprintln!(
            "tasklight: {count} lines of {format}{version} are of unknown types ({}); they are kept as custom",
            kinds.join(", ")
        );
        eprintln!("  to look at what becomes of each line, keep the output in a file: tasklight formats FILE");
    }
}

type Spawned = (Child, Option<Terminal>);

fn spawn(args: &RunArgs, words: &[OsString], invocation: &InvocationId) -> io::Result<Spawned> {
    let task = args.record.task.as_str();
    let mut environment =
        vec![("TASKLIGHT_TASK", Some(task.to_owned())), ("TASKLIGHT_INVOCATION", Some(invocation.as_str().to_owned()))];
    environment.extend(args.record.destination.environment());
    let mut command = Command::new(&words[0]);
    command.args(&words[1..]);
    for (name, value) in environment {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    if args.pty {
        let (terminal, theirs) = Terminal::open()?;
        let child = pty_process::Command::from(command).spawn(theirs).map_err(|error| match error {
            pty_process::Error::Io(error) => error,
            other => io::Error::other(other),
        })?;
        return Ok((child, Some(terminal)));
    }
    let child = command.stdin(Stdio::inherit()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    Ok((child, None))
}

/// The title and the agent, as given or as the command line tells.
fn describe(args: &RunArgs, choice: Choice) -> (Option<String>, Option<String>) {
    let words: Vec<_> = args.command.iter().map(|word| shell_word(&word.to_string_lossy())).collect();
    let title = args.record.title.clone().unwrap_or_else(|| words.join(" "));
    let known = match choice {
        Choice::Known(format) if format.is_agent() => Some(format.to_string()),
        Choice::Known(Format::Text | Format::Jsonl) | Choice::Known(_) | Choice::Auto => None,
    };
    let program = Path::new(&args.command[0]).file_name().map(OsStr::to_string_lossy);
    let agent = args.record.agent.clone().or(known).or_else(|| program.map(|name| name.into_owned()));
    (Some(title), agent)
}

/// A word as one would type it into a shell.
fn shell_word(word: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "-_./:=@%+,".contains(c);
    if !word.is_empty() && word.chars().all(plain) { word.to_owned() } else { format!("'{}'", word.replace('\'', r"'\''")) }
}

/// Until the command has ended. Signals to us are passed on to it, and so is our terminal's size to its own; when whoever read its terminal
/// has gone, it is hung up.
async fn wait(
    child: &mut Child,
    signals: &mut Signals,
    size: Option<&TerminalSize>,
    mut hang_up: watch::Receiver<bool>,
) -> Ending {
    loop {
        tokio::select! {
            status = child.wait() => return match status {
                Ok(status) => Ending::of(status),
                Err(error) => {
                    eprintln!("tasklight: how the command ended cannot be known: {error}");
                    Ending::Exited(u8::MAX)
                }
            },
            signal = signals.next() => match size {
                // The kernel tells the command.
                Some(size) if signal == Signal::WINCH => size.follow_ours(),
                _ => signals.forward(signal, child.id()),
            },
            Ok(()) = hang_up.changed() => if *hang_up.borrow() { signals::send(Signal::HUP, child.id()) },
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
