//! Asking the store: where a log stands, what is missing in it, and, every few seconds, whether anything was missed.

use std::{sync::Arc, time::Duration};

use tokio::time::{MissedTickBehavior, interval};

use crate::{
    backoff::Backoff,
    model::{Filter, FrameBuilder, LogState, TaskId},
    store::{ReadAfter, StoreError},
};

use super::{Hub, log::Log, log::Need};

/// How often a log that needs the store asks again while it does not answer.
const RETRY: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));

/// How many tasks one sweep query asks for.
const SWEEP_TASKS: usize = 1_000;

/// Finds out where a log stands. Goes on until it knows or the node stops.
pub(super) async fn load_state(hub: Hub, log: Arc<Log>) {
    let mut backoff = Backoff::new(RETRY.0, RETRY.1);
    loop {
        let generation = log.begin_load();
        match state_of(&hub, &log.task).await {
            Ok(state) => match log.loaded(generation, state) {
                Need::Nothing => return,
                Need::Activities => return fill_gap(hub, log).await,
                Need::State => {}
            },
            Err(error) => {
                tracing::debug!(task.id = %log.task, %error, "the log's state could not be read; trying again");
                tokio::select! {
                    () = backoff.wait() => {}
                    () = hub.inner.stop.cancelled() => return,
                }
            }
        }
    }
}

async fn state_of(hub: &Hub, task: &TaskId) -> Result<Option<LogState>, StoreError> {
    let states = hub.inner.store.log_states(std::slice::from_ref(task)).await?;
    Ok(states.into_iter().next().map(|(_, state)| state))
}

/// Fills the gap between the head and what is known to be committed. Goes on until there is none or the node stops.
pub(super) async fn fill_gap(hub: Hub, log: Arc<Log>) {
    hub.inner.metrics.gaps.inc();
    let mut backoff = Backoff::new(RETRY.0, RETRY.1);
    while let Some((epoch, after)) = log.gap() {
        let options = &hub.inner.options;
        let range = ReadAfter {
            after,
            limit: options.page_activities,
            bytes: options.page_bytes,
            window: u64::MAX,
            filter: Filter::default(),
        };
        match hub.inner.store.read_after(&log.task, &range).await {
            Ok(Some(page)) if page.state.epoch == epoch && page.state.floor <= after.next() => {
                let mut builder = FrameBuilder::new(log.task.clone(), epoch);
                for (offset, activity) in &page.activities {
                    builder.push(*offset, activity);
                }
                for batch in builder.finish() {
                    log.apply(batch, options);
                }
            }
            // Deleted, made again, or trimmed past the gap: where the log stands is no longer what was thought.
            Ok(page) => {
                log.replace(page.map(|page| page.state));
            }
            Err(error) => {
                tracing::debug!(task.id = %log.task, %error, "a gap could not be filled; trying again");
                tokio::select! {
                    () = backoff.wait() => {}
                    () = hub.inner.stop.cancelled() => return,
                }
            }
        }
    }
}

/// Every few seconds: forgets rings that nobody has watched for a while, and compares the heads of the others with the store, so that
/// a lost last hint is found too.
pub(super) async fn sweep(hub: Hub) {
    let mut ticks = interval(hub.inner.options.resync_interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = hub.inner.stop.cancelled() => return,
        }
        forget_idle(&hub);
        let tasks: Vec<TaskId> = hub.inner.logs.lock().keys().cloned().collect();
        for some in tasks.chunks(SWEEP_TASKS) {
            match hub.inner.store.log_states(some).await {
                Ok(states) => compare(&hub, some, &states),
                Err(error) => tracing::debug!(%error, "heads could not be compared with the store; trying again"),
            }
        }
    }
}

fn forget_idle(hub: &Hub) {
    let Some(before) = std::time::Instant::now().checked_sub(hub.inner.options.linger) else { return };
    hub.inner.logs.lock().retain(|_, log| !log.is_idle_since(before));
}

fn compare(hub: &Hub, asked: &[TaskId], states: &[(TaskId, LogState)]) {
    let found: std::collections::HashMap<_, _> = states.iter().map(|(task, state)| (task, *state)).collect();
    for task in asked {
        hub.observe(task, found.get(task).copied());
    }
}
