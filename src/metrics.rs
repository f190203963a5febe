//! What a node counts, for Prometheus. Names are `tasklight_<noun>_<unit>`; labels are closed and few, and never a task.
//! `docs/metrics.md` says what each means; a test compares the two.

mod closed;

use std::sync::Arc;

use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram, info::Info},
    registry::Registry,
};

use crate::{limits::Reached, telemetry::Tracer, version};

pub(crate) use closed::{Accepted, Moves, Resumes};

/// Why something was refused: one of the stable codes.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Code {
    pub code: &'static str,
}

/// The thread that sessions live on, from 0.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ShardLabel {
    shard: u64,
}

/// The rule that found something. Rules are those of the program and its files, so there are few.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct RuleLabel {
    pub rule: String,
}

/// The handles of one way out to Redis.
#[derive(Debug, Clone, Default)]
pub struct OutboxMetrics {
    /// Messages that Redis took.
    pub sent: Counter,
    /// Their bytes.
    pub bytes: Counter,
    /// Messages that were dropped because Redis did not take them in time.
    pub dropped: Counter,
}

/// The handles of one link to Redis.
#[derive(Debug, Clone, Default)]
pub struct LinkMetrics {
    /// 1 while everything is subscribed and delivers.
    pub live: Gauge,
    /// How often a connection was made again.
    pub reconnects: Counter,
    /// How often an open connection delivered nothing.
    pub deaf: Counter,
    /// Messages for which there was no room.
    pub dropped: Counter,
}

/// The handles of ingest by PUBLISH.
#[derive(Debug, Clone, Default)]
pub(crate) struct ChannelMetrics {
    pub messages: Counter,
    pub bytes: Counter,
    pub overflowed: Counter,
    pub lapses: Counter,
    pub known_tasks: Gauge,
    pub owned_tasks: Gauge,
    pub standby_tasks: Gauge,
    pub held_activities: Gauge,
    pub queue_bytes: Gauge,
    pub members: Gauge,
    /// 1 while this node is one of them.
    pub member: Gauge,
}

/// How a handshake went.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct HandshakeLabel {
    pub result: &'static str,
}

/// The handles of TLS.
#[derive(Debug, Clone, Default)]
pub(crate) struct TlsMetrics {
    pub handshakes: Family<HandshakeLabel, Counter>,
    pub reloads: Counter,
    pub reload_failures: Counter,
    pub expires: Gauge,
}

impl TlsMetrics {
    /// Counts a handshake that went so.
    pub(crate) fn count(&self, result: &'static str) {
        self.handshakes.get_or_create(&HandshakeLabel { result }).inc();
    }

    fn register(&self, registry: &mut Registry) {
        for result in ["done", "failed", "plain", "slow"] {
            let _at_zero = self.handshakes.get_or_create(&HandshakeLabel { result });
        }
        registry.register(
            "tls_handshakes",
            "TLS handshakes, by how they went: done, failed, slow, plain",
            self.handshakes.clone(),
        );
        registry.register("tls_reloads", "Times that the files of TLS were read anew", self.reloads.clone());
        registry.register("tls_reload_failures", "Times that they had changed and made no sense", self.reload_failures.clone());
        registry.register(
            "tls_certificate_expires_seconds",
            "When the hub's certificate ends, as Unix time; 0 without TLS",
            self.expires.clone(),
        );
    }
}

/// The handles of everything that is counted.
#[derive(Debug)]
pub(crate) struct Metrics {
    pub accepted: Accepted,
    pub appended: Counter,
    pub duplicates: Counter,
    pub heartbeats: Counter,
    rejected: Family<Code, Counter>,
    pub replaced_characters: Counter,
    pub redacted: Family<RuleLabel, Counter>,
    pub queue_activities: Gauge,
    pub queue_bytes: Gauge,
    pub queue_limit_activities: Gauge,
    pub queue_limit_bytes: Gauge,
    pub batch_activities: Histogram,
    pub commit_seconds: Histogram,
    pub store_retries: Counter,
    /// 1 while the store takes commits.
    pub store_healthy: Gauge,
    pub watched_tasks: Gauge,
    hot_reads: Family<ShardLabel, Counter>,
    pub cold_reads: Counter,
    pub gaps: Counter,
    pub resumes: Resumes,
    pub feed_lag_seconds: Histogram,
    pub sessions: Gauge,
    pub delivered: Counter,
    pub delivery_lag_seconds: Histogram,
    closed: Family<Code, Counter>,
    pub reached: Reached,
    pub memory_bytes: Gauge,
    /// 1 where there is a broker between nodes; without one what is said of it stays at zero.
    pub broker_configured: Gauge,
    pub feed_link: LinkMetrics,
    pub ingest_link: LinkMetrics,
    pub hints: OutboxMetrics,
    pub letters: OutboxMetrics,
    pub channel: ChannelMetrics,
    pub tls: TlsMetrics,
    pub moves: Moves,
    /// Follows single requests; whoever counts may do so.
    pub tracer: Tracer,
}

