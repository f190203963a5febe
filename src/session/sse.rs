//! One task over Server-Sent Events (WHATWG HTML section 9.2): the same follower, with the connection as its only queue. The body is
//! asked for more when the socket has taken what it had, so a slow viewer costs one chunk.

use std::{sync::Arc, time::Duration};

use bytes::{Bytes, BytesMut};
use futures_util::{Stream, stream};
use tokio::{
    sync::watch,
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;

use super::{SessionOptions, protocol::ServerMessage};
use crate::{
    hub::{Follower, Hub, Step},
    metrics::Metrics,
    model::TaskId,
};

/// The most bytes in one chunk of the body.
const CHUNK_BYTES: usize = 64 * 1024;

/// How long a client waits before it reconnects, as advised at the start of the stream.
const RETRY: Duration = Duration::from_secs(2);

/// The longest time that a session which could not read the store waits before it asks again.
const READ_RETRY: Duration = Duration::from_secs(1);

/// What a stream needs.
pub(crate) struct SseSession {
    pub task: TaskId,
    pub follower: Follower,
    pub hub: Hub,
    pub options: Arc<SessionOptions>,
    pub metrics: Arc<Metrics>,
    pub drain: watch::Receiver<bool>,
    pub stop: CancellationToken,
}

/// The body of the response: chunks of whole events, without end unless the task is deleted or the node stops.
pub(crate) fn body(session: SseSession) -> impl Stream<Item = Result<Bytes, std::convert::Infallible>> + Send {
    session.metrics.sessions.inc();
    let open = Open(session.metrics.clone());
    let beat = Instant::now() + session.options.heartbeat;
    let state = Streaming { session, beat, leave: None, ended: false, hello: true, _open: open };
    stream::unfold(state, |mut state| async move {
        let chunk = state.chunk().await?;
        Some((Ok(chunk), state))
    })
}

/// Counts the session as open until it is dropped, however it ends.
struct Open(Arc<Metrics>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.sessions.dec();
    }
}

struct Streaming {
    session: SseSession,
    beat: Instant,
    leave: Option<Instant>,
    ended: bool,
    hello: bool,
    _open: Open,
}

impl Streaming {
    /// The next chunk; nothing at the end.
    async fn chunk(&mut self) -> Option<Bytes> {
        if std::mem::take(&mut self.hello) {
            return Some(format!("retry: {}\n\n", RETRY.as_millis()).into());
        }
        while !self.ended {
            if self.leave.is_none() && *self.session.drain.borrow() {
                return Some(self.begin_to_leave());
            }
            if self.leave.is_some_and(|leave| leave <= Instant::now()) {
                return None;
            }
            if let Some(chunk) = self.step().await {
                return Some(chunk);
            }
        }
        None
    }

    async fn step(&mut self) -> Option<Bytes> {
        let task = self.session.task.clone();
        let task = &task;
        match self.session.follower.next(CHUNK_BYTES) {
            Step::Frames(batch) => {
                let filter = self.session.follower.filter();
                if filter.wants_all() {
                    self.session.metrics.delivered.inc_by(batch.frames().len() as u64);
                    return Some(batch.sse_all());
                }
                let mut chunk = BytesMut::new();
                for frame in batch.frames().iter().filter(|frame| filter.wants(frame.kind, &frame.invocation)) {
                    self.session.metrics.delivered.inc();
                    chunk.extend_from_slice(&batch.sse(frame));
                }
                Some(chunk.freeze())
            }
            Step::Begun { state, after } => Some(event("subscribed", after, &ServerMessage::subscribed(task, state, after))),
            Step::Reset { epoch } => Some(event("reset", self.session.follower.cursor(), &ServerMessage::Reset { task, epoch })),
            Step::Truncated { floor } => {
                Some(event("truncated", self.session.follower.cursor(), &ServerMessage::Truncated { task, floor }))
            }
            Step::Skipped(offset) => {
                Some(event("cursor", self.session.follower.cursor(), &ServerMessage::Cursor { task, offset }))
            }
            Step::Live(offset) => Some(event("live", self.session.follower.cursor(), &ServerMessage::Live { task, offset })),
            Step::Deleted => {
                self.ended = true;
                Some(event("unsubscribed", None, &ServerMessage::Unsubscribed { task, reason: "deleted" }))
            }
            Step::Read(range) => {
                match self.session.hub.read(task, &range).await {
                    Ok(page) => self.session.follower.supply(page),
                    Err(_) => tokio::time::sleep(READ_RETRY.mul_f64(rand::random())).await,
                }
                None
            }
            Step::Asleep => self.wait().await,
        }
    }

    /// Until there may be something to say: a change of the log, a heartbeat, or the end.
    async fn wait(&mut self) -> Option<Bytes> {
        let mut changed = self.session.follower.changed();
        let due = self.leave.map_or(self.beat, |leave| leave.min(self.beat));
        tokio::select! {
            _ = changed.changed() => {}
            () = self.session.stop.cancelled() => self.ended = true,
            Ok(()) = self.session.drain.changed() => {}
            () = sleep_until(due) => {}
        }
        if Instant::now() < self.beat {
            return None;
        }
        self.beat = Instant::now() + self.session.options.heartbeat;
        Some(self.heartbeat())
    }

    /// The node stops: where to continue, when to come back, and, a little later, the end.
    fn begin_to_leave(&mut self) -> Bytes {
        let options = &self.session.options;
        self.leave = Some(Instant::now() + options.drain_spread.mul_f64(rand::random()));
        let reconnect_after = options.reconnect_window.mul_f64(rand::random());
        let millis = u64::try_from(reconnect_after.as_millis()).unwrap_or(u64::MAX);
        let cursor = self.session.follower.cursor();
        let cursors = cursor.iter().map(|cursor| (&self.session.task, *cursor)).collect();
        let mut text = BytesMut::from(format!("retry: {millis}\n").as_bytes());
        text.extend_from_slice(&event("drain", cursor, &ServerMessage::Drain { reconnect_after_ms: millis, cursors }));
        text.freeze()
    }

    /// A comment that keeps the connection warm; and where a filter skipped on, an event that carries the cursor along.
    fn heartbeat(&mut self) -> Bytes {
        let task = self.session.task.clone();
        match self.session.follower.take_skipped() {
            Some(offset) => event("cursor", self.session.follower.cursor(), &ServerMessage::Cursor { task: &task, offset }),
            None => Bytes::from_static(b": heartbeat\n\n"),
        }
    }
}

/// A named event, so that `onmessage` hears of activities only. The id moves the client's `Last-Event-ID` along.
fn event(name: &str, cursor: Option<crate::model::Cursor>, message: &ServerMessage<'_>) -> Bytes {
    let mut text = BytesMut::new();
    if let Some(cursor) = cursor {
        text.extend_from_slice(format!("id: {cursor}\n").as_bytes());
    }
    text.extend_from_slice(format!("event: {name}\ndata: ").as_bytes());
    text.extend_from_slice(&message.encode());
    text.extend_from_slice(b"\n\n");
    text.freeze()
}
