//! Which tasks' channels this node listens to, and what it does with what it hears there. A state machine without I/O: whatever happens goes
//! in, what is to be done comes out as [`Act`]s.
//!
//! Ownership saves work, it is never needed for correctness: the store tells repeats by their `eventId`, and any node may append at any
//! time. What this machine adds is that an activity with an `eventId` is always heard by two nodes, that one without is taken by one, and
//! that an invocation's activities keep their order when a task changes hands:
//!
//! 1. The coming owner subscribes and holds what it hears. Then it says `Ready` to all.
//! 2. The present owner puts a mark on the task's channel and goes on until it sees the mark come by.
//! 3. It says `Released` once everything it took is stored. Whoever takes nothing of the task says `Released` too.
//! 4. When everyone alive has said so, the coming owner appends what it holds, and is the owner.

mod place;
#[cfg(test)]
mod simulation;

use std::{
    collections::{HashMap, HashSet},
    time::{Duration, Instant},
};

use super::{
    members::Members,
    ranking::{NodeId, first_two},
};
use crate::model::{EventId, NewActivity, TaskId};

use place::{Place, Role};

/// How often an unanswered `Ready` is repeated.
const ASK_AGAIN: Duration = Duration::from_secs(1);

/// How long a node that withdrew still takes what was on its way.
const STRAGGLERS: Duration = Duration::from_secs(2);

/// Bounds of what a node keeps about ownership.
#[derive(Debug, Clone)]
pub struct OwnershipOptions {
    /// The most tasks that a node knows as open.
    pub tasks: usize,
    /// The most activities held as a standby or a coming owner, over all tasks.
    pub hold_activities: usize,
    /// The most bytes of them.
    pub hold_bytes: usize,
    /// How long a node that is no longer standby goes on listening.
    pub linger: Duration,
}

/// What is to be done.
#[derive(Debug)]
pub(crate) enum Act {
    /// Subscribe to the task's activities and acks; give [`Ownership::subscribed`] when the activities are confirmed.
    Subscribe(TaskId),
    /// Let go of both.
    Unsubscribe(TaskId),
    /// Let go of the acks: they are this node's own now.
    IgnoreAcks(TaskId),
    /// Say `Ready` to all.
    Ready(TaskId),
    /// Put a mark on the task's channel.
    Mark(TaskId, NodeId),
    /// Say `Released` to this node once everything before is stored.
    Release(TaskId, NodeId),
    /// Store these, after everything before.
    Append(TaskId, Vec<NewActivity>),
}

/// The state of all tasks that this node knows.
#[derive(Debug)]
pub(crate) struct Ownership {
    me: NodeId,
    options: OwnershipOptions,
    members: Members,
    known: HashSet<TaskId>,
    places: HashMap<TaskId, Place>,
    /// Bytes and activities held over all places.
    held: (usize, usize),
    acts: Vec<Act>,
}

impl Ownership {
    pub(crate) fn new(me: NodeId, options: OwnershipOptions) -> Self {
        let (known, places) = (HashSet::new(), HashMap::new());
        Self { me, options, members: Members::default(), known, places, held: (0, 0), acts: Vec::new() }
    }

    /// What is to be done now, in order.
    pub(crate) fn take_acts(&mut self) -> Vec<Act> {
        std::mem::take(&mut self.acts)
    }

    /// How many tasks are known, owned here, and held for others here.
    pub(crate) fn counts(&self) -> [usize; 3] {
        let owned = self.places.values().filter(|place| place.role.takes()).count();
        [self.known.len(), owned, self.places.len() - owned]
    }

    /// How many activities are held here.
    pub(crate) fn held_activities(&self) -> usize {
        self.held.1
    }

    /// These are the members now.
    pub(crate) fn members(&mut self, members: Members, now: Instant) {
        if self.members == members {
            return;
        }
        self.members = members;
        let tasks: Vec<TaskId> =
            self.known.iter().chain(self.places.keys().filter(|t| !self.known.contains(*t))).cloned().collect();
        for task in tasks {
            self.review(&task, now);
        }
    }

