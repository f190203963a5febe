//! Delivery, gone through exhaustively: a store whose log grows, is trimmed, deleted, made again and restored; nodes with a ring each; hints that
//! are lost, come twice or out of order; the sweep; and viewers who join, read, leave and go on with their cursor at any node.
//!
//! [`log`] and [`follower`] are written anew from the program, decision by decision and under its names, because exploring needs states that can be
//! copied and compared. That they are the same is by reading: docs/model.md has which function stands for which.

pub mod follower;
pub mod log;
mod world;

use std::time::Instant;

use stateright::{Checker, HasDiscoveries, Model, Property};

use crate::{Explored, THREADS};
pub use world::World;

/// `HubOptions::ring_activities`.
const RING: usize = 2;

/// `HubOptions::page_activities`.
const PAGE: u8 = 2;

/// `LogState`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct State {
    /// The log's life; a later one has a greater number here.
    pub epoch: u8,
    /// The last committed offset.
    pub head: u8,
    /// The oldest offset kept.
    pub floor: u8,
}

/// `ColdPage`, or `Page`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Page {
    /// Whether there is such a log.
    pub found: bool,
    /// Where it stood.
    pub state: State,
    /// Everything up to here is in it.
    pub through: u8,
    /// What is in it.
    pub offsets: Vec<u8>,
}

/// `Need`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Need {
    Nothing,
    State,
    Activities,
}

/// Property: what a viewer is shown was committed.
pub const COMMITTED: &str = "nothing is shown that is not committed";

/// Property: each offset of a life of the log comes once and in order, or its absence is said.
pub const ORDER: &str = "each once and in order, and what cannot be continued is said";

/// Property: everyone is at the head and asleep, once nothing else happens.
pub const HEAD: &str = "everyone comes to the head in the end";

/// A rule that is broken on purpose, to see that the properties notice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Broken {
    /// A hint is shown although something before it is missing.
    HintAppliedAcrossGap,
    /// A cursor is continued in another life of the log.
    ResumeIgnoresEpoch,
    /// A cursor is reset because this node has not heard of it yet.
    ResetWithoutAsking,
    /// Nobody compares with the store: whoever joins reads once, and then relies on hints.
    SweepDoesNotCompare,
    /// The ring goes on with what it has, though what comes before was evicted.
    EvictedFramesSkipped,
    /// Whoever waited for a task is not told that its beginning is gone already: as the program was.
    FloorOverlooked,
    /// What is no longer kept is passed over in silence.
    TruncatedUnsaid,
    /// A page is taken whatever it is of.
    AnyPageFits,
    /// What is about to be committed is told, and the commit never comes.
    ToldBeforeCommit,
    /// A log that changes wakes nobody.
    NobodyWoken,
}

/// What is gone through.
#[derive(Debug, Clone)]
pub struct Scenario {
    /// How many nodes there are.
    pub nodes: u8,
    /// How many viewers.
    pub viewers: u8,
    /// How many nodes append.
    pub writers: u8,
    /// How many activities, each at any of these.
    pub appends: u8,
    /// What else happens to the log, in order, at any moment.
    pub changes: &'static [Change],
    /// How many hints come twice.
    pub repeats: u8,
    /// How often viewers leave, to come back with their cursor.
    pub departures: u8,
    /// What is broken.
    pub broken: Option<Broken>,
}

/// What else happens to a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// Its oldest activity is removed.
    Trim,
    /// It is deleted; whoever appends makes it anew.
    Delete,
    /// An older state of it is restored, under a new epoch.
    Renew,
}

/// One step; `docs/model.md` says which function of the program each is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// `Store::append`, at this node.
    Append(usize),
    /// `Store::bite`.
    Trim,
    /// `Store::delete_task`.
    Delete,
    /// `Store::settle`.
    Renew,
    /// `writer/tell`.
    Tell(usize),
    /// `feed::listen` takes one of the hints.
    Feed(usize, usize),
    /// The same, and the hint will come once more.
    FeedRepeated(usize, usize),
    /// `resync::load_state`.
    LoadState(usize),
    /// `resync::fill_gap`.
    FillGap(usize),
    /// `resync::sweep`.
    Sweep(usize),
    /// `resync::forget_idle`.
    ForgetIdle(usize),
    /// `Hub::follow`.
    Follow(usize, u8),
    /// `Session::turn`.
    Turn(usize),
    /// The connection goes.
    Disconnect(usize),
}

impl Model for Scenario {
    type State = World;
    type Action = Step;

    fn init_states(&self) -> Vec<World> {
        vec![World::new(self.nodes, self.viewers)]
    }

