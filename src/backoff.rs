//! Waiting between tries, without hurry and without marching in step.

use std::time::Duration;

/// Exponential backoff with full jitter: each wait is random between nothing and a bound that doubles up to `most`.
#[derive(Debug)]
pub(crate) struct Backoff {
    first: Duration,
    most: Duration,
    bound: Duration,
}

impl Backoff {
    pub(crate) fn new(first: Duration, most: Duration) -> Self {
        Self { first, most, bound: first }
    }

    /// The next wait.
    pub(crate) fn next(&mut self) -> Duration {
        let wait = self.bound.mul_f64(rand::random());
        self.bound = (self.bound * 2).min(self.most);
        wait
    }

    /// Waits once.
    pub(crate) async fn wait(&mut self) {
        tokio::time::sleep(self.next()).await;
    }

    /// It worked: the next failure starts small again.
    pub(crate) fn reset(&mut self) {
        self.bound = self.first;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_stay_below_a_bound_that_doubles() {
        let mut backoff = Backoff::new(Duration::from_millis(10), Duration::from_millis(40));
        for bound in [10, 20, 40, 40] {
            assert!(backoff.next() <= Duration::from_millis(bound));
        }
        backoff.reset();
        assert!(backoff.next() <= Duration::from_millis(10));
    }
}
