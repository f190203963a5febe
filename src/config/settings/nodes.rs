//! What nodes say to each other and hear of agents through Redis.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::config::{Size, Span};

settings! {
    /// `[broker]`
    BrokerSettings {
        /// Where Redis is: `redis://`, `rediss://`, `redis+sentinel://` or `redis+cluster://`; empty for a single node.
        url: String = String::new(),
        /// A file with that URL, so that its password is in no environment; blanks around it do not count.
        url_file: String = String::new(),
        /// What the names of all channels and keys begin with.
        prefix: String = "tasklight:".to_owned(),
        /// A file of certificates (PEM) that may have signed Redis's one; empty for the well-known authorities.
        ca_file: String = String::new(),
        /// The most command connections to each server.
        pool_size: usize = 4,
        /// How long connecting may take.
        connect_timeout: Span = Span::seconds(2),
        /// How long an answer may take.
        response_timeout: Span = Span::seconds(2),
        /// How often each subscribing connection is probed.
        probe_interval: Span = Span::seconds(2),
        /// A connection on which no probe was heard for so long is deaf, and made anew.
        probe_timeout: Span = Span::seconds(5),
        /// The most channels subscribed on one connection.
        lane_channels: usize = 10_000,
        /// The most messages read from Redis that wait to be looked at, for hints and for agents each.
        read_messages: usize = 65_536,
        /// The most bytes of them.
        read_bytes: Size = Size::mebibytes(32),
        /// The most messages that wait to be sent, for hints and for acks each.
        send_messages: usize = 65_536,
        /// The most bytes of them.
        send_bytes: Size = Size::mebibytes(32),
    }
}

settings! {
    /// `[cluster]`
    ClusterSettings {
        /// How often a node says that it is alive.
        beat_interval: Span = Span::seconds(1),
        /// A node that was not heard of for so long is no member: others take over its tasks.
        member_timeout: Span = Span::seconds(5),
        /// What one node at a time does (the reconciler, retention) another one takes over when its node was not heard of for so long.
        lease_timeout: Span = Span::seconds(15),
        /// The most tasks that a node knows as open.
        tasks: usize = 1_000_000,
        /// The most activities that a node holds until another one's ack.
        hold_activities: usize = 100_000,
        /// The most bytes of them.
        hold_bytes: Size = Size::mebibytes(64),
        /// How long a node that is no longer standby for a task goes on listening.
        linger: Span = Span::seconds(10),
    }
}

settings! {
    /// `[ingest]`
    IngestSettings {
        /// The most bytes heard over Redis that wait for the writer; at half of it the node leaves publishers to others.
        queue_bytes: Size = Size::mebibytes(32),
        /// After so long without activities a task in which nothing runs is no longer listened to, until it is announced again.
        idle_timeout: Span = Span::seconds(600),
        /// Signed envelopes around what agents publish over Redis: `off`, `accepted` (checked if there are any) or `required`.
        envelopes: String = "off".to_owned(),
        /// A file of the keys that agents seal them with; read again when it changes.
        envelope_keys: String = String::new(),
        /// How far an envelope's time may be from now.
        envelope_window: Span = Span::seconds(300),
    }
}