    /// A task is or will be published to. Says whether it is known now.
    pub(crate) fn announced(&mut self, task: &TaskId, now: Instant) -> bool {
        if !self.known.contains(task) {
            if self.options.tasks <= self.known.len() {
                return false;
            }
            self.known.insert(task.clone());
        }
        self.review(task, now);
        true
    }

    /// Nothing happens in this task any more.
    pub(crate) fn forget(&mut self, task: &TaskId) {
        self.known.remove(task);
        // What is held still has to be settled.
        if self.places.get(task).is_some_and(|place| place.held.is_empty()) {
            self.remove(task);
        }
    }

    /// The tasks taken here in which nothing was heard since `before`.
    pub(crate) fn idle_since(&self, before: Instant) -> Vec<TaskId> {
        let idle = self.places.iter().filter(|(_, place)| place.role == Role::Owner && place.heard <= before);
        idle.map(|(task, _)| task.clone()).collect()
    }

    /// The server has confirmed the subscription.
    pub(crate) fn subscribed(&mut self, task: &TaskId, now: Instant) {
        if let Some(place) = self.places.get_mut(task) {
            place.subscribed = true;
        }
        self.arrive(task, now);
    }

    /// Whether it is for this node to say what is wrong with a message on the task's channel.
    pub(crate) fn answers_for(&self, task: &TaskId) -> bool {
        let role = self.places.get(task).map(|place| &place.role);
        role.is_some_and(|role| role.takes() || matches!(role, Role::Arriving { marked: true, .. }))
    }

    /// Activities came by on the task's channel.
    pub(crate) fn heard(&mut self, task: &TaskId, mut activities: Vec<NewActivity>, now: Instant) {
        // Without a place the task was let go of; whoever has it now hears it too.
        let Some(place) = self.places.get_mut(task) else { return };
        place.heard = now;
        if place.role.takes() {
            self.acts.push(Act::Append(task.clone(), activities));
            return;
        }
        if !matches!(place.role, Role::Arriving { marked: true, .. }) {
            activities.retain(|activity| activity.event_id_given);
        }
        self.hold(task, |place| place.held.push(activities, now));
        let full = self.options.hold_bytes <= self.held.0 || self.options.hold_activities <= self.held.1;
        if full
            && let Some(place) = self.places.get_mut(task)
            && place.listens
        {
            place.listens = false;
            place.subscribed = false;
            self.acts.push(Act::Unsubscribe(task.clone()));
        }
    }

    /// A mark came by on the task's channel.
    pub(crate) fn marked(&mut self, task: &TaskId, from: &NodeId, to: &NodeId, now: Instant) {
        let Some(place) = self.places.get_mut(task) else { return };
        match &mut place.role {
            Role::Leaving { to: next, .. } if *from == self.me && next == to => {
                place.role = Role::Lingering { since: now };
                self.acts.push(Act::Release(task.clone(), to.clone()));
                // For the acks.
                self.acts.push(Act::Subscribe(task.clone()));
                self.review(task, now);
            }
            Role::Arriving { marked, .. } if *to == self.me => *marked = true,
            _ => {}
        }
    }

    /// A node is ready to own the task.
    pub(crate) fn ready(&mut self, task: &TaskId, from: &NodeId, now: Instant) {
        if *from == self.me || !self.members.alive.contains(from) {
            return;
        }
        self.announced(task, now);
        let first = first_two(task, &self.members.able)[0].cloned();
        let Some(place) = self.places.get_mut(task) else {
            self.acts.push(Act::Release(task.clone(), from.clone()));
            return;
        };
        match &mut place.role {
            // By what is known here it is not theirs: one of us will hear of a change of members soon, and they ask again.
            Role::Owner | Role::Arriving { .. } if first.as_ref() != Some(from) => {}
            Role::Owner => {
                place.role = Role::Leaving { to: from.clone() };
                self.acts.push(Act::Mark(task.clone(), from.clone()));
            }
            // The first mark may have been lost.
            Role::Leaving { to } if to == from => self.acts.push(Act::Mark(task.clone(), from.clone())),
            Role::Leaving { .. } => {}
            Role::Arriving { marked: true, .. } => {}
            Role::Arriving { .. } | Role::Standby | Role::Lingering { .. } | Role::Withdrawn { .. } => {
                self.acts.push(Act::Release(task.clone(), from.clone()));
            }
        }
    }

