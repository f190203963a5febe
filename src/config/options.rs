//! What the modules make of the values.

use super::{ConfigError, Settings};
use crate::{
    broker::{CommandOptions, LinkOptions, OutboxOptions, RedisOptions},
    cluster::OwnershipOptions,
    hub::HubOptions,
    ingest::{ChannelOptions, EnvelopeOptions, IngestLimits, Sealing},
    jobs::{Patience, ReconcilerOptions},
    limits::{LimitOptions, Proxies, Rate},
    model::{JsonLimits, StalledAfter},
    redact::{CarryLimits, RedactOptions, Redactor, RuleError},
    session::SessionOptions,
    store::StoreOptions,
    telemetry::{LogFormat, LogOptions, TracerOptions},
    writer::WriterOptions,
};

impl Settings {
    pub(crate) fn store_options(&self) -> StoreOptions {
        StoreOptions {
            url: self.store.url.clone(),
            readers: self.store.readers,
            writers: self.writer.lanes,
            busy_timeout: self.store.busy_timeout.get(),
            statement_timeout: self.store.statement_timeout.get(),
            connect_timeout: self.store.connect_timeout.get(),
            start_timeout: self.store.start_timeout.get(),
            synchronous: self.store.synchronous == "full",
            migrate: self.store.migrate,
            stalled_after: StalledAfter {
                idle: self.reconciler.stalled_after.get(),
                tool: self.reconciler.tool_stalled_after.get(),
                heartbeat: self.reconciler.heartbeat_stalled_after.get(),
            },
        }
    }

    pub(crate) fn reconciler_options(&self) -> ReconcilerOptions {
        let (running, pending) = (self.reconciler.orphan_after.get(), self.reconciler.pending_orphan_after.get());
        ReconcilerOptions { patience: Patience { running, pending }, stalled_after: self.store_options().stalled_after }
    }

    /// What is logged, and how it is written.
    pub(crate) fn log_options(&self) -> LogOptions {
        let format = match self.log.format.as_str() {
            "pretty" => LogFormat::Pretty,
            "json" => LogFormat::Json,
            _ => LogFormat::Auto,
        };
        LogOptions { level: self.log.level.clone(), format }
    }

    /// Where traces go; nothing if nowhere.
    pub(crate) fn tracer_options(&self) -> Option<TracerOptions> {
        let telemetry = &self.telemetry;
        (!telemetry.otlp_endpoint.is_empty()).then(|| TracerOptions {
            endpoint: telemetry.otlp_endpoint.clone(),
            service_name: telemetry.service_name.clone(),
            sample_ratio: telemetry.sample_ratio,
            traces_per_second: telemetry.traces_per_second,
            queue_spans: telemetry.queue_spans,
            export_interval: telemetry.export_interval.get(),
            export_timeout: telemetry.export_timeout.get(),
        })
    }

    pub(crate) fn writer_options(&self) -> WriterOptions {
        WriterOptions {
            lanes: self.writer.lanes,
            queue_activities: self.writer.queue_activities,
            queue_bytes: self.writer.queue_bytes.bytes(),
            batch_activities: self.writer.batch_activities,
            admit_timeout: self.writer.admit_timeout.get(),
            commit_timeout: self.writer.commit_timeout.get(),
            heartbeat_interval: self.writer.heartbeat_interval.get(),
            heartbeats: self.writer.heartbeats,
        }
    }

    /// How to reach Redis; nothing if this is a single node.
    pub(crate) fn redis_options(&self) -> Result<Option<RedisOptions>, ConfigError> {
        let broker = &self.broker;
        if broker.url.is_empty() {
            return Ok(None);
        }
        let link = |name| LinkOptions {
            name,
            lane_channels: broker.lane_channels,
            queue_messages: broker.read_messages,
            queue_bytes: broker.read_bytes.bytes(),
            probe_interval: broker.probe_interval.get(),
            probe_timeout: broker.probe_timeout.get(),
            connect_timeout: broker.connect_timeout.get(),
            response_timeout: broker.response_timeout.get(),
        };
        Ok(Some(RedisOptions {
            address: self.redis_address()?,
            prefix: broker.prefix.clone(),
            commands: CommandOptions {
                pool_size: broker.pool_size,
                connect_timeout: broker.connect_timeout.get(),
                response_timeout: broker.response_timeout.get(),
            },
            feed: link("feed"),
            ingest: link("ingest"),
            outbox: OutboxOptions { messages: broker.send_messages, bytes: broker.send_bytes.bytes() },
        }))
    }

