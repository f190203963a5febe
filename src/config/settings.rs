//! Every key with its default and its meaning.

use std::{collections::BTreeMap, net::SocketAddr};

use serde::{Deserialize, Serialize};

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
            pub(super) fn describe(section: &str, into: &mut BTreeMap<String, String>) {
                $(into.insert(format!("{section}{}", stringify!($field)), concat!($($doc),+).trim().to_owned());)*
            }
        }
    };
}

mod nodes;
mod operations;
mod serving;
mod stored;

pub use self::{
    nodes::{BrokerSettings, ClusterSettings, IngestSettings},
    operations::{LogSettings, NodeSettings, ReconcilerSettings, TelemetrySettings},
    serving::{AuthSettings, HttpSettings, LimitSettings, SessionSettings},
    stored::{HubSettings, RedactSettings, StoreSettings, WriterSettings},
};

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
        /// Where its traces go.
        telemetry: TelemetrySettings = TelemetrySettings::default(),
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
        TelemetrySettings::describe("telemetry.", &mut all);
        WriterSettings::describe("writer.", &mut all);
        HubSettings::describe("hub.", &mut all);
        SessionSettings::describe("session.", &mut all);
        HttpSettings::describe("http.", &mut all);
        LimitSettings::describe("limits.", &mut all);
        ReconcilerSettings::describe("reconciler.", &mut all);
        all
    }
}
