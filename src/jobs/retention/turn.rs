//! How fast it goes: never more than a share of the time, and with the lease kept meanwhile.

use std::{pin::pin, time::Duration};

use tokio::time::{sleep, timeout};

use super::super::lease::{Held, Lease};

/// The longest pause, however long a step took.
const LONGEST_REST: Duration = Duration::from_secs(10);

/// How often the lease is looked at during long work.
const KEEP: Duration = Duration::from_secs(1);

/// This node's turn. A dry run has no lease.
#[derive(Debug)]
pub(crate) struct Turn<'a> {
    lease: Option<&'a mut Lease>,
    /// At most so much of the time is spent working.
    busy_percent: u32,
}

impl<'a> Turn<'a> {
    pub(crate) fn new(lease: Option<&'a mut Lease>, busy_percent: u32) -> Self {
        Self { lease, busy_percent: busy_percent.clamp(1, 100) }
    }

    /// What is to be shown with what is written; nothing if it is not this node's turn any more.
    pub(super) async fn held(&mut self) -> Option<Held> {
        match &mut self.lease {
            Some(lease) => lease.hold().await,
            None => None,
        }
    }

    /// Does work that takes long and does not ask for the lease, and keeps it meanwhile.
    pub(super) async fn during<T>(&mut self, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        loop {
            match timeout(KEEP, &mut work).await {
                Ok(done) => return done,
                // Whether it is still held is asked before anything is removed.
                Err(_) => drop(self.held().await),
            }
        }
    }

    /// After a step that took so long: leaves the store to others, and keeps the lease.
    pub(super) async fn rest(&mut self, took: Duration) {
        self.during(sleep(rest_after(took, self.busy_percent))).await;
        self.held().await;
    }
}

fn rest_after(took: Duration, busy_percent: u32) -> Duration {
    (took * (100 - busy_percent) / busy_percent).min(LONGEST_REST)
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;

    #[test]
    fn work_is_a_share_of_the_time() {
        let millis = Duration::from_millis;
        for (took, percent, rest) in [(10, 25, 30), (10, 50, 10), (10, 100, 0), (10, 1, 990), (0, 25, 0), (60_000, 25, 10_000)] {
            assert_eq!(rest_after(millis(took), percent), millis(rest), "{took} ms at {percent} %");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_step_is_followed_by_its_rest_and_long_work_by_none() {
        let mut turn = Turn::new(None, 10);
        let began = Instant::now();
        turn.rest(Duration::from_millis(20)).await;
        assert!((180..185).contains(&began.elapsed().as_millis()), "{:?}", began.elapsed());
        let began = Instant::now();
        let done = turn.during(async {
            sleep(10 * KEEP).await;
            7
        });
        assert_eq!(done.await, 7);
        assert!(began.elapsed() < 10 * KEEP + Duration::from_millis(5), "{:?}", began.elapsed());
    }
}