/// The buckets of lags, in seconds: from a millisecond, which is what one commit takes, to minutes, which is an incident.
const LAG_SECONDS: [f64; 11] = [0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1., 3., 10., 30., 100.];

impl Metrics {
    /// All of them at zero, and the registry that writes them out. Nothing is traced.
    #[cfg(test)]
    pub(crate) fn new() -> (Arc<Self>, Registry) {
        Self::with_tracer(Tracer::off())
    }

    /// All of them at zero, and the registry that writes them out. Requests are followed by `tracer`.
    pub(crate) fn with_tracer(tracer: Tracer) -> (Arc<Self>, Registry) {
        let mut registry = Registry::with_prefix("tasklight");
        let build = Info::new([("version", version::VERSION), ("commit", version::COMMIT)]);
        registry.register("build", "Which program this is", build);
        let metrics = Self {
            accepted: Accepted::new(&mut registry),
            appended: Counter::default(),
            duplicates: Counter::default(),
            heartbeats: Counter::default(),
            rejected: closed::by_code(&closed::REJECTED),
            replaced_characters: Counter::default(),
            redacted: Family::default(),
            queue_activities: Gauge::default(),
            queue_bytes: Gauge::default(),
            queue_limit_activities: Gauge::default(),
            queue_limit_bytes: Gauge::default(),
            batch_activities: Histogram::new([1., 3., 10., 30., 100., 300., 1_000., 3_000.]),
            commit_seconds: Histogram::new([0.000_3, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1., 3.]),
            store_retries: Counter::default(),
            store_healthy: Gauge::default(),
            watched_tasks: Gauge::default(),
            hot_reads: Family::default(),
            cold_reads: Counter::default(),
            gaps: Counter::default(),
            resumes: Resumes::new(&mut registry),
            feed_lag_seconds: Histogram::new(LAG_SECONDS),
            sessions: Gauge::default(),
            delivered: Counter::default(),
            delivery_lag_seconds: Histogram::new(LAG_SECONDS),
            closed: closed::by_code(&closed::CLOSED),
            reached: Reached::default(),
            memory_bytes: Gauge::default(),
            broker_configured: Gauge::default(),
            feed_link: LinkMetrics::default(),
            ingest_link: LinkMetrics::default(),
            hints: OutboxMetrics::default(),
            letters: OutboxMetrics::default(),
            channel: ChannelMetrics::default(),
            tls: TlsMetrics::default(),
            moves: Moves::new(&mut registry),
            tracer,
        };
        metrics.register(&mut registry);
        (Arc::new(metrics), registry)
    }

    fn register(&self, registry: &mut Registry) {
        let m = self;
        registry.register("activities_appended", "Activities committed to the store", m.appended.clone());
        registry.register("activities_duplicate", "Activities that were in the store already", m.duplicates.clone());
        registry.register("heartbeats_taken", "Heartbeats taken", m.heartbeats.clone());
        registry.register("activities_rejected", "Activities refused, by code", m.rejected.clone());
        registry.register("characters_replaced", "NUL and lone surrogates turned into U+FFFD", m.replaced_characters.clone());
        registry.register("secrets_redacted", "Secrets removed from what was published, by rule", m.redacted.clone());
        registry.register("writer_queue_activities", "Activities that wait for their commit", m.queue_activities.clone());
        registry.register("writer_queue_bytes", "Bytes that wait for their commit", m.queue_bytes.clone());
        registry.register("writer_queue_limit_activities", "The most that may wait", m.queue_limit_activities.clone());
        registry.register("writer_queue_limit_bytes", "The most bytes that may wait", m.queue_limit_bytes.clone());
        registry.register("writer_batch_activities", "Activities in a commit", m.batch_activities.clone());
        registry.register("writer_commit_seconds", "How long a commit took", m.commit_seconds.clone());
        registry.register("writer_retries", "Commits tried again because the store did not answer", m.store_retries.clone());
        registry.register("store_healthy", "Whether the store took the last commit", m.store_healthy.clone());
        registry.register("hub_watched_tasks", "Tasks that have a ring here", m.watched_tasks.clone());
        registry.register("hub_hot_reads", "Batches given to sessions from rings, by the sessions' thread", m.hot_reads.clone());
        registry.register("hub_cold_reads", "Pages of old activities read from the store", m.cold_reads.clone());
        registry.register("hub_gaps", "Gaps in a ring filled from the store", m.gaps.clone());
        registry.register(
            "hub_feed_lag_seconds",
            "From arrival at the committing node to the ring here",
            m.feed_lag_seconds.clone(),
        );
        registry.register("sessions_open", "WebSocket and SSE sessions now", m.sessions.clone());
        registry.register("activities_delivered", "Activities written to sessions", m.delivered.clone());
        registry.register(
            "session_delivery_lag_seconds",
            "From arrival at a hub to the viewer's socket, of some deliveries",
            m.delivery_lag_seconds.clone(),
        );
        registry.register("sessions_closed", "Sessions closed by the hub, by reason", m.closed.clone());
        registry.register("limits_reached", "Times that a limit was reached, by its key", m.reached.0.clone());
        registry.register("memory_bytes", "Resident memory that is not shared with files", m.memory_bytes.clone());
        registry.register("broker_configured", "Whether there is a Redis between nodes", m.broker_configured.clone());
        registry.register("telemetry_spans", "Spans of traces, by what became of them", m.tracer.spans());
        m.feed_link.register("feed", registry);
        m.ingest_link.register("ingest", registry);
        m.hints.register("broker_hints", "Hints of commits for other nodes", registry);
        m.letters.register("broker_letters", "Acks and messages between nodes", registry);
        m.channel.register(registry);
        m.tls.register(registry);
    }
}

