//! The flags of commands that take secrets out of what they send.

use std::path::PathBuf;

use clap::Args;

use crate::redact::{Carry, CarryLimits, RedactOptions, Redactor, RuleError};

/// The most streams whose unfinished lines are remembered, and the most bytes of each.
const CARRY: CarryLimits = CarryLimits { streams: 256, bytes: 4 * 1024 };

/// Flags of `run` and `publish`.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Secrets")]
pub(crate) struct RedactArgs {
    /// Send what looks like a secret as it is, instead of [redacted:RULE]. The hub still removes it, unless it is told not to
    #[arg(long)]
    no_redact: bool,
    /// A file of further rules, in the form that gitleaks uses; may be given again
    #[arg(long = "redact-rules", value_name = "FILE", env = "TASKLIGHT_REDACT_RULES", value_delimiter = ',')]
    rules: Vec<PathBuf>,
}

impl RedactArgs {
    /// What takes the secrets out, as the flags say.
    pub(crate) fn scrubber(&self) -> Result<Scrubber, RuleError> {
        let options = RedactOptions { files: self.rules.clone(), ..RedactOptions::default() };
        let redactor = if self.no_redact { None } else { Some(Redactor::new(&options)?) };
        Ok(Scrubber::new(redactor))
    }
}

/// Takes secrets out of text on its way out of this host.
#[derive(Debug)]
pub(crate) struct Scrubber {
    redactor: Option<Redactor>,
    carry: Carry,
}

impl Scrubber {
    /// By these rules; by none, everything stays as it is.
    pub(crate) fn new(redactor: Option<Redactor>) -> Self {
        Self { redactor, carry: Carry::new(CARRY) }
    }

    /// A text by itself, without secrets.
    pub(crate) fn text(&self, text: String) -> String {
        self.redactor.as_ref().and_then(|redactor| redactor.text(&text)).map_or(text, |redacted| redacted.text)
    }

    /// The next piece of a stream's text, without secrets; nothing if it holds none.
    pub(crate) fn piece(&self, stream: &str, text: &str) -> Option<String> {
        self.redactor.as_ref()?.piece(stream, text.as_bytes(), &self.carry).map(|redacted| {
            // Between characters, as they were.
            String::from_utf8_lossy(&redacted.text).into_owned()
        })
    }

    /// An activity's payload without secrets; nothing if it holds none. `scope` names its invocation.
    pub(crate) fn payload(&self, data: &str, is_output: bool, scope: &str) -> Option<String> {
        let redacted = self.redactor.as_ref()?.payload(data.as_bytes(), is_output, || scope.to_owned(), &self.carry)?;
        String::from_utf8(redacted.text).ok()
    }
}
