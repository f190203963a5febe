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
    io::AsyncWriteExt,
    net::{TcpSocket, TcpStream},
    sync::OwnedSemaphorePermit,
    time::timeout,
};

use super::{
    Seen, Transport, Viewer,
    frames::{client_frame, event, frame, number, text},
};
use crate::clock;

/// How many viewers share an address of this machine, so that there are ports enough for all.
const PER_ADDRESS: usize = 4_000;

/// The receive buffer of a viewer that stops reading; the kernel doubles it.
const SMALL_BUFFER: u32 = 8 * 1024;

/// What a viewer has seen.
pub struct State {
    pub seen: Arc<Seen>,
    pub latency: Arc<Mutex<Histogram<u64>>>,
    /// The last offset of each task; with one task only `only` is used.
    offsets: HashMap<Vec<u8>, u64>,
    only: u64,
    many: bool,
}

impl State {
    pub fn new(seen: Arc<Seen>, latency: Arc<Mutex<Histogram<u64>>>, viewer: &Viewer) -> Self {
        Self { seen, latency, offsets: HashMap::new(), only: 0, many: 1 < viewer.tasks.len() }
    }

    /// An `activity` message.
    fn activity(&mut self, frame: &[u8]) {
        let offset = number(frame, b"\"offset\":").unwrap_or_default();
        let last = if self.many {
            let task = text(frame, b"\"taskId\":\"").unwrap_or_default();
            match self.offsets.get_mut(task) {
                Some(last) => last,
                None => self.offsets.entry(task.to_vec()).or_default(),
            }
        } else {
            &mut self.only
        };
        if *last != 0 && offset != *last + 1 {
            let last = *last;
            self.seen.fault(format!("offset {offset} came after {last}"));
        }
        *last = offset;
        self.seen.activities.fetch_add(1, Ordering::Relaxed);
        if self.seen.measuring.load(Ordering::Relaxed)
            && let Some(sent) = number(frame, b"\"data\":{\"t\":")
        {
            self.latency.lock().saturating_record(clock::nanos().saturating_sub(sent).max(1));
        }
    }
}

/// Connects the viewer of this number and watches until the connection ends; `turn` is kept until it is live.
pub async fn watch(
    address: SocketAddr,
    transport: Transport,
    (number, viewer): (usize, Viewer),
    turn: Option<OwnedSemaphorePermit>,
    scratch: &Mutex<Vec<u8>>,
    mut state: State,
) -> anyhow::Result<()> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(SocketAddr::from(([127, 0, 0, u8::try_from(2 + number / PER_ADDRESS)?], 0)))?;
    if !viewer.reads {
        socket.set_recv_buffer_size(SMALL_BUFFER)?;
    }
    let mut stream = timeout(Duration::from_secs(30), socket.connect(address)).await??;
    stream.set_nodelay(true)?;
    let request = match transport {
        Transport::WebSocket => format!(
            "GET /v1/ws HTTP/1.1\r\nHost: {address}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: tasklight.v1\r\n\r\n"
        ),
        Transport::Sse => format!(
            "GET /v1/tasks/{}/stream?after={} HTTP/1.1\r\nHost: {address}\r\nAccept: text/event-stream\r\n\r\n",
            viewer.tasks[0], viewer.after
        ),
    };
    stream.write_all(request.as_bytes()).await?;
    let mut buffer = Vec::new();
    let head = loop {
        if let Some(end) = memmem::find(&buffer, b"\r\n\r\n") {
            break end + 4;
        }
        read_more(&stream, &mut buffer, scratch).await?;
    };
    let status = if transport == Transport::Sse { "200" } else { "101" };
    let first = String::from_utf8_lossy(&buffer[..head]).lines().next().unwrap_or_default().to_owned();
    ensure!(first.contains(status), "the server answered {first}");
    buffer.drain(..head);
    if transport == Transport::WebSocket {
        for task in &viewer.tasks {
            let subscribe = format!(r#"{{"op":"subscribe","task":"{task}","after":"{}"}}"#, viewer.after);
            stream.write_all(&client_frame(1, subscribe.as_bytes())).await?;
        }
    }
    let mut waiting = viewer.tasks.len();
    let mut live = false;
    let mut turn = Some(turn);
    loop {
        let used = consume(&buffer, transport, &mut state, &mut waiting, &mut stream)?;
        buffer.drain(..used);
        if buffer.is_empty() {
            buffer = Vec::new();
        }
        if waiting == 0 && !live {
            live = true;
            drop(turn.take());
            state.seen.live.fetch_add(1, Ordering::Relaxed);
            if !viewer.reads {
                std::future::pending::<()>().await;
            }
        }
        read_more(&stream, &mut buffer, scratch).await?;
    }
}

/// Reads what there is; the buffer only takes what is left over.
async fn read_more(stream: &TcpStream, buffer: &mut Vec<u8>, scratch: &Mutex<Vec<u8>>) -> anyhow::Result<()> {
    loop {
        stream.readable().await?;
        let mut scratch = scratch.lock();
        match stream.try_read(&mut scratch) {
            Ok(0) => anyhow::bail!("the server closed the connection"),
            Ok(count) => {
                buffer.extend_from_slice(&scratch[..count]);
                return Ok(());
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Takes whole messages from the front; says how many bytes they were.
fn consume(
    buffer: &[u8],
    transport: Transport,
    state: &mut State,
    waiting: &mut usize,
    stream: &mut TcpStream,
) -> anyhow::Result<usize> {
    let mut used = 0;
    loop {
        let rest = &buffer[used..];
        let message = match transport {
            Transport::WebSocket => frame(rest),
            Transport::Sse => event(rest),
        };
        let Some((opcode, payload, length)) = message else { break };
        used += length;
        match opcode {
            9 => drop(stream.try_write(&client_frame(10, payload))),
            8 => anyhow::bail!("the server closed the session: {}", String::from_utf8_lossy(payload)),
            _ if memmem::find(&payload[..payload.len().min(48)], b"\"op\":\"activity\"").is_some() => state.activity(payload),
            _ if memmem::find(payload, b"\"op\":\"live\"").is_some() => *waiting = waiting.saturating_sub(1),
            // A task that does not exist yet is waited for.
            _ if memmem::find(payload, b"\"epoch\":null").is_some() => *waiting = waiting.saturating_sub(1),
            _ if memmem::find(payload, b"\"op\":\"reset\"").is_some() => anyhow::bail!("the log was reset"),
            _ => {}
        }
    }
    Ok(used)
}
