//! Runs that become stalled, or get on again, without anything that is written: while somebody watches the list of tasks, the hub looks for them every
//! few seconds, so that the list tells it.

use std::{collections::BTreeMap, ops::Bound};

use crate::{
    model::{Stalled, StalledReason, TaskId, TaskSummary, Timestamp},
    store::StallSpan,
};

use super::{Hub, list::CHANGES_PER_QUERY};

/// The most tasks that one look finds; with more, all followers get a new snapshot.
const FOUND_TASKS: usize = 10_000;

/// The most tasks that are remembered as told to be stalled for want of heartbeats. Of others it is told later that they beat again: when something is written.
const REMEMBERED_TASKS: usize = 10_000;

/// The tasks of which viewers were told that heartbeats stopped. One that beats again writes nothing that changes a list.
#[derive(Debug, Default)]
pub(super) struct Beatless {
    told: BTreeMap<TaskId, Stalled>,
    /// The last one that was looked at.
    last: Option<TaskId>,
}

impl Beatless {
    /// Notes what viewers are told.
    pub(super) fn note(&mut self, summary: &TaskSummary) {
        match &summary.stalled {
            Some(stalled) if stalled.reason == StalledReason::Heartbeat => {
                if self.told.len() < REMEMBERED_TASKS || self.told.contains_key(&summary.task_id) {
                    self.told.insert(summary.task_id.clone(), stalled.clone());
                }
            }
            _ => {
                self.told.remove(&summary.task_id);
            }
        }
    }

    /// The next ones to look at, all in turn.
    fn next(&mut self, limit: usize) -> Vec<TaskId> {
        let after = self.last.take().map_or(Bound::Unbounded, Bound::Excluded);
        let some: Vec<_> = self.told.range((after, Bound::Unbounded)).map(|(task, _)| task.clone()).take(limit).collect();
        self.last = some.last().filter(|_| some.len() == limit).cloned();
        some
    }

    /// Whether viewers were told something else. A task that is gone was deleted, which is told by itself.
    fn is_news(&self, summary: &TaskSummary) -> bool {
        self.told.get(&summary.task_id).is_some_and(|told| summary.stalled.as_ref() != Some(told))
    }

    fn clear(&mut self) {
        *self = Self::default();
    }
}

/// When silent runs were looked for last, while somebody watches the list.
#[derive(Debug, Default)]
pub(super) struct Looks {
    last: Option<Timestamp>,
}

impl Looks {
    /// Looks for what has changed since the last time. The first time there is nothing to find: viewers have just read the list.
    pub(super) async fn look(&mut self, hub: &Hub) {
        let list = &hub.inner.list;
        if !list.is_watched() {
            self.last = None;
            list.beatless.lock().clear();
            return;
        }
        let now = Timestamp::now();
        let since = self.last.unwrap_or_else(|| now.minus(hub.inner.options.resync_interval * 2));
        match hub.inner.store.may_have_stalled(StallSpan { since, until: now }, FOUND_TASKS).await {
            Ok(found) if found.len() == FOUND_TASKS => list.start_over(),
            Ok(found) => found.iter().for_each(|task| list.mark(task)),
            Err(error) => return tracing::debug!(%error, "silent runs could not be looked for; trying again"),
        }
        self.last = Some(now);
        let told = list.beatless.lock().next(CHANGES_PER_QUERY);
        if told.is_empty() {
            return;
        }
        match hub.inner.store.summaries(&told).await {
            Ok(found) => {
                let beatless = list.beatless.lock();
                found.iter().filter(|summary| beatless.is_news(summary)).for_each(|summary| list.mark(&summary.task_id));
            }
            Err(error) => tracing::debug!(%error, "stalled tasks could not be read; trying again"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summary(task: &str, reason: Option<StalledReason>) -> TaskSummary {
        let mut summary: TaskSummary = serde_json::from_value(serde_json::json!({
            "taskId": task, "title": null, "labels": {}, "status": "running", "epoch": "5f3a9c1e", "head": 7, "floor": 1,
            "createdAt": 0, "lastActivityAt": null, "invocationCounts": {"running": 1}
        }))
        .expect("a summary");
        let invocation_id = "r".parse().expect("valid");
        summary.stalled = reason.map(|reason| Stalled { count: 1, reason, since: Timestamp::default(), invocation_id });
        summary
    }

    #[test]
    fn only_those_told_for_want_of_heartbeats_are_looked_at_again_each_in_turn() {
        let mut beatless = Beatless::default();
        for (task, reason) in [("a", StalledReason::Heartbeat), ("b", StalledReason::Idle), ("c", StalledReason::Heartbeat)] {
            beatless.note(&summary(task, Some(reason)));
        }
        let names = |tasks: Vec<TaskId>| tasks.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!([beatless.next(1), beatless.next(1)].map(names), [["a"], ["c"]]);
        assert!(beatless.next(1).is_empty(), "then from the beginning");
        assert_eq!(names(beatless.next(9)), ["a", "c"]);
        assert!(!beatless.is_news(&summary("a", Some(StalledReason::Heartbeat))));
        assert!(beatless.is_news(&summary("a", None)) && !beatless.is_news(&summary("b", None)));
        beatless.note(&summary("a", None));
        assert_eq!(names(beatless.next(9)), ["c"]);
    }
}
