//! The one that commits: batches in order, patience with a store that does not answer, and each refusal to the item that earned it.

use std::{ops::Range, sync::Arc, time::Duration};

use tokio::{
    sync::mpsc,
    time::{Instant, MissedTickBehavior, interval},
};
use tokio_util::sync::CancellationToken;

use super::{Change, ChangeDone, Command, Inner, QUEUE_COMMANDS, Results, Submission, Terms, tell::News};
use crate::{
    backoff::Backoff,
    model::{LogState, TaskId},
    store::{Append, Appended, Attempt, Fence, Heartbeat, Refusal, Store, StoreError, TaskCommit},
    telemetry::{Span, SpanKind},
};

/// The first and the longest wait before a commit is tried again.
const RETRY: (Duration, Duration) = (Duration::from_millis(20), Duration::from_secs(2));

/// Commits what the queue brings.
pub(super) struct Committer {
    pub(super) store: Store,
    /// Where everything committed goes on to be told.
    pub(super) news: mpsc::Sender<News>,
    pub(super) inner: Arc<Inner>,
    /// Ends the patience.
    pub(super) give_up: CancellationToken,
    /// One of the lanes does.
    pub(super) writes_heartbeats: bool,
}

impl Committer {
    /// Works until the queue is closed and empty.
    pub(super) async fn run(self, mut queue: mpsc::Receiver<Command>) {
        let mut beats = interval(self.inner.options.heartbeat_interval);
        beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let closed = self.inner.closed.clone();
        let mut commands = Vec::new();
        loop {
            let taken = tokio::select! {
                biased;
                _ = beats.tick(), if self.writes_heartbeats => {
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
        if self.writes_heartbeats {
            self.write_heartbeats().await;
        }
    }

    /// Commits everything that waited, in order, in batches as large as they may be.
    async fn work(&self, commands: Vec<Command>) {
        let mut submissions: Vec<Submission> = Vec::new();
        let mut count = 0;
        for command in commands {
            match command {
                Command::Append(submission) => {
                    let full = self.inner.options.batch_activities < count + submission.activities.len();
                    // What has a condition goes with others under the same fence only, what is for a stream by itself.
                    let apart = submissions.last().is_some_and(|before| {
                        before.fence() != submission.fence() || before.is_for_stream() || submission.is_for_stream()
                    });
                    if (full || apart) && !submissions.is_empty() {
                        self.commit(std::mem::take(&mut submissions)).await;
                        count = 0;
                    }
                    count += submission.activities.len();
                    submissions.push(submission);
                }
                Command::Change(task, change, reply) => {
                    self.commit(std::mem::take(&mut submissions)).await;
                    count = 0;
                    let (done, state) = self.change(&task, &change).await;
                    self.tell(News::Changed { task, change, done, state, reply }).await;
                }
            }
        }
        self.commit(submissions).await;
    }

    async fn commit(&self, submissions: Vec<Submission>) {
        let mut batch = Vec::with_capacity(submissions.iter().map(|submission| submission.activities.len()).sum());
        let mut waiting = Vec::with_capacity(submissions.len());
        let mut all_terms = Terms::Always;
        let mut traced = Vec::new();
        for Submission { task, activities, reply, terms, trace, room } in submissions {
            match (&mut all_terms, terms) {
                (_, Terms::Member(term)) if !term.holds() => {
                    // Whoever waits may have gone with the node.
                    let _ = reply.send(Results::new());
                    continue;
                }
                (_, Terms::Always | Terms::Member(_)) => {}
                (Terms::If(all), Terms::If(more)) => all.runs.extend(more.runs),
                (all, terms) => *all = terms,
            }
            let span = self.inner.metrics.tracer.within(trace, "commit", SpanKind::Internal);
            traced.extend(span.map(|span| (batch.len()..batch.len() + activities.len(), span)));
            waiting.push((activities.len(), reply, room));
            batch.extend(activities.into_iter().map(|activity| Append { task: task.clone(), activity }));
        }
        if batch.is_empty() {
            return;
        }
        let Some((results, commits)) = self.append_all(&batch, &all_terms).await else { return };
        let activities = i64::try_from(batch.len()).unwrap_or(i64::MAX);
        let end = |(range, mut span): (Range<usize>, Span)| {
            span.note("task.id", batch[range.start].task.as_str().to_owned());
            span.note("tasklight.batch.activities", activities);
            (range, span.context())
        };
        let traces = traced.into_iter().map(end).collect();
        self.tell(News::Appended { batch, commits, results, waiting, traces }).await;
    }

    async fn tell(&self, news: News) {
        // Who tells ends after this, so that it hears of everything.
        let _ = self.news.send(news).await;
    }

    /// Commits the batch, or, where the store refuses it as a whole, ever smaller parts of it in order, until each refusal belongs to the one
    /// item that earned it. Nothing if the node gave up before the store answered.
    async fn append_all(&self, batch: &[Append], terms: &Terms) -> Option<(Results, Vec<TaskCommit>)> {
        let (mut results, mut commits) = (Results::with_capacity(batch.len()), Vec::new());
        let mut parts = vec![batch];
        while let Some(part) = parts.pop() {
            match self.append_with_patience(part, terms).await? {
                Ok(mut some) => {
                    let before = results.len();
                    commits.extend(some.commits.into_iter().map(|commit| commit.moved_by(before)));
                    results.append(&mut some.results);
                }
                Err(error) if part.len() == 1 || matches!(terms, Terms::Stream(_)) => {
                    tracing::error!(task.id = %part[0].task, %error, "the store refuses an activity that passed every check");
                    results.extend(part.iter().map(|_| Err(Refusal::Unstorable)));
                }
                Err(_) => {
                    let (first, second) = part.split_at(part.len() / 2);
                    parts.extend([second, first]);
                }
            }
        }
        Some((results, commits))
    }

    /// Commits a part, trying again as long as the store does not answer.
    async fn append_with_patience(&self, part: &[Append], terms: &Terms) -> Option<Result<Appended, StoreError>> {
        let mut backoff = Backoff::new(RETRY.0, RETRY.1);
        let mut attempt = Attempt::First;
        loop {
            let started = Instant::now();
            let appended = match terms {
                Terms::Always | Terms::Member(_) => self.store.append(part, attempt).await,
                Terms::If(condition) => self.store.append_if(part, condition, attempt).await,
                Terms::Stream(write) => self.store.append_to_stream(part, write, attempt).await,
            };
            match appended {
                Ok(appended) => {
                    self.set_healthy(true);
                    self.count(part.len(), &appended.results, started.elapsed());
                    return Some(Ok(appended));
                }
                Err(StoreError::Unavailable(reason)) => {
                    attempt = Attempt::Again;
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

    fn count(&self, activities: usize, results: &Results, took: Duration) {
        let metrics = &self.inner.metrics;
        for result in results {
            match result {
                Ok(receipt) if receipt.duplicate => metrics.duplicates.inc(),
                Ok(_) => metrics.appended.inc(),
                // Nobody published these: the reconciler was late, and says so in its own metric. What a stream does not take its writers know of.
                Err(Refusal::Fenced | Refusal::Outdated | Refusal::Stream(_)) => continue,
                Err(refusal) => {
                    metrics.reject(refusal.code());
                    continue;
                }
            };
        }
        tracing::debug!(activities, duration_ms = took.as_secs_f64() * 1e3, "committed");
        metrics.batch_activities.observe(u32::try_from(activities).map_or(f64::MAX, f64::from));
        metrics.commit_seconds.observe(took.as_secs_f64());
    }

    /// Does it, and says where the log stands then.
    async fn change(&self, task: &TaskId, change: &Change) -> (ChangeDone, Option<LogState>) {
        let done = match change {
            Change::Put(change) => self.store.put_task(task, change).await,
            Change::Patch(change) => self.store.patch_task(task, change).await,
            Change::Delete => self.store.delete_task(task).await,
            Change::Trim(floor) => self.store.trim(task, *floor).await.map(|state| state.is_some()),
        };
        let state = if done.is_ok() { self.state_of(task).await } else { None };
        (done, state)
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
        self.inner.metrics.store_healthy.set(i64::from(healthy));
        self.inner.healthy.send_if_modified(|now| std::mem::replace(now, healthy) != healthy);
    }
}

impl Submission {
    fn fence(&self) -> Option<Fence> {
        match &self.terms {
            Terms::If(condition) => Some(condition.fence),
            Terms::Always | Terms::Member(_) | Terms::Stream(_) => None,
        }
    }

    fn is_for_stream(&self) -> bool {
        matches!(self.terms, Terms::Stream(_))
    }
}
