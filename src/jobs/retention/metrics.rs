//! What retention counts.

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, histogram::Histogram},
    registry::Registry,
};

use super::Reason;

/// Why something was removed.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReasonLabel {
    reason: &'static str,
}

/// The handles of what retention counts.
#[derive(Debug, Clone)]
pub(crate) struct RetentionMetrics {
    activities: Family<ReasonLabel, Counter>,
    pub(super) bytes: Counter,
    pub(super) tasks: Counter,
    pub(super) archived: Counter,
    pub(super) archive_failures: Counter,
    pub(super) round_seconds: Histogram,
}

impl RetentionMetrics {
    /// All of them at zero, in `registry`.
    pub(crate) fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        let m = &metrics;
        registry.register("retention_activities", "Activities removed, by the reason", m.activities.clone());
        registry.register("retention_bytes", "Bytes of their payloads", m.bytes.clone());
        registry.register("retention_tasks", "Finished tasks deleted", m.tasks.clone());
        registry.register("retention_archived", "Activities written to the archive", m.archived.clone());
        registry.register(
            "retention_archive_failures",
            "Parts that could not be archived, so nothing was removed",
            m.archive_failures.clone(),
        );
        registry.register(
            "retention_round_seconds",
            "How long a look at all tasks took, with all that it removed",
            m.round_seconds.clone(),
        );
        for reason in Reason::ALL {
            let _at_zero = m.activities.get_or_create(&ReasonLabel { reason: reason.as_str() });
        }
        metrics
    }

    pub(super) fn removed(&self, reason: Reason, activities: u64, bytes: u64) {
        self.activities.get_or_create(&ReasonLabel { reason: reason.as_str() }).inc_by(activities);
        self.bytes.inc_by(bytes);
    }
}

impl Default for RetentionMetrics {
    fn default() -> Self {
        Self {
            activities: Family::default(),
            bytes: Counter::default(),
            tasks: Counter::default(),
            archived: Counter::default(),
            archive_failures: Counter::default(),
            round_seconds: Histogram::new([0.01, 0.1, 1., 10., 60., 600., 3_600.]),
        }
    }
}
