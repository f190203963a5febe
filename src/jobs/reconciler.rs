//! The reconciler: runs that nobody hears of any more become `lost`, by the ordinary way of writing, so that viewers see it and a later activity revives
//! them; runs whose end is in their log but not in their row are finished.
//!
//! It goes through all runs that have not ended, in pages, by index. What it decides it decides by what the store said; that nothing was heard meanwhile
//! is seen again in the transaction that writes ([`Condition`]), together with its right to write at all. Nobody can be heard while no hub listens: silence counts
//! from the moment since which one has ([`Held::since`]).
//!
//! Measured with 100,000 runs open, see docs/reconciler.md.

mod verdict;

use std::collections::BTreeMap;

use futures_util::future::join_all;

use super::{Held, Job, JobMetrics, Lease};
use crate::{
    model::{NewActivity, StalledAfter, StalledReason, TaskId, Timestamp},
    store::{Condition, LastHeard, LeaseName, OpenRun, Refusal, Store, StoreError},
    writer::Writer,
};

pub(crate) use verdict::Patience;
use verdict::Verdict;

/// How many runs are read at once, and how many times in one round. The next round goes on where this one ended.
const PAGE_RUNS: usize = 1_000;
const PAGES_PER_ROUND: usize = 20;

/// How many runs are written about at once.
const RUNS_AT_ONCE: usize = 200;

/// When silence means something.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ReconcilerOptions {
    /// After how much of it a run is lost.
    pub patience: Patience,
    /// After how much of it a run is stalled.
    pub stalled_after: StalledAfter,
}

/// What became of one that was to be written about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Outcome {
    /// It is lost now.
    Lost,
    /// Its row says now that it ended.
    Finished,
    /// It was heard of in the meantime.
    Heard,
    /// This node has lost the lease in the meantime.
    Fenced,
    /// It could not be written.
    Failed,
}

impl Outcome {
    pub(super) const ALL: [Self; 5] = [Self::Lost, Self::Finished, Self::Heard, Self::Fenced, Self::Failed];

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Lost => "lost",
            Self::Finished => "finished",
            Self::Heard => "heard",
            Self::Fenced => "fenced",
            Self::Failed => "failed",
        }
    }
}

/// The reconciler's state between rounds.
pub(crate) struct Reconciler {
    store: Store,
    writer: Writer,
    options: ReconcilerOptions,
    /// Whether agents can be heard by this node, on all the ways that there are.
    listens: Box<dyn Fn() -> bool + Send + Sync>,
    pass: Pass,
    metrics: JobMetrics,
}

/// One time through all runs.
#[derive(Debug, Default)]
struct Pass {
    /// The last one that was looked at.
    after: i64,
    /// How many were stalled so far.
    stalled: BTreeMap<StalledReason, i64>,
}

/// What is written about one run.
struct Finding {
    heard: LastHeard,
    activity: NewActivity,
    outcome: Outcome,
}

impl Reconciler {
    pub(crate) fn new(
        store: Store,
        writer: Writer,
        options: ReconcilerOptions,
        listens: impl Fn() -> bool + Send + Sync + 'static,
        metrics: JobMetrics,
    ) -> Self {
        Self { store, writer, options, listens: Box::new(listens), pass: Pass::default(), metrics }
    }

    /// Looks at a page of runs; says whether it was the last one.
    async fn page(&mut self, lease: &mut Lease, held: &Held) -> Result<bool, StoreError> {
        let runs = self.store.open_runs(self.pass.after, PAGE_RUNS).await?;
        let now = held.now();
        let mut silent = Vec::new();
        for run in &runs {
            self.pass.look(run, &self.options.stalled_after, now);
            match verdict::judge(run, &self.options.patience, held.since(), now) {
                Verdict::Alive => {}
                verdict => silent.push((run, verdict)),
            }
        }
        for some in silent.chunks(RUNS_AT_ONCE) {
            let mut findings: BTreeMap<TaskId, Vec<Finding>> = BTreeMap::new();
            for (task, finding) in self.find(some, now).await? {
                findings.entry(task).or_default().push(finding);
            }
            // Of different tasks, so that the writer commits them together.
            let written = findings.into_iter().map(|(task, findings)| write(&self.writer, task, held, findings));
            for outcome in join_all(written).await.into_iter().flatten() {
                self.metrics.count(outcome);
            }
            // A page of many may take longer than the lease lasts. Without it the rest is refused.
            lease.hold().await;
        }
        match runs.last() {
            Some(last) if runs.len() == PAGE_RUNS => {
                self.pass.after = last.key;
                Ok(false)
            }
            _ => Ok(true),
        }
    }

