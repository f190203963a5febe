//! Asking the store: where a log stands, what is missing in it, and, every few seconds, whether anything was missed.

use std::{sync::Arc, time::Duration};

use tokio::time::{MissedTickBehavior, interval, sleep};

use crate::{
    backoff::Backoff,
    model::{Filter, FrameBuilder, LogState, TaskId},
    store::{Page, ReadAfter, StoreError},
};

use super::{
    Hub,
    log::{Gap, Log, Need},
    stalls::Looks,
};

/// How often a log that needs the store asks again while it does not answer.
const RETRY: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));

/// How long a gap waits for a hint that only came late before the store is asked: batches of two nodes often change places on their way.
const REORDER: Duration = Duration::from_millis(15);

/// How many tasks one sweep query asks for.
pub(super) const SWEEP_TASKS: usize = 1_000;

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
    let mut backoff = Backoff::new(RETRY.0, RETRY.1);
    if hub.inner.broker.is_shared() {
        sleep(REORDER).await;
    }
    if log.gap().is_some() {
        hub.inner.metrics.gaps.inc();
    }
    while let Some(gap) = log.gap() {
        let options = &hub.inner.options;
        let range = ReadAfter {
            after: gap.after,
            limit: options.page_activities,
            bytes: options.page_bytes,
            window: u64::MAX,
            filter: Filter::default(),
        };
        match hub.inner.store.read_after(&log.task, &range).await {
            Ok(page) => take(&hub, &log, gap, page),
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

/// Takes what the store has in a gap.
fn take(hub: &Hub, log: &Arc<Log>, gap: Gap, page: Option<Page>) {
    let Gap { epoch, after, .. } = gap;
    match page {
        Some(page) if page.state.epoch == epoch && page.state.floor <= after.next() => {
            if page.activities.is_empty() {
                log.deny(gap);
            }
            let mut builder = FrameBuilder::new(&log.task, epoch);
            for (offset, activity) in &page.activities {
                builder.push(*offset, activity);
            }
            for batch in builder.finish() {
                // The log may have become another one while this was read: then it is for the state to be asked for.
                let need = log.apply(batch, &hub.inner.options);
                hub.resync(log, need);
            }
        }
        // Deleted, made again, or trimmed past the gap: where the log stands is no longer what was thought.
        page => log.correct(gap, page.map(|page| page.state)),
    }
}

/// Every few seconds, and whenever asked: forgets rings that nobody has watched for a while, and compares the heads of the others with
/// the store, so that a lost last hint is found too.
pub(super) async fn sweep(hub: Hub) {
    let mut ticks = interval(hub.inner.options.resync_interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut asked = hub.inner.compare.subscribe();
    let (mut cleanings, mut looks) = (Cleanings::default(), Looks::default());
    loop {
        tokio::select! {
            // Without chance, so that a simulation tells the same story each time; all three may wait.
            biased;
            () = hub.inner.stop.cancelled() => return,
            _ = ticks.tick() => {}
            Ok(()) = asked.changed() => {}
        }
        if let Err(error) = hub.inner.store.settle().await {
            tracing::debug!(%error, "whether the store was restored could not be seen; trying again");
        }
        forget_idle(&hub);
        hub.inner.pages.forget_old();
        cleanings.look(&hub).await;
        let mut tasks: Vec<TaskId> = hub.inner.logs.lock().keys().cloned().collect();
        // The same tasks in the same queries each time, and the same story in a simulation.
        tasks.sort_unstable();
        for some in tasks.chunks(SWEEP_TASKS) {
            compare_tasks(&hub, some).await;
        }
        super::list::find_missed(&hub).await;
        looks.look(&hub).await;
    }
}

/// Whether stored texts were changed in their place, and are not to be shown from memory any more.
#[derive(Debug, Default)]
struct Cleanings {
    seen: Option<u64>,
    /// A read that began before the change may have filled a ring after it was emptied: once more, then.
    again: bool,
}

impl Cleanings {
    async fn look(&mut self, hub: &Hub) {
        let now = match hub.inner.store.cleanings().await {
            Ok(now) => now,
            Err(error) => return tracing::debug!(%error, "whether texts were cleaned could not be read; trying again"),
        };
        let changed = self.seen.replace(now).is_some_and(|seen| seen != now);
        if changed || self.again {
            tracing::info!("stored texts were cleaned: what is kept of them in memory is dropped");
            hub.forget_texts();
        }
        self.again = changed;
    }
}

/// Compares the heads of these tasks with the store, in one query.
pub(super) async fn compare_tasks(hub: &Hub, tasks: &[TaskId]) {
    match hub.inner.store.log_states(tasks).await {
        Ok(states) => compare(hub, tasks, &states),
        Err(error) => tracing::debug!(%error, "heads could not be compared with the store; trying again"),
    }
}

fn forget_idle(hub: &Hub) {
    let Some(before) = std::time::Instant::now().checked_sub(hub.inner.options.linger) else { return };
    let mut forgotten = Vec::new();
    hub.inner.logs.lock().retain(|task, log| {
        let idle = log.is_idle_since(before);
        if idle {
            forgotten.push(task.clone());
        }
        !idle
    });
    for task in forgotten {
        hub.stop_listening(&task);
    }
}

fn compare(hub: &Hub, asked: &[TaskId], states: &[(TaskId, LogState)]) {
    let found: std::collections::HashMap<_, _> = states.iter().map(|(task, state)| (task, *state)).collect();
    for task in asked {
        hub.observe(task, found.get(task).copied());
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use tokio::time::timeout;
    use tokio_util::{sync::CancellationToken, task::TaskTracker};

    use super::*;
    use crate::{
        broker::Broker,
        config::Settings,
        metrics::Metrics,
        model::{Activity, ActivityType, Data, Effect, EventId, NewActivity, Offset, Timestamp},
        store::{Append, Attempt, Store, TaskChange},
    };

    /// A hub on a store with an empty task, and that task's log.
    async fn hub(folder: &Path) -> (Hub, Arc<Log>, LogState) {
        let mut settings = Settings::default();
        settings.store.url = format!("sqlite://{}", folder.join("log.db").display());
        let store = Store::open(&settings.store_options()).await.expect("it opens");
        let task: TaskId = "t".parse().expect("valid");
        store.put_task(&task, &TaskChange::default()).await.expect("it is made");
        let state = store.log_states(std::slice::from_ref(&task)).await.expect("an answer")[0].1;
        let (tracker, stop) = (TaskTracker::new(), CancellationToken::new());
        let hub = Hub::new(store, Broker::Local, None, settings.hub_options(), Metrics::new().0, tracker, stop);
        let log = Arc::new(Log::new(task));
        let generation = log.begin_load();
        log.loaded(generation, Some(state));
        (hub, log, state)
    }

    #[tokio::test]
    async fn what_was_heard_of_and_is_not_in_the_store_is_not_looked_for_for_ever() {
        let folder = tempfile::TempDir::new().expect("a folder");
        let (hub, log, state) = hub(folder.path()).await;
        assert_eq!(log.heard_of(state.epoch, Offset::MAX), Need::Activities);
        timeout(Duration::from_secs(10), fill_gap(hub, log.clone())).await.expect("it ends");
        assert_eq!(log.gap(), None);
    }

    fn message() -> Append {
        let activity = Activity {
            event_id: EventId::from_bytes([1; 16]),
            invocation: "r".parse().expect("valid"),
            kind: ActivityType::Message,
            timestamp: Timestamp::default(),
            received_at: Timestamp::default(),
            data: Data::empty(),
        };
        let activity = NewActivity { activity, event_id_given: true, effect: Effect::SignOfLife, series: None, sealed_by: None };
        Append { task: "t".parse().expect("valid"), activity }
    }

    #[tokio::test]
    async fn a_log_that_became_another_one_while_a_gap_was_read_is_asked_for_afresh() {
        let folder = tempfile::TempDir::new().expect("a folder");
        let (hub, log, state) = hub(folder.path()).await;
        hub.inner.store.append(&[message()], Attempt::First).await.expect("it is stored");
        assert_eq!(log.heard_of(state.epoch, Offset::ZERO.next()), Need::Activities);
        let gap = log.gap().expect("a gap");
        let range = ReadAfter { after: gap.after, limit: 10, bytes: usize::MAX, window: u64::MAX, filter: Filter::default() };
        let page = hub.inner.store.read_after(&log.task, &range).await.expect("an answer");
        let other = LogState { epoch: "00000002".parse().expect("an epoch"), ..state };
        log.replace(Some(other));
        let mut views = log.subscribe();
        take(&hub, &log, gap, page);
        let here = views.wait_for(|view| view.log.is_some_and(|log| log.epoch == state.epoch));
        timeout(Duration::from_secs(10), here).await.expect("the store is asked again").expect("the log is there");
    }

    #[tokio::test]
    async fn a_read_from_before_the_log_became_another_one_is_not_believed() {
        let folder = tempfile::TempDir::new().expect("a folder");
        let (_, log, state) = hub(folder.path()).await;
        assert_eq!(log.heard_of(state.epoch, Offset::MAX), Need::Activities);
        let gap = log.gap().expect("a gap");
        let other = LogState { epoch: "00000002".parse().expect("an epoch"), ..state };
        log.replace(Some(other));
        log.correct(gap, None);
        assert_eq!(log.epoch(), Some(other.epoch));
    }
}
