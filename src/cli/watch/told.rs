//! One event as it is told: as a line, as JSON, or as a command's environment.

use std::io::{self, Write};

use anstyle::Style;
use serde::Serialize;

use super::changes::Change;
use crate::{
    cli::{tasks::status, terminal::safe_line},
    client::Client,
    model::{Became, Invocation, Status, TaskSummary},
};

/// A change, and the latest of the runs that made it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Told {
    status: Became,
    runs: u64,
    previous: Option<Status>,
    task: TaskSummary,
    invocation: Option<Invocation>,
    url: String,
}

impl Told {
    /// Asks the hub for the run. Without an answer the event is told without it.
    pub(super) async fn of(client: &Client, change: Change) -> Self {
        let Change { task, became, runs, previous } = change;
        let found = client.task(&task.task_id).await.map(|details| details.runs).unwrap_or_default();
        let invocation = found
            .into_iter()
            .filter(|run| is_one(run, became))
            .max_by_key(|run| run.completed_at.unwrap_or(run.last_activity_at));
        let url = client.page_of(&task.task_id);
        Self { status: became, runs, previous, task, invocation, url }
    }

    /// What happened.
    pub(super) fn became(&self) -> Became {
        self.status
    }

    /// Of what it is told.
    pub(super) fn name(&self) -> String {
        format!("{} {}", self.task.task_id, self.status)
    }

    /// A line on standard output.
    pub(super) fn print(&self, json: bool) -> io::Result<()> {
        let mut out = anstream::stdout().lock();
        if json {
            writeln!(out, "{}", serde_json::to_string(self)?)?;
        } else {
            let (style, word) = match self.status {
                Became::Status(became) => status(Some(became)),
                Became::Stalled => (anstyle::AnsiColor::Yellow.on_default(), "stalled"),
            };
            let (bold, faint) = (Style::new().bold(), Style::new().dimmed());
            let mut notes: Vec<String> = self.task.title.iter().map(|title| safe_line(title)).collect();
            notes.extend((1 < self.runs).then(|| format!("{} runs", self.runs)));
            notes.extend(self.reason().map(|reason| safe_line(&reason)));
            let code = self.invocation.as_ref().and_then(|run| run.exit_code);
            notes.extend(code.map(|code| format!("exit code {code}")));
            writeln!(
                out,
                "{style}{word:9}{style:#}  {bold}{}{bold:#}  {}  {faint}{}{faint:#}",
                self.task.task_id,
                notes.join(" · "),
                self.url
            )?;
        }
        out.flush()
    }

    /// What a command is told by its environment. A variable holds no NUL.
    pub(super) fn variables(&self, hub: &str) -> Vec<(&'static str, String)> {
        let run = self.invocation.as_ref();
        let text = |text: Option<&str>| text.unwrap_or_default().replace('\0', "\u{fffd}");
        vec![
            ("TASKLIGHT_TASK", self.task.task_id.to_string()),
            ("TASKLIGHT_TITLE", text(self.task.title.as_deref())),
            ("TASKLIGHT_URL", self.url.clone()),
            ("TASKLIGHT_STATUS", self.status.to_string()),
            ("TASKLIGHT_RUNS", self.runs.to_string()),
            ("TASKLIGHT_PREVIOUS", self.previous.map(|status| status.to_string()).unwrap_or_default()),
            ("TASKLIGHT_RUN", text(run.map(|run| run.invocation_id.as_str()))),
            ("TASKLIGHT_AGENT", text(run.and_then(|run| run.agent.as_deref()))),
            ("TASKLIGHT_REASON", text(self.reason().as_deref())),
            ("TASKLIGHT_EXIT_CODE", run.and_then(|run| run.exit_code).map(|code| code.to_string()).unwrap_or_default()),
            ("TASKLIGHT_HUB", hub.to_owned()),
        ]
    }

    fn reason(&self) -> Option<String> {
        match self.status {
            Became::Stalled => self.task.stalled.as_ref().map(|stalled| stalled.reason.describe().to_owned()),
            Became::Status(_) => self.invocation.as_ref().and_then(|run| run.reason.clone()),
        }
    }
}

/// Whether the run is one that became that.
fn is_one(run: &Invocation, became: Became) -> bool {
    match became {
        Became::Status(status) => run.status == status,
        Became::Stalled => run.stalled,
    }
}
