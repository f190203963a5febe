//! Some nodes around a Redis and a store, all of them simulated, driven by chance: activities are published while nodes come, go, die and
//! lag behind. Whatever happens, what was counted is stored once and in order.

mod properties;

use std::{
    collections::{BTreeMap, HashSet, VecDeque},
    time::{Duration, Instant},
};

use proptest::prelude::*;

use super::{Act, Ownership, OwnershipOptions, Took};
use crate::{
    cluster::{control::Mark, members::Members, ranking::NodeId},
    model::{Activity, ActivityType, Data, Effect, EventId, NewActivity, TaskId, Timestamp},
};

const TASKS: [&str; 3] = ["a", "b", "c"];
const NODES: usize = 6;

/// How many activities a node may hold: more than there will be, or so few that it lets go of channels all the time.
const ENOUGH: usize = 1_000;
const FEW: usize = 3;

#[derive(Debug, Clone)]
enum Move {
    /// A publisher of task `.0` says its next thing, with an `eventId` or without.
    Publish(usize, bool),
    /// Node `.0` reads what came next.
    Read(usize),
    /// Node `.0` stores what it took next.
    Store(usize),
    /// Node `.0` looks at who is there.
    Beat(usize),
    /// Some time passes for node `.0`.
    Tick(usize),
    Join(usize),
    /// Node `.0` leaves in order.
    Leave(usize),
    /// Node `.0` withdraws because its queue is full, or comes back.
    Withdraw(usize),
    /// Node `.0` dies, once everything has come to rest after the last death.
    Kill(usize),
    /// Node `.0` loses its connection to Redis, if nobody else has lost his.
    Cut(usize),
    /// Whoever has lost it is connected again.
    Mend,
    /// The dead are no members any more.
    Expire,
    Settle,
}

fn moves() -> impl Strategy<Value = Vec<Move>> {
    let node = 0..NODES;
    let one = prop_oneof![
        12 => (0..TASKS.len(), any::<bool>()).prop_map(|(task, given)| Move::Publish(task, given)),
        24 => node.clone().prop_map(Move::Read),
        10 => node.clone().prop_map(Move::Store),
        6 => node.clone().prop_map(Move::Beat),
        4 => node.clone().prop_map(Move::Tick),
        3 => node.clone().prop_map(Move::Join),
        1 => node.clone().prop_map(Move::Leave),
        1 => node.clone().prop_map(Move::Withdraw),
        1 => node.prop_map(Move::Kill),
        1 => (0..NODES).prop_map(Move::Cut),
        2 => Just(Move::Mend),
        1 => Just(Move::Expire),
        1 => Just(Move::Settle),
    ];
    proptest::collection::vec(one, 20..400)
}

/// What arrives at a node.
#[derive(Debug, Clone)]
enum Event {
    Subscribed(TaskId),
    Message(TaskId, NewActivity),
    Mark(TaskId, Mark),
    Ack(TaskId, EventId),
    Announce(TaskId),
    Tell(TaskId),
    Ready(TaskId, NodeId, bool),
    Holding(TaskId, NodeId, Duration),
    Flush(TaskId, NodeId, u64),
    Released(TaskId, NodeId, Took),
}

#[derive(Debug)]
enum Work {
    Append(TaskId, Box<NewActivity>),
    Release(TaskId, NodeId, Took),
}

struct Node {
    id: NodeId,
    ownership: Ownership,
    inbox: VecDeque<Event>,
    work: VecDeque<Work>,
    able: bool,
    leaving: bool,
    /// What it listens to, whether the connection is there or not.
    wanted: HashSet<TaskId>,
    cut: bool,
}

/// What was published and heard by somebody.
struct Counted {
    number: u64,
    given: bool,
    by: Vec<NodeId>,
    /// Whether one of them was its owner, or about to be.
    by_an_owner: bool,
}

#[derive(Default)]
struct World {
    nodes: BTreeMap<usize, Node>,
    /// Who is dead and still counts as a member.
    ghosts: Vec<NodeId>,
    subscribed: HashSet<(usize, TaskId)>,
    /// By task: what is stored, in order.
    stored: BTreeMap<TaskId, Vec<(u64, bool)>>,
    events: HashSet<EventId>,
    /// By task: what was counted, in order.
    counted: BTreeMap<TaskId, Vec<Counted>>,
    dead: HashSet<NodeId>,
    number: u64,
    births: usize,
    time: u64,
    hold: usize,
}

fn task(index: usize) -> TaskId {
    TASKS[index].parse().expect("valid")
}

fn activity(number: u64, given: bool) -> NewActivity {
    let mut id = [0; 16];
    id[..8].copy_from_slice(&number.to_be_bytes());
    id[8] = u8::from(given);
    let activity = Activity {
        event_id: EventId::from_bytes(id),
        invocation: "r".parse().expect("valid"),
        kind: ActivityType::Output,
        timestamp: Timestamp::default(),
        received_at: Timestamp::default(),
        data: Data::empty(),
    };
    NewActivity { activity, event_id_given: given, effect: Effect::SignOfLife, series: None, sealed_by: None }
}

