//! One viewer's WebSocket session as a state machine without I/O: messages come in, encoded frames go out, and what it has to wait for comes
//! into its mailbox.
//!
//! The queue of frames not yet written is bounded in count and bytes. While it is full no follower is asked for more, so a slow viewer
//! costs its queue and nothing else; its backlog is a number, and it goes on from its cursor when it can.

pub(crate) mod access;
mod beat;
mod end;
pub(crate) mod ending;
mod meter;
mod name;
mod options;
mod outbox;
mod outside;
mod pace;
mod probe;
pub(crate) mod protocol;
mod renewal;
pub(crate) mod shard;
pub(crate) mod sse;
mod standing;
#[cfg(test)]
mod tests;
pub(crate) mod upgrade;
pub(crate) mod websocket;

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
    task::Context,
    time::Duration,
};

use crate::{
    auth::Caller,
    hub::{Arrival, Fetch, Follower, Hub, ListFollower, ListStep, Mail, Mailbox, Relay, Slot, Step, Wanted},
    limits::Draw,
    metrics::Metrics,
    model::{FrameBatch, TaskId, Timestamp, text_frame},
};

use access::{Access, Denied};
use name::Name;
pub use options::SessionOptions;
use outbox::Outbox;
use pace::Pace;
use probe::Probe;
use protocol::{ClientMessage, Fault, ServerMessage, Target};

/// How many messages that make no sense a client may send before it is closed.
const FAULTS: usize = 16;

/// The most bytes handed out by one follower before another has its turn.
const TURN_BYTES: usize = 64 * 1024;

/// Under which slot a token that was looked at arrives.
const ACCESS_SLOT: Slot = Slot::MAX - 1;

/// The most messages about the list of tasks in one turn.
const TURN_MESSAGES: usize = 64;

#[derive(Debug)]
enum Subscription {
    Task(TaskId, Box<Follower>),
    List(Box<ListFollower>),
}

/// What a subscription does.
#[derive(Debug)]
enum Phase {
    /// It stands in line to hand out frames.
    Ready,
    /// It has nothing to say until its mailbox says so.
    Asleep,
    /// It waits for what is being read.
    Reading { _fetch: Fetch },
}

#[derive(Debug)]
struct Entry {
    subscription: Subscription,
    phase: Phase,
}

/// One viewer's session.
#[derive(Debug)]
pub(crate) struct Session {
    name: Name,
    hub: Hub,
    options: Arc<SessionOptions>,
    metrics: Arc<Metrics>,
    relay: Relay,
    mailbox: Arc<Mailbox>,
    /// Emptied in each round, and kept for its memory.
    mail: Mail,
    /// In order of slots: a new one is the greatest.
    slots: Vec<(Slot, Entry)>,
    tasks: HashMap<TaskId, Slot>,
    list: Option<Slot>,
    ready: VecDeque<Slot>,
    next_slot: Slot,
    outbox: Outbox,
    probe: Probe,
    faults: usize,
    pace: Pace,
    access: Access,
    /// A token that is being looked at. Until that is done no message is taken.
    checking: Option<Fetch>,
    /// Why it may not go on.
    denied: Option<Denied>,
}

impl Session {
    /// A session that has said hello. It hears of changes through `relay`, which must be passed on by whoever runs it.
    pub(crate) fn new(
        hub: Hub,
        options: Arc<SessionOptions>,
        metrics: Arc<Metrics>,
        node: &str,
        access: Access,
        relay: Relay,
    ) -> Self {
        let hello = ServerMessage::hello(node, &options);
        let mut session = Self {
            name: Name::new(),
            hub,
            options,
            metrics,
            relay,
            mailbox: Arc::default(),
            mail: Mail::default(),
            slots: Vec::new(),
            tasks: HashMap::new(),
            list: None,
            ready: VecDeque::new(),
            next_slot: 0,
            outbox: Outbox::default(),
            probe: Probe::default(),
            faults: 0,
            pace: Pace::new(),
            access,
            checking: None,
            denied: None,
        };
        session.say(&hello);
        session
    }

