//! Nodes, each with the program's own [`Ownership`], around a Redis, a store and one agent that publishes to one task.
//!
//! What is not the state machine itself is small enough to be written down here: channels that keep their order, a link whose changes take
//! effect later than they are asked for, the queue to the writer, the commit, and the answer after it.

use std::{
    collections::{BTreeMap, BTreeSet},
    hash::{Hash, Hasher},
    time::{Duration, Instant},
};

use crate::{
    cluster::{Act, Mark, Members, NodeId, Took},
    model::{EventId, TaskId},
};

use super::{
    Broken, TASK,
    node::{Event, MarkOf, Node, Said, Work, activity},
};

/// What was published and heard by somebody.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Counted {
    pub(super) said: Said,
    /// Who has heard it and neither died since nor dropped it unread.
    pub(super) by: BTreeSet<u8>,
    /// Whether one of them was the owner.
    pub(super) by_an_owner: bool,
}

/// Everything.
#[derive(Debug, Clone)]
pub struct World {
    pub(super) start: Instant,
    pub(super) broken: Option<Broken>,
    pub(super) millis: u64,
    pub(super) nodes: BTreeMap<u8, Node>,
    /// Who is dead and still counts as a member.
    pub(super) ghosts: BTreeSet<NodeId>,
    pub(super) counted: Vec<Counted>,
    /// What is stored, in order.
    pub(super) stored: Vec<Said>,
    events: BTreeSet<EventId>,
    pub(super) published: u8,
    pub(super) faults: u8,
    pub(super) ticks: u8,
}

impl Hash for World {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.millis, &self.nodes, &self.ghosts, &self.counted, &self.stored, &self.events).hash(state);
        (self.published, self.faults, self.ticks).hash(state);
    }
}

impl PartialEq for World {
    fn eq(&self, other: &Self) -> bool {
        crate::digest(self) == crate::digest(other)
    }
}

fn task() -> TaskId {
    TASK.parse().expect("valid")
}

impl World {
    pub(super) fn new(broken: Option<Broken>) -> Self {
        Self {
            start: Instant::now(),
            broken,
            millis: 0,
            nodes: BTreeMap::new(),
            ghosts: BTreeSet::new(),
            counted: Vec::new(),
            stored: Vec::new(),
            events: BTreeSet::new(),
            published: 0,
            faults: 0,
            ticks: 0,
        }
    }

    fn is(&self, broken: Broken) -> bool {
        self.broken == Some(broken)
    }

    fn now(&self) -> Instant {
        self.start + Duration::from_millis(self.millis)
    }

    fn members(&self) -> Members {
        let counted = || self.nodes.values().filter(|node| node.member);
        let mut alive: Vec<_> = counted().map(|node| node.id.clone()).chain(self.ghosts.iter().cloned()).collect();
        let able = counted().filter(|node| node.able).map(|node| node.id.clone());
        let mut able: Vec<_> = able.chain(self.ghosts.iter().cloned()).collect();
        alive.sort();
        able.sort();
        Members { alive, able }
    }

    /// Whether the next beat of this node would tell it something.
    pub(super) fn has_news(&self, node: &Node) -> bool {
        let Members { alive, able } = self.members();
        !node.member || node.seen != (alive, able)
    }

    /// `errands::run`: does what a node's ownership asks for.
    fn act(&mut self, index: u8) {
        let Some(node) = self.nodes.get_mut(&index) else { return };
        let from = node.id.clone();
        for act in node.ownership.take_acts() {
            let Some(node) = self.nodes.get_mut(&index) else { return };
            match act {
                Act::Subscribe(_) => {
                    node.hears_acks = true;
                    node.link.push_back(true);
                    if self.broken == Some(Broken::ReadyBeforeSubscribed) {
                        node.inbox.push_back(Event::Subscribed);
                    }
                }
                Act::Unsubscribe(_) => {
                    node.hears_acks = false;
                    node.link.push_back(false);
                }
                Act::HearAcks(_) => node.hears_acks = true,
                Act::IgnoreAcks(_) => node.hears_acks = false,
                Act::Moved(_) => {}
                Act::Tell(_, to) => self.letter(&to, Event::Tell),
                Act::Ready(_, marked) => self.broadcast(&Event::Ready(from.clone(), marked)),
                Act::Holding(_, to, since) => self.letter(&to, Event::Holding(from.clone(), since)),
                Act::Flush(_, to, early) => self.letter(&to, Event::Flush(from.clone(), early)),
                Act::Mark(_, mark) => self.put_mark(index, mark),
                Act::Release(_, to, took) if self.broken == Some(Broken::ReleasedBeforeStored) => {
                    self.letter(&to, Event::Released(from.clone(), took == Took::Perhaps));
                }
                Act::Release(_, to, took) => node.work.push_back(Work::Release(to, took == Took::Perhaps)),
                Act::Append(_, activities) => {
                    for new in activities {
                        let event = new.activity.event_id;
                        let number = event.as_bytes()[0];
                        let given = number < 0x80;
                        let said = (if given { number } else { number & 0x0f }, given);
                        if self.is(Broken::AckBeforeCommit) {
                            self.ack(event);
                        }
                        self.nodes.entry(index).and_modify(|node| node.work.push_back(Work::Append(said, event, node.lapses)));
                    }
                }
            }
        }
    }

