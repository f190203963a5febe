//! What simulations ask of a hub.

use super::Hub;
use crate::model::{LogState, TaskId};

impl Hub {
    /// Where this node thinks the logs stand that are watched here; of those whose state it has not read yet, nothing.
    pub(crate) fn views(&self) -> Vec<(TaskId, Option<Option<LogState>>)> {
        let mut views: Vec<_> = self.inner.logs.lock().iter().map(|(task, log)| (task.clone(), log.known())).collect();
        views.sort_unstable_by(|one, other| one.0.cmp(&other.0));
        views
    }

    /// Says what is wrong with a ring, if anything is.
    pub(crate) fn check_rings(&self) -> Result<(), String> {
        self.inner.logs.lock().values().try_for_each(|log| log.check(&self.inner.options))
    }
}
