//! Who is served, and how much of it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::config::{Hidden, List, Size, Span};

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
    /// `[tls]`
    TlsSettings {
        /// A file with the hub's certificate and those between it and an authority (PEM); empty if the hub does not speak TLS itself. Read again when it changes.
        cert_file: String = String::new(),
        /// A file with its key (PEM, without a password).
        key_file: String = String::new(),
        /// `off`, `optional` or `required`: whether clients are asked for a certificate, and whether one without is let in.
        client_auth: String = "off".to_owned(),
        /// A file of certificates (PEM) that may have signed clients' ones.
        client_ca_file: String = String::new(),
        /// A file of what clients' certificates grant, by their subject; read again when it changes.
        client_grants: String = String::new(),
        /// The oldest version that is spoken: `1.2` or `1.3`.
        min_version: String = "1.2".to_owned(),
        /// How long a handshake may take.
        handshake_timeout: Span = Span::seconds(10),
        /// How often the files are looked at.
        reload_interval: Span = Span::seconds(5),
        /// For how long browsers are told to come by TLS only, to any port of the host; 0 if they are not.
        hsts: Span = Span::seconds(0),
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
        /// Over how long viewers are closed, evenly, when the node stops.
        drain_spread: Span = Span::seconds(5),
        /// How much longer, evenly, they are told to stay away.
        reconnect_window: Span = Span::seconds(5),
        /// How long a reader of Durable Streams is left waiting for what comes next before it is told to ask again.
        long_poll: Span = Span::seconds(20),
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
        /// The most bytes of bodies that are read or wait to be stored at once; more wait a little and are then told to come back.
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
        /// Above so much memory nothing new is taken; 0 for nine tenths of what the process's control groups allow, if they say so.
        memory: Size = Size::mebibytes(0),
        /// The deepest nesting of a payload.
        json_depth: usize = 64,
        /// The most characters of a number in a payload.
        number_chars: usize = 64,
    }
}
