//! The loop that moves a WebSocket session's bytes: frames out as the socket takes them, messages in, pings, and an end with a reason.
//!
//! Activities and protocol messages are whole frames already, the same bytes for every viewer, and go from the session's outbox to the socket as
//! they are. tokio-tungstenite reads, answers pings and closes; it has its turn between frames only.

mod goodbye;

use std::{
    future::poll_fn,
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use futures_util::{FutureExt, Sink, Stream as _};
use tokio::time::{Instant, Sleep, sleep_until};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        Message,
        protocol::{Role, WebSocketConfig},
    },
};

use super::{
    Session,
    beat::next_beat,
    end::End,
    ending::{Ending, Stage},
    meter::{Meter, MeterLimits, Metered},
    outside::Outside,
};
use crate::tls::stream::Stream;

/// The buffer that each socket reads into. Clients send little: a subscription now and then, and pongs.
const READ_BUFFER: usize = 256;

/// The most bytes of pongs and close frames that wait for the socket.
const CONTROL_BUFFER: usize = 16 * 1024;

/// How often a session fills its outbox and writes it before the other sessions of its thread have their turn.
const ROUNDS: usize = 4;

/// A ping without content (RFC 6455 section 5.5.2), as a server sends it.
const PING: &[u8] = &[0x89, 0];

/// Serves one session over a connection until either side ends it. `early` is what the client sent right after its handshake.
pub(crate) fn serve(
    stream: Stream,
    early: Vec<u8>,
    session: Session,
    ending: Arc<Ending>,
) -> impl Future<Output = ()> + Send + 'static {
    // Two futures one after the other need the room of the larger one; one that awaits them both keeps what it was given, too.
    Connection::open(stream, early, session, ending).then(Connection::drive)
}

impl Connection {
    async fn open(stream: Stream, early: Vec<u8>, session: Session, ending: Arc<Ending>) -> Self {
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BUFFER)
            .write_buffer_size(0)
            .max_write_buffer_size(CONTROL_BUFFER)
            .max_message_size(Some(session.options.frame_bytes))
            .max_frame_size(Some(session.options.frame_bytes));
        let limits = MeterLimits { frames: session.options.frames, fragments: session.options.fragments };
        let mut stream = Metered { stream, meter: Meter::new(limits) };
        stream.meter.see(&early, Instant::now());
        let socket = WebSocketStream::from_partially_read(stream, early, Role::Server, Some(config)).await;
        Self::new(socket, session, ending)
    }

    async fn drive(mut self) {
        let metrics = self.session.metrics.clone();
        metrics.sessions.inc();
        tracing::debug!(session.id = %self.session.name, transport = "websocket", "a session begins");
        let _seat = self.ending.hear(&self.session.relay, self.session.mailbox.clone());
        let end = self.run().await;
        tracing::debug!(session.id = %self.session.name, end = ?end, "a session ends");
        if let Some((code, reason, label)) = end.close() {
            metrics.close(label);
            end.limit().into_iter().for_each(|limit| metrics.reached.count(limit));
            if end.discards() {
                self.session.discard();
            }
            // In a box of its own, so that a session has no room for its end all its life.
            Box::pin(self.close(code, reason)).await;
        } else if end == End::Closed {
            Box::pin(self.answer_close()).await;
        }
        metrics.sessions.dec();
    }
}

/// What the loop has to deal with.
enum Event {
    Message(Message),
    /// The node's ending has come further.
    Ending,
    /// A time is up.
    Due,
    End(End),
}

struct Connection {
    socket: WebSocketStream<Metered>,
    session: Session,
    ending: Arc<Ending>,
    stage: Stage,
    /// Whether a pong or close frame may wait in the socket's own buffer.
    unflushed: bool,
    /// Since when the socket takes nothing although something waits.
    blocked: Option<Instant>,
    heard: Instant,
    beat: Instant,
    leave: Option<Instant>,
    /// Goes off at the earliest of the times above, or before.
    timer: Pin<Box<Sleep>>,
    outside: Outside,
    /// Whether the socket and the timer are to be asked.
    look: bool,
}

impl Connection {
    fn new(socket: WebSocketStream<Metered>, session: Session, ending: Arc<Ending>) -> Self {
        let now = Instant::now();
        let beat = next_beat(session.options.heartbeat);
        let timer = Box::pin(sleep_until(beat));
        let stage = Stage::Open;
        Self {
            socket,
            session,
            ending,
            stage,
            unflushed: false,
            blocked: None,
            heard: now,
            beat,
            leave: None,
            timer,
            outside: Outside::new(),
            look: true,
        }
    }

    async fn run(&mut self) -> End {
        loop {
            let end = match poll_fn(|context| self.poll(context)).await {
                Event::Message(message) => {
                    self.heard = Instant::now();
                    // A pong to answer a ping may have been queued.
                    self.unflushed = true;
                    #[cfg(feature = "echo")]
                    let Some(message) = self.session.echo(message) else {
                        self.arm();
                        continue;
                    };
                    match message {
                        Message::Text(text) if !self.session.receive(text.as_str()) => Some(End::Policy),
                        Message::Binary(_) => Some(End::Policy),
                        Message::Close(_) => Some(End::Closed),
                        _ => None,
                    }
                }
                Event::Ending => self.next_stage(),
                Event::Due => self.due(),
                Event::End(end) => Some(end),
            };
            if let Some(end) = end {
                return end;
            }
            self.arm();
        }
    }

