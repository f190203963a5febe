//! Group commit: everything that waits while one batch commits is the next batch. No added delay, and one bound for all that waits.
//!
//! All changes of the store go through here, but for the removal of what is kept no longer (`jobs/retention`), which only ever raises floors. Those
//! of one task are made in one order, in one lane, so that the hub hears of them in the order in which they happened; lanes commit side by side
//! where the database can. An activity's receipt is sent after its commit, and viewers see it after its commit.

mod commit;
mod tell;

use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hash, Hasher},
    sync::Arc,
    time::Duration,
};

use parking_lot::Mutex;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot, watch},
    time::timeout,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    cluster::Term,
    hub::Hub,
    metrics::Metrics,
    model::{InvocationId, NewActivity, Offset, TaskId, Timestamp, TraceContext},
    store::{Condition, Receipt, Refusal, Store, StoreError, StreamWrite, TaskChange},
    telemetry::SpanKind,
};

use commit::Committer;
use tell::{UNTOLD, tell};

/// The writer's bounds.
#[derive(Debug, Clone)]
pub struct WriterOptions {
    /// How many lanes commit side by side; SQLite has one.
    pub lanes: usize,
    /// The most activities that wait for their commit.
    pub queue_activities: usize,
    /// The most bytes that wait for their commit.
    pub queue_bytes: usize,
    /// The most activities in one commit.
    pub batch_activities: usize,
    /// How long a publisher waits for room in the queue.
    pub admit_timeout: Duration,
    /// How long a publisher waits for its commit.
    pub commit_timeout: Duration,
    /// How often heartbeats are written.
    pub heartbeat_interval: Duration,
    /// The most invocations whose heartbeats wait to be written.
    pub heartbeats: usize,
}

/// The most commands that wait in a lane, whatever their size.
const QUEUE_COMMANDS: usize = 65_536;

/// Why the writer has no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WriterError {
    /// No room came free in time. Nothing was taken.
    #[error("the queue of activities that wait to be stored is full")]
    Full,
    /// The node is stopping. Nothing was taken.
    #[error("the node is stopping")]
    Stopping,
    /// It was taken, but the store has not answered in time: it may or may not be stored later. Send it again with the same `eventId`.
    #[error("the store has not confirmed in time")]
    Unanswered,
}

/// What became of each activity of a request.
pub type Results = Vec<Result<Receipt, Refusal>>;

/// How many of these were not in the store before.
pub(crate) fn newly_stored(results: &Results) -> usize {
    results.iter().filter(|result| result.as_ref().is_ok_and(|receipt| !receipt.duplicate)).count()
}

/// The way into the store. Handles are cheap to clone.
#[derive(Debug, Clone)]
pub struct Writer {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    /// One for each lane.
    commands: Vec<mpsc::Sender<Command>>,
    activities: Arc<Semaphore>,
    bytes: Arc<Semaphore>,
    heartbeats: Mutex<HashMap<(TaskId, InvocationId), Timestamp>>,
    healthy: watch::Sender<bool>,
    closed: CancellationToken,
    done: CancellationToken,
    options: WriterOptions,
    metrics: Arc<Metrics>,
}

#[derive(Debug)]
enum Command {
    Append(Submission),
    Change(TaskId, Change, oneshot::Sender<ChangeDone>),
}

#[derive(Debug)]
struct Submission {
    task: TaskId,
    activities: Vec<NewActivity>,
    reply: oneshot::Sender<Results>,
    terms: Terms,
    trace: Option<TraceContext>,
    room: Room,
}

/// When a submission is committed.
#[derive(Debug)]
enum Terms {
    /// Whatever else there is.
    Always,
    /// If this membership holds when its turn comes; it is dropped otherwise.
    Member(Term),
    /// If this still holds in the transaction that writes it.
    If(Condition),
    /// As a whole, if the stream takes it.
    Stream(Box<StreamWrite>),
}

/// Room in the queue, by count and bytes; free again when dropped.
type Room = [OwnedSemaphorePermit; 2];

#[derive(Debug)]
enum Change {
    Put(TaskChange),
    Patch(TaskChange),
    Delete,
    Trim(Offset),
}

/// What a change of a task did: whether it created, found or deleted it.
type ChangeDone = Result<bool, StoreError>;

