//! Which tasks' channels this node listens to, and what it does with what it hears there. A state machine without I/O: whatever happens goes
//! in, what is to be done comes out as [`Act`]s.
//!
//! Ownership saves work, it is never needed for correctness: the store tells repeats by their `eventId`, and any node may append at any
//! time. What this machine adds is that an activity with an `eventId` is always heard by two nodes, that one without is taken by one, and
//! that an invocation's activities keep their order when a task changes hands:
//!
//! 1. The coming owner subscribes and holds what it hears. Then it says `Ready` to all.
//! 2. The present owner puts a mark on the task's channel and goes on until it sees the mark come by.
//! 3. It says `Released` once everything it took is stored. Whoever takes nothing of the task says `Released` too, or `Holding` if it holds
//!    what nobody has confirmed, because an owner has died, and the coming one has not heard: whoever has subscribed puts a mark on the
//!    channel, so that others know since when it listens.
//! 4. When there are only such, they are told to `Flush` one after the other, and say `Released` when that is stored.
//! 5. When everyone alive has said so, the coming owner appends what it holds, and is the owner.
//!
//! Of two that come at once the one with the lesser weight goes first, whatever each of them knows of the members; except before one that
//! the last owner's mark has named, which must not turn back either.

mod act;
#[cfg(test)]
mod bounds;
mod handover;
mod leaving;
mod place;
mod same;
#[cfg(test)]
mod simulation;

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    time::{Duration, Instant},
};

use super::{
    members::Members,
    ranking::{NodeId, first_two},
};
use crate::model::{EventId, NewActivity, TaskId};

pub(crate) use act::{Act, Move, Took};
use place::{Claim, Place, Role};

/// How often an unanswered `Ready` is repeated.
const ASK_AGAIN: Duration = Duration::from_secs(1);

/// How long a node that withdrew still takes what was on its way.
const STRAGGLERS: Duration = Duration::from_secs(2);

/// How long a new standby waits for the coming owner to say that it listens: what the standby alone hears without an `eventId` is lost.
const OWNER_FIRST: Duration = Duration::from_secs(1);

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
    /// How long others who are no members any more since this node was none are waited for.
    pub return_within: Duration,
}

/// The state of all tasks that this node knows.
#[derive(Debug, Clone)]
pub(crate) struct Ownership {
    me: NodeId,
    options: OwnershipOptions,
    members: Members,
    known: HashSet<TaskId>,
    places: HashMap<TaskId, Place>,
    /// Who was a member when this node lapsed, and until when they are waited for: if Redis has forgotten them too, they come back.
    former: Option<(Vec<NodeId>, Instant)>,
    /// Bytes and activities held over all places.
    held: (usize, usize),
    acts: Vec<Act>,
}

impl Ownership {
    pub(crate) fn new(me: NodeId, options: OwnershipOptions) -> Self {
        let (known, places) = (HashSet::new(), HashMap::new());
        Self { me, options, members: Members::default(), known, places, former: None, held: (0, 0), acts: Vec::new() }
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
        let before = std::mem::replace(&mut self.members, members);
        let tasks: Vec<TaskId> = self.places.keys().cloned().collect();
        tasks.iter().for_each(|task| self.tell_newcomers(task, &before));
        self.review_all(now);
    }

    fn review_all(&mut self, now: Instant) {
        let tasks: Vec<TaskId> =
            self.known.iter().chain(self.places.keys().filter(|t| !self.known.contains(*t))).cloned().collect();
        for task in tasks {
            self.review(&task, now);
            self.stand_by(&task, now);
        }
    }

    /// Whoever has come into the first two ranks since `before` may know nothing of the task: what was announced is in no store until
    /// something is published.
    fn tell_newcomers(&mut self, task: &TaskId, before: &Members) {
        let had = first_two(task, &before.able);
        let has = first_two(task, &self.members.able);
        let new = has.into_iter().flatten().filter(|node| **node != self.me && !had.contains(&Some(*node)));
        self.acts.extend(new.map(|node| Act::Tell(task.clone(), node.clone())));
    }

