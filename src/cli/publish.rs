//! `tasklight publish`: one activity from flags, or many from lines of JSON.

mod item;
mod report;

use std::{io::IsTerminal, process::ExitCode, time::Duration};

use bytes::Bytes;
use clap::Args;
use tokio::{
    io::BufReader,
    time::{Instant, sleep, timeout_at},
};

use super::{
    batch::BatchLimits,
    destination::DestinationArgs,
    exit,
    hub_args::{code_of, failed},
    lines::{Line, Lines},
    redact_args::{RedactArgs, Scrubber},
};
use crate::{
    backoff::Backoff,
    client::{ClientError, ItemResult, Publisher, Refusal},
    model::{ActivityType, EventId, Fields, InvocationId, TaskId, Timestamp},
};
use item::{prepare, quoted, with, without_secrets};
use report::Report;

/// The most bytes of a line of input. Hubs take 64 KiB unless they are told otherwise.
const LINE_BYTES: usize = 4 << 20;

/// The buffer that standard input is read into.
const INPUT_BUFFER: usize = 256 * 1024;

/// How long a request waits for more lines to go with it.
const LINGER: Duration = Duration::from_millis(20);

/// The bounds of the wait between tries.
const RETRY_FIRST: Duration = Duration::from_millis(200);
const RETRY_MOST: Duration = Duration::from_secs(5);

const AFTER_HELP: &str = "\
Without --type, activities are read from standard input, one JSON object a
line, and sent as they come:
  {\"type\": \"message\", \"data\": {\"text\": \"hi\"}}
Fields: type, invocationId (or --invocation for all), data, eventId (a UUID)
and timestamp (milliseconds since 1970). Types: status, message, thinking,
tool_call, tool_result, output, progress, error, usage, custom; and heartbeat.
Secrets in data are replaced by [redacted:RULE] before they are sent.
A line without an eventId gets one, so that a retry stores nothing twice.

Examples:
  tasklight publish build --invocation me --type message --text 'deploying'
  tasklight publish build --invocation me --type progress \\
      --data '{\"current\":3,\"total\":7}'
  my-agent | tasklight publish build --invocation run-7
  tasklight publish build < kept-by-tasklight-run.ndjson
  my-agent | tasklight publish build --redis redis://10.0.0.7 --invocation r7

Inside `tasklight run`, the invocation and where to publish are known already.
Exit codes: 0 everything is stored, 1 something was refused (standard error
says which line, why, and the field), 2 wrong usage, 3 the hub or Redis could
not be reached, or no hub took or confirmed it, for as long as --retry-for.";

/// Flags of `tasklight publish`.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct PublishArgs {
    /// The task to publish to; it is made if it does not exist
    task: TaskId,
    /// Publish one activity of this type
    #[arg(long = "type", value_name = "TYPE", value_parser = kind, requires = "invocation")]
    kind: Option<String>,
    /// The activity's text (data.text, or data.message of an error)
    #[arg(long, requires = "kind")]
    text: Option<String>,
    /// The activity's data, a JSON object
    #[arg(long, value_name = "JSON", requires = "kind")]
    data: Option<String>,
    /// The invocation that the activities belong to, where they do not say so themselves
    #[arg(long, value_name = "ID", env = "TASKLIGHT_INVOCATION")]
    invocation: Option<InvocationId>,
    /// The activity's idempotency key, a UUID
    #[arg(long, value_name = "UUID", requires = "kind")]
    event_id: Option<EventId>,
    /// When it happened, in milliseconds since 1970
    #[arg(long, value_name = "MILLIS", requires = "kind")]
    timestamp: Option<u64>,
    /// How long to try again while the hub (or Redis) is away or busy
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = humantime::parse_duration)]
    retry_for: Duration,
    /// Print what became of each activity as a JSON line
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    destination: DestinationArgs,
    #[command(flatten)]
    redact: RedactArgs,
}

fn kind(text: &str) -> Result<String, String> {
    let known = text == "heartbeat" || text.parse::<ActivityType>().is_ok();
    if known { Ok(text.to_owned()) } else { Err("see the types below in --help".to_owned()) }
}

impl PublishArgs {
    /// The one activity that the flags describe; nothing if they describe none.
    fn single(&self) -> Result<Option<Bytes>, String> {
        let Some(kind) = &self.kind else { return Ok(None) };
        let data: Fields<'_> = serde_json::from_str(self.data.as_deref().unwrap_or("{}"))
            .map_err(|error| format!("--data must be a JSON object: {error}"))?;
        let name = if kind == "error" { "message" } else { "text" };
        if self.text.is_some() && data.0.iter().any(|(known, _)| known == name) {
            return Err(format!("--text and --data both give data.{name}: leave one out"));
        }
        let text = self.text.as_deref().map(|text| (name, quoted(text)));
        let data = with(&data, text.as_slice());
        let timestamp = self.timestamp.unwrap_or_else(|| Timestamp::now().as_millis());
        let mut more = vec![
            ("type", quoted(kind)),
            ("timestamp", timestamp.to_string()),
            ("data", String::from_utf8_lossy(&data).into_owned()),
        ];
        more.extend(self.event_id.map(|id| ("eventId", quoted(&id.to_string()))));
        prepare(&with(&Fields(Vec::new()), &more), self.invocation.as_ref()).map(Some).map_err(|refusal| refusal.to_string())
    }
}

