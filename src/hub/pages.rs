//! Pages of old activities for many viewers at once: when everybody reconnects, each wants about the same part of the log. A page is read once,
//! by whoever asks first, while the others wait for it, and kept for a moment. Kept are few, and none for long; a page never changes, so
//! that an old one is short at worst. Followers that come begin to read at the same places (see [`super::Follower`]).

use std::{collections::VecDeque, sync::Arc, time::Duration};

use parking_lot::Mutex;
use tokio::{sync::OnceCell, time::Instant};

use super::{ColdPage, Hub};
use crate::{
    model::{Epoch, Filter, Offset, TaskId},
    store::{ReadAfter, StoreError},
};

/// The most pages that are kept.
const KEPT: usize = 8;

/// How many pages are read ahead, so that the store, encoding and writing each have one to work on at any time.
const AHEAD: usize = 3;

/// How long a page is kept.
const LINGER: Duration = Duration::from_secs(5);

/// Which page: whose log, which life of it, and what it comes after.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Key {
    task: TaskId,
    epoch: Epoch,
    after: Offset,
}

/// A page that is being read, or was.
type Cell = Arc<OnceCell<ColdPage>>;

/// What is kept, the oldest first.
#[derive(Debug, Default)]
pub(super) struct Pages {
    kept: Mutex<VecDeque<(Key, Cell, Instant)>>,
}

impl Pages {
    fn cell(&self, key: &Key) -> Cell {
        let mut kept = self.kept.lock();
        if let Some((_, cell, _)) = kept.iter().find(|(other, _, _)| other == key) {
            return cell.clone();
        }
        let cell = Cell::default();
        kept.push_back((key.clone(), cell.clone(), Instant::now()));
        if KEPT < kept.len() {
            kept.pop_front();
        }
        cell
    }

    fn has(&self, key: &Key) -> bool {
        self.kept.lock().iter().any(|(other, _, _)| other == key)
    }

    /// Lets go of this page, unless it has been read again meanwhile.
    fn forget(&self, cell: &Cell) {
        self.kept.lock().retain(|(_, other, _)| !Arc::ptr_eq(other, cell));
    }

    /// Lets go of all.
    pub(super) fn forget_all(&self) {
        self.kept.lock().clear();
    }

    /// Lets go of what is old.
    pub(super) fn forget_old(&self) {
        self.kept.lock().retain(|(_, _, since)| since.elapsed() < LINGER);
    }
}

impl Hub {
    /// What [`Hub::read`] gives; whoever asks for the same within a few seconds gets the same.
    pub(super) async fn page(&self, task: &TaskId, range: &ReadAfter) -> Result<ColdPage, StoreError> {
        let whole = range.filter == Filter::default() && range.limit == self.inner.options.page_activities;
        let Some(epoch) = self.log(task).and_then(|log| log.epoch()).filter(|_| whole) else {
            return self.read(task, range).await;
        };
        let cell = self.inner.pages.cell(&Key { task: task.clone(), epoch, after: range.after });
        let page = cell.get_or_try_init(|| self.read(task, range)).await?;
        if let Some(state) = page.state.filter(|state| state.epoch == epoch && range.after < page.through) {
            let mut next = page.through;
            for _ in 0..AHEAD {
                if state.head <= next {
                    break;
                }
                self.read_ahead(Key { task: task.clone(), epoch, after: next }, range);
                // Where pages are full of small activities the next one will be, too.
                if page.through != range.after.plus(range.limit as u64) {
                    break;
                }
                next = next.plus(range.limit as u64);
            }
            return Ok(page.clone());
        }
        // The log has grown, or lives another life.
        self.inner.pages.forget(&cell);
        self.read(task, range).await
    }

    /// Reads what whoever got a page will want next, while that one is written, unless others wait for their turn to read.
    fn read_ahead(&self, key: Key, range: &ReadAfter) {
        let idle = self.inner.options.cold_reads.div_ceil(2) <= self.inner.cold_reads.available_permits();
        if !idle || self.inner.pages.has(&key) {
            return;
        }
        let cell = self.inner.pages.cell(&key);
        let (hub, range) = (self.clone(), ReadAfter { after: key.after, ..range.clone() });
        self.spawn(async move {
            // Whoever wants it asks again, and hears of the error then.
            let _ = cell.get_or_try_init(|| hub.read(&key.task, &range)).await;
        });
    }
}
