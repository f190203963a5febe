//! How much anybody may take: connections of an address, sessions and work of a subject, memory of the node. Each limit bears the name of its key
//! in the configuration, is counted under that name when it is reached, and refuses what is new rather than hurting what is there.

mod addresses;
mod bucket;
mod memory;
mod subjects;

use std::time::Duration;

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family},
};

pub(crate) use addresses::{AddressSeat, Addresses, Proxies};
pub(crate) use bucket::{Rate, Spent};
pub(crate) use memory::Memory;
use subjects::Allowed;
pub(crate) use subjects::{Draw, SubjectSeat, Subjects, TooManySessions};

/// A limit that was reached, by the name of its key: one of those in `docs/limits.md`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct LimitLabel {
    pub limit: &'static str,
}

/// All limits that are counted.
const LIMITS: [&str; 19] = [
    "body_bytes",
    "body_timeout",
    "cold_reads_per_second",
    "connections",
    "connections_per_address",
    "fragments",
    "frame",
    "frames_per_second",
    "handshake_timeout",
    "header_timeout",
    "idle_timeout",
    "memory",
    "message_timeout",
    "publishes_per_second",
    "request",
    "sessions_per_subject",
    "subscribes_per_second",
    "subscriptions",
    "write_timeout",
];

/// How often each limit was reached.
#[derive(Debug, Clone)]
pub(crate) struct Reached(pub Family<LimitLabel, Counter>);

impl Default for Reached {
    /// All at zero.
    fn default() -> Self {
        let family = Family::<LimitLabel, Counter>::default();
        for limit in LIMITS {
            let _at_zero = family.get_or_create(&LimitLabel { limit });
        }
        Self(family)
    }
}

impl Reached {
    /// Counts one time.
    pub(crate) fn count(&self, limit: &'static str) {
        debug_assert!(LIMITS.contains(&limit), "{limit} is not among the limits of docs/limits.md");
        self.0.get_or_create(&LimitLabel { limit }).inc();
    }
}

/// The limits of a node, as configured. Zero is no limit.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct LimitOptions {
    /// Connections of one address.
    pub connections_per_address: usize,
    /// Sessions of one subject.
    pub sessions_per_subject: usize,
    /// Activities and changes of one subject.
    pub publishes: Rate,
    /// Reads of the store for one subject.
    pub cold_reads: Rate,
}

impl LimitOptions {
    fn of_subjects(&self) -> Allowed {
        Allowed { sessions: self.sessions_per_subject, publishes: self.publishes, cold_reads: self.cold_reads }
    }
}

/// What is counted against the limits now.
#[derive(Debug)]
pub(crate) struct Limits {
    pub addresses: Addresses,
    pub subjects: Subjects,
    pub memory: Memory,
    pub reached: Reached,
}

/// How often memory is looked at, and subjects that have done nothing for a while are forgotten.
const TICK: Duration = Duration::from_millis(500);

impl Limits {
    /// Nothing counted yet.
    pub(crate) fn new(options: LimitOptions, memory: Memory, reached: Reached) -> Self {
        let subjects = Subjects::new(options.of_subjects());
        Self { addresses: Addresses::new(options.connections_per_address), subjects, memory, reached }
    }

    /// Goes by these limits from now on. What was taken under others stays taken.
    pub(crate) fn change(&self, options: LimitOptions) {
        self.addresses.allow(options.connections_per_address);
        self.subjects.allow(options.of_subjects());
    }

    /// Looks at memory, and forgets whom nothing is held against, again and again until `stop`.
    pub(crate) async fn run(&self, stop: tokio_util::sync::CancellationToken) {
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                () = stop.cancelled() => return,
            }
            self.memory.look();
            self.subjects.forget_idle();
        }
    }
}
