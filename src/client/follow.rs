//! Following a task through whatever happens to the connection: it is made anew, after the last cursor, until the caller lets go.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::{
    Client, ClientError, Received, Start,
    message::Message,
    place::{Meaning, Place},
    socket::{Heard, Socket},
};
use crate::{
    backoff::Backoff,
    model::{Cursor, Epoch, Filter, Offset, TaskId},
};

/// The bounds of the wait before a connection is made anew.
pub(super) const RECONNECT_FIRST: Duration = Duration::from_millis(250);
pub(super) const RECONNECT_MOST: Duration = Duration::from_secs(5);

/// The longest wait that a hub may ask for when it stops.
pub(super) const LONGEST_DRAIN: Duration = Duration::from_secs(60);

/// A connection that held for so long was a good one: the next failure starts with a short wait again.
pub(super) const STEADY: Duration = Duration::from_secs(10);

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

#[derive(Debug)]
enum State {
    /// Not connected; the next try is due then.
    Away(Instant),
    /// Connected since then.
    Connected(Box<Socket>, Instant),
}

/// A viewer's place in one task's log, kept across connections. Every activity is given once, in order; what cannot be continued is said.
#[derive(Debug)]
pub struct Follow {
    client: Client,
    task: TaskId,
    filter: Filter,
    place: Place,
    state: State,
    backoff: Backoff,
    /// How long the hub asked to stay away, once it said that it stops.
    drain: Option<Duration>,
}

impl Follow {
    pub(super) fn new(client: Client, task: TaskId, start: Start, filter: Filter) -> Self {
        let whole = filter.wants_all() && !filter.finished_series;
        let backoff = Backoff::new(RECONNECT_FIRST, RECONNECT_MOST);
        let state = State::Away(Instant::now());
        Self { client, task, filter, place: Place::new(start, whole), state, backoff, drain: None }
    }

    /// The last place that is known to be seen: a follower that starts after it misses nothing.
    pub fn cursor(&self) -> Option<Cursor> {
        self.place.cursor()
    }

    /// The next event. Waits as long as it takes; nothing is lost if the wait is given up.
    pub async fn next(&mut self) -> Result<Event, FollowError> {
        loop {
            let event = match &mut self.state {
                State::Away(until) => {
                    sleep_until(*until).await;
                    self.connect().await?
                }
                State::Connected(socket, _) => match socket.next().await {
                    Heard::Text(text) => match Message::read(text, &self.task) {
                        Ok(message) => self.hear(message)?,
                        Err(reason) => return Err(FollowError::Unusable(reason)),
                    },
                    Heard::Broken(reason) => Some(self.leave(reason, self.drain)),
                    Heard::Closed(code, reason) => Some(self.closed(code, reason)?),
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

    /// One try. Says only that it failed: that it worked is said by the hub.
    async fn connect(&mut self) -> Result<Option<Event>, FollowError> {
        self.drain = None;
        let mut socket = match Socket::open(&self.client).await {
            Ok(socket) => socket,
            Err(error) if error.is_transient() => {
                let wait = error.retry_after();
                return Ok(Some(self.leave(error.to_string(), wait)));
            }
            Err(error) => return Err(fatal(error)),
        };
        if !socket.subscribe(&self.task, self.place.resume(), &self.filter).await {
            return Ok(Some(self.leave("the connection broke".to_owned(), None)));
        }
        self.state = State::Connected(Box::new(socket), Instant::now());
        Ok(None)
    }

    /// Takes a message, and gives what the caller should know of it.
    fn hear(&mut self, message: Message) -> Result<Option<Event>, FollowError> {
        match self.place.hear(&message) {
            Meaning::News => {}
            Meaning::Repeat => return Ok(None),
            Meaning::Loss => return Ok(Some(self.leave("activities were lost on the way".to_owned(), None))),
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
                self.state = State::Away(Instant::now());
                Event::Deleted
            }
            Message::Unsubscribed { reason } => {
                return Err(FollowError::Refused { code: "unsubscribed".to_owned(), message: reason });
            }
            Message::Error { code, message } => return Err(FollowError::Refused { code, message }),
            Message::Drain { reconnect_after } => {
                // Activities still come until the hub closes; only then is it time to go.
                self.drain = Some(reconnect_after.min(LONGEST_DRAIN));
                return Ok(None);
            }
            Message::Heartbeat { .. } | Message::Other => return Ok(None),
        }))
    }

    /// The close codes of DESIGN section 7.
    fn closed(&mut self, code: u16, reason: String) -> Result<Event, FollowError> {
        match code {
            4401 => Err(FollowError::Unauthorized(reason)),
            4403 => Err(FollowError::Forbidden(reason)),
            1001 | 1012 => Ok(self.leave("the hub is stopping".to_owned(), self.drain)),
            _ => {
                let words = if reason.is_empty() { "the hub closed the connection" } else { &reason };
                Ok(self.leave(format!("{words} (close code {code})"), self.drain))
            }
        }
    }

    fn leave(&mut self, reason: String, asked: Option<Duration>) -> Event {
        if let State::Connected(_, since) = &self.state
            && STEADY <= since.elapsed()
        {
            self.backoff.reset();
        }
        let wait = asked.unwrap_or_default().max(self.backoff.next());
        self.state = State::Away(Instant::now() + wait);
        Event::Reconnecting { reason, wait }
    }
}

/// What a connection that cannot be made means.
pub(super) fn fatal(error: ClientError) -> FollowError {
    match error {
        ClientError::Refused(problem) if problem.status == 401 => FollowError::Unauthorized(problem.to_string()),
        ClientError::Refused(problem) if problem.status == 403 => FollowError::Forbidden(problem.to_string()),
        ClientError::Refused(problem) => FollowError::Refused { code: problem.code, message: problem.detail },
        other => FollowError::Unusable(other.to_string()),
    }
}
