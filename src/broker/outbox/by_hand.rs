//! An outbox that is emptied by whoever simulates Redis.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{Semaphore, mpsc};

use super::{Letter, Outbox, OutboxOptions};
use crate::metrics::OutboxMetrics;

/// What was said and not carried yet.
#[derive(Debug)]
pub(crate) struct Letters {
    queue: mpsc::Receiver<Letter>,
}

impl Outbox {
    /// An outbox that nobody empties but [`Letters::next`].
    pub(crate) fn by_hand(options: OutboxOptions) -> (Self, Letters) {
        let (queue, letters) = mpsc::channel(options.messages);
        let outbox = Self { queue, room: Arc::new(Semaphore::new(options.bytes)), metrics: OutboxMetrics::default() };
        (outbox, Letters { queue: letters })
    }
}

impl Letters {
    /// The next one, by its channel.
    pub(crate) fn next(&mut self) -> Option<(String, Bytes)> {
        self.queue.try_recv().ok().map(|letter| (letter.channel, letter.payload))
    }
}
