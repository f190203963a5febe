//! The loop that moves a WebSocket session's bytes: frames out as the socket takes them, messages in, pings, and an end with a reason.

use std::{future::poll_fn, pin::pin, task::Poll, time::Duration};

use bytes::Bytes;
use futures_util::{
    FutureExt, Sink, SinkExt, Stream, StreamExt,
    future::{Abortable, BoxFuture, abortable},
    stream::FuturesUnordered,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::watch,
    time::{Instant, sleep_until, timeout},
};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        Error, Message, Utf8Bytes,
        error::CapacityError,
        protocol::{CloseFrame, Role, WebSocketConfig, frame::coding::CloseCode},
    },
};
use tokio_util::sync::CancellationToken;

use super::{Arrival, Session, SessionOptions, Slot, Wait};
use crate::{hub::Hub, metrics::Code};

/// The buffer that each socket reads into. Clients send little.
const READ_BUFFER: usize = 4 * 1024;

/// Frames are joined into writes of about this size.
const WRITE_BUFFER: usize = 16 * 1024;

/// How long a close frame may take to be written to a socket that is not being read.
const CLOSE_GRACE: Duration = Duration::from_secs(5);

/// The longest time that a session which could not read the store waits before it asks again.
const READ_RETRY: Duration = Duration::from_secs(1);

/// Why a session ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// The connection broke.
    Gone,
    /// The client closed.
    Closed,
    /// The client broke the WebSocket protocol itself.
    Malformed,
    /// The client sent text that is not UTF-8.
    NotUtf8,
    /// The node stops.
    Drained,
    /// The client broke the protocol too often.
    Policy,
    /// The client sent a frame or message that is too long.
    TooBig,
    /// The client took nothing for too long.
    TooSlow,
    /// Nothing was heard of the client for too long.
    Silent,
}

impl End {
    /// The close code and reason of DESIGN section 7, and the label under which it is counted.
    fn close(self) -> Option<(u16, &'static str, &'static str)> {
        match self {
            Self::Gone | Self::Closed => None,
            Self::Malformed => Some((1002, "the frames are not valid", "malformed")),
            Self::NotUtf8 => Some((1007, "the text is not UTF-8", "not_utf8")),
            Self::Drained => Some((1012, "the node is stopping; reconnect and continue after your cursor", "drain")),
            Self::Policy => Some((1008, "too many messages that make no sense", "policy")),
            Self::TooBig => Some((1009, "the message is too long", "too_big")),
            Self::TooSlow => Some((4408, "nothing could be written for too long", "too_slow")),
            Self::Silent => Some((4408, "nothing was heard for too long", "silent")),
        }
    }
}

/// What a socket had for the session.
enum Io {
    Message(Message),
    /// There is room for more frames.
    Room,
    Failed(Error),
    Ended,
}

type Waiting = FuturesUnordered<Abortable<BoxFuture<'static, (Slot, Arrival)>>>;

/// Serves one session over an upgraded connection until either side ends it. `drain` tells when the node stops; `stop` ends the session
/// at once.
pub(crate) async fn serve<S>(io: S, session: Session, hub: Hub, drain: watch::Receiver<bool>, stop: CancellationToken)
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    let options = session.options.clone();
    let config = WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER)
        .write_buffer_size(WRITE_BUFFER)
        .max_write_buffer_size(WRITE_BUFFER + options.queue_bytes.max(1 << 20))
        .max_message_size(Some(options.frame_bytes))
        .max_frame_size(Some(options.frame_bytes));
    let socket = WebSocketStream::from_raw_socket(io, Role::Server, Some(config)).await;
    let metrics = session.metrics.clone();
    metrics.sessions.inc();
    let mut connection = Connection { socket, session, hub, unflushed: false, progress: Instant::now() };
    let end = tokio::select! {
        end = connection.run(&options, drain) => end,
        () = stop.cancelled() => End::Gone,
    };
    if end == End::Closed {
        // The answer to the client's close frame is in the buffer already.
        let _ = timeout(CLOSE_GRACE, connection.socket.flush()).await;
    } else if let Some((code, reason, label)) = end.close() {
        metrics.closed.get_or_create(&Code { code: label }).inc();
        connection.close(code, reason).await;
    }
    metrics.sessions.dec();
}

struct Connection<S> {
    socket: WebSocketStream<S>,
    session: Session,
    hub: Hub,
    /// Whether bytes may wait in the socket's write buffer.
    unflushed: bool,
    /// When the socket last took something, or had nothing to take.
    progress: Instant,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    async fn run(&mut self, options: &SessionOptions, mut drain: watch::Receiver<bool>) -> End {
        let mut waiting = Waiting::new();
        let mut heard = Instant::now();
        let mut beat = Instant::now() + jittered(options.heartbeat);
        let mut leave: Option<Instant> = None;
        let mut busy = false;
        loop {
            if !busy {
                self.progress = Instant::now();
            }
            for (slot, wait) in self.session.pump() {
                let (future, handle) = abortable(wait_for(self.hub.clone(), slot, wait));
                self.session.waiting(slot, handle);
                waiting.push(future);
            }
            busy = self.unflushed || self.session.has_frames();
            let too_slow = busy.then(|| self.progress + options.write_timeout);
            let silent = heard + options.idle_timeout;
            let due = [Some(beat), Some(silent), too_slow, leave].into_iter().flatten().min().unwrap_or(beat);
            tokio::select! {
                io = self.exchange() => match io {
                    Io::Message(message) => {
                        heard = Instant::now();
                        match message {
                            Message::Text(text) if !self.session.receive(text.as_str()) => return End::Policy,
                            Message::Binary(_) => return End::Policy,
                            Message::Close(_) => return End::Closed,
                            _ => {}
                        }
                    }
                    Io::Room => {}
                    Io::Failed(Error::Capacity(CapacityError::MessageTooLong { .. })) => return End::TooBig,
                    Io::Failed(Error::Protocol(_)) => return End::Malformed,
                    Io::Failed(Error::Utf8(_)) => return End::NotUtf8,
                    Io::Failed(_) | Io::Ended => return End::Gone,
                },
                Some(arrival) = waiting.next(), if !waiting.is_empty() => {
                    if let Ok((slot, arrival)) = arrival {
                        self.session.arrived(slot, arrival);
                    }
                }
                () = draining(&mut drain), if leave.is_none() => {
                    self.session.drain(options.reconnect_window.mul_f64(rand::random()));
                    leave = Some(Instant::now() + options.drain_spread.mul_f64(rand::random()));
                }
                () = sleep_until(due) => {
                    let now = Instant::now();
                    if leave.is_some_and(|leave| leave <= now) {
                        return End::Drained;
                    }
                    if too_slow.is_some_and(|limit| limit <= now) {
                        return End::TooSlow;
                    }
                    if silent <= now {
                        return End::Silent;
                    }
                    if beat <= now {
                        beat = now + jittered(options.heartbeat);
                        self.beat();
                    }
                }
            }
        }
    }

