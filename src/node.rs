//! A node: everything put together, started in order and stopped in order.
//!
//! Stopping: not ready → jobs of one node at a time are given back, nothing new is taken, tasks are handed to other nodes → the writer commits what it has → sessions are told where to continue and closed spread
//! out → whatever still runs when the time is up is cut off.

mod engine;
mod front;
mod jobs;
mod reload;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use anyhow::Context;
use tokio::{
    net::TcpListener,
    sync::watch,
    time::{Instant, timeout_at},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    config::Settings,
    http::Phase,
    hub::Hub,
    ingest::Redaction,
    limits::Limits,
    metrics::Metrics,
    session::ending::{Ending, Stage},
    store::Store,
    writer::Writer,
};

use engine::{Edge, Engine};
use front::Front;
pub use reload::Reloaded;

/// What background work and the store have at least to end, even if the time for stopping is up.
const LAST_GRACE: Duration = Duration::from_millis(500);

/// A running node.
#[derive(Debug)]
pub struct Node {
    address: SocketAddr,
    admin_address: SocketAddr,
    engine: Engine,
    redaction: Arc<Redaction>,
    bounds: Arc<Limits>,
    phase: watch::Sender<Phase>,
    /// Tells sessions where to continue, and ends them.
    ending: Arc<Ending>,
    metrics: Arc<Metrics>,
    tasks: Tasks,
    stop_timeout: Duration,
}

/// What runs, and what ends it.
#[derive(Debug)]
struct Tasks {
    work: TaskTracker,
    sessions: TaskTracker,
    /// Ends listening; requests under way finish.
    closing: CancellationToken,
    /// Ends background work.
    stop: CancellationToken,
    /// Ends what one node at a time does.
    jobs_stop: CancellationToken,
    /// Ends everything.
    give_up: CancellationToken,
}

impl Tasks {
    fn new() -> Self {
        let [closing, stop, give_up] = [(); 3].map(|()| CancellationToken::new());
        let jobs_stop = stop.child_token();
        Self { work: TaskTracker::new(), sessions: TaskTracker::new(), closing, stop, jobs_stop, give_up }
    }
}

impl Node {
    /// Opens the store, starts everything and listens. The node works until [`Node::shutdown`].
    pub async fn start(settings: &Settings) -> anyhow::Result<Self> {
        let listeners = [bind("listen", settings.listen).await?, bind("admin_listen", settings.admin_listen).await?];
        let (tasks, mut edge) = (Tasks::new(), Edge::read(settings)?);
        let engine = Engine::start(settings, &mut edge, &tasks).await?;
        let (redaction, metrics) = (edge.redaction.clone(), edge.metrics.clone());
        let Front { address, admin_address, bounds, phase, ending } =
            Front::open(settings, edge, &engine, &tasks, listeners).await?;
        let stop_timeout = settings.node.stop_timeout.get();
        Ok(Self { address, admin_address, engine, redaction, bounds, phase, ending, metrics, tasks, stop_timeout })
    }

    /// Where the API is served.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where /healthz, /readyz and /metrics are served.
    pub fn admin_address(&self) -> SocketAddr {
        self.admin_address
    }

    /// The node's store.
    pub fn store(&self) -> &Store {
        &self.engine.store
    }

    /// The node's rings.
    pub fn hub(&self) -> &Hub {
        &self.engine.hub
    }

    /// The node's way into the store.
    pub fn writer(&self) -> &Writer {
        &self.engine.writer
    }

    /// Stops in order, within `node.stop_timeout`. Says whether everything ended by itself.
    pub async fn shutdown(self) -> bool {
        let Self { engine, tasks, .. } = &self;
        let deadline = Instant::now() + self.stop_timeout;
        tracing::info!("stopping: nothing new is taken");
        self.phase.send_replace(Phase::Stopping);
        tasks.jobs_stop.cancel();
        if let Some(ingest) = &engine.ingest {
            // Other nodes take over before this one lets go, within half of the time. What it had heard by then is stored while the writer
            // still takes it; a quarter is left for the rest.
            let within = self.stop_timeout / 2;
            if timeout_at(deadline - self.stop_timeout / 4, ingest.leave(within)).await.is_err() {
                tracing::warn!("tasks could not be handed over, or what was heard of them not be stored, in time");
            }
        }
        engine.writer.close();
        // What was committed while stopping reaches viewers before they are told to go.
        let flushed = timeout_at(deadline, engine.writer.closed()).await.is_ok();
        self.ending.set(Stage::Draining);
        self.phase.send_replace(Phase::Draining);
        tasks.closing.cancel();
        tasks.sessions.close();
        let drained = timeout_at(deadline, tasks.sessions.wait()).await.is_ok();
        self.ending.set(Stage::Over);
        tasks.stop.cancel();
        tasks.give_up.cancel();
        tasks.work.close();
        let last = deadline.max(Instant::now() + LAST_GRACE);
        let ended = timeout_at(last, tasks.work.wait()).await.is_ok();
        // A connection that waits for a lock cannot be hurried; the process ends without it.
        let closed = timeout_at(last, engine.store.close()).await.is_ok();
        // Last, because a collector that hangs may take all the time there is.
        self.metrics.tracer.close(last.saturating_duration_since(Instant::now())).await;
        tracing::info!(flushed, drained, ended, closed, "stopped");
        flushed && drained && ended && closed
    }
}

async fn bind(key: &str, address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| {
        format!(
            "{key} = {address} cannot be listened on: is another program using it? Choose another with --{}",
            key.replace('_', "-")
        )
    })
}

/// The configured name, or host name and process id.
fn node_id(settings: &Settings) -> String {
    if !settings.node.id.is_empty() {
        return settings.node.id.clone();
    }
    let host = rustix::system::uname();
    format!("{}-{}", host.nodename().to_string_lossy(), std::process::id())
}
