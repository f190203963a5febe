//! Hints from other nodes: committed frames for tasks that are watched here, and which tasks' summaries changed.
//!
//! Whatever may have been missed, because a link was away, a queue was full or a subscription was not there yet, is found by comparing heads with
//! the store at once.

use std::time::Duration;

use tokio::{sync::mpsc, time::timeout};

use super::{Hub, resync};
use crate::{
    broker::{Broker, Channel, Hint, LinkEvent, LinkReader},
    model::TaskId,
};

/// How long newly subscribed tasks are collected before their heads are compared in one query.
const COLLECT: Duration = Duration::from_millis(5);

/// The most newly subscribed tasks that wait for this; with more, all heads are compared.
const FRESH_TASKS: usize = 10_000;

/// Applies hints until the node stops.
pub(super) async fn listen(hub: Hub, mut reader: LinkReader) {
    let Broker::Redis(redis) = hub.inner.broker.clone() else { return };
    let (fresh, waiting) = mpsc::channel(FRESH_TASKS);
    hub.inner.tracker.spawn(compare_fresh(hub.clone(), waiting));
    let stop = hub.inner.stop.clone();
    // The reader does not end by itself: it holds the link's queue open.
    while let Some(event) = stop.run_until_cancelled(reader.next()).await.flatten() {
        match event {
            LinkEvent::Message { channel, payload } => match redis.names.read(&channel) {
                Some(Channel::Feed(task)) => match hub.inner.broker.read_hint(payload) {
                    Some(Hint::Frames(batch)) => {
                        hub.inner.metrics.feed_lag_seconds.observe(batch.received_at().elapsed().as_secs_f64());
                        hub.apply(&task, vec![batch]);
                    }
                    Some(Hint::Notice(epoch, head)) => hub.heard_of(&task, epoch, head),
                    None => {}
                },
                Some(Channel::Changed) => {
                    let tasks: Vec<TaskId> = serde_json::from_slice(&payload).unwrap_or_default();
                    tasks.iter().for_each(|task| hub.inner.list.mark(task));
                }
                _ => {}
            },
            LinkEvent::Subscribed(channel) => match redis.names.read(&channel) {
                Some(Channel::Feed(task)) => fresh.try_send(task).unwrap_or_else(|_| hub.compare_all()),
                Some(Channel::Changed) => hub.inner.list.start_over(),
                _ => {}
            },
            LinkEvent::Live { .. } | LinkEvent::Overflowed => {
                hub.compare_all();
                hub.inner.list.start_over();
            }
            LinkEvent::Down { .. } => {}
        }
    }
}

/// What was committed elsewhere between the first look at a log and its subscription was not heard of: looks again.
async fn compare_fresh(hub: Hub, mut waiting: mpsc::Receiver<TaskId>) {
    let mut tasks = Vec::new();
    while waiting.recv_many(&mut tasks, resync::SWEEP_TASKS).await != 0 {
        let more =
            async { while tasks.len() < resync::SWEEP_TASKS && waiting.recv_many(&mut tasks, resync::SWEEP_TASKS).await != 0 {} };
        // The end of the time for collecting is no error.
        let _ = timeout(COLLECT, more).await;
        resync::compare_tasks(&hub, &tasks).await;
        tasks.clear();
    }
}
