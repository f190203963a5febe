//! A node's side of a Redis that is simulated.

use std::{sync::Arc, time::Duration};

use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    Broker, CommandOptions, Commands, Link, LinkOptions, LinkReader, Names, Outbox, OutboxOptions, RedisAddress, RedisBroker,
    outbox::by_hand::Letters,
};

/// What simulated Redis is to a node.
#[derive(Debug)]
pub(crate) struct ByHand {
    pub redis: Arc<RedisBroker>,
    /// What it says to other nodes about commits.
    pub hints: Letters,
    /// What it says else.
    pub letters: Letters,
}

impl Broker {
    /// A broker that reaches nobody by itself.
    pub(crate) fn by_hand(sender: u64, tracker: &TaskTracker, stop: &CancellationToken) -> (Self, ByHand, LinkReader) {
        const WAIT: Duration = Duration::from_secs(1);
        let address: RedisAddress = "redis://127.0.0.1:1".parse().expect("an address");
        let commands = CommandOptions { pool_size: 1, connect_timeout: WAIT, response_timeout: WAIT };
        let commands = Commands::new(&address, &commands).expect("it connects later");
        let options = LinkOptions {
            name: "by hand",
            lane_channels: usize::MAX,
            queue_messages: 10_000,
            queue_bytes: 1 << 24,
            probe_interval: WAIT,
            probe_timeout: WAIT,
            connect_timeout: WAIT,
            response_timeout: WAIT,
        };
        let link = || Link::by_hand(address.clone(), commands.clone(), options.clone(), tracker, stop.clone());
        let ((feed, reader), (ingest, _)) = (link(), link());
        let room = OutboxOptions { messages: 10_000, bytes: 1 << 24 };
        let ((outbox, hints), (post, letters)) = (Outbox::by_hand(room), Outbox::by_hand(room));
        let (names, node) = (Names::new("tasklight:"), format!("n{sender}").into());
        let redis = Arc::new(RedisBroker { names, node, commands, hints: outbox, letters: post, feed, ingest, sender });
        (Self::Redis(redis.clone()), ByHand { redis, hints, letters }, reader)
    }
}
