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
