//! Retention: what is kept no longer goes, in small bites, on one node at a time.
//!
//! A round looks at all tasks in order of their key. What of a task is to go is a floor: everything below it is written to the archive first, if there is one,
//! part by part, and then removed bite by bite. Each bite shows the lease's fence, so that a node that was stopped in the middle of a round removes nothing
//! after another one went on with it. A task that is over for long enough goes as a whole, once its log is empty and if nothing was added to it meanwhile.

mod archive;
mod metrics;
mod plan;
mod policy;
mod purge;
mod survey;
mod turn;

use std::time::Duration;

use tokio::time::Instant;

use super::{Held, Job, Lease};
use crate::{
    hub::Hub,
    store::{KeptTask, LeaseName, Store, StoreError},
};

pub(crate) use archive::ArchivePlace;
pub(crate) use metrics::RetentionMetrics;
pub(crate) use plan::{Goal, Reason};
pub(crate) use policy::{Policy, Rule};
pub(crate) use survey::{Found, Survey};

use archive::Archive;
use plan::plan;
use policy::fitting;
use turn::Turn;

/// How many tasks are read at once.
const TASKS: usize = 200;

/// What is removed, and how.
#[derive(Debug, Clone)]
pub(crate) struct RetentionOptions {
    /// What holds for tasks that no rule fits.
    pub base: Policy,
    /// What holds for others.
    pub rules: Vec<Rule>,
    /// The most activities in one transaction.
    pub bite: u64,
    /// At most so much of the time is spent removing.
    pub busy_percent: u32,
    /// Where activities go before they are removed.
    pub archive: Option<ArchivePlace>,
}

impl RetentionOptions {
    /// How much of the task is kept.
    fn policy(&self, task: &KeptTask) -> Policy {
        fitting(&self.rules, &task.labels).map_or(self.base, |rule| rule.policy)
    }
}

/// The job.
#[derive(Debug)]
pub(crate) struct Retention {
    store: Store,
    /// Whose viewers are told; nobody's if this is not a node.
    hub: Option<Hub>,
    options: RetentionOptions,
    archive: Option<Archive>,
    metrics: RetentionMetrics,
}

/// What a round did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Done {
    /// Activities that are gone.
    pub activities: u64,
    /// The bytes of their payloads.
    pub bytes: u64,
    /// Tasks that are gone.
    pub tasks: u64,
    /// Tasks of which nothing was removed, because they could not be archived.
    pub failures: u64,
}

/// Why a round ended before its end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Stop {
    /// Another node goes on with it.
    #[error("another node has the lease")]
    Lease,
    /// The store does not answer, or does not do it.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Retention {
    pub(crate) fn new(store: Store, hub: Option<Hub>, options: RetentionOptions, metrics: RetentionMetrics) -> Self {
        let archive = options.archive.clone().map(Archive::new);
        let options = RetentionOptions { bite: store.bite_size(options.bite), ..options };
        Self { store, hub, options, archive, metrics }
    }

    /// Looks at all tasks once, and removes what is to go. `tell` hears how far it is.
    pub(crate) async fn all_tasks(&self, lease: &mut Lease, mut tell: impl FnMut(&Done)) -> (Done, Result<(), Stop>) {
        let began = Instant::now();
        let mut done = Done::default();
        let mut turn = Turn::new(Some(lease), self.options.busy_percent);
        let ended = self.go_through(&mut turn, &mut done, &mut tell).await;
        self.metrics.round_seconds.observe(began.elapsed().as_secs_f64());
        (done, ended)
    }

    async fn go_through(&self, turn: &mut Turn<'_>, done: &mut Done, tell: &mut impl FnMut(&Done)) -> Result<(), Stop> {
        let mut after = i64::MIN;
        loop {
            let began = Instant::now();
            let tasks = self.store.kept_tasks(after, TASKS).await?;
            turn.rest(began.elapsed()).await;
            let Some(last) = tasks.last() else { return Ok(()) };
            after = last.key;
            for task in &tasks {
                let held = turn.held().await.ok_or(Stop::Lease)?;
                self.task(task, held, turn, done).await?;
                tell(done);
            }
        }
    }

    /// Removes what is to go of one task.
    async fn task(&self, task: &KeptTask, held: Held, turn: &mut Turn<'_>, done: &mut Done) -> Result<(), Stop> {
        let policy = self.options.policy(task);
        if policy.is_empty() {
            return Ok(());
        }
        let (goal, measured) = plan(&self.store, task, &policy, held.now(), turn).await?;
        if let Some(size) = measured {
            self.store.note_size(task.key, size, held.fence()).await?;
        }
        match goal {
            Some(goal) => self.purge(task, goal, turn, done).await,
            None => Ok(()),
        }
    }
}

impl Job for Retention {
    const LEASE: LeaseName = LeaseName::Retention;

    async fn round(&mut self, lease: &mut Lease) {
        let began = Instant::now();
        let (done, ended) = self.all_tasks(lease, |_| ()).await;
        let duration_ms = began.elapsed().as_millis();
        if done != Done::default() {
            let Done { activities, bytes, tasks, failures } = done;
            tracing::info!(activities, bytes, tasks, failures, duration_ms, "what is kept no longer was removed");
        }
        match ended {
            Ok(()) => {}
            Err(Stop::Lease) => tracing::info!("another node goes on with retention"),
            Err(Stop::Store(error)) => tracing::warn!(%error, "retention could not go on; it does in its next round"),
        }
    }
}

/// How often viewers are told of the floor while a long log is trimmed.
const TELL: Duration = Duration::from_secs(1);
