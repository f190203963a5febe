//! One viewer's connection: the handshake, then whatever comes, every offset checked.

use std::{
    collections::HashMap,
    io::ErrorKind,
    net::SocketAddr,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use anyhow::ensure;
use hdrhistogram::Histogram;
use memchr::memmem;
use parking_lot::Mutex;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    sync::OwnedSemaphorePermit,
    time::timeout,
};

use super::{
    Seen, Transport, Viewer,
    frames::{Marks, Message, client_frame, event, frame},
};
use crate::clock;

/// How long connecting and the answer to the handshake may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// How many viewers share an address of this machine, so that there are ports enough for all.
const PER_ADDRESS: usize = 4_000;

/// The receive buffer of a viewer that stops reading; the kernel doubles it.
const SMALL_BUFFER: u32 = 8 * 1024;

/// What all viewers of a thread use in turn.
pub struct Shared {
    pub seen: Arc<Seen>,
    pub latency: Arc<Mutex<Histogram<u64>>>,
    /// What is read at once.
    pub scratch: Mutex<Vec<u8>>,
    pub marks: Marks,
}

/// What a viewer has seen.
struct State {
    /// The last offset of each task; with one task only `only` is used.
    offsets: HashMap<Vec<u8>, u64>,
    only: u64,
    many: bool,
    /// How many tasks are not live yet.
    waiting: usize,
    /// What is left of a message that has not come whole.
    rest: Vec<u8>,
}

