//! Which values make no sense, by themselves or together.

use std::{ops::RangeInclusive, time::Duration};

use super::{ConfigError, Settings};
use crate::broker::RedisAddress;

/// The deepest nesting that redaction walks into, level by level on its stack.
const MOST_REDACT_DEPTH: usize = 512;

/// How far the time of an envelope may be from a hub's: more than clocks differ by chance, and not so long that saying it again gets easy.
const ENVELOPE_WINDOW: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(3_600);

/// For so long nobody would do what a node that died did.
const LONGEST_LEASE: Duration = Duration::from_secs(600);

/// The greatest number of anything: what a queue counts its room by. One that says so many has been mistaken for no limit.
const MOST: usize = tokio::sync::Semaphore::MAX_PERMITS;

/// The most bytes of a node's name, which goes into every mark on a task's channel.
const NODE_BYTES: usize = 256;

/// A value that makes no sense.
fn bad(text: impl Into<String>) -> Result<(), ConfigError> {
    Err(ConfigError::BadValue(text.into()))
}

impl Settings {
    /// Refuses values that make no sense by themselves or together.
    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        self.validate_auth()?;
        self.validate_tls()?;
        self.validate_retention()?;
        self.proxies()?;
        self.webhook_options()?;
        self.validate_addresses()?;
        self.validate_words()?;
        self.validate_counts()?;
        self.validate_spans()?;
        self.validate_times()?;
        if !self.broker.url.is_empty() {
            self.redis_address()?;
        }
        if self.http.body_bytes.bytes() < self.limits.request.bytes() {
            return bad("http.body_bytes must be at least limits.request: no body would ever be read");
        }
        if self.limits.frame.bytes() < 1_024 {
            return bad("limits.frame must be at least 1KiB: a subscription must fit");
        }
        Ok(())
    }

    /// Where it may listen.
    fn validate_addresses(&self) -> Result<(), ConfigError> {
        if self.insecure_listen {
            return Ok(());
        }
        let listeners =
            [("listen", self.listen, self.asks_for_tokens()), ("admin_listen", self.admin_listen, self.insecure_admin_listen)];
        for (key, address, guarded) in listeners {
            if !address.ip().is_loopback() && !guarded {
                return bad(format!(
                    "{key} = {address} is reachable from other machines, and without access control whoever reaches it may read \
                     and write everything: use 127.0.0.1, configure keys for tokens ([auth], for listen), set insecure_admin_listen (for admin_listen), \
                     or say --insecure-listen if the network around it is trusted"
                ));
            }
        }
        Ok(())
    }

    /// Words of closed sets, and what goes with them.
    fn validate_words(&self) -> Result<(), ConfigError> {
        if !matches!(self.audit.trail.as_str(), "auto" | "on" | "off") {
            return bad(format!("audit.trail = {:?} must be on, off or auto", self.audit.trail));
        }
        if !matches!(self.log.format.as_str(), "auto" | "pretty" | "json") {
            return bad(format!("log.format = {:?} must be pretty, json or auto", self.log.format));
        }
        if !matches!(self.store.synchronous.as_str(), "full" | "normal") {
            return bad(format!("store.synchronous = {:?} must be full or normal", self.store.synchronous));
        }
        if !matches!(self.ingest.envelopes.as_str(), "off" | "accepted" | "required") {
            return bad(format!("ingest.envelopes = {:?} must be off, accepted or required", self.ingest.envelopes));
        }
        if self.ingest.envelopes != "off" && self.ingest.envelope_keys.is_empty() {
            return bad(format!("ingest.envelopes = {:?} needs ingest.envelope_keys", self.ingest.envelopes));
        }
        if NODE_BYTES < self.node.id.len() {
            return bad(format!("node.id must have at most {NODE_BYTES} bytes"));
        }
        let collector = &self.telemetry.otlp_endpoint;
        if !collector.is_empty() && !["http://", "https://"].iter().any(|scheme| collector.starts_with(scheme)) {
            return bad("telemetry.otlp_endpoint must be http://HOST:PORT or https://HOST:PORT");
        }
        Ok(())
    }

    /// Numbers of which there must be some, but not more than can be counted.
    fn validate_counts(&self) -> Result<(), ConfigError> {
        let counts = [
            ("writer.queue_activities", self.writer.queue_activities),
            ("writer.queue_bytes", self.writer.queue_bytes.bytes()),
            ("writer.batch_activities", self.writer.batch_activities),
            ("broker.pool_size", self.broker.pool_size),
            ("broker.lane_channels", self.broker.lane_channels),
            ("broker.read_messages", self.broker.read_messages),
            ("broker.read_bytes", self.broker.read_bytes.bytes()),
            ("broker.send_messages", self.broker.send_messages),
            ("broker.send_bytes", self.broker.send_bytes.bytes()),
            ("cluster.tasks", self.cluster.tasks),
            ("cluster.hold_activities", self.cluster.hold_activities),
            ("cluster.hold_bytes", self.cluster.hold_bytes.bytes()),
            ("ingest.queue_bytes", self.ingest.queue_bytes.bytes()),
            ("redact.max_depth", self.redact.max_depth),
            ("redact.max_text", self.redact.max_text.bytes()),
            ("telemetry.queue_spans", self.telemetry.queue_spans),
            ("writer.lanes", self.writer.lanes),
            ("hub.ring_activities", self.hub.ring_activities),
            ("hub.ring_bytes", self.hub.ring_bytes.bytes()),
            ("hub.cold_reads", self.hub.cold_reads),
            ("hub.page_activities", self.hub.page_activities),
            ("hub.page_bytes", self.hub.page_bytes.bytes()),
            ("session.queue_frames", self.session.queue_frames),
            ("session.queue_bytes", self.session.queue_bytes.bytes()),
            ("http.body_bytes", self.http.body_bytes.bytes()),
            ("http.connections", self.http.connections),
            ("limits.activity", self.limits.activity.bytes()),
            ("limits.request_activities", self.limits.request_activities),
            ("limits.subscriptions", self.limits.subscriptions),
            ("limits.json_depth", self.limits.json_depth),
            ("limits.number_chars", self.limits.number_chars),
        ];
        if let Some((key, _)) = counts.iter().find(|(_, value)| *value == 0) {
            return bad(format!("{key} must be at least 1"));
        }
        if let Some((key, _)) = counts.iter().find(|(_, value)| MOST < *value) {
            return bad(format!("{key} must be at most {MOST}"));
        }
        if MOST_REDACT_DEPTH < self.redact.max_depth {
            return bad(format!("redact.max_depth must be at most {MOST_REDACT_DEPTH}"));
        }
        if !(0. ..=1.).contains(&self.telemetry.sample_ratio) {
            return bad(format!("telemetry.sample_ratio = {} must be from 0 to 1", self.telemetry.sample_ratio));
        }
        Ok(())
    }

    /// Times that must not be too short.
    fn validate_spans(&self) -> Result<(), ConfigError> {
        let spans = [
            ("audit.interval", self.audit.interval),
            ("writer.heartbeat_interval", self.writer.heartbeat_interval),
            ("broker.connect_timeout", self.broker.connect_timeout),
            ("broker.response_timeout", self.broker.response_timeout),
            ("broker.probe_interval", self.broker.probe_interval),
            ("cluster.beat_interval", self.cluster.beat_interval),
            ("cluster.lease_timeout", self.cluster.lease_timeout),
            ("reconciler.interval", self.reconciler.interval),
            ("ingest.idle_timeout", self.ingest.idle_timeout),
            ("telemetry.export_interval", self.telemetry.export_interval),
            ("telemetry.export_timeout", self.telemetry.export_timeout),
            ("hub.resync_interval", self.hub.resync_interval),
            ("hub.list_interval", self.hub.list_interval),
            ("retention.interval", self.retention.interval),
            ("session.heartbeat", self.session.heartbeat),
            ("session.idle_timeout", self.session.idle_timeout),
            ("session.write_timeout", self.session.write_timeout),
            ("session.message_timeout", self.session.message_timeout),
        ];
        if let Some((key, _)) = spans.iter().find(|(_, span)| span.get() < Duration::from_millis(10)) {
            return bad(format!("{key} must be at least 10ms"));
        }
        if !ENVELOPE_WINDOW.contains(&self.ingest.envelope_window.get()) {
            return bad("ingest.envelope_window must be from 1s to 1h");
        }
        Ok(())
    }

    /// Times that go with others.
    fn validate_times(&self) -> Result<(), ConfigError> {
        if self.broker.probe_timeout.get() < self.broker.probe_interval.get() * 2 {
            return bad("broker.probe_timeout must be at least twice broker.probe_interval");
        }
        if self.cluster.member_timeout.get() < self.cluster.beat_interval.get() * 3 {
            return bad("cluster.member_timeout must be at least three times cluster.beat_interval");
        }
        if LONGEST_LEASE < self.cluster.lease_timeout.get() {
            return bad("cluster.lease_timeout must be at most 10m");
        }
        for (key, span) in [
            ("reconciler.orphan_after", self.reconciler.orphan_after),
            ("reconciler.pending_orphan_after", self.reconciler.pending_orphan_after),
        ] {
            let least = self.cluster.lease_timeout.get().max(self.writer.heartbeat_interval.get()) * 3;
            if !span.get().is_zero() && span.get() < least {
                return bad(format!(
                    "{key} must be 0, or at least three times cluster.lease_timeout and writer.heartbeat_interval"
                ));
            }
        }
        if self.reconciler.heartbeat_stalled_after.get() < self.writer.heartbeat_interval.get() * 3 {
            return bad("reconciler.heartbeat_stalled_after must be at least three times writer.heartbeat_interval");
        }
        Ok(())
    }

    /// Where Redis is, as configured.
    pub(super) fn redis_address(&self) -> Result<RedisAddress, ConfigError> {
        let bad = |key: &str, error| ConfigError::BadValue(format!("{key} is not understood: {error}"));
        let address: RedisAddress = self.broker.url.parse().map_err(|error| bad("broker.url", error))?;
        if self.broker.ca_file.is_empty() {
            return Ok(address);
        }
        address.with_authorities(self.broker.ca_file.as_ref()).map_err(|error| bad("broker.ca_file", error))
    }
}
