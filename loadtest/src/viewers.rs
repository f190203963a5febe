//! Viewers that cost little: one thread for all of them, reading raw frames into one buffer and checking every offset.

mod connection;
mod frames;
pub mod returning;
pub mod tally;

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use anyhow::ensure;
use hdrhistogram::Histogram;
use parking_lot::Mutex;
use tokio::{
    sync::Semaphore,
    task::JoinSet,
    time::{sleep, sleep_until},
};
use tokio_util::sync::CancellationToken;

use self::{
    connection::{Shared, watch},
    frames::Marks,
};

/// How many viewers connect at once.
const CONNECTING: usize = 64;

/// How much is read at once, for all viewers.
const SCRATCH: usize = 256 * 1024;

/// How a viewer watches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    WebSocket,
    Sse,
}

/// One viewer.
#[derive(Debug, Clone)]
pub struct Viewer {
    /// What it follows; one task over SSE.
    pub tasks: Vec<String>,
    /// From where, in the words of the protocol: `end`, `start` or a cursor.
    pub after: String,
    /// Whether it reads once it is live.
    pub reads: bool,
    /// When it connects, after the first could; without it a few at a time do, as soon as it is their turn.
    pub comes: Option<Duration>,
}

impl Viewer {
    /// One that follows a task from its end.
    pub fn of(task: &str) -> Self {
        Self { tasks: vec![task.to_owned()], after: "end".to_owned(), reads: true, comes: None }
    }
}

/// What all viewers have seen.
#[derive(Debug, Default)]
pub struct Seen {
    live: AtomicUsize,
    activities: AtomicU64,
    faults: AtomicU64,
    closed: AtomicU64,
    measuring: AtomicBool,
    first_fault: Mutex<Option<String>>,
}

impl Seen {
    pub fn live(&self) -> usize {
        self.live.load(Ordering::Relaxed)
    }

    pub fn activities(&self) -> u64 {
        self.activities.load(Ordering::Relaxed)
    }

    pub fn closed(&self) -> u64 {
        self.closed.load(Ordering::Relaxed)
    }

    fn fault(&self, what: String) {
        self.faults.fetch_add(1, Ordering::Relaxed);
        self.first_fault.lock().get_or_insert(what);
    }
}

/// Viewers at work on a thread of their own.
pub struct Viewers {
    seen: Arc<Seen>,
    latency: Arc<Mutex<Histogram<u64>>>,
    stop: CancellationToken,
    thread: Option<JoinHandle<()>>,
    count: usize,
}

impl Viewers {
    /// Connects them and waits until each is live.
    pub async fn start(address: &str, transport: Transport, viewers: Vec<Viewer>) -> anyhow::Result<Self> {
        let this = Self::begin(address, transport, viewers)?;
        this.wait_live(Duration::from_secs(120)).await?;
        Ok(this)
    }

    /// Has them connect, and does not wait.
    /// Lets them connect.
    pub fn begin(address: &str, transport: Transport, viewers: Vec<Viewer>) -> anyhow::Result<Self> {
        let (seen, stop) = (Arc::new(Seen::default()), CancellationToken::new());
        let latency = Arc::new(Mutex::new(Histogram::new_with_bounds(1, 120_000_000_000, 3).expect("valid bounds")));
        let count = viewers.len();
        let thread = {
            let (seen, stop, latency, address) = (seen.clone(), stop.clone(), latency.clone(), address.parse()?);
            std::thread::spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
                runtime.block_on(all(address, transport, viewers, seen, latency, stop));
            })
        };
        Ok(Self { seen, latency, stop, thread: Some(thread), count })
    }

    /// Waits until each is live.
    pub async fn wait_live(&self, patience: Duration) -> anyhow::Result<()> {
        let began = Instant::now();
        while self.seen.live() < self.count {
            self.check()?;
            ensure!(
                began.elapsed() < patience,
                "only {} of {} viewers are live after {patience:?}",
                self.seen.live(),
                self.count
            );
            sleep(Duration::from_millis(5)).await;
        }
        Ok(())
    }

    pub fn seen(&self) -> &Seen {
        &self.seen
    }

    /// From now on latencies count.
    pub fn measure(&self) {
        self.latency.lock().reset();
        self.seen.measuring.store(true, Ordering::Relaxed);
    }

    /// Waits until they have seen so many activities in all.
    pub async fn wait_for(&self, activities: u64, patience: Duration) -> anyhow::Result<()> {
        let began = Instant::now();
        while self.seen.activities() < activities {
            self.check()?;
            ensure!(began.elapsed() < patience, "{} of {activities} deliveries after {patience:?}", self.seen.activities());
            sleep(Duration::from_millis(5)).await;
        }
        self.check()
    }

    /// Whether nothing was lost, repeated, out of order or closed.
    pub fn check(&self) -> anyhow::Result<()> {
        let fault = self.seen.first_fault.lock().clone();
        fault.map_or(Ok(()), |fault| {
            Err(anyhow::anyhow!("{} faults; the first: {fault}", self.seen.faults.load(Ordering::Relaxed)))
        })
    }

    /// The latencies so far, in nanoseconds.
    pub fn latency(&self) -> Histogram<u64> {
        self.latency.lock().clone()
    }
}

impl Drop for Viewers {
    fn drop(&mut self) {
        self.stop.cancel();
        if let Some(thread) = self.thread.take() {
            // A panic there was printed there.
            let _ = thread.join();
        }
    }
}

async fn all(
    address: SocketAddr,
    transport: Transport,
    viewers: Vec<Viewer>,
    seen: Arc<Seen>,
    latency: Arc<Mutex<Histogram<u64>>>,
    stop: CancellationToken,
) {
    let turns = Arc::new(Semaphore::new(CONNECTING));
    let scratch = Mutex::new(vec![0; SCRATCH]);
    let shared = Arc::new(Shared { seen, latency, scratch, marks: Marks::new() });
    let mut tasks = JoinSet::new();
    let began = tokio::time::Instant::now();
    for (number, viewer) in viewers.into_iter().enumerate() {
        let (turns, shared) = (turns.clone(), shared.clone());
        tasks.spawn(async move {
            let turn = match viewer.comes {
                Some(comes) => {
                    sleep_until(began + comes).await;
                    None
                }
                None => turns.acquire_owned().await.ok(),
            };
            if let Err(error) = watch(address, transport, (number, viewer), turn, &shared).await {
                shared.seen.closed.fetch_add(1, Ordering::Relaxed);
                shared.seen.fault(format!("{error:#}"));
            }
        });
    }
    let ended = async { while tasks.join_next().await.is_some() {} };
    tokio::select! {
        () = ended => stop.cancelled().await,
        () = stop.cancelled() => {}
    }
}

/// What is left of a histogram when one knows only these: in milliseconds.
pub fn millis(histogram: &Histogram<u64>, quantile: f64) -> f64 {
    histogram.value_at_quantile(quantile) as f64 / 1e6
}
