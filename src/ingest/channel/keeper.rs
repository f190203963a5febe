//! The keeper: hears agents, nodes and Redis in order, asks [`Ownership`] what follows from it, and has it done. It never waits.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use serde::Deserialize;
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::{MissedTickBehavior, interval},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{ChannelOptions, acks::Rejections, beat::BeatHandle, submit::Queue};
use crate::{
    broker::{Channel, LinkEvent, LinkReader, RedisBroker},
    cluster::{CONTROL_TASKS, Control, Mark, Members, Ownership, Standing, Took},
    ingest::{Body, BodyError, Envelopes, IngestLimits, Item, Redaction, Rejected, Unopened, event_id_of, events_in, read_body},
    metrics::Metrics,
    model::{EventId, NewActivity, TaskId, Timestamp},
    store::Store,
    writer::Writer,
};

mod errands;
mod leaving;
mod lookups;

use leaving::Leaving;

/// How often the keeper looks after what waits.
const TICK: Duration = Duration::from_millis(250);

/// A node whose queue is fuller than this withdraws from ownership, and comes back below the second mark.
const WITHDRAW_ABOVE: f64 = 0.5;
const RETURN_BELOW: f64 = 0.2;

/// What is refused of a message, item by item.
type Unparsed = Vec<(Option<EventId>, Rejected, Bytes)>;

/// What the keeper is told or asked by other tasks.
#[derive(Debug)]
pub(super) enum Question {
    /// A beat counted; these are the members.
    Members(Members),
    /// This node was no member for a while; answered when it has cleaned up.
    Lapsed(oneshot::Sender<()>),
    /// These tasks are open in the store.
    Open(Vec<TaskId>),
    /// Of `asked`, these are stored.
    Stored { task: TaskId, asked: Vec<EventId>, stored: Vec<EventId> },
    /// Nothing runs in these tasks.
    Idle(Vec<TaskId>),
    /// Hand everything over within this time; answered when that is done or was waited for long enough, and what was taken is stored.
    Leave(Duration, oneshot::Sender<()>),
}

/// What the keeper works with.
#[derive(Debug)]
pub(super) struct Tools {
    pub redis: Arc<RedisBroker>,
    pub store: Store,
    pub writer: Writer,
    pub limits: IngestLimits,
    pub redaction: Arc<Redaction>,
    pub envelopes: Arc<Envelopes>,
    pub options: ChannelOptions,
    pub metrics: Arc<Metrics>,
    pub queue: Queue,
    pub beat: BeatHandle,
    pub rejections: Rejections,
    pub tracker: TaskTracker,
}

#[derive(Debug)]
pub(super) struct Keeper {
    tools: Tools,
    ownership: Ownership,
    questions: mpsc::Sender<Question>,
    member: watch::Sender<bool>,
    withdrawn: bool,
    leaving: Option<Leaving>,
    lookups: lookups::Lookups,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Announcement {
    task_id: TaskId,
}

/// An ack or a refusal as another node sent it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Ack {
    #[serde(default)]
    event_ids: Vec<EventId>,
    #[serde(default)]
    rejected: Vec<AckRejected>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct AckRejected {
    event_id: Option<EventId>,
}

impl Keeper {
    pub(super) fn new(tools: Tools, questions: mpsc::Sender<Question>, member: watch::Sender<bool>) -> Self {
        let ownership = Ownership::new(tools.redis.node.clone(), tools.options.ownership.clone());
        let lookups = lookups::Lookups::default();
        Self { tools, ownership, questions, member, withdrawn: false, leaving: None, lookups }
    }

