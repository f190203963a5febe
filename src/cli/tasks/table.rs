//! Tasks and their runs in columns.

use std::io::{self, Write};

use anstyle::{AnsiColor, Style};

use crate::{
    cli::terminal::safe_line,
    client::TaskDetails,
    model::{Invocation, StalledReason, Status, TaskSummary, Timestamp},
};

/// The widest that a column of ids becomes; longer ones stick out.
const ID_WIDTH: usize = 40;

/// Writes a line for each task under a heading.
pub(super) fn list(out: &mut impl Write, tasks: &[TaskSummary]) -> io::Result<()> {
    let width = tasks.iter().map(|task| task.task_id.as_str().len()).max().unwrap_or(0).clamp(4, ID_WIDTH);
    let (bold, now) = (Style::new().bold(), Timestamp::now());
    writeln!(out, "{bold}{:width$}  {:9}  {:>10}  {:>9}  TITLE{bold:#}", "TASK", "STATUS", "ACTIVITIES", "LAST")?;
    for task in tasks {
        let (style, word) = match task.stalled {
            Some(_) => (AnsiColor::Yellow.on_default(), "stalled"),
            None => status(task.status),
        };
        let last = task.last_activity_at.map(|last| ago(last, now)).unwrap_or_default();
        let title = safe_line(task.title.as_deref().unwrap_or_default());
        let line = format!("{:width$}  {style}{word:9}{style:#}  {:>10}  {last:>9}  {title}", task.task_id, task.head);
        writeln!(out, "{}", line.trim_end())?;
    }
    Ok(())
}

/// Writes what is known about a task, and a line for each run.
pub(super) fn show(out: &mut impl Write, details: &TaskDetails) -> io::Result<()> {
    let (task, bold, now) = (&details.summary, Style::new().bold(), Timestamp::now());
    let (style, word) = status(task.status);
    writeln!(out, "{bold}{}{bold:#}  {style}{word}{style:#}", task.task_id)?;
    if let Some(title) = &task.title {
        writeln!(out, "  title       {}", safe_line(title))?;
    }
    if !task.labels.is_empty() {
        let labels: Vec<_> = task.labels.iter().map(|(name, value)| safe_line(&format!("{name}={value}"))).collect();
        writeln!(out, "  labels      {}", labels.join(" "))?;
    }
    writeln!(out, "  activities  {} to {} (epoch {})", task.floor, task.head, task.epoch)?;
    writeln!(out, "  made        {}", ago(task.created_at, now))?;
    if let Some(last) = task.last_activity_at {
        writeln!(out, "  last        {}", ago(last, now))?;
    }
    if let Some(worst) = &task.stalled {
        writeln!(out, "  stalled     {} of its runs: {}, for {}", worst.count, worst.reason.describe(), since(worst.since, now))?;
    }
    for run in &details.runs {
        invocation(out, run, now)?;
    }
    Ok(())
}

fn invocation(out: &mut impl Write, run: &Invocation, now: Timestamp) -> io::Result<()> {
    let (style, word) = status(Some(run.status));
    let faint = Style::new().dimmed();
    write!(out, "\n{style}{word:9}{style:#}  {}", safe_line(run.invocation_id.as_str()))?;
    for words in [&run.title, &run.agent].into_iter().flatten() {
        write!(out, "  {}", safe_line(words))?;
    }
    writeln!(out)?;
    let began = run.started_at.unwrap_or(run.created_at);
    let mut notes = vec![format!("began {}", ago(began, now))];
    match run.completed_at {
        // What is only known to the moment at which it was written down took nobody knows how long.
        Some(end) if run.backfilled && end == began => {}
        Some(end) => notes.push(format!("took {}", span(end.as_millis().saturating_sub(began.as_millis())))),
        None if run.backfilled => {}
        None => notes.push(format!("last heard of {}", ago(run.heartbeat_at.unwrap_or_default().max(run.last_activity_at), now))),
    }
    notes.extend(run.exit_code.map(|code| format!("exit code {code}")));
    notes.extend(run.reason.as_deref().map(safe_line));
    notes.extend(run.backfilled.then(|| "recorded afterwards".to_owned()));
    notes.extend(run.stalled_reason.map(|reason| stalled(reason, run.stalled_since.unwrap_or(run.last_activity_at), now)));
    notes.extend(run.usage.as_ref().map(|usage| format!("usage {}", safe_line(usage.get()))));
    writeln!(out, "           {faint}{}{faint:#}", notes.join(" · "))
}

fn stalled(reason: StalledReason, began: Timestamp, now: Timestamp) -> String {
    format!("stalled: {}, for {}", reason.describe(), since(began, now))
}

/// How long that is by now.
fn since(then: Timestamp, now: Timestamp) -> String {
    span(now.as_millis().saturating_sub(then.as_millis()))
}

/// The colour and the word of a status.
pub(in crate::cli) fn status(status: Option<Status>) -> (Style, &'static str) {
    let colour = match status {
        None | Some(Status::Pending) => return (Style::new().dimmed(), status.map_or("-", Status::as_str)),
        Some(Status::Running) => AnsiColor::Blue,
        Some(Status::Completed) => AnsiColor::Green,
        Some(Status::Failed) => AnsiColor::Red,
        Some(Status::Cancelled) => AnsiColor::Yellow,
        Some(Status::Lost) => AnsiColor::Magenta,
    };
    (colour.on_default(), status.map_or("", Status::as_str))
}

/// How long ago that was, in one unit.
pub(in crate::cli) fn ago(then: Timestamp, now: Timestamp) -> String {
    let millis = now.as_millis().saturating_sub(then.as_millis());
    if millis < 1_000 { "now".to_owned() } else { format!("{} ago", span(millis)) }
}

/// A time span in its largest unit.
pub(in crate::cli) fn span(millis: u64) -> String {
    let seconds = millis / 1_000;
    match seconds {
        0 => format!("{millis}ms"),
        1..=119 => format!("{seconds}s"),
        120..=7_199 => format!("{}m", seconds / 60),
        7_200..=172_799 => format!("{}h", seconds / 3_600),
        _ => format!("{}d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_said_in_one_unit() {
        for (millis, words) in
            [(7, "7ms"), (1_500, "1s"), (119_999, "119s"), (120_000, "2m"), (7_200_000, "2h"), (172_800_000, "2d")]
        {
            assert_eq!(span(millis), words);
        }
    }

    #[test]
    fn titles_cannot_steer_the_terminal() {
        let task = serde_json::json!({
            "taskId": "build-42", "title": "a\u{1b}[2Jb\nc", "labels": {}, "status": "running", "epoch": "5f3a9c1e",
            "head": 7, "floor": 1, "createdAt": 0, "lastActivityAt": null, "invocationCounts": {"running": 1}
        });
        let task: TaskSummary = serde_json::from_value(task).expect("a summary");
        let mut out = Vec::new();
        list(&mut out, &[task]).expect("memory");
        let text = String::from_utf8(out).expect("UTF-8");
        assert!(text.ends_with("a␛[2Jb c\n"), "{text:?}");
    }
}
