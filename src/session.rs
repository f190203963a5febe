//! One viewer's WebSocket session as a state machine without I/O: messages come in, encoded frames go out, and what has to be waited for
//! is handed to the loop in `websocket`.
//!
//! The queue of frames not yet written is bounded in count and bytes. While it is full no follower is asked for more, so a slow viewer
//! costs its queue and nothing else; its backlog is a number, and it goes on from its cursor when it can.

pub(crate) mod protocol;
pub(crate) mod sse;
#[cfg(test)]
mod tests;
pub(crate) mod upgrade;
pub(crate) mod websocket;

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use futures_util::future::AbortHandle;

use crate::{
    hub::{ColdPage, Follower, Hub, ListFollower, ListStep, Step},
    metrics::Metrics,
    model::{Cursor, TaskId, TaskSummary, Timestamp},
    store::{ReadAfter, StoreError, TaskPlace},
};

use protocol::{ClientMessage, Fault, ServerMessage, Target};

/// A session's bounds.
#[derive(Debug, Clone)]
pub struct SessionOptions {
    /// The most encoded frames that wait to be written.
    pub queue_frames: usize,
    /// The most bytes of frames that wait to be written; one frame may exceed it.
    pub queue_bytes: usize,
    /// The most tasks that one socket follows.
    pub subscriptions: usize,
    /// The most bytes of a message from a client.
    pub frame_bytes: usize,
    /// How often a ping and a heartbeat are sent, give or take a tenth.
    pub heartbeat: Duration,
    /// A client that nothing was heard of for so long is gone.
    pub idle_timeout: Duration,
    /// A client that took nothing for so long, while something waited, is too slow.
    pub write_timeout: Duration,
    /// Over how long the sessions of a stopping node are closed.
    pub drain_spread: Duration,
    /// Within how long their clients are told to come back.
    pub reconnect_window: Duration,
}

/// How many messages that make no sense a client may send before it is closed.
const FAULTS: usize = 16;

/// The most bytes handed out by one follower before another has its turn.
const TURN_BYTES: usize = 64 * 1024;

/// The most messages about the list of tasks in one turn.
const TURN_MESSAGES: usize = 64;

/// A subscription's number, never used twice in a session.
pub(crate) type Slot = u64;

/// What the loop must wait for before a subscription can go on.
#[derive(Debug)]
pub(crate) enum Wait {
    /// Until the task's log changes.
    Log(tokio::sync::watch::Receiver<crate::hub::View>),
    /// Until the list of tasks changes.
    List(tokio::sync::watch::Receiver<u64>),
    /// Until this was read.
    Read(TaskId, ReadAfter),
    /// Until this page of the list was read.
    ReadList(Option<TaskPlace>),
}

/// What a wait came to.
#[derive(Debug)]
pub(crate) enum Arrival {
    /// Something changed.
    Changed,
    /// The page.
    Page(Result<ColdPage, StoreError>),
    /// The page of the list.
    ListPage(Result<(Vec<TaskSummary>, Option<TaskPlace>), StoreError>),
}

#[derive(Debug)]
enum Subscription {
    Task(TaskId, Box<Follower>),
    List(ListFollower),
}

/// One viewer's session.
#[derive(Debug)]
pub(crate) struct Session {
    hub: Hub,
    options: Arc<SessionOptions>,
    metrics: Arc<Metrics>,
    slots: HashMap<Slot, Subscription>,
    tasks: HashMap<TaskId, Slot>,
    list: Option<Slot>,
    waits: HashMap<Slot, AbortHandle>,
    ready: VecDeque<Slot>,
    next_slot: Slot,
    queue: VecDeque<Bytes>,
    queued_bytes: usize,
    faults: usize,
}

impl Session {
    /// A session that has said hello.
    pub(crate) fn new(hub: Hub, options: Arc<SessionOptions>, metrics: Arc<Metrics>, node: &str) -> Self {
        let hello = ServerMessage::hello(node, &options);
        let mut session = Self {
            hub,
            options,
            metrics,
            slots: HashMap::new(),
            tasks: HashMap::new(),
            list: None,
            waits: HashMap::new(),
            ready: VecDeque::new(),
            next_slot: 0,
            queue: VecDeque::new(),
            queued_bytes: 0,
            faults: 0,
        };
        session.say(&hello);
        session
    }

