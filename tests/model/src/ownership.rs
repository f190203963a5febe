//! Ownership of a task's ingest, gone through exhaustively: the program's own state machine ([`crate::cluster::Ownership`], the very file), in
//! every order in which messages, commits, beats and faults can come for a few nodes and a few activities.
//!
//! Every way ends where nothing is left to do but wait. There time passes ([`World::settle`]), and what was counted must be stored then.

mod node;
mod world;

use std::{collections::BTreeSet, time::Instant};

use stateright::{Checker, HasDiscoveries, Model, Property};

use crate::{Explored, THREADS};
pub use world::World;

/// Of this task `n0` is the owner before `n1`, and `n1` before `n2`; the scenarios check it.
const TASK: &str = "t0";

/// Property: nothing is appended twice.
pub const ONCE: &str = "appended at most once";

/// Property: the log has the agent's order as far as it is promised.
pub const ORDER: &str = "in order";

/// Property: what was counted is there, once and in order, when everything has come to rest.
pub const KEPT: &str = "what was counted is stored in the end";

/// A rule of the protocol that is broken on purpose, to see that the properties notice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Broken {
    /// A standby forgets what it hears at once.
    StandbyForgetsAtOnce,
    /// A standby holds what has no `eventId`, too.
    StandbyTakesAnonymous,
    /// The store does not look for the `eventId`.
    StoreIgnoresEventId,
    /// The owner acks when it takes, not when it has stored.
    AckBeforeCommit,
    /// `Released` overtakes what is still to be stored.
    ReleasedBeforeStored,
    /// The mark between two owners does not go over the task's channel.
    MarkBesideTheChannel,
    /// A coming owner says `Ready` before Redis has subscribed it.
    ReadyBeforeSubscribed,
    /// A node whose membership has lapsed stores what has no `eventId` all the same.
    LeaseNotChecked,
    /// What was taken before a lapse is stored once the node is a member again: as the program was.
    LeaseOutlivesLapse,
    /// A node that leaves stores what it holds, and does not wait for whoever takes it: as the program was.
    LeavesHolding,
}

/// What happens to the nodes, at any moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Any node is killed.
    Kill,
    /// Any node is paused until its membership has lapsed, and goes on.
    Lapse,
    /// Node 0 joins, which is the first for the task: a planned handover.
    Join,
    /// Node 0 leaves in order.
    Leave,
}

/// What is gone through.
#[derive(Debug, Clone)]
pub struct Scenario {
    /// How many nodes there are at first.
    pub nodes: u8,
    /// What happens to them, one after the other.
    pub faults: &'static [Fault],
    /// What the agent publishes, in order: whether with an `eventId`.
    pub says: &'static [bool],
    /// How often a second passes for everybody, at any moment at which everything that has arrived is read.
    pub seconds: u8,
    /// What is broken.
    pub broken: Option<Broken>,
}

/// One step; `docs/model.md` says which function of the program each is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// The agent says its next thing.
    Publish,
    /// `Keeper::heard`.
    Heard(u8),
    /// `Link`: a subscription is made or ended.
    Link(u8),
    /// `submit_all`.
    Submit(u8),
    /// `answer_all`.
    Answer(u8),
    /// `Beats::be_a_member`.
    Beat(u8),
    /// `Keeper::tick`, a second later.
    Tick,
    /// `Keeper::leave_if_done`.
    LeaveIfDone(u8),
    /// `kill -9`.
    Kill(u8),
    /// Redis counts it no more.
    Expire(u8),
    /// A node starts.
    Join(u8),
    /// A node is told to stop.
    Leave(u8),
}

impl Scenario {
    /// Whether nodes only come and go in order.
    fn is_planned(&self) -> bool {
        self.faults.iter().all(|fault| matches!(fault, Fault::Join | Fault::Leave))
    }
}

impl Model for Scenario {
    type State = World;
    type Action = Step;

    fn init_states(&self) -> Vec<World> {
        let mut world = World::new(self.broken);
        let first = u8::from(self.faults.contains(&Fault::Join));
        (first..first + self.nodes).for_each(|index| world.join(index));
        world.announce();
        world.settle();
        let owned = |index| world.nodes.get(&index).map(|node| node.ownership.counts());
        assert_eq!(owned(first), Some([1, 1, 0]), "{TASK} is owned by the first");
        assert_eq!(owned(first + 1), (1 < self.nodes).then_some([1, 0, 1]), "and the second stands by");
        world.millis = 0;
        world.start += std::time::Duration::from_secs(16);
        vec![world]
    }

