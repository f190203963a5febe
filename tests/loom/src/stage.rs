//! A log, those who append to it, and a thread with a relay and a session, with the steps of `Hub` and `Session` between them.

use std::{
    future::Future,
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use super::{
    ColdPage, HubOptions,
    audience::{Mail, Mailbox, Relay},
    follower::Follower,
    log::{Interest, Log, Need},
    step::{Otherwise, Start, Step},
};
use crate::{
    metrics::Metrics,
    model::{
        Activity, ActivityType, Data, Epoch, EventId, Filter, FrameBatch, FrameBuilder, LogState, Offset, TaskId, Timestamp,
    },
    store::ReadAfter,
    sync::Mutex,
};

/// What is the same in every order, and so made once: the frames of each activity.
#[derive(Debug, Clone)]
pub struct Script {
    task: TaskId,
    epoch: Epoch,
    frames: Vec<FrameBatch>,
    options: HubOptions,
}

impl Script {
    /// Of a log that will have so many activities, and a ring that holds so many.
    pub fn new(activities: u64, ring: usize) -> Self {
        let (task, epoch): (TaskId, Epoch) = ("t".parse().expect("valid"), Epoch::generate());
        let frame = |offset| {
            let activity = Activity {
                event_id: EventId::from_bytes([0; 16]),
                invocation: "r".parse().expect("valid"),
                kind: ActivityType::Output,
                timestamp: Timestamp::default(),
                received_at: Timestamp::default(),
                data: Data::empty(),
            };
            let mut builder = FrameBuilder::new(&task, epoch);
            builder.push(Offset::new(offset).expect("small"), &activity);
            builder.finish().remove(0)
        };
        let frames = (1..=activities).map(frame).collect();
        let options = HubOptions {
            ring_activities: ring,
            ring_bytes: 1 << 20,
            linger: Duration::from_secs(60),
            page_activities: 2,
            page_bytes: 1 << 20,
        };
        Self { task, epoch, frames, options }
    }
}

/// A log that is watched, and the store behind it.
#[derive(Debug)]
pub struct Stage {
    script: Script,
    log: Arc<Log>,
    /// The head in the store.
    committed: Mutex<u64>,
    /// The oldest offset that the store keeps.
    floor: Mutex<u64>,
}

impl Stage {
    /// An empty log of which the hub knows.
    pub fn new(script: &Script) -> Arc<Self> {
        let stage = Self::without_a_task(script);
        stage.log.replace(Some(stage.state()));
        stage
    }

    /// A log of which the hub knows that it does not exist yet.
    pub fn without_a_task(script: &Script) -> Arc<Self> {
        let log = Arc::new(Log::new(script.task.clone()));
        let generation = log.begin_load();
        assert_eq!(log.loaded(generation, None), Need::Nothing);
        Arc::new(Self { script: script.clone(), log, committed: Mutex::new(0), floor: Mutex::new(1) })
    }

    /// The hub finds the log as it stands in the store, after it was trimmed up to here.
    pub fn found_trimmed_to(&self, floor: u64) {
        *self.floor.lock() = floor;
        self.log.replace(Some(self.state()));
    }

    fn state(&self) -> LogState {
        let head = Offset::new(*self.committed.lock()).expect("small");
        LogState { epoch: self.script.epoch, head, floor: Offset::new(*self.floor.lock()).expect("small") }
    }

    /// `Store::append`: gives the offset.
    pub fn append(&self) -> u64 {
        let mut committed = self.committed.lock();
        *committed += 1;
        *committed
    }

    /// `Hub::apply`, and what `Hub::resync` has done about a gap.
    pub fn apply(&self, offset: u64) {
        let frame = self.script.frames[index(offset)].clone();
        if self.log.apply(frame, &self.script.options) == Need::Activities {
            self.fill_gap();
        }
    }

    /// `Hub::observe`, as the sweep does.
    pub fn sweep(&self) {
        let seen = self.state();
        if self.log.observe(Some(seen), &self.script.options) == Need::Activities {
            self.fill_gap();
        }
    }

    /// `resync::fill_gap`.
    fn fill_gap(&self) {
        while let Some(gap) = self.log.gap() {
            let batches = self.read(gap.after).batches;
            if batches.is_empty() {
                self.log.deny(gap);
            }
            for batch in batches {
                self.log.apply(batch, &self.script.options);
            }
        }
    }

    /// `Hub::read`.
    fn read(&self, after: Offset) -> ColdPage {
        let state = self.state();
        let last = state.head.get().min(after.get() + self.script.options.page_activities as u64);
        let batches =
            ((after.get() + 1).max(state.floor.get())..=last).map(|offset| self.script.frames[index(offset)].clone()).collect();
        ColdPage { state: Some(state), through: Offset::new(last.max(after.get())).expect("small"), batches }
    }
}

fn index(offset: u64) -> usize {
    usize::try_from(offset - 1).expect("small")
}

/// A session's thread: its relay, and what its session has been given.
#[derive(Debug)]
pub struct Shard {
    relay: Relay,
    mailbox: Arc<Mailbox>,
    follower: Follower,
    ready: bool,
    /// The offsets that the viewer got, in order.
    pub seen: Vec<u64>,
    /// How often it read the store.
    pub reads: usize,
    /// The floors that it was told of: what came before is gone.
    pub truncated: Vec<u64>,
}

impl Shard {
    /// `Hub::follow`, for a session on a thread of its own.
    pub fn follow(stage: &Stage) -> Self {
        let mut shard = Self::new(stage);
        shard.follower.tell(&shard.relay, shard.mailbox.clone(), 0);
        shard
    }

    /// As it must not be: looks first, and has itself told of changes only then, without looking again.
    pub fn look_and_then_follow(stage: &Stage) -> Self {
        let mut shard = Self::new(stage);
        shard.pump(stage);
        shard.follower.tell(&shard.relay, shard.mailbox.clone(), 0);
        shard
    }

    fn new(stage: &Stage) -> Self {
        let start = Start { after: None, otherwise: Otherwise::Beginning };
        let interest = Interest::new(stage.log.clone());
        let metrics = Arc::new(Metrics::default());
        let follower = Follower::new(interest, start, Filter::default(), &stage.script.options, &metrics);
        let (relay, mailbox) = (Relay::default(), Arc::new(Mailbox::default()));
        Self { relay, mailbox, follower, ready: true, seen: Vec::new(), reads: 0, truncated: Vec::new() }
    }

    /// Runs the thread until the viewer has got everything up to `last`. If nobody wakes it for that, loom says so.
    pub fn run(&mut self, stage: &Stage, last: u64) {
        let relay = self.relay.clone();
        let mut passing = pin!(relay.run());
        let mut mail = Mail::default();
        loom::future::block_on(std::future::poll_fn(|context| {
            // The session first: what the relay notes must wake it.
            self.hear(&mut mail, context);
            self.pump(stage);
            if self.seen.last() == Some(&last) {
                return Poll::Ready(());
            }
            let _: Poll<()> = passing.as_mut().poll(context);
            Poll::Pending
        }));
    }

    /// Lets the thread do what it has been told to do, and no more.
    pub fn catch_up(&mut self, stage: &Stage) {
        let (relay, mut mail) = (self.relay.clone(), Mail::default());
        let mut context = Context::from_waker(Waker::noop());
        let _: Poll<()> = pin!(relay.run()).poll(&mut context);
        self.hear(&mut mail, &context);
        self.pump(stage);
    }

    /// `Session::hear`.
    fn hear(&mut self, mail: &mut Mail, context: &Context<'_>) {
        self.mailbox.empty(mail, context);
        self.ready |= mail.changed.drain(..).count() != 0;
    }

    /// `Session::pump`.
    fn pump(&mut self, stage: &Stage) {
        while self.ready {
            match self.follower.next(1 << 20) {
                Step::Frames(batch) => {
                    self.seen.extend(batch.frames().iter().map(|frame| frame.offset.get()));
                    self.ready = !self.follower.rests();
                }
                Step::Read(ReadAfter { after, .. }) => {
                    self.reads += 1;
                    self.follower.supply(stage.read(after));
                }
                Step::Asleep => self.ready = false,
                Step::Truncated { floor } => self.truncated.push(floor.get()),
                Step::Begun { .. } | Step::Live(_) => {}
                step => panic!("nothing else can come: {step:?}"),
            }
        }
    }
}
