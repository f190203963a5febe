//! Who is told that a log has changed.
//!
//! Sessions live on threads of their own (see `session::shard`). A log that changes tells each thread that has followers of it once, in
//! one hand-over, whatever their number; the thread's [`Relay`] then puts a note into the mailbox of each follower's session, without
//! leaving the thread. So a commit costs a wake-up across threads per thread, not per viewer.

use std::{
    sync::{Arc, atomic::Ordering},
    task::{Context, Waker},
};

use prometheus_client::metrics::counter::Counter;
use slab::Slab;

use super::fetch::Arrival;
use crate::sync::{AtomicBool, Mutex, Notify};

/// A subscription's number within its session, never used twice there.
pub(crate) type Slot = u64;

/// What a session hears: which of its subscriptions may have something to say, and what was read for them.
#[derive(Debug, Default)]
pub(crate) struct Mailbox {
    mail: Mutex<Mail>,
}

/// What came into a mailbox since it was emptied.
#[derive(Debug, Default)]
pub(crate) struct Mail {
    /// What changed; each at most once, so there are never more than the session has subscriptions.
    pub(crate) changed: Vec<Slot>,
    /// What was read; each subscription waits for one at most.
    pub(crate) arrived: Vec<(Slot, Arrival)>,
    waker: Option<Waker>,
}

impl Mailbox {
    /// Moves what has come to `mail`, which must be empty. The task of `context` is woken by what comes next.
    pub(crate) fn empty(&self, mail: &mut Mail, context: &Context<'_>) {
        let mut inside = self.mail.lock();
        std::mem::swap(&mut inside.changed, &mut mail.changed);
        std::mem::swap(&mut inside.arrived, &mut mail.arrived);
        match &mut inside.waker {
            Some(waker) => waker.clone_from(context.waker()),
            None => inside.waker = Some(context.waker().clone()),
        }
    }

    /// Something that `slot` follows has changed.
    fn note(&self, slot: Slot) {
        let mut mail = self.mail.lock();
        if !mail.changed.contains(&slot) {
            mail.changed.push(slot);
            mail.wake();
        }
    }

    /// What `slot` asked for is here.
    pub(super) fn deliver(&self, slot: Slot, arrival: Arrival) {
        let mut mail = self.mail.lock();
        mail.arrived.push((slot, arrival));
        mail.wake();
    }
}

impl Mail {
    /// The first to come wakes; the task takes the others along.
    fn wake(&self) {
        if self.changed.len() + self.arrived.len() == 1
            && let Some(waker) = &self.waker
        {
            waker.wake_by_ref();
        }
    }
}

/// One thread's way of hearing of changes, and what it counts for itself. Handles are cheap to clone.
#[derive(Debug, Clone, Default)]
pub(crate) struct Relay {
    inner: Arc<RelayInner>,
}

#[derive(Debug, Default)]
struct RelayInner {
    /// Each at most once, so there are never more than logs followed on this thread.
    changed: Mutex<Vec<Arc<Branch>>>,
    /// One waits, and a permit is kept for it.
    bell: Notify,
    hot_reads: Counter,
}

impl Relay {
    /// Of a thread whose hot reads are counted here.
    pub(crate) fn new(hot_reads: Counter) -> Self {
        Self { inner: Arc::new(RelayInner { hot_reads, ..RelayInner::default() }) }
    }

    /// Counts a batch given to a session of this thread from a ring; gives how many there were before.
    pub(crate) fn count_hot_read(&self) -> u64 {
        self.inner.hot_reads.inc()
    }

    /// Passes changes on to mailboxes, for ever. One task of the thread runs this.
    pub(crate) async fn run(&self) {
        let mut branches = Vec::new();
        loop {
            self.inner.bell.notified().await;
            std::mem::swap(&mut *self.inner.changed.lock(), &mut branches);
            for branch in branches.drain(..) {
                // First, so that a change during the round begins another one; taken back, not overwritten, so that whatever was shown
                // before somebody found it set is seen by those who are told now.
                branch.queued.swap(false, Ordering::AcqRel);
                for (_, (mailbox, slot)) in branch.followers.lock().iter() {
                    mailbox.note(*slot);
                }
            }
        }
    }

    fn changed(&self, branch: Arc<Branch>) {
        self.inner.changed.lock().push(branch);
        self.inner.bell.notify_one();
    }

    fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.inner, &other.inner)
    }
}

/// The followers of one log on one thread.
#[derive(Debug)]
struct Branch {
    relay: Relay,
    queued: AtomicBool,
    followers: Mutex<Slab<(Arc<Mailbox>, Slot)>>,
}

/// All who want to hear of one thing's changes.
#[derive(Debug, Default)]
pub(crate) struct Audience {
    /// One for each thread that has followers.
    branches: Mutex<Vec<Arc<Branch>>>,
}