    /// What is asked of what agents publish over Redis.
    pub(crate) fn envelope_options(&self) -> EnvelopeOptions {
        let sealing = match self.ingest.envelopes.as_str() {
            "required" => Sealing::Required,
            "accepted" => Sealing::Accepted,
            _ => Sealing::Off,
        };
        let key_file = self.ingest.envelope_keys.clone().into();
        EnvelopeOptions { sealing, window: self.ingest.envelope_window.get(), key_file }
    }

    pub(crate) fn channel_options(&self) -> ChannelOptions {
        ChannelOptions {
            member_timeout: self.cluster.member_timeout.get(),
            beat_interval: self.cluster.beat_interval.get(),
            queue_bytes: self.ingest.queue_bytes.bytes(),
            idle_timeout: self.ingest.idle_timeout.get(),
            ownership: OwnershipOptions {
                tasks: self.cluster.tasks,
                hold_activities: self.cluster.hold_activities,
                hold_bytes: self.cluster.hold_bytes.bytes(),
                linger: self.cluster.linger.get(),
                return_within: self.cluster.member_timeout.get(),
            },
        }
    }

    pub(crate) fn hub_options(&self) -> HubOptions {
        HubOptions {
            ring_activities: self.hub.ring_activities,
            ring_bytes: self.hub.ring_bytes.bytes(),
            linger: self.hub.linger.get(),
            resync_interval: self.hub.resync_interval.get(),
            cold_reads: self.hub.cold_reads,
            page_activities: self.hub.page_activities,
            page_bytes: self.hub.page_bytes.bytes(),
            list_interval: self.hub.list_interval.get(),
        }
    }

    pub(crate) fn session_options(&self) -> SessionOptions {
        SessionOptions {
            queue_frames: self.session.queue_frames,
            queue_bytes: self.session.queue_bytes.bytes(),
            subscriptions: self.limits.subscriptions,
            frame_bytes: self.limits.frame.bytes(),
            frames: Rate::per_second(self.limits.frames_per_second),
            fragments: u32::try_from(self.limits.fragments).unwrap_or(u32::MAX),
            subscribes: Rate::per_second(self.limits.subscribes_per_second),
            message_timeout: self.session.message_timeout.get(),
            heartbeat: self.session.heartbeat.get(),
            idle_timeout: self.session.idle_timeout.get(),
            write_timeout: self.session.write_timeout.get(),
            drain_spread: self.session.drain_spread.get(),
            reconnect_window: self.session.reconnect_window.get(),
            long_poll: self.session.long_poll.get(),
        }
    }

    pub(crate) fn limit_options(&self) -> LimitOptions {
        let limits = &self.limits;
        LimitOptions {
            connections_per_address: limits.connections_per_address,
            sessions_per_subject: limits.sessions_per_subject,
            publishes: Rate::per_second(limits.publishes_per_second),
            cold_reads: Rate::per_second(limits.cold_reads_per_second),
        }
    }

    /// Whose word is taken for where requests come from.
    pub(crate) fn proxies(&self) -> Result<Proxies, ConfigError> {
        let bad = |word| {
            ConfigError::BadValue(format!("http.trusted_proxies: {word:?} is no network such as 10.0.0.0/8 and no address"))
        };
        Proxies::parse(self.http.trusted_proxies.words()).map_err(bad)
    }

    /// The rules that remove secrets; nothing if that is switched off.
    pub(crate) fn redactor(&self) -> Result<Option<Redactor>, RuleError> {
        let options = RedactOptions {
            files: self.redact.rules.words().iter().map(Into::into).collect(),
            disable: self.redact.disable.words().to_vec(),
            keys_deny: self.redact.keys_deny.words().to_vec(),
            keys_allow: self.redact.keys_allow.words().to_vec(),
            max_depth: self.redact.max_depth,
            max_text: self.redact.max_text.bytes(),
        };
        self.redact.enabled.then(|| Redactor::new(&options)).transpose()
    }

    pub(crate) fn carry_limits(&self) -> CarryLimits {
        CarryLimits { streams: self.redact.carry_streams, bytes: self.redact.carry_bytes.bytes() }
    }

    pub(crate) fn ingest_limits(&self) -> IngestLimits {
        IngestLimits {
            activity_bytes: self.limits.activity.bytes(),
            request_activities: self.limits.request_activities,
            request_bytes: self.limits.request.bytes(),
            json: JsonLimits { depth: self.limits.json_depth, number_chars: self.limits.number_chars },
        }
    }
}
