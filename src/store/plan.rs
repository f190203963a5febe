//! What a batch does to the rows: the same rules whatever database holds them. Pure; the databases load rows, ask here, and write back.

use std::{collections::HashMap, time::Duration};

use crate::model::{
    Became, Cursor, Effect, Epoch, EventId, InvocationId, Offset, Status, StatusChange, StatusCounts, TaskId, Timestamp,
    Transition,
};

use super::{Append, Appended, Receipt, Refusal, TaskCommit};

/// How far the rows of tasks and invocations may be behind their log in what the log itself tells: where it ends, and when it last grew. Whoever
/// reads them looks at the log, too. So an activity that changes nothing else costs its own row and none beside it.
pub(crate) const LAG: Duration = Duration::from_secs(10);

/// A task's row, as far as appending changes it; `head` is the log's.
#[derive(Debug, Clone)]
pub(super) struct TaskRow {
    pub key: i64,
    pub epoch: Epoch,
    pub head: Offset,
    pub status: Option<Status>,
    pub counts: StatusCounts,
    pub last_activity_at: Freshness,
    /// How often the texts of its runs were changed in their place, where that happens beside a hub.
    pub cleanings: i64,
    /// Whether it must be written.
    pub touched: bool,
}

/// When something last grew: what its row says, and what is known now.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Freshness {
    written: Option<Timestamp>,
    now: Option<Timestamp>,
}

impl Freshness {
    /// What a row says.
    pub(super) fn of_row(written: Option<Timestamp>) -> Self {
        Self { written, now: written }
    }

    /// What to write.
    pub(super) fn to_write(self) -> Option<Timestamp> {
        self.now
    }

    /// The row says what is known now.
    fn written(self) -> Self {
        Self::of_row(self.now)
    }

    /// It grew. Says whether the row is too far behind.
    fn grow(&mut self, at: Timestamp) -> bool {
        self.now = self.now.max(Some(at));
        self.written.is_none_or(|written| written.plus(LAG) <= at)
    }
}

/// An invocation's row; `key` is given by the database when a new one is inserted.
#[derive(Debug, Clone)]
pub(super) struct InvocationRow {
    pub key: Option<i64>,
    pub status: Status,
    pub agent: Option<String>,
    pub title: Option<String>,
    pub exit_code: Option<i32>,
    pub reason: Option<String>,
    pub created_at: Timestamp,
    pub started_at: Option<Timestamp>,
    pub completed_at: Option<Timestamp>,
    pub last_activity_at: Freshness,
    pub usage: Option<String>,
    pub backfilled: bool,
    /// Whether it must be written.
    pub touched: bool,
}

/// The rows that a batch may touch, and which of its events are already there.
#[derive(Debug, Default)]
pub(super) struct Rows {
    pub tasks: HashMap<TaskId, TaskRow>,
    pub invocations: HashMap<(i64, InvocationId), InvocationRow>,
    pub known: HashMap<(i64, EventId), Offset>,
    /// Runs of which nothing is appended, because a condition does not hold (see [`super::condition`]).
    pub refused: HashMap<(i64, InvocationId), Refusal>,
    /// The moves of runs that the batch makes, in order, but of those that are recorded afterwards.
    pub transitions: Vec<Transition>,
}

/// Decides the fate of every item, in order, and changes `rows` accordingly. Every task of the batch must be in `rows.tasks`.
pub(super) fn plan(batch: &[Append], rows: &mut Rows) -> Appended {
    let mut commits: HashMap<TaskId, TaskCommit> = HashMap::new();
    let results = batch
        .iter()
        .enumerate()
        .map(|(index, item)| {
            let task = rows.tasks.get_mut(&item.task).expect("every task of the batch was loaded or made");
            let event_id = item.activity.activity.event_id;
            let receipt = |offset, duplicate| Receipt { event_id, cursor: Cursor { epoch: task.epoch, offset }, duplicate };
            if let Some(offset) = rows.known.get(&(task.key, event_id)) {
                return Ok(receipt(*offset, true));
            }
            if !rows.refused.is_empty()
                && let Some(refusal) = rows.refused.get(&(task.key, item.activity.activity.invocation.clone()))
            {
                return Err(refusal.clone());
            }
            let offset = task.head.next();
            let receipt = receipt(offset, false);
            move_invocation(item, offset, task, &mut rows.invocations, &mut rows.transitions)?;
            task.head = offset;
            rows.known.insert((task.key, event_id), offset);
            commits
                .entry(item.task.clone())
                .or_insert_with(|| TaskCommit { task: item.task.clone(), epoch: task.epoch, first: offset, items: Vec::new() })
                .items
                .push(index);
            Ok(receipt)
        })
        .collect();
    let mut commits: Vec<_> = commits.into_values().collect();
    commits.sort_unstable_by(|a, b| a.task.cmp(&b.task));
    Appended { results, commits }
}

