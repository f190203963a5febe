//! What the node that has the lease does: hands out what happened to the endpoints that want it, looks for runs that do not get on, keeps queues within their bound,
//! and lets each endpoint's worker send.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use prometheus_client::registry::Registry;
use tokio::{sync::watch, time::Instant};
use tokio_util::{
    sync::{CancellationToken, DropGuard},
    task::TaskTracker,
};

use super::{
    Sender, WANTED_FOR, WebhookOptions, event,
    metrics::{Dropped, WebhookMetrics},
    worker::{Trouble, Worker},
};
use crate::{
    jobs::{Held, Job, Lease},
    model::{Became, Cursor, Status, Timestamp, Transition},
    store::{LeaseName, NewDelivery, OpenRun, Stall, Store, StoreError, Untold},
};

/// How many moves are handed out at once, and how many times in one round.
const PAGE_MOVES: usize = 500;
const PAGES_PER_ROUND: usize = 20;

/// How many runs are looked at at once for whether they get on, and how many times in one look. The next look goes on where this one ended.
const PAGE_RUNS: usize = 1_000;
const PAGES_PER_LOOK: usize = 20;

/// How often the wish for moves to be noted is renewed, and what nobody wants is looked for.
const HOUSEKEEPING: Duration = Duration::from_secs(600);

/// How often the queues are counted when nothing was handed out.
const COUNTING: Duration = Duration::from_secs(2);

/// The job's state between rounds.
pub(crate) struct Webhooks {
    store: Store,
    options: Arc<WebhookOptions>,
    sender: Sender,
    metrics: WebhookMetrics,
    tracker: TaskTracker,
    /// While this node has the lease.
    turn: Option<Turn>,
}

/// What goes with having the lease.
struct Turn {
    /// Told when something was handed out.
    news: watch::Sender<()>,
    /// Ends the workers.
    _workers: DropGuard,
    /// Since when somebody wants to hear of runs that do not get on.
    since: Timestamp,
    /// When what is done now and then is due.
    housekeeping: Instant,
    counting: Instant,
    look: Instant,
    /// The last run that was looked at.
    looked_at: i64,
}

impl Webhooks {
    /// Wishes for moves to be noted from now on, so that nothing that is taken from now on is missed. Workers will be on `tracker`.
    pub(crate) async fn prepare(
        options: WebhookOptions,
        store: &Store,
        tracker: &TaskTracker,
        registry: &mut Registry,
    ) -> anyhow::Result<Self> {
        let sender = Sender::new(options.requests.clone())?;
        let metrics = WebhookMetrics::register(registry, options.endpoints.iter().map(|endpoint| endpoint.name.as_str()));
        store.wish_for_transitions(WANTED_FOR).await?;
        Ok(Self { store: store.clone(), options: Arc::new(options), sender, metrics, tracker: tracker.clone(), turn: None })
    }

    /// Wishes, and starts the workers.
    async fn begin(&self) -> Result<Turn, StoreError> {
        let since = self.store.wish_for_transitions(WANTED_FOR).await?;
        let (news, stop) = (watch::Sender::new(()), CancellationToken::new());
        for index in 0..self.options.endpoints.len() {
            let worker = Worker {
                store: self.store.clone(),
                sender: self.sender.clone(),
                options: self.options.clone(),
                index,
                metrics: self.metrics.clone(),
                trouble: Trouble::default(),
            };
            self.tracker.spawn(worker.run(news.subscribe(), stop.clone()));
        }
        let now = Instant::now();
        let (housekeeping, counting, look) = (now + HOUSEKEEPING, now, now);
        Ok(Turn { news, _workers: stop.drop_guard(), since, housekeeping, counting, look, looked_at: 0 })
    }

    /// Hands out a page of moves; says whether there may be more.
    async fn hand_out(&self, held: &Held) -> Result<bool, StoreError> {
        let mut untold = self.store.untold(PAGE_MOVES).await?;
        if untold.is_empty() {
            return Ok(false);
        }
        for stalled in untold.iter_mut().filter(|untold| untold.transition.became == Became::Stalled) {
            self.describe(&mut stalled.transition).await?;
        }
        let now = Timestamp::now();
        let keys: Vec<i64> = untold.iter().map(|untold| untold.key).collect();
        let deliveries: Vec<_> = untold.iter().flat_map(|untold| self.deliveries_of(untold, now)).collect();
        let held = self.store.hand_out(held.fence(), &keys, &deliveries).await?;
        if held
            && let Some(turn) = &self.turn
            && !deliveries.is_empty()
        {
            turn.news.send_replace(());
        }
        Ok(held && untold.len() == PAGE_MOVES)
    }

    /// What a run that does not get on is called: who looks for them does not read that.
    async fn describe(&self, transition: &mut Transition) -> Result<(), StoreError> {
        if let Some(run) = self.store.invocation(&transition.task, &transition.invocation).await? {
            (transition.agent, transition.title) = (run.agent, run.title);
        }
        Ok(())
    }

    /// One for each endpoint that wants it.
    fn deliveries_of(&self, untold: &Untold, now: Timestamp) -> Vec<NewDelivery> {
        let transition = &untold.transition;
        let wanting = self.options.endpoints.iter().filter(|endpoint| {
            endpoint.on.contains(&transition.became) && endpoint.tasks.iter().any(|pattern| pattern.matches(&transition.task))
        });
        let mut body = None;
        let delivery = |endpoint: &super::Endpoint| NewDelivery {
            endpoint: endpoint.name.clone(),
            event: transition.event_id().to_string(),
            run: format!("{} {}", transition.task, transition.invocation),
            at: now,
            body: body.get_or_insert_with(|| event::body(untold, self.options.page_url.as_deref())).clone(),
        };
        wanting.map(delivery).collect()
    }

