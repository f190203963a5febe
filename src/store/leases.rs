//! Leases: what one node at a time does. By the database's clock, so that nodes need not agree on the time.
//!
//! Whoever has a lease holds a [`Fence`], and shows it with what it writes: in the same transaction the lease's row is looked at and locked against
//! a change of the holder (`holds` in `postgres_leases` and `sqlite_leases`). A holder that was stopped and wakes up writes nothing.

use std::time::Duration;

use super::{Store, StoreError};
use crate::model::Timestamp;

/// An expiry that is further away than any lease lasts was written by a clock that was wrong: it does not count.
pub(super) const LONGEST: Duration = Duration::from_secs(3_600);

/// What one node at a time does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LeaseName {
    /// Finds runs that nobody hears of any more.
    Reconciler,
    /// Removes what is kept no longer.
    Retention,
    /// Tells others what becomes of runs.
    Webhooks,
}

impl LeaseName {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Reconciler, Self::Retention, Self::Webhooks];

    /// The name as stored.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Reconciler => "reconciler",
            Self::Retention => "retention",
            Self::Webhooks => "webhooks",
        }
    }
}

/// The right to write what a lease's holder writes. It ends when another node takes the lease over, and when the lease runs out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fence {
    /// Which lease.
    pub lease: LeaseName,
    /// The number of this holder; each has a greater one than those before it, and one that was away too long has another afterwards.
    pub token: i64,
}

/// A lease that was just acquired or renewed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeldLease {
    /// The right that goes with it.
    pub fence: Fence,
    /// Since when some node has had it, without a gap longer than a lease lasts after it ran out.
    pub since: Timestamp,
    /// The database's time.
    pub now: Timestamp,
}

/// A lease's row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaseRow {
    /// Its name.
    pub name: String,
    /// Who has it; nobody after it was given back.
    pub holder: Option<String>,
    /// The holder's number.
    pub token: i64,
    /// Since when some node has had it.
    pub since: Timestamp,
    /// When it runs out, unless it is renewed.
    pub expires_at: Timestamp,
}

impl Store {
    /// Takes the lease for `term`, if nobody has it or it has run out. Nothing if somebody has it.
    pub async fn acquire_lease(&self, lease: LeaseName, holder: &str, term: Duration) -> Result<Option<HeldLease>, StoreError> {
        each!(self, store => store.acquire_lease(lease, holder, term).await)
    }

    /// Keeps the lease for another `term`, also if it has run out and nobody took it; after a gap that counts it is as if it were taken anew, with another
    /// token. Nothing if it is not this holder's any more.
    pub async fn renew_lease(&self, fence: Fence, term: Duration) -> Result<Option<HeldLease>, StoreError> {
        each!(self, store => store.renew_lease(fence, term).await)
    }

    /// Gives the lease back, so that another node need not wait until it runs out.
    pub async fn release_lease(&self, fence: Fence) -> Result<(), StoreError> {
        each!(self, store => store.release_lease(fence).await)
    }

    /// All leases that were ever taken, and the database's time.
    pub async fn leases(&self) -> Result<(Vec<LeaseRow>, Timestamp), StoreError> {
        each!(self, store => store.leases().await)
    }
}