    /// Takes a client's message. Says whether the session may go on; if not, the client has been told why.
    pub(crate) fn receive(&mut self, text: &str) -> bool {
        let message = ClientMessage::parse(text);
        if matches!(message, Ok(ClientMessage::Subscribe { .. })) && self.pace.slow_down(self.options.subscribes) {
            self.metrics.reached.count("subscribes_per_second");
        }
        match message {
            Ok(ClientMessage::Subscribe { target, .. }) if self.access.is_short_of_memory() => {
                let task = if let Target::Task(task) = &target { Some(task) } else { None };
                self.metrics.reached.count("memory");
                self.say(&ServerMessage::error(
                    "overloaded",
                    "this node is short of memory: try again later, or at another node",
                    task,
                ));
            }
            Ok(ClientMessage::Subscribe { target: Target::Task(task), .. }) if !self.access.may_read(&task) => {
                self.drop_task(&task);
                self.forbid(Some(&task));
            }
            Ok(ClientMessage::Subscribe { target: Target::List, .. }) if self.access.caller().is_none() => self.forbid(None),
            Ok(ClientMessage::Subscribe { target: Target::Task(task), start, filter }) => {
                if self.options.subscriptions <= self.slots.len() && !self.tasks.contains_key(&task) {
                    let most = self.options.subscriptions;
                    let message = format!("a session follows at most {most} tasks: open another one");
                    self.metrics.reached.count("subscriptions");
                    self.say(&ServerMessage::error("too_many_subscriptions", &message, Some(&task)));
                    return true;
                }
                self.drop_task(&task);
                tracing::debug!(session.id = %self.name, task.id = %task, "follows");
                let mut follower = Box::new(self.hub.follow(&task, start, filter));
                follower.tell(&self.relay, self.mailbox.clone(), self.next_slot);
                let slot = self.add(Subscription::Task(task.clone(), follower));
                self.tasks.insert(task, slot);
            }
            Ok(ClientMessage::Subscribe { target: Target::List, .. }) => {
                self.drop_list();
                let follower = self.hub.follow_list(&self.relay, self.mailbox.clone(), self.next_slot);
                self.list = Some(self.add(Subscription::List(Box::new(follower))));
            }
            Ok(ClientMessage::Unsubscribe { target: Target::Task(task) }) => {
                if self.drop_task(&task) {
                    self.say(&ServerMessage::Unsubscribed { task: &task, reason: "requested" });
                }
            }
            Ok(ClientMessage::Unsubscribe { target: Target::List }) => self.drop_list(),
            Ok(ClientMessage::Ping) => self.say(&ServerMessage::Pong { timestamp: Timestamp::now() }),
            Ok(ClientMessage::Auth { token }) => {
                let wanted = Wanted::Caller(self.access.auth().clone(), token);
                self.checking = Some(self.hub.fetch(wanted, self.mailbox.clone(), ACCESS_SLOT, Duration::ZERO));
            }
            Err(fault) => return self.fault(&fault),
        }
        true
    }

    /// Takes what has come into the mailbox; the task of `context` is woken by what comes next.
    pub(crate) fn hear(&mut self, context: &Context<'_>) {
        self.mailbox.empty(&mut self.mail, context);
        let mut mail = std::mem::take(&mut self.mail);
        for slot in mail.changed.drain(..) {
            if let Some(entry) = entry(&mut self.slots, slot)
                && matches!(entry.phase, Phase::Asleep)
            {
                entry.phase = Phase::Ready;
                self.ready.push_back(slot);
            }
        }
        for (slot, arrival) in mail.arrived.drain(..) {
            match arrival {
                Arrival::Caller(checked) => self.authenticated(checked),
                arrival => self.arrived(slot, arrival),
            }
        }
        self.mail = mail;
    }

    /// Asks the followers that are ready for frames, in turn, while the queue has room.
    pub(crate) fn pump(&mut self) {
        while !self.is_full() {
            let Some(slot) = self.ready.pop_front() else { break };
            self.turn(slot);
        }
    }

    /// Whether no more frames are wanted until some are written.
    pub(crate) fn is_full(&self) -> bool {
        self.options.queue_frames <= self.outbox.frames() || self.options.queue_bytes <= self.outbox.bytes()
    }

    /// Whether [`Session::pump`] has something to do.
    pub(crate) fn has_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// Drops the frames that wait, because nobody will take them; what has been written in part stays.
    pub(crate) fn discard(&mut self) {
        self.outbox.discard();
        self.probe.discard();
        self.ready.clear();
    }

    /// What was read for a subscription is here.
    fn arrived(&mut self, slot: Slot, arrival: Arrival) {
        let Some(entry) = entry(&mut self.slots, slot) else { return };
        match (&mut entry.subscription, arrival) {
            (Subscription::Task(_, follower), Arrival::Page(Ok(page))) => follower.supply(page),
            (Subscription::List(follower), Arrival::ListPage(Ok((tasks, next)))) => {
                // What was asked for before a renewal may hold more than may be seen now.
                let tasks: Vec<_> = tasks.into_iter().filter(|task| self.access.may_read(&task.task_id)).collect();
                for frame in follower.supply(&tasks, next) {
                    self.outbox.push(frame, 1);
                }
            }
            // The store does not answer: the follower asks again, in its turn.
            _ => {}
        }
        entry.phase = Phase::Ready;
        self.ready.push_back(slot);
    }

