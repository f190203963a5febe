//! The in-memory side of a node: a ring of encoded frames for each task that somebody watches here, and who waits for what.
//!
//! Nothing here is the truth. A ring is filled after the commit; where it does not reach, followers read the store. Applying is
//! idempotent, so that hints may come twice, late or not at all: what is missing is found by its offset and filled from the store.
//! The hub never waits for a viewer.

mod audience;
#[cfg(test)]
mod by_hand;
mod feed;
mod fetch;
mod follower;
mod list;
mod log;
mod pages;
mod resync;
mod stalls;
mod step;

use std::{collections::HashMap, sync::Arc, time::Duration};

use parking_lot::Mutex;
use tokio::{
    runtime::Handle,
    sync::{Semaphore, SemaphorePermit, watch},
};
use tokio_util::{
    sync::CancellationToken,
    task::{AbortOnDropHandle, TaskTracker},
};

use crate::{
    broker::{Broker, LinkReader},
    metrics::Metrics,
    model::{Epoch, FrameBatch, FrameBuilder, LogState, Offset, TaskId},
    store::{ReadAfter, Store, StoreError},
};

pub use follower::Follower;
pub use log::View;
pub use step::{Otherwise, Start, Step};

pub(crate) use audience::{Audience, HasAudience, Mail, Mailbox, Relay, Seat, Slot};
pub(crate) use fetch::{Arrival, Fetch, Wanted};
pub(crate) use list::{ListFollower, ListStep};

use list::TaskList;
use log::{Interest, Log};
use pages::Pages;

/// The hub's bounds.
#[derive(Debug, Clone)]
pub struct HubOptions {
    /// The most activities that a task's ring holds.
    pub ring_activities: usize,
    /// The most bytes that a task's ring holds.
    pub ring_bytes: usize,
    /// How long a ring is kept warm after its last viewer has gone.
    pub linger: Duration,
    /// How often the heads of all watched tasks are compared with the store.
    pub resync_interval: Duration,
    /// How many reads of old activities run at once on this node.
    pub cold_reads: usize,
    /// The most activities in one such read.
    pub page_activities: usize,
    /// The most bytes in one such read; one activity may exceed it.
    pub page_bytes: usize,
    /// How often changed tasks are sent to those who watch the list of tasks.
    pub list_interval: Duration,
}

/// The rings of one node. Handles are cheap to clone.
#[derive(Debug, Clone)]
pub struct Hub {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    store: Store,
    broker: Broker,
    options: HubOptions,
    /// Changes when all heads are to be compared with the store at once.
    compare: watch::Sender<u64>,
    logs: Mutex<HashMap<TaskId, Arc<Log>>>,
    list: Arc<TaskList>,
    cold_reads: Semaphore,
    pages: Pages,
    metrics: Arc<Metrics>,
    tracker: TaskTracker,
    /// Where reads of the store run, whoever asks.
    runtime: Handle,
    stop: CancellationToken,
}

/// A page of old activities, encoded.
#[derive(Debug, Clone)]
pub struct ColdPage {
    /// Where the log stood; nothing if the task does not exist.
    pub(crate) state: Option<LogState>,
    /// Everything wanted up to here is in `batches`.
    pub(crate) through: Offset,
    /// In order.
    pub(crate) batches: Vec<FrameBatch>,
}

impl Hub {
    /// An empty hub over `store`, which tells other nodes through `broker` what is committed here and hears in `hints` what is committed
    /// there. Its background work runs on `tracker` until `stop`.
    pub(crate) fn new(
        store: Store,
        broker: Broker,
        hints: Option<LinkReader>,
        options: HubOptions,
        metrics: Arc<Metrics>,
        tracker: TaskTracker,
        stop: CancellationToken,
    ) -> Self {
        let cold_reads = Semaphore::new(options.cold_reads.max(1));
        let (logs, list, compare) = (Mutex::default(), Arc::default(), watch::Sender::default());
        let runtime = Handle::current();
        let pages = Pages::default();
        let inner = Inner { store, broker, options, compare, logs, list, cold_reads, pages, metrics, tracker, runtime, stop };
        let hub = Self { inner: Arc::new(inner) };
        if let Some(hints) = hints {
            hub.inner.tracker.spawn(feed::listen(hub.clone(), hints));
        }
        hub.inner.tracker.spawn(resync::sweep(hub.clone()));
        hub.inner.tracker.spawn(list::send_changes(hub.clone()));
        hub
    }

