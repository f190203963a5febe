//! When two states of this machine are the same: whatever happens next, they go on alike. The exhaustive check (`tests/model`) goes through
//! each state once, and tells them apart by this.

use std::{
    collections::BTreeMap,
    hash::{Hash, Hasher},
};

use super::{Ownership, place::Place};

impl Hash for Ownership {
    fn hash<H: Hasher>(&self, state: &mut H) {
        debug_assert!(self.acts.is_empty(), "what is to be done is done first");
        let mut known: Vec<_> = self.known.iter().collect();
        known.sort_unstable();
        let places: BTreeMap<_, _> = self.places.iter().collect();
        (&self.me, &self.members.alive, &self.members.able, known, places, &self.former).hash(state);
    }
}

impl Hash for Place {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let listeners: BTreeMap<_, _> = self.listeners.iter().collect();
        (&self.role, self.listens, self.subscribed, &self.held, self.heard, self.turned, listeners).hash(state);
        (self.since, self.interrupted, self.claims, self.unsure, self.early).hash(state);
    }
}
