//! The process, and what a node does by itself.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::config::Span;

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
    /// `[telemetry]`
    TelemetrySettings {
        /// Where traces are sent: a collector's OTLP over HTTP, such as `http://127.0.0.1:4318`; empty for nowhere.
        otlp_endpoint: String = String::new(),
        /// Which part of what agents publish without a `traceparent` is traced, from 0 to 1.
        sample_ratio: f64 = 0.01,
        /// The most traces that begin in a second, those that agents ask for too.
        traces_per_second: usize = 50,
        /// What the hub is called in traces.
        service_name: String = "tasklight".to_owned(),
        /// The most spans that wait to be sent; more are dropped.
        queue_spans: usize = 2_048,
        /// How long spans wait to be sent together.
        export_interval: Span = Span::seconds(2),
        /// How long sending them may take.
        export_timeout: Span = Span::seconds(5),
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