    /// Whether somebody watches this task here, or may watch it at another node, so that encoding its activities is worth it.
    pub fn is_watched(&self, task: &TaskId) -> bool {
        self.inner.broker.is_shared() || self.inner.logs.lock().contains_key(task)
    }

    /// This node has committed these: shows them here, and hints at them elsewhere. Never waits.
    pub fn committed(&self, task: &TaskId, batches: Vec<FrameBatch>) {
        self.inner.broker.committed(task, &batches, &self.inner.metrics.tracer);
        self.apply(task, batches);
    }

    /// Takes committed activities of one task: what is known is ignored, what comes next is shown, anything later is a gap and is filled
    /// from the store. Never waits.
    pub fn apply(&self, task: &TaskId, batches: Vec<FrameBatch>) {
        let Some(log) = self.log(task) else { return };
        for batch in batches {
            let need = log.apply(batch, &self.inner.options);
            self.resync(&log, need);
        }
    }

    /// The task's summary may have changed, by this node's doing.
    pub fn touched(&self, task: &TaskId) {
        self.inner.list.mark(task);
        if self.inner.broker.is_shared() {
            self.inner.list.mark_for_others(task);
        }
    }

    /// Somebody will publish to this task: has it given an owner.
    pub fn announce(&self, task: &TaskId) {
        self.inner.broker.announce(task);
    }

    /// This node has deleted the task with its log.
    pub fn deleted(&self, task: &TaskId) {
        self.touched(task);
        self.inner.broker.changed(task, Epoch::generate(), Offset::ZERO);
        if let Some(log) = self.log(task) {
            log.replace(None);
        }
    }

    /// The task was removed from the store, beside the writer: it may be there again already, so the store is asked.
    pub(crate) fn removed(&self, task: &TaskId) {
        self.touched(task);
        let another = Epoch::generate();
        self.inner.broker.changed(task, another, Offset::ZERO);
        self.heard_of(task, another, Offset::ZERO);
    }

    /// This node has created or trimmed the task's log, which stands here now.
    pub fn changed(&self, task: &TaskId, state: LogState) {
        self.touched(task);
        self.inner.broker.changed(task, state.epoch, state.head);
        if let Some(log) = self.log(task) {
            let need = log.observe(Some(state), &self.inner.options);
            self.resync(&log, need);
        }
    }

    /// Starts following a task, which need not exist yet.
    pub fn follow(&self, task: &TaskId, start: Start, filter: crate::model::Filter) -> Follower {
        Follower::new(self.watch(task), start, filter, &self.inner.options, &self.inner.metrics)
    }

    /// Starts following the list of tasks; changes are noted in `mailbox` under `slot`.
    pub(crate) fn follow_list(&self, relay: &Relay, mailbox: Arc<Mailbox>, slot: Slot) -> ListFollower {
        self.inner.list.follow(relay, mailbox, slot)
    }

    /// Reads part of a log from the store and encodes it, in its turn: at most `cold_reads` at once on this node.
    pub async fn read(&self, task: &TaskId, range: &ReadAfter) -> Result<ColdPage, StoreError> {
        let Some(page) = self.in_turn(self.inner.store.read_after(task, range)).await? else {
            self.observe(task, None);
            return Ok(ColdPage { state: None, through: range.after, batches: Vec::new() });
        };
        self.observe(task, Some(page.state));
        let mut builder = FrameBuilder::new(task, page.state.epoch).expecting(page.activities.len(), page.data_bytes());
        for (offset, activity) in &page.activities {
            builder.push(*offset, activity);
        }
        Ok(ColdPage { state: Some(page.state), through: page.through, batches: builder.finish() })
    }