/// Publishes what the flags or standard input say.
pub(crate) async fn run(args: PublishArgs) -> anyhow::Result<ExitCode> {
    let single = match args.single() {
        Ok(single) => single,
        Err(reason) => {
            eprintln!("tasklight: {reason}");
            return Ok(ExitCode::from(exit::USAGE));
        }
    };
    if single.is_none() && std::io::stdin().is_terminal() {
        eprintln!("tasklight: give --type for one activity, or JSON lines on standard input (see --help)");
        return Ok(ExitCode::from(exit::USAGE));
    }
    let publisher = match args.destination.publisher(&args.task) {
        Ok(publisher) => publisher,
        Err(error) => return Ok(failed(&error)),
    };
    let scrubber = args.redact.scrubber()?;
    let (limits, report) = (BatchLimits::default(), Report::new(args.json));
    let mut publishing = Publishing { publisher, scrubber, retry_for: args.retry_for, limits, report };
    let done = match single {
        Some(activity) => publishing.send(vec![(1, without_secrets(activity, &publishing.scrubber))]).await,
        None => publishing.send_lines(args.invocation.as_ref()).await?,
    };
    publishing.report.summary(&args.task)?;
    Ok(match done {
        Ok(()) if publishing.report.refused() == 0 => ExitCode::SUCCESS,
        Ok(()) => ExitCode::from(exit::FAILED),
        Err(error) => {
            failed(&error);
            ExitCode::from(code_of(&error))
        }
    })
}

/// A line's number and its activity.
type Numbered = (u64, Bytes);

struct Publishing {
    publisher: Publisher,
    scrubber: Scrubber,
    retry_for: Duration,
    limits: BatchLimits,
    report: Report,
}

impl Publishing {
    /// Sends standard input, a request at a time. What comes in meanwhile waits in the pipe.
    async fn send_lines(&mut self, invocation: Option<&InvocationId>) -> anyhow::Result<Result<(), ClientError>> {
        let mut lines = Lines::new(BufReader::with_capacity(INPUT_BUFFER, tokio::io::stdin()), LINE_BYTES);
        let (mut batch, mut bytes) = (Vec::new(), 0);
        let mut go_by = Instant::now();
        loop {
            let next = if batch.is_empty() { Ok(lines.next().await) } else { timeout_at(go_by, lines.next()).await };
            let Ok(next) = next else {
                if let Err(error) = self.send(std::mem::take(&mut batch)).await {
                    return Ok(Err(error));
                }
                bytes = 0;
                continue;
            };
            let Some((number, line)) = next? else { return Ok(self.send(batch).await) };
            let Some(activity) = self.read(number, line, invocation) else { continue };
            if !self.limits.fits(batch.len(), bytes, activity.len()) {
                if let Err(error) = self.send(std::mem::take(&mut batch)).await {
                    return Ok(Err(error));
                }
                bytes = 0;
            }
            if batch.is_empty() {
                go_by = Instant::now() + LINGER;
            }
            bytes += activity.len();
            batch.push((number, activity));
        }
    }

    /// The activity of a line. Nothing for an empty line, or one that is refused here.
    fn read(&mut self, number: u64, line: Line, invocation: Option<&InvocationId>) -> Option<Bytes> {
        let prepared = match line {
            Line::Text(text) if text.trim_ascii().is_empty() => return None,
            Line::Text(text) => prepare(&text, invocation),
            Line::TooLong => {
                let message = format!("the line is longer than {LINE_BYTES} bytes");
                Err(Refusal { code: "activity_too_large".to_owned(), field: None, message })
            }
        };
        match prepared {
            Ok(activity) => Some(without_secrets(activity, &self.scrubber)),
            Err(refusal) => {
                self.report.take(number, &ItemResult::Refused(refusal));
                None
            }
        }
    }

    /// Sends activities in order, again and again while that may help.
    async fn send(&mut self, batch: Vec<Numbered>) -> Result<(), ClientError> {
        let mut rest = batch.as_slice();
        let mut backoff = Backoff::new(RETRY_FIRST, RETRY_MOST);
        let mut deadline = None;
        while !rest.is_empty() {
            let (now, later) = rest.split_at(rest.len().min(self.limits.activities));
            let activities: Vec<Bytes> = now.iter().map(|(_, activity)| activity.clone()).collect();
            let error = match self.publisher.publish(&activities).await {
                Ok(results) => {
                    for ((number, _), result) in now.iter().zip(&results) {
                        self.report.take(*number, result);
                    }
                    (rest, deadline) = (later, None);
                    backoff.reset();
                    continue;
                }
                Err(error) => error,
            };
            if self.limits.shrink_for(&error, now.len()) {
                continue;
            }
            let deadline = *deadline.get_or_insert_with(|| Instant::now() + self.retry_for);
            let wait = error.retry_after().unwrap_or_default().max(backoff.next());
            if !error.is_transient() || deadline < Instant::now() + wait {
                self.give_up(now);
                return Err(error);
            }
            sleep(wait).await;
        }
        Ok(())
    }

    /// Notes what is known of these all the same, and says where it ends.
    fn give_up(&mut self, batch: &[Numbered]) {
        let mut unknown = None;
        for (number, activity) in batch {
            match self.publisher.known(activity) {
                Some(result) => self.report.take(*number, result),
                None => unknown = unknown.or(Some(number)),
            }
        }
        if let Some(number) = unknown {
            eprintln!("tasklight: line {number} and what follows it is not confirmed");
        }
    }
}
