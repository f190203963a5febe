//! What a node counts, for Prometheus. Names are `tasklight_<noun>_<unit>`; labels are closed and few, and never a task.

use std::sync::Arc;

use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::Registry,
};

/// Why something was refused: one of the stable codes.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Code {
    pub code: &'static str,
}

/// The handles of everything that is counted.
#[derive(Debug)]
pub(crate) struct Metrics {
    pub appended: Counter,
    pub duplicates: Counter,
    pub heartbeats: Counter,
    pub rejected: Family<Code, Counter>,
    pub replaced_characters: Counter,
    pub queue_activities: Gauge,
    pub queue_bytes: Gauge,
    pub batch_activities: Histogram,
    pub commit_seconds: Histogram,
    pub store_retries: Counter,
    pub cold_reads: Counter,
    pub gaps: Counter,
    pub sessions: Gauge,
    pub delivered: Counter,
    pub closed: Family<Code, Counter>,
}

impl Metrics {
    /// All of them at zero, and the registry that writes them out.
    pub(crate) fn new() -> (Arc<Self>, Registry) {
        let metrics = Self {
            appended: Counter::default(),
            duplicates: Counter::default(),
            heartbeats: Counter::default(),
            rejected: Family::default(),
            replaced_characters: Counter::default(),
            queue_activities: Gauge::default(),
            queue_bytes: Gauge::default(),
            batch_activities: Histogram::new([1., 3., 10., 30., 100., 300., 1_000., 3_000.]),
            commit_seconds: Histogram::new([0.000_3, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1., 3.]),
            store_retries: Counter::default(),
            cold_reads: Counter::default(),
            gaps: Counter::default(),
            sessions: Gauge::default(),
            delivered: Counter::default(),
            closed: Family::default(),
        };
        let mut registry = Registry::with_prefix("tasklight");
        let m = &metrics;
        registry.register("activities_appended", "Activities committed to the store", m.appended.clone());
        registry.register("activities_duplicate", "Activities that were in the store already", m.duplicates.clone());
        registry.register("heartbeats_taken", "Heartbeats taken", m.heartbeats.clone());
        registry.register("activities_rejected", "Activities refused, by code", m.rejected.clone());
        registry.register("characters_replaced", "NUL and lone surrogates turned into U+FFFD", m.replaced_characters.clone());
        registry.register("writer_queue_activities", "Activities that wait for their commit", m.queue_activities.clone());
        registry.register("writer_queue_bytes", "Bytes that wait for their commit", m.queue_bytes.clone());
        registry.register("writer_batch_activities", "Activities in a commit", m.batch_activities.clone());
        registry.register("writer_commit_seconds", "How long a commit took", m.commit_seconds.clone());
        registry.register("writer_retries", "Commits tried again because the store did not answer", m.store_retries.clone());
        registry.register("hub_cold_reads", "Pages of old activities read from the store", m.cold_reads.clone());
        registry.register("hub_gaps", "Gaps in a ring filled from the store", m.gaps.clone());
        registry.register("sessions_open", "WebSocket and SSE sessions now", m.sessions.clone());
        registry.register("activities_delivered", "Activities written to sessions", m.delivered.clone());
        registry.register("sessions_closed", "Sessions closed by the hub, by reason", m.closed.clone());
        (Arc::new(metrics), registry)
    }
}

/// The text that Prometheus scrapes (OpenMetrics 1.0).
pub(crate) fn write_out(registry: &Registry) -> String {
    let mut text = String::new();
    encode(&mut text, registry).expect("writing to memory does not fail");
    text
}
