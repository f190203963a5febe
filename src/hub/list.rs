//! The live list of tasks: a snapshot in pages, then every change, joined per task.
//!
//! Tasks that changed are noted as dirty; a few times a second, while somebody watches the list, their summaries are read in one query
//! and encoded once for all. A follower that falls behind the kept changes starts over with a snapshot: what is sent is always a
//! task's present state, so nothing is missed by that.

use std::{
    collections::{HashSet, VecDeque},
    sync::Arc,
};

use bytes::Bytes;
use parking_lot::Mutex;
use serde::Serialize;
use tokio::{
    sync::watch,
    time::{MissedTickBehavior, interval},
};

use crate::{
    model::{TaskId, TaskSummary, Timestamp, text_frame},
    store::TaskPlace,
};

use super::{
    Hub,
    audience::{Audience, HasAudience, Mailbox, Relay, Seat, Slot},
    stalls::Beatless,
};

/// The most changes kept for followers that are behind; one that is further behind gets a new snapshot.
const KEPT_CHANGES: usize = 4_096;

/// The most tasks whose summaries one query reads.
pub(super) const CHANGES_PER_QUERY: usize = 500;

/// The most tasks noted as changed; with more, all followers get a new snapshot.
const DIRTY_TASKS: usize = 100_000;

#[derive(Debug, Default)]
pub(super) struct TaskList {
    /// The number of the newest change.
    newest: watch::Sender<u64>,
    audience: Audience,
    state: Mutex<State>,
    pub(super) beatless: Mutex<Beatless>,
}

impl HasAudience for TaskList {
    fn audience(&self) -> &Audience {
        &self.audience
    }
}

#[derive(Debug, Default)]
struct State {
    dirty: HashSet<TaskId>,
    changes: VecDeque<(u64, TaskId, Bytes)>,
    /// Followers that have not seen this change must start over.
    oldest: u64,
    /// More tasks changed than could be noted.
    overflowed: bool,
    /// Tasks whose change the other nodes have not been told yet.
    untold: HashSet<TaskId>,
    /// Whether other nodes' changes are listened to.
    listening: bool,
}

impl TaskList {
    pub(super) fn mark(&self, task: &TaskId) {
        if !self.is_watched() {
            return;
        }
        let mut state = self.state.lock();
        if state.dirty.len() < DIRTY_TASKS {
            state.dirty.insert(task.clone());
        } else {
            state.overflowed = true;
        }
    }

    /// Whether anybody watches it here.
    pub(super) fn is_watched(&self) -> bool {
        self.newest.receiver_count() != 0
    }

    /// Notes what viewers are told.
    pub(super) fn note(&self, told: &[TaskSummary]) {
        let mut beatless = self.beatless.lock();
        told.iter().for_each(|summary| beatless.note(summary));
    }

    /// Notes a change that other nodes are to hear of. More than can be noted they find out by themselves, later.
    pub(super) fn mark_for_others(&self, task: &TaskId) {
        let mut state = self.state.lock();
        if state.untold.len() < DIRTY_TASKS {
            state.untold.insert(task.clone());
        }
    }

    /// Changes may have been missed: all followers get a new snapshot.
    pub(super) fn start_over(&self) {
        if self.is_watched() {
            self.state.lock().overflowed = true;
            self.push(Vec::new());
        }
    }

    pub(super) fn follow(self: &Arc<Self>, relay: &Relay, mailbox: Arc<Mailbox>, slot: Slot) -> ListFollower {
        let seat = Seat::take(self.clone(), relay, mailbox, slot);
        let newest = self.newest.subscribe();
        let seen = *newest.borrow();
        ListFollower { newest, seen, snapshot: Some(None), stale: false, live: false, _seat: seat }
    }

    fn push(&self, frames: Vec<(TaskId, Bytes)>) {
        let mut state = self.state.lock();
        let mut number = *self.newest.borrow();
        if std::mem::take(&mut state.overflowed) {
            number += 1;
            state.changes.clear();
        }
        for (task, frame) in frames {
            number += 1;
            state.changes.push_back((number, task, frame));
        }
        while KEPT_CHANGES < state.changes.len() {
            state.changes.pop_front();
        }
        state.oldest = state.changes.front().map_or(number, |(number, ..)| number - 1);
        self.newest.send_replace(number);
        self.audience.tell();
    }

    fn take_dirty(&self) -> Vec<TaskId> {
        let mut state = self.state.lock();
        let some: Vec<_> = state.dirty.iter().take(CHANGES_PER_QUERY).cloned().collect();
        for task in &some {
            state.dirty.remove(task);
        }
        some
    }
}

/// The WebSocket form of a task in the list.
#[derive(Serialize)]
struct TaskMessage<'a> {
    op: &'static str,
    #[serde(flatten)]
    summary: &'a TaskSummary,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct GoneMessage<'a> {
    op: &'static str,
    task_id: &'a TaskId,
    deleted: bool,
}

fn encode(message: &impl Serialize) -> Bytes {
    text_frame(&serde_json::to_vec(message).expect("a summary is JSON"))
}

