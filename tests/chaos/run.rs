//! What everyone in a run shares: the way to a node, the time, how far each is, the end.

use std::{
    collections::BTreeSet,
    fmt,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use parking_lot::{Mutex, RwLock};
use tokio::time::{Instant, sleep};
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
    first: Mutex<Option<String>>,
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
            first: Mutex::default(),
        }
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

    /// A viewer was shown, or a publisher was told, what must not be. Everything is compared at the end, and that comes now.
    pub fn anomaly(&self, text: impl fmt::Display) {
        let during = self.timeline.now().map_or("no fault", |kind| kind.name());
        let text = format!("at {:.3} s, during {during}: {text}", self.timeline.elapsed().as_secs_f64());
        println!("ANOMALY, seen {text}");
        self.first.lock().get_or_insert(text);
        self.over.cancel();
    }

    /// The first anomaly that was seen while it ran.
    pub fn first_anomaly(&self) -> Option<String> {
        self.first.lock().clone()
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

/// How far all viewers are, and of which tasks there is something to be seen.
#[derive(Debug, Default)]
pub struct Board {
    marks: Mutex<Vec<Arc<Mark>>>,
    published: RwLock<BTreeSet<String>>,
}

impl Board {
    /// A viewer begins with a task.
    pub fn join(&self, viewer: &str, task: &str) -> Arc<Mark> {
        let mark = Mark { viewer: viewer.to_owned(), task: task.to_owned(), since: Instant::now(), offset: AtomicU64::new(0) };
        let mark = Arc::new(mark);
        self.marks.lock().push(mark.clone());
        mark
    }

    /// A publisher was told that something of this task is taken.
    pub fn publish(&self, task: &str) {
        if !self.is_published(task) {
            self.published.write().insert(task.to_owned());
        }
    }

    /// Whether any publisher was.
    pub fn is_published(&self, task: &str) -> bool {
        self.published.read().contains(task)
    }

    /// All of them.
    pub fn marks(&self) -> Vec<Arc<Mark>> {
        self.marks.lock().clone()
    }
}
