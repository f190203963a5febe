//! What of a task is to go, and why. Reads only; the same for a round and for a dry run.

use tokio::time::Instant;

use super::{policy::Policy, turn::Turn};
use crate::{
    model::{Offset, Timestamp},
    store::{KeptTask, LogSize, Store, StoreError},
};

/// Why something goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reason {
    /// It is too old.
    Age,
    /// There are too many activities.
    Activities,
    /// There are too many bytes.
    Bytes,
    /// The task has been over for long enough.
    Finished,
}

impl Reason {
    /// All of them.
    pub(super) const ALL: [Self; 4] = [Self::Age, Self::Activities, Self::Bytes, Self::Finished];

    /// The key that says so.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Age => "max_age",
            Self::Activities => "max_activities",
            Self::Bytes => "max_bytes",
            Self::Finished => "finished_max_age",
        }
    }
}

/// What of a task is to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Goal {
    /// The floor that its log is to have.
    pub floor: Offset,
    /// Why.
    pub reason: Reason,
    /// Whether the task goes as a whole.
    pub whole: bool,
}

/// How far a log was measured, if that is further than the store knows.
pub(super) type Measured = Option<LogSize>;

/// What of the task is to go at `now`, if anything, and what was measured for it.
pub(super) async fn plan(
    store: &Store,
    task: &KeptTask,
    policy: &Policy,
    now: Timestamp,
    turn: &mut Turn<'_>,
) -> Result<(Option<Goal>, Measured), StoreError> {
    if let Some(age) = policy.finished_max_age
        && is_finished(task)
        && task.listed_at < now.minus(age)
    {
        return Ok((Some(Goal { floor: task.state.head.next(), reason: Reason::Finished, whole: true }), None));
    }
    let mut goal: Option<Goal> = None;
    let mut raise = |floor: Offset, reason| {
        if goal.map_or(task.state.floor, |goal| goal.floor) < floor {
            goal = Some(Goal { floor, reason, whole: false });
        }
    };
    if let Some(age) = policy.max_age
        && let Some(oldest) = task.oldest_at
    {
        let since = now.minus(age);
        if oldest < since {
            raise(store.first_taken_since(task.key, task.state, since).await?, Reason::Age);
        }
    }
    if let Some(most) = policy.max_activities {
        let floor = task.state.head.next().get().saturating_sub(most);
        raise(Offset::new(floor).unwrap_or_default(), Reason::Activities);
    }
    let mut measured = None;
    if let Some(most) = policy.max_bytes {
        let size = measure(store, task, turn).await?;
        if most < size.bytes {
            raise(store.floor_over(task.key, task.state, size.bytes - most).await?.0, Reason::Bytes);
        }
        measured = Some(size).filter(|size| task.size != Some(*size));
    }
    Ok((goal, measured))
}

/// Whether all its runs are over, and there was one.
fn is_finished(task: &KeptTask) -> bool {
    task.open == 0 && task.status.is_some_and(|status| status.is_over())
}

/// The bytes of the whole log: what is known, and what came since.
async fn measure(store: &Store, task: &KeptTask, turn: &mut Turn<'_>) -> Result<LogSize, StoreError> {
    let state = task.state;
    let mut size = task.size.unwrap_or(LogSize { through: state.floor.previous(), bytes: 0 });
    while size.through < state.head {
        let began = Instant::now();
        let (bytes, to) = store.measure(task.key, size.through.next(), state.head.next()).await?;
        turn.rest(began.elapsed()).await;
        size = LogSize { through: to.previous(), bytes: size.bytes + bytes };
    }
    Ok(size)
}
