//! `tasklight pipe`: what another program prints, as an invocation of a task.

use std::process::ExitCode;

use clap::Args;
use tokio::{sync::watch, time::Instant};

use super::{
    capture::{End, capture},
    delivery::{RecordArgs, StartError, deliver},
    journal::{Journal, StatusData, Stream},
    recorder::{Naming, Recorder},
    say_unknown,
    signals::{Reach, Signals},
    verdict,
};
use crate::{
    cli::{format_args::FormatChoice, hub_args::failed},
    formats::{Choice, Evidence, Format, Transcript},
    model::{InvocationId, Status},
};

/// What the agent is called when nobody says.
const AGENT: &str = "pipe";

const AFTER_HELP: &str = "\
Reads standard input to its end, records it and passes it on to standard output
unchanged, as tee does. What coding agents print is understood as `tasklight
run` does it, but nobody can see how the program on the left ended: the status
is what it says of itself, and `completed` with the reason \"ended, unconfirmed\"
if it is an agent that says nothing. Prefer `tasklight run` where you can.

A transcript that was kept can be sent later; with the same --invocation it is
stored once however often it is sent.

Examples:
  claude -p --output-format stream-json --verbose 'hi' | tasklight pipe --task t
  make 2>&1 | tasklight pipe --task build-42
  tasklight pipe --task old --invocation monday --format codex < run.jsonl > /dev/null

Exit codes: 0 done, 2 wrong usage or an unusable destination, 130 and the like
when interrupted.";

/// Flags of `tasklight pipe`.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct PipeArgs {
    #[command(flatten)]
    record: RecordArgs,
    /// What comes in: auto, text, jsonl, claude, codex, gemini, opencode, cursor, amp or goose. `auto` looks at the first lines
    #[arg(long, value_name = "FORMAT", default_value = "auto", help_heading = None)]
    format: FormatChoice,
}

/// Records standard input until its end.
pub(crate) async fn run(args: PipeArgs) -> anyhow::Result<ExitCode> {
    let invocation = args.record.invocation();
    let mut signals = Signals::new(Reach::OurTerminal)?;
    let work = async |journal: &Journal<'_>, signals: &mut Signals| record(&args, &invocation, journal, signals).await;
    match deliver(&args.record, invocation.clone(), &mut signals, work).await {
        Ok(code) => Ok(ExitCode::from(code)),
        Err(StartError::Client(error)) => Ok(failed(&error)),
        Err(StartError::Other(error)) => Err(error),
    }
}

async fn record(args: &PipeArgs, invocation: &InvocationId, journal: &Journal<'_>, signals: &mut Signals) -> u8 {
    let FormatChoice(choice) = args.format;
    let known = match choice {
        Choice::Known(format) => Some(format).filter(|format| format.is_agent()),
        Choice::Auto => None,
    };
    let agent = args.record.agent.clone().or(known.as_ref().map(Format::to_string)).or_else(|| Some(AGENT.to_owned()));
    let title = args.record.title.clone();
    journal.status(StatusData { status: Some(Status::Running), agent, title, ..StatusData::default() });
    let naming = if args.record.agent.is_some() { Naming::Given } else { Naming::Found };
    let recorder = Recorder::new(journal, Transcript::new(choice, invocation.clone()), naming);
    let (_running, exit) = watch::channel(None::<Instant>);
    let ended = tokio::select! {
        biased;
        // Whoever interrupts all of a pipeline ends our input too.
        signal = signals.next_wish() => Err(signal),
        end = capture(tokio::io::stdin(), tokio::io::stdout(), Stream::Stdout, &recorder, exit) => Ok(end),
    };
    let cancelled =
        |reason: String| StatusData { status: Some(Status::Cancelled), reason: Some(reason), ..StatusData::default() };
    let (status, code) = match ended {
        Ok(End::ReaderGone) if recorder.heard().evidence == Evidence::None => {
            (cancelled("whoever read the output has gone".to_owned()), 0)
        }
        Ok(_) => (verdict::of_stream(&recorder.heard()), 0),
        Err(signal) => {
            recorder.finish(Stream::Stdout);
            let code = u8::try_from(128 + signal).unwrap_or(u8::MAX);
            (cancelled(format!("interrupted by {}", super::signals::name(signal))), code)
        }
    };
    journal.status(status);
    if !args.record.quiet {
        say_unknown(&recorder);
    }
    code
}
