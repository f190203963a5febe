//! A node: the real hub, the real writer and the real jobs, over a store that waits for leave and a Redis that is carried by hand.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use futures_util::FutureExt;
use prometheus_client::metrics::gauge::Gauge;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::shape::Shape;
use crate::{
    broker::{Broker, ByHand},
    hub::{Hub, Relay},
    jobs::{Job, JobMetrics, Lease, Patience, Reconciler, ReconcilerOptions, Retention, RetentionMetrics, retention},
    metrics::Metrics,
    model::StalledAfter,
    store::{
        LeaseName, Store,
        gated::{Database, Gate},
    },
    writer::Writer,
};

/// How long a lease holds, by the real clock: longer than any simulation takes. It runs out when chance says so.
const TERM: Duration = Duration::from_secs(600);

/// More readers than can be at once, so that nobody waits for a connection in an order that nobody chose.
const READERS: u32 = 24;

/// A running node.
pub(super) struct Node {
    pub(super) store: Store,
    pub(super) hub: Hub,
    pub(super) writer: Writer,
    pub(super) gate: Gate,
    pub(super) relay: Relay,
    pub(super) metrics: Arc<Metrics>,
    /// Nothing if it is the only one.
    pub(super) redis: Option<ByHand>,
    /// The channels on which Redis delivers to it.
    pub(super) subscribed: BTreeSet<String>,
    /// Which of all nodes that ever were it is.
    pub(super) birth: u64,
    /// It takes nothing any more and goes once everything that it took is committed.
    pub(super) leaves: bool,
    stop: CancellationToken,
}

impl Node {
    /// Starts one. Its work ends with the runtime.
    pub(super) fn start(database: &Database<'_>, shape: &Shape, metrics: &Arc<Metrics>, birth: u64) -> Self {
        let (store, gate) = database.open(READERS);
        let (tracker, stop) = (TaskTracker::new(), CancellationToken::new());
        let (broker, redis, hints) = if shape.nodes == 1 {
            (Broker::Local, None, None)
        } else {
            let (broker, redis, reader) = Broker::by_hand(birth, &tracker, &stop);
            (broker, Some(redis), Some(reader))
        };
        let hub = Hub::new(store.clone(), broker, hints, shape.hub.clone(), metrics.clone(), tracker.clone(), stop.clone());
        let writer =
            Writer::start(store.clone(), hub.clone(), shape.writer.clone(), metrics.clone(), &tracker, CancellationToken::new());
        let relay = Relay::default();
        let (passing, until) = (relay.clone(), stop.clone());
        tracker.spawn(async move { until.run_until_cancelled(passing.run()).await });
        let (metrics, subscribed) = (metrics.clone(), BTreeSet::new());
        Self { store, hub, writer, gate, relay, metrics, redis, subscribed, birth, leaves: false, stop }
    }

    /// Whether everything that it took is committed, and it takes nothing more.
    pub(super) fn is_flushed(&self) -> bool {
        self.writer.closed().now_or_never().is_some()
    }

    /// It is gone. What it was about to do waits for leave for ever.
    pub(super) fn end(self) {
        self.stop.cancel();
    }

    /// Looks for what is kept no longer.
    pub(super) fn retain(&self, shape: &Shape) {
        let options = retention::RetentionOptions {
            base: shape.keeps,
            rules: Vec::new(),
            bite: shape.bite,
            busy_percent: 50,
            archive: None,
        };
        let metrics = RetentionMetrics::default();
        let retention = Retention::new(self.store.clone(), Some(self.hub.clone()), options, metrics);
        self.take_turn(retention);
    }

    /// Takes every run that has not ended for lost.
    pub(super) fn reconcile(&self) {
        const AGES: Duration = Duration::from_secs(3_600);
        let patience = Patience { running: Duration::from_nanos(1), pending: Duration::from_nanos(1) };
        let stalled_after = StalledAfter { idle: AGES, tool: AGES, heartbeat: AGES };
        let options = ReconcilerOptions { patience, stalled_after };
        let (store, writer) = (self.store.clone(), self.writer.clone());
        self.take_turn(Reconciler::new(store, writer, options, || true, JobMetrics::default()));
    }

    fn take_turn<J: Job>(&self, mut job: J) {
        let name: LeaseName = J::LEASE;
        let holder = format!("n{}", self.birth).into();
        let mut lease = Lease::new(self.store.clone(), name, holder, TERM, Gauge::default());
        tokio::spawn(async move {
            if lease.hold().await.is_some() {
                job.round(&mut lease).await;
            }
            lease.release().await;
        });
    }
}