    /// A task is or will be published to. Beyond the bound of tasks it is passed over; whoever announces it sees that nobody hears it.
    pub(crate) fn announced(&mut self, task: &TaskId, now: Instant) {
        if !self.known.contains(task) {
            if self.options.tasks <= self.known.len() {
                return;
            }
            self.known.insert(task.clone());
        }
        self.review(task, now);
    }

    /// A node that has had a part in the task says that this one has one now.
    pub(crate) fn told(&mut self, task: &TaskId, now: Instant) {
        self.announced(task, now);
        self.stand_by(task, now);
    }

    /// A standby listens at once if there is an owner who does.
    fn stand_by(&mut self, task: &TaskId, now: Instant) {
        if self.places.get(task).is_some_and(|place| place.role == Role::Standby && !place.listens && place.held.is_empty()) {
            self.listen(task, now);
        }
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

    /// Whether it is for this node to say what is wrong with a message on the task's channel.
    pub(crate) fn answers_for(&self, task: &TaskId) -> bool {
        let role = self.places.get(task).map(|place| &place.role);
        role.is_some_and(|role| role.takes() || matches!(role, Role::Arriving { claim: Claim::Mine, .. }))
    }

    /// Activities came by on the task's channel.
    pub(crate) fn heard(&mut self, task: &TaskId, mut activities: Vec<NewActivity>, now: Instant) {
        // Without a place the task was let go of; whoever has it now hears it too.
        let Some(place) = self.places.get_mut(task) else { return };
        place.heard = now;
        if place.role.takes() {
            place.held.pass_over();
            if place.role == Role::Owner && place.unsure.is_some_and(|since| now - since < STRAGGLERS) {
                activities.retain(|activity| activity.event_id_given);
            }
            self.acts.push(Act::Append(task.clone(), activities));
            return;
        }
        let claimed = matches!(place.role, Role::Arriving { claim: Claim::Perhaps | Claim::Mine, .. });
        if !claimed && place.turned.is_none() {
            activities.retain(|activity| activity.event_id_given);
        }
        self.hold(task, |place| place.held.push(activities, now));
        let full = self.options.hold_bytes <= self.held.0 || self.options.hold_activities <= self.held.1;
        if full
            && let Some(place) = self.places.get_mut(task)
            && place.let_go()
        {
            self.acts.push(Act::Unsubscribe(task.clone()));
            // What is held is let go of when it is acked.
            self.acts.push(Act::HearAcks(task.clone()));
        }
    }

    /// Whether there is room to hold what will be heard on another channel.
    fn has_room(&self) -> bool {
        self.held.0 < self.options.hold_bytes / 2 && self.held.1 < self.options.hold_activities / 2
    }

    /// Forgets what is held without an `eventId` from this number on: somebody else has taken it.
    fn drop_anonymous(&mut self, task: &TaskId, since: u64) {
        self.hold(task, |place| place.held.drop_anonymous(since));
    }

    #[cfg(test)]
    fn knows(&self, task: &TaskId) -> bool {
        self.known.contains(task)
    }

    #[cfg(test)]
    fn owns(&self, task: &TaskId) -> bool {
        self.places.get(task).is_some_and(|place| place.role == Role::Owner)
    }

    #[cfg(test)]
    fn is_to_own(&self, task: &TaskId) -> bool {
        let role = self.places.get(task).map(|place| &place.role);
        role.is_some_and(|role| role.takes() || matches!(role, Role::Arriving { .. }))
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
            self.append_held(task, u64::MAX);
            // Perhaps whoever is to own it has never heard of it.
            let owner = first_two(task, &self.members.able)[0].filter(|node| **node != self.me).cloned();
            self.acts.extend(owner.map(|node| Act::Tell(task.clone(), node)));
        }
    }

