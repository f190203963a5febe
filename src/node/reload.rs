//! What of a configuration can change while a node runs: rules of redaction, and limits of addresses and subjects. Files of keys are looked at by those
//! who use them; everything else takes a restart.

use super::Node;
use crate::config::{ConfigError, Settings};

/// The keys, or how they begin, whose new values hold at once.
const TAKEN_UP: [&str; 9] = [
    "log.level",
    "redact.enabled",
    "redact.rules",
    "redact.disable",
    "redact.keys_",
    "limits.connections_per_address",
    "limits.sessions_per_subject",
    "limits.publishes_per_second",
    "limits.cold_reads_per_second",
];

/// What has become of a new configuration, by the keys that are others than at the start.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Reloaded {
    /// What holds now.
    pub taken_up: Vec<String>,
    /// What takes a restart.
    pub left: Vec<String>,
}

impl Reloaded {
    fn between(started: &Settings, new: &Settings) -> Self {
        let is_taken_up = |key: &String| TAKEN_UP.iter().any(|known| key.starts_with(known));
        let (taken_up, left) = new.changed(started).into_iter().partition(is_taken_up);
        Self { taken_up, left }
    }
}

impl Node {
    /// Takes up what can be taken up of `new`, all of it or, if a rule of redaction is no good, nothing. Logging is the process's own: `log.level` is
    /// told as taken up, and changed by whoever started the log. Files of rules are read again even if no key has changed.
    pub fn reload(&self, started: &Settings, new: &Settings) -> Result<Reloaded, ConfigError> {
        let redactor = new.redactor().map_err(|error| ConfigError::BadValue(error.to_string()))?;
        self.redaction.replace(redactor);
        self.bounds.change(new.limit_options());
        Ok(Reloaded::between(started, new))
    }
}