impl Writer {
    /// Starts the writer on `tracker`. It works until [`Writer::close`] and everything taken is committed, or until `give_up`.
    pub(crate) fn start(
        store: Store,
        hub: Hub,
        options: WriterOptions,
        metrics: Arc<Metrics>,
        tracker: &TaskTracker,
        give_up: CancellationToken,
    ) -> Self {
        metrics.store_healthy.set(1);
        let level = |value: usize| i64::try_from(value).unwrap_or(i64::MAX);
        metrics.queue_limit_activities.set(level(options.queue_activities));
        metrics.queue_limit_bytes.set(level(options.queue_bytes));
        let (commands, queues): (Vec<_>, Vec<_>) = (0..store.lanes(options.lanes)).map(|_| mpsc::channel(QUEUE_COMMANDS)).unzip();
        let inner = Arc::new(Inner {
            commands,
            activities: Arc::new(Semaphore::new(options.queue_activities)),
            bytes: Arc::new(Semaphore::new(options.queue_bytes)),
            heartbeats: Mutex::default(),
            healthy: watch::Sender::new(true),
            closed: CancellationToken::new(),
            done: CancellationToken::new(),
            options,
            metrics,
        });
        let done = Arc::new(inner.done.clone().drop_guard());
        for (lane, queue) in queues.into_iter().enumerate() {
            let (news, told) = mpsc::channel(UNTOLD);
            let (store, give_up) = (store.clone(), give_up.clone());
            let committer = Committer { store, news, inner: inner.clone(), give_up, writes_heartbeats: lane == 0 };
            tracker.spawn(committer.run(queue));
            let (hub, done) = (hub.clone(), done.clone());
            tracker.spawn(async move {
                tell(hub, told).await;
                drop(done);
            });
        }
        Self { inner }
    }

    /// Appends a request's activities, in order, and gives what became of each once they are committed.
    pub async fn append(&self, task: TaskId, activities: Vec<NewActivity>) -> Result<Results, WriterError> {
        self.append_traced(task, activities, None).await
    }

    /// The same as part of a trace.
    pub(crate) async fn append_traced(
        &self,
        task: TaskId,
        activities: Vec<NewActivity>,
        trace: Option<TraceContext>,
    ) -> Result<Results, WriterError> {
        if activities.is_empty() {
            return Ok(Results::new());
        }
        self.commit(task, activities, Terms::Always, trace).await
    }

    /// The same of what was decided by what the store said, each activity only if `condition` still holds when it is committed.
    pub(crate) async fn append_if(
        &self,
        task: TaskId,
        activities: Vec<NewActivity>,
        condition: Condition,
    ) -> Result<Results, WriterError> {
        self.commit(task, activities, Terms::If(condition), None).await
    }

    /// The same for one request to a stream, which takes all of it or nothing. There is at least one activity.
    pub(crate) async fn append_to_stream(
        &self,
        task: TaskId,
        activities: Vec<NewActivity>,
        write: StreamWrite,
    ) -> Result<Results, WriterError> {
        self.commit(task, activities, Terms::Stream(Box::new(write)), None).await
    }

    /// Waits for room, but not for long, and for the commit.
    async fn commit(
        &self,
        task: TaskId,
        activities: Vec<NewActivity>,
        terms: Terms,
        trace: Option<TraceContext>,
    ) -> Result<Results, WriterError> {
        let room = timeout(self.inner.options.admit_timeout, self.admit(&activities)).await.map_err(|_| WriterError::Full)??;
        let (reply, answer) = oneshot::channel();
        self.send(Command::Append(Submission { task, activities, reply, terms, trace, room }), answer).await
    }

    /// Leaves activities to be appended, in order, waiting for room as long as it takes. What became of them can be had from the receiver once
    /// they are committed; nothing comes if the node ends before. With a `lease` that does not hold any more when their turn comes they
    /// are dropped, and the results are empty.
    pub(crate) async fn submit(
        &self,
        task: TaskId,
        activities: Vec<NewActivity>,
        lease: Option<Term>,
    ) -> Result<oneshot::Receiver<Results>, WriterError> {
        let mut span = self.inner.metrics.tracer.begin("publish", SpanKind::Consumer, None);
        let trace = span.as_mut().map(|span| {
            span.note("task.id", task.as_str().to_owned());
            span.context()
        });
        let room = self.admit(&activities).await?;
        let (reply, answer) = oneshot::channel();
        let terms = lease.map_or(Terms::Always, Terms::Member);
        let submission = Submission { task, activities, reply, terms, trace, room };
        let lane = self.lane(&submission.task);
        lane.send(Command::Append(submission)).await.map_err(|_| WriterError::Stopping)?;
        Ok(answer)
    }

