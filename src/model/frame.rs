//! Activities encoded once, for everyone.
//!
//! One buffer holds a run of consecutive activities of one task, each as a whole Server-Sent Event (WHATWG HTML section 9.2):
//!
//! ```text
//! id: 5f3a9c1e-17\ndata: {"op":"activity","taskId":"build-42","offset":17,…}\n\n
//! ^ SSE                  ^ WebSocket text                                  ^ both end before or after the line breaks
//! ```
//!
//! The whole buffer is one chunk of an HTTP/1.1 body (RFC 9112 section 7.1), so that a stream of events is that buffer as it is. The plain JSON form
//! is a slice of it apart from its opening brace. The WebSocket frames, text and headers, are copied out of it once, for
//! the first who wants them, so that they too stand one after the other. After that only cheap handles are cloned, whoever watches
//! and however.

use std::{
    ops::Range,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU32, Ordering},
    },
};

use bytes::{BufMut, Bytes, BytesMut};

use super::{
    Activity, ActivityType, Epoch, EventId, InvocationId, Offset, TaskId, Timestamp, TraceContext, text_frame::TextFrames,
};

/// What stands before `data:`'s JSON object and marks it as an activity among protocol messages.
const OP: &[u8] = br#"{"op":"activity","#;

/// What stands between an activity's `eventId` and its time.
const BEFORE_TIMES: &[u8] = br#"","timestamp":"#;

/// What stands between its two times.
const RECEIVED_AT: &[u8] = br#","receivedAt":"#;

/// The start of a chunk: its length in hexadecimal digits, filled in when it is closed.
const CHUNK_HEAD: &[u8] = b"00000000\r\n";

/// The end of a chunk.
const CHUNK_TAIL: &[u8] = b"\r\n";

/// What an event has beside its payload, about.
const ENVELOPE: usize = 288;

/// A buffer is closed once it is this long, so that a slow viewer's queue pins little beside its own frames.
const BUFFER_TARGET: usize = 64 * 1024;

/// Of how many deliveries of a batch a node tells, if it is traced: a thousand viewers are no thousand spans.
const TRACED_DELIVERIES: u32 = 8;

/// Activities of one task, in order, encoded. A handle on shared memory: cloning and narrowing copy nothing.
#[derive(Debug, Clone)]
pub struct FrameBatch {
    /// The log's life.
    pub epoch: Epoch,
    encoded: Arc<Encoded>,
    range: Range<usize>,
}

/// What all handles on a batch share.
#[derive(Debug)]
struct Encoded {
    /// A chunk.
    buffer: Bytes,
    frames: Box<[Frame]>,
    websocket: OnceLock<TextFrames>,
    /// What it follows from, if that is traced, and how many deliveries were told of.
    trace: Option<(TraceContext, AtomicU32)>,
}

impl Encoded {
    fn new(events: BytesMut, frames: Vec<Frame>, trace: Option<TraceContext>) -> Arc<Self> {
        let trace = trace.map(|context| (context, AtomicU32::new(0)));
        Arc::new(Self { buffer: closed_chunk(events), frames: frames.into(), websocket: OnceLock::new(), trace })
    }

    fn websocket(&self) -> &TextFrames {
        self.websocket.get_or_init(|| TextFrames::new(self.frames.iter().map(|frame| &self.buffer[frame.json.clone()])))
    }
}

/// Where one activity stands in its batch's buffer, and what filters ask about it.
#[derive(Debug, Clone)]
pub struct Frame {
    /// Its place in the log.
    pub offset: Offset,
    /// Its type.
    pub kind: ActivityType,
    /// Its run.
    pub invocation: InvocationId,
    sse: Range<usize>,
    json: Range<usize>,
}

impl FrameBatch {
    /// The batch whose Server-Sent Events, one after the other from `first` on, are all of `buffer`: of each its type, its run and its
    /// length in bytes. Nothing if the lengths do not add up or an event is shorter than any can be.
    pub fn from_parts(
        epoch: Epoch,
        first: Offset,
        buffer: Bytes,
        parts: Vec<(ActivityType, InvocationId, usize)>,
    ) -> Option<Self> {
        let mut frames = Vec::with_capacity(parts.len());
        let mut chunk = open_chunk(buffer.len());
        chunk.extend_from_slice(&buffer);
        let (mut offset, mut start) = (first, CHUNK_HEAD.len());
        for (kind, invocation, length) in parts {
            let end = start.checked_add(length)?;
            let json_start = start + event_head_chars(offset);
            let json_end = end.checked_sub(2)?;
            if chunk.len() < end || json_end < json_start + OP.len() {
                return None;
            }
            frames.push(Frame { offset, kind, invocation, sse: start..end, json: json_start..json_end });
            (offset, start) = (offset.next(), end);
        }
        let whole = start == chunk.len() && !frames.is_empty();
        let range = 0..frames.len();
        whole.then(|| Self { epoch, encoded: Encoded::new(chunk, frames, None), range })
    }

