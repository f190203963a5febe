//! A link without Redis: what it hears is said by whoever simulates Redis.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize},
    },
};

use parking_lot::Mutex;
use tokio::sync::{mpsc, watch};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{Inner, Lane, Lanes, Link, LinkEvent, LinkOptions, LinkReader, Shared};
use crate::{
    broker::{Commands, RedisAddress},
    metrics::LinkMetrics,
};

impl Link {
    /// A link that connects to nothing.
    pub(crate) fn by_hand(
        address: RedisAddress,
        commands: Commands,
        options: LinkOptions,
        tracker: &TaskTracker,
        stop: CancellationToken,
    ) -> (Self, LinkReader) {
        let (queue, events) = mpsc::channel(options.queue_messages);
        let metrics = LinkMetrics::default();
        let shared = Arc::new(Shared {
            queue,
            queued_bytes: AtomicUsize::new(0),
            most_bytes: options.queue_bytes,
            overflowed: AtomicBool::new(false),
            generation: AtomicU64::new(0),
            live: watch::Sender::new(true),
            metrics: metrics.clone(),
        });
        let reader = LinkReader { events, shared: shared.clone(), stop: stop.clone() };
        let lanes = Mutex::new(Lanes { lanes: vec![Arc::new(Lane::new(0))], ..Lanes::default() });
        let (probe, tracker) = (String::new(), tracker.clone());
        let inner = Inner { address, commands, probe, options, metrics, shared, lanes, tracker, stop };
        (Self { inner: Arc::new(inner) }, reader)
    }

    /// What it wants to hear.
    pub(crate) fn wanted(&self) -> BTreeSet<String> {
        self.inner.lanes.lock().of_channel.keys().cloned().collect()
    }

    /// It hears this.
    pub(crate) fn hear(&self, event: LinkEvent) {
        self.inner.shared.offer(0, event);
    }
}
