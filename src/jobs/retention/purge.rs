//! Carrying it out: archive, remove, tell.

use tokio::time::Instant;

use super::{
    Done, Goal, Retention, Stop, TELL,
    archive::{ArchiveError, Part},
    turn::Turn,
};
use crate::{
    model::{LogState, Offset},
    store::{Bite, EmptyTask, KeptTask, Removal},
};

/// Below so many offsets nobody notices what an index still has of them.
const SETTLED: u64 = 100_000;

impl Retention {
    /// Raises the task's floor as far as the goal says, or removes it.
    pub(super) async fn purge(&self, task: &KeptTask, goal: Goal, turn: &mut Turn<'_>, done: &mut Done) -> Result<(), Stop> {
        let before = done.activities;
        let mut state = task.state;
        let mut archived = state.floor;
        // A task whose log is empty already is archived for what else is known of it.
        let mut empty = goal.whole && state.floor == goal.floor;
        while state.floor < goal.floor || std::mem::take(&mut empty) {
            if state.floor == archived
                && let Some(archive) = &self.archive
            {
                let part = Part { task, state, to: goal.floor, whole: goal.whole };
                match archive.keep(&self.store, &part, turn).await {
                    Ok(to) => {
                        self.metrics.archived.inc_by(to.get() - state.floor.get());
                        archived = to;
                    }
                    Err(ArchiveError::Stop(stop)) => return Err(stop),
                    Err(ArchiveError::Changed) => return Ok(()),
                    Err(error) => {
                        self.metrics.archive_failures.inc();
                        done.failures += 1;
                        tracing::error!(task.id = %task.task, %error, "a task could not be archived: nothing more of it is removed");
                        self.tell(task, state);
                        return Ok(());
                    }
                }
            }
            let to = if self.archive.is_some() { archived } else { goal.floor };
            match self.bites(task, state, to, goal, turn, done).await? {
                // Activities were added to what was over: it goes on living, with what is left of it.
                Some(now) if goal.whole && now.head != task.state.head => return Ok(()),
                Some(now) => state = now,
                None => return Ok(()),
            }
        }
        if goal.whole {
            return self.remove(task, done.activities - before, turn, done).await;
        }
        tracing::debug!(task.id = %task.task, floor = %state.floor, reason = goal.reason.as_str(), "a log was trimmed");
        Ok(())
    }

    /// Removes everything below `to`, bite by bite. Nothing if the log is not as it was.
    async fn bites(
        &self,
        task: &KeptTask,
        mut state: LogState,
        to: Offset,
        goal: Goal,
        turn: &mut Turn<'_>,
        done: &mut Done,
    ) -> Result<Option<LogState>, Stop> {
        let mut told = Instant::now();
        while state.floor < to {
            let fence = turn.held().await.ok_or(Stop::Lease)?.fence();
            let until = to.min(state.floor.plus(self.options.bite));
            let bite = Bite { key: task.key, epoch: state.epoch, floor: state.floor, to: until, fence: Some(fence) };
            let began = Instant::now();
            let Some(bitten) = self.store.bite(&bite).await? else {
                tracing::debug!(task.id = %task.task, "the log is not as it was, or the lease is another node's");
                return Ok(None);
            };
            let took = began.elapsed();
            state = bitten.state;
            done.activities += bitten.activities;
            done.bytes += bitten.bytes;
            self.metrics.removed(goal.reason, bitten.activities, bitten.bytes);
            if TELL <= told.elapsed() {
                self.tell(task, state);
                told = Instant::now();
            }
            turn.rest(took).await;
        }
        self.tell(task, state);
        Ok(Some(state))
    }

    /// Removes a task whose log is empty.
    async fn remove(&self, task: &KeptTask, activities: u64, turn: &mut Turn<'_>, done: &mut Done) -> Result<(), Stop> {
        let head = task.state.head;
        if SETTLED < head.get() {
            self.store.settle_removed(task.key, LogState { floor: head.next(), ..task.state }).await?;
        }
        loop {
            let fence = turn.held().await.ok_or(Stop::Lease)?.fence();
            let empty = EmptyTask { key: task.key, task: task.task.clone(), epoch: task.state.epoch, head, fence };
            let began = Instant::now();
            match self.store.remove_task(&empty, self.options.bite).await? {
                Removal::Some => turn.rest(began.elapsed()).await,
                Removal::Changed => return Ok(()),
                Removal::Gone => break,
            }
        }
        done.tasks += 1;
        self.metrics.tasks.inc();
        let (archived, name) = (self.archive.is_some(), &task.task);
        tracing::info!(target: "tasklight::audit", task = %name, activities, archived, "retention deleted a task that was over");
        if let Some(hub) = &self.hub {
            hub.removed(&task.task);
        }
        Ok(())
    }

    /// Has viewers below the floor told.
    fn tell(&self, task: &KeptTask, state: LogState) {
        if let Some(hub) = &self.hub
            && task.state.floor < state.floor
        {
            hub.changed(&task.task, state);
        }
    }
}
