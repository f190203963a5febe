//! A session whose socket is simulated: the turns that `websocket.rs` gives it, without what belongs to the socket.

use std::{sync::Arc, task::Context};

use crate::{
    hub::{Hub, Relay, Slot},
    metrics::Metrics,
    model::{Cursor, TaskId},
    session::{Access, Entry, Session, SessionOptions, Subscription},
};

/// As `websocket.rs` has it: how often a session fills its queue and writes it in one turn.
const ROUNDS: usize = 4;

/// What a turn came to.
#[derive(Debug)]
pub(crate) struct Turn {
    /// What the socket took.
    pub written: Vec<u8>,
    /// There is more for the socket than it takes.
    pub is_blocked: bool,
    /// It wants another turn.
    pub goes_on: bool,
}

impl Session {
    /// Anybody's session.
    pub(crate) fn by_hand(hub: Hub, options: Arc<SessionOptions>, metrics: Arc<Metrics>, relay: Relay) -> Self {
        Self::new(hub, options, metrics, "n", Access::open(), relay)
    }

    /// One turn, with a socket that takes so many bytes.
    pub(crate) fn turn_by_hand(&mut self, context: &Context<'_>, room: usize) -> Turn {
        self.hear(context);
        let mut written = Vec::new();
        for _ in 0..ROUNDS {
            self.pump();
            let some = self.outbox.write_by_hand(room - written.len());
            let more = !self.outbox.is_empty() || self.has_ready();
            let stopped = some.is_empty() || !more;
            written.extend(some);
            if stopped {
                break;
            }
        }
        let is_blocked = !self.outbox.is_empty() && written.len() == room;
        let goes_on = !is_blocked && (!self.outbox.is_empty() || self.has_ready());
        Turn { written, is_blocked, goes_on }
    }

    /// Whether a message may be taken now.
    pub(crate) fn takes_messages(&self) -> bool {
        !self.outbox.is_torn() && !self.is_full()
    }

    /// How many frames and bytes wait.
    pub(crate) fn queued(&self) -> (usize, usize) {
        (self.outbox.frames(), self.outbox.bytes())
    }

    /// How far each of its followers is behind the head that it knows, where both are of the same log.
    pub(crate) fn lags(&self) -> Vec<(TaskId, i128)> {
        let of = |(_, entry): &(Slot, Entry)| match &entry.subscription {
            Subscription::Task(task, follower) => {
                let lag = |cursor: Cursor| i128::from(follower.head().get()) - i128::from(cursor.offset.get());
                follower.cursor().map(|cursor| (task.clone(), lag(cursor)))
            }
            Subscription::List(_) => None,
        };
        self.slots.iter().filter_map(of).collect()
    }
}
