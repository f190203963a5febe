//! What agents print, understood: from a line of a known format, and a little state, to activities.
//!
//! Pure: no I/O, no clock, no chance. The same bytes give the same activities with the same ids, however they arrive and however often
//! they are read; that is why streamed text is joined by its length and never by time. Whoever runs an agent owns its status: a format only
//! gathers [`Evidence`] of how it ended. Nothing is dropped unseen: a line becomes activities, or is counted as silent under its name,
//! or is kept whole as `custom` because nobody knows it yet.

mod calls;
mod claude;
mod codex;
mod codex_old;
mod cursor;
mod detect;
mod fit;
mod framing;
mod gemini;
mod goose;
mod identity;
mod jsonl;
mod known;
mod line;
mod opencode;
mod partial;
mod scribe;
mod series;
mod sessions;
mod tally;
mod text;
mod transcript;

#[cfg(test)]
mod tests;

use std::{fmt, str::FromStr};

use serde_json::{Map, Value};

use crate::model::{ActivityType, EventId, Invalid, InvocationId, Timestamp};

pub use detect::{Advice, advise, of_line as format_of_line};
pub use fit::{DATA_BYTES, fit};
pub use framing::{Framer, LINE_BYTES, Line};
pub use gemini::meaning_of_exit as gemini_exit;
pub use identity::{Place, event_id, tool_call_id, tool_event_id};
pub use known::{ABOUT, About};
pub use scribe::Evidence;
pub use sessions::{SessionEnd, SessionHead, SessionReader, project_task, session_head};
pub use tally::Tally;
pub use text::{overdrawn, without_sequences};
pub use transcript::{Choice, Said, Transcript};

/// What a stream of lines is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Format {
    /// Any text: the output of a plain command.
    Text,
    /// Lines of JSON of a program's own.
    Jsonl,
    /// Claude Code's `stream-json`.
    Claude,
    /// `codex exec --json`, and what it was before.
    Codex,
    /// Gemini CLI's `stream-json`.
    Gemini,
    /// `opencode run --format json`.
    Opencode,
    /// Cursor's `stream-json`.
    Cursor,
    /// Amp's `--stream-json`, which is Claude's but for what it counts.
    Amp,
    /// Goose's `stream-json`.
    Goose,
}

impl Format {
    /// All of them, in the order in which they are listed to users.
    pub const ALL: [Self; 9] =
        [Self::Text, Self::Jsonl, Self::Claude, Self::Codex, Self::Gemini, Self::Opencode, Self::Cursor, Self::Amp, Self::Goose];

    /// The format's name on the command line, which is the agent's as well.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Jsonl => "jsonl",
            Self::Claude => "claude",
            Self::Codex => "codex",
            Self::Gemini => "gemini",
            Self::Opencode => "opencode",
            Self::Cursor => "cursor",
            Self::Amp => "amp",
            Self::Goose => "goose",
        }
    }

    /// Whether it is that of one agent, which says at its end how it went.
    pub fn is_agent(self) -> bool {
        !matches!(self, Self::Text | Self::Jsonl)
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Format {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        Self::ALL.into_iter().find(|format| format.as_str() == text).ok_or_else(|| {
            let names: Vec<_> = Self::ALL.iter().map(|format| format.as_str()).collect();
            Invalid::new(format!("a format is one of {}", names.join(", ")))
        })
    }
}

/// An activity as a format's parser found it: everything but whose it is and when it was heard.
#[derive(Debug, Clone, PartialEq)]
pub struct Draft {
    /// Its type.
    pub kind: ActivityType,
    /// Its payload, of any size: see [`fit`].
    pub data: Map<String, Value>,
    /// When it happened by the agent's own clock, if the line said so.
    pub time: Option<Timestamp>,
    /// Where in the stream it was found.
    pub place: Place,
    /// Whether it is of a tool's use that the agent's hooks tell of, too.
    pub hooked: bool,
}

impl Draft {
    /// Its `eventId` in this invocation: of a tool's use made from that, else from its place in the stream.
    pub fn event_id(&self, invocation: &InvocationId) -> EventId {
        match self.data.get("toolCallId") {
            Some(Value::String(id)) if self.hooked => tool_event_id(id, self.kind.as_str()),
            _ => event_id(invocation, self.place),
        }
    }
}

/// The parser of a format, with what it remembers.
#[derive(Debug)]
enum Parser {
    Jsonl,
    Claude(claude::Claude),
    Codex(codex::Codex),
    Gemini(gemini::Gemini),
    Opencode(opencode::Opencode),
    Cursor(cursor::Cursor),
    Goose(goose::Goose),
}

/// Reads the lines of one format, one after the other.
#[derive(Debug)]
pub struct Reader {
    format: Format,
    parser: Parser,
    scribe: scribe::Scribe,
}

impl Reader {
    /// A reader of this format; text has none, as it is not made of lines.
    pub fn new(format: Format, invocation: &InvocationId) -> Option<Self> {
        let parser = match format {
            Format::Text => return None,
            Format::Jsonl => Parser::Jsonl,
            Format::Claude | Format::Amp => Parser::Claude(claude::Claude::default()),
            Format::Codex => Parser::Codex(codex::Codex::default()),
            Format::Gemini => Parser::Gemini(gemini::Gemini::default()),
            Format::Opencode => Parser::Opencode(opencode::Opencode::default()),
            Format::Cursor => Parser::Cursor(cursor::Cursor::default()),
            Format::Goose => Parser::Goose(goose::Goose::default()),
        };
        Some(Self { format, parser, scribe: scribe::Scribe::new(format, invocation.clone()) })
    }

    /// The format that is read.
    pub fn format(&self) -> Format {
        self.format
    }

    /// What the line with this number says. Numbers count from 1 and include blank lines.
    pub fn line(&mut self, number: u64, line: Line<'_>) -> Vec<Draft> {
        self.scribe.begin(number);
        match line {
            Line::Whole(bytes) => line::read(&mut self.parser, &String::from_utf8_lossy(bytes), &mut self.scribe),
            Line::Long { head, bytes } => self.scribe.too_long(&String::from_utf8_lossy(head), bytes),
        }
        self.scribe.take()
    }

    /// The end of the stream: what was still open.
    pub fn finish(&mut self) -> Vec<Draft> {
        self.scribe.begin_end();
        match &mut self.parser {
            Parser::Jsonl | Parser::Codex(_) | Parser::Opencode(_) => {}
            Parser::Claude(claude) => claude.finish(&mut self.scribe),
            Parser::Gemini(gemini) => gemini.finish(&mut self.scribe),
            Parser::Cursor(cursor) => cursor.finish(&mut self.scribe),
            Parser::Goose(goose) => goose.finish(&mut self.scribe),
        }
        self.scribe.no_results();
        self.scribe.take()
    }

    /// What is known so far of how the agent's work ended.
    pub fn evidence(&self) -> &Evidence {
        &self.scribe.evidence
    }

    /// Whether the agent has said how its work ended.
    pub fn has_ended(&self) -> bool {
        matches!(self.scribe.evidence, Evidence::Success | Evidence::Failure(_))
    }

    /// The last error that the agent spoke of.
    pub fn last_error(&self) -> Option<&str> {
        self.scribe.last_error.as_deref()
    }

    /// The agent's own version, if it said so.
    pub fn version(&self) -> Option<&str> {
        self.scribe.version.as_deref()
    }

    /// What became of the lines.
    pub fn tally(&self) -> &Tally {
        &self.scribe.tally
    }
}
