//! What webhooks count. By the names of endpoints, which are those of the configuration, so there are few.

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};

use super::sender::Failure;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct EndpointLabel {
    endpoint: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReasonLabel {
    endpoint: String,
    reason: &'static str,
}

/// Why a delivery was let go of without having been taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dropped {
    /// More waited than may.
    Full,
    /// It was tried for long enough.
    GivenUp,
    /// The endpoint wants nothing more.
    Gone,
}

impl Dropped {
    pub(crate) const ALL: [Self; 3] = [Self::Full, Self::GivenUp, Self::Gone];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Full => "queue_full",
            Self::GivenUp => "given_up",
            Self::Gone => "gone",
        }
    }
}

/// The handles of what webhooks count.
#[derive(Debug, Clone, Default)]
pub(crate) struct WebhookMetrics {
    delivered: Family<EndpointLabel, Counter>,
    failed: Family<ReasonLabel, Counter>,
    retried: Family<EndpointLabel, Counter>,
    dropped: Family<ReasonLabel, Counter>,
    waiting: Family<EndpointLabel, Gauge>,
    oldest: Family<EndpointLabel, Gauge>,
}

impl WebhookMetrics {
    /// All of them at zero for these endpoints, in `registry`.
    pub(crate) fn register<'a>(registry: &mut Registry, endpoints: impl IntoIterator<Item = &'a str>) -> Self {
        let metrics = Self::default();
        registry.register("webhook_deliveries", "Events that an endpoint took", metrics.delivered.clone());
        registry.register("webhook_failures", "Tries that failed, by why", metrics.failed.clone());
        registry.register("webhook_retries", "Tries that were not the first of their event", metrics.retried.clone());
        registry.register("webhook_dropped", "Events that were let go of, by why", metrics.dropped.clone());
        registry.register(
            "webhook_queue_events",
            "Events that wait for an endpoint, on the node that sends them",
            metrics.waiting.clone(),
        );
        registry.register(
            "webhook_oldest_seconds",
            "How long the oldest of them has waited, on the node that sends them",
            metrics.oldest.clone(),
        );
        for endpoint in endpoints {
            let label = EndpointLabel { endpoint: endpoint.to_owned() };
            let _ = (metrics.delivered.get_or_create(&label).get(), metrics.retried.get_or_create(&label).get());
            for failure in Failure::ALL {
                let _ = metrics.failed.get_or_create(&reason(endpoint, failure.as_str()));
            }
            for dropped in Dropped::ALL {
                let _ = metrics.dropped.get_or_create(&reason(endpoint, dropped.as_str()));
            }
            metrics.set_queue(endpoint, 0, 0);
        }
        metrics
    }

    /// An event was taken.
    pub(super) fn count_delivered(&self, endpoint: &str) {
        self.delivered.get_or_create(&EndpointLabel { endpoint: endpoint.to_owned() }).inc();
    }

    /// A try failed.
    pub(super) fn count_failed(&self, endpoint: &str, failure: Failure) {
        self.failed.get_or_create(&reason(endpoint, failure.as_str())).inc();
    }

    /// An event is tried again.
    pub(super) fn count_retried(&self, endpoint: &str) {
        self.retried.get_or_create(&EndpointLabel { endpoint: endpoint.to_owned() }).inc();
    }

    /// So many events were let go of.
    pub(super) fn count_dropped(&self, endpoint: &str, why: Dropped, count: u64) {
        self.dropped.get_or_create(&reason(endpoint, why.as_str())).inc_by(count);
    }

    /// So many events wait, the oldest for so long.
    pub(super) fn set_queue(&self, endpoint: &str, waiting: u64, oldest_seconds: u64) {
        let label = EndpointLabel { endpoint: endpoint.to_owned() };
        self.waiting.get_or_create(&label).set(i64::try_from(waiting).unwrap_or(i64::MAX));
        self.oldest.get_or_create(&label).set(i64::try_from(oldest_seconds).unwrap_or(i64::MAX));
    }
}

fn reason(endpoint: &str, reason: &'static str) -> ReasonLabel {
    ReasonLabel { endpoint: endpoint.to_owned(), reason }
}