    /// Writes what the socket takes and reads one message, whatever comes first. While the queue is full nothing is read, so that a client
    /// cannot make it grow by asking.
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Event> {
        self.session.hear(context);
        if let Some(denied) = self.session.denied() {
            return Poll::Ready(Event::End(denied.into()));
        }
        // A new token may end before the timer goes off.
        if self.session.access_due().is_some_and(|due| due < self.timer.deadline()) {
            self.arm();
        }
        self.look |= self.outside.was_woken(context);
        if self.ending.stage() != self.stage {
            return Poll::Ready(Event::Ending);
        }
        for round in 1.. {
            self.session.pump();
            let written = match self.poll_write(context) {
                Poll::Ready(Ok(written)) => written,
                Poll::Ready(Err(_)) => return Poll::Ready(Event::End(End::Gone)),
                Poll::Pending => false,
            };
            if self.look
                && let Poll::Ready(event) = self.poll_read()
            {
                return Poll::Ready(event);
            }
            let more = !self.session.outbox.is_empty() || self.session.has_ready();
            if !written || !more {
                break;
            }
            if round == ROUNDS {
                context.waker().wake_by_ref();
                break;
            }
        }
        self.note_block();
        if !self.look {
            return Poll::Pending;
        }
        // Part of a message may have come.
        self.arm();
        // Where nothing may be read yet, it is looked again next time.
        self.look = !self.may_read();
        let waker = self.outside.waker();
        self.timer.as_mut().poll(&mut Context::from_waker(&waker)).map(|()| Event::Due)
    }

    fn may_read(&self) -> bool {
        !self.session.outbox.is_torn() && !self.unflushed && !self.session.is_full() && self.session.may_receive()
    }

    /// Reads one message, if one may be read now.
    fn poll_read(&mut self) -> Poll<Event> {
        if !self.may_read() {
            return Poll::Pending;
        }
        let waker = self.outside.waker();
        Pin::new(&mut self.socket).poll_next(&mut Context::from_waker(&waker)).map(|read| match read {
            Some(Ok(message)) => Event::Message(message),
            Some(Err(error)) => Event::End(End::of(&error, self.socket.get_ref().meter.too_much())),
            None => Event::End(End::Gone),
        })
    }

    /// Writes once; says whether anything was written, and is pending if the socket takes nothing.
    fn poll_write(&mut self, context: &mut Context<'_>) -> Poll<io::Result<bool>> {
        let stream = &mut self.socket.get_mut().stream;
        if stream.is_behind() {
            ready!(stream.poll_drain(context))?;
            self.blocked = None;
            if stream.is_behind() {
                return Poll::Pending;
            }
        }
        let outbox = &mut self.session.outbox;
        if self.unflushed && !outbox.is_torn() {
            let flushed = ready!(Pin::new(&mut self.socket).poll_flush(context));
            flushed.map_err(io::Error::other)?;
            self.unflushed = false;
            self.blocked = None;
        }
        if outbox.is_empty() {
            return Poll::Ready(Ok(false));
        }
        let written = ready!(outbox.poll_write(context, &mut self.socket.get_mut().stream))?;
        self.session.probe.written(written, &self.session.metrics);
        self.blocked = None;
        Poll::Ready(if written == 0 { Err(io::ErrorKind::WriteZero.into()) } else { Ok(true) })
    }

    /// Begins to count the time if something waits for the socket.
    fn note_block(&mut self) {
        let waits = self.unflushed || !self.session.outbox.is_empty() || self.socket.get_ref().stream.is_behind();
        if self.blocked.is_none() && waits {
            self.blocked = Some(Instant::now());
            self.arm();
        }
    }

    /// Sets the timer to the earliest time, if it would go off later than that.
    fn arm(&mut self) {
        let due = self.earliest();
        if due < self.timer.deadline() {
            self.timer.as_mut().reset(due);
            self.look = true;
        }
    }

    fn earliest(&self) -> Instant {
        let options = &self.session.options;
        let too_slow = self.blocked.map(|since| since + options.write_timeout);
        let whole = self.socket.get_ref().meter.since().map(|since| since + options.message_timeout);
        let times = [
            Some(self.heard + options.idle_timeout),
            too_slow,
            whole,
            self.leave,
            self.session.access_due(),
            self.session.pace.pause(),
        ];
        times.into_iter().flatten().fold(self.beat, Instant::min)
    }

    /// The timer has gone off: does what is due. Gives the end if it is that.
    fn due(&mut self) -> Option<End> {
        let now = Instant::now();
        if let Some(denied) = self.session.is_over() {
            return Some(denied.into());
        }
        if self.leave.is_some_and(|leave| leave <= now) {
            return Some(End::Drained);
        }
        if self.blocked.is_some_and(|since| since + self.session.options.write_timeout <= now) {
            return Some(End::TooSlow);
        }
        if self.heard + self.session.options.idle_timeout <= now {
            return Some(End::Silent);
        }
        self.session.pace.resume(now);
        let may_read = self.may_read();
        let meter = &mut self.socket.get_mut().meter;
        if meter.since().is_some_and(|since| since + self.session.options.message_timeout <= now) {
            if may_read {
                return Some(End::Dribbled);
            }
            meter.forgive(now);
        }
        if self.beat <= now {
            self.beat = next_beat(self.session.options.heartbeat);
            // One that is behind is not burdened with more.
            if !self.session.is_full() {
                self.session.heartbeat();
                self.session.outbox.push(Bytes::from_static(PING), 1);
            }
        }
        let due = self.earliest();
        self.timer.as_mut().reset(due);
        self.look = true;
        None
    }

    fn next_stage(&mut self) -> Option<End> {
        self.stage = self.ending.stage();
        match self.stage {
            Stage::Open => None,
            Stage::Draining => {
                let options = self.session.options.clone();
                let departure = self.ending.depart(options.drain_spread, options.reconnect_window);
                self.session.drain(departure.reconnect_after);
                self.leave = Some(Instant::now() + departure.leave_after);
                None
            }
            Stage::Over => Some(End::Gone),
        }
    }
}
