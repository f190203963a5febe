//! How a task changes hands, message by message; see [the overview](super).

use std::time::{Duration, Instant};

use super::{
    Act, Move, Ownership, Took,
    place::{Claim, Place, Role},
};
use crate::{
    cluster::{
        control::Mark,
        ranking::{NodeId, first_two, weight},
    },
    model::TaskId,
};

/// A mark that has not come by so long after it was put on the channel never will: whoever it named would have asked again, or is no member
/// any more.
const LOST_MARK: Duration = Duration::from_secs(10);

impl Ownership {
    /// The server has confirmed the subscription.
    pub(crate) fn subscribed(&mut self, task: &TaskId, now: Instant) {
        let others = self.others();
        if let Some(place) = self.places.get_mut(task).filter(|place| place.listens) {
            let again = std::mem::replace(&mut place.subscribed, true);
            if again {
                place.interrupt();
            }
            place.since = place.held.next_number();
            // What came while the connection was lost the standby has heard alone, and it comes before what is heard from here on.
            let was_owner = again && place.role == Role::Owner;
            if was_owner {
                place.role = Role::arriving(others, Claim::Perhaps);
                self.acts.push(Act::Moved(Move::Lost));
                // An owner does not hear them, and now it holds what another one may store.
                self.acts.push(Act::HearAcks(task.clone()));
            }
            let mark = Mark::Listens { from: self.me.clone() };
            self.acts.push(Act::Mark(task.clone(), mark));
            // It may long have been for another one, who had not asked yet: then nobody would let it come back.
            if was_owner {
                self.review(task, now);
            }
        }
        self.arrive(task, now);
    }

    /// A mark came by on the task's channel.
    pub(crate) fn marked(&mut self, task: &TaskId, mark: &Mark, now: Instant) {
        let Some(place) = self.places.get_mut(task) else { return };
        let mine = match mark {
            Mark::Listens { .. } => false,
            Mark::Claims { from, number } => *from == self.me && *number == place.claims,
            Mark::Passes { to, .. } => *to == self.me,
        };
        if mine {
            place.unsure = None;
        }
        match (mark, &mut place.role) {
            (Mark::Listens { from }, _) if *from == self.me => place.early = place.held.next_number() - place.since,
            (Mark::Listens { from }, _) => place.note_listener(from, &self.members.alive),
            (Mark::Claims { from, number }, Role::Arriving { claim: claim @ Claim::Others, .. })
                if *from == self.me && *number == place.claims =>
            {
                *claim = Claim::Perhaps;
            }
            (Mark::Passes { from, to, .. }, Role::Leaving { to: next, .. }) if *from == self.me && next == to => {
                place.role = Role::Lingering { since: now };
                self.acts.push(Act::Moved(Move::Lost));
                self.acts.push(Act::Release(task.clone(), to.clone(), Took::Nothing));
                self.acts.push(Act::HearAcks(task.clone()));
                self.review(task, now);
            }
            (Mark::Passes { from, to, early }, Role::Arriving { claim, asked, .. }) if *claim != Claim::Mine => {
                *claim = if *to == self.me { Claim::Mine } else { Claim::Others };
                *asked = None;
                let since = place.unheard_by(from, *early);
                self.drop_anonymous(task, since);
                self.arrive(task, now);
            }
            (Mark::Passes { from, early, .. }, Role::Standby | Role::Lingering { .. }) => {
                let since = place.unheard_by(from, *early);
                self.drop_anonymous(task, since);
            }
            _ => {}
        }
    }

