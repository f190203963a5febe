//! What webhooks have yet to be told of, and what is still to be sent.
//!
//! A move of a run is noted in the commit that makes it (`transitions`), if any node has webhooks; so no crash can lose it, and nobody has to look for it. The
//! one node that has the lease hands each move out to the endpoints that want it (`deliveries`) and takes the note away in the same transaction; a
//! delivery stays until it was taken, or given up.

use std::{collections::BTreeMap, time::Duration};

use super::{Fence, Store, StoreError};
use crate::model::{Became, Timestamp, Transition};

/// A move that was not handed out yet, with what its task is called now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Untold {
    /// Its key in the store.
    pub key: i64,
    /// The move.
    pub transition: Transition,
    /// The task's title; none if the task is gone.
    pub title: Option<String>,
    /// The task's labels.
    pub labels: BTreeMap<String, String>,
}

/// What an endpoint is to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewDelivery {
    /// The endpoint's name.
    pub endpoint: String,
    /// The event's id, the same for all endpoints and all tries.
    pub event: String,
    /// Those of the same run go in order.
    pub run: String,
    /// When it was handed out; it is given up some time after.
    pub at: Timestamp,
    /// The body, sent as it is.
    pub body: String,
}

/// What is to be sent now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// Its key in the store.
    pub key: i64,
    /// The event's id.
    pub event: String,
    /// When it was handed out.
    pub at: Timestamp,
    /// How often it was tried.
    pub attempts: u32,
    /// The body.
    pub body: String,
}

/// What there is for an endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NextDelivery {
    /// This is to be sent now: the oldest that is due, and the oldest of its run.
    Due(Delivery),
    /// Something is due then.
    Later(Timestamp),
    /// Nothing waits.
    None,
}

/// What waits for an endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Queue {
    /// The endpoint's name.
    pub endpoint: String,
    /// How many.
    pub waiting: u64,
    /// When the oldest was handed out.
    pub oldest: Option<Timestamp>,
}

/// A run that is stalled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stall {
    /// The run's key in the store.
    pub run: i64,
    /// What is told of it; its time is the one from when on it was stalled.
    pub transition: Transition,
}

impl Store {
    /// Has moves of runs noted for so long from now, by all nodes; gives since when there was such a wish without a gap.
    pub async fn wish_for_transitions(&self, term: Duration) -> Result<Timestamp, StoreError> {
        each!(self, store => store.wish_for_transitions(term).await)
    }

    /// Removes what was noted and nobody wants any more.
    pub async fn forget_unwanted(&self) -> Result<(), StoreError> {
        each!(self, store => store.forget_unwanted().await)
    }

    /// Moves that were not handed out yet, at most so many, those of a task in their order.
    pub async fn untold(&self, limit: usize) -> Result<Vec<Untold>, StoreError> {
        each!(self, store => store.untold(limit).await)
    }

    /// Hands out: takes the moves with these keys away and puts the deliveries there, both or neither. Says whether the fence held.
    pub async fn hand_out(&self, fence: Fence, told: &[i64], deliveries: &[NewDelivery]) -> Result<bool, StoreError> {
        each!(self, store => store.hand_out(fence, told, deliveries).await)
    }

    /// Notes that these runs are stalled, each once for each time from when on it is. Says whether the fence held.
    pub async fn note_stalls(&self, fence: Fence, stalls: &[Stall]) -> Result<bool, StoreError> {
        debug_assert!(stalls.iter().all(|stall| stall.transition.became == Became::Stalled));
        each!(self, store => store.note_stalls(fence, stalls).await)
    }

    /// Forgets which runs were told to be stalled, of those that have ended since.
    pub async fn forget_told_stalls(&self) -> Result<(), StoreError> {
        each!(self, store => store.forget_told_stalls().await)
    }

    /// What is to be sent to an endpoint next.
    pub async fn next_delivery(&self, endpoint: &str, now: Timestamp) -> Result<NextDelivery, StoreError> {
        each!(self, store => store.next_delivery(endpoint, now).await)
    }

    /// Removes a delivery: it was taken, or is given up.
    pub async fn end_delivery(&self, key: i64) -> Result<(), StoreError> {
        each!(self, store => store.end_delivery(key).await)
    }

    /// Counts a try that failed; the next one is not before `due_at`.
    pub async fn postpone_delivery(&self, key: i64, due_at: Timestamp) -> Result<(), StoreError> {
        each!(self, store => store.postpone_delivery(key, due_at).await)
    }

    /// Removes the oldest of an endpoint's deliveries until `keep` are left; says how many it removed.
    pub async fn drop_oldest_deliveries(&self, endpoint: &str, keep: usize) -> Result<u64, StoreError> {
        each!(self, store => store.drop_oldest_deliveries(endpoint, keep).await)
    }

    /// Removes what was handed out before `at` to endpoints other than these; says how many.
    pub async fn drop_deliveries_of_others(&self, endpoints: &[String], before: Timestamp) -> Result<u64, StoreError> {
        each!(self, store => store.drop_deliveries_of_others(endpoints, before).await)
    }

    /// What waits, for each endpoint for which something does.
    pub async fn delivery_queues(&self) -> Result<Vec<Queue>, StoreError> {
        each!(self, store => store.delivery_queues().await)
    }
}

/// A move as it is kept.
pub(super) fn written(transition: &Transition) -> String {
    serde_json::to_string(transition).expect("ids, words and texts are JSON")
}

/// A move as it was kept.
pub(super) fn read(data: &str) -> Result<Transition, StoreError> {
    serde_json::from_str(data).map_err(|error| StoreError::Refused(format!("a transition cannot be read: {error}")))
}

/// A task's labels as they are kept.
pub(super) fn labels(text: Option<&str>) -> BTreeMap<String, String> {
    text.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default()
}