impl World {
    fn now(&self, start: Instant) -> Instant {
        start + Duration::from_millis(self.time)
    }

    fn members(&self) -> Members {
        let mut alive: Vec<_> = self.nodes.values().map(|node| node.id.clone()).chain(self.ghosts.clone()).collect();
        let mut able: Vec<_> = self.nodes.values().filter(|node| node.able).map(|node| node.id.clone()).collect();
        able.extend(self.ghosts.clone());
        alive.sort();
        able.sort();
        Members { alive, able }
    }

    /// Does what a node's ownership asks for.
    fn act(&mut self, index: usize) {
        let Some(node) = self.nodes.get_mut(&index) else { return };
        let id = node.id.clone();
        for act in node.ownership.take_acts() {
            match act {
                Act::Subscribe(task) => self.subscribe(index, task),
                Act::Unsubscribe(task) => {
                    self.subscribed.remove(&(index, task.clone()));
                    self.nodes.entry(index).and_modify(|node| node.wanted.retain(|wanted| *wanted != task));
                }
                Act::HearAcks(_) | Act::IgnoreAcks(_) | Act::Moved(_) => {}
                Act::Tell(task, to) => self.send_to_id(&to, Event::Tell(task)),
                Act::Ready(task, marked) => self.broadcast(&Event::Ready(task, id.clone(), marked)),
                Act::Holding(task, to, since) => self.send_to_id(&to, Event::Holding(task, id.clone(), since)),
                Act::Flush(task, to, early) => self.send_to_id(&to, Event::Flush(task, id.clone(), early)),
                Act::Mark(task, mark) => drop(self.publish(&task.clone(), &Event::Mark(task, mark))),
                Act::Release(task, to, took) => self.work(index, Work::Release(task, to, took)),
                Act::Append(task, activities) => {
                    for activity in activities {
                        self.work(index, Work::Append(task.clone(), Box::new(activity)));
                    }
                }
            }
        }
    }

    fn subscribe(&mut self, index: usize, task: TaskId) {
        let Some(node) = self.nodes.get_mut(&index) else { return };
        node.wanted.insert(task.clone());
        if !node.cut {
            self.subscribed.insert((index, task.clone()));
            self.send_to(index, Event::Subscribed(task));
        }
    }

    /// The connection goes, and with it every subscription; what was read already is read.
    fn cut(&mut self, index: usize) {
        if let Some(node) = self.nodes.get_mut(&index) {
            node.cut = true;
            self.subscribed.retain(|(of, _)| *of != index);
        }
    }

    fn mend(&mut self) {
        let cut: Vec<_> = self.nodes.iter().filter(|(_, node)| node.cut).map(|(index, _)| *index).collect();
        for index in cut {
            let Some(node) = self.nodes.get_mut(&index) else { continue };
            node.cut = false;
            for task in node.wanted.clone() {
                self.subscribe(index, task);
            }
        }
    }

    fn work(&mut self, index: usize, work: Work) {
        if let Some(node) = self.nodes.get_mut(&index) {
            node.work.push_back(work);
        }
    }

    fn send_to(&mut self, index: usize, event: Event) {
        if let Some(node) = self.nodes.get_mut(&index).filter(|node| !node.cut) {
            node.inbox.push_back(event);
        }
    }

    fn send_to_id(&mut self, id: &NodeId, event: Event) {
        if let Some(node) = self.nodes.values_mut().find(|node| node.id == *id && !node.cut) {
            node.inbox.push_back(event);
        }
    }

    fn broadcast(&mut self, event: &Event) {
        self.nodes.values_mut().filter(|node| !node.cut).for_each(|node| node.inbox.push_back(event.clone()));
    }

    /// To all who are subscribed at this moment; gives how many.
    fn publish(&mut self, task: &TaskId, event: &Event) -> usize {
        let to: Vec<_> = self.subscribed.iter().filter(|(_, of)| of == task).map(|(index, _)| *index).collect();
        to.iter().for_each(|index| self.send_to(*index, event.clone()));
        to.len()
    }

    fn read(&mut self, index: usize, now: Instant) {
        let Some(node) = self.nodes.get_mut(&index) else { return };
        let ownership = &mut node.ownership;
        match node.inbox.pop_front() {
            None => return,
            Some(Event::Subscribed(task)) => ownership.subscribed(&task, now),
            Some(Event::Message(task, activity)) => ownership.heard(&task, vec![activity], now),
            Some(Event::Mark(task, mark)) => ownership.marked(&task, &mark, now),
            Some(Event::Ack(task, event)) => ownership.settled(&task, &[event]),
            Some(Event::Tell(task)) => ownership.told(&task, now),
            Some(Event::Announce(task)) => ownership.announced(&task, now),
            Some(Event::Ready(task, from, marked)) => ownership.ready(&task, &from, marked, now),
            Some(Event::Holding(task, from, since)) => ownership.holding(&task, &from, since, now),
            Some(Event::Flush(task, from, early)) => ownership.flush(&task, &from, early),
            Some(Event::Released(task, from, took)) => ownership.released(&task, &from, took, now),
        }
        self.act(index);
    }

