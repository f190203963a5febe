//! Pub/sub with a life of its own: channels once asked for are subscribed again after whatever happens, and a link that is open but deaf is
//! found and rebuilt.
//!
//! The socket's reader never waits: it puts what it reads into one queue, bounded in messages and bytes, and counts what does not fit.
//! Channels are spread over lanes of a bounded number each; a lane is one connection to each server (see [`lane`]).

#[cfg(test)]
mod by_hand;
mod lane;

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::{mpsc, watch};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{address::RedisAddress, commands::Commands};
use crate::metrics::LinkMetrics;

use lane::Lane;

/// Bounds and times of a link.
#[derive(Debug, Clone)]
pub struct LinkOptions {
    /// What it is for, in logs, metrics and the names of its probes.
    pub name: &'static str,
    /// The most channels on one lane.
    pub lane_channels: usize,
    /// The most messages read and not handed out.
    pub queue_messages: usize,
    /// The most bytes of them.
    pub queue_bytes: usize,
    /// How often each connection is probed.
    pub probe_interval: Duration,
    /// A connection on which no probe was heard for so long is deaf.
    pub probe_timeout: Duration,
    /// How long connecting may take.
    pub connect_timeout: Duration,
    /// How long an answer may take.
    pub response_timeout: Duration,
}

/// What happened on a link, in the order in which each connection saw it.
#[derive(Debug)]
pub enum LinkEvent {
    /// A lane has everything subscribed that was asked of it; what was published while it was away was missed.
    Live {
        /// Which.
        lane: usize,
    },
    /// A lane is gone or deaf: its channels do not deliver until it is live again.
    Down {
        /// Which.
        lane: usize,
    },
    /// This channel is subscribed: what is published from now on is delivered.
    Subscribed(String),
    /// There was no room for some messages.
    Overflowed,
    /// A message.
    Message {
        /// On which channel.
        channel: String,
        /// What.
        payload: Bytes,
    },
}

/// The subscriptions. Handles are cheap to clone.
#[derive(Debug, Clone)]
pub struct Link {
    inner: Arc<Inner>,
}

/// What was heard on the subscriptions.
#[derive(Debug)]
pub struct LinkReader {
    events: mpsc::Receiver<Heard>,
    shared: Arc<Shared>,
    stop: CancellationToken,
}

#[derive(Debug)]
struct Inner {
    address: RedisAddress,
    commands: Commands,
    probe: String,
    options: LinkOptions,
    metrics: LinkMetrics,
    shared: Arc<Shared>,
    lanes: Mutex<Lanes>,
    tracker: TaskTracker,
    stop: CancellationToken,
}

#[derive(Debug, Default)]
struct Lanes {
    lanes: Vec<Arc<Lane>>,
    of_channel: HashMap<String, usize>,
}

/// What lanes and the reader share.
#[derive(Debug)]
struct Shared {
    queue: mpsc::Sender<Heard>,
    queued_bytes: AtomicUsize,
    most_bytes: usize,
    overflowed: AtomicBool,
    /// What was heard under an older number counts for nothing.
    generation: AtomicU64,
    live: watch::Sender<bool>,
    metrics: LinkMetrics,
}

#[derive(Debug)]
struct Heard {
    generation: u64,
    event: LinkEvent,
}

impl Link {
    /// Starts to connect, on `tracker` until `stop`. `probe` begins the names of the channels on which it speaks to itself through `commands`.
    pub fn start(
        address: RedisAddress,
        commands: Commands,
        probe: String,
        options: LinkOptions,
        metrics: LinkMetrics,
        tracker: &TaskTracker,
        stop: CancellationToken,
    ) -> (Self, LinkReader) {
        let (queue, events) = mpsc::channel(options.queue_messages.max(1));
        let shared = Arc::new(Shared {
            queue,
            queued_bytes: AtomicUsize::new(0),
            most_bytes: options.queue_bytes,
            overflowed: AtomicBool::new(false),
            generation: AtomicU64::new(0),
            live: watch::Sender::new(false),
            metrics: metrics.clone(),
        });
        let reader = LinkReader { events, shared: shared.clone(), stop: stop.clone() };
        let (lanes, tracker) = (Mutex::default(), tracker.clone());
        let inner = Inner { address, commands, probe, options, metrics, shared, lanes, tracker, stop };
        let link = Self { inner: Arc::new(inner) };
        // The first lane is there even without channels, so that it is known whether Redis delivers.
        link.inner.lanes.lock().open(&link.inner);
        (link, reader)
    }

