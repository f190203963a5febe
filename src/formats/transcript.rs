//! A stream of bytes, as an agent prints it, to what it says: text as it is, or the drafts of a format that is known or found out.

use serde_json::Value;

use super::{Draft, Evidence, Format, Framer, Reader, format_of_line};
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
    Looking {
        /// The unfinished line, while it may be the JSON that is looked for.
        held: Vec<u8>,
        /// Whether the unfinished line is none, and was passed on as far as it came.
        passing: bool,
        /// How many bytes of whole lines were looked at.
        bytes: u64,
    },
    /// It is in a format that is made of lines.
    Reading(Box<Reader>, Framer),
}

impl Transcript {
    /// A stream of this invocation.
    pub fn new(choice: Choice, invocation: InvocationId) -> Self {
        let state = match choice {
            Choice::Auto => State::Looking { held: Vec::new(), passing: false, bytes: 0 },
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
            State::Text | State::Looking { .. } => None,
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
                State::Looking { .. } => self.look(bytes, said),
            };
        }
    }

    /// The end of the stream: adds what was still open.
    pub fn finish(&mut self, said: &mut Vec<Said>) {
        if let State::Looking { held, .. } = &mut self.state {
            let held = std::mem::take(held);
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
        let State::Looking { held, passing, bytes: looked } = &mut self.state else { return bytes };
        let end = bytes.iter().position(|byte| *byte == b'\n').map(|at| at + 1);
        let (line, rest) = bytes.split_at(end.unwrap_or(bytes.len()));
        *looked += line.len() as u64;
        if *passing {
            text(line, said);
        } else {
            held.extend_from_slice(line);
            *passing = held.first() != Some(&b'{') || LOOK_LINE_BYTES < held.len();
            if *passing {
                text(&std::mem::take(held), said);
            }
        }
        if end.is_none() {
            return rest;
        }
        *passing = false;
        let (whole, looked) = (std::mem::take(held), *looked);
        if !whole.is_empty() && self.found(whole.strip_suffix(b"\n").unwrap_or(&whole), said) {
            return rest;
        }
        text(&whole, said);
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
        said.extend(reader.line(self.lines, super::Line::Whole(line)).into_iter().map(Said::Draft));
        self.state = State::Reading(Box::new(reader), Framer::default());
        true
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
