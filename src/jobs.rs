//! What the nodes do by themselves, each job on one node at a time: whichever has the job's lease. If that node dies, another one goes on with it when the
//! lease has run out; if it stops in order, at once. On a single node the same code runs, beside nobody.

mod lease;
mod metrics;
mod reconciler;
pub(crate) mod retention;

use std::{sync::Arc, time::Duration};

use tokio::time::{Instant, sleep};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::store::{LeaseName, Store};

pub(crate) use lease::{Held, Lease};
pub(crate) use metrics::JobMetrics;
pub(crate) use reconciler::{Patience, Reconciler, ReconcilerOptions};
pub(crate) use retention::{Retention, RetentionMetrics};

/// Work that is done in rounds, on one node at a time.
pub(crate) trait Job: Send + 'static {
    /// Whose turn it is.
    const LEASE: LeaseName;

    /// Whether this node may do it at present. One that has the lease and may not gives it back.
    fn may(&self) -> bool {
        true
    }

    /// One round. Long ones ask [`Lease::hold`] between their steps, which keeps the lease and says whether to go on, and show what it gives with everything
    /// that they write.
    fn round(&mut self, lease: &mut Lease) -> impl Future<Output = ()> + Send;

    /// This node does not have the lease (any more).
    fn stand_down(&mut self) {}
}

/// What jobs need to take turns.
#[derive(Debug, Clone)]
pub(crate) struct Jobs {
    /// Where the leases are.
    pub store: Store,
    /// This process among all, also among those of this node that were before.
    pub holder: Arc<str>,
    /// How long a holder that is not heard of keeps a lease.
    pub term: Duration,
    /// What is counted.
    pub metrics: JobMetrics,
}

impl Jobs {
    /// Does the job every `interval` while this node has its lease, on `tracker` until `stop`; then the lease is given back.
    pub(crate) fn start<J: Job>(&self, job: J, interval: Duration, tracker: &TaskTracker, stop: CancellationToken) {
        let held = self.metrics.held(J::LEASE);
        let lease = Lease::new(self.store.clone(), J::LEASE, self.holder.clone(), self.term, held);
        tracker.spawn(take_turns(job, lease, interval, stop));
    }
}

/// Tries for the lease, or keeps it, several times in a term, and does a round whenever one is due.
async fn take_turns<J: Job>(mut job: J, mut lease: Lease, interval: Duration, stop: CancellationToken) {
    let mut next_round = Instant::now();
    loop {
        // Not all nodes at the same moment, and the holder well before its time is up.
        let pause = lease.pace().mul_f64(rand::random_range(0.5..1.0)).min(interval);
        if stop.run_until_cancelled(sleep(pause)).await.is_none() {
            break;
        }
        if !job.may() {
            lease.release().await;
            job.stand_down();
            continue;
        }
        if lease.hold().await.is_none() {
            job.stand_down();
            continue;
        }
        if Instant::now() < next_round {
            continue;
        }
        next_round = Instant::now() + interval;
        // What a round was about to write is refused or stored as a whole; it can be left at any time.
        if stop.run_until_cancelled(job.round(&mut lease)).await.is_none() {
            break;
        }
    }
    lease.release().await;
}
