//! Every order in which the threads of a hub may touch what they share: a log with its ring, its audience, and a follower. The files are the program's
//! own; only what they take from `src/sync.rs` is loom's here. `docs/model.md` says what is tried and what is written anew.

/// Files of the program, as they are.
#[allow(dead_code, unused_imports, missing_docs)]
#[path = "../../../src"]
mod program {
    pub(crate) mod model;
}

/// The files that are tried, and what they need of `src/hub.rs`.
#[allow(dead_code, missing_docs)]
#[path = "../../../src/hub"]
mod hub {
    mod audience;
    mod follower;
    mod log;
    mod step;

    #[path = "../../tests/loom/src/stage.rs"]
    pub mod stage;

    mod fetch {
        /// Nothing is fetched here.
        #[derive(Debug)]
        pub(crate) enum Arrival {}
    }

    use std::time::Duration;

    use crate::model::{FrameBatch, LogState, Offset};
    use log::View;
    use step::{Otherwise, Start, Step};

    #[derive(Debug, Clone)]
    pub struct HubOptions {
        pub ring_activities: usize,
        pub ring_bytes: usize,
        pub linger: Duration,
        pub page_activities: usize,
        pub page_bytes: usize,
    }

    #[derive(Debug, Clone)]
    pub struct ColdPage {
        pub(crate) state: Option<LogState>,
        pub(crate) through: Offset,
        pub(crate) batches: Vec<FrameBatch>,
    }
}

mod sync;

#[allow(dead_code, missing_docs)]
mod store {
    use crate::model::{Filter, Offset};

    #[derive(Debug, Clone)]
    pub struct ReadAfter {
        pub after: Offset,
        pub limit: usize,
        pub bytes: usize,
        pub window: u64,
        pub filter: Filter,
    }
}

#[allow(missing_docs)]
mod metrics {
    use prometheus_client::metrics::counter::Counter;

    #[derive(Debug, Default)]
    pub struct Resumes {
        pub recovered: Counter,
        pub reset: Counter,
        pub truncated: Counter,
    }

    #[derive(Debug, Default)]
    pub struct Metrics {
        pub resumes: Resumes,
    }
}

pub use hub::stage;
use program::model;
