//! Publishing over Redis, to whichever hub takes the task, without any way to the hub itself.
//!
//! The acks are listened to before anything is published, and one message is on its way at a time, so that the order of an invocation's
//! activities is kept. What is not acked in time is published again under the same `eventId`s; the hub stores it once.

use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use tokio::time::{Instant, sleep, timeout_at};
use tokio_util::{
    sync::{CancellationToken, DropGuard},
    task::TaskTracker,
};

use super::{
    ClientError,
    delivery::{Answer, Delivery, Message},
    publish::ItemResult,
};
use crate::{
    backoff::Backoff,
    broker::{BrokerError, CommandOptions, Commands, EnvelopeKey, Link, LinkEvent, LinkOptions, LinkReader, Names, RedisAddress},
    metrics::LinkMetrics,
    model::{TaskId, Timestamp},
};

/// How long the next ack may take before what is not acked is published again: at first, and at most after it did not help.
const ACK_PATIENCE: Duration = Duration::from_secs(5);
const ACK_PATIENCE_MOST: Duration = Duration::from_secs(30);

/// The bounds of the wait for a hub to begin to take the task that was announced to it.
const ANNOUNCED_FIRST: Duration = Duration::from_millis(10);
const ANNOUNCED_MOST: Duration = Duration::from_millis(500);

/// How long hubs may take for that altogether; then the caller is told.
const ANNOUNCED_PATIENCE: Duration = Duration::from_secs(2);

/// How long subscribing to the acks may take while Redis answers. A link that lost its connection tries again every 5 s at least.
const SUBSCRIBE_TIMEOUT: Duration = Duration::from_secs(10);

const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(3);

/// How often it is checked that the subscription delivers, and when it counts as deaf. There may be thousands of agents: seldom.
const PROBE_INTERVAL: Duration = Duration::from_secs(15);
const PROBE_TIMEOUT: Duration = Duration::from_secs(40);

/// The most acks that wait to be read, most of them of others. What does not fit is published again.
const QUEUE_MESSAGES: usize = 4_096;
const QUEUE_BYTES: usize = 4 << 20;

/// Publishes one task's activities over Redis.
#[derive(Debug)]
pub struct RedisPublisher {
    task: TaskId,
    names: Names,
    address: RedisAddress,
    commands: Commands,
    acks: LinkReader,
    /// Whether acks are heard at present.
    listening: bool,
    /// The batch of the last call, with what was answered.
    delivery: Delivery,
    /// How long the next ack is waited for.
    patience: Duration,
    /// What messages are sealed with, if they are.
    key: Option<EnvelopeKey>,
    /// Ends the link.
    _ends: DropGuard,
}

impl RedisPublisher {
    /// Begins to connect, in the background. `prefix` is that of the hubs (`broker.prefix`).
    pub fn new(address: &RedisAddress, prefix: &str, task: TaskId) -> Result<Self, ClientError> {
        let (names, stop) = (Names::new(prefix), CancellationToken::new());
        let options = CommandOptions { pool_size: 1, connect_timeout: CONNECT_TIMEOUT, response_timeout: RESPONSE_TIMEOUT };
        let commands = Commands::new(address, &options).map_err(|error| failed(address, &error))?;
        let options = LinkOptions {
            name: "acks",
            lane_channels: 1,
            queue_messages: QUEUE_MESSAGES,
            queue_bytes: QUEUE_BYTES,
            probe_interval: PROBE_INTERVAL,
            probe_timeout: PROBE_TIMEOUT,
            connect_timeout: CONNECT_TIMEOUT,
            response_timeout: RESPONSE_TIMEOUT,
        };
        let probe = names.probe(&format!("agent-{:016x}", rand::random::<u64>()), options.name);
        let metrics = LinkMetrics::default();
        let tracker = TaskTracker::new();
        let (link, acks) = Link::start(address.clone(), commands.clone(), probe, options, metrics, &tracker, stop.clone());
        link.subscribe([names.ack(&task)]);
        let (address, delivery, _ends) = (address.clone(), Delivery::default(), stop.drop_guard());
        Ok(Self { task, names, address, commands, acks, listening: false, delivery, patience: ACK_PATIENCE, key: None, _ends })
    }

    /// The same, with every message in an envelope of this key.
    #[must_use]
    pub fn sealed_with(mut self, key: EnvelopeKey) -> Self {
        self.key = Some(key);
        self
    }

    /// One try, as [`super::Publisher::publish`]. The same activities again go on where the last try ended.
    pub(super) async fn publish(&mut self, activities: &[Bytes]) -> Result<Vec<ItemResult>, ClientError> {
        if !self.delivery.is_of(activities) {
            self.delivery = Delivery::new(activities);
        }
        while self.delivery.message().is_some() {
            self.listen().await?;
            // What was heard meanwhile is not sent again.
            let Some(message) = self.delivery.message() else { break };
            self.send(&message).await?;
            self.delivery.taken(&message);
            self.hear(&message).await?;
        }
        Ok(std::mem::take(&mut self.delivery).results())
    }

