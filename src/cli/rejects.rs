//! `tasklight rejects`: what hubs refused of what came over Redis for a task.

use std::{
    io::{self, Write},
    process::ExitCode,
};

use anstyle::{AnsiColor, Style};
use clap::Args;

use super::{
    hub_args::{HubArgs, failed},
    tasks::ago,
    terminal::safe_line,
};
use crate::model::{Reject, TaskId, Timestamp};

const AFTER_HELP: &str = "\
What is published over Redis and refused is answered on the task's ack channel,
and kept for a while: the last 100 of a task, with the reason and the names of
the fields; their values are never kept, because they may be secrets.

Examples:
  tasklight rejects build-42                    newest first
  tasklight rejects build-42 --limit 5
  tasklight rejects build-42 --json | jq -r .code | sort | uniq -c

Exit codes: 0 done, 1 refused (such as: there is no such task), 2 wrong usage,
3 hub not reachable.";

/// Flags of `tasklight rejects`.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct RejectsArgs {
    /// The task
    task: TaskId,
    /// At most so many, from 1 to 100
    #[arg(long, value_name = "COUNT", default_value_t = 100, value_parser = clap::value_parser!(u8).range(1..=100))]
    limit: u8,
    /// Print JSON lines
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    hub: HubArgs,
}

/// Shows them, newest first.
pub(crate) async fn run(args: RejectsArgs) -> anyhow::Result<ExitCode> {
    let rejects = match args.hub.client() {
        Ok(client) => client.rejects(&args.task, args.limit).await,
        Err(error) => Err(error),
    };
    let rejects = match rejects {
        Ok(rejects) => rejects,
        Err(error) => return Ok(failed(&error)),
    };
    let mut out = anstream::stdout().lock();
    if args.json {
        for reject in &rejects {
            writeln!(out, "{}", serde_json::to_string(reject)?)?;
        }
    } else if rejects.is_empty() {
        writeln!(out, "nothing was refused of what came over Redis for {}", args.task)?;
    } else {
        let now = Timestamp::now();
        for reject in &rejects {
            show(&mut out, reject, now)?;
        }
    }
    out.flush()?;
    Ok(ExitCode::SUCCESS)
}

fn show(out: &mut impl Write, reject: &Reject, now: Timestamp) -> io::Result<()> {
    let (red, faint) = (AnsiColor::Red.on_default(), Style::new().dimmed());
    let code = safe_line(&reject.code);
    write!(out, "{:>9}  {red}{code}{red:#}", ago(reject.at, now))?;
    if let Some(field) = &reject.field {
        write!(out, "  {}", safe_line(field))?;
    }
    writeln!(out, "\n           {}", safe_line(&reject.message))?;
    let mut notes = Vec::new();
    notes.extend((reject.bytes != 0).then(|| format!("{} bytes", reject.bytes)));
    notes.extend(reject.event_id.map(|event| format!("eventId {event}")));
    notes.extend((!reject.excerpt.is_empty()).then(|| safe_line(&reject.excerpt)));
    if !notes.is_empty() {
        writeln!(out, "           {faint}{}{faint:#}", notes.join(" · "))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reject_says_when_what_why_and_cannot_steer_the_terminal() {
        let reject = Reject {
            task: "t".parse().expect("valid"),
            at: Timestamp::default(),
            code: "unknown_type".to_owned(),
            field: Some("type".to_owned()),
            message: "type: \u{1b}[2J is none".to_owned(),
            event_id: None,
            bytes: 42,
            excerpt: r#"{"type":"text of 4"}"#.to_owned(),
        };
        let mut out = Vec::new();
        show(&mut out, &reject, Timestamp::from_millis(90_000).expect("small")).expect("memory");
        let text = anstream::adapter::strip_bytes(&out).into_vec();
        let text = String::from_utf8(text).expect("UTF-8");
        let lines: Vec<_> = text.lines().map(str::trim).collect();
        assert_eq!(lines, ["90s ago  unknown_type  type", "type: ␛[2J is none", r#"42 bytes · {"type":"text of 4"}"#]);
    }
}
