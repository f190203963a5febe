//! Watching the list of tasks through whatever happens to the connection: after each new one the whole list comes again, so that whoever compares misses nothing.

use std::time::Duration;

use serde::Deserialize;
use tokio::time::{Instant, sleep_until};

use super::{
    Client, FollowError,
    error::printable,
    follow::{LONGEST_DRAIN, RECONNECT_FIRST, RECONNECT_MOST, STEADY, fatal},
    socket::{Heard, Socket},
};
use crate::{
    backoff::Backoff,
    model::{TaskId, TaskSummary},
};

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

#[derive(Debug)]
enum State {
    /// Not connected; the next try is due then.
    Away(Instant),
    /// Connected since then.
    Connected(Box<Socket>, Instant),
}

/// A viewer of the list of tasks.
#[derive(Debug)]
pub struct WatchTasks {
    client: Client,
    state: State,
    backoff: Backoff,
    /// How long the hub asked to stay away, once it said that it stops.
    drain: Option<Duration>,
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
        let backoff = Backoff::new(RECONNECT_FIRST, RECONNECT_MOST);
        Self { client, state: State::Away(Instant::now()), backoff, drain: None }
    }

    /// The next event. Waits as long as it takes; nothing is lost if the wait is given up.
    pub async fn next(&mut self) -> Result<ListEvent, FollowError> {
        loop {
            let event = match &mut self.state {
                State::Away(until) => {
                    sleep_until(*until).await;
                    self.connect().await?
                }
                State::Connected(socket, _) => match socket.next().await {
                    Heard::Text(text) => self.hear(&text)?,
                    Heard::Broken(reason) => Some(self.leave(reason, self.drain)),
                    Heard::Closed(4401, reason) => return Err(FollowError::Unauthorized(reason)),
                    Heard::Closed(4403, reason) => return Err(FollowError::Forbidden(reason)),
                    Heard::Closed(1001 | 1012, _) => Some(self.leave("the hub is stopping".to_owned(), self.drain)),
                    Heard::Closed(code, reason) => {
                        Some(self.leave(format!("the hub closed the connection (close code {code}: {reason})"), self.drain))
                    }
                },
            };
            if let Some(event) = event {
                return Ok(event);
            }
        }
    }

    /// Says goodbye to the hub.
    pub async fn close(self) {
        if let State::Connected(socket, _) = self.state {
            socket.close().await;
        }
    }

    async fn connect(&mut self) -> Result<Option<ListEvent>, FollowError> {
        self.drain = None;
        let mut socket = match Socket::open(&self.client).await {
            Ok(socket) => socket,
            Err(error) if error.is_transient() => {
                let wait = error.retry_after();
                return Ok(Some(self.leave(error.to_string(), wait)));
            }
            Err(error) => return Err(fatal(error)),
        };
        if !socket.subscribe_list().await {
            return Ok(Some(self.leave("the connection broke".to_owned(), None)));
        }
        self.state = State::Connected(Box::new(socket), Instant::now());
        Ok(None)
    }

    fn hear(&mut self, text: &str) -> Result<Option<ListEvent>, FollowError> {
        let unreadable = |error: serde_json::Error| FollowError::Unusable(format!("a message cannot be read: {error}"));
        let raw: Raw = serde_json::from_str(text).map_err(unreadable)?;
        Ok(match raw.op.as_str() {
            "task" if raw.deleted => raw.task_id.map(ListEvent::Deleted),
            "task" => Some(ListEvent::Task(Box::new(serde_json::from_str(text).map_err(unreadable)?))),
            "live" if raw.list.is_some() => Some(ListEvent::Live),
            "drain" => {
                self.drain = raw.reconnect_after_ms.map(|millis| Duration::from_millis(millis).min(LONGEST_DRAIN));
                None
            }
            "error" => {
                let words = |text: Option<String>| text.as_deref().map(printable).unwrap_or_default();
                return Err(FollowError::Refused { code: words(raw.code), message: words(raw.message) });
            }
            _ => None,
        })
    }

    fn leave(&mut self, reason: String, asked: Option<Duration>) -> ListEvent {
        if let State::Connected(_, since) = &self.state
            && STEADY <= since.elapsed()
        {
            self.backoff.reset();
        }
        let wait = asked.unwrap_or_default().max(self.backoff.next());
        self.state = State::Away(Instant::now() + wait);
        ListEvent::Reconnecting { reason, wait }
    }
}