    /// A ping for the connection and a heartbeat for the client, unless it is behind anyway.
    fn beat(&mut self) {
        if self.session.is_full() {
            return;
        }
        self.session.heartbeat();
        // It fails only when the connection is broken, which the next exchange finds.
        if let Some(Ok(())) = self.socket.feed(Message::Ping(Bytes::new())).now_or_never() {
            self.unflushed = true;
        }
    }

    /// Writes what the socket takes and reads one message, whatever comes first. Nothing is lost if it is dropped half-way. While the queue
    /// is full nothing is read, so that a client cannot make it grow by asking.
    async fn exchange(&mut self) -> Io {
        let reading = !self.session.is_full();
        poll_fn(|context| {
            let mut wrote = false;
            let mut socket = pin!(&mut self.socket);
            while self.session.has_frames() {
                match socket.as_mut().poll_ready(context) {
                    Poll::Ready(Ok(())) => {}
                    Poll::Ready(Err(error)) => return Poll::Ready(Io::Failed(error)),
                    Poll::Pending => break,
                }
                let Some(frame) = self.session.pop() else { break };
                if let Err(error) = socket.as_mut().start_send(text(frame)) {
                    return Poll::Ready(Io::Failed(error));
                }
                wrote = true;
                self.unflushed = true;
                self.progress = Instant::now();
            }
            if self.unflushed && !self.session.has_frames() {
                match socket.as_mut().poll_flush(context) {
                    Poll::Ready(Ok(())) => {
                        self.unflushed = false;
                        self.progress = Instant::now();
                    }
                    Poll::Ready(Err(error)) => return Poll::Ready(Io::Failed(error)),
                    Poll::Pending => {}
                }
            }
            if wrote && self.session.has_ready() && !self.session.is_full() {
                return Poll::Ready(Io::Room);
            }
            if !reading {
                return if self.session.is_full() { Poll::Pending } else { Poll::Ready(Io::Room) };
            }
            match socket.poll_next(context) {
                Poll::Ready(Some(Ok(message))) => {
                    // A pong to answer a ping may have been queued.
                    self.unflushed = true;
                    Poll::Ready(Io::Message(message))
                }
                Poll::Ready(Some(Err(error))) => Poll::Ready(Io::Failed(error)),
                Poll::Ready(None) => Poll::Ready(Io::Ended),
                Poll::Pending => Poll::Pending,
            }
        })
        .await
    }

    /// Sends what is left if the socket takes it, the close frame, and waits a little for the client's.
    async fn close(&mut self, code: u16, reason: &'static str) {
        if code == 4408 {
            self.session.discard();
        }
        let frame = CloseFrame { code: CloseCode::from(code), reason: Utf8Bytes::from_static(reason) };
        let goodbye = async {
            while let Some(frame) = self.session.pop() {
                self.socket.feed(text(frame)).await?;
            }
            self.socket.close(Some(frame)).await?;
            while let Some(Ok(_)) = self.socket.next().await {}
            Ok::<_, Error>(())
        };
        // Whether the client hears it is up to the client.
        let _ = timeout(CLOSE_GRACE, goodbye).await;
    }
}

fn text(frame: Bytes) -> Message {
    Message::Text(Utf8Bytes::try_from(frame).expect("frames are encoded from strings"))
}

/// Ten percent more or less, so that sessions do not march in step.
fn jittered(duration: Duration) -> Duration {
    duration.mul_f64(0.9 + 0.2 * rand::random::<f64>())
}

/// Until the node stops.
async fn draining(drain: &mut watch::Receiver<bool>) {
    // Without a sender there is nobody left to stop the node in order.
    if drain.wait_for(|draining| *draining).await.is_err() {
        std::future::pending::<()>().await;
    }
}

fn wait_for(hub: Hub, slot: Slot, wait: Wait) -> BoxFuture<'static, (Slot, Arrival)> {
    async move {
        let arrival = match wait {
            Wait::Log(mut view) => {
                let _ = view.changed().await;
                Arrival::Changed
            }
            Wait::List(mut newest) => {
                let _ = newest.changed().await;
                Arrival::Changed
            }
            Wait::Read(task, range) => Arrival::Page(hub.read(&task, &range).await),
            Wait::ReadList(after) => Arrival::ListPage(hub.read_list(after).await),
        };
        if matches!(arrival, Arrival::Page(Err(_)) | Arrival::ListPage(Err(_))) {
            tokio::time::sleep(READ_RETRY.mul_f64(rand::random())).await;
        }
        (slot, arrival)
    }
    .boxed()
}
