//! When which fault was on, for excuses and for figures.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// What is done to the system.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// `kill -9` of a hub, and a start soon after.
    KillHub,
    /// SIGSTOP of a hub and, after a while, SIGCONT: it believes to own what others have taken over.
    FreezeHub,
    /// SIGTERM and a start, one hub after the other.
    RollingRestart,
    /// A node joins and leaves again in order.
    AddAndRemoveHub,
    /// `kill -9` of Redis, and a start with nothing in it.
    KillRedis,
    /// What Redis sends to one hub is swallowed.
    CutToHub,
    /// What one hub sends to Redis is swallowed.
    CutFromHub,
    /// Postgres stopped without a checkpoint, and started again.
    RestartPostgres,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::KillHub,
        Self::FreezeHub,
        Self::RollingRestart,
        Self::AddAndRemoveHub,
        Self::KillRedis,
        Self::CutToHub,
        Self::CutFromHub,
        Self::RestartPostgres,
    ];

    /// What it is called in what is printed.
    pub fn name(self) -> &'static str {
        match self {
            Self::KillHub => "hub killed",
            Self::FreezeHub => "hub frozen",
            Self::RollingRestart => "rolling restart",
            Self::AddAndRemoveHub => "hub added and removed",
            Self::KillRedis => "redis killed",
            Self::CutToHub => "redis link deaf",
            Self::CutFromHub => "redis link mute",
            Self::RestartPostgres => "postgres restarted",
        }
    }
}

/// A fault from its beginning until everything had settled.
#[derive(Debug, Clone, Copy)]
struct Window {
    kind: Kind,
    from: Duration,
    to: Option<Duration>,
}

/// What was on when.
pub struct Timeline {
    started: Instant,
    alone: bool,
    windows: Mutex<Vec<Window>>,
}

/// A PUBLISH that was counted so shortly before a fault may still have been on its way when it struck.
const BEFORE: Duration = Duration::from_secs(1);

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
    pub fn begin(&self, kind: Kind) {
        self.windows.lock().push(Window { kind, from: self.elapsed(), to: None });
    }

    /// Everything has settled after the fault that began last.
    pub fn settled(&self) {
        if let Some(window) = self.windows.lock().last_mut() {
            window.to.get_or_insert(self.elapsed());
        }
    }

    /// The fault that is on.
    pub fn now(&self) -> Option<Kind> {
        self.windows.lock().last().filter(|window| window.to.is_none()).map(|window| window.kind)
    }

    /// The fault that was on then.
    pub fn at(&self, then: Instant) -> Option<Kind> {
        let at = then.saturating_duration_since(self.started);
        let windows = self.windows.lock();
        windows.iter().rev().find(|window| window.from <= at && window.to.is_none_or(|to| at <= to)).map(|window| window.kind)
    }

    /// Why an activity that was counted by PUBLISH then may be missing although promise 5 holds.
    ///
    /// Promise 5 covers the death of one hub: its standby has heard everything, too. It does not cover Redis: PUBLISH counts a receiver when
    /// the message is in that receiver's output buffer, inside Redis; no copy is kept. When Redis dies, what is in those buffers dies with
    /// it, for the owner and for the standby at once. And when it comes back empty, every node finds that it is no member any more, drops
    /// its connections with what was heard on them and not read yet, and joins again. A link cut in one direction swallows what Redis has
    /// counted as delivered; the standby has its own link, but is not promised to be in place at that moment. A publisher that must not
    /// lose anything there waits for acks, or publishes over HTTP. With a hub that is alone there is no standby either.
    pub fn excuse(&self, at_ms: u64) -> Option<&'static str> {
        let at = Duration::from_millis(at_ms);
        let windows = self.windows.lock();
        let excuses = |kind| match kind {
            Kind::KillRedis | Kind::CutToHub | Kind::CutFromHub => true,
            Kind::KillHub | Kind::FreezeHub => self.alone,
            Kind::RollingRestart | Kind::AddAndRemoveHub | Kind::RestartPostgres => false,
        };
        let mut on = windows.iter().filter(|window| {
            excuses(window.kind) && window.from.saturating_sub(BEFORE) <= at && window.to.is_none_or(|to| at <= to)
        });
        on.next().map(|window| window.kind.name())
    }
}
