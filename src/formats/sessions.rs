//! Sessions as agents keep them on disk: what was said and done, with the times at which it was, after the fact.
//!
//! They are not what agents print: Claude's files have the messages of its stream and much bookkeeping between them, Codex's say most things twice, Gemini's
//! are one document. What they become is the same. Of how a session ended they seldom tell.

mod claude;
mod codex;
mod gemini;
mod project;

use serde_json::Value;

use super::{Draft, Format, Line, Tally, line};
use crate::model::{InvocationId, Status};

pub use project::task_of as project_task;

/// How many lines at the beginning of a file are looked at to find out whose it is.
const LOOK_LINES: usize = 200;

/// Whose session a file is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionHead {
    /// Claude, Codex or Gemini.
    pub agent: Format,
    /// The session's own id; of a sub-agent, with its own behind a slash.
    pub session: String,
    /// Where the agent worked, if the file says so.
    pub cwd: Option<String>,
}

/// How a session ended and what it was about, as far as its file tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionEnd {
    /// Where it stands.
    pub status: Status,
    /// Why.
    pub reason: String,
    /// What it was about: its own title, or how the first prompt begins.
    pub title: Option<String>,
}

/// What a file says of itself in its first bytes. Nothing if it is no session of an agent that is known.
pub fn session_head(beginning: &[u8]) -> Option<SessionHead> {
    let text = String::from_utf8_lossy(beginning);
    if let Some(head) = gemini::head(&text) {
        return Some(head);
    }
    let mut found: Option<SessionHead> = None;
    for value in text.lines().take(LOOK_LINES).filter_map(|text| serde_json::from_str::<Value>(text).ok()) {
        let cwd = value["cwd"].as_str().filter(|cwd| !cwd.is_empty()).map(str::to_owned);
        if let Some(head) = codex::head(&value) {
            return Some(head);
        }
        if let (None, Some(session)) = (&found, claude::session(&value)) {
            found = Some(SessionHead { agent: Format::Claude, session, cwd: None });
        }
        if let (Some(head), Some(cwd)) = (&mut found, cwd) {
            head.cwd = Some(cwd);
            break;
        }
    }
    found
}

/// Reads the lines of one session's file.
#[derive(Debug)]
pub struct SessionReader(Kind);

#[derive(Debug)]
enum Kind {
    Claude(Box<claude::Session>),
    Codex(Box<codex::Session>),
    Gemini(Box<gemini::Session>),
}

impl SessionReader {
    /// A reader for the file that begins so.
    pub fn new(head: &SessionHead, invocation: &InvocationId) -> Self {
        Self(match head.agent {
            Format::Codex => Kind::Codex(Box::new(codex::Session::new(invocation))),
            Format::Gemini => Kind::Gemini(Box::new(gemini::Session::new(invocation))),
            _ => Kind::Claude(Box::new(claude::Session::new(invocation))),
        })
    }

    /// What the line with this number says. Numbers count from 1 and include blank lines.
    pub fn line(&mut self, number: u64, line: Line<'_>) -> Vec<Draft> {
        match &mut self.0 {
            Kind::Claude(session) => session.line(number, line),
            Kind::Codex(session) => session.line(number, line),
            Kind::Gemini(session) => session.line(line),
        }
    }

    /// The end of the file: what was still open, and what all lines add up to.
    pub fn finish(&mut self) -> Vec<Draft> {
        match &mut self.0 {
            Kind::Claude(session) => session.finish(),
            Kind::Codex(session) => session.finish(),
            Kind::Gemini(session) => session.finish(),
        }
    }

    /// How it ended; to be asked at the end.
    pub fn end(&self) -> SessionEnd {
        match &self.0 {
            Kind::Claude(session) => session.end(),
            Kind::Codex(session) => session.end(),
            Kind::Gemini(session) => session.end(),
        }
    }

    /// What became of the lines.
    pub fn tally(&self) -> &Tally {
        match &self.0 {
            Kind::Claude(session) => session.tally(),
            Kind::Codex(session) => session.tally(),
            Kind::Gemini(session) => session.tally(),
        }
    }
}

/// The most characters of a title that is made of a prompt.
const TITLE_CHARS: usize = 120;

