//! Whether the socket or the timer may have something to say. A session is woken for what it delivers far more often than for either of them, and
//! asking both each time costs as much as all else that a delivery does outside of the kernel.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Wake, Waker},
};

use futures_util::task::AtomicWaker;

/// The waker that the socket and the timer are given: it wakes the session's task, and remembers that it did.
#[derive(Debug)]
pub(super) struct Outside {
    woken: Arc<Woken>,
    waker: Waker,
    /// The task that was woken last.
    task: Option<Waker>,
}

#[derive(Debug, Default)]
struct Woken {
    it: AtomicBool,
    task: AtomicWaker,
}

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        // Before the task is woken, so that it sees it.
        self.it.store(true, Ordering::Release);
        self.task.wake();
    }
}

impl Outside {
    /// Nothing has been asked yet, so everything has to be.
    pub(super) fn new() -> Self {
        let woken = Arc::new(Woken { it: AtomicBool::new(true), task: AtomicWaker::new() });
        Self { waker: Waker::from(woken.clone()), woken, task: None }
    }

    /// Whether it was woken since it was asked last. From now on it wakes the task of `context`.
    pub(super) fn was_woken(&mut self, context: &Context<'_>) -> bool {
        if !self.task.as_ref().is_some_and(|task| task.will_wake(context.waker())) {
            self.woken.task.register(context.waker());
            self.task = Some(context.waker().clone());
            self.woken.it.store(false, Ordering::Release);
            return true;
        }
        self.woken.it.load(Ordering::Acquire) && {
            // Waking takes the waker out.
            self.woken.task.register(context.waker());
            self.woken.it.swap(false, Ordering::AcqRel)
        }
    }

    /// For those that are to wake it.
    pub(super) fn waker(&self) -> Waker {
        self.waker.clone()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn each_wake_is_seen_once_and_wakes_the_task() {
        let tasks = [(); 2].map(|()| Arc::new(Count::default()));
        let [first, second] = tasks.clone().map(Waker::from);
        let (first, second) = (Context::from_waker(&first), Context::from_waker(&second));
        let mut outside = Outside::new();
        let waker = outside.waker();
        assert!(outside.was_woken(&first), "at first everything is to be looked at");
        assert!(!outside.was_woken(&first));
        for _ in 0..3 {
            waker.wake_by_ref();
            assert!(outside.was_woken(&first));
            assert!(!outside.was_woken(&first));
        }
        assert!(outside.was_woken(&second), "another task looks for itself");
        waker.wake_by_ref();
        waker.wake_by_ref();
        assert!(outside.was_woken(&second) && !outside.was_woken(&second));
        assert_eq!(tasks.map(|task| task.0.load(Ordering::Relaxed)), [3, 1], "a task that is awake already is not woken twice");
    }
}
