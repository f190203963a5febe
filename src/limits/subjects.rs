//! How much a subject takes: its sessions, what it publishes, what it has read from the store. Where nobody is asked for a token there are no subjects,
//! and none of these limits.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use parking_lot::{Mutex, RwLock};
use tokio::time::Instant;

use super::bucket::{Rate, Spent};
use crate::auth::{Caller, Means, Subject};

/// What is held against the subjects that do something now.
#[derive(Debug)]
pub(crate) struct Subjects {
    allowed: RwLock<Allowed>,
    known: Mutex<HashMap<Subject, Arc<Account>>>,
}

/// What each subject may take.
#[derive(Debug, Clone, Copy)]
pub(super) struct Allowed {
    pub sessions: usize,
    pub publishes: Rate,
    pub cold_reads: Rate,
}

/// What one subject has taken.
#[derive(Debug)]
struct Account {
    sessions: AtomicUsize,
    spent: Mutex<[Spent; 2]>,
}

/// What a subject draws.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Draw {
    /// Activities, and changes of tasks.
    Publishes,
    /// Reads of the store.
    ColdReads,
}

/// The subject has as many sessions as it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TooManySessions;

impl Subjects {
    /// Nobody is known yet.
    pub(super) fn new(allowed: Allowed) -> Self {
        Self { allowed: RwLock::new(allowed), known: Mutex::default() }
    }

    /// Allows this much from now on; who has more sessions keeps them.
    pub(super) fn allow(&self, allowed: Allowed) {
        *self.allowed.write() = allowed;
    }

    /// A seat for one session of this caller.
    pub(crate) fn sit(&self, caller: &Caller) -> Result<SubjectSeat, TooManySessions> {
        let Some(account) = self.account(caller) else { return Ok(SubjectSeat(None)) };
        let sessions = self.allowed.read().sessions;
        let most = if sessions == 0 { usize::MAX } else { sessions };
        let one_more = |count| (count < most).then_some(count + 1);
        account.sessions.fetch_update(Ordering::AcqRel, Ordering::Acquire, one_more).map_err(|_| TooManySessions)?;
        Ok(SubjectSeat(Some(account)))
    }

    /// Draws `count`, whether there is so much or not; gives how long to wait before more is asked for.
    pub(crate) fn draw(&self, caller: &Caller, what: Draw, count: usize) -> Duration {
        let rate = self.rate(what);
        if rate == Rate::default() {
            return Duration::ZERO;
        }
        let Some(account) = self.account(caller) else { return Duration::ZERO };
        account.spent.lock()[what as usize].spend(rate, count, Instant::now())
    }

    /// How long to wait before more may be drawn.
    pub(crate) fn wait(&self, caller: &Caller, what: Draw) -> Duration {
        self.draw(caller, what, 0)
    }

    fn rate(&self, what: Draw) -> Rate {
        let allowed = self.allowed.read();
        match what {
            Draw::Publishes => allowed.publishes,
            Draw::ColdReads => allowed.cold_reads,
        }
    }

    fn account(&self, caller: &Caller) -> Option<Arc<Account>> {
        if caller.means() == Means::Open {
            return None;
        }
        let mut known = self.known.lock();
        if let Some(account) = known.get(caller.subject()) {
            return Some(account.clone());
        }
        let account = Arc::new(Account { sessions: AtomicUsize::new(0), spent: Mutex::new([Spent::nothing(); 2]) });
        known.insert(caller.subject().clone(), account.clone());
        Some(account)
    }

    /// Forgets those who have no session and owe nothing.
    pub(super) fn forget_idle(&self) {
        let now = Instant::now();
        let mut known = self.known.lock();
        known.retain(|_, account| 1 < Arc::strong_count(account) || account.spent.lock().iter().any(|spent| !spent.is_paid(now)));
        let used = known.len();
        if used * 4 < known.capacity() {
            known.shrink_to(used * 2);
        }
    }
}

/// One session of a subject, until it is dropped.
#[derive(Debug)]
pub(crate) struct SubjectSeat(Option<Arc<Account>>);

impl Drop for SubjectSeat {
    fn drop(&mut self) {
        if let Some(account) = &self.0 {
            account.sessions.fetch_sub(1, Ordering::AcqRel);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::Grants;

    fn caller(name: &str) -> Caller {
        Caller::new(name.parse().expect("a subject"), Grants::all(), Means::Token)
    }

    #[tokio::test(start_paused = true)]
    async fn each_subject_has_its_own_and_idle_ones_are_forgotten() {
        let subjects = Subjects::new(Allowed { sessions: 1, publishes: Rate::per_second(10), cold_reads: Rate::default() });
        let (ann, bob) = (caller("ann"), caller("bob"));
        let seat = subjects.sit(&ann).expect("room");
        assert_eq!(subjects.sit(&ann).expect_err("one is the most"), TooManySessions);
        drop(subjects.sit(&bob).expect("another subject has its own"));
        drop(seat);
        drop(subjects.sit(&ann).expect("room again"));
        assert_eq!(subjects.draw(&ann, Draw::Publishes, 110), Duration::from_secs(1));
        assert_eq!(subjects.wait(&ann, Draw::Publishes), Duration::from_secs(1), "asking costs nothing");
        assert_eq!(subjects.wait(&bob, Draw::Publishes), Duration::ZERO);
        assert_eq!(subjects.draw(&ann, Draw::ColdReads, 1_000_000), Duration::ZERO, "no limit");
        subjects.forget_idle();
        assert_eq!(subjects.known.lock().len(), 1, "ann owes something");
        tokio::time::advance(Duration::from_secs(12)).await;
        subjects.forget_idle();
        assert!(subjects.known.lock().is_empty());
    }

    #[test]
    fn where_nobody_is_asked_nobody_is_limited() {
        let subjects = Subjects::new(Allowed { sessions: 1, publishes: Rate::per_second(1), cold_reads: Rate::per_second(1) });
        let anybody = Caller::anybody();
        let seats: Vec<_> = (0..100).map(|_| subjects.sit(&anybody).expect("no limit")).collect();
        assert_eq!(subjects.draw(&anybody, Draw::Publishes, 1_000), Duration::ZERO);
        assert!(subjects.known.lock().is_empty());
        drop(seats);
    }
}
