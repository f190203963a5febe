//! Hints from other nodes: committed frames for tasks that are watched here, and which tasks' summaries changed.
//!
//! Whatever may have been missed, because a link was away, a queue was full or a subscription was not there yet, is found by comparing heads with
//! the store at once.

use std::{collections::VecDeque, time::Duration};

use tokio::{sync::mpsc, time::timeout};

use super::{Hub, resync};
use crate::{
    broker::{Broker, Channel, Hint, LinkEvent, LinkReader},
    model::{Epoch, FrameBatch, Offset, TaskId, TraceContext},
    telemetry::SpanKind,
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
    let mut origins = Origins::default();
    // The reader does not end by itself: it holds the link's queue open.
    while let Some(event) = stop.run_until_cancelled(reader.next()).await.flatten() {
        match event {
            LinkEvent::Message { channel, payload } => match redis.names.read(&channel) {
                Some(Channel::Feed(task)) => match hub.inner.broker.read_hint(payload) {
                    Some(Hint::Frames(batch)) => {
                        hub.inner.metrics.feed_lag_seconds.observe(batch.received_at().elapsed().as_secs_f64());
                        let span = origins.take(&task, &batch);
                        let span = hub.inner.metrics.tracer.within(span, "feed apply", SpanKind::Consumer);
                        let batch = if let Some(mut span) = span {
                            span.note("task.id", task.as_str().to_owned());
                            batch.traced(span.context())
                        } else {
                            batch
                        };
                        hub.apply(&task, vec![batch]);
                    }
                    Some(Hint::Origin(epoch, first, trace)) => origins.put((task, epoch, first), trace),
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

/// How many places in traces wait for the frames that follow from them; they come next, so that there are few.
const ORIGINS: usize = 64;

/// What frames that are about to come follow from.
#[derive(Debug, Default)]
struct Origins {
    waiting: VecDeque<((TaskId, Epoch, Offset), TraceContext)>,
}

impl Origins {
    fn put(&mut self, at: (TaskId, Epoch, Offset), trace: TraceContext) {
        if self.waiting.len() == ORIGINS {
            self.waiting.pop_front();
        }
        self.waiting.push_back((at, trace));
    }

    /// What `batch` follows from, if that was said. Nearly always nothing waits.
    fn take(&mut self, task: &TaskId, batch: &FrameBatch) -> Option<TraceContext> {
        let is_its = |((of, epoch, first), _): &(_, _)| (of, *epoch, *first) == (task, batch.epoch, batch.first());
        let index = self.waiting.iter().position(is_its)?;
        self.waiting.remove(index).map(|(_, trace)| trace)
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
