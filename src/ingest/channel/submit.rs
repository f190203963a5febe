//! From the keeper to the writer, in order: a queue bounded in bytes, and one task that waits for the writer's room.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio_util::task::TaskTracker;

use super::acks::{self, Pending, Rejections};
use crate::{
    broker::RedisBroker,
    cluster::{Lease, NodeId, Term, Took},
    metrics::ChannelMetrics,
    model::{NewActivity, TaskId},
    trail::Trail,
    writer::Writer,
};

/// The most pieces of work that wait, whatever their size.
const QUEUE_WORK: usize = 65_536;

/// What the keeper leaves to be done.
#[derive(Debug)]
enum Work {
    Append(TaskId, Vec<NewActivity>, Option<Term>, OwnedSemaphorePermit),
    Release(TaskId, NodeId, Took),
    Stored(oneshot::Sender<()>),
}

/// The keeper's end of the queue.
#[derive(Debug)]
pub(super) struct Queue {
    work: mpsc::Sender<Work>,
    room: Arc<Semaphore>,
    bytes: usize,
    metrics: ChannelMetrics,
}

impl Queue {
    /// Leaves activities to be appended; those without an `eventId` are dropped if the membership has ended by `lease` when their turn comes. Says how many
    /// there was no room for.
    pub(super) fn append(&self, task: &TaskId, mut activities: Vec<NewActivity>, lease: &Lease) -> usize {
        let mut lost = 0;
        // In runs, so that what may be dropped goes by itself and the order stays.
        while let Some(first) = activities.first() {
            let given = first.event_id_given;
            let length = activities.iter().take_while(|activity| activity.event_id_given == given).count();
            let rest = activities.split_off(length);
            let run = std::mem::replace(&mut activities, rest);
            let weight: usize = run.iter().map(NewActivity::weight).sum();
            let weight = u32::try_from(weight.min(self.bytes)).unwrap_or(u32::MAX);
            let lease = (!given).then(|| lease.term());
            let taken = self
                .room
                .clone()
                .try_acquire_many_owned(weight)
                .ok()
                .is_some_and(|room| self.work.try_send(Work::Append(task.clone(), run, lease, room)).is_ok());
            if !taken {
                lost += length;
            }
        }
        lost
    }

    /// Leaves it to be said that everything appended before is stored. Says whether there was room.
    pub(super) fn release(&self, task: &TaskId, to: &NodeId, took: Took) -> bool {
        self.work.try_send(Work::Release(task.clone(), to.clone(), took)).is_ok()
    }

    /// Until everything that was left before is stored, or never will be.
    pub(super) fn stored(&self) -> impl Future<Output = ()> + use<> {
        let work = self.work.clone();
        async move {
            let (reply, stored) = oneshot::channel();
            // An error means that nothing is stored any more.
            let _ = work.send(Work::Stored(reply)).await;
            drop(work);
            let _ = stored.await;
        }
    }

    /// How full it is, from 0 to 1.
    pub(super) fn pressure(&self) -> f64 {
        let used = self.bytes - self.room.available_permits().min(self.bytes);
        self.metrics.queue_bytes.set(i64::try_from(used).unwrap_or(i64::MAX));
        let by_count = 1.0 - ratio(self.work.capacity(), QUEUE_WORK);
        ratio(used, self.bytes).max(by_count)
    }
}

fn ratio(part: usize, whole: usize) -> f64 {
    let float = |value: usize| u32::try_from(value).map_or(f64::from(u32::MAX), f64::from);
    float(part) / float(whole.max(1))
}

/// Starts the submitter and the acker. They end when the keeper has, and everything is stored and confirmed.
pub(super) fn start(
    redis: Arc<RedisBroker>,
    rejections: Rejections,
    writer: Writer,
    trail: Arc<Trail>,
    bytes: usize,
    metrics: ChannelMetrics,
    tracker: &TaskTracker,
) -> Queue {
    let (work, waiting) = mpsc::channel(QUEUE_WORK);
    let pending = acks::start(redis, rejections, trail, tracker);
    tracker.spawn(submit_all(waiting, writer, pending));
    Queue { work, room: Arc::new(Semaphore::new(bytes)), bytes, metrics }
}

async fn submit_all(mut waiting: mpsc::Receiver<Work>, writer: Writer, pending: mpsc::Sender<Pending>) {
    let mut lost = 0;
    while let Some(work) = waiting.recv().await {
        let next = match work {
            // Not everything before is stored.
            Work::Release(..) if lost != 0 => continue,
            Work::Release(task, to, took) => Pending::Release(task, to, took),
            Work::Stored(reply) => Pending::Stored(reply),
            Work::Append(task, activities, lease, _room) => {
                let (events, count) = (acks::events_of(&activities), activities.len());
                match writer.submit(task.clone(), activities, lease).await {
                    Ok(results) => Pending::Commit { task, events, results },
                    // The node is ending; whoever waits for an ack sends it again, to another.
                    Err(_) => {
                        lost += count;
                        continue;
                    }
                }
            }
        };
        if pending.send(next).await.is_err() {
            break;
        }
    }
    if lost != 0 {
        tracing::error!(activities = lost, "this node ended before what it had heard over Redis was stored");
    }
}
