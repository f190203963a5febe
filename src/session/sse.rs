//! One task over Server-Sent Events (WHATWG HTML section 9.2): the same follower, and one chunk as its only queue. The follower is asked for
//! more when the socket has taken what it had, so a slow viewer costs one chunk.

#[cfg(test)]
mod tests;

use std::{
    future::poll_fn,
    io,
    mem::MaybeUninit,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::{Bytes, BytesMut};
use tokio::{
    io::{AsyncRead, AsyncWriteExt, ReadBuf},
    time::{Duration, Instant, Sleep, sleep_until, timeout},
};

use super::{
    SessionOptions,
    access::{Access, Denied},
    beat::next_beat,
    ending::{Ending, Stage},
    name::Name,
    outbox::Outbox,
    probe::Probe,
    protocol::ServerMessage,
};
use crate::{
    hub::{Arrival, Fetch, Follower, Hub, Mail, Mailbox, Relay, Step, Wanted},
    limits::Draw,
    metrics::Metrics,
    model::{Cursor, FrameBatch, TaskId},
    tls::stream::Stream,
};

/// The most bytes in one chunk of the body: whole batches, as a rule.
const CHUNK_BYTES: usize = 128 * 1024;

/// How long a client waits before it reconnects, as advised at the start of the stream.
const RETRY: Duration = Duration::from_secs(2);

/// How many chunks one session writes before the others of its thread have their turn.
const ROUNDS: usize = 4;

/// How long the end of the body may take to be written.
const CLOSE_GRACE: Duration = Duration::from_secs(1);

/// What a stream needs.
pub(crate) struct SseSession {
    pub task: TaskId,
    pub follower: Follower,
    pub hub: Hub,
    pub options: Arc<SessionOptions>,
    pub metrics: Arc<Metrics>,
    pub ending: Arc<Ending>,
    pub access: Access,
}

/// The start of the body. It is written with the head of the response, before the connection becomes a session.
pub(crate) fn first_event() -> Bytes {
    format!("retry: {}\n\n", RETRY.as_millis()).into()
}

/// Serves one session over a connection that has had the head of the response and the first event, without end unless the task is deleted
/// or the node stops. With `chunked` the body is in chunks (RFC 9112 section 7.1), without it ends with the connection.
pub(crate) async fn serve(mut stream: Stream, mut session: SseSession, relay: Relay, chunked: bool) {
    let mailbox = Arc::new(Mailbox::default());
    session.follower.tell(&relay, mailbox.clone(), 0);
    let _seat = session.ending.hear(&relay, mailbox.clone());
    session.metrics.sessions.inc();
    let name = Name::new();
    tracing::debug!(session.id = %name, task.id = %session.task, transport = "sse", "a session begins");
    let metrics = session.metrics.clone();
    let mut streaming = Streaming::new(session, mailbox, relay, chunked);
    if poll_fn(|context| streaming.poll(context, &mut stream)).await.is_ok() {
        // A client that takes nothing more loses nothing by that.
        let _ = timeout(CLOSE_GRACE, streaming.finish(&mut stream)).await;
    }
    tracing::debug!(session.id = %name, code = streaming.closed, "a session ends");
    streaming.closed.into_iter().for_each(|why| metrics.close(why));
    metrics.sessions.dec();
}

/// What the follower does.
enum Phase {
    Ready,
    Asleep,
    Reading { _fetch: Fetch },
    Ended,
}

struct Streaming {
    session: SseSession,
    mailbox: Arc<Mailbox>,
    mail: Mail,
    relay: Relay,
    outbox: Outbox,
    probe: Probe,
    chunked: bool,
    stage: Stage,
    phase: Phase,
    /// Why the hub ends it, as it is counted.
    closed: Option<&'static str>,
    /// Since when the socket takes nothing although something waits.
    blocked: Option<Instant>,
    /// Bytes that the client has sent since its request.
    heard: usize,
    beat: Instant,
    leave: Option<Instant>,
    timer: Pin<Box<Sleep>>,
}

impl Streaming {
    fn new(session: SseSession, mailbox: Arc<Mailbox>, relay: Relay, chunked: bool) -> Self {
        let beat = next_beat(session.options.heartbeat);
        Self {
            session,
            mailbox,
            mail: Mail::default(),
            relay,
            outbox: Outbox::default(),
            probe: Probe::default(),
            chunked,
            stage: Stage::Open,
            phase: Phase::Ready,
            closed: None,
            blocked: None,
            heard: 0,
            beat,
            leave: None,
            timer: Box::pin(sleep_until(beat)),
        }
    }

    /// Until the stream has ended in order, or cannot go on.
    fn poll(&mut self, context: &mut Context<'_>, stream: &mut Stream) -> Poll<io::Result<()>> {
        self.hear(context)?;
        if stream.is_behind() && stream.poll_drain(context)?.is_ready() {
            self.blocked = None;
        }
        for round in 1.. {
            self.pump();
            if self.outbox.is_empty() {
                if matches!(self.phase, Phase::Ended) {
                    return Poll::Ready(Ok(()));
                }
                break;
            }
            match self.outbox.poll_write(context, stream)? {
                Poll::Ready(0) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Poll::Ready(written) => {
                    self.blocked = None;
                    self.probe.written(written, &self.session.metrics);
                }
                Poll::Pending => break,
            }
            if round == ROUNDS {
                context.waker().wake_by_ref();
                break;
            }
        }
        if (!self.outbox.is_empty() || stream.is_behind()) && self.blocked.is_none() {
            self.blocked = Some(Instant::now());
        }
        self.poll_time(context, stream)
    }

    /// Takes what has come into the mailbox, and looks whether the node stops.
    fn hear(&mut self, context: &Context<'_>) -> io::Result<()> {
        self.mailbox.empty(&mut self.mail, context);
        if let Err(denied) = self.session.access.check() {
            self.deny(denied);
        }
        if !self.mail.changed.is_empty() && matches!(self.phase, Phase::Asleep) {
            self.phase = Phase::Ready;
        }
        self.mail.changed.clear();
        for (_, arrival) in self.mail.arrived.drain(..) {
            // What still comes for a stream that has ended meanwhile is for nobody: it must not be taken up again.
            if !matches!(self.phase, Phase::Reading { .. }) {
                continue;
            }
            if let Arrival::Page(Ok(page)) = arrival {
                self.session.follower.supply(page);
            }
            self.phase = Phase::Ready;
        }
        let stage = self.session.ending.stage();
        if std::mem::replace(&mut self.stage, stage) != stage {
            match stage {
                Stage::Draining if !matches!(self.phase, Phase::Ended) => self.begin_to_leave(),
                Stage::Open | Stage::Draining => {}
                Stage::Over => return Err(io::ErrorKind::ConnectionAborted.into()),
            }
        }
        Ok(())
    }

    /// Notices whether the connection is gone, and does what is due.
    fn poll_time(&mut self, context: &mut Context<'_>, stream: &mut Stream) -> Poll<io::Result<()>> {
        // A client sends nothing after its request; what it sends is not looked at, and if it is much, the client is up to no good.
        let mut bytes = [MaybeUninit::uninit(); 512];
        loop {
            let mut buffer = ReadBuf::uninit(&mut bytes);
            if Pin::new(&mut *stream).poll_read(context, &mut buffer)?.is_pending() {
                break;
            }
            match buffer.filled().len() {
                0 => return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into())),
                count => self.heard += count,
            }
            if self.session.options.frame_bytes < self.heard {
                self.session.metrics.reached.count("frame");
                self.closed = Some("too_big");
                return Poll::Ready(Err(io::ErrorKind::QuotaExceeded.into()));
            }
        }
        loop {
            let too_slow = self.blocked.map(|since| since + self.session.options.write_timeout);
            let due = [too_slow, self.leave, self.session.access.due()].into_iter().flatten().fold(self.beat, Instant::min);
            if due < self.timer.deadline() || self.timer.is_elapsed() {
                self.timer.as_mut().reset(due);
            }
            if self.timer.as_mut().poll(context).is_pending() {
                return Poll::Pending;
            }
            let now = Instant::now();
            if let Err(denied) = self.session.access.check_time() {
                self.deny(denied);
                context.waker().wake_by_ref();
                return Poll::Pending;
            }
            if self.leave.is_some_and(|leave| leave <= now) {
                self.closed = Some("drain");
                return Poll::Ready(Ok(()));
            }
            if too_slow.is_some_and(|limit| limit <= now) {
                self.session.metrics.reached.count("write_timeout");
                self.closed = Some("too_slow");
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
            if self.beat <= now {
                self.beat = next_beat(self.session.options.heartbeat);
                if self.outbox.is_empty() {
                    self.heartbeat();
                    context.waker().wake_by_ref();
                }
            }
        }
    }

    /// It may not go on: what waits may not be seen any more.
    fn deny(&mut self, denied: Denied) {
        self.outbox.discard();
        self.probe.discard();
        self.phase = Phase::Ended;
        self.closed = Some(denied.label());
    }

    /// Asks the follower for chunks, while the queue has room.
    fn pump(&mut self) {
        while !self.is_full() && matches!(self.phase, Phase::Ready) {
            let task = self.session.task.clone();
            let task = &task;
            let step = self.session.follower.next(CHUNK_BYTES);
            let cursor = self.session.follower.cursor();
            match step {
                Step::Frames(batch) => self.push_frames(&batch),
                Step::Begun { state, after } => self.event("subscribed", after, &ServerMessage::subscribed(task, state, after)),
                Step::Reset { epoch } => self.event("reset", cursor, &ServerMessage::Reset { task, epoch }),
                Step::Truncated { floor } => self.event("truncated", cursor, &ServerMessage::Truncated { task, floor }),
                Step::Skipped(offset) => self.event("cursor", cursor, &ServerMessage::Cursor { task, offset }),
                Step::Live(offset) => self.event("live", cursor, &ServerMessage::Live { task, offset }),
                Step::Deleted => {
                    self.phase = Phase::Ended;
                    self.event("unsubscribed", None, &ServerMessage::Unsubscribed { task, reason: "deleted" });
                }
                Step::Read(range) => {
                    let wanted = Wanted::Page(task.clone(), range);
                    let wait = self.session.access.draw(Draw::ColdReads);
                    if !wait.is_zero() {
                        self.session.metrics.reached.count("cold_reads_per_second");
                    }
                    self.phase = Phase::Reading { _fetch: self.session.hub.fetch(wanted, self.mailbox.clone(), 0, wait) };
                }
                Step::Asleep => self.phase = Phase::Asleep,
            }
        }
    }

    fn is_full(&self) -> bool {
        let options = &self.session.options;
        options.queue_frames <= self.outbox.frames() || options.queue_bytes <= self.outbox.bytes()
    }

    fn push_frames(&mut self, batch: &FrameBatch) {
        let filter = self.session.follower.filter();
        let count = if filter.wants_all() {
            self.outbox.push(if self.chunked { batch.sse_chunk() } else { batch.sse_all() }, 1);
            batch.frames().len()
        } else {
            let wanted = batch.frames().iter().filter(|frame| filter.wants(frame.kind, &frame.invocation));
            let (mut chunk, mut count) = (BytesMut::new(), 0);
            for frame in wanted {
                chunk.extend_from_slice(&batch.sse(frame));
                count += 1;
            }
            self.push(chunk.freeze());
            count
        };
        self.session.metrics.delivered.inc_by(count as u64);
        self.probe.pushed(batch, &self.session.follower, &self.relay, self.outbox.bytes(), &self.session.metrics.tracer);
        if self.session.follower.rests() {
            self.phase = Phase::Asleep;
        }
    }

    fn push(&mut self, chunk: Bytes) {
        if chunk.is_empty() {
            // A chunk without content would end the body, and a write of nothing would look like a socket that takes nothing.
            return;
        }
        if !self.chunked {
            return self.outbox.push(chunk, 1);
        }
        self.outbox.push(format!("{:x}\r\n", chunk.len()).into(), 0);
        self.outbox.push(chunk, 1);
        self.outbox.push(Bytes::from_static(b"\r\n"), 0);
    }

    fn event(&mut self, name: &str, cursor: Option<Cursor>, message: &ServerMessage<'_>) {
        self.push(event(name, cursor, message));
    }

    /// The node stops: where to continue, when to come back, and, a little later, the end.
    fn begin_to_leave(&mut self) {
        let options = &self.session.options;
        let departure = self.session.ending.depart(options.drain_spread, options.reconnect_window);
        self.leave = Some(Instant::now() + departure.leave_after);
        let millis = u64::try_from(departure.reconnect_after.as_millis()).unwrap_or(u64::MAX);
        let cursor = self.session.follower.cursor();
        let cursors = cursor.iter().map(|cursor| (&self.session.task, *cursor)).collect();
        let mut text = BytesMut::from(format!("retry: {millis}\n").as_bytes());
        text.extend_from_slice(&event("drain", cursor, &ServerMessage::Drain { reconnect_after_ms: millis, cursors }));
        self.push(text.freeze());
    }

    /// A comment that keeps the connection warm; and where a filter skipped on, an event that carries the cursor along.
    fn heartbeat(&mut self) {
        match self.session.follower.take_skipped() {
            Some(offset) => {
                let task = self.session.task.clone();
                let cursor = self.session.follower.cursor();
                self.event("cursor", cursor, &ServerMessage::Cursor { task: &task, offset });
            }
            None => self.push(Bytes::from_static(b": heartbeat\n\n")),
        }
    }

    /// Writes what is left, and the end of the body.
    async fn finish(&mut self, stream: &mut Stream) -> io::Result<()> {
        while !self.outbox.is_empty() {
            poll_fn(|context| self.outbox.poll_write(context, stream)).await?;
        }
        if self.chunked {
            stream.write_all(b"0\r\n\r\n").await?;
        }
        stream.shutdown().await
    }
}

/// A named event, so that `onmessage` hears of activities only. The id moves the client's `Last-Event-ID` along.
fn event(name: &str, cursor: Option<Cursor>, message: &ServerMessage<'_>) -> Bytes {
    let mut text = BytesMut::new();
    if let Some(cursor) = cursor {
        text.extend_from_slice(format!("id: {cursor}\n").as_bytes());
    }
    text.extend_from_slice(format!("event: {name}\ndata: ").as_bytes());
    text.extend_from_slice(&message.encode());
    text.extend_from_slice(b"\n\n");
    text.freeze()
}
