//! Knowing when nothing moves: no task of the runtime is ready, and no connection of the store is at work.

use std::{
    future::poll_fn,
    sync::Arc,
    task::{Poll, Waker},
};

use parking_lot::Mutex;

use crate::store::gated::Gate;

/// Asked by the runtime whenever it has nothing to do.
#[derive(Debug, Clone, Default)]
pub(super) struct Quiet {
    inner: Arc<Mutex<Inner>>,
}

#[derive(Debug, Default)]
struct Inner {
    gates: Vec<Gate>,
    waits: Option<Waker>,
    came: bool,
}

impl Quiet {
    /// What happens behind this gate is waited for, too.
    pub(super) fn watch(&self, gate: Gate) {
        self.inner.lock().gates.push(gate);
    }

    /// The runtime has nothing to do.
    pub(super) fn parked(&self) {
        let mut inner = self.inner.lock();
        if inner.waits.is_some() && !inner.gates.iter().any(Gate::is_busy) {
            inner.came = true;
            inner.waits.take().into_iter().for_each(Waker::wake);
        }
    }

    /// Until nothing moves.
    pub(super) async fn comes(&self) {
        self.inner.lock().came = false;
        poll_fn(|context| {
            let mut inner = self.inner.lock();
            if inner.came {
                return Poll::Ready(());
            }
            inner.waits = Some(context.waker().clone());
            Poll::Pending
        })
        .await;
    }
}
