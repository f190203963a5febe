//! How busy tasks were lately: activities a minute.

use serde::Serialize;

use super::{TaskId, Timestamp};

/// How many spans of time are counted.
pub const RATE_BUCKETS: usize = 30;

/// How long each of them is.
pub const RATE_BUCKET_MILLIS: u64 = 60_000;

/// How many activities were taken in each minute of the last half hour.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Rate {
    /// Whose.
    pub task_id: TaskId,
    /// A count for each minute, oldest first; the last minute is not over yet.
    pub counts: [u64; RATE_BUCKETS],
    /// Whether that is all: only the newest activities are counted, and only those that are kept.
    pub complete: bool,
}

/// The minutes that are counted, the same for all who ask within one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateSpan {
    /// Where the first begins.
    pub from: Timestamp,
    /// Where the last ends, in the future.
    pub until: Timestamp,
}

impl RateSpan {
    /// The last half hour, up to the end of the minute of `now`.
    pub fn up_to(now: Timestamp) -> Self {
        let minute = now.as_millis() / RATE_BUCKET_MILLIS;
        let at = |minute: u64| Timestamp::from_millis(minute * RATE_BUCKET_MILLIS).unwrap_or(Timestamp::MAX);
        Self { from: at((minute + 1).saturating_sub(RATE_BUCKETS as u64)), until: at(minute + 1) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_end_with_the_present_minute() {
        let span = |millis| {
            let span = RateSpan::up_to(Timestamp::from_millis(millis).expect("small"));
            (span.from.as_millis(), span.until.as_millis())
        };
        assert_eq!(span(6_000_000), (4_260_000, 6_060_000));
        assert_eq!(span(6_059_999), (4_260_000, 6_060_000));
        assert_eq!(span(6_060_000), (4_320_000, 6_120_000));
    }
}
