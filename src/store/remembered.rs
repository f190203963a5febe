//! How tasks and their runs stood after this node's last commit to them, so that its next one need not ask again.
//!
//! What is remembered is a guess, never the truth: on Postgres another node may have written since. Whoever uses it has the database check it: by
//! a statement that looks first, or by the constraints. It is checked by the log, because whatever changes a run or a task's counts also
//! appends an activity: a log that ends where it did is one whose rows are as they were. What changes texts in their place
//! (`postgres_audit`) counts that in the task's row.

use std::collections::HashMap;

use parking_lot::Mutex;

use super::{
    Append,
    plan::{InvocationRow, Rows, TaskRow},
};
use crate::model::{InvocationId, TaskId};

/// The most bytes that are remembered, about; beyond them everything is let go of, and asked for again once.
const BYTES: usize = 16 << 20;

/// What a row is counted as, beside its texts.
const ROW: usize = 384;

/// The rows of tasks that this node wrote last.
#[derive(Debug, Default)]
pub(super) struct Remembered(Mutex<Tasks>);

#[derive(Debug, Default)]
struct Tasks {
    tasks: HashMap<TaskId, Task>,
    /// Of all tasks.
    bytes: usize,
}

#[derive(Debug)]
struct Task {
    row: TaskRow,
    runs: HashMap<InvocationId, InvocationRow>,
    /// Whether the log was found as it was left, so that a guess is worth the try. Of several nodes that write the same log in turn each would
    /// guess wrong every time.
    alone: bool,
    bytes: usize,
}

impl Remembered {
    /// What the batch needs, if all of it is remembered. It is forgotten until it is kept again.
    pub(super) fn take(&self, batch: &[Append]) -> Option<Rows> {
        let mut remembered = self.0.lock();
        let all = batch.iter().all(|item| {
            let task = remembered.tasks.get(&item.task);
            task.is_some_and(|task| task.alone && task.runs.contains_key(&item.activity.activity.invocation))
        });
        if !all {
            return None;
        }
        let mut rows = Rows::default();
        for item in batch {
            if let Some(task) = remembered.forget(&item.task) {
                let key = task.row.key;
                rows.invocations.extend(task.runs.into_iter().map(|(run, row)| ((key, run), row)));
                rows.tasks.insert(item.task.clone(), task.row);
            }
        }
        Some(rows)
    }

    /// The task is another one from now on.
    pub(super) fn forget(&self, task: &TaskId) {
        self.0.lock().forget(task);
    }

    /// Nothing is certain any more.
    pub(super) fn forget_all(&self) {
        *self.0.lock() = Tasks::default();
    }

    /// The database was asked, and this is what it has: what it contradicts is forgotten.
    pub(super) fn found(&self, rows: &Rows) {
        let mut remembered = self.0.lock();
        for (name, row) in &rows.tasks {
            match remembered.tasks.get_mut(name) {
                Some(task) if task.row.is_as(row) => task.alone = true,
                Some(_) => drop(remembered.forget(name)),
                None => {}
            }
        }
    }

    /// These were committed. `alone` says that nobody else had written since the last time.
    pub(super) fn keep(&self, rows: Rows, alone: bool) {
        let mut remembered = self.0.lock();
        let mut tasks: HashMap<i64, (TaskId, Task)> = HashMap::with_capacity(rows.tasks.len());
        for (name, row) in rows.tasks {
            let row = row.written();
            let task = match remembered.forget(&name) {
                Some(before) => Task { row, ..before },
                None => Task { row, runs: HashMap::new(), alone, bytes: ROW },
            };
            tasks.insert(task.row.key, (name, task));
        }
        for ((key, run), row) in rows.invocations {
            if let Some((_, task)) = tasks.get_mut(&key) {
                let row = row.written();
                task.bytes += row.texts() + ROW;
                if let Some(before) = task.runs.insert(run, row) {
                    task.bytes -= before.texts() + ROW;
                }
            }
        }
        for (name, task) in tasks.into_values() {
            remembered.bytes += task.bytes;
            remembered.tasks.insert(name, task);
        }
        if BYTES < remembered.bytes {
            *remembered = Tasks::default();
        }
    }
}

impl Tasks {
    fn forget(&mut self, name: &TaskId) -> Option<Task> {
        let task = self.tasks.remove(name)?;
        self.bytes -= task.bytes;
        Some(task)
    }
}

impl TaskRow {
    /// Whether the log ends where it did, and nobody changed the texts of its runs.
    fn is_as(&self, other: &Self) -> bool {
        let state = |row: &Self| (row.key, row.epoch, row.head, row.cleanings);
        state(self) == state(other)
    }
}

impl InvocationRow {
    /// The bytes of its texts.
    fn texts(&self) -> usize {
        [&self.agent, &self.title, &self.reason, &self.usage].into_iter().flatten().map(String::len).sum()
    }
}
