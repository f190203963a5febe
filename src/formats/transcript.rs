//! A stream of bytes, as an agent prints it, to what it says: text as it is, or the drafts of a format that is known or found out.

use serde_json::Value;

use super::{Draft, Evidence, Format, Framer, Line, Reader, format_of_line, line::BEGIN};
use crate::model::InvocationId;

/// How many lines are looked at for the first one of a known format, and how many bytes.
const LOOK_LINES: u64 = 200;
const LOOK_BYTES: u64 = 256 * 1024;

/// The longest line that is looked at, and so the most that is held back meanwhile.
const LOOK_LINE_BYTES: usize = 256 * 1024;

/// Which format a stream is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Choice {
    /// Its first lines will tell.
    Auto,
    /// This one.
    Known(Format),
}

/// What a stream says.
#[derive(Debug, Clone, PartialEq)]
pub enum Said {
    /// Bytes of plain text.
    Text(Vec<u8>),
    /// The stream is in this format from here on.
    Found(Format),
    /// An activity.
    Draft(Draft),
}

/// Reads one stream.
#[derive(Debug)]
pub struct Transcript {
    invocation: InvocationId,
    /// How many lines have ended.
    lines: u64,
    state: State,
}

#[derive(Debug)]
enum State {
    /// It is text for good.
    Text,
    /// It is text so far.
    Looking(Look),
    /// It is in a format that is made of lines.
    Reading(Box<Reader>, Framer),
}

/// What is looked at.
#[derive(Debug, Default)]
struct Look {
    /// The end of the unfinished line, while it may be the JSON that is looked for.
    held: Vec<u8>,
    /// Whether that is the whole line so far.
    is_whole: bool,
    /// Whether the line has begun.
    has_begun: bool,
    /// How many bytes were looked at.
    bytes: u64,
}

impl Transcript {
    /// A stream of this invocation.
    pub fn new(choice: Choice, invocation: InvocationId) -> Self {
        let state = match choice {
            Choice::Auto => State::Looking(Look::default()),
            Choice::Known(format) => match Reader::new(format, &invocation) {
                Some(reader) => State::Reading(Box::new(reader), Framer::default()),
                None => State::Text,
            },
        };
        Self { invocation, lines: 0, state }
    }

    /// The reader, once the format is known and not text.
    pub fn reader(&self) -> Option<&Reader> {
        match &self.state {
            State::Reading(reader, _) => Some(reader),
            State::Text | State::Looking(_) => None,
        }
    }

    /// How the agent's work ended, as far as is known.
    pub fn evidence(&self) -> Evidence {
        self.reader().map_or(Evidence::None, |reader| reader.evidence().clone())
    }

    /// Takes bytes, and adds what they say.
    pub fn push(&mut self, mut bytes: &[u8], said: &mut Vec<Said>) {
        while !bytes.is_empty() {
            bytes = match &mut self.state {
                State::Text => {
                    text(bytes, said);
                    &[]
                }
                State::Reading(reader, framer) => {
                    framer.push(bytes, |line| {
                        self.lines += 1;
                        said.extend(reader.line(self.lines, line).into_iter().map(Said::Draft));
                    });
                    &[]
                }
                State::Looking(_) => self.look(bytes, said),
            };
        }
    }

    /// The end of the stream: adds what was still open.
    pub fn finish(&mut self, said: &mut Vec<Said>) {
        if let State::Looking(look) = &mut self.state {
            let held = std::mem::take(&mut look.held);
            if !self.found(&held, said) {
                text(&held, said);
            }
        }
        if let State::Reading(reader, framer) = &mut self.state {
            framer.finish(|line| {
                self.lines += 1;
                said.extend(reader.line(self.lines, line).into_iter().map(Said::Draft));
            });
            said.extend(reader.finish().into_iter().map(Said::Draft));
        }
    }

    /// Looks at no more than one line, and gives the bytes behind it.
    fn look<'a>(&mut self, bytes: &'a [u8], said: &mut Vec<Said>) -> &'a [u8] {
        let State::Looking(look) = &mut self.state else { return bytes };
        let end = bytes.iter().position(|byte| *byte == b'\n').map(|at| at + 1);
        let (line, rest) = bytes.split_at(end.unwrap_or(bytes.len()));
        look.take(line, said);
        if end.is_none() {
            return rest;
        }
        look.has_begun = false;
        let (held, looked) = (std::mem::take(&mut look.held), look.bytes);
        if self.found(held.strip_suffix(b"\n").unwrap_or(&held), said) {
            return rest;
        }
        text(&held, said);
        self.lines += 1;
        if LOOK_LINES <= self.lines || LOOK_BYTES <= looked {
            self.state = State::Text;
        }
        rest
    }

    /// Whether this line gives the format away; then it is read.
    fn found(&mut self, line: &[u8], said: &mut Vec<Said>) -> bool {
        let value: Option<Value> = serde_json::from_slice(line).ok();
        let Some(format) = value.as_ref().and_then(format_of_line) else { return false };
        let Some(mut reader) = Reader::new(format, &self.invocation) else { return false };
        said.push(Said::Found(format));
        self.lines += 1;
        said.extend(reader.line(self.lines, Line::Whole(line)).into_iter().map(Said::Draft));
        self.state = State::Reading(Box::new(reader), Framer::default());
        true
    }
}

impl Look {
    /// Takes a part of a line: adds as text what cannot be JSON, and holds what may. That is a line that begins with a brace and a quote,
    /// and what begins as an agent's line does behind a notice without a line break.
    fn take(&mut self, line: &[u8], said: &mut Vec<Said>) {
        self.bytes += line.len() as u64;
        let mut at = 0;
        while at < line.len() {
            if self.held.is_empty() {
                let brace = line[at..].iter().position(|byte| *byte == b'{');
                let plain = brace.unwrap_or(line.len() - at);
                text(&line[at..at + plain], said);
                self.has_begun |= 0 < plain;
                at += plain;
                if brace.is_some() {
                    self.held.push(b'{');
                    (self.is_whole, self.has_begun) = (!self.has_begun, true);
                    at += 1;
                }
                continue;
            }
            self.held.push(line[at]);
            let begin = BEGIN.as_bytes();
            let begins_object = self.is_whole && self.held[1] == b'"';
            let may_be = begins_object || begin.starts_with(&self.held) || self.held.starts_with(begin);
            if may_be && self.held.len() <= LOOK_LINE_BYTES {
                at += 1;
                continue;
            }
            // The last byte may begin something itself.
            self.held.pop();
            text(&std::mem::take(&mut self.held), said);
            if line[at] != b'{' {
                text(&line[at..=at], said);
                at += 1;
            }
        }
    }
}

/// Adds text to the text before it, so that how it came does not show.
fn text(bytes: &[u8], said: &mut Vec<Said>) {
    match said.last_mut() {
        _ if bytes.is_empty() => {}
        Some(Said::Text(before)) => before.extend_from_slice(bytes),
        _ => said.push(Said::Text(bytes.to_vec())),
    }
}