    pub(super) async fn run(mut self, mut reader: LinkReader, mut asked: mpsc::Receiver<Question>, stop: CancellationToken) {
        let redis = self.tools.redis.clone();
        redis.ingest.subscribe([redis.names.tasks(), redis.names.cluster(), redis.names.node(&redis.node)]);
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                Some(question) = asked.recv() => self.told(question),
                event = reader.next() => match event {
                    Some(event) => self.heard(event),
                    None => break,
                },
                _ = ticks.tick() => self.tick(),
                () = stop.cancelled() => break,
            }
            self.act();
        }
        self.tools.beat.leave.cancel();
    }

    fn told(&mut self, question: Question) {
        let now = Instant::now();
        match question {
            Question::Members(members) => {
                self.member.send_if_modified(|member| !std::mem::replace(member, true));
                self.tools.metrics.channel.member.set(1);
                self.tools.metrics.channel.members.set(i64::try_from(members.alive.len()).unwrap_or(i64::MAX));
                self.ownership.members(members, now);
                self.lookups.want_open();
            }
            Question::Lapsed(done) => {
                tracing::warn!("this node was no member of the cluster for a while; others have taken over its tasks");
                self.member.send_replace(false);
                self.tools.metrics.channel.member.set(0);
                self.tools.metrics.channel.lapses.inc();
                self.ownership.lapsed(now);
                self.act();
                self.tools.beat.lease.clean_up();
                self.tools.redis.ingest.rebuild();
                // Whoever waits may have gone with the node.
                let _ = done.send(());
            }
            Question::Open(tasks) => {
                for task in &tasks {
                    self.ownership.announced(task, now);
                }
            }
            Question::Stored { task, asked, stored } => self.ownership.answered(&task, &asked, &stored),
            Question::Idle(tasks) => {
                for some in tasks.chunks(CONTROL_TASKS) {
                    let message = Control::Forget { from: self.tools.redis.node.clone(), tasks: some.to_vec() };
                    self.tools.redis.letters.send(self.tools.redis.names.cluster(), message.encode());
                    some.iter().for_each(|task| self.ownership.forget(task));
                }
            }
            Question::Leave(within, reply) => self.leave(within, reply, now),
        }
    }

    fn heard(&mut self, event: LinkEvent) {
        let now = Instant::now();
        match event {
            LinkEvent::Message { channel, payload } => match self.tools.redis.names.read(&channel) {
                Some(Channel::Task(task)) => self.heard_in(&task, payload, now),
                Some(Channel::Ack(task)) => {
                    if let Ok(Ack { event_ids, rejected }) = serde_json::from_slice(&payload) {
                        self.ownership.settled(&task, &event_ids);
                        let refused: Vec<_> = rejected.iter().filter_map(|rejected| rejected.event_id).collect();
                        self.ownership.settled(&task, &refused);
                    }
                }
                Some(Channel::Tasks) => match serde_json::from_slice::<Announcement>(&payload) {
                    Ok(announcement) => {
                        self.ownership.announced(&announcement.task_id, now);
                    }
                    Err(_) => self.tools.metrics.reject("invalid_announcement"),
                },
                Some(Channel::Cluster | Channel::Node) => {
                    if let Some(message) = Control::decode(&payload) {
                        self.spoken_to(message, now);
                    }
                }
                Some(Channel::Feed(_) | Channel::Changed) | None => {}
            },
            LinkEvent::Subscribed(channel) => {
                if let Some(Channel::Task(task)) = self.tools.redis.names.read(&channel) {
                    self.ownership.subscribed(&task, now);
                }
            }
            LinkEvent::Live { .. } => self.lookups.want_open_again(),
            LinkEvent::Overflowed => {
                tracing::warn!("activities came over Redis faster than they could be read; some were dropped");
            }
            LinkEvent::Down { .. } => {}
        }
        self.stand();
    }

    fn spoken_to(&mut self, message: Control, now: Instant) {
        let me = &self.tools.redis.node;
        tracing::trace!(?message);
        match message {
            Control::Members { from } if from != *me => self.tools.beat.soon.send_modify(|times| *times += 1),
            Control::Ready { from, marked, tasks } => {
                tasks.iter().for_each(|task| self.ownership.ready(task, &from, marked, now));
            }
            Control::Tell { tasks, .. } => tasks.iter().for_each(|task| self.ownership.told(task, now)),
            Control::Holding { from, tasks } => {
                tasks.iter().for_each(|(task, millis)| self.ownership.holding(task, &from, Duration::from_millis(*millis), now))
            }
            Control::Flush { from, tasks } => tasks.iter().for_each(|(task, early)| self.ownership.flush(task, &from, *early)),
            Control::Released { from, took, tasks } => {
                let took = if took { Took::Perhaps } else { Took::Nothing };
                tasks.iter().for_each(|task| self.ownership.released(task, &from, took, now));
            }
            Control::Forget { from, tasks } if from != *me => tasks.iter().for_each(|task| self.ownership.forget(task)),
            Control::Members { .. } | Control::Forget { .. } => {}
        }
    }

    /// A message on a task's channel: activities of an agent, or the mark of a node.
    fn heard_in(&mut self, task: &TaskId, payload: Bytes, now: Instant) {
        if let Some(mark) = Mark::decode(&payload) {
            tracing::trace!(task.id = %task, ?mark);
            self.ownership.marked(task, &mark, now);
            return;
        }
        let metrics = self.tools.metrics.clone();
        metrics.channel.messages.inc();
        metrics.channel.bytes.inc_by(payload.len() as u64);
        let answers = self.ownership.answers_for(task);
        let mut refused = Vec::new();
        match self.parse(task, &payload) {
            Ok((body, by)) => {
                let mut activities = Vec::with_capacity(body.items.len());
                for (item, text) in body.items.into_iter().zip(body.texts) {
                    match item {
                        Ok(Item::Activity(activity)) => activities.push(NewActivity { sealed_by: by.clone(), ..*activity }),
                        Ok(Item::Heartbeat(invocation)) if answers => {
                            self.tools.writer.heartbeat(task.clone(), invocation, Timestamp::now());
                        }
                        Ok(Item::Heartbeat(_)) => {}
                        Err(rejected) => refused.push((event_id_of(&text), rejected, text)),
                    }
                }
                if answers {
                    metrics.replaced_characters.inc_by(body.replaced as u64);
                }
                if !activities.is_empty() {
                    self.ownership.heard(task, activities, now);
                }
            }
            Err(all) => refused = all,
        }
        if answers {
            for (_, rejected, _) in &refused {
                metrics.reject(rejected.code);
            }
            self.tools.rejections.say(task, refused);
        }
    }

    /// The activities of a message and whoever sealed it, or what is to be said of it.
    fn parse(&self, task: &TaskId, payload: &Bytes) -> Result<(Body, Option<Arc<str>>), Unparsed> {
        let Tools { limits, redaction, envelopes, redis, .. } = &self.tools;
        let whole = |error: &BodyError, text| vec![(None, Rejected::new(error.code(), None, error.to_string()), text)];
        if limits.request_bytes < payload.len() {
            return Err(whole(&BodyError::TooLarge(limits.request_bytes), payload.clone()));
        }
        let now = Timestamp::now();
        let opened = envelopes.open(task, &redis.names.task(task), payload, now).map_err(|Unopened { rejected, body }| {
            let events = events_in(&body, limits.request_activities).into_iter();
            let mut refused: Vec<_> = events.map(|(event, text)| (Some(event), rejected.clone(), text)).collect();
            if refused.is_empty() {
                refused.push((None, rejected, body));
            }
            refused
        })?;
        let body = read_body(&opened.body, task, now, limits, redaction);
        let mut body = body.map_err(|error| whole(&error, opened.body.clone()))?;
        opened.check(&mut body);
        Ok((body, opened.by))
    }

    fn tick(&mut self) {
        let now = Instant::now();
        self.ownership.tick(now);
        self.stand();
        self.lookups.start(&self.tools, &self.ownership, &self.questions);
        let metrics = &self.tools.metrics.channel;
        let gauge = |value: usize| i64::try_from(value).unwrap_or(i64::MAX);
        let [known, owned, others] = self.ownership.counts();
        metrics.known_tasks.set(gauge(known));
        metrics.owned_tasks.set(gauge(owned));
        metrics.standby_tasks.set(gauge(others));
        metrics.held_activities.set(gauge(self.ownership.held_activities()));
        self.leave_if_done(now, owned);
    }

    /// Stands as it can: able to own tasks, or not.
    fn stand(&mut self) {
        let pressure = self.tools.queue.pressure();
        let deaf = !self.tools.redis.ingest.is_live();
        let full = pressure > if self.withdrawn { RETURN_BELOW } else { WITHDRAW_ABOVE };
        if full && !std::mem::replace(&mut self.withdrawn, full) {
            tracing::warn!("the queue is half full: publishers over Redis are left to other nodes, if there are any");
            self.ownership.withdraw(Instant::now());
        }
        if self.withdrawn && !full && self.leaving.is_none() {
            // Between two beats it may have come and gone, and nobody has noticed: then no change of members says so.
            self.ownership.come_back(Instant::now());
        }
        self.withdrawn = full;
        let able = !full && !deaf && self.leaving.is_none() && !self.tools.beat.leave.is_cancelled();
        let standing = if able { Standing::Able } else { Standing::Unable };
        self.tools.beat.standing.send_if_modified(|now| std::mem::replace(now, standing) != standing);
    }

    fn act(&mut self) {
        errands::run(self.ownership.take_acts(), &self.tools);
    }
}
