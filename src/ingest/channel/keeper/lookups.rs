//! What the keeper has to ask the store now and then, one question of a kind at a time: which tasks are open, what became of what is held,
//! which tasks have come to rest.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, mpsc},
    time::sleep,
};

use super::{Question, Tools};
use crate::{
    cluster::Ownership,
    model::{EventId, Status, TaskId},
    store::{Store, StoreError},
};

/// How many open tasks are read at a time, and how long between: a node that starts with very many takes its time over them.
const OPEN_TASKS: usize = 2_000;
const OPEN_PAUSE: Duration = Duration::from_millis(20);

/// After how long open tasks are read again, in case an announcement was missed.
const OPEN_AGAIN: Duration = Duration::from_secs(600);

/// After how long without an ack the store is asked about what is held.
const UNANSWERED: Duration = Duration::from_secs(10);

/// How often it is asked.
const UNANSWERED_AGAIN: Duration = Duration::from_secs(2);

/// The most tasks in one round of asking.
const ASKED_TASKS: usize = 200;

/// How often idle tasks are looked for.
const IDLE_AGAIN: Duration = Duration::from_secs(60);

/// When what was asked last, and whether it was answered.
#[derive(Debug, Default)]
pub(super) struct Lookups {
    open: Once,
    unanswered: Once,
    idle: Once,
    open_wanted: bool,
    joined: bool,
}

/// One question at a time.
#[derive(Debug)]
struct Once {
    turn: Arc<Semaphore>,
    last: Option<Instant>,
}

impl Default for Once {
    fn default() -> Self {
        Self { turn: Arc::new(Semaphore::new(1)), last: None }
    }
}

impl Once {
    fn take(&mut self, again: Duration) -> Option<OwnedSemaphorePermit> {
        let now = Instant::now();
        if self.last.is_some_and(|last| now - last < again) {
            return None;
        }
        let turn = self.turn.clone().try_acquire_owned().ok()?;
        self.last = Some(now);
        Some(turn)
    }
}

impl Lookups {
    /// Announcements may have been missed, or this is the beginning.
    pub(super) fn want_open(&mut self) {
        // A beat comes every second: only the first one after joining means anything.
        self.open_wanted |= !std::mem::replace(&mut self.joined, true);
    }

    /// As [`Lookups::want_open`], after the link was away.
    pub(super) fn want_open_again(&mut self) {
        self.open_wanted = self.joined;
    }

    /// Starts what is due.
    pub(super) fn start(&mut self, tools: &Tools, ownership: &Ownership, questions: &mpsc::Sender<Question>) {
        let again = if self.open_wanted { Duration::ZERO } else { OPEN_AGAIN };
        if self.joined
            && let Some(turn) = self.open.take(again)
        {
            self.open_wanted = false;
            tools.tracker.spawn(read_open(tools.store.clone(), questions.clone(), turn));
        }
        if let Some(before) = Instant::now().checked_sub(UNANSWERED)
            && let Some(turn) = self.unanswered.take(UNANSWERED_AGAIN)
        {
            let mut asked = ownership.unanswered(before);
            asked.truncate(ASKED_TASKS);
            if !asked.is_empty() {
                tools.tracker.spawn(read_stored(tools.store.clone(), questions.clone(), asked, turn));
            }
        }
        if let Some(before) = Instant::now().checked_sub(tools.options.idle_timeout)
            && let Some(turn) = self.idle.take(IDLE_AGAIN)
        {
            let tasks = ownership.idle_since(before);
            if !tasks.is_empty() {
                tools.tracker.spawn(read_idle(tools.store.clone(), questions.clone(), tasks, turn));
            }
        }
    }
}

async fn read_open(store: Store, questions: mpsc::Sender<Question>, _turn: OwnedSemaphorePermit) {
    let mut after = None;
    loop {
        match store.open_tasks(after, OPEN_TASKS).await {
            Ok((tasks, next)) => {
                if questions.send(Question::Open(tasks)).await.is_err() || next.is_none() {
                    return;
                }
                after = next;
                sleep(OPEN_PAUSE).await;
            }
            Err(error) => {
                tracing::debug!(%error, "open tasks could not be read; trying again");
                sleep(Duration::from_secs(1).mul_f64(rand::random_range(0.5..1.5))).await;
                if questions.is_closed() {
                    return;
                }
            }
        }
    }
}

async fn read_stored(
    store: Store,
    questions: mpsc::Sender<Question>,
    asked: Vec<(TaskId, Vec<EventId>)>,
    _turn: OwnedSemaphorePermit,
) {
    for (task, asked) in asked {
        let Ok(stored) = store.stored_events(&task, &asked).await else { return };
        if questions.send(Question::Stored { task, asked, stored }).await.is_err() {
            return;
        }
    }
}

async fn read_idle(store: Store, questions: mpsc::Sender<Question>, tasks: Vec<TaskId>, _turn: OwnedSemaphorePermit) {
    for some in tasks.chunks(ASKED_TASKS) {
        let Ok(open) = open_of(&store, some).await else { return };
        let idle = some.iter().filter(|task| !open.contains(task)).cloned().collect();
        if questions.send(Question::Idle(idle)).await.is_err() {
            return;
        }
    }
}

async fn open_of(store: &Store, tasks: &[TaskId]) -> Result<Vec<TaskId>, StoreError> {
    let summaries = store.summaries(tasks).await?;
    let open = summaries.into_iter().filter(|task| matches!(task.status, Some(Status::Pending | Status::Running)));
    Ok(open.map(|task| task.task_id).collect())
}
