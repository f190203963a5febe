//! What a node has to say over Redis, in order, without ever making anyone wait: a bounded queue and one task that pipelines it.
//!
//! What does not fit, or does not reach Redis, is dropped and counted: hints are repaired from the store, lost acks make agents send again,
//! and nodes repeat what they ask of each other.

#[cfg(test)]
pub(super) mod by_hand;

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::commands::Commands;
use crate::{backoff::Backoff, metrics::OutboxMetrics};

/// The most messages in one pipeline.
const PIPELINE_MESSAGES: usize = 256;

/// The most bytes in one pipeline; one message may exceed it. Far below Redis's query buffer limit (1 GiB) and small enough to be fast.
const PIPELINE_BYTES: usize = 1 << 20;

/// The first and the longest wait after Redis did not take something.
const RETRY: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));

/// A bound of an outbox.
#[derive(Debug, Clone, Copy)]
pub struct OutboxOptions {
    /// The most messages that wait.
    pub messages: usize,
    /// The most bytes that wait.
    pub bytes: usize,
}

/// The way out. Handles are cheap to clone.
#[derive(Debug, Clone)]
pub struct Outbox {
    queue: mpsc::Sender<Letter>,
    room: Arc<Semaphore>,
    metrics: OutboxMetrics,
}

#[derive(Debug)]
struct Letter {
    channel: String,
    payload: Bytes,
    _room: OwnedSemaphorePermit,
}

impl Outbox {
    /// Starts the task that sends. At `stop` it sends what waits, once, and ends.
    pub(crate) fn start(
        commands: Commands,
        options: OutboxOptions,
        metrics: OutboxMetrics,
        tracker: &TaskTracker,
        stop: CancellationToken,
    ) -> Self {
        let (queue, letters) = mpsc::channel(options.messages.max(1));
        let outbox = Self { queue, room: Arc::new(Semaphore::new(options.bytes)), metrics: metrics.clone() };
        tracker.spawn(send_all(commands, letters, metrics, stop));
        outbox
    }

    /// Leaves a message to be sent; says whether there was room for it.
    pub fn send(&self, channel: String, payload: Bytes) -> bool {
        let weight = u32::try_from(payload.len() + channel.len()).unwrap_or(u32::MAX);
        let Ok(room) = self.room.clone().try_acquire_many_owned(weight) else {
            self.metrics.dropped.inc();
            return false;
        };
        let taken = self.queue.try_send(Letter { channel, payload, _room: room }).is_ok();
        if !taken {
            self.metrics.dropped.inc();
        }
        taken
    }
}

async fn send_all(commands: Commands, mut letters: mpsc::Receiver<Letter>, metrics: OutboxMetrics, stop: CancellationToken) {
    let mut backoff = Backoff::new(RETRY.0, RETRY.1);
    let mut waiting = Vec::new();
    loop {
        tokio::select! {
            biased;
            taken = letters.recv_many(&mut waiting, PIPELINE_MESSAGES) => if taken == 0 { return },
            () = stop.cancelled(), if !letters.is_closed() => {
                letters.close();
                continue;
            }
        }
        let mut rest = std::mem::take(&mut waiting).into_iter().peekable();
        while rest.peek().is_some() {
            let mut bytes = 0;
            let mut some: Vec<(String, Bytes)> = Vec::new();
            while let Some(letter) = rest.next_if(|next| some.is_empty() || bytes + next.payload.len() <= PIPELINE_BYTES) {
                bytes += letter.payload.len();
                some.push((letter.channel, letter.payload));
            }
            match commands.publish(&some).await {
                Ok(_) => {
                    metrics.sent.inc_by(some.len() as u64);
                    metrics.bytes.inc_by(bytes as u64);
                    backoff.reset();
                }
                Err(error) => {
                    metrics.dropped.inc_by(some.len() as u64);
                    tracing::debug!(%error, messages = some.len(), "messages for Redis were dropped");
                    if !stop.is_cancelled() {
                        backoff.wait().await;
                    }
                }
            }
        }
    }
}
