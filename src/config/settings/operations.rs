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
    /// `[reconciler]`
    ReconcilerSettings {
        /// A running invocation of which nothing is heard for so long, no activity and no heartbeat, is lost; 0 for never.
        orphan_after: Span = Span::seconds(1_800),
        /// The same of an invocation that is pending; 0 for never.
        pending_orphan_after: Span = Span::seconds(86_400),
        /// How often silent invocations are looked for.
        interval: Span = Span::seconds(30),
        /// A running invocation without an activity for so long is stalled, even if its heartbeats come.
        stalled_after: Span = Span::seconds(300),
        /// The same while its last activity is a tool's call.
        tool_stalled_after: Span = Span::seconds(600),
        /// An invocation whose heartbeats stopped so long ago, with no activity since, is stalled.
        heartbeat_stalled_after: Span = Span::seconds(90),
    }
}