    /// Takes a client's message. Says whether the session may go on; if not, the client has been told why.
    pub(crate) fn receive(&mut self, text: &str) -> bool {
        match ClientMessage::parse(text) {
            Ok(ClientMessage::Subscribe { target: Target::Task(task), start, filter }) => {
                if self.options.subscriptions <= self.slots.len() && !self.tasks.contains_key(&task) {
                    let most = self.options.subscriptions;
                    let message = format!("a session follows at most {most} tasks: open another one");
                    self.say(&ServerMessage::error("too_many_subscriptions", &message, Some(&task)));
                    return true;
                }
                self.drop_task(&task);
                let follower = self.hub.follow(&task, start, filter);
                let slot = self.add(Subscription::Task(task.clone(), Box::new(follower)));
                self.tasks.insert(task, slot);
            }
            Ok(ClientMessage::Subscribe { target: Target::List, .. }) => {
                self.drop_list();
                self.list = Some(self.add(Subscription::List(self.hub.follow_list())));
            }
            Ok(ClientMessage::Unsubscribe { target: Target::Task(task) }) => {
                if self.drop_task(&task) {
                    self.say(&ServerMessage::Unsubscribed { task: &task, reason: "requested" });
                }
            }
            Ok(ClientMessage::Unsubscribe { target: Target::List }) => self.drop_list(),
            Ok(ClientMessage::Ping) => self.say(&ServerMessage::Pong { timestamp: Timestamp::now() }),
            // Nothing to renew while tokens are not asked for; a client that always sends one must work here too.
            Ok(ClientMessage::Auth) => {}
            Err(fault) => return self.fault(&fault),
        }
        true
    }

    /// Asks the followers that are ready for frames, in turn, while the queue has room. Gives what must be waited for.
    pub(crate) fn pump(&mut self) -> Vec<(Slot, Wait)> {
        let mut waits = Vec::new();
        while !self.is_full() {
            let Some(slot) = self.ready.pop_front() else { break };
            if let Some(wait) = self.turn(slot) {
                waits.push((slot, wait));
            }
        }
        waits
    }

    /// Whether no more frames are wanted until some are written.
    pub(crate) fn is_full(&self) -> bool {
        self.options.queue_frames <= self.queue.len() || self.options.queue_bytes <= self.queued_bytes
    }

    /// Whether [`Session::pump`] has something to do.
    pub(crate) fn has_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// Notes how to end the wait of a subscription that goes away before.
    pub(crate) fn waiting(&mut self, slot: Slot, handle: AbortHandle) {
        self.waits.insert(slot, handle);
    }

    /// What a subscription waited for is here.
    pub(crate) fn arrived(&mut self, slot: Slot, arrival: Arrival) {
        self.waits.remove(&slot);
        match (self.slots.get_mut(&slot), arrival) {
            (Some(Subscription::Task(_, follower)), Arrival::Page(Ok(page))) => follower.supply(page),
            (Some(Subscription::List(follower)), Arrival::ListPage(Ok((tasks, next)))) => {
                for frame in follower.supply(&tasks, next) {
                    self.push(frame);
                }
            }
            // The store does not answer: the follower asks again, in its turn.
            (Some(_), _) => {}
            (None, _) => return,
        }
        self.ready.push_back(slot);
    }

    /// The next frame to write.
    pub(crate) fn pop(&mut self) -> Option<Bytes> {
        let frame = self.queue.pop_front()?;
        self.queued_bytes -= frame.len();
        Some(frame)
    }

    /// Whether frames wait to be written.
    pub(crate) fn has_frames(&self) -> bool {
        !self.queue.is_empty()
    }

    /// Drops the frames that wait, because nobody will take them.
    pub(crate) fn discard(&mut self) {
        self.queue.clear();
        self.queued_bytes = 0;
        self.ready.clear();
    }

    /// Says where all logs stand, and how far filters have come.
    pub(crate) fn heartbeat(&mut self) {
        let mut skipped = Vec::new();
        let mut heads = Vec::new();
        for subscription in self.slots.values_mut() {
            if let Subscription::Task(task, follower) = subscription {
                skipped.extend(follower.take_skipped().map(|offset| (task.clone(), offset)));
                heads.push((task.clone(), follower.head()));
            }
        }
        for (task, offset) in &skipped {
            self.say(&ServerMessage::Cursor { task, offset: *offset });
        }
        self.say(&ServerMessage::Heartbeat { timestamp: Timestamp::now(), heads: heads.iter().map(|(t, o)| (t, *o)).collect() });
    }

