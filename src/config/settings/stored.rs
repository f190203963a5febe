//! The log and its way into the store.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::config::{List, Size, Span};

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
    /// `[store]`
    StoreSettings {
        /// The database: `sqlite://PATH` for one node, `postgres://…` for many.
        url: String = "sqlite://data/tasklight.db".to_owned(),
        /// A file with that URL, so that its password is in no environment; blanks around it do not count.
        url_file: String = String::new(),
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
        /// `full`: a receipt survives a power cut. `normal` (SQLite only): it survives `kill -9` only; commits are faster.
        synchronous: String = "full".to_owned(),
        /// Bring the schema up to date at start.
        migrate: bool = true,
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
        /// The most bytes of frames in a task's ring. In all it takes up to three times that where activities come one a commit.
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
