//! How fast a client's messages are taken: one that subscribes too often waits, and loses nothing by it.

use tokio::time::Instant;

use crate::limits::{Rate, Spent};

/// One session's pace.
#[derive(Debug)]
pub(crate) struct Pace {
    spent: Spent,
    pause: Option<Instant>,
}

impl Pace {
    pub(super) fn new() -> Self {
        Self { spent: Spent::nothing(), pause: None }
    }

    /// One more subscription. Says whether the next message has to wait.
    pub(super) fn slow_down(&mut self, rate: Rate) -> bool {
        let now = Instant::now();
        let wait = self.spent.spend(rate, 1, now);
        if !wait.is_zero() {
            self.pause = Some(now + wait);
        }
        !wait.is_zero()
    }

    /// Until when no message is taken, if that is so.
    pub(super) fn pause(&self) -> Option<Instant> {
        self.pause
    }

    /// Messages are taken again, if it is time.
    pub(super) fn resume(&mut self, now: Instant) {
        self.pause = self.pause.filter(|until| now < *until);
    }
}
