//! Group commit: everything that waits while one batch commits is the next batch. No added delay, and one queue with a bound.
//!
//! All changes of the store go through here, in one order, so that the hub hears of them in the order in which they happened. An
//! activity's receipt is sent after its commit, and viewers see it after its commit.

use std::{collections::HashMap, sync::Arc, time::Duration};

use parking_lot::Mutex;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot, watch},
    time::{Instant, MissedTickBehavior, interval, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    backoff::Backoff,
    hub::Hub,
    metrics::{Code, Metrics},
    model::{FrameBuilder, InvocationId, LogState, NewActivity, Offset, TaskId, Timestamp},
    store::{Append, Heartbeat, Receipt, Refusal, Store, StoreError, TaskChange, TaskCommit},
};

/// The writer's bounds.
#[derive(Debug, Clone)]
pub struct WriterOptions {
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

/// The first and the longest wait before a commit is tried again.
const RETRY: (Duration, Duration) = (Duration::from_millis(20), Duration::from_secs(2));

/// The most commands that wait, whatever their size.
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

/// The way into the store. Handles are cheap to clone.
#[derive(Debug, Clone)]
pub struct Writer {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    commands: mpsc::Sender<Command>,
    activities: Arc<Semaphore>,
    bytes: Arc<Semaphore>,
    heartbeats: Mutex<HashMap<(TaskId, InvocationId), Timestamp>>,
    healthy: watch::Sender<bool>,
    closed: CancellationToken,
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
    _room: [OwnedSemaphorePermit; 2],
}

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
        let (commands, queue) = mpsc::channel(QUEUE_COMMANDS);
        let inner = Arc::new(Inner {
            commands,
            activities: Arc::new(Semaphore::new(options.queue_activities)),
            bytes: Arc::new(Semaphore::new(options.queue_bytes)),
            heartbeats: Mutex::default(),
            healthy: watch::Sender::new(true),
            closed: CancellationToken::new(),
            options,
            metrics,
        });
        let committer = Committer { store, hub, inner: inner.clone(), give_up };
        tracker.spawn(committer.run(queue));
        Self { inner }
    }

    /// Appends a request's activities, in order, and gives what became of each once they are committed.
    pub async fn append(&self, task: TaskId, activities: Vec<NewActivity>) -> Result<Results, WriterError> {
        if activities.is_empty() {
            return Ok(Results::new());
        }
        let room = self.admit(&activities).await?;
        let (reply, answer) = oneshot::channel();
        let submission = Submission { task, activities, reply, _room: room };
        self.send(Command::Append(submission), answer).await
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

    /// Takes nothing more. What was taken is still committed.
    pub fn close(&self) {
        self.inner.closed.cancel();
    }

    /// Room for these activities, waited for as long as the options say.
    async fn admit(&self, activities: &[NewActivity]) -> Result<[OwnedSemaphorePermit; 2], WriterError> {
        let inner = &self.inner;
        let weight: usize = activities.iter().map(NewActivity::weight).sum();
        // A request that is larger than the whole queue waits until it has the queue for itself.
        let count = activities.len().min(inner.options.queue_activities);
        let count = u32::try_from(count).map_err(|_| WriterError::Full)?;
        let weight = u32::try_from(weight.min(inner.options.queue_bytes)).map_err(|_| WriterError::Full)?;
        let both = async {
            let activities = inner.activities.clone().acquire_many_owned(count).await;
            let bytes = inner.bytes.clone().acquire_many_owned(weight).await;
            Some([activities.ok()?, bytes.ok()?])
        };
        match timeout(inner.options.admit_timeout, both).await {
            Ok(Some(room)) => Ok(room),
            Ok(None) => Err(WriterError::Stopping),
            Err(_) => Err(WriterError::Full),
        }
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
        match inner.commands.try_send(command) {
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

/// The one that commits.
struct Committer {
    store: Store,
    hub: Hub,
    inner: Arc<Inner>,
    give_up: CancellationToken,
}

impl Committer {
    async fn run(self, mut queue: mpsc::Receiver<Command>) {
        let mut beats = interval(self.inner.options.heartbeat_interval);
        beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let closed = self.inner.closed.clone();
        let mut commands = Vec::new();
        loop {
            let taken = tokio::select! {
                biased;
                _ = beats.tick() => {
                    self.write_heartbeats().await;
                    continue;
                }
                taken = queue.recv_many(&mut commands, QUEUE_COMMANDS) => taken,
                () = closed.cancelled(), if !queue.is_closed() => {
                    queue.close();
                    continue;
                }
            };
            if taken == 0 {
                break;
            }
            self.work(std::mem::take(&mut commands)).await;
        }
        self.write_heartbeats().await;
    }

    /// Commits everything that waited, in order, in batches as large as they may be.
    async fn work(&self, commands: Vec<Command>) {
        let mut submissions: Vec<Submission> = Vec::new();
        let mut count = 0;
        for command in commands {
            match command {
                Command::Append(submission) => {
                    let full = self.inner.options.batch_activities < count + submission.activities.len();
                    if full && !submissions.is_empty() {
                        self.commit(std::mem::take(&mut submissions)).await;
                        count = 0;
                    }
                    count += submission.activities.len();
                    submissions.push(submission);
                }
                Command::Change(task, change, reply) => {
                    self.commit(std::mem::take(&mut submissions)).await;
                    count = 0;
                    // A publisher that no longer listens is no reason not to do what it asked for.
                    let _ = reply.send(self.change(&task, change).await);
                }
            }
        }
        self.commit(submissions).await;
    }

    async fn commit(&self, submissions: Vec<Submission>) {
        let mut batch = Vec::with_capacity(submissions.iter().map(|submission| submission.activities.len()).sum());
        let mut waiting = Vec::with_capacity(submissions.len());
        for Submission { task, activities, reply, _room } in submissions {
            waiting.push((activities.len(), reply, _room));
            batch.extend(activities.into_iter().map(|activity| Append { task: task.clone(), activity }));
        }
        if batch.is_empty() {
            return;
        }
        let metrics = &self.inner.metrics;
        metrics.queue_activities.set(gauge(self.inner.options.queue_activities - self.inner.activities.available_permits()));
        metrics.queue_bytes.set(gauge(self.inner.options.queue_bytes - self.inner.bytes.available_permits()));
        let Some(results) = self.append_all(&batch).await else { return };
        let mut results = results.into_iter();
        for (count, reply, room) in waiting {
            drop(room);
            // The publisher may have gone away; the activities are stored all the same.
            let _ = reply.send(results.by_ref().take(count).collect());
        }
    }

    /// Commits the batch, or, where the store refuses it as a whole, ever smaller parts of it in order, until each refusal belongs to the one
    /// item that earned it. Nothing if the node gave up before the store answered.
    async fn append_all(&self, batch: &[Append]) -> Option<Results> {
        let mut results = Results::with_capacity(batch.len());
        let mut parts = vec![batch];
        while let Some(part) = parts.pop() {
            match self.append_with_patience(part).await? {
                Ok(mut some) => results.append(&mut some),
                Err(error) if part.len() == 1 => {
                    tracing::error!(task.id = %part[0].task, %error, "the store refuses an activity that passed every check");
                    results.push(Err(Refusal::Unstorable));
                }
                Err(_) => {
                    let (first, second) = part.split_at(part.len() / 2);
                    parts.extend([second, first]);
                }
            }
        }
        Some(results)
    }

    /// Commits a part, trying again as long as the store does not answer, and shows viewers what is new.
    async fn append_with_patience(&self, part: &[Append]) -> Option<Result<Results, StoreError>> {
        let mut backoff = Backoff::new(RETRY.0, RETRY.1);
        loop {
            let started = Instant::now();
            match self.store.append(part).await {
                Ok(appended) => {
                    self.set_healthy(true);
                    self.count(part.len(), &appended.results, started.elapsed());
                    for commit in &appended.commits {
                        self.show(part, commit);
                    }
                    return Some(Ok(appended.results));
                }
                Err(StoreError::Unavailable(reason)) => {
                    self.set_healthy(false);
                    self.inner.metrics.store_retries.inc();
                    tracing::warn!(reason, activities = part.len(), "the store did not take a batch; trying again");
                    tokio::select! {
                        () = backoff.wait() => {}
                        () = self.give_up.cancelled() => return None,
                    }
                }
                Err(error @ StoreError::Refused(_)) => return Some(Err(error)),
            }
        }
    }

    fn show(&self, batch: &[Append], commit: &TaskCommit) {
        self.hub.touched(&commit.task);
        if !self.hub.is_watched(&commit.task) {
            return;
        }
        let mut builder = FrameBuilder::new(commit.task.clone(), commit.epoch);
        let mut offset = commit.first;
        for index in &commit.items {
            builder.push(offset, &batch[*index].activity.activity);
            offset = offset.next();
        }
        self.hub.apply(&commit.task, builder.finish());
    }

    fn count(&self, activities: usize, results: &Results, took: Duration) {
        let metrics = &self.inner.metrics;
        for result in results {
            match result {
                Ok(receipt) if receipt.duplicate => metrics.duplicates.inc(),
                Ok(_) => metrics.appended.inc(),
                Err(refusal) => metrics.rejected.get_or_create(&Code { code: refusal.code() }).inc(),
            };
        }
        metrics.batch_activities.observe(u32::try_from(activities).map_or(f64::MAX, f64::from));
        metrics.commit_seconds.observe(took.as_secs_f64());
    }

    async fn change(&self, task: &TaskId, change: Change) -> ChangeDone {
        let done = match &change {
            Change::Put(change) => self.store.put_task(task, change).await,
            Change::Patch(change) => self.store.patch_task(task, change).await,
            Change::Delete => self.store.delete_task(task).await,
            Change::Trim(floor) => self.store.trim(task, *floor).await.map(|state| state.is_some()),
        };
        match (&done, change) {
            (Ok(true), Change::Delete) => self.hub.deleted(task),
            (Ok(_), _) => {
                if let Some(state) = self.state_of(task).await {
                    self.hub.changed(task, state);
                }
            }
            (Err(error), _) => tracing::warn!(task.id = %task, %error, "a task could not be changed"),
        }
        done
    }

    async fn state_of(&self, task: &TaskId) -> Option<LogState> {
        // Without an answer the hub finds out by its sweep.
        let states = self.store.log_states(std::slice::from_ref(task)).await.ok()?;
        states.into_iter().next().map(|(_, state)| state)
    }

    async fn write_heartbeats(&self) {
        let waiting = std::mem::take(&mut *self.inner.heartbeats.lock());
        if waiting.is_empty() {
            return;
        }
        let beats: Vec<_> = waiting.into_iter().map(|((task, invocation), at)| Heartbeat { task, invocation, at }).collect();
        if let Err(error) = self.store.heartbeats(&beats).await {
            tracing::warn!(%error, heartbeats = beats.len(), "heartbeats could not be written; the next ones will tell");
        }
    }

    fn set_healthy(&self, healthy: bool) {
        self.inner.healthy.send_if_modified(|now| std::mem::replace(now, healthy) != healthy);
    }
}

fn gauge(value: usize) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