    fn store(&mut self, index: usize) {
        let Some(node) = self.nodes.get_mut(&index) else { return };
        match node.work.pop_front() {
            None => {}
            Some(Work::Release(task, to, took)) => {
                let from = node.id.clone();
                self.send_to_id(&to, Event::Released(task, from, took));
            }
            Some(Work::Append(task, activity)) => {
                let id = activity.activity.event_id;
                let number = u64::from_be_bytes(id.as_bytes()[..8].try_into().expect("eight"));
                if self.events.insert(id) || !activity.event_id_given {
                    self.stored.entry(task.clone()).or_default().push((number, activity.event_id_given));
                }
                if activity.event_id_given {
                    self.publish(&task.clone(), &Event::Ack(task, id));
                }
            }
        }
    }

    /// Whether every task that anybody has heard of has an owner.
    fn is_owned(&self) -> bool {
        if self.nodes.values().any(|node| node.inbox.iter().any(|event| matches!(event, Event::Announce(_)))) {
            return false;
        }
        let tasks = (0..TASKS.len()).map(task);
        tasks.filter(|task| self.nodes.values().any(|node| node.ownership.knows(task))).all(|task| {
            self.nodes.values().any(|node| node.ownership.owns(&task))
                && self.nodes.values().all(|node| node.ownership.knows(&task))
        })
    }

    fn beat(&mut self, index: usize, now: Instant) {
        let members = self.members();
        if let Some(node) = self.nodes.get_mut(&index) {
            node.ownership.members(members, now);
            self.act(index);
        }
    }

    /// A tick never comes long before what has arrived is read.
    fn tick(&mut self, index: usize, now: Instant) {
        while self.nodes.get(&index).is_some_and(|node| !node.inbox.is_empty()) {
            self.read(index, now);
        }
        let Some(node) = self.nodes.get_mut(&index) else { return };
        node.ownership.tick(now);
        let done = node.leaving && !node.ownership.is_busy();
        if done {
            node.ownership.withdraw(now);
        }
        self.act(index);
        if done {
            self.finish(index, now);
        }
    }

    fn join(&mut self, index: usize, now: Instant) {
        if self.nodes.contains_key(&index) {
            return;
        }
        self.births += 1;
        let id: NodeId = format!("n{index}#{}", self.births).into();
        let options = OwnershipOptions {
            tasks: 10,
            hold_activities: self.hold,
            hold_bytes: 1 << 20,
            linger: Duration::from_secs(5),
            return_within: Duration::from_secs(3),
        };
        let ownership = Ownership::new(id.clone(), options);
        let (inbox, work) = (VecDeque::new(), VecDeque::new());
        self.nodes
            .insert(index, Node { id, ownership, inbox, work, able: true, leaving: false, wanted: HashSet::new(), cut: false });
        self.beat(index, now);
    }

    /// A node that has left stores what it has before it goes.
    fn finish(&mut self, index: usize, now: Instant) {
        while self.nodes.get(&index).is_some_and(|node| !node.inbox.is_empty()) {
            self.read(index, now);
        }
        if let Some(node) = self.nodes.get_mut(&index) {
            node.ownership.give_up();
        }
        self.act(index);
        while self.nodes.get(&index).is_some_and(|node| !node.work.is_empty()) {
            self.store(index);
        }
        self.nodes.remove(&index);
        self.subscribed.retain(|(of, _)| *of != index);
    }

    /// Everything is read, stored and asked until nothing happens any more.
    fn settle(&mut self, start: Instant) {
        self.ghosts.clear();
        self.mend();
        for round in 0..40 {
            self.time += 400;
            let now = self.now(start);
            let indices: Vec<_> = self.nodes.keys().copied().collect();
            for index in &indices {
                self.beat(*index, now);
                for _ in 0..400 {
                    self.read(*index, now);
                    self.store(*index);
                }
                self.tick(*index, now);
            }
            for index in indices.into_iter().filter(|_| round == 30) {
                let Some(node) = self.nodes.get_mut(&index) else { continue };
                for (task, asked) in node.ownership.unanswered(now) {
                    let stored: Vec<_> = asked.iter().filter(|event| self.events.contains(*event)).copied().collect();
                    node.ownership.answered(&task, &asked, &stored);
                }
                self.act(index);
            }
        }
    }
}
