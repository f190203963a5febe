//! What a follower is asked, and what it says: where to begin, and what comes next.

use crate::{
    model::{Cursor, Epoch, FrameBatch, LogState, Offset},
    store::ReadAfter,
};

/// Where to begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Start {
    /// The cursor to continue after, if the viewer has one.
    pub after: Option<Cursor>,
    /// Without a cursor, or when it cannot be continued: where else.
    pub otherwise: Otherwise,
}

/// Where to begin without a usable cursor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Otherwise {
    /// With the oldest activity that is kept.
    Beginning,
    /// With what comes next.
    End,
    /// With the last so many.
    Last(u64),
}

/// What comes next for a viewer.
#[derive(Debug)]
pub enum Step {
    /// Following has begun; without a state, the task does not exist yet.
    Begun {
        /// Where the log stands.
        state: Option<LogState>,
        /// The place that deliveries go on from, in the life of the log that the viewer knows.
        after: Option<Cursor>,
    },
    /// The log lives another life than the cursor, or has less than the cursor says: deliveries start over.
    Reset {
        /// The log's life now.
        epoch: Epoch,
    },
    /// What the cursor should continue with is no longer kept: deliveries go on with `floor`.
    Truncated {
        /// The oldest offset kept.
        floor: Offset,
    },
    /// These come next; the session leaves out what [`super::Follower::filter`] does not want.
    Frames(FrameBatch),
    /// Everything up to here was filtered out.
    Skipped(Offset),
    /// The viewer has everything up to here, and what comes next will be sent as it comes.
    Live(Offset),
    /// The ring does not reach back to the cursor: read this and give it to [`super::Follower::supply`].
    Read(ReadAfter),
    /// Nothing to do until [`super::Follower::changed`].
    Asleep,
    /// The task was deleted; nothing comes any more.
    Deleted,
}
