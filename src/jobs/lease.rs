//! A job's lease as this node sees it.

use std::{sync::Arc, time::Duration};

use prometheus_client::metrics::gauge::Gauge;
use tokio::time::Instant;

use crate::{
    model::Timestamp,
    store::{Fence, HeldLease, LeaseName, Store, StoreError},
};

/// How often in its term a lease is renewed.
const RENEWALS: u32 = 3;

/// A lease that this node has, or tries for.
#[derive(Debug)]
pub(crate) struct Lease {
    store: Store,
    name: LeaseName,
    holder: Arc<str>,
    term: Duration,
    held: Option<Held>,
    gauge: Gauge,
    /// Whether a store that does not answer was told of.
    told: bool,
}

/// What goes with having a lease.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Held {
    lease: HeldLease,
    asked: Instant,
}

impl Held {
    /// To be shown with everything that is written.
    pub(crate) fn fence(&self) -> Fence {
        self.lease.fence
    }

    /// Since when some node has had the lease without a gap that counts.
    pub(crate) fn since(&self) -> Timestamp {
        self.lease.since
    }

    /// The time: the database's as far as it is known, or this machine's if that is earlier. While the machine sleeps it stands still.
    pub(crate) fn now(&self) -> Timestamp {
        self.lease.now.plus(self.asked.elapsed()).min(Timestamp::now())
    }
}

impl Lease {
    pub(crate) fn new(store: Store, name: LeaseName, holder: Arc<str>, term: Duration, gauge: Gauge) -> Self {
        Self { store, name, holder, term, held: None, gauge, told: false }
    }

    /// How long it may be until [`Lease::hold`] is asked again.
    pub(crate) fn pace(&self) -> Duration {
        self.term / RENEWALS
    }

    /// What goes with the lease if this node has it: takes it if nobody has it, and renews it when it is time. Nothing if another node has it, or nobody can
    /// know, because the store has not answered for a whole term.
    pub(crate) async fn hold(&mut self) -> Option<Held> {
        if let Some(held) = self.held.filter(|held| held.asked.elapsed() < self.pace()) {
            return Some(held);
        }
        let asked = Instant::now();
        let answer = match self.held {
            Some(held) => self.store.renew_lease(held.fence(), self.term).await,
            None => self.store.acquire_lease(self.name, &self.holder, self.term).await,
        };
        self.note(answer, asked);
        self.held
    }

    /// Gives it back, if this node has it.
    pub(crate) async fn release(&mut self) {
        let Some(held) = self.held.take() else { return };
        self.gauge.set(0);
        if let Err(error) = self.store.release_lease(held.fence()).await {
            tracing::debug!(%error, lease = self.name.as_str(), "the lease could not be given back; it runs out");
        }
    }

    fn note(&mut self, answer: Result<Option<HeldLease>, StoreError>, asked: Instant) {
        let name = self.name.as_str();
        let had = self.held.is_some();
        match answer {
            Ok(Some(lease)) => {
                if !had {
                    tracing::info!(lease = name, token = lease.fence.token, "this node has the lease");
                }
                self.held = Some(Held { lease, asked });
                self.told = false;
            }
            Ok(None) => {
                if had {
                    tracing::warn!(lease = name, "another node has taken the lease over");
                }
                self.held = None;
                self.told = false;
            }
            Err(error) => {
                if !std::mem::replace(&mut self.told, true) {
                    tracing::warn!(%error, lease = name, "the store does not say who has the lease; trying again");
                }
                self.held.take_if(|held| self.term <= held.asked.elapsed());
            }
        }
        self.gauge.set(i64::from(self.held.is_some()));
    }
}
