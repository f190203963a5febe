//! What jobs count.

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{family::Family, gauge::Gauge},
    registry::Registry,
};

use crate::store::LeaseName;

/// Which lease.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct LeaseLabel {
    lease: &'static str,
}

/// The handles of what jobs count.
#[derive(Debug, Clone, Default)]
pub(crate) struct JobMetrics {
    leases: Family<LeaseLabel, Gauge>,
}

impl JobMetrics {
    /// All of them at zero, in `registry`.
    pub(crate) fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        registry.register("lease_held", "Whether this node does what one node at a time does", metrics.leases.clone());
        metrics
    }

    /// Whether this node has the lease.
    pub(super) fn held(&self, lease: LeaseName) -> Gauge {
        self.leases.get_or_create(&LeaseLabel { lease: lease.as_str() }).clone()
    }
}
