//! Reads of the store for sessions: they run on the node's own runtime, in their turn, and arrive in the session's mailbox.

use std::{sync::Arc, time::Duration};

use tokio_util::task::AbortOnDropHandle;

use super::{
    ColdPage, Hub,
    audience::{Mailbox, Slot},
};
use crate::{
    auth::{Auth, Caller, Pattern, Refusal, Secret},
    model::{TaskId, TaskSummary},
    store::{ReadAfter, StoreError, TaskPlace},
};

/// The longest time before a session hears that the store could not be read, so that it does not ask again at once.
const READ_RETRY: Duration = Duration::from_secs(1);

/// What a session wants read.
#[derive(Debug)]
pub(crate) enum Wanted {
    /// Part of a log.
    Page(TaskId, ReadAfter),
    /// A page of the list of tasks, of those that fit a pattern.
    ListPage(Option<TaskPlace>, Option<Vec<Pattern>>),
    /// Whether a token is good.
    Caller(Arc<Auth>, Secret),
}

/// What was read.
#[derive(Debug)]
pub(crate) enum Arrival {
    /// Part of a log.
    Page(Result<ColdPage, StoreError>),
    /// A page of the list of tasks, and where the next one begins.
    ListPage(Result<(Vec<TaskSummary>, Option<TaskPlace>), StoreError>),
    /// Whom a token speaks for.
    Caller(Result<Caller, Refusal>),
}

/// A read under way. Dropping it ends it.
pub(crate) type Fetch = AbortOnDropHandle<()>;

impl Hub {
    /// Reads what is wanted and delivers it to `mailbox` for `slot`, not before `wait` is over; after a failure only a while later.
    pub(crate) fn fetch(&self, wanted: Wanted, mailbox: Arc<Mailbox>, slot: Slot, wait: Duration) -> Fetch {
        let hub = self.clone();
        let work = async move {
            if !wait.is_zero() {
                tokio::time::sleep(wait).await;
            }
            let arrival = match wanted {
                Wanted::Page(task, range) => Arrival::Page(hub.page(&task, &range).await),
                Wanted::ListPage(after, visible) => Arrival::ListPage(hub.read_list(after, visible).await),
                Wanted::Caller(auth, token) => Arrival::Caller(auth.check(Some(token.reveal())).await),
            };
            if matches!(arrival, Arrival::Page(Err(_)) | Arrival::ListPage(Err(_))) {
                tokio::time::sleep(READ_RETRY.mul_f64(rand::random())).await;
            }
            mailbox.deliver(slot, arrival);
        };
        self.spawn_until_dropped(work)
    }
}