impl Audience {
    /// Tells everyone, soon. Never waits.
    pub(crate) fn tell(&self) {
        for branch in self.branches.lock().iter() {
            if !branch.queued.swap(true, Ordering::AcqRel) {
                branch.relay.changed(branch.clone());
            }
        }
    }

    /// Has every change from now on noted in `mailbox` under `slot`, until the seat is given to [`Audience::leave`].
    fn join(&self, relay: &Relay, mailbox: Arc<Mailbox>, slot: Slot) -> (Arc<Branch>, usize) {
        let mut branches = self.branches.lock();
        let branch = match branches.iter().find(|branch| branch.relay.is(relay)) {
            Some(branch) => branch.clone(),
            None => {
                let branch = Branch { relay: relay.clone(), queued: AtomicBool::default(), followers: Mutex::default() };
                let branch = Arc::new(branch);
                branches.push(branch.clone());
                branch
            }
        };
        let key = branch.followers.lock().insert((mailbox, slot));
        (branch, key)
    }

    fn leave(&self, branch: &Arc<Branch>, key: usize) {
        let mut branches = self.branches.lock();
        let mut followers = branch.followers.lock();
        followers.remove(key);
        if followers.is_empty() {
            branches.retain(|other| !Arc::ptr_eq(other, branch));
        }
    }
}

/// Something that has an [`Audience`].
pub(crate) trait HasAudience {
    /// Its audience.
    fn audience(&self) -> &Audience;
}

/// A place in the audience of `A`, given up when it is dropped.
#[derive(Debug)]
pub(crate) struct Seat<A: HasAudience> {
    of: Arc<A>,
    branch: Arc<Branch>,
    key: usize,
}

impl<A: HasAudience> Seat<A> {
    /// Has every change of `of` from now on noted in `mailbox` under `slot`.
    pub(crate) fn take(of: Arc<A>, relay: &Relay, mailbox: Arc<Mailbox>, slot: Slot) -> Self {
        let (branch, key) = of.audience().join(relay, mailbox, slot);
        Self { of, branch, key }
    }
}

impl<A: HasAudience> Drop for Seat<A> {
    fn drop(&mut self) {
        self.of.audience().leave(&self.branch, self.key);
    }
}

#[cfg(test)]
mod tests {
    use std::{future::poll_fn, task::Poll};

    use tokio::task::JoinSet;

    use super::*;

    #[derive(Debug, Default)]
    struct Thing(Audience);

    impl HasAudience for Thing {
        fn audience(&self) -> &Audience {
            &self.0
        }
    }

    async fn notes(mailbox: &Mailbox) -> Vec<Slot> {
        let mut mail = Mail::default();
        poll_fn(|context| {
            mailbox.empty(&mut mail, context);
            if mail.changed.is_empty() { Poll::Pending } else { Poll::Ready(()) }
        })
        .await;
        mail.changed
    }

    #[tokio::test(start_paused = true)]
    async fn a_change_is_noted_once_for_each_follower_until_it_leaves() {
        let (thing, relay) = (Arc::new(Thing::default()), Relay::default());
        let [first, second] = [(); 2].map(|()| Arc::new(Mailbox::default()));
        let gone = Seat::take(thing.clone(), &relay, first.clone(), 1);
        let _stays = Seat::take(thing.clone(), &relay, first.clone(), 2);
        let _other = Seat::take(thing.clone(), &relay, second.clone(), 1);
        let passing = relay.clone();
        let mut tasks = JoinSet::new();
        tasks.spawn(async move { passing.run().await });
        thing.0.tell();
        thing.0.tell();
        assert_eq!((notes(&first).await, notes(&second).await), (vec![1, 2], vec![1]));
        drop(gone);
        thing.0.tell();
        assert_eq!((notes(&second).await, notes(&first).await), (vec![1], vec![2]));
    }

    #[tokio::test(start_paused = true)]
    async fn no_change_is_slept_through() {
        let (thing, relay, mailbox) = (Arc::new(Thing::default()), Relay::default(), Arc::new(Mailbox::default()));
        let _seat = Seat::take(thing.clone(), &relay, mailbox.clone(), 7);
        let passing = relay.clone();
        let mut tasks = JoinSet::new();
        tasks.spawn(async move { passing.run().await });
        for _ in 0..1_000 {
            thing.0.tell();
            assert_eq!(notes(&mailbox).await, [7]);
        }
    }

    #[test]
    fn an_audience_without_followers_is_empty() {
        let (thing, relay, mailbox) = (Arc::new(Thing::default()), Relay::default(), Arc::new(Mailbox::default()));
        let seats: Vec<_> = (0..10).map(|slot| Seat::take(thing.clone(), &relay, mailbox.clone(), slot)).collect();
        assert_eq!(thing.0.branches.lock().len(), 1, "one branch for the thread");
        drop(seats);
        assert!(thing.0.branches.lock().is_empty());
    }
}