    /// A node is ready to own the task; `theirs` if the last owner's mark named it.
    pub(crate) fn ready(&mut self, task: &TaskId, from: &NodeId, theirs: bool, now: Instant) {
        if *from == self.me || !self.members.alive.contains(from) {
            return;
        }
        self.announced(task, now);
        let first = first_two(task, &self.members.able)[0].cloned();
        let Some(place) = self.places.get_mut(task) else {
            self.acts.push(Act::Release(task.clone(), from.clone(), Took::Nothing));
            return;
        };
        match &mut place.role {
            // By what is known here it is not theirs: one of us will hear of a change of members soon, and they ask again. One that a mark has named
            // does not turn back, whatever it hears: it was no member for a moment while this one came.
            Role::Owner if first.as_ref() != Some(from) && !theirs => {}
            Role::Owner => {
                place.role = Role::Leaving { to: from.clone(), passed: now };
                self.pass(task, from);
            }
            // The first mark may have been lost. If nobody heard it, whoever it named may have turned back, and asks no more.
            Role::Leaving { to, passed }
                if to == from || ((theirs || first.as_ref() == Some(from)) && LOST_MARK <= now - *passed) =>
            {
                (*to, *passed) = (from.clone(), now);
                self.pass(task, from);
            }
            Role::Leaving { .. } => {}
            Role::Arriving { claim, waiting, .. } => {
                let lighter = weight(task, from) < weight(task, &self.me);
                let mine = *claim == Claim::Mine;
                if if mine { theirs && lighter } else { theirs || lighter } {
                    waiting.insert(from.clone());
                    if mine {
                        // Two owners that did not know of each other have named one each. What comes without an `eventId` is taken by one of us.
                        *claim = Claim::Others;
                        self.drop_anonymous(task, 0);
                    }
                    self.acts.push(Act::Release(task.clone(), from.clone(), Took::Nothing));
                    if mine {
                        self.review(task, now);
                    }
                }
            }
            Role::Standby | Role::Lingering { .. } => self.answer(task, from, now),
            Role::Withdrawn { .. } => self.acts.push(Act::Release(task.clone(), from.clone(), Took::Perhaps)),
        }
    }

    /// Takes nothing of the task, and says whether it holds something that the other one may not have heard. What was heard before the channel
    /// was lost is older than whatever anybody has heard since: it is stored at once.
    fn answer(&mut self, task: &TaskId, from: &NodeId, now: Instant) {
        let Some(place) = self.places.get(task) else { return };
        let (interrupted, since) = (place.interrupted, place.unheard_by(from, 0));
        self.append_held(task, interrupted);
        let Some(place) = self.places.get(task) else { return };
        let holds = place.held.has_before(since);
        self.acts.push(match place.held.oldest().filter(|_| holds) {
            Some(oldest) => Act::Holding(task.clone(), from.clone(), now.saturating_duration_since(oldest)),
            None => Act::Release(task.clone(), from.clone(), Took::Nothing),
        });
        self.drop_anonymous(task, since);
        self.stand_by(task, now);
    }

    fn pass(&mut self, task: &TaskId, to: &NodeId) {
        let early = self.places.get(task).map_or(0, |place| place.early);
        let mark = Mark::Passes { from: self.me.clone(), to: to.clone(), early };
        self.acts.push(Act::Mark(task.clone(), mark));
    }

    /// A node takes nothing of the task, but holds something that nobody has confirmed.
    pub(crate) fn holding(&mut self, task: &TaskId, from: &NodeId, since: Duration, now: Instant) {
        if let Some(Place { role: Role::Arriving { holding, .. }, .. }) = self.places.get_mut(task) {
            holding.insert(from.clone(), now.checked_sub(since).unwrap_or(now));
        }
        self.arrive(task, now);
    }

    /// Everybody else has let go of the task: what is held here and was not heard by the other one, who has heard this many messages before
    /// its mark, is stored now.
    pub(crate) fn flush(&mut self, task: &TaskId, from: &NodeId, early: u64) {
        let Some(place) = self.places.get(task) else { return };
        if matches!(place.role, Role::Standby | Role::Lingering { .. }) {
            let until = place.unheard_by(from, early);
            self.append_held(task, until);
            self.drop_anonymous(task, until);
            self.acts.push(Act::Release(task.clone(), from.clone(), Took::Nothing));
        }
    }

    /// A node takes nothing of the task any more, and has stored what it took.
    pub(crate) fn released(&mut self, task: &TaskId, from: &NodeId, took: Took, now: Instant) {
        if let Some(Place { role: Role::Arriving { waiting, claim, .. }, .. }) = self.places.get_mut(task) {
            let waited = waiting.remove(from);
            if waited && took == Took::Perhaps && *claim == Claim::Perhaps {
                *claim = Claim::Others;
                self.drop_anonymous(task, 0);
            }
        }
        self.arrive(task, now);
    }

    pub(super) fn claim(&mut self, task: &TaskId, now: Instant) {
        let Some(place) = self.places.get_mut(task) else { return };
        place.claims += 1;
        place.unsure = Some(now);
        let mark = Mark::Claims { from: self.me.clone(), number: place.claims };
        self.acts.push(Act::Mark(task.clone(), mark));
    }