    fn turn(&mut self, slot: Slot) {
        let room = self.options.queue_bytes.saturating_sub(self.outbox.bytes()).min(TURN_BYTES);
        let Some(entry) = entry(&mut self.slots, slot) else { return };
        let next = match &mut entry.subscription {
            Subscription::Task(task, follower) => {
                let step = follower.next(room);
                let task = task.clone();
                self.task_turn(slot, &task, step)
            }
            Subscription::List(follower) => {
                let access = &self.access;
                let step = follower.next(&self.hub, TURN_MESSAGES, |task| access.may_read(task));
                self.list_turn(slot, step)
            }
        };
        // A subscription that ended in its turn is gone.
        let Some(entry) = self::entry(&mut self.slots, slot) else { return };
        entry.phase = next;
        if matches!(entry.phase, Phase::Ready) {
            self.ready.push_back(slot);
        }
    }

    fn list_turn(&mut self, slot: Slot, step: ListStep) -> Phase {
        match step {
            ListStep::Read(place) => {
                let visible = self.access.caller().and_then(Caller::visible);
                return self.fetch(slot, Wanted::ListPage(place, visible));
            }
            ListStep::Asleep => return Phase::Asleep,
            ListStep::Frames(frames) => frames.into_iter().for_each(|frame| self.outbox.push(frame, 1)),
            ListStep::Live => self.say(&ServerMessage::ListLive { list: "tasks" }),
        }
        Phase::Ready
    }

    fn task_turn(&mut self, slot: Slot, task: &TaskId, step: Step) -> Phase {
        match step {
            Step::Asleep => return Phase::Asleep,
            Step::Read(range) => return self.fetch(slot, Wanted::Page(task.clone(), range)),
            Step::Frames(batch) => return self.push_frames(slot, &batch),
            Step::Begun { state, after } => self.say(&ServerMessage::subscribed(task, state, after)),
            Step::Reset { epoch } => self.say(&ServerMessage::Reset { task, epoch }),
            Step::Truncated { floor } => self.say(&ServerMessage::Truncated { task, floor }),
            Step::Skipped(offset) => self.say(&ServerMessage::Cursor { task, offset }),
            Step::Live(offset) => self.say(&ServerMessage::Live { task, offset }),
            Step::Deleted => {
                self.drop_task(task);
                self.say(&ServerMessage::Unsubscribed { task, reason: "deleted" });
            }
        }
        Phase::Ready
    }

    fn push_frames(&mut self, slot: Slot, batch: &FrameBatch) -> Phase {
        let Some(Entry { subscription: Subscription::Task(_, follower), .. }) = entry(&mut self.slots, slot) else {
            return Phase::Asleep;
        };
        let (filter, frames) = (follower.filter(), batch.frames());
        let mut delivered = frames.len();
        if filter.wants_all() {
            self.outbox.push(batch.websocket_all(), frames.len());
        } else {
            let wanted = frames.iter().enumerate().filter(|(_, frame)| filter.wants(frame.kind, &frame.invocation));
            delivered = wanted.map(|(index, _)| self.outbox.push(batch.websocket(index), 1)).count();
        }
        self.metrics.delivered.inc_by(delivered as u64);
        self.probe.pushed(batch, follower, &self.relay, self.outbox.bytes(), &self.metrics.tracer);
        // A change that this follower has not seen yet is in the mailbox, or will be.
        if follower.rests() { Phase::Asleep } else { Phase::Ready }
    }

    fn fetch(&self, slot: Slot, wanted: Wanted) -> Phase {
        let wait = self.access.draw(Draw::ColdReads);
        if !wait.is_zero() {
            self.metrics.reached.count("cold_reads_per_second");
        }
        Phase::Reading { _fetch: self.hub.fetch(wanted, self.mailbox.clone(), slot, wait) }
    }

    fn fault(&mut self, fault: &Fault) -> bool {
        self.faults += 1;
        // What was said is not for the log.
        tracing::debug!(session.id = %self.name, code = fault.code, "a message that makes no sense");
        self.say(&ServerMessage::error(fault.code, &fault.message, fault.task.as_ref()));
        self.faults < FAULTS
    }

    fn add(&mut self, subscription: Subscription) -> Slot {
        let slot = self.next_slot;
        self.next_slot += 1;
        self.slots.push((slot, Entry { subscription, phase: Phase::Ready }));
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
        self.slots.retain(|(other, _)| *other != slot);
        self.ready.retain(|ready| *ready != slot);
    }

    fn say(&mut self, message: &ServerMessage<'_>) {
        self.outbox.push(text_frame(&message.encode()), 1);
    }
}

fn entry(slots: &mut [(Slot, Entry)], slot: Slot) -> Option<&mut Entry> {
    let index = slots.binary_search_by_key(&slot, |(slot, _)| *slot).ok()?;
    slots.get_mut(index).map(|(_, entry)| entry)
}