impl Metrics {
    /// Counts something refused, under one of the stable codes.
    pub(crate) fn reject(&self, code: &'static str) {
        debug_assert!(closed::REJECTED.contains(&code), "{code} is not among the codes of docs/metrics.md");
        self.rejected.get_or_create(&Code { code }).inc();
    }

    /// Counts a session that the hub closed, and why.
    pub(crate) fn close(&self, code: &'static str) {
        debug_assert!(closed::CLOSED.contains(&code), "{code} is not among the codes of docs/metrics.md");
        self.closed.get_or_create(&Code { code }).inc();
    }

    /// The handle of what one thread's sessions were given from rings: of its own, so that threads do not fight for it.
    pub(crate) fn hot_reads_of(&self, shard: usize) -> Counter {
        self.hot_reads.get_or_create(&ShardLabel { shard: shard as u64 }).clone()
    }

    /// The handles of the link of this name.
    pub(crate) fn link(&self, name: &str) -> LinkMetrics {
        if name == "feed" { self.feed_link.clone() } else { self.ingest_link.clone() }
    }
}

impl LinkMetrics {
    fn register(&self, name: &str, registry: &mut Registry) {
        let name = format!("broker_{name}");
        registry.register(format!("{name}_live"), "Whether the subscriptions at Redis deliver", self.live.clone());
        registry.register(format!("{name}_reconnects"), "Connections to Redis made again", self.reconnects.clone());
        registry.register(format!("{name}_deaf"), "Connections to Redis that were open and delivered nothing", self.deaf.clone());
        registry.register(format!("{name}_dropped"), "Messages from Redis for which there was no room", self.dropped.clone());
    }
}

impl OutboxMetrics {
    fn register(&self, name: &str, what: &str, registry: &mut Registry) {
        registry.register(format!("{name}_sent"), format!("{what} that Redis took"), self.sent.clone());
        registry.register(format!("{name}_bytes"), format!("{what} that Redis took, in bytes"), self.bytes.clone());
        registry.register(format!("{name}_dropped"), format!("{what} that Redis did not take in time"), self.dropped.clone());
    }
}

impl ChannelMetrics {
    fn register(&self, registry: &mut Registry) {
        registry.register("channel_messages", "Messages of agents heard over Redis", self.messages.clone());
        registry.register("channel_bytes", "Bytes of these messages", self.bytes.clone());
        registry.register("channel_overflowed", "Activities heard while there was no room for them", self.overflowed.clone());
        registry.register("cluster_lapses", "How often this node was no member for a while", self.lapses.clone());
        registry.register("cluster_members", "Nodes that are alive", self.members.clone());
        registry.register("cluster_member", "Whether this node is one of them", self.member.clone());
        registry.register("cluster_known_tasks", "Tasks that need an owner", self.known_tasks.clone());
        registry.register("cluster_owned_tasks", "Tasks whose activities this node takes from Redis", self.owned_tasks.clone());
        registry.register("cluster_standby_tasks", "Tasks that this node listens to for another", self.standby_tasks.clone());
        registry.register("cluster_held_activities", "Activities held until another node's ack", self.held_activities.clone());
        registry.register("channel_queue_bytes", "Bytes heard over Redis that wait for the writer", self.queue_bytes.clone());
    }
}

/// The text that Prometheus scrapes (OpenMetrics 1.0).
pub(crate) fn write_out(registry: &Registry) -> String {
    let mut text = String::new();
    encode(&mut text, registry).expect("writing to memory does not fail");
    text
}
