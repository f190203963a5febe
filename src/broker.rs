//! What carries hints between nodes, and activities from agents that only know Redis. Never the truth: whatever is lost here is found in
//! the store, or sent again by whoever waits for an ack.

mod address;
#[cfg(test)]
mod by_hand;
mod commands;
mod envelope;
mod link;
mod names;
mod outbox;
mod servers;
mod signed;

use std::sync::Arc;

use bytes::Bytes;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    metrics::Metrics,
    model::{Epoch, FrameBatch, Offset, TaskId},
    telemetry::{SpanKind, Tracer},
};

pub use address::{AddressError, RedisAddress};
#[cfg(test)]
pub(crate) use by_hand::ByHand;
pub use commands::{BrokerError, CommandOptions, Commands};
pub use envelope::{Envelope, Hint};
pub use link::{Link, LinkEvent, LinkOptions, LinkReader};
pub use names::{Channel, Names};
pub use outbox::{Outbox, OutboxOptions};
pub use signed::{EnvelopeKey, InvalidEnvelopeKey, Signed};

/// The most bytes of one commit's frames that are sent as hints; of a larger one the others only hear that it happened. Redis cuts off a
/// subscriber that is 32 MiB behind, or 8 MiB for a minute (client-output-buffer-limit pubsub).
const COMMIT_BYTES: usize = 2 << 20;

/// The most tasks in one message about changed summaries.
const CHANGED_TASKS: usize = 500;

/// How to reach Redis.
#[derive(Debug, Clone)]
pub struct RedisOptions {
    /// Where it is.
    pub address: RedisAddress,
    /// What all names begin with.
    pub prefix: String,
    /// Command connections.
    pub commands: CommandOptions,
    /// The connections that hear hints.
    pub feed: LinkOptions,
    /// The connections that hear agents and nodes.
    pub ingest: LinkOptions,
    /// What may wait to be sent.
    pub outbox: OutboxOptions,
}

/// What carries hints between nodes. Handles are cheap to clone.
#[derive(Debug, Clone)]
pub enum Broker {
    /// One node: there is nobody to tell.
    Local,
    /// Many nodes around one Redis.
    Redis(Arc<RedisBroker>),
}

/// A node's side of Redis.
#[derive(Debug)]
pub struct RedisBroker {
    /// The names that all nodes and agents use.
    pub names: Names,
    /// This node among the members.
    pub node: Arc<str>,
    /// Command connections.
    pub commands: Commands,
    /// Hints for other nodes.
    pub hints: Outbox,
    /// Acks, and what nodes say to each other.
    pub letters: Outbox,
    /// Subscriptions to hints.
    pub feed: Link,
    /// Subscriptions to agents and nodes.
    pub ingest: Link,
    sender: u64,
}

/// What the links of a broker have heard.
#[derive(Debug)]
pub struct Readers {
    /// Hints.
    pub feed: LinkReader,
    /// Agents and nodes.
    pub ingest: LinkReader,
}

impl Broker {
    /// Connects to Redis in the background: a node starts without it, too.
    pub(crate) fn start(
        options: RedisOptions,
        node: &str,
        metrics: &Arc<Metrics>,
        tracker: &TaskTracker,
        stop: &CancellationToken,
    ) -> Result<(Self, Readers), BrokerError> {
        metrics.broker_configured.set(1);
        let names = Names::new(&options.prefix);
        let sender: u64 = rand::random();
        let node: Arc<str> = format!("{node}#{:08x}", sender >> 32).into();
        let commands = Commands::new(&options.address, &options.commands)?;
        let link = |options_of: &LinkOptions, address: &RedisAddress| {
            let probe = names.probe(&node, options_of.name);
            let metrics = metrics.link(options_of.name);
            Link::start(address.clone(), commands.clone(), probe, options_of.clone(), metrics, tracker, stop.clone())
        };
        let (feed, feed_reader) = link(&options.feed, &options.address);
        let (ingest, ingest_reader) = link(&options.ingest, &options.address);
        let outbox = |metrics| Outbox::start(commands.clone(), options.outbox, metrics, tracker, stop.clone());
        let (hints, letters) = (outbox(metrics.hints.clone()), outbox(metrics.letters.clone()));
        let broker = RedisBroker { names, node, commands, hints, letters, feed, ingest, sender };
        Ok((Self::Redis(Arc::new(broker)), Readers { feed: feed_reader, ingest: ingest_reader }))
    }

