//! What viewers know of the protocol: where a message begins and ends, and the few fields that they check.

use memchr::memmem::{self, Finder};

/// What is looked for in messages. Made once: making a finder costs more than finding.
pub struct Marks {
    activity: Finder<'static>,
    task: Finder<'static>,
    offset: Finder<'static>,
    sent: Finder<'static>,
    live: Finder<'static>,
    waits: Finder<'static>,
    reset: Finder<'static>,
}

/// A message, as far as viewers care.
pub enum Message {
    Activity,
    /// A task is caught up with, or not there yet and waited for.
    Live,
    Reset,
    Other,
}

/// An activity says that it is one among its first bytes.
const BEGINNING: usize = 48;

impl Marks {
    pub fn new() -> Self {
        Self {
            activity: Finder::new("\"op\":\"activity\""),
            task: Finder::new("\"taskId\":\""),
            offset: Finder::new("\"offset\":"),
            sent: Finder::new("\"data\":{\"t\":"),
            live: Finder::new("\"op\":\"live\""),
            waits: Finder::new("\"epoch\":null"),
            reset: Finder::new("\"op\":\"reset\""),
        }
    }

    pub fn message(&self, payload: &[u8]) -> Message {
        let has = |mark: &Finder<'_>| mark.find(payload).is_some();
        if self.activity.find(&payload[..payload.len().min(BEGINNING)]).is_some() {
            Message::Activity
        } else if has(&self.live) || has(&self.waits) {
            Message::Live
        } else if has(&self.reset) {
            Message::Reset
        } else {
            Message::Other
        }
    }

    pub fn offset(&self, activity: &[u8]) -> Option<u64> {
        number(activity, &self.offset)
    }

    /// When it should have been published, if it is of this program.
    pub fn sent(&self, activity: &[u8]) -> Option<u64> {
        number(activity, &self.sent)
    }

    pub fn task<'a>(&self, activity: &'a [u8]) -> Option<&'a [u8]> {
        let start = self.task.find(activity)? + self.task.needle().len();
        let length = memchr::memchr(b'"', &activity[start..])?;
        Some(&activity[start..start + length])
    }
}

fn number(activity: &[u8], mark: &Finder<'_>) -> Option<u64> {
    let start = mark.find(activity)? + mark.needle().len();
    let digits = activity[start..].iter().take_while(|b| b.is_ascii_digit());
    Some(digits.fold(0, |value, digit| value * 10 + u64::from(digit - b'0')))
}

/// The first whole WebSocket frame: its opcode, its payload, its length.
pub fn frame(buffer: &[u8]) -> Option<(u8, &[u8], usize)> {
    let (first, second) = (*buffer.first()?, *buffer.get(1)?);
    let (length, head) = match second & 127 {
        126 => (u16::from_be_bytes(buffer.get(2..4)?.try_into().ok()?) as usize, 4),
        127 => (u64::from_be_bytes(buffer.get(2..10)?.try_into().ok()?) as usize, 10),
        short => (short as usize, 2),
    };
    Some((first & 15, buffer.get(head..head + length)?, head + length))
}

/// The first whole event, with whatever chunk framing stands before it; as a text frame.
pub fn event(buffer: &[u8]) -> Option<(u8, &[u8], usize)> {
    let end = memmem::find(buffer, b"\n\n")? + 2;
    let start = memmem::find(&buffer[..end], b"data: ").map_or(0, |at| at + 6);
    Some((1, &buffer[start..end], end))
}

/// A client's frame, masked by zeros.
pub fn client_frame(opcode: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![0x80 | opcode];
    match u8::try_from(payload.len()) {
        Ok(short) if short < 126 => frame.push(0x80 | short),
        _ => {
            frame.push(0x80 | 126);
            frame.extend_from_slice(&u16::try_from(payload.len()).unwrap_or(u16::MAX).to_be_bytes());
        }
    }
    frame.extend_from_slice(&[0; 4]);
    frame.extend_from_slice(payload);
    frame
}