    fn actions(&self, world: &World, steps: &mut Vec<Step>) {
        if usize::from(world.published) < self.says.len() && world.may_publish() {
            steps.push(Step::Publish);
        }
        for (index, node) in &world.nodes {
            let index = *index;
            let mut push = |may: bool, step| {
                if may {
                    steps.push(step)
                }
            };
            push(!node.inbox.is_empty(), Step::Heard(index));
            push(!node.link.is_empty(), Step::Link(index));
            push(!node.work.is_empty(), Step::Submit(index));
            push(!node.pending.is_empty(), Step::Answer(index));
            push(world.has_news(node), Step::Beat(index));
            push(world.may_go(node), Step::LeaveIfDone(index));
        }
        // What has arrived is read sooner than seconds pass: the program relies on that where it waits for a mark of its own.
        if world.ticks < self.seconds && world.nodes.values().all(|node| node.inbox.is_empty() && node.link.is_empty()) {
            steps.push(Step::Tick);
        }
        if let Some(ghost) = world.ghosts.first() {
            steps.push(Step::Expire(ghost.as_bytes()[1] - b'0'));
        }
        match self.faults.get(usize::from(world.faults)) {
            None => {}
            Some(Fault::Kill) => steps.extend(world.nodes.keys().map(|index| Step::Kill(*index))),
            Some(Fault::Lapse) => {
                let members = world.nodes.iter().filter(|(_, node)| node.member);
                steps.extend(members.map(|(index, _)| Step::Expire(*index)));
            }
            Some(Fault::Join) => steps.push(Step::Join(0)),
            Some(Fault::Leave) => steps.push(Step::Leave(0)),
        }
    }

    fn next_state(&self, world: &World, step: Step) -> Option<World> {
        let mut world = world.clone();
        match step {
            Step::Publish => world.publish(self.says[usize::from(world.published)]),
            Step::Heard(index) => world.heard(index),
            Step::Link(index) => world.link(index),
            Step::Submit(index) => world.submit(index),
            Step::Answer(index) => world.answer(index),
            Step::Beat(index) => world.beat(index),
            Step::LeaveIfDone(index) => world.leave_if_done(index),
            Step::Tick => {
                world.ticks += 1;
                world.millis += 1_000;
                let nodes: Vec<_> = world.nodes.keys().copied().collect();
                nodes.into_iter().for_each(|index| world.tick(index));
            }
            Step::Kill(index) => {
                world.faults += 1;
                world.kill(index);
            }
            Step::Expire(index) => match world.nodes.get_mut(&index) {
                Some(node) => {
                    node.member = false;
                    world.faults += 1;
                }
                None => world.ghosts.clear(),
            },
            Step::Join(index) => {
                world.faults += 1;
                world.join(index);
            }
            Step::Leave(index) => {
                world.faults += 1;
                if let Some(node) = world.nodes.get_mut(&index) {
                    (node.able, node.leaving) = (false, true);
                }
            }
        }
        Some(world)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(ONCE, |_, world: &World| {
                let mut seen = BTreeSet::new();
                world.stored.iter().all(|said| seen.insert(*said))
            }),
            Property::always(ORDER, |scenario: &Self, world: &World| is_ordered(scenario, world)),
            Property::always(KEPT, |scenario: &Self, world: &World| {
                let mut steps = Vec::new();
                scenario.actions(world, &mut steps);
                !steps.is_empty() || is_kept(scenario, world)
            }),
        ]
    }
}

/// Whether the log has the agent's order, as far as it is promised: of everything while nodes come and go in order, of what has an
/// `eventId` after one fault.
fn is_ordered(scenario: &Scenario, world: &World) -> bool {
    let planned = scenario.is_planned();
    1 < scenario.faults.len() || world.stored.iter().filter(|(_, given)| planned || *given).is_sorted()
}

/// Whether everything that must survive is stored, once and in order, when the world has come to rest.
fn is_kept(scenario: &Scenario, world: &World) -> bool {
    let mut world = world.clone();
    world.settle();
    let mut seen = BTreeSet::new();
    let once = world.stored.iter().all(|said| seen.insert(*said));
    let planned = scenario.is_planned();
    let kept = world.counted.iter().all(|one| {
        let must = if one.said.1 { !one.by.is_empty() } else { planned && one.by_an_owner };
        !must || seen.contains(&one.said)
    });
    once && is_ordered(scenario, &world) && kept
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
