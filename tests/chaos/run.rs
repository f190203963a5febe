//! What everyone in a run shares: the way to a node, the time, the alarm, the end.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use parking_lot::{Mutex, RwLock};
use tokio::{
    sync::watch,
    time::{Instant, sleep},
};
use tokio_util::sync::CancellationToken;

use crate::{figures::Figures, timeline::Timeline};

/// A run.
pub struct Run {
    /// Where connections go.
    pub nodes: Nodes,
    /// What was on when.
    pub timeline: Timeline,
    /// What is counted.
    pub figures: Figures,
    /// How far each viewer is.
    pub board: Board,
    /// Agents finish what they have begun, and end.
    pub quiet: CancellationToken,
    /// An anomaly was seen: no more faults; the run comes to its end in order, so that the checker can name it with its history.
    pub over: CancellationToken,
    redis: RwLock<SocketAddr>,
    starts_over: AtomicBool,
    alarm: watch::Sender<Option<String>>,
}

impl Run {
    /// A run that begins now. `alone`: there is one hub only.
    pub fn new(redis: SocketAddr, alone: bool) -> Self {
        Self {
            nodes: Nodes::default(),
            timeline: Timeline::start(alone),
            figures: Figures::default(),
            board: Board::default(),
            quiet: CancellationToken::new(),
            over: CancellationToken::new(),
            redis: RwLock::new(redis),
            starts_over: AtomicBool::new(false),
            alarm: watch::Sender::new(None),
        }
    }

    /// Something was seen that must not happen: the run ends at once. The first alarm is the one that is told.
    pub fn alarm(&self, text: impl Into<String>) {
        let during = self.timeline.now().map_or("no fault", |kind| kind.name());
        let text = format!("at {:.3} s, during {during}: {}", self.timeline.elapsed().as_secs_f64(), text.into());
        self.alarm.send_if_modified(|alarm| {
            let first = alarm.is_none();
            alarm.get_or_insert(text);
            first
        });
    }

    /// Where Redis is, for agents.
    pub fn redis(&self) -> SocketAddr {
        *self.redis.read()
    }

    /// Redis is elsewhere from now on.
    pub fn move_redis(&self, address: SocketAddr) {
        *self.redis.write() = address;
    }

    /// From now on logs may start another life, and viewers may be told so.
    pub fn let_start_over(&self) {
        self.starts_over.store(true, Ordering::Relaxed);
    }

    /// Whether viewers may be told that a log starts over.
    pub fn may_start_over(&self) -> bool {
        self.starts_over.load(Ordering::Relaxed)
    }

    /// A viewer was shown what does not fit. Everything is compared at the end, and that comes now.
    pub fn anomaly(&self, text: &str) {
        let during = self.timeline.now().map_or("no fault", |kind| kind.name());
        println!("[{:6.1} s] an anomaly, during {during}: {text}", self.timeline.elapsed().as_secs_f64());
        self.over.cancel();
    }

    /// Waits for an alarm.
    pub async fn alarmed(&self) -> String {
        let mut alarm = self.alarm.subscribe();
        let heard = alarm.wait_for(Option::is_some).await.ok().and_then(|text| text.clone());
        heard.unwrap_or_else(|| "the run has ended".to_owned())
    }

    /// Waits for about `mean`, or until agents are to finish.
    pub async fn pace(&self, mean: Duration) {
        let pause = mean.mul_f64(rand::random_range(0.2..1.8));
        tokio::select! {
            () = sleep(pause) => {}
            () = self.quiet.cancelled() => {}
        }
    }
}

/// A random choice per connection, as by a load balancer that does not know yet who is down.
#[derive(Debug, Default)]
pub struct Nodes {
    listed: RwLock<Vec<SocketAddr>>,
}

impl Nodes {
    /// Connections may go there from now on.
    pub fn list(&self, address: SocketAddr) {
        self.listed.write().push(address);
    }

    /// And no more.
    pub fn strike(&self, address: SocketAddr) {
        self.listed.write().retain(|listed| *listed != address);
    }

    /// Any of them.
    pub fn any(&self) -> SocketAddr {
        let listed = self.listed.read();
        listed[rand::random_range(0..listed.len())]
    }
}

/// How far one viewer is in one task.
#[derive(Debug)]
pub struct Mark {
    /// Who, and in which task.
    pub viewer: String,
    /// Of which task.
    pub task: String,
    since: Instant,
    offset: AtomicU64,
}

impl Mark {
    /// It has seen so much.
    pub fn set(&self, offset: u64) {
        self.offset.store(offset, Ordering::Relaxed);
    }

    /// How far it is.
    pub fn offset(&self) -> u64 {
        self.offset.load(Ordering::Relaxed)
    }

    /// Whether it has watched for so long.
    pub fn is_older_than(&self, age: Duration) -> bool {
        age < self.since.elapsed()
    }
}

/// How far all viewers are.
#[derive(Debug, Default)]
pub struct Board(Mutex<Vec<Arc<Mark>>>);

impl Board {
    /// A viewer begins with a task.
    pub fn join(&self, viewer: &str, task: &str) -> Arc<Mark> {
        let mark = Mark { viewer: viewer.to_owned(), task: task.to_owned(), since: Instant::now(), offset: AtomicU64::new(0) };
        let mark = Arc::new(mark);
        self.0.lock().push(mark.clone());
        mark
    }

    /// All of them.
    pub fn marks(&self) -> Vec<Arc<Mark>> {
        self.0.lock().clone()
    }
}