/// How a prompt begins, as a title.
fn title_of(prompt: &str) -> Option<String> {
    let first = prompt.lines().map(str::trim).find(|line| !line.is_empty())?;
    match first.char_indices().nth(TITLE_CHARS) {
        Some((end, _)) => Some(format!("{}…", &first[..end])),
        None => Some(first.to_owned()),
    }
}

fn unconfirmed(title: Option<String>) -> SessionEnd {
    SessionEnd { status: Status::Completed, reason: "imported; how it ended is not recorded".to_owned(), title }
}

/// The JSON object on a line; what else a line may be is said to the scribe.
fn object(number: u64, line: Line<'_>, scribe: &mut super::scribe::Scribe) -> Option<Value> {
    scribe.begin(number);
    let bytes = match line {
        Line::Whole(bytes) => bytes,
        Line::Long { head, bytes } => {
            scribe.too_long(&String::from_utf8_lossy(head), bytes);
            return None;
        }
    };
    let text = String::from_utf8_lossy(bytes);
    if text.trim().is_empty() {
        scribe.blank();
        return None;
    }
    match line::json(&text) {
        Some((_, value)) if value.is_object() => Some(value),
        _ => {
            scribe.unknown("not an object", &Value::from(text));
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::Framer;

    const FILES: [&str; 5] = [
        "claude/-home-me-web/5c1d0f1e-0000-4000-8000-000000000001.jsonl",
        "claude/-home-me-web/agent-a1.jsonl",
        "codex/2026/11/20/rollout-2026-11-20T11-00-00-0199c0de.jsonl",
        "gemini/tmp/shop/chats/session-1.json",
        "gemini/tmp/shop/chats/session-2.jsonl",
    ];

    fn text(file: &str) -> Vec<u8> {
        let path = format!("{}/tests/fixtures/sessions/{file}", env!("CARGO_MANIFEST_DIR"));
        std::fs::read(path).expect(file)
    }

    fn read(text: &[u8], cut: usize) -> (Vec<Draft>, Tally, SessionEnd) {
        let head = session_head(text).expect("a session");
        let invocation = head.session.parse().expect("an id");
        let (mut reader, mut framer) = (SessionReader::new(&head, &invocation), Framer::default());
        let (mut drafts, mut number) = (Vec::new(), 0);
        let mut each = |line: Line<'_>| {
            number += 1;
            drafts.extend(reader.line(number, line));
        };
        for chunk in text.chunks(cut) {
            framer.push(chunk, &mut each);
        }
        framer.finish(&mut each);
        drafts.extend(reader.finish());
        (drafts, reader.tally().clone(), reader.end())
    }

    #[test]
    fn every_line_is_accounted_for_and_the_cuts_of_reading_do_not_show() {
        for file in FILES {
            let text = text(file);
            let whole = read(&text, text.len());
            assert!(whole.1.is_complete(), "{file}: {:?}", whole.1);
            assert!(whole.0.first().is_some_and(|draft| draft.time.is_some()), "{file}");
            for cut in [1, 7, 64, 1_000] {
                assert_eq!(read(&text, cut), whole, "{file} in pieces of {cut}");
            }
        }
    }

    #[test]
    fn places_are_each_ones_own_so_that_no_two_activities_have_one_id() {
        for file in FILES {
            let text = text(file);
            let mut places: Vec<_> = read(&text, text.len()).0.iter().map(|draft| draft.place).collect();
            let count = places.len();
            places.sort_unstable();
            places.dedup();
            assert_eq!(places.len(), count, "{file}");
        }
    }

    #[test]
    fn what_is_no_session_is_told_from_one() {
        for text in [
            &b"{\"name\": \"x\"}"[..],
            b"{\"type\":\"user\",\"sessionId\":\"s\"}",
            b"{\"sessionId\":\"s\"}",
            b"[1]",
            b"plain",
            b"\xff\xfe",
            b"",
        ] {
            assert_eq!(session_head(text), None, "{}", String::from_utf8_lossy(text));
        }
        let cut = &text(FILES[3])[..2_000.min(text(FILES[3]).len())];
        assert_eq!(session_head(cut).map(|head| head.agent), Some(Format::Gemini), "its beginning is enough");
    }
}