    /// Subscribes to these, now and after every reconnect. Each is followed by [`LinkEvent::Subscribed`], also if it was subscribed already.
    /// Never waits.
    pub fn subscribe(&self, channels: impl IntoIterator<Item = String>) {
        let mut lanes = self.inner.lanes.lock();
        for channel in channels {
            let lane = lanes.lane_for(&channel, &self.inner);
            lane.want(channel, true);
        }
        lanes.wake();
    }

    /// Lets go of these. Never waits.
    pub fn unsubscribe(&self, channels: impl IntoIterator<Item = String>) {
        let mut lanes = self.inner.lanes.lock();
        for channel in channels {
            if let Some(index) = lanes.of_channel.remove(&channel) {
                lanes.lanes[index].want(channel, false);
            }
        }
        lanes.wake();
    }

    /// Drops every connection, with everything heard and not yet handed out, and connects anew.
    pub fn rebuild(&self) {
        self.inner.shared.generation.fetch_add(1, Ordering::SeqCst);
        self.inner.shared.live.send_replace(false);
        for lane in &self.inner.lanes.lock().lanes {
            lane.rebuild();
        }
    }

    /// Whether every lane delivers.
    pub fn is_live(&self) -> bool {
        *self.inner.shared.live.borrow()
    }

    /// As [`Link::is_live`], to wait for.
    pub fn live(&self) -> watch::Receiver<bool> {
        self.inner.shared.live.subscribe()
    }
}

impl Lanes {
    fn open(&mut self, inner: &Arc<Inner>) -> Arc<Lane> {
        let lane = Arc::new(Lane::new(self.lanes.len()));
        self.lanes.push(lane.clone());
        inner.tracker.spawn(lane::run(inner.clone(), lane.clone()));
        lane
    }

    fn lane_for(&mut self, channel: &str, inner: &Arc<Inner>) -> Arc<Lane> {
        if let Some(index) = self.of_channel.get(channel) {
            return self.lanes[*index].clone();
        }
        let free = self.lanes.iter().find(|lane| lane.channels() < inner.options.lane_channels).cloned();
        let lane = free.unwrap_or_else(|| self.open(inner));
        self.of_channel.insert(channel.to_owned(), lane.index);
        lane
    }

    fn wake(&self) {
        self.lanes.iter().for_each(|lane| lane.wake());
    }
}

impl Inner {
    /// Notes whether all lanes deliver.
    fn review_live(&self) {
        let live = self.lanes.lock().lanes.iter().all(|lane| lane.is_live());
        self.metrics.live.set(i64::from(live));
        self.shared.live.send_if_modified(|now| std::mem::replace(now, live) != live);
    }
}

impl Shared {
    /// Puts something a connection of this generation has seen into the queue, if there is room. Never waits.
    fn offer(&self, generation: u64, event: LinkEvent) {
        let bytes = weight(&event);
        let before = self.queued_bytes.fetch_add(bytes, Ordering::AcqRel);
        let fits = before + bytes <= self.most_bytes || before == 0;
        if !fits || self.queue.try_send(Heard { generation, event }).is_err() {
            self.queued_bytes.fetch_sub(bytes, Ordering::AcqRel);
            self.overflowed.store(true, Ordering::Release);
            self.metrics.dropped.inc();
        }
    }

    /// As [`Shared::offer`], for what must not get lost: waits for room.
    async fn say(&self, generation: u64, event: LinkEvent) {
        // Without a reader there is nobody to tell.
        let _ = self.queue.send(Heard { generation, event }).await;
    }
}

impl LinkReader {
    /// The next event; nothing once the link has ended.
    pub async fn next(&mut self) -> Option<LinkEvent> {
        loop {
            if self.shared.overflowed.swap(false, Ordering::AcqRel) {
                return Some(LinkEvent::Overflowed);
            }
            // The queue itself does not end: its sender is shared with this.
            let Heard { generation, event } = tokio::select! {
                heard = self.events.recv() => heard?,
                () = self.stop.cancelled() => return None,
            };
            self.shared.queued_bytes.fetch_sub(weight(&event), Ordering::AcqRel);
            if self.shared.generation.load(Ordering::SeqCst) <= generation {
                return Some(event);
            }
        }
    }
}

fn weight(event: &LinkEvent) -> usize {
    match event {
        LinkEvent::Message { channel, payload } => channel.len() + payload.len(),
        _ => 0,
    }
}