    fn put_mark(&mut self, index: u8, mark: Mark) {
        if self.is(Broken::MarkBesideTheChannel) && matches!(mark, Mark::Passes { .. }) {
            let now = self.now();
            self.nodes.values_mut().for_each(|node| node.ownership.marked(&task(), &mark, now));
            let others: Vec<_> = self.nodes.keys().copied().collect();
            others.into_iter().filter(|other| *other != index).for_each(|other| self.act(other));
            return self.act(index);
        }
        self.put_on_channel(&Event::Mark(MarkOf(mark)));
    }

    fn letter(&mut self, to: &NodeId, event: Event) {
        if let Some(node) = self.nodes.values_mut().find(|node| node.id == *to) {
            node.inbox.push_back(event);
        }
    }

    fn broadcast(&mut self, event: &Event) {
        self.nodes.values_mut().for_each(|node| node.inbox.push_back(event.clone()));
    }

    /// To all who are subscribed at this moment.
    fn put_on_channel(&mut self, event: &Event) {
        self.nodes.values_mut().filter(|node| node.subscribed).for_each(|node| node.inbox.push_back(event.clone()));
    }

    fn ack(&mut self, event: EventId) {
        self.nodes.values_mut().filter(|node| node.hears_acks).for_each(|node| node.inbox.push_back(Event::Ack(event)));
    }

    /// The agent says its next thing; if nobody counts it, it announces the task instead, and tries again.
    pub(super) fn publish(&mut self, given: bool) {
        let said = (self.published + 1, given);
        let by: BTreeSet<u8> = self.nodes.iter().filter(|(_, node)| node.subscribed).map(|(index, _)| *index).collect();
        if by.is_empty() {
            return self.broadcast(&Event::Announce);
        }
        let by_an_owner = by.iter().any(|index| self.nodes[index].ownership.answers_for(&task()));
        self.counted.push(Counted { said, by, by_an_owner });
        self.published += 1;
        self.put_on_channel(&Event::Message(said));
    }

    /// Whether saying the next thing would change anything.
    pub(super) fn may_publish(&self) -> bool {
        self.nodes.values().any(|node| node.subscribed)
            || !self.nodes.values().any(|node| node.inbox.contains(&Event::Announce))
                && !self.nodes.values().any(|node| node.link.contains(&true))
    }

    /// `Keeper::heard`, `spoken_to`: the node reads what came next over its link.
    pub(super) fn heard(&mut self, index: u8) {
        let (now, task) = (self.now(), task());
        let broken = self.broken;
        let Some(node) = self.nodes.get_mut(&index) else { return };
        let ownership = &mut node.ownership;
        match node.inbox.pop_front() {
            None => return,
            Some(Event::Subscribed) => ownership.subscribed(&task, now),
            Some(Event::Message(said)) => {
                let mut new = activity(said, index);
                new.event_id_given |= broken == Some(Broken::StandbyTakesAnonymous);
                let event = new.activity.event_id;
                let takes = ownership.answers_for(&task);
                ownership.heard(&task, vec![new], now);
                if !takes && broken == Some(Broken::StandbyForgetsAtOnce) {
                    ownership.settled(&task, &[event]);
                }
            }
            Some(Event::Mark(MarkOf(mark))) => ownership.marked(&task, &mark, now),
            Some(Event::Ack(event)) => ownership.settled(&task, &[event]),
            Some(Event::Tell) => ownership.told(&task, now),
            Some(Event::Announce) => ownership.announced(&task, now),
            Some(Event::Ready(from, marked)) => ownership.ready(&task, &from, marked, now),
            Some(Event::Holding(from, since)) => ownership.holding(&task, &from, since, now),
            Some(Event::Flush(from, early)) => ownership.flush(&task, &from, early),
            Some(Event::Released(from, took)) => {
                ownership.released(&task, &from, if took { Took::Perhaps } else { Took::Nothing }, now);
            }
        }
        self.act(index);
    }

    /// `Link`: Redis makes the next change of the subscription, and confirms it.
    pub(super) fn link(&mut self, index: u8) {
        let confirms = !self.is(Broken::ReadyBeforeSubscribed);
        let Some(node) = self.nodes.get_mut(&index) else { return };
        let Some(on) = node.link.pop_front() else { return };
        node.subscribed = on;
        if on && confirms {
            node.inbox.push_back(Event::Subscribed);
        }
    }

    /// `submit_all`: the writer commits what comes next.
    pub(super) fn submit(&mut self, index: u8) {
        let Some(node) = self.nodes.get_mut(&index) else { return };
        let Some(work) = node.work.pop_front() else { return };
        node.pending.push_back(work.clone());
        let Work::Append(said, event, lapses) = work else { return };
        let holds = match self.broken {
            Some(Broken::LeaseNotChecked) => true,
            Some(Broken::LeaseOutlivesLapse) => node.member,
            _ => node.member && node.lapses == lapses,
        };
        if !said.1 && !holds {
            return;
        }
        if self.events.insert(event) || self.is(Broken::StoreIgnoresEventId) {
            self.stored.push(said);
        }
    }