/// Applies one activity to its invocation and its task's counts, or refuses it and changes nothing.
fn move_invocation(
    item: &Append,
    offset: Offset,
    task: &mut TaskRow,
    invocations: &mut HashMap<(i64, InvocationId), InvocationRow>,
    transitions: &mut Vec<Transition>,
) -> Result<(), Refusal> {
    let activity = &item.activity.activity;
    let key = (task.key, activity.invocation.clone());
    let before = invocations.get(&key).map(|row| row.status);
    let after = match (&item.activity.effect, before) {
        (Effect::Status(change), Some(from)) if !from.may_become(change.status) => {
            return Err(Refusal::Transition { invocation: activity.invocation.clone(), from, to: change.status });
        }
        (Effect::Status(change), _) => change.status,
        (_, Some(from)) => from.after_sign_of_life(),
        (_, None) => Status::Running,
    };
    let row = invocations.entry(key).or_insert_with(|| InvocationRow::new(after, activity.received_at));
    row.touched |= row.last_activity_at.grow(activity.received_at) || before != Some(after);
    row.touched |= item.activity.effect != Effect::SignOfLife;
    row.enter(after, activity.timestamp);
    match &item.activity.effect {
        Effect::Status(change) => row.describe(change),
        Effect::Usage => row.usage = Some(activity.data.as_str().to_owned()),
        Effect::SignOfLife => {}
    }
    task.touched |= task.last_activity_at.grow(activity.received_at) || before != Some(after);
    if before != Some(after) {
        task.count(before, after);
        if !row.backfilled {
            transitions.push(row.transition(item, before, Cursor { epoch: task.epoch, offset }, task.status));
        }
    }
    Ok(())
}

impl TaskRow {
    /// The same once the row is written as far as it must be.
    pub(super) fn written(mut self) -> Self {
        if std::mem::take(&mut self.touched) {
            self.last_activity_at = self.last_activity_at.written();
        }
        self
    }

    /// One invocation moved from `before` (or nowhere) to `after`.
    fn count(&mut self, before: Option<Status>, after: Status) {
        if let Some(before) = before {
            let count = self.counts.of(before);
            *count = count.saturating_sub(1);
        }
        *self.counts.of(after) += 1;
        self.status = Some(match self.counts {
            StatusCounts { running: 1.., .. } => Status::Running,
            StatusCounts { pending: 1.., .. } => Status::Pending,
            _ => after,
        });
    }
}

impl StatusCounts {
    pub(super) fn of(&mut self, status: Status) -> &mut u64 {
        match status {
            Status::Pending => &mut self.pending,
            Status::Running => &mut self.running,
            Status::Completed => &mut self.completed,
            Status::Failed => &mut self.failed,
            Status::Cancelled => &mut self.cancelled,
            Status::Lost => &mut self.lost,
        }
    }
}

impl InvocationRow {
    fn new(status: Status, now: Timestamp) -> Self {
        Self {
            key: None,
            status,
            agent: None,
            title: None,
            exit_code: None,
            reason: None,
            created_at: now,
            started_at: None,
            completed_at: None,
            last_activity_at: Freshness::of_row(None),
            usage: None,
            backfilled: false,
            touched: true,
        }
    }

    /// The same once the row is written as far as it must be.
    pub(super) fn written(mut self) -> Self {
        if std::mem::take(&mut self.touched) {
            self.last_activity_at = self.last_activity_at.written();
        }
        self
    }

    fn enter(&mut self, status: Status, at: Timestamp) {
        if self.status == Status::Lost && status != Status::Lost {
            self.completed_at = None;
            self.reason = None;
        }
        self.status = status;
        if status != Status::Pending && self.started_at.is_none() {
            self.started_at = Some(at);
        }
        if status.is_over() && self.completed_at.is_none() {
            self.completed_at = Some(at);
        }
    }

    /// That this activity brought it here from `previous`.
    fn transition(&self, item: &Append, previous: Option<Status>, cursor: Cursor, task_status: Option<Status>) -> Transition {
        let Append { task, activity } = item;
        Transition {
            task: task.clone(),
            invocation: activity.activity.invocation.clone(),
            became: Became::Status(self.status),
            previous,
            cursor,
            at: activity.activity.received_at,
            task_status,
            agent: self.agent.clone(),
            title: self.title.clone(),
            exit_code: self.exit_code,
            reason: self.reason.clone(),
            stalled: None,
        }
    }

    fn describe(&mut self, change: &StatusChange) {
        let set = |field: &mut Option<String>, said: &Option<String>| {
            if said.is_some() {
                field.clone_from(said);
            }
        };
        set(&mut self.agent, &change.agent);
        set(&mut self.title, &change.title);
        set(&mut self.reason, &change.reason);
        self.exit_code = change.exit_code.or(self.exit_code);
        self.backfilled |= change.backfilled;
    }
}
