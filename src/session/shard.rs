//! Sessions live on shards: threads with a current-thread runtime each, with their own sockets. A commit is handed over once per shard; from
//! there on no other thread is woken and no lock is fought for, however many viewers there are.
//!
//! HTTP, ingest and the writer stay on the node's own runtime, which hands a connection over once it has become a session.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use tokio::runtime;
use tokio_util::{
    sync::{CancellationToken, DropGuard},
    task::TaskTracker,
};

use crate::{
    hub::Relay,
    metrics::Metrics,
    tls::stream::{Parked, Stream},
};

/// How many events of sockets a shard looks at before it looks for other work.
const EVENTS: usize = 512;

/// A node's shards. They end when this is dropped, and with them every session that is still open.
#[derive(Debug)]
pub(crate) struct Shards {
    shards: Vec<Shard>,
    tracker: TaskTracker,
    _stop: DropGuard,
}

#[derive(Debug)]
struct Shard {
    runtime: runtime::Handle,
    relay: Relay,
    sessions: Arc<AtomicUsize>,
}

impl Shards {
    /// So many threads; 0 for one for each processor. Sessions are counted on `tracker`, what each thread reads from rings in `metrics`.
    pub(crate) fn start(count: usize, metrics: &Metrics, tracker: TaskTracker) -> io::Result<Self> {
        let count = if count == 0 { thread::available_parallelism().map_or(1, usize::from) } else { count };
        let stop = CancellationToken::new();
        let shards = (0..count).map(|number| Shard::start(number, metrics, stop.clone())).collect::<io::Result<_>>()?;
        Ok(Self { shards, tracker, _stop: stop.drop_guard() })
    }

    /// What its runtimes say of themselves, by the names of their threads.
    pub(crate) fn metrics(&self) -> Vec<(String, runtime::RuntimeMetrics)> {
        let named = |(number, shard): (usize, &Shard)| (name(number), shard.runtime.metrics());
        self.shards.iter().enumerate().map(named).collect()
    }

    /// Gives a connection to the shard with the fewest sessions, where `session` serves it.
    pub(crate) fn serve<F>(&self, stream: Parked, session: impl FnOnce(Stream, Relay) -> F + Send + 'static)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let Some(shard) = self.shards.iter().min_by_key(|shard| shard.sessions.load(Ordering::Relaxed)) else { return };
        let (relay, open) = (shard.relay.clone(), Open::new(shard.sessions.clone()));
        let work = async move {
            match stream.settle() {
                Ok(stream) => session(stream, relay).await,
                Err(error) => tracing::warn!(%error, "a connection could not be handed over"),
            }
            drop(open);
        };
        self.tracker.spawn_on(work, &shard.runtime);
    }
}

impl Shard {
    fn start(number: usize, metrics: &Metrics, stop: CancellationToken) -> io::Result<Self> {
        let runtime =
            runtime::Builder::new_current_thread().enable_all().event_interval(61).max_io_events_per_tick(EVENTS).build()?;
        let (handle, relay) = (runtime.handle().clone(), Relay::new(metrics.hot_reads_of(number)));
        let passing = relay.clone();
        thread::Builder::new().name(name(number)).spawn(move || {
            runtime.block_on(stop.run_until_cancelled(passing.run()));
            // Whatever is still open ends with its runtime.
        })?;
        Ok(Self { runtime: handle, relay, sessions: Arc::default() })
    }
}

fn name(number: usize) -> String {
    format!("shard-{number}")
}

/// Counts a session on its shard until it is dropped, however it ends.
struct Open(Arc<AtomicUsize>);

impl Open {
    fn new(sessions: Arc<AtomicUsize>) -> Self {
        sessions.fetch_add(1, Ordering::Relaxed);
        Self(sessions)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
