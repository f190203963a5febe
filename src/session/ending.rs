//! How sessions hear that the node stops.

use std::sync::{
    Arc,
    atomic::{AtomicU8, Ordering},
};

use crate::hub::{Audience, HasAudience, Mailbox, Relay, Seat, Slot};

/// What sessions are to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stage {
    /// Go on.
    Open,
    /// Tell the client where to continue, and close within the time for that.
    Draining,
    /// End at once.
    Over,
}

/// The slot under which an ending is noted in mailboxes.
const SLOT: Slot = Slot::MAX;

/// The end of all sessions of a node.
#[derive(Debug, Default)]
pub(crate) struct Ending {
    stage: AtomicU8,
    audience: Audience,
}

impl Ending {
    /// Has all sessions told.
    pub(crate) fn set(&self, stage: Stage) {
        self.stage.store(stage as u8, Ordering::SeqCst);
        self.audience.tell();
    }

    /// Has all sessions look at whether they may go on.
    pub(crate) fn look(&self) {
        self.audience.tell();
    }

    /// How far it is.
    pub(crate) fn stage(&self) -> Stage {
        match self.stage.load(Ordering::SeqCst) {
            0 => Stage::Open,
            1 => Stage::Draining,
            _ => Stage::Over,
        }
    }

    /// Has `mailbox` woken when the stage changes, while the seat is held.
    pub(super) fn hear(self: &Arc<Self>, relay: &Relay, mailbox: Arc<Mailbox>) -> Seat<Self> {
        Seat::take(self.clone(), relay, mailbox, SLOT)
    }
}

impl HasAudience for Ending {
    fn audience(&self) -> &Audience {
        &self.audience
    }
}
