//! How late deliveries are: some of them are watched from the session's queue until the socket has taken them.
//!
//! A viewer that was there when an activity arrived is late by the time since; what is older than its subscription is history, and not
//! looked at. One at a time is watched in a session, so that one that is far behind costs no more than others. The same
//! watch ends the span of a delivery whose activity is traced.

use crate::{
    hub::{Follower, Relay},
    metrics::Metrics,
    model::{FrameBatch, Timestamp},
    telemetry::{Span, SpanKind, Tracer},
};

/// Of a thread's deliveries every so-manieth is watched: a prime, so that it is another viewer each time. Watching one takes 0.4 us of
/// processor time and counting each 12 ns; a delivery takes 5 us.
const EVERY: u64 = 17;

/// What is being watched, if anything is.
#[derive(Debug, Default)]
pub(super) struct Probe {
    watched: Option<Box<Watched>>,
}

#[derive(Debug)]
struct Watched {
    /// When it arrived, if its lag is wanted.
    received_at: Option<Timestamp>,
    /// Ends with this.
    _span: Option<Span>,
    /// How many bytes have to be written until it is.
    left: usize,
}

impl Probe {
    /// `batch` was put last into a queue that holds so many bytes now.
    pub(super) fn pushed(&mut self, batch: &FrameBatch, follower: &Follower, relay: &Relay, queued: usize, tracer: &Tracer) {
        let is_sample = follower.is_hot() && relay.count_hot_read().is_multiple_of(EVERY);
        if (!is_sample && batch.trace().is_none()) || self.watched.is_some() {
            return;
        }
        let received_at = Some(batch.received_at()).filter(|received_at| is_sample && follower.since() <= *received_at);
        let span = tracer.within(batch.trace_delivery(), "deliver", SpanKind::Producer);
        if received_at.is_some() || span.is_some() {
            self.watched = Some(Box::new(Watched { received_at, _span: span, left: queued }));
        }
    }

    /// The socket has taken so many bytes.
    pub(super) fn written(&mut self, bytes: usize, metrics: &Metrics) {
        let Some(watched) = &mut self.watched else { return };
        watched.left = watched.left.saturating_sub(bytes);
        if watched.left == 0 {
            if let Some(received_at) = watched.received_at {
                metrics.delivery_lag_seconds.observe(received_at.elapsed().as_secs_f64());
            }
            self.watched = None;
        }
    }

    /// The queue was emptied without being written.
    pub(super) fn discard(&mut self) {
        self.watched = None;
    }
}