    /// What became of this activity of the last call, as far as it is known.
    pub(super) fn known(&self, activity: &Bytes) -> Option<&ItemResult> {
        self.delivery.known(activity)
    }

    /// Waits until acks are heard, having noted those that came since the last time.
    async fn listen(&mut self) -> Result<(), ClientError> {
        while let Some(event) = self.acks.next().now_or_never() {
            self.note(event)?;
        }
        if self.listening {
            return Ok(());
        }
        // The link keeps to itself why it cannot connect.
        self.commands.ping().await.map_err(|error| failed(&self.address, &error))?;
        let deadline = Instant::now() + SUBSCRIBE_TIMEOUT;
        while !self.listening {
            let Ok(event) = timeout_at(deadline, self.acks.next()).await else {
                let channel = self.names.ack(&self.task);
                let reason = format!("it does not confirm a subscription to {channel}; may this user subscribe to it?");
                return Err(ClientError::RedisUnreachable { redis: self.address.to_string(), reason });
            };
            self.note(event)?;
        }
        Ok(())
    }

    /// Publishes until somebody hears it; announces the task while nobody does.
    async fn send(&self, message: &Message) -> Result<(), ClientError> {
        let announcement = Bytes::from(serde_json::json!({"taskId": self.task}).to_string());
        let mut backoff = Backoff::new(ANNOUNCED_FIRST, ANNOUNCED_MOST);
        let deadline = Instant::now() + ANNOUNCED_PATIENCE;
        let channel = self.names.task(&self.task);
        while self.say(channel.clone(), self.sealed(&channel, &message.payload)).await? == 0 {
            let hubs = self.say(self.names.tasks(), announcement.clone()).await?;
            let wait = backoff.next();
            if hubs == 0 || deadline < Instant::now() + wait {
                return Err(ClientError::NoHub { task: self.task.clone(), hubs });
            }
            sleep(wait).await;
        }
        Ok(())
    }

    /// In an envelope of now, if there is a key.
    fn sealed(&self, channel: &str, payload: &Bytes) -> Bytes {
        match (&self.key, std::str::from_utf8(payload)) {
            (Some(key), Ok(body)) => key.seal(channel, Timestamp::now(), body),
            _ => payload.clone(),
        }
    }

    /// Gives how many heard it.
    async fn say(&self, channel: String, payload: Bytes) -> Result<u64, ClientError> {
        let counts = self.commands.publish(&[(channel, payload)]).await.map_err(|error| failed(&self.address, &error))?;
        Ok(counts.first().copied().unwrap_or_default())
    }

    /// Waits until everything in the message is answered, as long as answers come.
    async fn hear(&mut self, message: &Message) -> Result<(), ClientError> {
        let mut deadline = Instant::now() + self.patience;
        while 0 < self.delivery.open(message) {
            let Ok(event) = timeout_at(deadline, self.acks.next()).await else {
                let (count, waited) = (self.delivery.open(message), self.patience);
                self.patience = (waited * 2).min(ACK_PATIENCE_MOST);
                return Err(ClientError::Unconfirmed { count, waited });
            };
            if 0 < self.note(event)? {
                self.patience = ACK_PATIENCE;
                deadline = Instant::now() + self.patience;
            }
            if !self.listening {
                let reason = "the connection was lost, and with it perhaps what hubs had confirmed".to_owned();
                return Err(ClientError::RedisUnreachable { redis: self.address.to_string(), reason });
            }
        }
        Ok(())
    }

    /// Takes what the link has seen. Gives how many of our activities were answered by it.
    fn note(&mut self, event: Option<LinkEvent>) -> Result<usize, ClientError> {
        match event {
            Some(LinkEvent::Message { payload, .. }) => {
                return Ok(Answer::read(&payload).map_or(0, |answer| self.delivery.answered(answer)));
            }
            Some(LinkEvent::Subscribed(_)) => self.listening = true,
            Some(LinkEvent::Down { .. }) => self.listening = false,
            Some(LinkEvent::Live { .. } | LinkEvent::Overflowed) => {}
            None => {
                let reason = "the link has ended".to_owned();
                return Err(ClientError::RedisUnreachable { redis: self.address.to_string(), reason });
            }
        }
        Ok(0)
    }
}

fn failed(address: &RedisAddress, error: &BrokerError) -> ClientError {
    let redis = address.to_string();
    match error {
        BrokerError::Redis(error) => {
            let refused = error.kind() == redis::ErrorKind::AuthenticationFailed
                || matches!(error.code(), Some("NOAUTH" | "WRONGPASS" | "NOPERM"));
            let reason = super::error::printable(&error.to_string());
            if refused { ClientError::RedisRefused { redis, reason } } else { ClientError::RedisUnreachable { redis, reason } }
        }
        other => ClientError::RedisUnreachable { redis, reason: super::error::printable(&other.to_string()) },
    }
}
