//! Following a task through whatever happens to the connection: it is made anew, after the last cursor, until the caller lets go.

use std::time::Duration;

use super::{
    Client, Received, Start,
    line::{Gone, Line, Turn},
    message::Message,
    place::{Meaning, Place},
    socket::Socket,
};
use crate::model::{Cursor, Epoch, Filter, Offset, TaskId};

/// What happened, in order.
#[derive(Debug, Clone)]
pub enum Event {
    /// A connection is made and the log's state known. Comes again after each reconnect.
    Subscribed {
        /// The log's life; none while the task does not exist.
        epoch: Option<Epoch>,
        /// The oldest offset kept.
        floor: Offset,
        /// The last offset there is.
        head: Offset,
    },
    /// The next activity.
    Activity(Box<Received>),
    /// Everything up to here was given; what comes next comes as it happens.
    Live(Offset),
    /// A filter left out everything up to here.
    Skipped(Offset),
    /// What was between the last activity and this offset is no longer kept: it goes on with this one.
    Truncated(Offset),
    /// The log is another one than before (deleted and made again, or restored): it starts over.
    Reset(Epoch),
    /// The task was deleted. Asked for more, the follower waits for it to be made again.
    Deleted,
    /// The connection is gone, or could not be made; it is made anew after a wait.
    Reconnecting {
        /// What happened.
        reason: String,
        /// How long until the next try.
        wait: Duration,
    },
}

/// Why a task cannot be followed. Trying again as it is would not help.
#[derive(Debug, thiserror::Error)]
pub enum FollowError {
    /// The token is missing, wrong or expired.
    #[error("the hub wants a valid token: {0}")]
    Unauthorized(String),
    /// The token does not grant this task.
    #[error("the hub does not grant this task: {0}")]
    Forbidden(String),
    /// The hub refused what was asked for.
    #[error("{message} ({code})")]
    Refused {
        /// The stable code to branch on.
        code: String,
        /// What is wrong and what would be right.
        message: String,
    },
    /// The connection cannot be made as asked, or what answers is not understood.
    #[error("{0}")]
    Unusable(String),
}

/// A viewer's place in one task's log, kept across connections. Every activity is given once, in order; what cannot be continued is said.
#[derive(Debug)]
pub struct Follow {
    line: Line,
    task: TaskId,
    filter: Filter,
    place: Place,
}

impl Follow {
    pub(super) fn new(client: Client, task: TaskId, start: Start, filter: Filter) -> Self {
        let whole = filter.wants_all() && !filter.finished_series;
        Self { line: Line::new(client), task, filter, place: Place::new(start, whole) }
    }

    /// The last place that is known to be seen: a follower that starts after it misses nothing.
    pub fn cursor(&self) -> Option<Cursor> {
        self.place.cursor()
    }

    /// The next event. Waits as long as it takes; nothing is lost if the wait is given up.
    pub async fn next(&mut self) -> Result<Event, FollowError> {
        loop {
            let (task, place, filter) = (&self.task, &self.place, &self.filter);
            let subscribe = async |socket: &mut Socket| socket.subscribe(task, place.resume(), filter).await;
            let event = match self.line.turn(subscribe).await? {
                Turn::Text(text) => match Message::read(text, &self.task) {
                    Ok(message) => self.hear(message)?,
                    Err(reason) => return Err(FollowError::Unusable(reason)),
                },
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

    /// Takes a message, and gives what the caller should know of it.
    fn hear(&mut self, message: Message) -> Result<Option<Event>, FollowError> {
        match self.place.hear(&message) {
            Meaning::News => {}
            Meaning::Repeat => return Ok(None),
            Meaning::Loss => return Ok(Some(self.line.give_up("activities were lost on the way").into())),
        }
        Ok(Some(match message {
            Message::Subscribed { epoch, floor, head, .. } => Event::Subscribed { epoch, floor, head },
            Message::Activity(received) => Event::Activity(received),
            Message::Live { offset } => Event::Live(offset),
            Message::Truncated { floor } => Event::Truncated(floor),
            Message::Reset { epoch } => Event::Reset(epoch),
            Message::Cursor { offset } => Event::Skipped(offset),
            Message::Unsubscribed { reason } if reason == "deleted" => {
                self.place.forget();
                self.line.begin_again();
                Event::Deleted
            }
            Message::Unsubscribed { reason } => {
                return Err(FollowError::Refused { code: "unsubscribed".to_owned(), message: reason });
            }
            Message::Error { code, message } => return Err(FollowError::Refused { code, message }),
            Message::Drain { reconnect_after } => {
                // Activities still come until the hub closes; only then is it time to go.
                self.line.drain(reconnect_after);
                return Ok(None);
            }
            Message::Heartbeat { .. } | Message::Other => return Ok(None),
        }))
    }
}

impl From<Gone> for Event {
    fn from(Gone { reason, wait }: Gone) -> Self {
        Self::Reconnecting { reason, wait }
    }
}
