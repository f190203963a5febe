//! What has become of tasks, by comparing what was known of them with what is known now. So it does not matter whether it happened before our eyes, or while
//! the hub was away.

use std::collections::HashMap;

use crate::model::{Became, Epoch, InvocationId, Status, StatusCounts, TaskId, TaskSummary};

/// The most tasks that are remembered; for more, choose some.
pub(super) const KNOWN_TASKS: usize = 200_000;

/// Something that happened to a task's runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Change {
    /// The task as it is now.
    pub task: TaskSummary,
    /// What some of its runs became.
    pub became: Became,
    /// How many of them.
    pub runs: u64,
    /// Where the task stood before; nothing if it is new.
    pub previous: Option<Status>,
}

/// What is remembered of a task.
#[derive(Debug)]
struct Known {
    epoch: Epoch,
    status: Option<Status>,
    counts: StatusCounts,
    stalled: Option<(u64, InvocationId)>,
}

/// The tasks as they were seen last.
#[derive(Debug, Default)]
pub(super) struct Tasks {
    known: HashMap<TaskId, Known>,
}

impl Tasks {
    /// Takes a task's present state, and gives what has become of it since it was seen last, or, for one that was not, since it was made. Nothing can be
    /// given of a task for which there is no room.
    pub(super) fn see(&mut self, task: &TaskSummary) -> Result<Vec<Change>, NoRoom> {
        if self.known.len() == KNOWN_TASKS && !self.known.contains_key(&task.task_id) {
            return Err(NoRoom);
        }
        let now = Known {
            epoch: task.epoch,
            status: task.status,
            counts: task.invocation_counts,
            stalled: task.stalled.as_ref().map(|stalled| (stalled.count, stalled.invocation_id.clone())),
        };
        // One that was deleted and made again is another one.
        let before = self.known.remove(&task.task_id).filter(|before| before.epoch == now.epoch);
        let change = |became| {
            let runs = grown(became, before.as_ref(), &now);
            let previous = before.as_ref().and_then(|before| before.status);
            (runs != 0).then(|| Change { task: task.clone(), became, runs, previous })
        };
        let changes = Became::ALL.into_iter().filter_map(change).collect();
        self.known.insert(task.task_id.clone(), now);
        Ok(changes)
    }

    /// It is gone.
    pub(super) fn forget(&mut self, task: &TaskId) {
        self.known.remove(task);
    }
}

/// There are more tasks than are remembered.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NoRoom;

/// How many more runs are that now.
fn grown(became: Became, before: Option<&Known>, now: &Known) -> u64 {
    match became {
        Became::Status(status) => {
            let then = before.map_or(0, |before| count(&before.counts, status));
            count(&now.counts, status).saturating_sub(then)
        }
        Became::Stalled => match (before.and_then(|before| before.stalled.as_ref()), &now.stalled) {
            (_, None) => 0,
            (None, Some((count, _))) => *count,
            // As many as before, but not the same ones.
            (Some((then, run)), Some((count, other))) if then == count => u64::from(run != other),
            (Some((then, _)), Some((count, _))) => count.saturating_sub(*then),
        },
    }
}

fn count(counts: &StatusCounts, status: Status) -> u64 {
    match status {
        Status::Pending => counts.pending,
        Status::Running => counts.running,
        Status::Completed => counts.completed,
        Status::Failed => counts.failed,
        Status::Cancelled => counts.cancelled,
        Status::Lost => counts.lost,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn summary(epoch: &str, status: &str, counts: Value, stalled: Option<(u64, &str)>) -> TaskSummary {
        let mut summary: TaskSummary = serde_json::from_value(json!({
            "taskId": "t", "title": null, "labels": {}, "status": status, "epoch": epoch, "head": 7, "floor": 1,
            "createdAt": 0, "lastActivityAt": null, "invocationCounts": counts
        }))
        .expect("a summary");
        if let Some((count, run)) = stalled {
            let stalled = json!({"count": count, "reason": "idle", "since": 0, "invocationId": run});
            summary.stalled = serde_json::from_value(stalled).expect("it is stalled");
        }
        summary
    }

    fn told(tasks: &mut Tasks, summary: &TaskSummary) -> Vec<(&'static str, u64)> {
        let changes = tasks.see(summary).expect("there is room");
        changes.iter().map(|change| (change.became.as_str(), change.runs)).collect()
    }

    #[test]
    fn what_grew_is_told_once() {
        let mut tasks = Tasks::default();
        let running = summary("5f3a9c1e", "running", json!({"running": 2}), None);
        assert_eq!(told(&mut tasks, &running), [("running", 2)]);
        assert_eq!(told(&mut tasks, &running), [], "nothing has changed");
        // One fails while the other goes on: the task still runs.
        let failed = summary("5f3a9c1e", "running", json!({"running": 1, "failed": 1}), None);
        assert_eq!(told(&mut tasks, &failed), [("failed", 1)]);
        // While nobody looked the other one was lost, came back and ended, and two more failed.
        let later = summary("5f3a9c1e", "failed", json!({"completed": 1, "failed": 3}), None);
        let changes = tasks.see(&later).expect("there is room");
        assert_eq!(changes.iter().map(|change| change.runs).collect::<Vec<_>>(), [1, 2]);
        assert!(changes.iter().all(|change| change.previous == Some(Status::Running)));
        assert_eq!(told(&mut tasks, &later), []);
    }

    #[test]
    fn stalls_are_told_when_there_are_more_or_others() {
        let mut tasks = Tasks::default();
        let seen = |tasks: &mut Tasks, stalled| {
            let summary = summary("5f3a9c1e", "running", json!({"running": 3}), stalled);
            told(tasks, &summary).into_iter().filter(|(word, _)| *word == "stalled").map(|(_, runs)| runs).sum::<u64>()
        };
        for (stalled, runs) in [
            (None, 0),
            (Some((1, "a")), 1),
            (Some((1, "a")), 0),
            (Some((1, "b")), 1),
            (Some((3, "b")), 2),
            // The worst one gets on; the others were told.
            (Some((2, "a")), 0),
            (None, 0),
            (Some((1, "a")), 1),
        ] {
            assert_eq!(seen(&mut tasks, stalled), runs, "{stalled:?}");
        }
    }

    #[test]
    fn a_task_that_is_made_again_is_another_one() {
        let mut tasks = Tasks::default();
        let failed = |epoch| summary(epoch, "failed", json!({"failed": 1}), None);
        assert_eq!(told(&mut tasks, &failed("5f3a9c1e")), [("failed", 1)]);
        assert_eq!(told(&mut tasks, &failed("5f3a9c1f")), [("failed", 1)]);
        tasks.forget(&"t".parse().expect("valid"));
        assert_eq!(told(&mut tasks, &failed("5f3a9c1f")), [("failed", 1)]);
    }
}
