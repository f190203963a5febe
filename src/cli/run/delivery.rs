//! From an invocation's journal to the hub, whatever is journalled: begun before the work, finished after it, and what could not be
//! delivered is kept and said.

use std::{pin::pin, time::Duration};

use clap::Args;
use tokio::time::sleep;

use super::{journal::Journal, leftover, outbox::Outbox, sender::Sender, shell_word, signals::Signals};
use crate::{
    cli::{destination::DestinationArgs, redact_args::RedactArgs},
    client::ClientError,
    config::Size,
    model::{InvocationId, TaskId},
};

/// How long delivery after the work's end goes on before it is said.
const SAY_WAITING_AFTER: Duration = Duration::from_secs(2);

/// The flags of commands that record an invocation.
#[derive(Debug, Args)]
pub(super) struct RecordArgs {
    /// The task that this is work on; it is made if it does not exist
    #[arg(long, value_name = "TASK")]
    pub task: TaskId,
    /// The invocation's id, unique within the task [default: run- and a random word]
    #[arg(long, value_name = "ID")]
    pub invocation: Option<InvocationId>,
    /// Which agent runs [default: the one that is known by what it prints, or else the command's name]
    #[arg(long, value_name = "NAME")]
    pub agent: Option<String>,
    /// What this run is about [default: the command line, if there is one]
    #[arg(long, value_name = "TEXT")]
    pub title: Option<String>,
    /// How long to go on delivering after the end
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = humantime::parse_duration)]
    pub wait: Duration,
    /// The most bytes of output that wait on disk while the hub is away; beyond it, or on a full disk, the newest is dropped
    #[arg(long, value_name = "SIZE", default_value = "1GiB")]
    pub spill_limit: Size,
    /// Do not say where to watch, which flags are added, nor that the hub is away; losses are said all the same
    #[arg(long)]
    pub quiet: bool,
    #[command(flatten)]
    pub destination: DestinationArgs,
    #[command(flatten)]
    pub redact: RedactArgs,
}

impl RecordArgs {
    /// The invocation's id, as given or made up.
    pub(super) fn invocation(&self) -> InvocationId {
        let random = || format!("run-{:012x}", rand::random::<u64>() >> 16).parse().expect("letters and digits");
        self.invocation.clone().unwrap_or_else(random)
    }
}

/// Why nothing can be recorded.
#[derive(Debug, thiserror::Error)]
pub(super) enum StartError {
    /// The destination cannot be used.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// Something else.
    #[error(transparent)]
    Other(#[from] anyhow::Error),
}

/// Does `work`, which writes the invocation's journal, and delivers all of it while it goes on and after. Gives what the work gave.
pub(super) async fn deliver<T>(
    args: &RecordArgs,
    invocation: InvocationId,
    signals: &mut Signals,
    work: impl AsyncFnOnce(&Journal<'_>, &mut Signals) -> T,
) -> Result<T, StartError> {
    let publisher = args.destination.publisher(&args.task)?;
    let announcement = args.destination.announcement(&args.task)?;
    if !args.quiet {
        eprintln!("tasklight: {announcement}");
    }
    let outbox = Outbox::new(args.spill_limit.bytes() as u64);
    let journal = Journal::new(&outbox, invocation, args.redact.scrubber().map_err(anyhow::Error::from)?);
    let mut sender = Sender::new(publisher, &outbox, journal.heartbeat(), args.quiet);
    let (done, delivered) = {
        let mut sending = pin!(sender.run());
        let done = tokio::select! {
            done = work(&journal, signals) => done,
            () = &mut sending => unreachable!("it ends when the outbox is closed, which comes after"),
        };
        outbox.close();
        let delivered = tokio::select! {
            biased;
            () = &mut sending => true,
            () = patience(args.wait, &outbox) => false,
            () = signals.next_request_to_end() => false,
        };
        (done, delivered)
    };
    if !delivered {
        keep_the_rest(args, &sender, &outbox);
    }
    say_losses(&journal, &sender, &outbox);
    if 0 < sender.repeated() && !args.quiet {
        let count = activities(sender.repeated());
        eprintln!("tasklight: {count} had been stored before: what an agent says is stored once for each --invocation");
    }
    Ok(done)
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
fn keep_the_rest(args: &RecordArgs, sender: &Sender<'_>, outbox: &Outbox) {
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
