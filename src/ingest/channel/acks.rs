//! What agents hear back: which of their activities are stored, and which are refused and why. In order, after the commit.

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;
use serde::Serialize;
use tokio::sync::{mpsc, oneshot};
use tokio_util::task::TaskTracker;

use crate::{
    broker::RedisBroker,
    cluster::{CONTROL_TASKS, Control, NodeId, Took},
    ingest::{Redaction, Rejected},
    model::{EventId, InvocationId, NewActivity, Reject, TaskId, Timestamp},
    store::{Receipt, Refusal, Store},
    trail::Trail,
    writer::Results,
};

/// The most commits that wait for their acks.
const PENDING: usize = 65_536;

/// The most submissions whose acks go out together.
const TOGETHER: usize = 512;

/// The most events that one ack names: some 40 KiB. Who listens on a slow connection is cut off by Redis when it is 32 MiB behind.
const ACK_EVENTS: usize = 1_000;

/// The most rejections that wait to be kept; more are counted and answered, but not kept.
const REJECTS: usize = 1_024;

/// The run of each activity of a submission, its `eventId` where it was given, and who sealed it where somebody did.
pub(super) type Events = Vec<(InvocationId, Option<EventId>, Option<Arc<str>>)>;

/// What is to be said once everything before is stored.
#[derive(Debug)]
pub(super) enum Pending {
    /// Acks.
    Commit { task: TaskId, events: Events, results: oneshot::Receiver<Results> },
    /// That this node has let go of a task.
    Release(TaskId, NodeId, Took),
    /// That all of it is, to whoever waits for that in this process.
    Stored(oneshot::Sender<()>),
}

/// What an ack needs to know of these.
pub(super) fn events_of(activities: &[NewActivity]) -> Events {
    let event = |new: &NewActivity| new.event_id_given.then_some(new.activity.event_id);
    activities.iter().map(|new| (new.activity.invocation.clone(), event(new), new.sealed_by.clone())).collect()
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Ack<'a> {
    invocation_id: &'a InvocationId,
    event_ids: &'a [EventId],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Refused<'a> {
    event_id: Option<EventId>,
    #[serde(flatten)]
    rejected: &'a Rejected,
}

/// Who sealed each of those that were not in the store before.
fn newly_stored<'a>(events: &'a Events, results: &'a Results) -> impl Iterator<Item = Option<&'a Arc<str>>> {
    let stored = |result: &Result<Receipt, Refusal>| result.as_ref().is_ok_and(|receipt| !receipt.duplicate);
    events.iter().zip(results).filter(move |(_, result)| stored(result)).map(|((_, _, by), _)| by.as_ref())
}

/// Starts the acker.
pub(super) fn start(
    redis: Arc<RedisBroker>,
    rejections: Rejections,
    trail: Arc<Trail>,
    tracker: &TaskTracker,
) -> mpsc::Sender<Pending> {
    let (sender, waiting) = mpsc::channel(PENDING);
    tracker.spawn(answer_all(redis, waiting, rejections, trail));
    sender
}

async fn answer_all(redis: Arc<RedisBroker>, mut waiting: mpsc::Receiver<Pending>, rejections: Rejections, trail: Arc<Trail>) {
    let mut together: Vec<Pending> = Vec::new();
    while waiting.recv_many(&mut together, TOGETHER).await != 0 {
        let mut acks: BTreeMap<(TaskId, InvocationId), Vec<EventId>> = BTreeMap::new();
        let mut releases: BTreeMap<(NodeId, bool), Vec<TaskId>> = BTreeMap::new();
        for pending in together.drain(..) {
            match pending {
                Pending::Commit { task, events, mut results } => {
                    let results = match results.try_recv() {
                        Ok(results) => results,
                        Err(_) => {
                            // What is known goes out before this one is waited for.
                            send_acks(&redis, &mut acks);
                            send_releases(&redis, &mut releases);
                            let Ok(results) = results.await else { continue };
                            results
                        }
                    };
                    trail.heard(&task, newly_stored(&events, &results));
                    for ((invocation, event, _), result) in events.into_iter().zip(results) {
                        match (result, event) {
                            (Ok(_), Some(event)) => acks.entry((task.clone(), invocation)).or_default().push(event),
                            (Ok(_), None) => {}
                            (Err(refusal), event) => {
                                let rejected = crate::ingest::refused_by_store(&refusal);
                                rejections.say(&task, vec![(event, rejected, Bytes::new())]);
                            }
                        }
                    }
                }
                Pending::Release(task, to, took) => {
                    releases.entry((to, took == Took::Perhaps)).or_default().push(task);
                }
                // Whoever waits may have lost patience.
                Pending::Stored(reply) => drop(reply.send(())),
            }
        }
        send_acks(&redis, &mut acks);
        send_releases(&redis, &mut releases);
    }
}

fn send_releases(redis: &RedisBroker, releases: &mut BTreeMap<(NodeId, bool), Vec<TaskId>>) {
    for ((to, took), tasks) in std::mem::take(releases) {
        for tasks in tasks.chunks(CONTROL_TASKS).map(<[_]>::to_vec) {
            let message = Control::Released { from: redis.node.clone(), took, tasks };
            redis.letters.send(redis.names.node(&to), message.encode());
        }
    }
}

fn send_acks(redis: &RedisBroker, acks: &mut BTreeMap<(TaskId, InvocationId), Vec<EventId>>) {
    for ((task, invocation_id), event_ids) in std::mem::take(acks) {
        for event_ids in event_ids.chunks(ACK_EVENTS) {
            let text = serde_json::to_vec(&Ack { invocation_id: &invocation_id, event_ids }).expect("an ack is JSON");
            redis.letters.send(redis.names.ack(&task), text.into());
        }
    }
}

/// Answers what was refused, and has it kept for people to see.
#[derive(Debug, Clone)]
pub(super) struct Rejections {
    redis: Arc<RedisBroker>,
    redaction: Arc<Redaction>,
    keep: mpsc::Sender<Reject>,
}

impl Rejections {
    pub(super) fn start(redis: Arc<RedisBroker>, store: Store, redaction: Arc<Redaction>, tracker: &TaskTracker) -> Self {
        let (keep, mut waiting) = mpsc::channel(REJECTS);
        tracker.spawn(async move {
            let mut some: Vec<Reject> = Vec::new();
            while waiting.recv_many(&mut some, REJECTS).await != 0 {
                if let Err(error) = store.keep_rejects(&some).await {
                    tracing::debug!(%error, rejects = some.len(), "rejections could not be kept");
                }
                some.clear();
            }
        });
        Self { redis, redaction, keep }
    }

    /// Says what was refused of a task's activities and why. `texts` are what was sent, of which only the shape is kept.
    pub(super) fn say(&self, task: &TaskId, refused: Vec<(Option<EventId>, Rejected, Bytes)>) {
        if refused.is_empty() {
            return;
        }
        let list: Vec<_> = refused.iter().map(|(event_id, rejected, _)| Refused { event_id: *event_id, rejected }).collect();
        let text = serde_json::json!({"rejected": list}).to_string();
        self.redis.letters.send(self.redis.names.ack(task), text.into());
        for (event_id, rejected, text) in refused {
            let reject = Reject {
                task: task.clone(),
                at: Timestamp::now(),
                code: rejected.code.to_owned(),
                field: rejected.field,
                message: rejected.message,
                event_id,
                bytes: text.len() as u64,
                excerpt: crate::ingest::shape_of(&text, &self.redaction),
            };
            // With no room they are counted and answered all the same.
            let _ = self.keep.try_send(reject);
        }
    }
}
