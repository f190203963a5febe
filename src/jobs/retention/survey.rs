//! A dry run: what a round would remove, and nothing else.

use tokio::time::Instant;

use super::{Goal, RetentionOptions, TASKS, plan::plan, policy::fitting, turn::Turn};
use crate::{
    model::{TaskId, Timestamp},
    store::{Store, StoreError},
};

/// What would go of one task.
#[derive(Debug)]
pub(crate) struct Found {
    /// Which task.
    pub task: TaskId,
    /// What of it.
    pub goal: Goal,
    /// The label of the rule; nothing if it is what holds for all.
    pub rule: Option<String>,
    /// How many activities.
    pub activities: u64,
    /// The bytes of their payloads.
    pub bytes: u64,
}

/// Goes through all tasks.
#[derive(Debug)]
pub(crate) struct Survey {
    store: Store,
    options: RetentionOptions,
    /// How many tasks were looked at.
    pub seen: u64,
}

impl Survey {
    pub(crate) fn new(store: Store, options: RetentionOptions) -> Self {
        Self { store, options, seen: 0 }
    }

    /// Tells of everything that would go, and, now and then, only how far it is.
    pub(crate) async fn run(&mut self, mut tell: impl FnMut(u64, Option<Found>)) -> Result<(), StoreError> {
        let mut turn = Turn::new(None, self.options.busy_percent);
        let mut after = i64::MIN;
        loop {
            let tasks = self.store.kept_tasks(after, TASKS).await?;
            let Some(last) = tasks.last() else { return Ok(()) };
            after = last.key;
            for task in &tasks {
                self.seen += 1;
                let rule = fitting(&self.options.rules, &task.labels);
                let policy = rule.map_or(self.options.base, |rule| rule.policy);
                let (goal, _) = plan(&self.store, task, &policy, Timestamp::now(), &mut turn).await?;
                let Some(goal) = goal else {
                    tell(self.seen, None);
                    continue;
                };
                let (mut from, mut bytes) = (task.state.floor, 0);
                while from < goal.floor {
                    let began = Instant::now();
                    let (more, to) = self.store.measure(task.key, from, goal.floor).await?;
                    (bytes, from) = (bytes + more, to);
                    turn.rest(began.elapsed()).await;
                    tell(self.seen, None);
                }
                let activities = goal.floor.get().saturating_sub(task.state.floor.get());
                let rule = rule.map(super::Rule::label);
                tell(self.seen, Some(Found { task: task.task.clone(), goal, rule, activities, bytes }));
            }
        }
    }
}
