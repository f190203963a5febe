//! How the keeper leaves: hands its tasks over, takes what was on its way, stores it, and only then ceases to be a member.

use std::time::{Duration, Instant};

use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::{Keeper, TICK};

/// How long a leaving node waits for others to take its tasks.
const LEAVE_PATIENCE: Duration = Duration::from_secs(4);

/// How long it still takes what was on its way when it let go of its channels: far longer than Redis needs to hear of it.
const ON_ITS_WAY: Duration = Duration::from_millis(200);

/// How long after that it waits for others to store what it holds: it would overtake what they have still to store if it did so itself.
const SETTLE_PATIENCE: Duration = Duration::from_secs(1);

/// How far a node is that leaves.
#[derive(Debug)]
pub(super) enum Leaving {
    /// Handing its tasks over, until then at most, or until `last` while others have still to store what came before what it holds. All waiting for
    /// others ends by `by`.
    Handing {
        until: Instant,
        last: Instant,
        by: Instant,
        reply: oneshot::Sender<()>,
    },
    /// Taking what was on its way when it let go, until then, and waiting for others to store what it holds, until then at most.
    Listening {
        until: Instant,
        by: Instant,
        reply: oneshot::Sender<()>,
    },
    Gone,
}

impl Keeper {
    /// Begins to leave; others are waited for within this time.
    pub(super) fn leave(&mut self, within: Duration, reply: oneshot::Sender<()>, now: Instant) {
        // It looks at the time between ticks only.
        let patience = within.saturating_sub(3 * TICK + ON_ITS_WAY + SETTLE_PATIENCE);
        let (until, last) = (now + LEAVE_PATIENCE.min(patience), now + patience);
        let by = now + within.saturating_sub(3 * TICK);
        self.leaving = Some(Leaving::Handing { until, last, by, reply });
        self.stand();
    }

    /// A leaving node goes once nobody relies on it, or after it has waited long enough; not before it has taken what was on its way.
    pub(super) fn leave_if_done(&mut self, now: Instant, owned: usize) {
        match self.leaving.take() {
            Some(Leaving::Handing { until, last, by, reply }) if self.has_handed_over(until, last, now) => {
                tracing::info!(tasks = owned, "leaving; tasks that nobody took over are let go");
                self.ownership.withdraw(now);
                self.act();
                let until = now + ON_ITS_WAY;
                self.leaving = Some(Leaving::Listening { until, by: by.min(until + SETTLE_PATIENCE).max(until), reply });
            }
            Some(Leaving::Listening { until, by, reply }) if until <= now && (!self.ownership.is_busy() || by <= now) => {
                self.ownership.give_up();
                self.act();
                self.leaving = Some(Leaving::Gone);
                self.tools.tracker.spawn(go(self.tools.queue.stored(), self.tools.beat.leave.clone(), reply));
            }
            leaving => self.leaving = leaving,
        }
    }

    /// Whether nobody relies on it any more, or it has waited long enough. What it stored before others have stored what came before would be out of
    /// turn: for that it waits as long as it may, unless nobody can tell it.
    fn has_handed_over(&self, until: Instant, last: Instant, now: Instant) -> bool {
        let coming = self.ownership.is_coming() && self.tools.redis.ingest.is_live();
        !self.ownership.is_busy() || last <= now || (until <= now && !coming)
    }
}

/// A node ceases to be a member once all that it took is stored: what has no `eventId` nobody else has, and without a membership it is dropped.
async fn go(stored: impl Future<Output = ()>, leave: CancellationToken, reply: oneshot::Sender<()>) {
    stored.await;
    leave.cancel();
    // Whoever waits may have lost patience.
    let _ = reply.send(());
}