    /// The same batch, which follows from this; nothing happens to one that others have a handle on.
    pub fn traced(mut self, trace: TraceContext) -> Self {
        if let Some(encoded) = Arc::get_mut(&mut self.encoded) {
            encoded.trace = Some((trace, AtomicU32::new(0)));
        }
        self
    }

    /// What it follows from, if that is traced.
    pub fn trace(&self) -> Option<TraceContext> {
        self.encoded.trace.as_ref().map(|(context, _)| *context)
    }

    /// The same for a delivery, of which a few are told.
    pub fn trace_delivery(&self) -> Option<TraceContext> {
        let (context, told) = self.encoded.trace.as_ref()?;
        (told.fetch_add(1, Ordering::Relaxed) < TRACED_DELIVERIES).then_some(*context)
    }

    /// The frames, by offset; never empty. Without holes, unless a filter left some out.
    pub fn frames(&self) -> &[Frame] {
        &self.encoded.frames[self.range.clone()]
    }

    /// The first offset.
    pub fn first(&self) -> Offset {
        self.encoded.frames[self.range.start].offset
    }

    /// The last offset.
    pub fn last(&self) -> Offset {
        self.encoded.frames[self.range.end - 1].offset
    }

    /// The bytes of its Server-Sent Events. What it keeps in memory is about that, and about twice that once a WebSocket wanted it.
    pub fn weight(&self) -> usize {
        self.encoded.frames[self.range.end - 1].sse.end - self.encoded.frames[self.range.start].sse.start
    }

    /// When its last activity arrived at a hub, as its text says; 1970 if the text is not of this form.
    pub fn received_at(&self) -> Timestamp {
        let json = &self.encoded.buffer[self.encoded.frames[self.range.end - 1].json.clone()];
        // In a text of JSON a quotation mark is escaped, so that this can only be where it is written.
        let at = json.windows(BEFORE_TIMES.len()).position(|window| window == BEFORE_TIMES);
        let digits = |text: &[u8]| text.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let arrived = at.and_then(|at| {
            let times = &json[at + BEFORE_TIMES.len()..];
            let text = times[digits(times)..].strip_prefix(RECEIVED_AT)?;
            std::str::from_utf8(&text[..digits(text)]).ok()?.parse().ok()
        });
        arrived.and_then(Timestamp::from_millis).unwrap_or_default()
    }

    /// What comes after `offset`; nothing if nothing does.
    pub fn after(&self, offset: Offset) -> Option<Self> {
        let start = self.range.start + self.frames().partition_point(|frame| frame.offset <= offset);
        (start < self.range.end).then(|| Self { range: start..self.range.end, ..self.clone() })
    }

    /// As many of its first frames as fit into `bytes`, and one at least.
    pub fn within(&self, bytes: usize) -> Self {
        let start = self.encoded.frames[self.range.start].sse.start;
        let count = self.frames().partition_point(|frame| frame.sse.end - start <= bytes).max(1);
        Self { range: self.range.start..self.range.start + count, ..self.clone() }
    }

    /// All its WebSocket frames, headers included, as they go over the wire: a handle on a shared buffer.
    pub fn websocket_all(&self) -> Bytes {
        self.encoded.websocket().range(self.range.clone())
    }

    /// The WebSocket frame of the activity at `index` among [`FrameBatch::frames`], header included: a handle on a shared buffer.
    pub fn websocket(&self, index: usize) -> Bytes {
        let at = self.range.start + index;
        self.encoded.websocket().range(at..at + 1)
    }

    /// The Server-Sent Event of `frame`, which must be of this batch: a handle on the shared buffer.
    pub fn sse(&self, frame: &Frame) -> Bytes {
        self.encoded.buffer.slice(frame.sse.clone())
    }

    /// All its Server-Sent Events, as they stand in the shared buffer.
    pub fn sse_all(&self) -> Bytes {
        self.encoded
            .buffer
            .slice(self.encoded.frames[self.range.start].sse.start..self.encoded.frames[self.range.end - 1].sse.end)
    }

    /// All its Server-Sent Events as one chunk of an HTTP/1.1 body: the shared buffer, unless this is a part of a batch.
    pub fn sse_chunk(&self) -> Bytes {
        if self.range.len() == self.encoded.frames.len() {
            return self.encoded.buffer.clone();
        }
        let events = self.sse_all();
        let mut chunk = open_chunk(events.len());
        chunk.extend_from_slice(&events);
        closed_chunk(chunk)
    }

    /// Appends the plain JSON object of `frame`, as REST and NDJSON give it, to `out`.
    pub fn write_json(&self, frame: &Frame, out: &mut Vec<u8>) {
        out.push(b'{');
        out.extend_from_slice(&self.encoded.buffer[frame.json.start + OP.len()..frame.json.end]);
    }
}

/// Encodes a task's activities, in order of offset, into batches of a bounded size.
#[derive(Debug)]
pub struct FrameBuilder {
    epoch: Epoch,
    text: Unchanging,
    /// How many bytes are still to come, about.
    expected: usize,
    buffer: BytesMut,
    frames: Vec<Frame>,
    done: Vec<FrameBatch>,
    trace: Option<TraceContext>,
}

