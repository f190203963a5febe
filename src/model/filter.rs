//! Which activities of a log a viewer wants.

use super::{ActivityType, InvocationId};

/// A choice of activities. The default wants all of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Only these types; empty for all.
    pub types: Vec<ActivityType>,
    /// Only this run.
    pub invocation: Option<InvocationId>,
    /// Leave out the pieces of series that are closed by now. Only reads from the store know which are; live pieces are all wanted.
    pub finished_series: bool,
}

impl Filter {
    /// How many offsets one read looks at, at most, for the activities that are wanted: there may be none of them in millions.
    pub const WINDOW: u64 = 20_000;

    /// How many offsets one read looks at. Where all are wanted the page ends by its own bounds.
    pub fn window(&self) -> u64 {
        if *self == Self::default() { u64::MAX } else { Self::WINDOW }
    }

    /// Whether nothing is left out while live.
    pub fn wants_all(&self) -> bool {
        self.types.is_empty() && self.invocation.is_none()
    }

    /// Whether an activity of this type and run is wanted.
    pub fn wants(&self, kind: ActivityType, invocation: &InvocationId) -> bool {
        (self.types.is_empty() || self.types.contains(&kind)) && self.invocation.as_ref().is_none_or(|id| id == invocation)
    }
}