    /// Creates the task if it is not there and changes what `change` says; says whether it was created.
    pub async fn put_task(&self, task: TaskId, change: TaskChange) -> Result<ChangeDone, WriterError> {
        self.change(task, Change::Put(change)).await
    }

    /// Changes an existing task; says whether there was one.
    pub async fn patch_task(&self, task: TaskId, change: TaskChange) -> Result<ChangeDone, WriterError> {
        self.change(task, Change::Patch(change)).await
    }

    /// Deletes a task with everything below it; says whether there was one.
    pub async fn delete_task(&self, task: TaskId) -> Result<ChangeDone, WriterError> {
        self.change(task, Change::Delete).await
    }

    /// Removes the activities below `floor`; says whether there was such a task.
    pub async fn trim(&self, task: TaskId, floor: Offset) -> Result<ChangeDone, WriterError> {
        self.change(task, Change::Trim(floor)).await
    }

    /// Notes that an invocation is alive. Written every few seconds, once per invocation; lost if the node dies before.
    pub fn heartbeat(&self, task: TaskId, invocation: InvocationId, at: Timestamp) {
        let mut waiting = self.inner.heartbeats.lock();
        if waiting.len() < self.inner.options.heartbeats || waiting.contains_key(&(task.clone(), invocation.clone())) {
            waiting.insert((task, invocation), at);
        }
        self.inner.metrics.heartbeats.inc();
    }

    /// Whether the store took the last commit.
    pub fn is_healthy(&self) -> bool {
        *self.inner.healthy.borrow()
    }

    /// Notes in the metrics how much waits.
    pub(crate) fn note_queue(&self) {
        let Inner { options, metrics, activities, bytes, .. } = &*self.inner;
        let gauge =
            |most: usize, free: &Semaphore| i64::try_from(most.saturating_sub(free.available_permits())).unwrap_or(i64::MAX);
        metrics.queue_activities.set(gauge(options.queue_activities, activities));
        metrics.queue_bytes.set(gauge(options.queue_bytes, bytes));
    }

    /// Takes nothing more. What was taken is still committed.
    pub fn close(&self) {
        self.inner.closed.cancel();
    }

    /// Until everything taken before [`Writer::close`] is committed.
    pub async fn closed(&self) {
        self.inner.done.cancelled().await;
    }

    /// Room for these activities, waited for.
    async fn admit(&self, activities: &[NewActivity]) -> Result<Room, WriterError> {
        let inner = &self.inner;
        let weight: usize = activities.iter().map(NewActivity::weight).sum();
        // A request that is larger than the whole queue waits until it has the queue for itself.
        let count = activities.len().min(inner.options.queue_activities);
        let count = u32::try_from(count).map_err(|_| WriterError::Full)?;
        let weight = u32::try_from(weight.min(inner.options.queue_bytes)).map_err(|_| WriterError::Full)?;
        let stopping = |_| WriterError::Stopping;
        let activities = inner.activities.clone().acquire_many_owned(count).await.map_err(stopping)?;
        let bytes = inner.bytes.clone().acquire_many_owned(weight).await.map_err(stopping)?;
        Ok([activities, bytes])
    }

    /// The lane of a task, always the same one.
    fn lane(&self, task: &TaskId) -> &mpsc::Sender<Command> {
        let mut hasher = DefaultHasher::new();
        task.hash(&mut hasher);
        let lanes = self.inner.commands.len();
        let index = usize::try_from(hasher.finish() % lanes as u64).unwrap_or_default();
        &self.inner.commands[index]
    }

    async fn change(&self, task: TaskId, change: Change) -> Result<ChangeDone, WriterError> {
        let (reply, answer) = oneshot::channel();
        self.send(Command::Change(task, change, reply), answer).await
    }

    async fn send<T>(&self, command: Command, answer: oneshot::Receiver<T>) -> Result<T, WriterError> {
        let inner = &self.inner;
        if inner.closed.is_cancelled() {
            return Err(WriterError::Stopping);
        }
        let lane = match &command {
            Command::Append(submission) => self.lane(&submission.task),
            Command::Change(task, ..) => self.lane(task),
        };
        match lane.try_send(command) {
            Ok(()) => {}
            Err(mpsc::error::TrySendError::Full(_)) => return Err(WriterError::Full),
            Err(mpsc::error::TrySendError::Closed(_)) => return Err(WriterError::Stopping),
        }
        match timeout(inner.options.commit_timeout, answer).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(_)) | Err(_) => Err(WriterError::Unanswered),
        }
    }
}