    /// Tells the client to come back after a while, and where it stands.
    pub(crate) fn drain(&mut self, reconnect_after: Duration) {
        let cursors: Vec<(TaskId, Cursor)> = self.cursors();
        let cursors = cursors.iter().map(|(task, cursor)| (task, *cursor)).collect();
        let millis = u64::try_from(reconnect_after.as_millis()).unwrap_or(u64::MAX);
        self.say(&ServerMessage::Drain { reconnect_after_ms: millis, cursors });
    }

    fn cursors(&self) -> Vec<(TaskId, Cursor)> {
        let of = |subscription: &Subscription| match subscription {
            Subscription::Task(task, follower) => Some((task.clone(), follower.cursor()?)),
            Subscription::List(_) => None,
        };
        self.slots.values().filter_map(of).collect()
    }

    fn turn(&mut self, slot: Slot) -> Option<Wait> {
        let room = self.options.queue_bytes.saturating_sub(self.queued_bytes).min(TURN_BYTES);
        match self.slots.get_mut(&slot)? {
            Subscription::Task(task, follower) => {
                let (task, step) = (task.clone(), follower.next(room));
                self.task_turn(slot, &task, step)
            }
            Subscription::List(follower) => {
                let step = follower.next(&self.hub, TURN_MESSAGES);
                match step {
                    ListStep::Read(place) => return Some(Wait::ReadList(place)),
                    ListStep::Asleep => return Some(Wait::List(follower.changed())),
                    ListStep::Frames(frames) => frames.into_iter().for_each(|frame| self.push(frame)),
                    ListStep::Live => self.say(&ServerMessage::ListLive { list: "tasks" }),
                }
                self.ready.push_back(slot);
                None
            }
        }
    }

    fn task_turn(&mut self, slot: Slot, task: &TaskId, step: Step) -> Option<Wait> {
        let Some(Subscription::Task(_, follower)) = self.slots.get(&slot) else { return None };
        match step {
            Step::Asleep => return Some(Wait::Log(follower.changed())),
            Step::Read(range) => return Some(Wait::Read(task.clone(), range)),
            Step::Frames(batch) => {
                let filter = follower.filter().clone();
                for frame in batch.frames().iter().filter(|frame| filter.wants(frame.kind, &frame.invocation)) {
                    self.metrics.delivered.inc();
                    self.push(batch.websocket(frame));
                }
            }
            Step::Begun { state, after } => self.say(&ServerMessage::subscribed(task, state, after)),
            Step::Reset { epoch } => self.say(&ServerMessage::Reset { task, epoch }),
            Step::Truncated { floor } => self.say(&ServerMessage::Truncated { task, floor }),
            Step::Skipped(offset) => self.say(&ServerMessage::Cursor { task, offset }),
            Step::Live(offset) => self.say(&ServerMessage::Live { task, offset }),
            Step::Deleted => {
                self.drop_task(task);
                self.say(&ServerMessage::Unsubscribed { task, reason: "deleted" });
                return None;
            }
        }
        self.ready.push_back(slot);
        None
    }

    fn fault(&mut self, fault: &Fault) -> bool {
        self.faults += 1;
        self.say(&ServerMessage::error(fault.code, &fault.message, fault.task.as_ref()));
        self.faults < FAULTS
    }

    fn add(&mut self, subscription: Subscription) -> Slot {
        let slot = self.next_slot;
        self.next_slot += 1;
        self.slots.insert(slot, subscription);
        self.ready.push_back(slot);
        slot
    }

    fn drop_task(&mut self, task: &TaskId) -> bool {
        let slot = self.tasks.remove(task);
        self.drop_slot(slot);
        slot.is_some()
    }

    fn drop_list(&mut self) {
        let slot = self.list.take();
        self.drop_slot(slot);
    }

    fn drop_slot(&mut self, slot: Option<Slot>) {
        let Some(slot) = slot else { return };
        self.slots.remove(&slot);
        self.ready.retain(|ready| *ready != slot);
        if let Some(handle) = self.waits.remove(&slot) {
            handle.abort();
        }
    }

    fn say(&mut self, message: &ServerMessage<'_>) {
        self.push(message.encode());
    }

    fn push(&mut self, frame: Bytes) {
        self.queued_bytes += frame.len();
        self.queue.push_back(frame);
    }
}