/// Reads and sends what changed, while somebody watches the list.
pub(super) async fn send_changes(hub: Hub) {
    let mut ticks = interval(hub.inner.options.list_interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = hub.inner.stop.cancelled() => return,
        }
        let list = &hub.inner.list;
        listen_while_watched(&hub);
        let untold: Vec<_> = std::mem::take(&mut list.state.lock().untold).into_iter().collect();
        hub.inner.broker.touched(&untold);
        loop {
            let dirty = list.take_dirty();
            if dirty.is_empty() {
                break;
            }
            match hub.inner.store.summaries(&dirty).await {
                Ok(found) => {
                    list.note(&found);
                    list.push(encode_changes(&dirty, &found));
                }
                Err(error) => {
                    tracing::debug!(%error, "changed tasks could not be read; trying again");
                    dirty.iter().for_each(|task| list.mark(task));
                    break;
                }
            }
        }
    }
}

/// Other nodes' changes are listened to while somebody watches the list; what changed before that is in the snapshot that follows.
fn listen_while_watched(hub: &Hub) {
    let list = &hub.inner.list;
    let watched = list.is_watched();
    let listening = std::mem::replace(&mut list.state.lock().listening, watched);
    if watched != listening {
        hub.inner.broker.listen_to_changes(watched);
    }
}

/// While other nodes cannot be heard: finds tasks that have become active since the last look, if anybody watches the list.
pub(super) async fn find_missed(hub: &Hub) {
    let list = &hub.inner.list;
    if hub.inner.broker.trouble().is_none() || !list.is_watched() {
        return;
    }
    let since = Timestamp::now().minus(hub.inner.options.resync_interval * 3);
    match hub.inner.store.tasks_listed_since(since, DIRTY_TASKS).await {
        Ok(tasks) => tasks.iter().for_each(|task| list.mark(task)),
        Err(error) => tracing::debug!(%error, "changed tasks could not be looked for; trying again"),
    }
}

fn encode_changes(asked: &[TaskId], found: &[TaskSummary]) -> Vec<(TaskId, Bytes)> {
    let present: HashSet<_> = found.iter().map(|summary| &summary.task_id).collect();
    let gone = asked.iter().filter(|task| !present.contains(task));
    let mut frames: Vec<_> =
        gone.map(|task_id| (task_id.clone(), encode(&GoneMessage { op: "task", task_id, deleted: true }))).collect();
    frames.extend(found.iter().map(|summary| (summary.task_id.clone(), encode(&TaskMessage { op: "task", summary }))));
    frames
}

/// What comes next for one who watches the list.
#[derive(Debug)]
pub(crate) enum ListStep {
    /// `task` messages as WebSocket frames.
    Frames(Vec<Bytes>),
    /// Read this page of the list and give it to [`ListFollower::supply`].
    Read(Option<TaskPlace>),
    /// The viewer has the whole list, and changes will be sent as they come.
    Live,
    /// Nothing to do until the list changes.
    Asleep,
}

/// One session's place in the list of tasks.
#[derive(Debug)]
pub(crate) struct ListFollower {
    newest: watch::Receiver<u64>,
    seen: u64,
    /// The page of the snapshot to read next, while one is being read.
    snapshot: Option<Option<TaskPlace>>,
    /// The page that is being read was asked for before it was started over.
    stale: bool,
    live: bool,
    _seat: Seat<TaskList>,
}

impl ListFollower {
    /// The next step, with at most `limit` messages, about tasks that `wanted` says yes to.
    pub(crate) fn next(&mut self, hub: &Hub, limit: usize, wanted: impl Fn(&TaskId) -> bool) -> ListStep {
        if let Some(place) = self.snapshot {
            self.stale = false;
            return ListStep::Read(place);
        }
        let newest = *self.newest.borrow_and_update();
        let state = hub.inner.list.state.lock();
        if self.seen < state.oldest && self.seen < newest {
            (self.seen, self.snapshot, self.live) = (newest, Some(None), false);
            return ListStep::Read(None);
        }
        let from = state.changes.partition_point(|(number, ..)| *number <= self.seen);
        let mut frames = Vec::new();
        for (number, task, frame) in state.changes.range(from..) {
            if frames.len() == limit.max(1) {
                break;
            }
            self.seen = *number;
            if wanted(task) {
                frames.push(frame.clone());
            }
        }
        drop(state);
        if !frames.is_empty() {
            return ListStep::Frames(frames);
        }
        if std::mem::replace(&mut self.live, true) { ListStep::Asleep } else { ListStep::Live }
    }

    /// Starts over with a snapshot: what may be seen has changed.
    pub(crate) fn start_over(&mut self) {
        (self.snapshot, self.stale, self.live) = (Some(None), true, false);
    }

    /// Takes the page that [`ListStep::Read`] asked for, and gives its messages.
    pub(crate) fn supply(&mut self, tasks: &[TaskSummary], next: Option<TaskPlace>) -> Vec<Bytes> {
        if !self.stale {
            self.snapshot = next.map(Some);
        }
        tasks.iter().map(|summary| encode(&TaskMessage { op: "task", summary })).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_page_that_was_asked_for_before_the_list_starts_over_does_not_take_the_place_of_its_beginning() {
        let list: Arc<TaskList> = Arc::default();
        let mut follower = list.follow(&Relay::default(), Arc::default(), 1);
        let next = Some(TaskPlace { listed_at: Timestamp::default(), key: 7 });
        follower.supply(&[], next);
        assert_eq!(follower.snapshot, Some(next), "the next page");
        follower.start_over();
        follower.supply(&[], None);
        assert_eq!(follower.snapshot, Some(None), "from the beginning, because more may be seen now");
    }
}
