//! When which fault was on, for excuses and for figures. Faults may overlap.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::kind::Kind;

/// A fault from its beginning until everything had settled.
#[derive(Debug, Clone, Copy)]
struct Window {
    kind: Kind,
    from: Duration,
    /// When its cause was gone, where that was noted.
    healed: Option<Duration>,
    to: Option<Duration>,
}

impl Window {
    /// Whether it was on then, or began so shortly after that what was on its way then may have met it.
    fn touches(&self, at: Duration) -> bool {
        self.from.saturating_sub(BEFORE) <= at && self.to.is_none_or(|to| at <= to)
    }

    /// Whether one began before it was certain that nothing of the other one was left.
    fn meets(&self, other: &Self) -> bool {
        self.to.is_none_or(|to| other.from <= to + LOOKED_UP) && other.to.is_none_or(|to| self.from <= to + LOOKED_UP)
    }
}

/// What was on when.
pub struct Timeline {
    started: Instant,
    alone: bool,
    windows: Mutex<Vec<Window>>,
}

/// A PUBLISH that was counted so shortly before a fault may still have been on its way when it struck.
const BEFORE: Duration = Duration::from_secs(1);

/// So long after a healing things may still be amiss, where nobody waits until they have settled: a membership ends after 5 s, links are
/// made anew under backoff of up to 5 s.
const RECOVERY: Duration = Duration::from_secs(15);

/// What a standby has heard alone, because the owner was dead for a moment, it has alone until it looks that up in the store, after 10 s.
pub const LOOKED_UP: Duration = Duration::from_secs(12);

/// What a node has counted so long before it leaves it may still have to store then: the store was away, or slow.
const LEAVING: Duration = Duration::from_secs(30);

/// No fault lasts longer, with all it leads to.
const LONGEST: Duration = Duration::from_secs(300);

/// A fault that was begun.
#[derive(Debug, Clone, Copy)]
pub struct Begun(usize);

impl Timeline {
    /// Begins now. `alone`: there is one hub only, so that nobody stands by for it.
    pub fn start(alone: bool) -> Self {
        Self { started: Instant::now(), alone, windows: Mutex::default() }
    }

    /// How long it runs.
    pub fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// The same in whole milliseconds.
    pub fn elapsed_ms(&self) -> u64 {
        u64::try_from(self.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// A fault begins.
    pub fn begin(&self, kind: Kind) -> Begun {
        let mut windows = self.windows.lock();
        windows.push(Window { kind, from: self.elapsed(), healed: None, to: None });
        Begun(windows.len() - 1)
    }

    /// Its cause is gone; what it has led to may go on for a while.
    pub fn healed(&self, Begun(index): Begun) {
        let now = self.elapsed();
        let window = &mut self.windows.lock()[index];
        (window.healed, window.to) = (Some(now), Some(now + RECOVERY));
    }

    /// Everything has settled after this one, and nothing else was on.
    pub fn settled(&self, Begun(index): Begun) {
        self.windows.lock()[index].to = Some(self.elapsed());
    }

    /// Everything has settled after all faults that there were.
    pub fn all_settled(&self) {
        let now = self.elapsed();
        for window in self.windows.lock().iter_mut().filter(|window| window.to.is_none_or(|to| now < to)) {
            window.to = Some(now);
        }
    }

    /// The fault that is on; of several the one that began last.
    pub fn now(&self) -> Option<Kind> {
        self.at(Instant::now())
    }

    /// The fault that was on then; of several the one that began last.
    pub fn at(&self, then: Instant) -> Option<Kind> {
        let at = then.saturating_duration_since(self.started);
        let windows = self.windows.lock();
        windows.iter().rev().find(|window| window.from <= at && window.to.is_none_or(|to| at <= to)).map(|window| window.kind)
    }

    /// Why an activity that was counted by PUBLISH then may be missing although promise 5 holds.
    ///
    /// Promise 5 covers the death of one hub: its standby has heard everything, too. It does not cover Redis: PUBLISH counts a receiver when
    /// the message is in that receiver's output buffer, inside Redis; no copy is kept. When Redis dies, or is told to close a connection, what
    /// is in those buffers dies with it, for the owner and for the standby at once. And when it comes back empty, every node finds that it is
    /// no member any more, drops its connections with what was heard on them and not read yet, and joins again. A link cut in one direction
    /// swallows what Redis has counted as delivered; the standby has its own link, but is not promised to be in place at that moment. A
    /// publisher that must not lose anything there waits for acks, or publishes over HTTP. With a hub that is alone there is no standby
    /// either, and with a second hub that fails before all was well again after the first one, neither.
    pub fn excuse(&self, at_ms: u64) -> Option<&'static str> {
        let at = Duration::from_millis(at_ms);
        let all = self.windows.lock();
        let windows = around(&all, at);
        let excuses = |kind: Kind| kind.takes_what_redis_counted() || (self.alone && kind.takes_a_hub());
        let mut on = windows.iter().filter(|window| window.touches(at));
        if let Some(window) = on.clone().find(|window| excuses(window.kind)) {
            return Some(window.kind.name());
        }
        let others = |one: &Window| {
            // It may have begun later than what was counted was on its way.
            let other = |window: &&Window| window.kind.takes_a_hub() && window.meets(one);
            // It meets itself.
            1 < all.iter().filter(other).count()
        };
        on.any(|window| window.kind.takes_a_hub() && others(window)).then_some("two hubs at once")
    }

    /// Why an activity that was counted by PUBLISH then may be stored after later ones of its run: a node that leaves waits only for so long until
    /// those before it have stored what they took, and they cannot while the store does not answer them. Receipts and acks are waited for one by one.
    pub fn out_of_turn(&self, at_ms: u64) -> Option<&'static str> {
        let at = Duration::from_millis(at_ms);
        let windows = self.windows.lock();
        let windows: Vec<_> =
            around(&windows, at + LEAVING).iter().filter(|window| window.to.is_none_or(|to| at <= to)).collect();
        let any = |of: fn(Kind) -> bool| windows.iter().any(|window| of(window.kind));
        (any(Kind::has_a_hub_leave) && any(Kind::keeps_the_store_away)).then_some("a node left without the store")
    }

    /// The fault by which a hub was failing then, or failed so shortly after that it may not have read what was counted then.
    pub fn hub_failing(&self, at_ms: u64) -> Option<Kind> {
        let at = Duration::from_millis(at_ms);
        let windows = self.windows.lock();
        let failing =
            |window: &&Window| window.kind.takes_a_hub() && window.touches(at) && window.healed.is_none_or(|healed| at <= healed);
        around(&windows, at).iter().rev().find(failing).map(|window| window.kind)
    }
}

/// Those that may have been on then. They are in the order in which they began.
fn around(windows: &[Window], at: Duration) -> &[Window] {
    let last = windows.partition_point(|window| window.from.saturating_sub(BEFORE) <= at);
    let first = windows.partition_point(|window| window.from + LONGEST < at);
    &windows[first..last]
}