/// Connects the viewer of this number and watches until the connection ends; `turn` is kept until it is live.
pub async fn watch(
    address: SocketAddr,
    transport: Transport,
    (number, viewer): (usize, Viewer),
    turn: Option<OwnedSemaphorePermit>,
    shared: &Shared,
) -> anyhow::Result<()> {
    let mut stream = if viewer.reads { open(address, number).await? } else { open_small(address, number).await? };
    let request = match transport {
        Transport::WebSocket => handshake(address),
        Transport::Sse => format!(
            "GET /v1/tasks/{}/stream?after={} HTTP/1.1\r\nHost: {address}\r\nAccept: text/event-stream\r\n\r\n",
            viewer.tasks[0], viewer.after
        ),
    };
    stream.write_all(request.as_bytes()).await?;
    let status = if transport == Transport::Sse { "200" } else { "101" };
    let rest = answer(&mut stream, status).await?;
    if transport == Transport::WebSocket {
        for task in &viewer.tasks {
            let subscribe = format!(r#"{{"op":"subscribe","task":"{task}","after":"{}"}}"#, viewer.after);
            stream.write_all(&client_frame(1, subscribe.as_bytes())).await?;
        }
    }
    let (count, offsets) = (viewer.tasks.len(), HashMap::new());
    let mut state = State { offsets, only: 0, many: 1 < count, waiting: count, rest: Vec::new() };
    state.take(&rest, transport, shared, &stream)?;
    let (mut live, mut turn) = (false, Some(turn));
    loop {
        if state.waiting == 0 && !live {
            live = true;
            drop(turn.take());
            shared.seen.live.fetch_add(1, Ordering::Relaxed);
            if !viewer.reads {
                std::future::pending::<()>().await;
            }
        }
        stream.readable().await?;
        let mut scratch = shared.scratch.lock();
        match stream.try_read(&mut scratch) {
            Ok(0) => anyhow::bail!("the server closed the connection"),
            Ok(count) => state.take(&scratch[..count], transport, shared, &stream)?,
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// A connection of the viewer of this number.
pub(super) async fn open(address: SocketAddr, number: usize) -> anyhow::Result<TcpStream> {
    connect(socket(number)?, address).await
}

/// The same with little room for what is not read.
async fn open_small(address: SocketAddr, number: usize) -> anyhow::Result<TcpStream> {
    let socket = socket(number)?;
    socket.set_recv_buffer_size(SMALL_BUFFER)?;
    connect(socket, address).await
}

fn socket(number: usize) -> anyhow::Result<TcpSocket> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(SocketAddr::from(([127, 0, 0, u8::try_from(2 + number / PER_ADDRESS)?], 0)))?;
    Ok(socket)
}

async fn connect(socket: TcpSocket, address: SocketAddr) -> anyhow::Result<TcpStream> {
    let stream = timeout(PATIENCE, socket.connect(address)).await??;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// What a viewer over WebSocket begins with.
pub(super) fn handshake(address: SocketAddr) -> String {
    format!(
        "GET /v1/ws HTTP/1.1\r\nHost: {address}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: tasklight.v1\r\n\r\n"
    )
}

/// Reads the answer to the handshake, which must have this status; gives what came after it.
pub(super) async fn answer(stream: &mut TcpStream, status: &str) -> anyhow::Result<Vec<u8>> {
    let mut buffer = Vec::new();
    loop {
        if let Some(end) = memmem::find(&buffer, b"\r\n\r\n") {
            let first = String::from_utf8_lossy(&buffer[..end]).lines().next().unwrap_or_default().to_owned();
            ensure!(first.contains(status), "the server answered {first}");
            return Ok(buffer.split_off(end + 4));
        }
        let count = timeout(PATIENCE, stream.read_buf(&mut buffer)).await??;
        ensure!(count != 0, "the server closed the connection before it answered");
    }
}

impl State {
    /// What was read: whole messages are looked at, the rest is kept.
    fn take(&mut self, bytes: &[u8], transport: Transport, shared: &Shared, stream: &TcpStream) -> anyhow::Result<()> {
        if self.rest.is_empty() {
            let used = self.messages(bytes, transport, shared, stream)?;
            self.rest.extend_from_slice(&bytes[used..]);
            return Ok(());
        }
        let mut all = std::mem::take(&mut self.rest);
        all.extend_from_slice(bytes);
        let used = self.messages(&all, transport, shared, stream)?;
        all.drain(..used);
        if !all.is_empty() {
            self.rest = all;
        }
        Ok(())
    }

    /// Looks at the whole messages at the front; says how many bytes they were.
    fn messages(&mut self, bytes: &[u8], transport: Transport, shared: &Shared, stream: &TcpStream) -> anyhow::Result<usize> {
        let mut latency = shared.seen.measuring.load(Ordering::Relaxed).then(|| shared.latency.lock());
        let (now, mut used, mut activities) = (clock::nanos(), 0, 0);
        loop {
            let rest = &bytes[used..];
            let message = match transport {
                Transport::WebSocket => frame(rest),
                Transport::Sse => event(rest),
            };
            let Some((opcode, payload, length)) = message else { break };
            used += length;
            match opcode {
                9 => drop(stream.try_write(&client_frame(10, payload))),
                8 => anyhow::bail!("the server closed the session: {}", String::from_utf8_lossy(payload)),
                _ => match shared.marks.message(payload) {
                    Message::Activity => {
                        activities += 1;
                        self.check_offset(payload, shared);
                        if let (Some(latency), Some(sent)) = (&mut latency, shared.marks.sent(payload)) {
                            latency.saturating_record(now.saturating_sub(sent).max(1));
                        }
                    }
                    Message::Live => self.waiting = self.waiting.saturating_sub(1),
                    Message::Reset => anyhow::bail!("the log was reset"),
                    Message::Other => {}
                },
            }
        }
        shared.seen.activities.fetch_add(activities, Ordering::Relaxed);
        Ok(used)
    }

    fn check_offset(&mut self, activity: &[u8], shared: &Shared) {
        let offset = shared.marks.offset(activity).unwrap_or_default();
        let last = if self.many {
            let task = shared.marks.task(activity).unwrap_or_default();
            match self.offsets.get_mut(task) {
                Some(last) => last,
                None => self.offsets.entry(task.to_vec()).or_default(),
            }
        } else {
            &mut self.only
        };
        if *last != 0 && offset != *last + 1 {
            shared.seen.fault(format!("offset {offset} came after {last}"));
        }
        *last = offset;
    }
}
