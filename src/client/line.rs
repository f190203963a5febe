//! A connection that is made anew whenever it ends, until its holder lets go: when, and after how long. What is subscribed and what is made of
//! the hub's messages is for its holder.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};
use tokio_tungstenite::tungstenite::Utf8Bytes;

use super::{
    Client, ClientError, FollowError,
    socket::{Heard, Socket},
};
use crate::backoff::Backoff;

/// The bounds of the wait before a connection is made anew.
const RECONNECT_FIRST: Duration = Duration::from_millis(250);
const RECONNECT_MOST: Duration = Duration::from_secs(5);

/// The longest wait that a hub may ask for when it stops.
const LONGEST_DRAIN: Duration = Duration::from_secs(60);

/// A connection that held for so long was a good one: the next failure starts with a short wait again.
const STEADY: Duration = Duration::from_secs(10);

#[derive(Debug)]
enum State {
    /// Not connected; the next try is due then.
    Away(Instant),
    /// Connected since then.
    Connected(Box<Socket>, Instant),
}

/// What comes next of a connection.
#[derive(Debug)]
pub(super) enum Turn {
    /// A message of the hub's.
    Text(Utf8Bytes),
    /// It is gone, or could not be made; it is made anew after a wait.
    Gone(Gone),
}

/// Why there is no connection, and for how long.
#[derive(Debug)]
pub(super) struct Gone {
    pub reason: String,
    pub wait: Duration,
}

/// The connection.
#[derive(Debug)]
pub(super) struct Line {
    client: Client,
    state: State,
    backoff: Backoff,
    /// How long the hub asked to stay away, once it said that it stops.
    drain: Option<Duration>,
}

impl Line {
    /// One that is made when its first turn comes.
    pub(super) fn new(client: Client) -> Self {
        let backoff = Backoff::new(RECONNECT_FIRST, RECONNECT_MOST);
        Self { client, state: State::Away(Instant::now()), backoff, drain: None }
    }

    /// What comes next. Each new connection is given to `subscribe`, which says whether it held. Waits as long as it takes; nothing is lost if
    /// the wait is given up.
    pub(super) async fn turn(&mut self, subscribe: impl AsyncFn(&mut Socket) -> bool) -> Result<Turn, FollowError> {
        loop {
            match &mut self.state {
                State::Away(until) => {
                    sleep_until(*until).await;
                    if let Some(gone) = self.connect(&subscribe).await? {
                        return Ok(Turn::Gone(gone));
                    }
                }
                State::Connected(socket, _) => {
                    return Ok(match socket.next().await {
                        Heard::Text(text) => Turn::Text(text),
                        Heard::Broken(reason) => Turn::Gone(self.leave(reason, self.drain)),
                        Heard::Closed(code, reason) => Turn::Gone(self.closed(code, reason)?),
                    });
                }
            }
        }
    }

    /// One try.
    async fn connect(&mut self, subscribe: &impl AsyncFn(&mut Socket) -> bool) -> Result<Option<Gone>, FollowError> {
        self.drain = None;
        let mut socket = match Socket::open(&self.client).await {
            Ok(socket) => socket,
            Err(error) if error.is_transient() => {
                let wait = error.retry_after();
                return Ok(Some(self.leave(error.to_string(), wait)));
            }
            Err(error) => return Err(fatal(error)),
        };
        if !subscribe(&mut socket).await {
            return Ok(Some(self.leave("the connection broke".to_owned(), None)));
        }
        self.state = State::Connected(Box::new(socket), Instant::now());
        Ok(None)
    }

    /// The hub stops: once it closes, it wants to be left alone for so long.
    pub(super) fn drain(&mut self, wait: Duration) {
        self.drain = Some(wait.min(LONGEST_DRAIN));
    }

    /// The connection is of no use any more, for this reason.
    pub(super) fn give_up(&mut self, reason: &str) -> Gone {
        self.leave(reason.to_owned(), None)
    }

    /// Makes the connection anew with the next turn.
    pub(super) fn begin_again(&mut self) {
        self.state = State::Away(Instant::now());
    }

    /// Says goodbye to the hub.
    pub(super) async fn close(self) {
        if let State::Connected(socket, _) = self.state {
            socket.close().await;
        }
    }

    /// The close codes of DESIGN section 7.
    fn closed(&mut self, code: u16, reason: String) -> Result<Gone, FollowError> {
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

    fn leave(&mut self, reason: String, asked: Option<Duration>) -> Gone {
        if let State::Connected(_, since) = &self.state
            && STEADY <= since.elapsed()
        {
            self.backoff.reset();
        }
        let wait = asked.unwrap_or_default().max(self.backoff.next());
        self.state = State::Away(Instant::now() + wait);
        Gone { reason, wait }
    }
}

/// What a connection that cannot be made means.
fn fatal(error: ClientError) -> FollowError {
    match error {
        ClientError::Refused(problem) if problem.status == 401 => FollowError::Unauthorized(problem.to_string()),
        ClientError::Refused(problem) if problem.status == 403 => FollowError::Forbidden(problem.to_string()),
        ClientError::Refused(problem) => FollowError::Refused { code: problem.code, message: problem.detail },
        other => FollowError::Unusable(other.to_string()),
    }
}