    /// A coming owner that is subscribed asks the others, or, when all have answered, is the owner.
    pub(super) fn arrive(&mut self, task: &TaskId, now: Instant) {
        let Some(place) = self.places.get_mut(task) else { return };
        let Role::Arriving { waiting, holding, asked, claim } = &mut place.role else { return };
        // One whose bound was reached has let go of the channel, and goes on all the same.
        if place.listens && !place.subscribed {
            return;
        }
        if waiting.is_empty() {
            place.role = Role::Owner;
            place.heard = now;
            self.acts.push(Act::Moved(Move::Gained));
            if !std::mem::replace(&mut place.listens, true) {
                self.acts.push(Act::Subscribe(task.clone()));
            }
            self.acts.push(Act::IgnoreAcks(task.clone()));
            self.append_held(task, u64::MAX);
        } else if waiting.iter().all(|node| holding.contains_key(node)) {
            // One after the other, who has held for longest first: what one stores, the next may hold as well.
            let next = waiting.iter().min_by_key(|node| holding.get(*node)).cloned();
            let interrupted = place.interrupted;
            holding.clear();
            let early = place.early;
            self.append_held(task, interrupted);
            self.acts.extend(next.map(|node| Act::Flush(task.clone(), node, early)));
        } else if asked.is_none() {
            *asked = Some(now);
            self.acts.push(Act::Ready(task.clone(), *claim == Claim::Mine));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::{
        members::Members,
        ownership::{ASK_AGAIN, OwnershipOptions},
    };

    fn members(names: &[&str]) -> Members {
        let nodes: Vec<_> = names.iter().map(|name| NodeId::from(*name)).collect();
        Members { alive: nodes.clone(), able: nodes }
    }

    /// A task that is for `b` of `a` and `b`, and for `c` of all three.
    fn task() -> TaskId {
        let first = |task: &TaskId, names| first_two(task, &members(names).able)[0].cloned();
        let fits =
            |task: &TaskId| first(task, &["a", "b"]) == Some("b".into()) && first(task, &["a", "b", "c"]) == Some("c".into());
        (0..100).map(|n| format!("t{n}").parse().expect("valid")).find(fits).expect("one in six")
    }

    /// Node `a`, which owned the task alone, and has put a mark on the channel for `b`.
    fn leaving(task: &TaskId, now: Instant) -> Ownership {
        let mut ownership = Ownership::new("a".into(), options());
        ownership.members(members(&["a"]), now);
        ownership.told(task, now);
        ownership.subscribed(task, now);
        ownership.members(members(&["a", "b"]), now);
        ownership.take_acts();
        ownership.ready(task, &"b".into(), false, now);
        assert_eq!(passes(&mut ownership), ["b"]);
        ownership
    }

    /// For whom it puts marks on the channel now.
    fn passes(ownership: &mut Ownership) -> Vec<String> {
        let to = |act| match act {
            Act::Mark(_, Mark::Passes { to, .. }) => Some(to.to_string()),
            _ => None,
        };
        ownership.take_acts().into_iter().filter_map(to).collect()
    }

    #[test]
    fn whoever_comes_after_one_that_a_lost_mark_has_named_is_not_kept_waiting_for_ever() {
        let (task, now) = (task(), Instant::now());
        let mut ownership = leaving(&task, now);
        // The mark is lost with the connection, and `b` learns that it is for another one before it has asked again.
        ownership.members(members(&["a", "b", "c"]), now);
        let soon = now + ASK_AGAIN;
        ownership.ready(&task, &"c".into(), false, soon);
        assert_eq!(passes(&mut ownership), Vec::<String>::new(), "the mark may be on its way");
        let late = now + LOST_MARK;
        ownership.ready(&task, &"c".into(), false, late);
        assert_eq!(passes(&mut ownership), ["c"]);
        ownership.marked(&task, &Mark::Passes { from: "a".into(), to: "c".into(), early: 0 }, late);
        let released = |act: &Act| matches!(act, Act::Release(_, to, Took::Nothing) if &**to == "c");
        assert!(ownership.take_acts().iter().any(released));
    }

    #[test]
    fn one_that_was_named_and_asks_again_is_not_passed_over() {
        let (task, now) = (task(), Instant::now());
        let mut ownership = leaving(&task, now);
        ownership.members(members(&["a", "b", "c"]), now);
        // It has seen the mark, which was lost on the way to `a` only.
        ownership.ready(&task, &"b".into(), true, now + LOST_MARK - ASK_AGAIN);
        assert_eq!(passes(&mut ownership), ["b"]);
        ownership.ready(&task, &"c".into(), false, now + LOST_MARK);
        assert_eq!(passes(&mut ownership), Vec::<String>::new());
    }

    /// A task that is for `a`, `b` and `c` in this order.
    fn in_order() -> TaskId {
        let nodes: Vec<NodeId> = ["a", "b", "c"].map(NodeId::from).into();
        let fits = |task: &TaskId| {
            let weights: Vec<_> = nodes.iter().map(|node| weight(task, node)).collect();
            weights.is_sorted_by(|one, next| next < one)
        };
        (0..100).map(|n| format!("t{n}").parse().expect("valid")).find(fits).expect("one in six")
    }

    fn options() -> OwnershipOptions {
        OwnershipOptions {
            tasks: 10,
            hold_activities: 10,
            hold_bytes: 1 << 20,
            linger: Duration::from_secs(10),
            return_within: Duration::ZERO,
        }
    }

    /// A node that owns the task, which is only its own by the members that it knows.
    fn owner(name: &str, task: &TaskId, now: Instant) -> Ownership {
        let mut ownership = Ownership::new(name.into(), options());
        ownership.members(members(&[name]), now);
        ownership.told(task, now);
        ownership.subscribed(task, now);
        assert!(ownership.owns(task));
        ownership.members(members(&["a", "b", "c"]), now);
        ownership.take_acts();
        ownership
    }

    #[test]
    fn an_owner_for_whom_it_is_no_more_does_not_come_back_when_its_connection_does() {
        let (task, now) = (in_order(), Instant::now());
        let mut ownership = owner("c", &task, now);
        // `a` comes while nothing is heard here, and its question is lost.
        ownership.subscribed(&task, now);
        assert!(!ownership.is_to_own(&task), "it would ask for ever: the owner that there is knows better");
        let acts = ownership.take_acts();
        assert!(acts.iter().any(|act| matches!(act, Act::HearAcks(_))), "what it holds can be let go of: {acts:?}");
        ownership.tick(now + Duration::from_secs(11));
        assert!(ownership.take_acts().iter().any(|act| matches!(act, Act::Unsubscribe(_))), "and it goes");
    }

    #[test]
    fn one_that_a_mark_has_named_is_let_through_by_an_owner_that_came_meanwhile() {
        let (task, now) = (in_order(), Instant::now());
        let mut ownership = owner("a", &task, now);
        ownership.ready(&task, &"b".into(), false, now);
        assert_eq!(passes(&mut ownership), Vec::<String>::new(), "by what all know it is not for `b`");
        ownership.ready(&task, &"b".into(), true, now);
        assert_eq!(passes(&mut ownership), ["b"], "but `b` cannot turn back");
    }

    #[test]
    fn of_two_that_marks_have_named_one_goes_first() {
        let (task, now) = (in_order(), Instant::now());
        let named = |name: &str| {
            let mut ownership = Ownership::new(name.into(), options());
            ownership.members(members(&["a", "b", "c"]), now);
            // An owner that has gone since has named it.
            let others = ["a", "b", "c"].map(NodeId::from).into_iter().filter(|node| **node != *name).collect();
            let role = Role::arriving(others, Claim::Mine);
            ownership.known.insert(task.clone());
            ownership.places.insert(task.clone(), Place { subscribed: true, ..Place::new(role, now) });
            ownership.take_acts();
            ownership
        };
        let released =
            |ownership: &mut Ownership| ownership.take_acts().iter().any(|act| matches!(act, Act::Release(_, _, Took::Nothing)));
        let (mut a, mut b) = (named("a"), named("b"));
        b.ready(&task, &"a".into(), true, now);
        assert!(!released(&mut b), "the one with the lesser weight waits for nobody");
        a.ready(&task, &"b".into(), true, now);
        assert!(released(&mut a), "the other one lets it go first");
        assert!(matches!(a.places[&task].role, Role::Arriving { claim: Claim::Others, .. }), "and comes after it");
    }
}
