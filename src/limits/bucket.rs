//! A rate with a burst: a token bucket kept as one moment, the one at which all that was spent will have been paid for (GCRA).

use tokio::time::{Duration, Instant};

/// So many seconds' worth may be spent at once.
pub(crate) const BURST_SECONDS: u32 = 10;

/// The burst as a time.
const BURST: Duration = Duration::from_secs(BURST_SECONDS as u64);

/// How much a second; 0 is any amount.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Rate(u32);

impl Rate {
    pub(crate) fn per_second(count: usize) -> Self {
        Self(u32::try_from(count).unwrap_or(u32::MAX))
    }

    fn cost(self, count: usize) -> Duration {
        if self.0 == 0 {
            return Duration::ZERO;
        }
        Duration::from_secs_f64(f64::from(u32::try_from(count).unwrap_or(u32::MAX)) / f64::from(self.0))
    }
}

/// What one spender has spent at a rate.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Spent {
    paid_at: Instant,
}

impl Spent {
    /// Nothing yet.
    pub(crate) fn nothing() -> Self {
        Self { paid_at: Instant::now() }
    }

    /// Spends `count`, whether there is so much or not. Gives how long it takes until no more than a burst is owed: nothing while the rate is
    /// kept. Never more than a burst beyond the burst is owed, so that nobody is locked out for longer than that.
    pub(crate) fn spend(&mut self, rate: Rate, count: usize, now: Instant) -> Duration {
        let paid_at = self.paid_at.max(now) + rate.cost(count);
        self.paid_at = paid_at.min(now + BURST * 2);
        self.wait(now)
    }

    /// How long it takes until no more than a burst is owed.
    pub(crate) fn wait(&self, now: Instant) -> Duration {
        self.paid_at.saturating_duration_since(now).saturating_sub(BURST)
    }

    /// Whether everything is paid for, so that it is as if nothing had been spent.
    pub(crate) fn is_paid(&self, now: Instant) -> bool {
        self.paid_at <= now
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_passes_and_then_the_rate_holds() {
        let (rate, start) = (Rate::per_second(100), Instant::now());
        let mut spent = Spent { paid_at: start };
        let passed = (0..5_000).filter(|_| spent.spend(rate, 1, start).is_zero()).count();
        assert_eq!(passed, 1_000, "ten seconds' worth at once");
        assert_eq!(spent.wait(start), BURST, "and no more than as much is owed");
        let mut spent = Spent { paid_at: start };
        let ms = |count: u64| start + Duration::from_millis(count);
        assert!((0..100_000).all(|n| spent.spend(rate, 1, ms(n * 10)).is_zero()), "at the rate nothing is ever owed");
    }

    #[test]
    fn what_is_dearer_than_a_burst_passes_and_is_paid_for_afterwards() {
        let (rate, start) = (Rate::per_second(10), Instant::now());
        let mut spent = Spent { paid_at: start };
        assert_eq!(spent.spend(rate, 150, start), Duration::from_secs(5));
        assert!(!spent.is_paid(start) && spent.is_paid(start + Duration::from_secs(15)));
    }

    #[test]
    fn zero_is_no_limit() {
        let (start, mut spent) = (Instant::now(), Spent::nothing());
        assert!((0..1_000_000).all(|_| spent.spend(Rate::default(), 1_000, start).is_zero()));
    }
}
