//! What viewers who come back have seen, all together.

use hdrhistogram::Histogram;

/// The longest time that is told apart from longer ones, in nanoseconds.
const LONGEST: u64 = 300_000_000_000;

/// Counts and times of all viewers; times in nanoseconds.
#[derive(Debug, Clone)]
pub struct Tally {
    /// Activities that were new to their viewer.
    pub received: u64,
    /// That a viewer had seen before.
    pub repeated: u64,
    /// That a viewer never got: it was given a later one.
    pub skipped: u64,
    /// Logs that were begun anew or had been cut off at their beginning.
    pub resets: u64,
    /// Connections that their viewers cut.
    pub cuts: u64,
    /// Connections that the server closed or lost.
    pub lost: u64,
    /// Tries to connect that failed.
    pub failures: u64,
    /// When those who were told when to come back began to do so.
    pub sent_away: Vec<u64>,
    /// Returns: a viewer was live again.
    pub returns: u64,
    /// Returns that were cut again before.
    pub cut_again: u64,
    /// From when an activity should have been published until its viewer had it, for all of them, however long the viewer was away.
    pub delivery: Histogram<u64>,
    /// The same of those that came while their viewer was live.
    pub live: Histogram<u64>,
    /// From the first packet of a return, of its first try, until everything missed was there; of those that were cut again, until that.
    pub replay: Histogram<u64>,
    /// From the subscription on until everything missed was there.
    pub resume: Histogram<u64>,
    /// From the end of a connection until everything missed was there.
    pub downtime: Histogram<u64>,
}

impl Tally {
    pub fn new() -> Self {
        let times = Histogram::new_with_bounds(1, LONGEST, 3).expect("valid bounds");
        Self {
            received: 0,
            repeated: 0,
            skipped: 0,
            resets: 0,
            cuts: 0,
            lost: 0,
            failures: 0,
            sent_away: Vec::new(),
            returns: 0,
            cut_again: 0,
            delivery: times.clone(),
            live: times.clone(),
            replay: times.clone(),
            resume: times.clone(),
            downtime: times,
        }
    }

    /// Whether nobody was given anything twice, out of order, or with something left out.
    pub fn in_order(&self) -> bool {
        self.repeated == 0 && self.skipped == 0 && self.resets == 0
    }
}
