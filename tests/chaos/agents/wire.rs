//! An agent's connections to Redis, as any Redis client makes them.

use std::{sync::Arc, time::Duration};

use anyhow::{Context, Result};
use redis::aio::{MultiplexedConnection, PubSub};
use tokio::time::timeout;

use crate::run::Run;

/// How long Redis may take to answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);

/// How long is waited before anything is tried again, about.
pub(super) const AGAIN: Duration = Duration::from_millis(50);

/// One agent's way to Redis.
pub(super) struct Wire {
    run: Arc<Run>,
    connection: Option<MultiplexedConnection>,
}

impl Wire {
    pub(super) fn new(run: &Arc<Run>) -> Self {
        Self { run: run.clone(), connection: None }
    }

    /// Wherever Redis is now.
    fn client(&self) -> redis::RedisResult<redis::Client> {
        redis::Client::open(format!("redis://{}", self.run.redis()))
    }

    /// PUBLISHes on the task's channel and gives the receiver count. After an error nobody knows whether it was published.
    pub(super) async fn publish(&mut self, task: &str, body: &str) -> Result<u32> {
        self.send(&format!("tasklight:task:{task}"), body).await
    }

    /// Announces the task, so that a hub subscribes to its channel.
    pub(super) async fn announce(&mut self, task: &str) -> Result<()> {
        let body = serde_json::json!({"taskId": task}).to_string();
        self.send("tasklight:tasks", &body).await.map(drop)
    }

    /// Subscribes to the acks of a task.
    pub(super) async fn acks(&self, task: &str) -> Result<PubSub> {
        let subscribing = async {
            let mut acks = self.client()?.get_async_pubsub().await?;
            acks.subscribe(format!("tasklight:ack:{task}")).await?;
            Ok::<_, redis::RedisError>(acks)
        };
        timeout(ANSWER_TIMEOUT, subscribing).await.context("redis did not answer in time")?.context("subscribing")
    }

    async fn send(&mut self, channel: &str, body: &str) -> Result<u32> {
        let client = self.client()?;
        let sent = timeout(ANSWER_TIMEOUT, async {
            let connection = match &mut self.connection {
                Some(connection) => connection,
                none => none.insert(client.get_multiplexed_async_connection().await?),
            };
            redis::cmd("PUBLISH").arg(channel).arg(body).query_async::<u32>(connection).await
        });
        let counted = sent.await.context("redis did not answer in time").and_then(|answer| Ok(answer?));
        if counted.is_err() {
            self.connection = None;
        }
        counted
    }
}
