//! WebSocket text frames as a server sends them (RFC 6455 section 5.2): unmasked, whole, the same for every viewer.

use std::ops::Range;

use bytes::Bytes;
use tokio_tungstenite::tungstenite::protocol::frame::{
    FrameHeader,
    coding::{Data, OpCode},
};

/// The most bytes of a header.
const HEADER: usize = 10;

/// One message as a frame.
pub fn text_frame(text: &[u8]) -> Bytes {
    let mut out = Vec::with_capacity(HEADER + text.len());
    write(text, &mut out);
    out.into()
}

fn write(text: &[u8], out: &mut Vec<u8>) {
    let header = FrameHeader { opcode: OpCode::Data(Data::Text), is_final: true, ..FrameHeader::default() };
    header.format(text.len() as u64, out).expect("writing to memory does not fail");
    out.extend_from_slice(text);
}

/// Frames one after the other in one buffer, so that a viewer who wants them all gets them in one write.
#[derive(Debug)]
pub(super) struct TextFrames {
    buffer: Bytes,
    /// Where each frame ends.
    ends: Box<[usize]>,
}

impl TextFrames {
    /// These texts, each as a frame.
    pub(super) fn new<'a>(texts: impl ExactSizeIterator<Item = &'a [u8]> + Clone) -> Self {
        let bytes = texts.clone().map(|text| HEADER + text.len()).sum();
        let (mut buffer, mut ends) = (Vec::with_capacity(bytes), Vec::with_capacity(texts.len()));
        for text in texts {
            write(text, &mut buffer);
            ends.push(buffer.len());
        }
        Self { buffer: buffer.into(), ends: ends.into() }
    }

    /// The frames of these numbers: a handle on the shared buffer.
    pub(super) fn range(&self, frames: Range<usize>) -> Bytes {
        let start = frames.start.checked_sub(1).map_or(0, |before| self.ends[before]);
        self.buffer.slice(start..self.ends[frames.end - 1])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_as_long_as_the_length_asks_for() {
        for (length, header) in [(0, 2), (125, 2), (126, 4), (65_535, 4), (65_536, 10)] {
            let frame = text_frame(&vec![b'x'; length]);
            assert_eq!((frame.len(), frame[0]), (header + length, 0x81));
        }
        assert_eq!(&text_frame(b"hello")[..], b"\x81\x05hello");
    }

    #[test]
    fn frames_stand_one_after_the_other() {
        let texts = [&b"a"[..], b"", b"ccc"];
        let frames = TextFrames::new(texts.iter().copied());
        assert_eq!(&frames.range(0..3)[..], b"\x81\x01a\x81\x00\x81\x03ccc");
        assert_eq!(&frames.range(1..2)[..], b"\x81\x00");
        assert_eq!(frames.range(2..3), text_frame(b"ccc"));
    }
}
