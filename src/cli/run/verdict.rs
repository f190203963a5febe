//! How a run ended: what became of the process, and what the agent said of its work. An agent that ends without a word of its own is never
//! said to have succeeded without saying so.

use super::{journal::StatusData, signals};
use crate::{
    cli::run::signals::Ending,
    formats::{Evidence, Format, gemini_exit},
    model::Status,
};

/// The reason of a run whose agent never said how it went.
const UNCONFIRMED: &str = "ended, unconfirmed";

/// The reason of a run that ended in the middle of its work.
const INTERRUPTED: &str = "interrupted";

/// Whether somebody asked the command to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wish {
    /// Nobody did.
    None,
    /// Somebody did, and it ended by itself.
    Heard,
    /// It ended by the signal that asked for it.
    Followed,
}

/// What was heard of an agent by the end of its output.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Heard {
    /// The format, if it is known.
    pub format: Option<Format>,
    /// How the agent says that it went.
    pub evidence: Evidence,
    /// The last error that it spoke of.
    pub last_error: Option<String>,
}

/// The last status of a command that ended like this.
pub(super) fn of_command(ending: Ending, wish: Wish, heard: &Heard) -> StatusData {
    let is_open = heard.is_agent() && matches!(heard.evidence, Evidence::None | Evidence::Unfinished);
    let (status, reason) = match ending {
        Ending::Killed(number) => {
            let status = if wish == Wish::Followed { Status::Cancelled } else { Status::Failed };
            (status, Some(format!("killed by {}", signals::name(number))))
        }
        Ending::Exited(_) if wish == Wish::Followed => (Status::Cancelled, None),
        // An agent that was asked to end, and ended without a word.
        Ending::Exited(_) if wish == Wish::Heard && is_open => (Status::Cancelled, Some(INTERRUPTED.to_owned())),
        Ending::Exited(0) => of_words(heard),
        Ending::Exited(code) => (Status::Failed, why(code, heard)),
    };
    StatusData { status: Some(status), exit_code: Some(ending.exit_code()), reason, ..StatusData::default() }
}

/// The last status of a stream whose program is not known: by what it said alone.
pub(super) fn of_stream(heard: &Heard) -> StatusData {
    let (status, reason) = of_words(heard);
    StatusData { status: Some(status), reason, ..StatusData::default() }
}

impl Heard {
    fn is_agent(&self) -> bool {
        self.format.is_some_and(Format::is_agent)
    }
}

fn of_words(heard: &Heard) -> (Status, Option<String>) {
    match &heard.evidence {
        Evidence::Success => (Status::Completed, None),
        Evidence::Failure(reason) => (Status::Failed, Some(reason.clone())),
        Evidence::Unfinished => (Status::Failed, Some(with_error(INTERRUPTED, heard))),
        Evidence::None if heard.is_agent() => (Status::Completed, Some(with_error(UNCONFIRMED, heard))),
        Evidence::None => (Status::Completed, None),
    }
}

/// Why it failed, as far as anybody said.
fn why(code: u8, heard: &Heard) -> Option<String> {
    let by_code = || if heard.format == Some(Format::Gemini) { gemini_exit(code).map(str::to_owned) } else { None };
    match &heard.evidence {
        Evidence::Failure(reason) => Some(reason.clone()),
        Evidence::Unfinished => Some(heard.last_error.clone().or_else(by_code).unwrap_or_else(|| INTERRUPTED.to_owned())),
        Evidence::Success | Evidence::None => by_code().or_else(|| heard.last_error.clone()),
    }
}

fn with_error(words: &str, heard: &Heard) -> String {
    match &heard.last_error {
        Some(error) => format!("{words}; last error: {error}"),
        None => words.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(format: Option<Format>, evidence: Evidence, last_error: Option<&str>) -> Heard {
        Heard { format, evidence, last_error: last_error.map(str::to_owned) }
    }

    #[test]
    fn a_status_needs_evidence() {
        let (exited, killed) = (Ending::Exited, Ending::Killed);
        let failure = || Evidence::Failure("no credit".to_owned());
        let claude = Some(Format::Claude);
        for (ending, wish, heard, status, reason) in [
            (exited(0), Wish::None, heard(None, Evidence::None, None), Status::Completed, None),
            (exited(0), Wish::None, heard(Some(Format::Jsonl), Evidence::None, None), Status::Completed, None),
            (exited(0), Wish::None, heard(claude, Evidence::Success, None), Status::Completed, None),
            (exited(0), Wish::None, heard(claude, failure(), None), Status::Failed, Some("no credit")),
            (exited(0), Wish::None, heard(claude, Evidence::None, None), Status::Completed, Some("ended, unconfirmed")),
            (
                exited(0),
                Wish::None,
                heard(claude, Evidence::None, Some("overloaded")),
                Status::Completed,
                Some("ended, unconfirmed; last error: overloaded"),
            ),
            (exited(0), Wish::None, heard(Some(Format::Codex), Evidence::Unfinished, None), Status::Failed, Some("interrupted")),
            (exited(3), Wish::None, heard(None, Evidence::None, None), Status::Failed, None),
            (exited(1), Wish::None, heard(claude, failure(), Some("other")), Status::Failed, Some("no credit")),
            (exited(1), Wish::None, heard(claude, Evidence::Success, None), Status::Failed, None),
            (exited(1), Wish::None, heard(claude, Evidence::None, Some("boom")), Status::Failed, Some("boom")),
            (exited(1), Wish::None, heard(Some(Format::Codex), Evidence::Unfinished, None), Status::Failed, Some("interrupted")),
            (
                exited(53),
                Wish::None,
                heard(Some(Format::Gemini), Evidence::None, None),
                Status::Failed,
                Some("the limit of turns was reached"),
            ),
            (exited(143), Wish::Followed, heard(claude, Evidence::None, None), Status::Cancelled, None),
            (exited(0), Wish::Heard, heard(claude, Evidence::None, None), Status::Cancelled, Some("interrupted")),
            (
                exited(1),
                Wish::Heard,
                heard(Some(Format::Codex), Evidence::Unfinished, None),
                Status::Cancelled,
                Some("interrupted"),
            ),
            (exited(0), Wish::Heard, heard(claude, Evidence::Success, None), Status::Completed, None),
            (exited(7), Wish::Heard, heard(None, Evidence::None, None), Status::Failed, None),
            (killed(9), Wish::None, heard(claude, Evidence::Success, None), Status::Failed, Some("killed by SIGKILL")),
            (killed(15), Wish::Followed, heard(claude, Evidence::Unfinished, None), Status::Cancelled, Some("killed by SIGTERM")),
        ] {
            let last = of_command(ending, wish, &heard);
            let told = (last.status, last.reason.as_deref(), last.exit_code);
            assert_eq!(told, (Some(status), reason, Some(ending.exit_code())), "{ending:?} {heard:?}");
        }
        assert_eq!(of_stream(&heard(claude, Evidence::Success, None)).status, Some(Status::Completed));
        assert_eq!(of_stream(&heard(claude, Evidence::None, None)).reason.as_deref(), Some("ended, unconfirmed"));
    }
}
