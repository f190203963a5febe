//! What must still hold when something that was decided by what the store said is committed: the decider still has its lease, and the runs that it is
//! about are as they were. It is seen in the transaction that writes, so whoever spoke in the meantime was first.

use std::collections::HashMap;

use super::{
    Append, Appended, Refusal,
    leases::Fence,
    plan::{InvocationRow, Rows},
    streams::StreamWrite,
};
use crate::model::{Epoch, InvocationId, Offset, Status, TaskId, Timestamp};

/// What must still hold.
#[derive(Debug, Clone)]
pub struct Condition {
    /// The decider's right.
    pub fence: Fence,
    /// How the runs were that something is appended to.
    pub runs: Vec<LastHeard>,
}

/// When a batch is appended.
#[derive(Debug, Clone, Copy)]
pub(super) enum Only<'a> {
    /// Whatever else there is.
    Always,
    /// If this still holds.
    If(&'a Condition),
    /// If the stream takes all of it.
    Stream(&'a StreamWrite),
}

impl Only<'_> {
    /// Whether nothing stands in the way of the shortest way.
    pub(super) fn is_always(self) -> bool {
        matches!(self, Self::Always)
    }

    /// Whether tasks that are not there are made.
    pub(super) fn makes_tasks(self) -> bool {
        match self {
            Self::Always => true,
            Self::If(_) => false,
            Self::Stream(write) => write.create,
        }
    }

    /// Whether one refusal stands for the whole batch.
    pub(super) fn is_whole(self) -> bool {
        matches!(self, Self::Stream(_))
    }
}

/// How a run was when it was decided about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastHeard {
    /// Whose.
    pub task: TaskId,
    /// The life of the task's log.
    pub epoch: Epoch,
    /// Which run.
    pub invocation: InvocationId,
    /// Where it stood, by its row.
    pub status: Status,
    /// What was heard of it.
    pub heard: Heard,
}

/// What was heard of a run last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Heard {
    /// Its newest activity that is kept.
    pub newest: Option<Offset>,
    /// Its last heartbeat.
    pub heartbeat_at: Option<Timestamp>,
}

impl Condition {
    /// The fence does not hold: nothing is written.
    pub(super) fn refuse_all(&self, rows: &mut Rows) {
        refuse(self.runs.iter(), Refusal::Fenced, rows);
    }

    /// The keys of those runs that are there.
    pub(super) fn keys(&self, rows: &Rows) -> Vec<i64> {
        self.runs.iter().filter_map(|run| row_of(run, rows)?.key).collect()
    }

    /// Refuses what is about a run that is not as it was. `found` is what was heard of each by now, by key.
    pub(super) fn refuse_changed(&self, found: &HashMap<i64, Heard>, rows: &mut Rows) {
        let is_as_it_was = |run: &LastHeard| {
            let row = row_of(run, rows)?;
            let (heard, epoch) = (found.get(&row.key?)?, rows.tasks.get(&run.task)?.epoch);
            Some(epoch == run.epoch && row.status == run.status && !row.backfilled && *heard == run.heard)
        };
        let changed: Vec<_> = self.runs.iter().filter(|run| is_as_it_was(run) != Some(true)).collect();
        refuse(changed.into_iter(), Refusal::Outdated, rows);
    }
}

/// Runs of other tasks than those of the batch are none of its business.
fn refuse<'a>(runs: impl Iterator<Item = &'a LastHeard>, refusal: Refusal, rows: &mut Rows) {
    for run in runs {
        if let Some(task) = rows.tasks.get(&run.task) {
            rows.refused.insert((task.key, run.invocation.clone()), refusal.clone());
        }
    }
}

impl Appended {
    /// One of a batch that is stored whole or not at all is refused, so all of it is.
    pub(super) fn refused_whole(self) -> Self {
        let refusal = self.results.iter().find_map(|result| result.as_ref().err().cloned());
        let Some(refusal) = refusal else { return self };
        Self { results: self.results.iter().map(|_| Err(refusal.clone())).collect(), commits: Vec::new() }
    }

    /// A task of the batch is not there any more: nothing is written.
    pub(super) fn outdated(batch: &[Append]) -> Self {
        Self { results: batch.iter().map(|_| Err(Refusal::Outdated)).collect(), commits: Vec::new() }
    }
}

fn row_of<'a>(run: &LastHeard, rows: &'a Rows) -> Option<&'a InvocationRow> {
    let task = rows.tasks.get(&run.task)?;
    rows.invocations.get(&(task.key, run.invocation.clone()))
}
