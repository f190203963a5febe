//! Watching the list of tasks through whatever happens to the connection: after each new one the whole list comes again, so that whoever compares misses nothing.

use std::time::Duration;

use super::{
    Client, FollowError,
    error::printable,
    line::{Gone, Line, Turn},
    socket::Socket,
};
use crate::model::{TaskId, TaskSummary};
use serde::Deserialize;

/// What happened, in order.
#[derive(Debug, Clone)]
pub enum ListEvent {
    /// A task's present state.
    Task(Box<TaskSummary>),
    /// A task was deleted.
    Deleted(TaskId),
    /// The list is complete; what comes next comes as it happens. Comes again after each reconnect.
    Live,
    /// The connection is gone, or could not be made; it is made anew after a wait.
    Reconnecting {
        /// What happened.
        reason: String,
        /// How long until the next try.
        wait: Duration,
    },
}

/// A viewer of the list of tasks.
#[derive(Debug)]
pub struct WatchTasks {
    line: Line,
}

/// All that is looked at of a message other than a summary.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Raw {
    op: String,
    task_id: Option<TaskId>,
    #[serde(default)]
    deleted: bool,
    list: Option<String>,
    reconnect_after_ms: Option<u64>,
    code: Option<String>,
    message: Option<String>,
}

impl WatchTasks {
    pub(super) fn new(client: Client) -> Self {
        Self { line: Line::new(client) }
    }

    /// The next event. Waits as long as it takes; nothing is lost if the wait is given up.
    pub async fn next(&mut self) -> Result<ListEvent, FollowError> {
        loop {
            let event = match self.line.turn(async |socket: &mut Socket| socket.subscribe_list().await).await? {
                Turn::Text(text) => self.hear(&text)?,
                Turn::Gone(gone) => Some(gone.into()),
            };
            if let Some(event) = event {
                return Ok(event);
            }
        }
    }

    /// Says goodbye to the hub.
    pub async fn close(self) {
        self.line.close().await;
    }

    fn hear(&mut self, text: &str) -> Result<Option<ListEvent>, FollowError> {
        let unreadable = |error: serde_json::Error| FollowError::Unusable(format!("a message cannot be read: {error}"));
        let raw: Raw = serde_json::from_str(text).map_err(unreadable)?;
        Ok(match raw.op.as_str() {
            "task" if raw.deleted => raw.task_id.map(ListEvent::Deleted),
            "task" => Some(ListEvent::Task(Box::new(serde_json::from_str(text).map_err(unreadable)?))),
            "live" if raw.list.is_some() => Some(ListEvent::Live),
            "drain" => {
                raw.reconnect_after_ms.map(Duration::from_millis).into_iter().for_each(|wait| self.line.drain(wait));
                None
            }
            "error" => {
                let words = |text: Option<String>| text.as_deref().map(printable).unwrap_or_default();
                return Err(FollowError::Refused { code: words(raw.code), message: words(raw.message) });
            }
            _ => None,
        })
    }
}

impl From<Gone> for ListEvent {
    fn from(Gone { reason, wait }: Gone) -> Self {
        Self::Reconnecting { reason, wait }
    }
}
