//! The words of Tasklight as types: ids, cursors, activities, invocations, and the bytes that viewers get.
//!
//! Everything here is pure: no clock but [`Timestamp::now`], no I/O, nothing shared. Outside input becomes one of these types once,
//! at the edge, and is trusted from there on.

mod activity;
mod cursor;
mod fields;
mod filter;
mod frame;
mod id;
mod invocation;
mod json;
mod rate;
mod reject;
mod search;
mod stalled;
mod task;
mod text_frame;
mod time;
mod trace;
mod transition;

pub use activity::{Activity, ActivityType, Data, Effect, NewActivity, Series, StatusChange};
pub use cursor::{Cursor, Epoch, Offset};
pub use fields::Fields;
pub use filter::Filter;
pub use frame::{Frame, FrameBatch, FrameBuilder};
pub use id::{EventId, InvocationId, TaskId};
pub use invocation::Status;
pub use json::{JsonFault, JsonLimits, check as check_json};
pub use rate::{RATE_BUCKET_MILLIS, RATE_BUCKETS, Rate, RateSpan};
pub use reject::Reject;
pub use search::{Excerpt, Needle};
pub use stalled::{Doing, Evidence, NEEDS_APPROVAL, Stalled, StalledAfter, StalledReason, WAITING_FOR_PROMPT};
pub use task::{Invocation, LogState, StatusCounts, TaskSummary};
pub use text_frame::text_frame;
pub use time::Timestamp;
pub use trace::TraceContext;
pub use transition::{Became, Transition};

/// A value that does not have the form its type asks for: what was wrong, in words for the one who sent it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Invalid(pub(crate) String);

impl Invalid {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }
}
