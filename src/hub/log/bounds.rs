//! Whether a ring keeps its bounds and knows what it holds, for the simulation.

use super::Log;
use crate::{hub::HubOptions, model::LogState};

impl Log {
    /// Where the log is thought to stand, if that is known.
    pub(in crate::hub) fn known(&self) -> Option<Option<LogState>> {
        let view = *self.view.borrow();
        view.loaded.then_some(view.log)
    }

    /// Says what is wrong with the ring.
    pub(in crate::hub) fn check(&self, options: &HubOptions) -> Result<(), String> {
        let ring = self.ring.lock();
        let activities: usize = ring.batches.iter().map(|batch| batch.frames().len()).sum();
        let bytes: usize = ring.batches.iter().map(|batch| batch.weight()).sum();
        let early: usize = ring.early.values().map(|batch| batch.weight()).sum();
        if (ring.activities, ring.bytes, ring.early_bytes) != (activities, bytes, early) {
            return Err(format!(
                "{}: a ring of {activities} activities and {bytes} bytes, {early} early, counts {} and {}, {}",
                self.task, ring.activities, ring.bytes, ring.early_bytes
            ));
        }
        if options.ring_activities < activities || options.ring_bytes < bytes || options.ring_bytes < early {
            return Err(format!("{}: a ring holds {activities} activities and {bytes} bytes, {early} early", self.task));
        }
        let holes = ring.batches.iter().zip(ring.batches.iter().skip(1)).any(|(one, next)| one.last().next() != next.first());
        let end = ring.batches.back().map(|batch| (batch.epoch, batch.last()));
        let head = self.view.borrow().log.map(|state| (state.epoch, state.head));
        if holes || (end.is_some() && end != head) {
            return Err(format!("{}: a ring that ends at {end:?} of a log whose head is {head:?}; holes: {holes}", self.task));
        }
        Ok(())
    }
}