impl FrameBuilder {
    /// Nothing encoded yet.
    pub fn new(task: &TaskId, epoch: Epoch) -> Self {
        let text = Unchanging::new(task, epoch);
        Self { epoch, text, expected: 0, buffer: BytesMut::new(), frames: Vec::new(), done: Vec::new(), trace: None }
    }

    /// So many activities will come, whose payloads are so many bytes: room for them is made at once.
    pub fn expecting(mut self, activities: usize, data_bytes: usize) -> Self {
        self.expected = activities * ENVELOPE + data_bytes;
        self.frames.reserve(activities);
        self
    }

    /// What is encoded follows from this, if that is traced.
    pub fn traced(mut self, trace: Option<TraceContext>) -> Self {
        self.trace = trace;
        self
    }

    /// Adds the activity at `offset`, which must be above all before it.
    pub fn push(&mut self, offset: Offset, activity: &Activity) {
        let this = ENVELOPE + activity.data.as_bytes().len();
        if self.frames.is_empty() {
            self.buffer.reserve(CHUNK_HEAD.len() + self.expected.min(BUFFER_TARGET + this).max(this) + CHUNK_TAIL.len());
            self.buffer.extend_from_slice(CHUNK_HEAD);
        }
        self.expected = self.expected.saturating_sub(this);
        let start = self.buffer.len();
        self.text.write_event(&mut self.buffer, offset, activity);
        let json_start = start + event_head_chars(offset);
        let end = self.buffer.len();
        self.frames.push(Frame {
            offset,
            kind: activity.kind,
            invocation: activity.invocation.clone(),
            sse: start..end,
            json: json_start..end - 2,
        });
        if BUFFER_TARGET <= self.buffer.len() {
            self.close();
        }
    }

    /// The batches, in order.
    pub fn finish(mut self) -> Vec<FrameBatch> {
        self.close();
        self.done
    }

    fn close(&mut self) {
        if self.frames.is_empty() {
            return;
        }
        let frames = std::mem::take(&mut self.frames);
        let range = 0..frames.len();
        self.done.push(FrameBatch { epoch: self.epoch, encoded: Encoded::new(self.buffer.split(), frames, self.trace), range });
    }
}

/// A chunk without content, with room for so many bytes.
fn open_chunk(bytes: usize) -> BytesMut {
    let mut chunk = BytesMut::with_capacity(CHUNK_HEAD.len() + bytes + CHUNK_TAIL.len());
    chunk.extend_from_slice(CHUNK_HEAD);
    chunk
}

/// The chunk with its length and its end.
fn closed_chunk(mut chunk: BytesMut) -> Bytes {
    let length = format!("{:08x}", chunk.len() - CHUNK_HEAD.len());
    chunk[..length.len()].copy_from_slice(length.as_bytes());
    chunk.extend_from_slice(CHUNK_TAIL);
    chunk.freeze()
}

/// How many bytes stand before the JSON object of the event at `offset`.
fn event_head_chars(offset: Offset) -> usize {
    let digits = offset.get().checked_ilog10().unwrap_or(0) + 1;
    "id: 00000000-\ndata: ".len() + usize::try_from(digits).expect("at most 16")
}

/// What all events of a batch have in common.
#[derive(Debug)]
struct Unchanging {
    /// The cursor up to its offset.
    cursor: String,
    /// From the JSON object's start to the offset.
    head: Vec<u8>,
}

impl Unchanging {
    fn new(task: &TaskId, epoch: Epoch) -> Self {
        Self { cursor: format!("{epoch}-"), head: [OP, format!(r#""taskId":"{task}","offset":"#).as_bytes()].concat() }
    }

    fn write_event(&self, out: &mut BytesMut, offset: Offset, activity: &Activity) {
        let mut digits = itoa::Buffer::new();
        let offset = digits.format(offset.get()).as_bytes();
        let parts: [&[u8]; 9] = [
            b"id: ",
            self.cursor.as_bytes(),
            offset,
            b"\ndata: ",
            &self.head,
            offset,
            br#","cursor":""#,
            self.cursor.as_bytes(),
            offset,
        ];
        parts.iter().for_each(|part| out.extend_from_slice(part));
        out.extend_from_slice(br#"","invocationId":"#);
        serde_json::to_writer((&mut *out).writer(), activity.invocation.as_str()).expect("writing to memory does not fail");
        out.extend_from_slice(br#","eventId":""#);
        out.extend_from_slice(activity.event_id.encode(&mut [0; EventId::CHARS]).as_bytes());
        out.extend_from_slice(BEFORE_TIMES);
        out.extend_from_slice(itoa::Buffer::new().format(activity.timestamp.as_millis()).as_bytes());
        out.extend_from_slice(RECEIVED_AT);
        out.extend_from_slice(itoa::Buffer::new().format(activity.received_at.as_millis()).as_bytes());
        out.extend_from_slice(br#","type":""#);
        out.extend_from_slice(activity.kind.as_str().as_bytes());
        out.extend_from_slice(br#"","data":"#);
        out.extend_from_slice(activity.data.as_bytes());
        out.extend_from_slice(b"}\n\n");
    }
}

#[cfg(test)]
mod tests;
