//! Every key with its default and its meaning.

use std::{collections::BTreeMap, net::SocketAddr};

use serde::{Deserialize, Serialize};

use super::{Hidden, List, Size, Span};

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
        /// What carries hints between nodes, and activities from agents over Redis.
        broker: BrokerSettings = BrokerSettings::default(),
        /// The nodes among themselves.
        cluster: ClusterSettings = ClusterSettings::default(),
        /// Activities from agents over Redis.
        ingest: IngestSettings = IngestSettings::default(),
        /// The secrets that are removed from what is published.
        redact: RedactSettings = RedactSettings::default(),
        /// Who may do what.
        auth: AuthSettings = AuthSettings::default(),
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
        /// The database: `sqlite://PATH` for one node, `postgres://…` for many.
        url: String = "sqlite://data/tasklight.db".to_owned(),
        /// Connections for reading.
        readers: u32 = 4,
        /// How long a statement waits for a lock of another process or node.
        busy_timeout: Span = Span::seconds(5),
        /// How long Postgres works on one statement at most.
        statement_timeout: Span = Span::seconds(15),
        /// How long connecting to Postgres may take.
        connect_timeout: Span = Span::seconds(5),
        /// How long a Postgres that does not answer is waited for at start.
        start_timeout: Span = Span::seconds(30),
        /// `full`: a receipt survives a power cut. `normal`: it survives `kill -9` only; commits are faster.
        synchronous: String = "full".to_owned(),
        /// Bring the schema up to date at start.
        migrate: bool = true,
    }
}

