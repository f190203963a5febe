//! When heartbeats are sent: spread, so that sessions do not all beat at once, but some at the same moment, so that a thread with thousands of idle
//! sessions is woken twice a second and not for each of them. A wake-up costs more than the ping.

use std::time::Duration;

use tokio::time::Instant;

use crate::model::Timestamp;

/// The moments at which hearts beat are so far apart.
const GRID: Duration = Duration::from_millis(500);

/// The next beat of a heart: after `heartbeat`, ten percent more or less, at one of the moments.
pub(super) fn next_beat(heartbeat: Duration) -> Instant {
    Instant::now() + on_grid(Timestamp::now(), heartbeat.mul_f64(0.9 + 0.2 * rand::random::<f64>()))
}

/// The wait from `now` to the moment that is nearest after `wait`; short waits stay as they are.
fn on_grid(now: Timestamp, wait: Duration) -> Duration {
    if wait < GRID * 4 {
        return wait;
    }
    let grid = u64::try_from(GRID.as_millis()).unwrap_or(1);
    let due = now.plus(wait).as_millis();
    Duration::from_millis(due.next_multiple_of(grid) - now.as_millis())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn beats_come_at_common_moments_and_never_early() {
        for (now, wait, due) in [(1_000, 25_000, 26_000), (1_001, 25_000, 26_500), (1_499, 25_001, 26_500), (1_250, 300, 1_550)] {
            let from = Timestamp::from_millis(now).expect("small");
            assert_eq!(on_grid(from, Duration::from_millis(wait)), Duration::from_millis(due - now), "{now} + {wait}");
        }
    }
}