    fn actions(&self, world: &World, steps: &mut Vec<Step>) {
        if world.appends < self.appends {
            steps.extend((0..usize::from(self.writers)).map(Step::Append));
        }
        match (self.changes.get(usize::from(world.changes)), world.store) {
            (Some(Change::Trim), Some(state)) if state.floor <= state.head => steps.push(Step::Trim),
            (Some(Change::Delete), Some(_)) => steps.push(Step::Delete),
            (Some(Change::Renew), Some(state)) if state.floor <= state.head => steps.push(Step::Renew),
            _ => {}
        }
        for (index, node) in world.nodes.iter().enumerate() {
            if !node.news.is_empty() {
                steps.push(Step::Tell(index));
            }
            for hint in 0..node.hints.len() {
                if 0 < hint && node.hints[hint] == node.hints[hint - 1] {
                    continue;
                }
                // One that never comes is one that is lost.
                steps.push(Step::Feed(index, hint));
                if world.repeats < self.repeats {
                    steps.push(Step::FeedRepeated(index, hint));
                }
            }
            let Some(log) = &node.log else { continue };
            if log.load.is_some() {
                steps.push(Step::LoadState(index));
            }
            if log.fill.is_some() {
                steps.push(Step::FillGap(index));
            }
            steps.push(Step::Sweep(index));
            if world.is_idle(index) {
                steps.push(Step::ForgetIdle(index));
            }
        }
        for (index, viewer) in world.viewers.iter().enumerate() {
            match &viewer.session {
                None if viewer.ended => {}
                None => steps.extend((0..self.nodes).map(|node| Step::Follow(index, node))),
                Some(session) => {
                    if session.phase != world::Phase::Asleep {
                        steps.push(Step::Turn(index));
                    }
                    if world.departures < self.departures {
                        steps.push(Step::Disconnect(index));
                    }
                }
            }
        }
    }

    fn next_state(&self, world: &World, step: Step) -> Option<World> {
        let (mut world, broken) = (world.clone(), self.broken);
        match step {
            Step::Append(node) => world.append(node, broken),
            Step::Trim => world.trim(),
            Step::Delete => world.delete(0),
            Step::Renew => world.renew(),
            Step::Tell(node) => world.tell(node, broken),
            Step::Feed(node, hint) => world.feed(node, hint, false, broken),
            Step::FeedRepeated(node, hint) => {
                world.repeats += 1;
                world.feed(node, hint, true, broken);
            }
            Step::LoadState(node) => world.load(node),
            Step::FillGap(node) => world.fill(node, broken),
            Step::Sweep(node) => world.sweep(node, broken),
            Step::ForgetIdle(node) => world.forget_idle(node),
            Step::Follow(viewer, node) => world.follow(viewer, node),
            Step::Turn(viewer) => world.turn(viewer, broken),
            Step::Disconnect(viewer) => {
                world.departures += 1;
                world.viewers[viewer].session = None;
            }
        }
        world.wake(broken);
        Some(world)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(COMMITTED, |_, world: &World| {
                !world.viewers.iter().any(|viewer| viewer.wrong == Some("shown but not committed"))
            }),
            Property::always(ORDER, |_, world: &World| {
                world.viewers.iter().all(|viewer| viewer.wrong.is_none_or(|wrong| wrong == "shown but not committed"))
            }),
            Property::always(HEAD, |scenario: &Self, world: &World| {
                let mut world = world.clone();
                world.settle(scenario.broken);
                world.viewers.iter().all(|viewer| is_at_the_head(viewer, &world))
            }),
        ]
    }
}

fn is_at_the_head(viewer: &world::Viewer, world: &World) -> bool {
    let Some(session) = &viewer.session else { return true };
    let asleep = session.phase == world::Phase::Asleep;
    asleep
        && viewer.wrong.is_none()
        && world.store.is_none_or(|state| viewer.place.unwrap_or((state.epoch, 0)) == (state.epoch, state.head))
}

/// Goes through everything, or until a property fails.
pub fn explore(scenario: &Scenario) -> Explored {
    explore_until(scenario, HasDiscoveries::Any)
}

/// Goes through everything, or until this property fails, whichever others do.
pub fn look_for(scenario: &Scenario, property: &'static str) -> Explored {
    explore_until(scenario, HasDiscoveries::AnyOf([property].into()))
}

fn explore_until(scenario: &Scenario, end: HasDiscoveries) -> Explored {
    let checker = scenario.clone().checker().finish_when(end).threads(THREADS);
    Explored::of(Instant::now(), checker.spawn_bfs().join())
}
