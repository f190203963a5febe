//! `tasklight tail`: a task in the terminal, from wherever wanted, through restarts of the hub.

mod describe;
mod render;

use std::{
    io::{BufWriter, IsTerminal, Stdout, Write},
    process::ExitCode,
};

use anstyle::Style;
use clap::Args;
use futures_util::FutureExt;

use super::{
    exit,
    hub_args::{HubArgs, failed, not_followed},
};
use crate::{
    client::{Event, Start},
    model::{ActivityType, Filter, InvocationId, Offset, TaskId},
};
pub(crate) use render::Render;

/// How often the first connection is tried before the hub counts as away. Later ones are tried for ever.
const FIRST_TRIES: u32 = 3;

const AFTER_HELP: &str = "\
Output of processes is printed as it came, line by line; other activities get
a line with their time, and with their invocation where the task has several.
On a terminal, whatever could move the cursor or change the terminal is shown
instead of obeyed (colours pass); through a pipe, text passes unchanged.
With --json each activity is one JSON object on one line, as the hub keeps it;
its \"cursor\" is what --after takes. Notices (reconnecting, gaps, a new log) go
to standard error.

Examples:
  tasklight tail build-42                   the last 100, then what comes
  tasklight tail build-42 --after start     everything kept, then what comes
  tasklight tail build-42 --last 0 --type error       only errors, from now on
  tasklight tail build-42 --json --no-follow --after start > build-42.ndjson
  tasklight tail build-42 --json --after 5f3a9c1e-17 | jq -r .type

A task that does not exist yet is waited for; with --no-follow it is an error.
Exit codes: 0 done, 1 refused, 2 wrong usage, 3 hub not reachable at the start.";

/// Flags of `tasklight tail`.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct TailArgs {
    /// The task to follow
    task: TaskId,
    /// Begin after this cursor, or at the "start", or at the "end"
    #[arg(long, value_name = "CURSOR", conflicts_with = "last", value_parser = start)]
    after: Option<Start>,
    /// Begin with the last COUNT activities (counted before --type and --invocation choose)
    #[arg(long, value_name = "COUNT", default_value_t = 100)]
    last: u64,
    /// End at the last activity that there is now
    #[arg(long)]
    no_follow: bool,
    /// Print JSON lines
    #[arg(long)]
    json: bool,
    /// Only activities of this type; can be given several times
    #[arg(long = "type", value_name = "TYPE", value_delimiter = ',')]
    types: Vec<ActivityType>,
    /// Only activities of this invocation
    #[arg(long, value_name = "ID")]
    invocation: Option<InvocationId>,
    #[command(flatten)]
    hub: HubArgs,
}

fn start(text: &str) -> Result<Start, String> {
    match text {
        "start" => Ok(Start::Beginning),
        "end" => Ok(Start::End),
        cursor => cursor.parse().map(Start::After).map_err(|error| format!("{error}")),
    }
}

/// Prints a task's activities until its end, or for ever.
pub(crate) async fn run(args: TailArgs) -> anyhow::Result<ExitCode> {
    let start = args.after.unwrap_or(Start::Last(args.last));
    let client = match args.hub.client() {
        Ok(client) => client,
        Err(error) => return Ok(failed(&error)),
    };
    let filter = Filter { types: args.types, invocation: args.invocation, finished_series: false };
    let mut follow = client.follow(args.task.clone(), start, filter);
    let mut screen = Screen::new(args.json);
    let mut watch = Watch { task: args.task, no_follow: args.no_follow, until: None, tries: 0, away: false };
    loop {
        // What is here already is printed in one go.
        let event = match follow.next().now_or_never() {
            Some(event) => event,
            None => {
                screen.out.flush()?;
                follow.next().await
            }
        };
        let event = match event {
            Ok(event) => event,
            Err(error) => {
                screen.out.flush()?;
                return Ok(not_followed(&error));
            }
        };
        if let Some(code) = watch.take(event, &mut screen)? {
            screen.end()?;
            follow.close().await;
            return Ok(ExitCode::from(code));
        }
    }
}

/// What the command has seen of the task so far.
struct Watch {
    task: TaskId,
    no_follow: bool,
    /// With `no_follow`: the head when the log was first seen.
    until: Option<Offset>,
    /// How often the first connection failed; none once it worked.
    tries: u32,
    /// Whether a lost connection was said.
    away: bool,
}

impl Watch {
    /// Shows an event. Gives an exit code when it was the last one.
    fn take(&mut self, event: Event, screen: &mut Screen) -> std::io::Result<Option<u8>> {
        let mut done = false;
        match event {
            Event::Subscribed { epoch: None, .. } if self.no_follow => {
                screen.notice(&format!("there is no task {}", self.task))?;
                return Ok(Some(exit::FAILED));
            }
            Event::Subscribed { epoch, head, .. } => {
                if std::mem::take(&mut self.away) {
                    screen.notice("connected again")?;
                } else if epoch.is_none() {
                    screen.notice(&format!("there is no task {} yet: waiting for it", self.task))?;
                }
                self.until.get_or_insert(head);
            }
            Event::Activity(received) => {
                screen.activity(&received)?;
                done = self.is_end(received.offset());
            }
            Event::Live(_) => done = self.no_follow,
            Event::Skipped(offset) => done = self.is_end(offset),
            Event::Truncated(floor) => {
                screen.notice(&format!("activities before {floor} are no longer kept: going on with {floor}"))?;
            }
            Event::Reset(_) => {
                screen.notice("the log is a new one (the task was deleted and made again, or restored): starting over")?;
            }
            Event::Deleted => {
                screen.notice(&format!("the task {} was deleted", self.task))?;
                return Ok(Some(0));
            }
            Event::Reconnecting { reason, .. } => return self.disconnected(&reason, screen),
        }
        Ok(done.then_some(0))
    }

    fn is_end(&self, offset: Offset) -> bool {
        self.no_follow && self.until.is_some_and(|until| until <= offset)
    }

    fn disconnected(&mut self, reason: &str, screen: &mut Screen) -> std::io::Result<Option<u8>> {
        if self.until.is_none() {
            self.tries += 1;
            if FIRST_TRIES <= self.tries {
                screen.notice(reason)?;
                return Ok(Some(exit::UNREACHABLE));
            }
        } else if !std::mem::replace(&mut self.away, true) {
            screen.notice(&format!("{reason}: reconnecting, nothing will be missed"))?;
        }
        Ok(None)
    }
}

/// Where activities and notices appear.
struct Screen {
    out: BufWriter<Stdout>,
    /// None for JSON lines.
    render: Option<Render>,
}

impl Screen {
    fn new(json: bool) -> Self {
        let stdout = std::io::stdout();
        let colour = anstream::AutoStream::choice(&stdout) != anstream::ColorChoice::Never;
        let render = (!json).then(|| Render::new(stdout.is_terminal(), colour));
        Self { out: BufWriter::new(stdout), render }
    }

    fn activity(&mut self, received: &crate::client::Received) -> std::io::Result<()> {
        match &mut self.render {
            Some(render) => render.activity(&mut self.out, received),
            None => writeln!(self.out, "{{{}", received.json_after_brace()),
        }
    }

    /// Says something that is not an activity, in its place among them.
    fn notice(&mut self, text: &str) -> std::io::Result<()> {
        self.end()?;
        let faint = Style::new().dimmed();
        anstream::eprintln!("{faint}tasklight: {text}{faint:#}");
        Ok(())
    }

    fn end(&mut self) -> std::io::Result<()> {
        if let Some(render) = &mut self.render {
            render.end_line(&mut self.out)?;
        }
        self.out.flush()
    }
}