    /// Whether there may be other nodes.
    pub fn is_shared(&self) -> bool {
        matches!(self, Self::Redis(_))
    }

    /// Hints at a commit. Never waits.
    pub(crate) fn committed(&self, task: &TaskId, batches: &[FrameBatch], tracer: &Tracer) {
        let Self::Redis(redis) = self else { return };
        let channel = redis.names.feed(task);
        let weight: usize = batches.iter().map(FrameBatch::weight).sum();
        let send = |hint| redis.hints.send(channel.clone(), Envelope { sender: redis.sender, hint }.encode());
        if weight <= COMMIT_BYTES {
            for batch in batches {
                if let Some(mut span) = tracer.within(batch.trace(), "feed publish", SpanKind::Producer) {
                    span.note("task.id", task.as_str().to_owned());
                    send(Hint::Origin(batch.epoch, batch.first(), span.context()));
                }
                send(Hint::Frames(batch.clone()));
            }
        } else if let Some(last) = batches.last() {
            send(Hint::Notice(last.epoch, last.last()));
        }
    }

    /// Says that a log stands elsewhere now: it was made, trimmed or deleted. Never waits.
    pub(crate) fn changed(&self, task: &TaskId, epoch: Epoch, head: Offset) {
        let Self::Redis(redis) = self else { return };
        let envelope = Envelope { sender: redis.sender, hint: Hint::Notice(epoch, head) };
        redis.hints.send(redis.names.feed(task), envelope.encode());
    }

    /// Says that these tasks' summaries changed. Never waits.
    pub(crate) fn touched(&self, tasks: &[TaskId]) {
        let Self::Redis(redis) = self else { return };
        for some in tasks.chunks(CHANGED_TASKS) {
            let text = serde_json::to_vec(some).expect("ids are JSON");
            redis.hints.send(redis.names.changed(), text.into());
        }
    }

    /// Announces a task, so that it gets an owner. Never waits.
    pub(crate) fn announce(&self, task: &TaskId) {
        let Self::Redis(redis) = self else { return };
        let text = serde_json::json!({"taskId": task.as_str()}).to_string();
        redis.letters.send(redis.names.tasks(), Bytes::from(text));
    }

    /// Begins or ends to listen to hints about a task. Never waits.
    pub(crate) fn listen(&self, task: &TaskId, on: bool) {
        let Self::Redis(redis) = self else { return };
        let channel = [redis.names.feed(task)];
        if on { redis.feed.subscribe(channel) } else { redis.feed.unsubscribe(channel) }
    }

    /// Begins or ends to listen to which tasks' summaries changed. Never waits.
    pub(crate) fn listen_to_changes(&self, on: bool) {
        let Self::Redis(redis) = self else { return };
        let channel = [redis.names.changed()];
        if on { redis.feed.subscribe(channel) } else { redis.feed.unsubscribe(channel) }
    }

    /// What a hint on a feed channel says, unless it is this node's own.
    pub(crate) fn read_hint(&self, payload: Bytes) -> Option<Hint> {
        let Self::Redis(redis) = self else { return None };
        Envelope::decode(payload).filter(|envelope| envelope.sender != redis.sender).map(|envelope| envelope.hint)
    }

    /// What does not work at present, in a few words; nothing if all is well.
    pub(crate) fn trouble(&self) -> Option<&'static str> {
        let Self::Redis(redis) = self else { return None };
        (!redis.feed.is_live() || !redis.ingest.is_live()).then_some("not delivering")
    }
}