    /// Looks at all runs that have not ended, in pages. Nothing to do if nobody wants to hear of those that do not get on.
    async fn look_for_stalls(&mut self, lease: &mut Lease) -> Result<(), StoreError> {
        if !self.options.endpoints.iter().any(|endpoint| endpoint.on.contains(&Became::Stalled)) {
            return Ok(());
        }
        for _ in 0..PAGES_PER_LOOK {
            let (Some(held), Some(turn)) = (lease.hold().await, &mut self.turn) else { return Ok(()) };
            let runs = self.store.open_runs(turn.looked_at, PAGE_RUNS).await?;
            let now = held.now();
            let stalls: Vec<Stall> =
                runs.iter().filter_map(|run| stall(run, &self.options.stalled_after, turn.since, now)).collect();
            if !stalls.is_empty() && !self.store.note_stalls(held.fence(), &stalls).await? {
                return Ok(());
            }
            turn.looked_at = runs.last().map_or(0, |run| run.key);
            if runs.len() < PAGE_RUNS {
                turn.looked_at = 0;
                return self.store.forget_told_stalls().await;
            }
        }
        Ok(())
    }

    /// Counts what waits, and lets go of the oldest beyond what may.
    async fn bound_queues(&self) -> Result<(), StoreError> {
        let now = Timestamp::now();
        let mut queues: BTreeMap<_, _> =
            self.store.delivery_queues().await?.into_iter().map(|queue| (queue.endpoint.clone(), queue)).collect();
        for endpoint in &self.options.endpoints {
            let name = &endpoint.name;
            let Some(queue) = queues.remove(name) else {
                self.metrics.set_queue(name, 0, 0);
                continue;
            };
            let mut waiting = queue.waiting;
            if (self.options.queue as u64) < waiting {
                let dropped = self.store.drop_oldest_deliveries(name, self.options.queue).await?;
                waiting = waiting.saturating_sub(dropped);
                self.metrics.count_dropped(name, Dropped::Full, dropped);
                tracing::warn!(
                    webhook = name,
                    dropped,
                    "more events wait for the webhook than webhooks.queue allows: the oldest were let go of"
                );
            }
            let age = queue.oldest.map_or(0, |oldest| now.as_millis().saturating_sub(oldest.as_millis()) / 1_000);
            self.metrics.set_queue(name, waiting, age);
        }
        Ok(())
    }

    /// Keeps the wish alive, and lets go of what waits for endpoints that are configured no longer.
    async fn keep_house(&self) -> Result<(), StoreError> {
        self.store.wish_for_transitions(WANTED_FOR).await?;
        let names: Vec<String> = self.options.endpoints.iter().map(|endpoint| endpoint.name.clone()).collect();
        let before = Timestamp::now().minus(self.options.give_up_after);
        let dropped = self.store.drop_deliveries_of_others(&names, before).await?;
        if dropped != 0 {
            tracing::info!(dropped, "events for webhooks that are configured no longer were let go of");
        }
        Ok(())
    }

    async fn turn(&mut self, lease: &mut Lease) -> Result<(), StoreError> {
        if self.turn.is_none() {
            self.turn = Some(self.begin().await?);
        }
        let mut handed_out = false;
        for _ in 0..PAGES_PER_ROUND {
            let Some(held) = lease.hold().await else { return Ok(()) };
            let more = self.hand_out(&held).await?;
            handed_out |= more;
            if !more {
                break;
            }
        }
        let now = Instant::now();
        let Some(turn) = &mut self.turn else { return Ok(()) };
        let due = |at: &mut Instant, every: Duration| {
            let due = *at <= now;
            if due {
                *at = now + every;
            }
            due
        };
        let (count, look) = (due(&mut turn.counting, COUNTING), due(&mut turn.look, self.options.stall_interval));
        let house = due(&mut turn.housekeeping, HOUSEKEEPING);
        if count || handed_out {
            self.bound_queues().await?;
        }
        if look {
            self.look_for_stalls(lease).await?;
        }
        if house {
            self.keep_house().await?;
        }
        Ok(())
    }
}

impl Job for Webhooks {
    const LEASE: LeaseName = LeaseName::Webhooks;

    async fn round(&mut self, lease: &mut Lease) {
        if let Err(error) = self.turn(lease).await {
            tracing::warn!(%error, "webhooks could not be handed out; trying again");
        }
    }

    fn stand_down(&mut self) {
        self.turn = None;
        self.options.endpoints.iter().for_each(|endpoint| self.metrics.set_queue(&endpoint.name, 0, 0));
    }
}

/// What is told of a run if it does not get on, and did when it was first wished to hear of that.
fn stall(run: &OpenRun, after: &crate::model::StalledAfter, since: Timestamp, now: Timestamp) -> Option<Stall> {
    let evidence = run.evidence();
    let (reason, _) = evidence.judge(after, now)?;
    let at = evidence.stalled_from(after).filter(|at| since <= *at)?;
    let transition = Transition {
        task: run.task.clone(),
        invocation: run.invocation.clone(),
        became: Became::Stalled,
        previous: Some(Status::Running),
        cursor: Cursor { epoch: run.epoch, offset: run.heard.newest.unwrap_or_default() },
        at,
        task_status: Some(Status::Running),
        agent: None,
        title: None,
        exit_code: None,
        reason: Some(reason.describe().to_owned()),
        stalled: Some(reason),
    };
    Some(Stall { run: run.key, transition })
}
