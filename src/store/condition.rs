//! What must still hold when something that was decided by what the store said is committed: the decider still has its lease, and the runs that it is
//! about are as they were. It is seen in the transaction that writes, so whoever spoke in the meantime was first.

use std::collections::HashMap;

use super::{
    Append, Appended, Refusal,
    leases::Fence,
    plan::{InvocationRow, Rows},
};
use crate::model::{Epoch, InvocationId, Offset, Status, TaskId, Timestamp};

/// What must still hold. It is about the runs of one task.
#[derive(Debug, Clone)]
pub struct Condition {
    /// The decider's right.
    pub fence: Fence,
    /// The life of the task's log.
    pub epoch: Epoch,
    /// How the runs were that something is appended to.
    pub runs: Vec<LastHeard>,
}

/// How a run was when it was decided about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastHeard {
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
        rows.refused.extend(self.runs.iter().map(|run| (run.invocation.clone(), Refusal::Fenced)));
    }

    /// The keys of those runs that are there.
    pub(super) fn keys(&self, task: &TaskId, rows: &Rows) -> Vec<i64> {
        self.runs.iter().filter_map(|run| row_of(task, &run.invocation, rows)?.key).collect()
    }

    /// Refuses what is about a run that is not as it was. `found` is what was heard of each by now, by key.
    pub(super) fn refuse_changed(&self, task: &TaskId, found: &HashMap<i64, Heard>, rows: &mut Rows) {
        let same_life = rows.tasks.get(task).is_some_and(|row| row.epoch == self.epoch);
        let is_as_it_was = |run: &LastHeard| {
            let row = row_of(task, &run.invocation, rows)?;
            let heard = found.get(&row.key?)?;
            Some(same_life && row.status == run.status && !row.backfilled && *heard == run.heard)
        };
        let changed: Vec<_> = self.runs.iter().filter(|run| is_as_it_was(run) != Some(true)).collect();
        rows.refused.extend(changed.into_iter().map(|run| (run.invocation.clone(), Refusal::Outdated)));
    }
}

impl Appended {
    /// There is no such task any more: nothing is written.
    pub(super) fn outdated(batch: &[Append]) -> Self {
        Self { results: batch.iter().map(|_| Err(Refusal::Outdated)).collect(), commits: Vec::new() }
    }
}

fn row_of<'a>(task: &TaskId, invocation: &InvocationId, rows: &'a Rows) -> Option<&'a InvocationRow> {
    let task = rows.tasks.get(task)?;
    rows.invocations.get(&(task.key, invocation.clone()))
}