    /// A node takes nothing of the task any more, and has stored what it took.
    pub(crate) fn released(&mut self, task: &TaskId, from: &NodeId, now: Instant) {
        if let Some(Place { role: Role::Arriving { waiting, .. }, .. }) = self.places.get_mut(task) {
            waiting.remove(from);
        }
        self.arrive(task, now);
    }

    /// These are stored or refused.
    pub(crate) fn settled(&mut self, task: &TaskId, events: &[EventId]) {
        self.hold(task, |place| place.held.settled(events.iter().copied()));
    }

    /// What was held since before `before` without an answer, by task. Somebody has to ask the store about it.
    pub(crate) fn unanswered(&self, before: Instant) -> Vec<(TaskId, Vec<EventId>)> {
        let waiting = self.places.iter().filter(|(_, place)| !matches!(place.role, Role::Arriving { .. }));
        waiting
            .filter(|(_, place)| !place.held.is_empty())
            .map(|(task, place)| (task.clone(), place.held.open_since(before)))
            .filter(|(_, events)| !events.is_empty())
            .collect()
    }

    /// The store has answered: these of the unanswered are stored. The others were heard here and never reached the store by anyone else.
    pub(crate) fn answered(&mut self, task: &TaskId, asked: &[EventId], stored: &[EventId]) {
        self.settled(task, stored);
        let missing = asked.iter().any(|event| !stored.contains(event));
        let waits = self.places.get(task).is_some_and(|place| matches!(place.role, Role::Standby | Role::Lingering { .. }));
        if missing && waits {
            self.append_held(task);
        }
    }

    /// This node will own nothing from now on, and its channels are let go at once: its queue is full, or it does not hear. What it has
    /// taken, and what is still on its way, it stores.
    pub(crate) fn withdraw(&mut self, now: Instant) {
        let tasks: Vec<_> = self.places.keys().cloned().collect();
        for task in tasks {
            let Some(place) = self.places.get_mut(&task) else { continue };
            if std::mem::take(&mut place.listens) {
                place.subscribed = false;
                self.acts.push(Act::Unsubscribe(task.clone()));
            }
            match place.role {
                Role::Owner | Role::Leaving { .. } | Role::Withdrawn { .. } => place.role = Role::Withdrawn { since: now },
                Role::Arriving { .. } => {
                    place.role = Role::Withdrawn { since: now };
                    self.append_held(&task);
                }
                Role::Standby | Role::Lingering { .. } => place.role = Role::Lingering { since: now },
            }
        }
    }

    /// This node was no member for a while: others have taken over. What it holds with an `eventId` stays until the store has it.
    pub(crate) fn lapsed(&mut self, now: Instant) {
        self.members = Members::default();
        let tasks: Vec<_> = self.places.keys().cloned().collect();
        for task in tasks {
            self.hold(&task, |place| place.held.drop_anonymous());
            let Some(place) = self.places.get_mut(&task) else { continue };
            if std::mem::take(&mut place.listens) {
                place.subscribed = false;
                self.acts.push(Act::Unsubscribe(task.clone()));
            }
            place.role = Role::Lingering { since: now };
            if place.held.is_empty() {
                self.places.remove(&task);
            }
        }
    }

