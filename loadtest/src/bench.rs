//! What every measurement is given: the program, the servers, and how much time there is.

use std::{path::PathBuf, time::Duration};

use anyhow::Context;

use super::services::Services;

/// What a run works with.
#[derive(Debug)]
pub struct Bench {
    /// The hub's program.
    pub binary: PathBuf,
    /// Whether seconds must be enough for everything: the figures are rough.
    pub quick: bool,
    /// A Redis and a Postgres, where there are any.
    services: Option<Services>,
}

impl Bench {
    pub fn new(binary: PathBuf, quick: bool, services: Option<Services>) -> Self {
        Self { binary, quick, services }
    }

    /// The servers, for what cannot do without.
    pub fn services(&self) -> anyhow::Result<&Services> {
        self.services.as_ref().context("this needs a Redis and a Postgres: run it by `bash tests/services.sh COMMAND`")
    }

    /// The servers, for what is measured on SQLite otherwise.
    pub fn services_if_any(&self) -> Option<&Services> {
        self.services.as_ref()
    }

    /// How long something is measured: this many seconds, or one when all must be quick.
    pub fn seconds(&self, seconds: u64) -> Duration {
        Duration::from_secs(if self.quick { seconds.min(1) } else { seconds })
    }

    /// How many of something there are: so many, or a tenth when all must be quick.
    pub fn count(&self, count: usize) -> usize {
        if self.quick { count.div_ceil(10) } else { count }
    }
}
