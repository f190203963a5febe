//! What nodes tell each other about commits: committed frames as they are, or only where a log stands now. Binary, so that a receiver
//! never parses JSON: it checks lengths and slices the one buffer that Redis gave it.
//!
//! ```text
//! version 1 | kind 1 | sender 8 | epoch 4 | offset 8 | count 4 | count × (type 1 | invocation length 2, text | event length 4) | events
//! ```
//!
//! All integers are little-endian. `offset` is that of the first activity; in a notice, the head. Nodes of one deployment only; the
//! version changes with the form, and a receiver ignores what it does not know: a hint that is not understood is repaired like a lost one.
//! That is why the place in a trace that frames follow from goes before them in an envelope of its own kind: a node that does not know the
//! kind passes over it and takes the frames as ever, where one that found more in the frames' own envelope would lose both.

use bytes::{Buf, BufMut, Bytes, BytesMut};

use crate::model::{ActivityType, Epoch, FrameBatch, InvocationId, Offset, TraceContext};

const VERSION: u8 = 1;
const FRAMES: u8 = 0;
const NOTICE: u8 = 1;
const ORIGIN: u8 = 2;

/// A hint from another node.
#[derive(Debug, Clone)]
pub enum Hint {
    /// These were committed.
    Frames(FrameBatch),
    /// The frames that begin here, which come next, follow from this.
    Origin(Epoch, Offset, TraceContext),
    /// The log stands here, or stood; what came is for the store to say.
    Notice(Epoch, Offset),
}

/// A hint and who sent it.
#[derive(Debug, Clone)]
pub struct Envelope {
    /// The sending node's number, random at each start.
    pub sender: u64,
    /// What it says.
    pub hint: Hint,
}

impl Envelope {
    /// The envelope as bytes. Copies the frames once.
    pub fn encode(&self) -> Bytes {
        let mut out = BytesMut::new();
        match &self.hint {
            Hint::Notice(epoch, head) => head_of(&mut out, NOTICE, self.sender, *epoch, *head, 0),
            Hint::Origin(epoch, offset, trace) => {
                head_of(&mut out, ORIGIN, self.sender, *epoch, *offset, 0);
                out.put_slice(&trace.to_bytes());
            }
            Hint::Frames(batch) => {
                let frames = batch.frames();
                out.reserve(64 + batch.weight() + frames.len() * 48);
                let count = u32::try_from(frames.len()).expect("a batch is bounded by its bytes");
                head_of(&mut out, FRAMES, self.sender, batch.epoch, batch.first(), count);
                for frame in frames {
                    let invocation = frame.invocation.as_str().as_bytes();
                    out.put_u8(index_of(frame.kind));
                    out.put_u16_le(u16::try_from(invocation.len()).expect("an invocation id is short"));
                    out.put_slice(invocation);
                    out.put_u32_le(u32::try_from(batch.sse(frame).len()).expect("an activity is far smaller than 4 GiB"));
                }
                out.put_slice(&batch.sse_all());
            }
        }
        out.freeze()
    }

    /// What `bytes` say; nothing if they are not of this form. The frames are slices of `bytes`.
    pub fn decode(mut bytes: Bytes) -> Option<Self> {
        if bytes.remaining() < 26 || bytes.get_u8() != VERSION {
            return None;
        }
        let (kind, sender) = (bytes.get_u8(), bytes.get_u64_le());
        let epoch = Epoch::from_stored(bytes.get_u32_le());
        let offset = Offset::new(bytes.get_u64_le())?;
        let count = bytes.get_u32_le();
        let hint = match kind {
            NOTICE => Hint::Notice(epoch, offset),
            ORIGIN => Hint::Origin(epoch, offset, TraceContext::from_bytes(&bytes)?),
            FRAMES => Hint::Frames(frames(&mut bytes, epoch, offset, count)?),
            _ => return None,
        };
        Some(Self { sender, hint })
    }
}

fn head_of(out: &mut BytesMut, kind: u8, sender: u64, epoch: Epoch, offset: Offset, count: u32) {
    out.put_u8(VERSION);
    out.put_u8(kind);
    out.put_u64_le(sender);
    out.put_u32_le(epoch.get());
    out.put_u64_le(offset.get());
    out.put_u32_le(count);
}

