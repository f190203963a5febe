//! How sessions hear that the node stops.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU8, AtomicU32, Ordering},
    },
    time::Duration,
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

/// How a session leaves a node that stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Departure {
    /// When it is closed, from now.
    pub leave_after: Duration,
    /// How long after that its client is told to come back.
    pub reconnect_after: Duration,
}

/// The golden ratio's fraction, times 2^32: its multiples, modulo 1, lie evenly however many there are (Knuth, TAOCP 3, section 6.4).
const GOLDEN: u32 = 0x9E37_79B9;

/// The end of all sessions of a node.
#[derive(Debug, Default)]
pub(crate) struct Ending {
    stage: AtomicU8,
    /// How many sessions have asked when to leave.
    departures: AtomicU32,
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

    /// When the next session that leaves does so. Sessions close evenly over `spread`, and clients come back evenly over `spread` and `window` together:
    /// chosen by chance they would crowd, and two such times added up have a peak in the middle.
    pub(super) fn depart(&self, spread: Duration, window: Duration) -> Departure {
        let number = self.departures.fetch_add(1, Ordering::Relaxed);
        let place = f64::from(number.wrapping_mul(GOLDEN)) / f64::from(u32::MAX);
        Departure { leave_after: spread.mul_f64(place), reconnect_after: window.mul_f64(place) }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn however_many_leave_they_come_back_without_a_crowd() {
        let (spread, window) = (Duration::from_secs(5), Duration::from_secs(5));
        for sessions in [20, 200, 10_000] {
            let ending = Ending::default();
            let mut moments: Vec<Duration> = (0..sessions)
                .map(|_| ending.depart(spread, window))
                .map(|departure| {
                    assert!(departure.leave_after <= spread && departure.reconnect_after <= window);
                    departure.leave_after + departure.reconnect_after
                })
                .collect();
            moments.sort();
            let within =
                |from: usize| moments[from..].iter().take_while(|at| **at < moments[from] + Duration::from_millis(500)).count();
            let most = (0..moments.len()).map(within).max().unwrap_or_default();
            assert!(most * 10 <= sessions, "{most} of {sessions} come back within half a second");
            assert!(sessions * 9 / 10 <= most * 20, "the window is used: {most} of {sessions}");
        }
    }
}