    /// `answer_all`: says what follows from the oldest commit.
    pub(super) fn answer(&mut self, index: u8) {
        let Some(node) = self.nodes.get_mut(&index) else { return };
        let from = node.id.clone();
        match node.pending.pop_front() {
            None | Some(Work::Append((_, false), _, _)) => {}
            Some(Work::Release(to, took)) => self.letter(&to, Event::Released(from, took)),
            Some(Work::Append((_, true), event, _)) => self.ack(event),
        }
    }

    /// `Beats::be_a_member`: the node hears who is there; or that it was no member, cleans up, and joins again.
    pub(super) fn beat(&mut self, index: u8) {
        let (now, members) = (self.now(), self.members());
        let Some(node) = self.nodes.get_mut(&index) else { return };
        if node.member {
            node.seen = (members.alive.clone(), members.able.clone());
            node.ownership.members(members, now);
            return self.act(index);
        }
        node.ownership.lapsed(now);
        self.act(index);
        // The link is made anew: what was heard and not read goes with the connections.
        let Some(node) = self.nodes.get_mut(&index) else { return };
        let unread: Vec<_> = node.inbox.drain(..).collect();
        let wanted = node.link.drain(..).next_back().unwrap_or(node.subscribed);
        node.subscribed = false;
        node.link.extend(wanted.then_some(true));
        node.member = true;
        node.lapses += 1;
        for event in unread {
            if let Event::Message(said) = event {
                self.counted.iter_mut().filter(|one| one.said == said).for_each(|one| one.by.retain(|by| *by != index));
            }
        }
    }

    /// `Keeper::tick`, and `leave_if_done` for a node that leaves.
    pub(super) fn tick(&mut self, index: u8) {
        let now = self.now();
        let Some(node) = self.nodes.get_mut(&index) else { return };
        node.ownership.tick(now);
        self.act(index);
        self.leave_if_done(index);
    }

    /// Whether `leave_if_done` would do something.
    pub(super) fn may_go(&self, node: &Node) -> bool {
        node.leaving && self.settles(node) && (!node.listening || node.inbox.is_empty() && node.link.is_empty())
    }

    fn settles(&self, node: &Node) -> bool {
        !node.ownership.is_busy() || node.listening && self.is(Broken::LeavesHolding)
    }

    pub(super) fn leave_if_done(&mut self, index: u8) {
        let now = self.now();
        let may_go = self.nodes.get(&index).is_some_and(|node| self.may_go(node));
        let Some(node) = self.nodes.get_mut(&index).filter(|_| may_go) else { return };
        if !std::mem::replace(&mut node.listening, true) {
            node.ownership.withdraw(now);
            return self.act(index);
        }
        node.ownership.give_up();
        self.act(index);
        while self.nodes.get(&index).is_some_and(|node| !node.work.is_empty() || !node.pending.is_empty()) {
            self.submit(index);
            self.answer(index);
        }
        self.nodes.remove(&index);
    }

    pub(super) fn join(&mut self, index: u8) {
        self.nodes.insert(index, Node::new(index));
        self.beat(index);
    }

    /// `kill -9`.
    pub(super) fn kill(&mut self, index: u8) {
        let Some(node) = self.nodes.remove(&index) else { return };
        if node.member {
            self.ghosts.insert(node.id);
        }
        self.counted.iter_mut().for_each(|one| one.by.retain(|by| *by != index));
    }

    /// Somebody announces the task.
    pub(super) fn announce(&mut self) {
        self.broadcast(&Event::Announce);
    }

    /// Whatever is on its way arrives, whatever waits is done, the dead are members no more, and time passes.
    pub(super) fn settle(&mut self) {
        self.ghosts.clear();
        for round in 0..16 {
            self.millis += 1_000;
            let indices: Vec<_> = self.nodes.keys().copied().collect();
            indices.iter().for_each(|index| self.beat(*index));
            while indices.iter().any(|index| self.moves(*index)) {}
            if round == 11 {
                indices.iter().for_each(|index| self.ask_store(*index));
            }
            indices.iter().for_each(|index| self.tick(*index));
        }
    }

    /// Does one of each, where there is something to do.
    fn moves(&mut self, index: u8) -> bool {
        let idle = self
            .nodes
            .get(&index)
            .is_none_or(|node| node.inbox.is_empty() && node.link.is_empty() && node.work.is_empty() && node.pending.is_empty());
        self.link(index);
        self.heard(index);
        self.submit(index);
        self.answer(index);
        !idle
    }

    /// `lookups::read_stored`: what was held for long without an answer is looked for in the store.
    fn ask_store(&mut self, index: u8) {
        let Some(node) = self.nodes.get_mut(&index) else { return };
        let before = self.start + Duration::from_millis(self.millis) - Duration::from_secs(10);
        for (task, asked) in node.ownership.unanswered(before) {
            let stored: Vec<_> = asked.iter().filter(|event| self.events.contains(*event)).copied().collect();
            node.ownership.answered(&task, &asked, &stored);
        }
        self.act(index);
    }
}
