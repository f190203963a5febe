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
            pub(super) fn describe(section: &str, into: &mut BTreeMap<String, $crate::config::settings::Meaning>) {
                $(into.insert(
                    format!("{section}{}", stringify!($field)),
                    $crate::config::settings::Meaning { text: concat!($($doc),+).trim().to_owned(), form: $crate::config::settings::form(stringify!($type)) },
                );)*
            }
        }
    };
}

/// What a key means, and what its values look like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Meaning {
    /// Its meaning, in a sentence.
    pub text: String,
    /// Which form its value has; empty for a section.
    pub form: &'static str,
}

/// What people call the form of a type's values.
fn form(kind: &str) -> &'static str {
    match kind {
        "Span" => "duration",
        "Size" => "size",
        "List" => "list",
        "Hidden" => "secret",
        "Endpoints" | "RetentionRules" => "tables",
        "String" => "text",
        "bool" => "`true`, `false`",
        "SocketAddr" => "address",
        "f32" | "f64" => "number",
        _ if kind.starts_with(['u', 'i']) => "integer",
        _ => "",
    }
}

mod nodes;
mod operations;
mod retention;
mod serving;
mod stored;
mod webhooks;

pub use self::{
    nodes::{BrokerSettings, ClusterSettings, IngestSettings},
    operations::{AuditSettings, LogSettings, NodeSettings, ReconcilerSettings, TelemetrySettings},
    retention::{RetentionRule, RetentionRules, RetentionSettings},
    serving::{AuthSettings, HttpSettings, LimitSettings, SessionSettings, TlsSettings},
    stored::{HubSettings, RedactSettings, StoreSettings, WriterSettings},
    webhooks::{EndpointSettings, WebhookSettings},
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
        /// Allow `admin_listen` beyond loopback: whoever reaches it sees health and metrics, with or without a token.
        insecure_admin_listen: bool = false,
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
        /// Who did what.
        audit: AuditSettings = AuditSettings::default(),
        /// The hub's own TLS, and clients' certificates.
        tls: TlsSettings = TlsSettings::default(),
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
        /// What is kept no longer.
        retention: RetentionSettings = RetentionSettings::default(),
        /// Who is told by HTTP what becomes of runs.
        webhooks: WebhookSettings = WebhookSettings::default(),
    }
}

impl Settings {
    /// Each key and what it means.
    pub fn reference() -> BTreeMap<String, Meaning> {
        let mut all = BTreeMap::new();
        Self::describe("", &mut all);
        BrokerSettings::describe("broker.", &mut all);
        ClusterSettings::describe("cluster.", &mut all);
        IngestSettings::describe("ingest.", &mut all);
        RedactSettings::describe("redact.", &mut all);
        AuthSettings::describe("auth.", &mut all);
        AuditSettings::describe("audit.", &mut all);
        TlsSettings::describe("tls.", &mut all);
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
        RetentionSettings::describe("retention.", &mut all);
        WebhookSettings::describe("webhooks.", &mut all);
        all
    }
}