    /// Now and then: asks again, listens again, lets go.
    pub(crate) fn tick(&mut self, now: Instant) {
        if self.former.take_if(|(_, until)| *until <= now).is_some() {
            self.review_all(now);
        }
        let room = self.has_room();
        let tasks: Vec<_> =
            self.places.iter().filter(|(_, place)| place.role != Role::Owner).map(|(task, _)| task.clone()).collect();
        for task in tasks {
            let Some(place) = self.places.get_mut(&task) else { continue };
            if place.turned.is_some_and(|turned| STRAGGLERS <= now - turned) {
                place.turned = None;
                self.drop_anonymous(&task, 0);
            }
            let Some(place) = self.places.get_mut(&task) else { continue };
            match &mut place.role {
                Role::Arriving { asked, claim, .. }
                    if (place.subscribed || !place.listens) && asked.is_none_or(|asked| ASK_AGAIN <= now - asked) =>
                {
                    *asked = Some(now);
                    self.acts.push(Act::Ready(task, *claim == Claim::Mine));
                }
                Role::Arriving { .. } | Role::Standby
                    if !place.listens && (room || place.held.is_empty()) && OWNER_FIRST <= now - place.heard =>
                {
                    self.listen(&task, now);
                }
                Role::Lingering { since } if self.options.linger <= now - *since => self.go(&task),
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
        let others = self.others();
        let Some(place) = self.places.get_mut(task) else {
            if self.known.contains(task) && (mine || second) {
                if mine {
                    // It hears nothing from before it belonged here.
                    let role = Role::arriving(others, Claim::Perhaps);
                    self.places.insert(task.clone(), Place::new(role, now));
                    self.acts.push(Act::Subscribe(task.clone()));
                } else {
                    let place = Place { listens: false, ..Place::new(Role::Standby, now) };
                    self.places.insert(task.clone(), place);
                }
            }
            return;
        };
        match &mut place.role {
            // Whoever comes asks for it.
            Role::Owner | Role::Leaving { .. } => {}
            Role::Arriving { waiting, holding, claim, .. } if mine || *claim == Claim::Mine => {
                let before = waiting.len();
                waiting.retain(|node| others.contains(node));
                holding.retain(|node, _| others.contains(node));
                // Whoever has gone may have taken some.
                if waiting.len() < before && *claim != Claim::Mine {
                    *claim = Claim::Others;
                    self.drop_anonymous(task, 0);
                    self.claim(task, now);
                }
                self.listen(task, now);
            }
            Role::Arriving { .. } if !mine => {
                place.turned = Some(now);
                place.role = if second { Role::Standby } else { Role::Lingering { since: now } };
            }
            Role::Standby | Role::Lingering { .. } if second => place.role = Role::Standby,
            Role::Standby if !mine => place.role = Role::Lingering { since: now },
            Role::Lingering { .. } | Role::Withdrawn { .. } if !mine && !second => {}
            Role::Withdrawn { .. } if !mine => place.role = Role::Standby,
            Role::Standby | Role::Lingering { .. } | Role::Withdrawn { .. } | Role::Arriving { .. } => {
                // What has come since it was published is for this node to take only after its own mark comes by.
                let claim = if place.listens { Claim::Others } else { Claim::Perhaps };
                place.role = Role::arriving(others, claim);
                self.drop_anonymous(task, 0);
                self.claim(task, now);
                self.listen(task, now);
            }
        }
    }

    /// Who may have a part in a task besides this node.
    fn others(&self) -> BTreeSet<NodeId> {
        let former = self.former.iter().flat_map(|(nodes, _)| nodes);
        self.members.alive.iter().chain(former).filter(|node| **node != self.me).cloned().collect()
    }

    /// Whoever has a part in a task listens, unless it holds all it may: then it comes back when there is room, whoever announces the task.
    fn listen(&mut self, task: &TaskId, now: Instant) {
        let room = self.has_room();
        if let Some(place) = self.places.get_mut(task)
            && (room || place.held.is_empty())
            && !std::mem::replace(&mut place.listens, true)
        {
            self.acts.push(Act::Subscribe(task.clone()));
        }
        self.arrive(task, now);
    }

    /// Appends what is held from before this number.
    fn append_held(&mut self, task: &TaskId, until: u64) {
        let mut appends = Vec::new();
        self.hold(task, |place| {
            while let Some(activities) = place.held.pop_before(until) {
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
        let Some(place) = self.places.remove(task) else { return };
        self.acts.push(if place.listens { Act::Unsubscribe(task.clone()) } else { Act::IgnoreAcks(task.clone()) });
    }
}