settings! {
    /// `[broker]`
    BrokerSettings {
        /// Where Redis is: `redis://`, `rediss://`, `redis+sentinel://` or `redis+cluster://`; empty for a single node.
        url: String = String::new(),
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

settings! {
    /// `[redact]`
    RedactSettings {
        /// Remove secrets before anything is queued, stored, shown or logged.
        enabled: bool = true,
        /// Files of further rules, in the form that gitleaks uses.
        rules: List = List::default(),
        /// Ids of rules that are not applied; `tasklight redact --list` shows them all.
        disable: List = List::default(),
        /// Names of fields and variables whose values are secrets, beside password, authorization and the like.
        keys_deny: List = List::default(),
        /// Names whose values are no secrets although they end in token or the like.
        keys_allow: List = List::default(),
        /// How deep a payload with a keyword in it is looked at; what lies deeper is replaced as a whole.
        max_depth: usize = 64,
        /// The longest text that is looked at; a longer one with a keyword in it is replaced as a whole.
        max_text: Size = Size::mebibytes(1),
        /// The most streams of output whose last piece is remembered, to find secrets that were cut in two.
        carry_streams: usize = 4_096,
        /// The most bytes of each.
        carry_bytes: Size = Size::kibibytes(1),
    }
}

settings! {
    /// `[auth]`
    AuthSettings {
        /// A secret of at least 32 bytes, shared with whoever makes tokens. Better in a file.
        hmac_secret: Hidden = Hidden::default(),
        /// A file with that secret; blanks around it do not count.
        hmac_secret_file: String = String::new(),
        /// `HS256`, `HS384` or `HS512`.
        hmac_algorithm: String = "HS256".to_owned(),
        /// Files with public keys (PEM: RSA, P-256, P-384, Ed25519) of whoever makes tokens.
        public_keys: List = List::default(),
        /// Where such keys are published as a JWK set: `https://…`, or `http://` on loopback.
        jwks_url: String = String::new(),
        /// How long fetching them may take.
        jwks_timeout: Span = Span::seconds(5),
        /// After so long they are fetched again.
        jwks_refresh: Span = Span::seconds(600),
        /// Never sooner than this, whatever keys tokens name.
        jwks_cooldown: Span = Span::seconds(30),
        /// How much longer they are believed while they cannot be fetched.
        jwks_stale: Span = Span::seconds(86_400),
        /// What the claim `iss` of tokens must be; empty if it is not looked at.
        issuer: String = String::new(),
        /// What the claim `aud` of tokens must be or have among others; empty if it is not looked at.
        audience: String = String::new(),
        /// How much the clocks of hubs and of whoever makes tokens may differ.
        leeway: Span = Span::seconds(30),
        /// A file of API keys, as `tasklight token key` prints them; read again when it changes.
        key_file: String = String::new(),
        /// How long a WebSocket that was opened without a token may take to send one.
        first_message_timeout: Span = Span::seconds(10),
        /// How often a node looks at what was revoked.
        revocation_interval: Span = Span::seconds(1),
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
        /// How many batches are committed at once, each on a connection of its own and of other tasks (Postgres).
        lanes: usize = 2,
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
        /// Threads that viewers live on; 0 for one for each processor.
        shards: usize = 0,
        /// The most frames that wait to be written to one viewer.
        queue_frames: usize = 256,
        /// The most bytes that wait to be written to one viewer.
        queue_bytes: Size = Size::kibibytes(256),
        /// How often pings and heartbeats are sent.
        heartbeat: Span = Span::seconds(25),
        /// A viewer that nothing was heard of for so long is closed.
        idle_timeout: Span = Span::seconds(60),
        /// How long a message from a viewer may take to arrive, from its first byte to its last.
        message_timeout: Span = Span::seconds(10),
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
        /// Proxies in front of the hub, as networks such as `10.0.0.0/8`: X-Forwarded-For is looked at only from them.
        trusted_proxies: List = List::default(),
        /// How long a request's headers may take to arrive, and how long a connection may wait for its next request.
        header_timeout: Span = Span::seconds(10),
        /// How long a request's body may take to arrive.
        body_timeout: Span = Span::seconds(30),
        /// The most bytes of bodies that are read at once; more wait a little and are then told to come back.
        body_bytes: Size = Size::mebibytes(64),
        /// The most connections at once; more are told to come back.
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
        /// The most fragments of a message from a client; 0 for any number.
        fragments: usize = 512,
        /// How many frames a second a client may send, pings too, and ten times as many at once; 0 for any number.
        frames_per_second: usize = 100,
        /// How often a second a socket may subscribe, and ten times as often at once; then it waits. 0 for any number.
        subscribes_per_second: usize = 50,
        /// The most connections of an IPv4 address or an IPv6 /64; 0 for any number.
        connections_per_address: usize = 12_000,
        /// The most sessions, WebSocket and SSE, of a token's subject; 0 for any number.
        sessions_per_subject: usize = 500,
        /// How many activities and changes a second a token's subject may publish, and ten times as many at once; 0 for any number.
        publishes_per_second: usize = 5_000,
        /// How often a second the store may be read for a token's subject, and ten times as often at once; 0 for any number.
        cold_reads_per_second: usize = 200,
        /// Above so much memory nothing new is taken; 0 for nine tenths of what the control group allows, if it says so.
        memory: Size = Size::mebibytes(0),
        /// The deepest nesting of a payload.
        json_depth: usize = 64,
        /// The most characters of a number in a payload.
        number_chars: usize = 64,
    }
}

settings! {
    /// `[reconciler]`
    ReconcilerSettings {
        /// A running invocation without an activity for so long is stalled, even if its heartbeats come.
        stalled_after: Span = Span::seconds(300),
        /// The same while its last activity is a tool's call.
        tool_stalled_after: Span = Span::seconds(600),
        /// An invocation whose heartbeats stopped so long ago, with no activity since, is stalled.
        heartbeat_stalled_after: Span = Span::seconds(90),
    }
}

impl Settings {
    /// Each key and what it means.
    pub fn reference() -> BTreeMap<String, String> {
        let mut all = BTreeMap::new();
        Self::describe("", &mut all);
        BrokerSettings::describe("broker.", &mut all);
        ClusterSettings::describe("cluster.", &mut all);
        IngestSettings::describe("ingest.", &mut all);
        RedactSettings::describe("redact.", &mut all);
        AuthSettings::describe("auth.", &mut all);
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
}
