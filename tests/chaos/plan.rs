//! Which fault comes when, to which node and how badly: everything from a seed, so that a run can be repeated.

use std::{fmt, ops::Range, time::Duration};

use rand::{SeedableRng, prelude::*, rngs::StdRng};

use crate::kind::{Kind, Line, Trouble};

/// How long things last.
#[derive(Debug, Clone)]
pub struct Times {
    /// A killed hub stays away.
    pub hub_down: Range<Duration>,
    /// A hub is frozen: longer than its membership lasts (5 s).
    pub frozen: Range<Duration>,
    /// Redis stays away.
    pub redis_down: Range<Duration>,
    /// A direction is swallowed: longer than it takes to find out (5 s).
    pub cut: Range<Duration>,
    /// It is swallowed at least until the node says so.
    pub until_noticed: bool,
    /// Postgres stays away.
    pub postgres_down: Range<Duration>,
    /// An added node stays.
    pub added: Range<Duration>,
    /// What else lasts.
    pub brief: Range<Duration>,
    /// Between two faults.
    pub between: Range<Duration>,
}

/// From a tenth of a second to another.
const fn tenths(from: u64, to: u64) -> Range<Duration> {
    Duration::from_millis(from * 100)..Duration::from_millis(to * 100)
}

impl Times {
    /// For `make test`.
    pub fn short() -> Self {
        Self {
            hub_down: tenths(1, 15),
            frozen: tenths(300, 310),
            redis_down: tenths(5, 25),
            cut: tenths(70, 90),
            until_noticed: true,
            postgres_down: tenths(5, 25),
            added: tenths(20, 30),
            brief: tenths(3, 10),
            between: tenths(3, 10),
        }
    }

    /// For `make chaos`.
    pub fn long() -> Self {
        Self {
            hub_down: tenths(0, 100),
            frozen: tenths(20, 330),
            redis_down: tenths(1, 100),
            cut: tenths(10, 300),
            until_noticed: false,
            postgres_down: tenths(1, 100),
            added: tenths(10, 100),
            brief: tenths(1, 50),
            between: tenths(3, 60),
        }
    }

    /// For a storm.
    pub fn storm() -> Self {
        Self {
            hub_down: tenths(0, 20),
            frozen: tenths(10, 70),
            redis_down: tenths(1, 30),
            cut: tenths(3, 70),
            until_noticed: false,
            postgres_down: tenths(1, 20),
            added: tenths(10, 50),
            brief: tenths(1, 20),
            between: tenths(5, 35),
        }
    }

    fn of(&self, kind: Kind) -> &Range<Duration> {
        match kind {
            Kind::KillHub => &self.hub_down,
            Kind::FreezeHub => &self.frozen,
            Kind::KillRedis => &self.redis_down,
            Kind::RestartPostgres => &self.postgres_down,
            Kind::AddAndRemoveHub => &self.added,
            Kind::Link(_, Trouble::Reset) => &self.brief,
            Kind::Link(..) | Kind::JumpClock => &self.cut,
            _ => &self.brief,
        }
    }
}

/// What is done, and to which node.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Fault {
    /// What.
    pub kind: Kind,
    /// To which node, counted from 0, where it matters.
    pub hub: usize,
    /// For how long.
    pub lasts: Duration,
    /// How badly, from 0 to 1.
    pub strength: f64,
    /// How long is waited before it.
    pub pause: Duration,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.kind.names_a_hub() {
            write!(f, "{} (hub-{})", self.kind.name(), self.hub + 1)
        } else {
            f.write_str(self.kind.name())
        }
    }
}

/// Faults in the order that a seed gives them.
#[derive(Debug)]
pub struct Plan {
    /// What was drawn, and has not been done yet.
    pub kept: Option<Fault>,
    random: StdRng,
    hubs: usize,
    postgres: bool,
    times: Times,
}

impl Plan {
    /// For so many hubs, on Postgres or not.
    pub fn new(seed: u64, hubs: usize, postgres: bool, times: Times) -> Self {
        Self { kept: None, random: StdRng::seed_from_u64(seed), hubs, postgres, times }
    }

    /// Everything once, `kill -9` once for each hub, in a random order.
    pub fn round(&mut self) -> Vec<Fault> {
        let mut round = Vec::new();
        let postgres = self.postgres;
        for kind in Kind::ROUND.into_iter().filter(|kind| postgres || !kind.needs_postgres()) {
            if kind == Kind::KillHub {
                round.extend((0..self.hubs).map(|hub| Fault { hub, ..self.fault(kind) }));
            } else {
                round.push(self.fault(kind));
            }
        }
        round.shuffle(&mut self.random);
        round
    }

    /// One of these, each as often as its weight says.
    pub fn one_of(&mut self, weights: &[(Kind, u32)]) -> Fault {
        let all: u32 = weights.iter().map(|(_, weight)| weight).sum();
        let mut place = self.random.random_range(0..all);
        let mut kind = weights[0].0;
        for (next, weight) in weights {
            kind = *next;
            if place < *weight {
                break;
            }
            place -= weight;
        }
        self.fault(kind)
    }

    /// Whether something is so, with this probability.
    pub fn chance(&mut self, probability: f64) -> bool {
        self.random.random_bool(probability)
    }

    fn fault(&mut self, kind: Kind) -> Fault {
        let Self { random, hubs, times, .. } = self;
        Fault {
            kind,
            hub: random.random_range(0..*hubs),
            lasts: random.random_range(times.of(kind).clone()),
            strength: random.random(),
            pause: random.random_range(times.between.clone()),
        }
    }
}

/// What a lane of a storm does, by weight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lane {
    /// To the processes of hubs.
    Hubs,
    /// To Redis.
    Redis,
    /// To Postgres.
    Postgres,
    /// To what is between two of them.
    Link(Line),
    /// To tasks.
    Tasks,
}

impl Lane {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Hubs,
        Self::Redis,
        Self::Postgres,
        Self::Link(Line::Redis),
        Self::Link(Line::Postgres),
        Self::Link(Line::Clients),
        Self::Tasks,
    ];

    /// What it may do, and how often each.
    pub fn weights(self, clock: bool) -> Vec<(Kind, u32)> {
        match self {
            Self::Hubs => vec![
                (Kind::KillHub, 12),
                (Kind::FreezeHub, 8),
                (Kind::JumpClock, if clock { 4 } else { 0 }),
                (Kind::RollingRestart, 1),
                (Kind::AddAndRemoveHub, 1),
            ],
            Self::Redis => vec![
                (Kind::KillClients, 12),
                (Kind::PauseClients, 8),
                (Kind::FlapMembers, 3),
                (Kind::FreezeRedis, 3),
                (Kind::KillRedis, 1),
            ],
            Self::Postgres => {
                vec![(Kind::EndBackends, 12), (Kind::TakeConnections, 4), (Kind::Deadlock, 6), (Kind::RestartPostgres, 1)]
            }
            Self::Link(line) => [
                (Trouble::Deaf, 2),
                (Trouble::Mute, 2),
                (Trouble::HalfOpen, 2),
                (Trouble::Reset, 4),
                (Trouble::Loss, 3),
                (Trouble::Delay, 3),
                (Trouble::Narrow, 2),
            ]
            .into_iter()
            .map(|(trouble, weight)| (Kind::Link(line, trouble), weight))
            .collect(),
            Self::Tasks => vec![(Kind::DeleteTask, 1)],
        }
    }
}