    /// What is to be written about these runs, as far as anything is.
    async fn find(&self, runs: &[(&OpenRun, Verdict)], now: Timestamp) -> Result<Vec<(TaskId, Finding)>, StoreError> {
        let keys: Vec<_> = runs.iter().map(|(run, _)| run.key).collect();
        let said = self.store.last_statuses(&keys).await?;
        let find = |(run, verdict): &(&OpenRun, Verdict)| {
            let (activity, outcome) = match (said.get(&run.key).filter(|said| said.is_final()), verdict) {
                // It may have ended and said something more; then it has not gone silent, it is over.
                (Some(said), _) => (verdict::finished(run, said)?, Outcome::Finished),
                (None, Verdict::Silent(patience)) => (verdict::lost(run, *patience, now)?, Outcome::Lost),
                (None, _) => return None,
            };
            let OpenRun { task, epoch, invocation, status, heard, .. } = (*run).clone();
            Some((task.clone(), Finding { heard: LastHeard { task, epoch, invocation, status, heard }, activity, outcome }))
        };
        Ok(runs.iter().filter_map(find).collect())
    }
}

impl Job for Reconciler {
    const LEASE: LeaseName = LeaseName::Reconciler;

    fn may(&self) -> bool {
        (self.listens)()
    }

    async fn round(&mut self, lease: &mut Lease) {
        for _ in 0..PAGES_PER_ROUND {
            let Some(held) = lease.hold().await else { return };
            match self.page(lease, &held).await {
                Ok(true) => {
                    self.metrics.set_stalled(&std::mem::take(&mut self.pass).stalled);
                    return;
                }
                Ok(false) => {}
                Err(error) => {
                    tracing::warn!(%error, "runs could not be looked at; the next round goes on there");
                    return;
                }
            }
        }
    }

    fn stand_down(&mut self) {
        self.pass = Pass::default();
        self.metrics.set_stalled(&BTreeMap::new());
    }
}

impl Pass {
    fn look(&mut self, run: &OpenRun, after: &StalledAfter, now: Timestamp) {
        if let Some((reason, _)) = run.evidence().judge(after, now) {
            *self.stalled.entry(reason).or_default() += 1;
        }
    }
}

/// Writes about the runs of one task, and says what became of each.
async fn write(writer: &Writer, task: TaskId, held: &Held, findings: Vec<Finding>) -> Vec<Outcome> {
    let (mut activities, mut meant) = (Vec::with_capacity(findings.len()), Vec::with_capacity(findings.len()));
    let mut condition = Condition { fence: held.fence(), runs: Vec::with_capacity(findings.len()) };
    for finding in findings {
        meant.push((finding.outcome, finding.heard.invocation.clone()));
        condition.runs.push(finding.heard);
        activities.push(finding.activity);
    }
    let results = match writer.append_if(task.clone(), activities, condition).await {
        Ok(results) => results,
        Err(error) => {
            tracing::warn!(%error, task.id = %task, runs = meant.len(), "silent runs could not be written about; the next pass tries again");
            return vec![Outcome::Failed; meant.len()];
        }
    };
    let outcomes = meant.into_iter().zip(results).map(|((meant, invocation), result)| match result {
        Ok(_) => {
            let text = if meant == Outcome::Lost {
                "nobody hears of a run any more: it is lost"
            } else {
                "a run whose end was not noted is finished"
            };
            tracing::info!(task.id = %task, invocation.id = invocation.as_str(), "{text}");
            meant
        }
        Err(Refusal::Outdated | Refusal::Transition { .. }) => Outcome::Heard,
        Err(Refusal::Fenced) => Outcome::Fenced,
        Err(Refusal::Unstorable | Refusal::Stream(_)) => Outcome::Failed,
    });
    outcomes.collect()
}
