//! Every key with its default and its meaning, what values may be, and what the modules make of them.

use std::{collections::BTreeMap, net::SocketAddr, time::Duration};

use serde::{Deserialize, Serialize};

use super::{ConfigError, List, Size, Span};
use crate::{
    hub::HubOptions, ingest::IngestLimits, model::JsonLimits, session::SessionOptions, store::StoreOptions, writer::WriterOptions,
};

macro_rules! settings {
    ($(#[$outer:meta])* $name:ident { $($(#[doc = $doc:literal])+ $field:ident: $type:ty = $default:expr,)* }) => {
        $(#[$outer])*
        #[derive(Debug, Clone, Serialize, Deserialize)]
        #[serde(default, deny_unknown_fields)]
        pub struct $name {
            $($(#[doc = $doc])+ pub $field: $type,)*
        }

        impl Default for $name {
            fn default() -> Self {
                Self { $($field: $default,)* }
            }
        }

        impl $name {
            /// Each key of this section and what it means.
            fn describe(section: &str, into: &mut BTreeMap<String, String>) {
                $(into.insert(format!("{section}{}", stringify!($field)), concat!($($doc),+).trim().to_owned());)*
            }
        }
    };
}

settings! {
    /// Everything that can be configured, as it is written in `tasklight.toml`.
    Settings {
        /// Where the API, the streams and the page are served.
        listen: SocketAddr = SocketAddr::from(([127, 0, 0, 1], 8080)),
        /// Where /healthz, /readyz and /metrics are served.
        admin_listen: SocketAddr = SocketAddr::from(([127, 0, 0, 1], 9090)),
        /// Allow listening beyond loopback although everyone who reaches the port may read and write.
        insecure_listen: bool = false,
        /// The durable truth.
        store: StoreSettings = StoreSettings::default(),
        /// This process.
        node: NodeSettings = NodeSettings::default(),
        /// What it logs.
        log: LogSettings = LogSettings::default(),
        /// The queue in front of the store.
        writer: WriterSettings = WriterSettings::default(),
        /// The rings of watched tasks.
        hub: HubSettings = HubSettings::default(),
        /// Viewers' connections.
        session: SessionSettings = SessionSettings::default(),
        /// The HTTP server.
        http: HttpSettings = HttpSettings::default(),
        /// What publishers may send.
        limits: LimitSettings = LimitSettings::default(),
        /// When silence means something.
        reconciler: ReconcilerSettings = ReconcilerSettings::default(),
    }
}

settings! {
    /// `[store]`
    StoreSettings {
        /// The database: `sqlite://PATH`.
        url: String = "sqlite://data/tasklight.db".to_owned(),
        /// Connections for reading.
        readers: u32 = 4,
        /// How long a statement waits for another process's lock.
        busy_timeout: Span = Span::seconds(5),
        /// `full`: a receipt survives a power cut. `normal`: it survives `kill -9` only; commits are faster.
        synchronous: String = "full".to_owned(),
        /// Bring the schema up to date at start.
        migrate: bool = true,
    }
}

settings! {
    /// `[node]`
    NodeSettings {
        /// The node's name; empty for host name and process id.
        id: String = String::new(),
        /// How long an orderly stop may take; then the process exits all the same.
        stop_timeout: Span = Span::seconds(20),
    }
}

settings! {
    /// `[log]`
    LogSettings {
        /// `pretty`, `json`, or `auto`: pretty on a terminal.
        format: String = "auto".to_owned(),
        /// Which events, as in RUST_LOG: `info`, `tasklight=debug,warn`.
        level: String = "info".to_owned(),
    }
}

settings! {
    /// `[writer]`
    WriterSettings {
        /// The most activities that wait for their commit.
        queue_activities: usize = 50_000,
        /// The most bytes that wait for their commit.
        queue_bytes: Size = Size::mebibytes(32),
        /// The most activities in one commit.
        batch_activities: usize = 4_096,
        /// How long a publisher waits for room in the queue before it is told to come back.
        admit_timeout: Span = Span::seconds(2),
        /// How long a publisher waits for its commit before it is told that the outcome is unknown.
        commit_timeout: Span = Span::seconds(15),
        /// How often heartbeats are written.
        heartbeat_interval: Span = Span::seconds(5),
        /// The most invocations whose heartbeats wait to be written.
        heartbeats: usize = 100_000,
    }
}

settings! {
    /// `[hub]`
    HubSettings {
        /// The most activities in a task's ring.
        ring_activities: usize = 4_096,
        /// The most bytes in a task's ring.
        ring_bytes: Size = Size::mebibytes(2),
        /// How long a ring is kept after its last viewer.
        linger: Span = Span::seconds(30),
        /// How often the heads of watched tasks are compared with the store.
        resync_interval: Span = Span::seconds(5),
        /// How many reads of old activities run at once.
        cold_reads: usize = 4,
        /// The most activities in one such read.
        page_activities: usize = 512,
        /// The most bytes in one such read.
        page_bytes: Size = Size::kibibytes(256),
        /// How often changes are sent to viewers of the list of tasks.
        list_interval: Span = Span::millis(250),
    }
}

settings! {
    /// `[session]`
    SessionSettings {
        /// The most frames that wait to be written to one viewer.
        queue_frames: usize = 256,
        /// The most bytes that wait to be written to one viewer.
        queue_bytes: Size = Size::kibibytes(256),
        /// How often pings and heartbeats are sent.
        heartbeat: Span = Span::seconds(25),
        /// A viewer that nothing was heard of for so long is closed.
        idle_timeout: Span = Span::seconds(60),
        /// A viewer that took nothing for so long is closed (4408).
        write_timeout: Span = Span::seconds(30),
        /// Over how long viewers are closed when the node stops.
        drain_spread: Span = Span::seconds(5),
        /// Within how long they are told to come back.
        reconnect_window: Span = Span::seconds(5),
    }
}

settings! {
    /// `[http]`
    HttpSettings {
        /// Origins besides the hub's own whose pages may connect, such as `https://dash.example.com`.
        origins: List = List::default(),
        /// How long a request's headers may take to arrive.
        header_timeout: Span = Span::seconds(10),
        /// How long a request's body may take to arrive.
        body_timeout: Span = Span::seconds(30),
        /// The most bytes of bodies that are read at once; more wait.
        body_bytes: Size = Size::mebibytes(64),
        /// The most connections at once; more are not accepted until some end.
        connections: usize = 15_000,
    }
}

settings! {
    /// `[limits]`
    LimitSettings {
        /// The most bytes of an activity.
        activity: Size = Size::kibibytes(64),
        /// The most activities in a request.
        request_activities: usize = 1_000,
        /// The most bytes of a request.
        request: Size = Size::mebibytes(4),
        /// The most tasks that one socket follows.
        subscriptions: usize = 256,
        /// The most bytes of a frame from a client.
        frame: Size = Size::kibibytes(64),
        /// The deepest nesting of a payload.
        json_depth: usize = 64,
        /// The most characters of a number in a payload.
        number_chars: usize = 64,
    }
}

settings! {
    /// `[reconciler]`
    ReconcilerSettings {
        /// A running invocation that nothing was heard of for so long is shown as stalled.
        stalled_after: Span = Span::seconds(300),
    }
}

impl Settings {
    /// Each key and what it means.
    pub fn reference() -> BTreeMap<String, String> {
        let mut all = BTreeMap::new();
        Self::describe("", &mut all);
        StoreSettings::describe("store.", &mut all);
        NodeSettings::describe("node.", &mut all);
        LogSettings::describe("log.", &mut all);
        WriterSettings::describe("writer.", &mut all);
        HubSettings::describe("hub.", &mut all);
        SessionSettings::describe("session.", &mut all);
        HttpSettings::describe("http.", &mut all);
        LimitSettings::describe("limits.", &mut all);
        ReconcilerSettings::describe("reconciler.", &mut all);
        all
    }

    /// Refuses values that make no sense by themselves or together.
    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        let bad = |text: String| Err(ConfigError::BadValue(text));
        if !self.insecure_listen {
            for (key, address) in [("listen", self.listen), ("admin_listen", self.admin_listen)] {
                if !address.ip().is_loopback() {
                    return bad(format!(
                        "{key} = {address} is reachable from other machines, and without access control whoever reaches it may read \
                         and write everything: use 127.0.0.1, or say --insecure-listen if the network around it is trusted"
                    ));
                }
            }
        }
        if !matches!(self.log.format.as_str(), "auto" | "pretty" | "json") {
            return bad(format!("log.format = {:?} must be pretty, json or auto", self.log.format));
        }
        if !matches!(self.store.synchronous.as_str(), "full" | "normal") {
            return bad(format!("store.synchronous = {:?} must be full or normal", self.store.synchronous));
        }
        let counts = [
            ("writer.queue_activities", self.writer.queue_activities),
            ("writer.queue_bytes", self.writer.queue_bytes.bytes()),
            ("writer.batch_activities", self.writer.batch_activities),
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
        let spans = [
            ("writer.heartbeat_interval", self.writer.heartbeat_interval),
            ("hub.resync_interval", self.hub.resync_interval),
            ("hub.list_interval", self.hub.list_interval),
            ("session.heartbeat", self.session.heartbeat),
            ("session.idle_timeout", self.session.idle_timeout),
            ("session.write_timeout", self.session.write_timeout),
        ];
        if let Some((key, _)) = spans.iter().find(|(_, span)| span.get() < Duration::from_millis(10)) {
            return bad(format!("{key} must be at least 10ms"));
        }
        if self.http.body_bytes.bytes() < self.limits.request.bytes() {
            return bad("http.body_bytes must be at least limits.request: no body would ever be read".to_owned());
        }
        if self.limits.frame.bytes() < 1_024 {
            return bad("limits.frame must be at least 1KiB: a subscription must fit".to_owned());
        }
        Ok(())
    }

    pub(crate) fn store_options(&self) -> StoreOptions {
        StoreOptions {
            url: self.store.url.clone(),
            readers: self.store.readers,
            busy_timeout: self.store.busy_timeout.get(),
            synchronous: self.store.synchronous == "full",
            migrate: self.store.migrate,
        }
    }

    pub(crate) fn writer_options(&self) -> WriterOptions {
        WriterOptions {
            queue_activities: self.writer.queue_activities,
            queue_bytes: self.writer.queue_bytes.bytes(),
            batch_activities: self.writer.batch_activities,
            admit_timeout: self.writer.admit_timeout.get(),
            commit_timeout: self.writer.commit_timeout.get(),
            heartbeat_interval: self.writer.heartbeat_interval.get(),
            heartbeats: self.writer.heartbeats,
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
            heartbeat: self.session.heartbeat.get(),
            idle_timeout: self.session.idle_timeout.get(),
            write_timeout: self.session.write_timeout.get(),
            drain_spread: self.session.drain_spread.get(),
            reconnect_window: self.session.reconnect_window.get(),
        }
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
