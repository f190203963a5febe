//! How late deliveries are: some of them are watched from the session's queue until the socket has taken them.
//!
//! A viewer that was there when an activity arrived is late by the time since; what is older than its subscription is history, and not
//! looked at. One at a time is watched in a session, so that one that is far behind costs no more than others.

use crate::{
    hub::{Follower, Relay},
    metrics::Metrics,
    model::{FrameBatch, Timestamp},
};

/// Of a thread's deliveries every so-manieth is watched: a prime, so that it is another viewer each time. Watching takes two looks at the
/// clock, some 200 bytes of text and a lock, about a fifth of a microsecond; a delivery takes five.
const EVERY: u64 = 17;

/// What is being watched, if anything is.
#[derive(Debug, Default)]
pub(super) struct Probe {
    watched: Option<Box<Watched>>,
}

#[derive(Debug)]
struct Watched {
    received_at: Timestamp,
    /// How many bytes have to be written until it is.
    left: usize,
}

impl Probe {
    /// `batch` was put last into a queue that holds so many bytes now.
    pub(super) fn pushed(&mut self, batch: &FrameBatch, follower: &Follower, relay: &Relay, queued: usize) {
        if !follower.is_hot() || relay.count_hot_read() % EVERY != 0 || self.watched.is_some() {
            return;
        }
        let received_at = batch.received_at();
        if follower.since() <= received_at {
            self.watched = Some(Box::new(Watched { received_at, left: queued }));
        }
    }

    /// The socket has taken so many bytes.
    pub(super) fn written(&mut self, bytes: usize, metrics: &Metrics) {
        let Some(watched) = &mut self.watched else { return };
        watched.left = watched.left.saturating_sub(bytes);
        if watched.left == 0 {
            metrics.delivery_lag_seconds.observe(watched.received_at.elapsed().as_secs_f64());
            self.watched = None;
        }
    }

    /// The queue was emptied without being written.
    pub(super) fn discard(&mut self) {
        self.watched = None;
    }
}