    /// Now and then: asks again, listens again, lets go.
    pub(crate) fn tick(&mut self, now: Instant) {
        let room = self.held.0 < self.options.hold_bytes / 2 && self.held.1 < self.options.hold_activities / 2;
        let tasks: Vec<_> =
            self.places.iter().filter(|(_, place)| place.role != Role::Owner).map(|(task, _)| task.clone()).collect();
        for task in tasks {
            let Some(place) = self.places.get_mut(&task) else { continue };
            match &mut place.role {
                Role::Arriving { asked, .. }
                    if (place.subscribed || !place.listens) && asked.is_none_or(|asked| ASK_AGAIN <= now - asked) =>
                {
                    *asked = Some(now);
                    self.acts.push(Act::Ready(task));
                }
                Role::Arriving { .. } | Role::Standby if !place.listens && (room || place.held.is_empty()) => {
                    place.listens = true;
                    self.acts.push(Act::Subscribe(task));
                }
                Role::Lingering { since } if place.held.is_empty() && self.options.linger <= now - *since => self.remove(&task),
                Role::Withdrawn { since } if STRAGGLERS <= now - *since => self.remove(&task),
                _ => {}
            }
        }
    }

    /// Puts the task where it belongs by the members that are known.
    fn review(&mut self, task: &TaskId, now: Instant) {
        let [first, second] = first_two(task, &self.members.able);
        let mine = first == Some(&self.me);
        let second = second == Some(&self.me);
        let Some(place) = self.places.get_mut(task) else {
            if self.known.contains(task) && (mine || second) {
                let role = if mine { Role::arriving(&self.members, &self.me) } else { Role::Standby };
                self.places.insert(task.clone(), Place::new(role, now));
                self.acts.push(Act::Subscribe(task.clone()));
            }
            return;
        };
        match &mut place.role {
            // Whoever comes asks for it.
            Role::Owner | Role::Leaving { .. } => return,
            Role::Arriving { waiting, marked, .. } if mine || *marked => {
                waiting.retain(|node| self.members.alive.contains(node));
            }
            Role::Arriving { .. } | Role::Standby | Role::Lingering { .. } if second => place.role = Role::Standby,
            Role::Arriving { .. } | Role::Standby if !mine => place.role = Role::Lingering { since: now },
            Role::Lingering { .. } | Role::Withdrawn { .. } if !mine && !second => return,
            Role::Withdrawn { .. } if !mine => place.role = Role::Standby,
            _ => place.role = Role::arriving(&self.members, &self.me),
        }
        if !std::mem::replace(&mut place.listens, true) {
            self.acts.push(Act::Subscribe(task.clone()));
        }
        self.arrive(task, now);
    }

    /// A coming owner that is subscribed asks the others, or, when all have answered, is the owner.
    fn arrive(&mut self, task: &TaskId, now: Instant) {
        let Some(place) = self.places.get_mut(task) else { return };
        let Role::Arriving { waiting, asked, .. } = &mut place.role else { return };
        // One whose bound was reached has let go of the channel, and goes on all the same.
        if place.listens && !place.subscribed {
            return;
        }
        if waiting.is_empty() {
            place.role = Role::Owner;
            place.heard = now;
            if !std::mem::replace(&mut place.listens, true) {
                self.acts.push(Act::Subscribe(task.clone()));
            }
            self.acts.push(Act::IgnoreAcks(task.clone()));
            self.append_held(task);
        } else if asked.is_none() {
            *asked = Some(now);
            self.acts.push(Act::Ready(task.clone()));
        }
    }

    fn append_held(&mut self, task: &TaskId) {
        let mut appends = Vec::new();
        self.hold(task, |place| {
            while let Some(activities) = place.held.pop() {
                appends.push(activities);
            }
        });
        let appends = appends.into_iter().filter(|activities| !activities.is_empty());
        self.acts.extend(appends.map(|activities| Act::Append(task.clone(), activities)));
    }

    /// Changes what is held of a task and keeps the sums.
    fn hold(&mut self, task: &TaskId, change: impl FnOnce(&mut Place)) {
        let Some(place) = self.places.get_mut(task) else { return };
        let before = (place.held.weight(), place.held.count());
        change(place);
        let (weight, count) = (place.held.weight(), place.held.count());
        self.held = (self.held.0 + weight - before.0, self.held.1 + count - before.1);
    }

    fn remove(&mut self, task: &TaskId) {
        self.hold(task, |place| place.held = super::held::Held::default());
        if self.places.remove(task).is_some_and(|place| place.listens) {
            self.acts.push(Act::Unsubscribe(task.clone()));
        }
    }
}
