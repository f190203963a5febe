//! How busy tasks were: what both databases count, and what is made of it.

use std::collections::HashMap;

use crate::model::{RATE_BUCKET_MILLIS, RATE_BUCKETS, Rate, RateSpan, TaskId};

use super::plan::LAG;

/// The most activities of a task that are counted, the newest.
pub const RATE_ACTIVITIES: u64 = 2_000;

/// One row: so many activities of a task in one minute.
#[derive(Debug)]
pub(super) struct Counted {
    pub task: TaskId,
    /// Whether anything may have been taken since the first minute.
    pub recent: bool,
    /// Whether activities were removed from the beginning of its log.
    pub trimmed: bool,
    /// The minute, negative before the first; none if nothing was counted.
    pub minute: Option<i64>,
    pub activities: u64,
    /// The least offset among them.
    pub first: u64,
}

/// The numbers that the statements are given: what is recent, where the first minute begins, how long a minute is, how many activities are counted.
pub(super) fn bounds(span: RateSpan) -> [u64; 4] {
    [span.from.minus(LAG).as_millis(), span.from.as_millis(), RATE_BUCKET_MILLIS, RATE_ACTIVITIES]
}

/// A rate for each task that there are rows of.
pub(super) fn rates(rows: impl IntoIterator<Item = Counted>) -> Vec<Rate> {
    let mut all: Vec<Rate> = Vec::new();
    let mut places = HashMap::new();
    for row in rows {
        let place = *places.entry(row.task.clone()).or_insert_with(|| {
            // Nothing to count is all there is, unless it was removed.
            let complete = !row.recent || (row.minute.is_none() && !row.trimmed);
            all.push(Rate { task_id: row.task, counts: [0; RATE_BUCKETS], complete });
            all.len() - 1
        });
        let rate = &mut all[place];
        match row.minute.map(usize::try_from) {
            Some(Ok(minute)) => {
                // A node's clock may be ahead of this one's.
                rate.counts[minute.min(RATE_BUCKETS - 1)] += row.activities;
                rate.complete |= row.first == 1;
            }
            Some(Err(_)) => rate.complete = true,
            None => {}
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(minute: Option<i64>, first: u64) -> Counted {
        let task = "t".parse().expect("valid");
        Counted { task, recent: true, trimmed: false, minute, activities: 2, first }
    }

    #[test]
    fn a_count_is_complete_if_it_reaches_back_to_the_first_minute_or_to_the_first_activity() {
        let complete = |rows: Vec<Counted>| rates(rows)[0].complete;
        assert!(complete(vec![row(Some(3), 7), row(Some(-1), 5)]), "something older was seen");
        assert!(complete(vec![row(Some(3), 7), row(Some(2), 1)]), "there is nothing older");
        assert!(!complete(vec![row(Some(3), 7), row(Some(2), 5)]), "there is more than was counted");
        assert!(complete(vec![row(None, 0)]), "an empty log");
        assert!(!complete(vec![Counted { trimmed: true, ..row(None, 0) }]), "everything was removed lately");
        assert!(complete(vec![Counted { trimmed: true, recent: false, ..row(None, 0) }]), "it was removed, but is old");
    }

    #[test]
    fn counts_are_put_into_their_minutes() {
        let rate = rates([row(Some(0), 9), row(Some(29), 30), row(Some(31), 40)]).remove(0);
        assert_eq!((rate.counts[0], rate.counts[29], rate.counts.iter().sum::<u64>()), (2, 4, 6), "{rate:?}");
    }
}