fn frames(bytes: &mut Bytes, epoch: Epoch, first: Offset, count: u32) -> Option<FrameBatch> {
    let mut parts = Vec::new();
    for _ in 0..count {
        let kind = *ActivityType::ALL.get(usize::from(bytes.try_get_u8().ok()?))?;
        let length = usize::from(bytes.try_get_u16_le().ok()?);
        if bytes.remaining() < length {
            return None;
        }
        let invocation: InvocationId = std::str::from_utf8(&bytes.split_to(length)).ok()?.parse().ok()?;
        parts.push((kind, invocation, usize::try_from(bytes.try_get_u32_le().ok()?).ok()?));
    }
    FrameBatch::from_parts(epoch, first, std::mem::take(bytes), parts)
}

fn index_of(kind: ActivityType) -> u8 {
    let index = ActivityType::ALL.iter().position(|known| *known == kind).expect("all types are in ALL");
    u8::try_from(index).expect("there are few types")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Activity, Data, EventId, FrameBuilder, Timestamp};

    fn batch() -> FrameBatch {
        let mut builder = FrameBuilder::new(&"build-42".parse().expect("valid"), Epoch::from_stored(7));
        for offset in 9..=11 {
            let activity = Activity {
                event_id: EventId::from_bytes([1; 16]),
                invocation: format!("rün-{offset}").parse().expect("valid"),
                kind: ActivityType::Output,
                timestamp: Timestamp::default(),
                received_at: Timestamp::default(),
                data: Data::empty(),
            };
            builder.push(Offset::new(offset).expect("small"), &activity);
        }
        builder.finish().remove(0)
    }

    #[test]
    fn frames_come_out_as_they_went_in() {
        let batch = batch();
        let bytes = Envelope { sender: 5, hint: Hint::Frames(batch.clone()) }.encode();
        let Some(Envelope { sender: 5, hint: Hint::Frames(same) }) = Envelope::decode(bytes) else { panic!("it decodes") };
        assert_eq!((same.epoch, same.first(), same.last()), (batch.epoch, batch.first(), batch.last()));
        for (one, other) in batch.frames().iter().zip(same.frames()) {
            assert_eq!((&one.kind, &one.invocation, one.offset), (&other.kind, &other.invocation, other.offset));
            assert_eq!(batch.sse(one), same.sse(other));
        }
        assert_eq!(batch.websocket_all(), same.websocket_all());
    }

    #[test]
    fn a_notice_is_a_place() {
        let hint = Hint::Notice(Epoch::from_stored(3), Offset::new(8).expect("small"));
        let back = Envelope::decode(Envelope { sender: 1, hint }.encode()).expect("it decodes");
        assert!(matches!(back.hint, Hint::Notice(epoch, head) if epoch.get() == 3 && head.get() == 8));
    }

    #[test]
    fn an_origin_is_a_place_in_a_trace() {
        let trace = TraceContext { trace: [3; 16], span: [4; 8] };
        let hint = Hint::Origin(Epoch::from_stored(3), Offset::new(8).expect("small"), trace);
        let bytes = Envelope { sender: 1, hint }.encode();
        assert!(Envelope::decode(bytes.slice(..bytes.len() - 1)).is_none());
        let back = Envelope::decode(bytes).expect("it decodes");
        assert!(matches!(back.hint, Hint::Origin(epoch, at, same) if (epoch.get(), at.get(), same) == (3, 8, trace)));
    }

    #[test]
    fn nothing_shorter_or_stranger_is_believed() {
        let whole = Envelope { sender: 5, hint: Hint::Frames(batch()) }.encode();
        for length in 0..whole.len() {
            assert!(Envelope::decode(whole.slice(..length)).is_none(), "cut at {length}");
        }
        let mut longer = whole.to_vec();
        longer.push(0);
        assert!(Envelope::decode(longer.into()).is_none());
        assert!(Envelope::decode(Bytes::from_static(b"{\"op\":\"activity\"}, and so on and on")).is_none());
    }
}
