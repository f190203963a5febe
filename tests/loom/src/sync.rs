//! What `src/sync.rs` names, made of loom's parts. Locks and flags are loom's own; tokio's bell and its watched value are written here as small as their
//! promises: a bell keeps one permit and wakes one, a watched value has a version.

use std::{
    ops::{Deref, DerefMut},
    task::{Poll, Waker},
};

pub(crate) use loom::sync::atomic::AtomicBool;

#[derive(Debug, Default)]
pub(crate) struct Mutex<T>(loom::sync::Mutex<T>);

impl<T> Mutex<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(loom::sync::Mutex::new(value))
    }

    pub(crate) fn lock(&self) -> impl DerefMut<Target = T> + '_ {
        self.0.lock().expect("loom's locks are not poisoned")
    }
}

/// `tokio::sync::Notify`, for one who waits.
#[derive(Debug, Default)]
pub(crate) struct Notify {
    inner: Mutex<(bool, Option<Waker>)>,
}

impl Notify {
    pub(crate) fn notify_one(&self) {
        let mut inner = self.inner.lock();
        inner.0 = true;
        let waker = inner.1.take();
        drop(inner);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    pub(crate) fn notified(&self) -> impl Future<Output = ()> + '_ {
        std::future::poll_fn(|context| {
            let mut inner = self.inner.lock();
            if std::mem::take(&mut inner.0) {
                return Poll::Ready(());
            }
            inner.1 = Some(context.waker().clone());
            Poll::Pending
        })
    }
}

/// `tokio::sync::watch`, without waiting: sessions are told by their mailbox.
pub(crate) mod watch {
    use std::sync::Arc;

    use super::{Deref, Mutex};

    #[derive(Debug)]
    pub struct Sender<T> {
        shared: Arc<Mutex<(T, u64)>>,
    }

    #[derive(Debug)]
    pub struct Receiver<T> {
        shared: Arc<Mutex<(T, u64)>>,
        seen: u64,
    }

    struct Ref<G>(G);

    impl<T, G: Deref<Target = (T, u64)>> Deref for Ref<G> {
        type Target = T;

        fn deref(&self) -> &T {
            &self.0.0
        }
    }

    impl<T> Sender<T> {
        pub(crate) fn new(value: T) -> Self {
            Self { shared: Arc::new(Mutex::new((value, 0))) }
        }

        pub(crate) fn subscribe(&self) -> Receiver<T> {
            let seen = self.shared.lock().1;
            Receiver { shared: self.shared.clone(), seen }
        }

        pub(crate) fn borrow(&self) -> impl Deref<Target = T> + '_ {
            Ref(self.shared.lock())
        }

        pub(crate) fn send_replace(&self, value: T) -> T {
            let mut shared = self.shared.lock();
            shared.1 += 1;
            std::mem::replace(&mut shared.0, value)
        }
    }

    impl<T> Receiver<T> {
        pub(crate) fn borrow(&self) -> impl Deref<Target = T> + '_ {
            Ref(self.shared.lock())
        }

        pub(crate) fn borrow_and_update(&mut self) -> impl Deref<Target = T> + '_ {
            let shared = self.shared.lock();
            self.seen = shared.1;
            Ref(shared)
        }

        pub(crate) fn has_changed(&self) -> Result<bool, ()> {
            Ok(self.shared.lock().1 != self.seen)
        }
    }

    impl<T> Clone for Receiver<T> {
        fn clone(&self) -> Self {
            Self { shared: self.shared.clone(), seen: self.seen }
        }
    }
}
