//! What everybody who takes part in a soak knows: the hubs, the tasks at which there is something to see, and what was done.

use std::{
    collections::VecDeque,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use parking_lot::Mutex;
use rand::{RngExt, seq::IndexedRandom};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

/// The most tasks that visitors choose from.
const OPEN: usize = 64;

/// How long after its end a run's task is left alone, so that whoever watches it sees the end.
pub const REST: Duration = Duration::from_secs(30);

/// Shared by all.
pub struct Field {
    /// Where the hubs listen.
    pub hubs: Vec<String>,
    pub redis: String,
    pub prefix: String,
    pub stop: CancellationToken,
    pub counts: Counts,
    open: Mutex<VecDeque<String>>,
    ended: Mutex<VecDeque<(Instant, String)>>,
}

/// What was done so far.
#[derive(Debug, Default)]
pub struct Counts {
    /// Activities with a receipt, or found in the store.
    pub published: AtomicU64,
    /// Runs that ended and were found whole.
    pub runs: AtomicU64,
    /// Tasks that were deleted over HTTP.
    pub deleted: AtomicU64,
    /// Activities that visitors saw, each checked, and whole logs among them.
    pub seen: AtomicU64,
    pub whole: AtomicU64,
    /// Times that a visitor went on after its cursor.
    pub resumed: AtomicU64,
    /// Bad requests that were refused as they should be.
    pub refused: AtomicU64,
    /// Viewers that did not read and were closed by the hub.
    pub closed: AtomicU64,
    /// Lists, pages, searches.
    pub asked: AtomicU64,
    /// Events that the webhook's receiver took.
    pub told: AtomicU64,
}

impl Field {
    pub fn new(hubs: Vec<String>, redis: String, prefix: String) -> Self {
        let (open, ended) = Default::default();
        Self { hubs, redis, prefix, stop: CancellationToken::new(), counts: Counts::default(), open, ended }
    }

    /// One of the hubs, by chance.
    pub fn hub(&self) -> &str {
        self.hubs.choose(&mut rand::rng()).map_or("", String::as_str)
    }

    /// There is something to see at this task.
    pub fn opened(&self, task: &str) {
        let mut open = self.open.lock();
        open.push_back(task.to_owned());
        if OPEN < open.len() {
            open.pop_front();
        }
    }

    /// A task that somebody works on, by chance.
    pub fn visited(&self) -> Option<String> {
        let open = self.open.lock();
        (!open.is_empty()).then(|| open[rand::rng().random_range(0..open.len())].clone())
    }

    /// Its run is over.
    pub fn closed(&self, task: &str) {
        self.open.lock().retain(|open| open != task);
        self.ended.lock().push_back((Instant::now(), task.to_owned()));
    }

    /// A task that has rested long enough to be deleted. Those that rested much longer are retention's by now.
    pub fn rested(&self) -> Option<String> {
        let mut ended = self.ended.lock();
        while ended.front().is_some_and(|(at, _)| REST + Duration::from_secs(10) < at.elapsed()) {
            ended.pop_front();
        }
        if ended.front().is_some_and(|(at, _)| REST < at.elapsed()) { ended.pop_front().map(|(_, task)| task) } else { None }
    }

    /// Waits so long, or until the end.
    pub async fn pause(&self, time: Duration) {
        tokio::select! {
            () = sleep(time) => {}
            () = self.stop.cancelled() => {}
        }
    }

    pub fn over(&self) -> bool {
        self.stop.is_cancelled()
    }
}

/// One more of these.
pub fn count(counter: &AtomicU64, more: u64) {
    counter.fetch_add(more, Ordering::Relaxed);
}
