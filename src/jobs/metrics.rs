//! What jobs count.

use std::collections::BTreeMap;

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};

use super::reconciler::Outcome;
use crate::{model::StalledReason, store::LeaseName};

/// Which lease.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct LeaseLabel {
    lease: &'static str,
}

/// What became of a run that was to be written about.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabel {
    outcome: &'static str,
}

/// Why runs are stalled.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReasonLabel {
    reason: &'static str,
}

/// The handles of what jobs count.
#[derive(Debug, Clone, Default)]
pub(crate) struct JobMetrics {
    leases: Family<LeaseLabel, Gauge>,
    reconciled: Family<OutcomeLabel, Counter>,
    stalled: Family<ReasonLabel, Gauge>,
}

impl JobMetrics {
    /// All of them at zero, in `registry`.
    pub(crate) fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        registry.register("lease_held", "Whether this node does what one node at a time does", metrics.leases.clone());
        registry.register(
            "runs_reconciled",
            "Runs that the reconciler wrote about, by what became of it",
            metrics.reconciled.clone(),
        );
        registry.register(
            "runs_stalled",
            "Stalled runs, by reason, on the node that has the reconciler's lease",
            metrics.stalled.clone(),
        );
        for outcome in Outcome::ALL {
            let _ = metrics.reconciled.get_or_create(&OutcomeLabel { outcome: outcome.as_str() });
        }
        metrics.set_stalled(&BTreeMap::new());
        metrics
    }

    /// Something was to be written about a run.
    pub(super) fn count(&self, outcome: Outcome) {
        self.reconciled.get_or_create(&OutcomeLabel { outcome: outcome.as_str() }).inc();
    }

    /// So many runs are stalled.
    pub(super) fn set_stalled(&self, counts: &BTreeMap<StalledReason, i64>) {
        for reason in [StalledReason::Waiting, StalledReason::Tool, StalledReason::Heartbeat, StalledReason::Idle] {
            let gauge = self.stalled.get_or_create(&ReasonLabel { reason: word(reason) });
            gauge.set(counts.get(&reason).copied().unwrap_or_default());
        }
    }

    /// Whether this node has the lease.
    pub(super) fn held(&self, lease: LeaseName) -> Gauge {
        self.leases.get_or_create(&LeaseLabel { lease: lease.as_str() }).clone()
    }
}

fn word(reason: StalledReason) -> &'static str {
    match reason {
        StalledReason::Waiting => "waiting",
        StalledReason::Tool => "tool",
        StalledReason::Heartbeat => "heartbeat",
        StalledReason::Idle => "idle",
    }
}
