//! How a node lets go of its tasks: because it is full, because it stops, or because it was no member for a while.

use std::time::Instant;

use super::{
    Act, Move, Ownership,
    place::{Claim, Role},
};
use crate::model::TaskId;

impl Ownership {
    /// Whether others still rely on this node: it takes something, is about to, or holds what is not settled.
    pub(crate) fn is_busy(&self) -> bool {
        self.places.values().any(|place| {
            !place.held.is_empty() || matches!(place.role, Role::Owner | Role::Leaving { .. } | Role::Arriving { .. })
        })
    }

    /// Whether it holds what is for it to store once others have stored what came before.
    pub(crate) fn is_coming(&self) -> bool {
        self.places.values().any(|place| matches!(place.role, Role::Arriving { .. }) && !place.held.is_empty())
    }

    /// This node will own nothing from now on, and its channels are let go at once: its queue is full, or it stops. What it has taken, and
    /// what is still on its way, it stores.
    pub(crate) fn withdraw(&mut self, now: Instant) {
        let tasks: Vec<_> = self.places.keys().cloned().collect();
        for task in tasks {
            let Some(place) = self.places.get_mut(&task) else { continue };
            if place.let_go() {
                self.acts.push(Act::Unsubscribe(task.clone()));
            }
            match place.role {
                Role::Owner | Role::Leaving { .. } => {
                    place.role = Role::Withdrawn { since: now };
                    self.acts.push(Act::Moved(Move::Lost));
                }
                Role::Withdrawn { .. } => place.role = Role::Withdrawn { since: now },
                Role::Arriving { claim, .. } => {
                    place.role = Role::Withdrawn { since: now };
                    if claim != Claim::Mine {
                        self.drop_anonymous(&task, 0);
                    }
                    self.append_held(&task, u64::MAX);
                }
                Role::Standby | Role::Lingering { .. } => {
                    place.role = Role::Lingering { since: now };
                    self.drop_anonymous(&task, 0);
                    // What is still on its way is held until whoever takes it now has stored it: stored from here it would overtake.
                    self.acts.push(Act::HearAcks(task.clone()));
                }
            }
        }
    }

    /// This node may own tasks again, whether or not anybody has noticed that it might not: it takes up what is its own by the members that it
    /// knows.
    pub(crate) fn come_back(&mut self, now: Instant) {
        self.review_all(now);
    }

    /// This node has had no part in the task for long enough. Where much is published there is always something held: then it listens no more, and
    /// goes once what it has heard is stored.
    pub(super) fn go(&mut self, task: &TaskId) {
        let Some(place) = self.places.get_mut(task) else { return };
        if place.held.is_empty() {
            self.remove(task);
        } else if place.let_go() {
            self.acts.push(Act::Unsubscribe(task.clone()));
            self.acts.push(Act::HearAcks(task.clone()));
        }
    }

    /// This node ends: whatever it still holds is stored, whoever else may have it.
    pub(crate) fn give_up(&mut self) {
        let tasks: Vec<_> =
            self.places.iter().filter(|(_, place)| !place.held.is_empty()).map(|(task, _)| task.clone()).collect();
        for task in tasks {
            self.append_held(&task, u64::MAX);
        }
    }

    /// This node was no member for a while: others have taken over. What it holds with an `eventId` stays until the store has it.
    pub(crate) fn lapsed(&mut self, now: Instant) {
        let members = std::mem::take(&mut self.members);
        if !members.alive.is_empty() {
            self.former = Some((members.alive, now + self.options.return_within));
        }
        let tasks: Vec<_> = self.places.keys().cloned().collect();
        for task in tasks {
            self.drop_anonymous(&task, 0);
            let Some(place) = self.places.get_mut(&task) else { continue };
            if place.let_go() {
                self.acts.push(Act::Unsubscribe(task.clone()));
            }
            if matches!(place.role, Role::Owner | Role::Leaving { .. }) {
                self.acts.push(Act::Moved(Move::Lost));
            }
            place.role = Role::Lingering { since: now };
            if place.held.is_empty() {
                self.remove(&task);
            }
        }
    }
}