    /// A read of old activities, in its turn.
    pub(crate) async fn in_turn<T>(&self, read: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
        let _turn = self.turn().await?;
        self.inner.metrics.cold_reads.inc();
        read.await
    }

    async fn turn(&self) -> Result<SemaphorePermit<'_>, StoreError> {
        self.inner.cold_reads.acquire().await.map_err(|_| StoreError::Unavailable("stopping".to_owned()))
    }

    /// A page of the list of tasks, for those who begin to follow it.
    pub(crate) async fn read_list(
        &self,
        after: Option<crate::store::TaskPlace>,
        visible: Option<Vec<crate::auth::Pattern>>,
    ) -> Result<(Vec<crate::model::TaskSummary>, Option<crate::store::TaskPlace>), StoreError> {
        let query = crate::store::TaskQuery { limit: self.inner.options.page_activities, after, visible, ..Default::default() };
        let _turn = self.turn().await?;
        let page = self.inner.store.tasks(&query).await?;
        self.inner.list.note(&page.0);
        Ok(page)
    }

    /// How many tasks have a ring here.
    pub fn watched_tasks(&self) -> usize {
        self.inner.logs.lock().len()
    }

    /// Another node says that the log stands here, or that something else happened to it: the store is asked.
    fn heard_of(&self, task: &TaskId, epoch: Epoch, head: Offset) {
        if let Some(log) = self.log(task) {
            let need = log.heard_of(epoch, head);
            self.resync(&log, need);
        }
    }

    /// Has all heads compared with the store at once.
    fn compare_all(&self) {
        self.inner.compare.send_modify(|times| *times += 1);
    }

    /// Drops all texts that are kept in memory; whoever wants them reads the store.
    fn forget_texts(&self) {
        for log in self.inner.logs.lock().values() {
            log.forget_frames();
        }
        self.inner.pages.forget_all();
        self.inner.list.start_over();
    }

    fn stop_listening(&self, task: &TaskId) {
        self.inner.broker.listen(task, false);
        // Somebody may have come meanwhile.
        if self.inner.logs.lock().contains_key(task) {
            self.inner.broker.listen(task, true);
        }
    }

    fn log(&self, task: &TaskId) -> Option<Arc<Log>> {
        self.inner.logs.lock().get(task).cloned()
    }

    fn watch(&self, task: &TaskId) -> Interest {
        let mut logs = self.inner.logs.lock();
        if let Some(log) = logs.get(task) {
            return Interest::new(log.clone());
        }
        let log = Arc::new(Log::new(task.clone()));
        logs.insert(task.clone(), log.clone());
        let interest = Interest::new(log.clone());
        drop(logs);
        self.inner.broker.listen(task, true);
        self.inner.broker.announce(task);
        self.resync(&log, log::Need::State);
        interest
    }

    /// What a read saw of a log that is watched here.
    fn observe(&self, task: &TaskId, state: Option<LogState>) {
        if let Some(log) = self.log(task) {
            let need = log.observe(state, &self.inner.options);
            self.resync(&log, need);
        }
    }

    /// Has this done on the node's own runtime, until it is done or its handle is dropped.
    pub(crate) fn spawn_until_dropped(&self, work: impl Future<Output = ()> + Send + 'static) -> AbortOnDropHandle<()> {
        AbortOnDropHandle::new(self.inner.tracker.spawn_on(work, &self.inner.runtime))
    }

    /// Work on the node's own runtime, whoever asks for it.
    fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        self.inner.tracker.spawn_on(work, &self.inner.runtime);
    }

    fn resync(&self, log: &Arc<Log>, need: log::Need) {
        match need {
            log::Need::Nothing => {}
            log::Need::State => self.spawn(resync::load_state(self.clone(), log.clone())),
            log::Need::Activities => self.spawn(resync::fill_gap(self.clone(), log.clone())),
        }
    }
}
