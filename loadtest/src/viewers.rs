//! Viewers that cost little: one thread for all of them, reading raw frames into one buffer and checking every offset.

use std::{
    collections::HashMap,
    io::ErrorKind,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use anyhow::ensure;
use hdrhistogram::Histogram;
use memchr::memmem;
use parking_lot::Mutex;
use tokio::{
    io::AsyncWriteExt,
    net::TcpStream,
    sync::Semaphore,
    task::JoinSet,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use super::clock;

/// How many viewers connect at once.
const CONNECTING: usize = 64;

/// How much is read at once, for all viewers.
const SCRATCH: usize = 256 * 1024;

/// How a viewer watches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    WebSocket,
    Sse,
}

/// One viewer.
#[derive(Debug, Clone)]
pub struct Viewer {
    /// What it follows; one task over SSE.
    pub tasks: Vec<String>,
    /// From where, in the words of the protocol: `end`, `start` or a cursor.
    pub after: String,
    /// Whether it reads once it is live.
    pub reads: bool,
}

impl Viewer {
    /// One that follows a task from its end.
    pub fn of(task: &str) -> Self {
        Self { tasks: vec![task.to_owned()], after: "end".to_owned(), reads: true }
    }
}

/// What all viewers have seen.
#[derive(Debug, Default)]
pub struct Seen {
    live: AtomicUsize,
    activities: AtomicU64,
    faults: AtomicU64,
    closed: AtomicU64,
    measuring: AtomicBool,
    first_fault: Mutex<Option<String>>,
}

impl Seen {
    pub fn live(&self) -> usize {
        self.live.load(Ordering::Relaxed)
    }

    pub fn activities(&self) -> u64 {
        self.activities.load(Ordering::Relaxed)
    }

    pub fn closed(&self) -> u64 {
        self.closed.load(Ordering::Relaxed)
    }

    fn fault(&self, what: String) {
        self.faults.fetch_add(1, Ordering::Relaxed);
        self.first_fault.lock().get_or_insert(what);
    }
}

/// Viewers at work on a thread of their own.
pub struct Viewers {
    seen: Arc<Seen>,
    latency: Arc<Mutex<Histogram<u64>>>,
    stop: CancellationToken,
    thread: Option<JoinHandle<()>>,
    count: usize,
}

impl Viewers {
    /// Connects them and waits until each is live.
    pub async fn start(address: &str, transport: Transport, viewers: Vec<Viewer>) -> anyhow::Result<Self> {
        let this = Self::begin(address, transport, viewers);
        this.wait_live(Duration::from_secs(120)).await?;
        Ok(this)
    }

    /// Has them connect, and does not wait.
    pub fn begin(address: &str, transport: Transport, viewers: Vec<Viewer>) -> Self {
        let (seen, stop) = (Arc::new(Seen::default()), CancellationToken::new());
        let latency = Arc::new(Mutex::new(Histogram::new_with_bounds(1, 120_000_000_000, 3).expect("valid bounds")));
        let count = viewers.len();
        let thread = {
            let (seen, stop, latency, address) = (seen.clone(), stop.clone(), latency.clone(), address.to_owned());
            std::thread::spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
                runtime.block_on(all(&address, transport, viewers, seen, latency, stop));
            })
        };
        Self { seen, latency, stop, thread: Some(thread), count }
    }

    pub async fn wait_live(&self, patience: Duration) -> anyhow::Result<()> {
        let began = Instant::now();
        while self.seen.live() < self.count {
            self.check()?;
            ensure!(
                began.elapsed() < patience,
                "only {} of {} viewers are live after {patience:?}",
                self.seen.live(),
                self.count
            );
            sleep(Duration::from_millis(5)).await;
        }
        Ok(())
    }

    pub fn seen(&self) -> &Seen {
        &self.seen
    }

    /// From now on latencies count.
    pub fn measure(&self) {
        self.latency.lock().reset();
        self.seen.measuring.store(true, Ordering::Relaxed);
    }

    /// Waits until they have seen so many activities in all.
    pub async fn wait_for(&self, activities: u64, patience: Duration) -> anyhow::Result<()> {
        let began = Instant::now();
        while self.seen.activities() < activities {
            self.check()?;
            ensure!(began.elapsed() < patience, "{} of {activities} deliveries after {patience:?}", self.seen.activities());
            sleep(Duration::from_millis(5)).await;
        }
        self.check()
    }

    /// Whether nothing was lost, repeated, out of order or closed.
    pub fn check(&self) -> anyhow::Result<()> {
        let fault = self.seen.first_fault.lock().clone();
        fault.map_or(Ok(()), |fault| {
            Err(anyhow::anyhow!("{} faults; the first: {fault}", self.seen.faults.load(Ordering::Relaxed)))
        })
    }

    /// The latencies so far, in nanoseconds.
    pub fn latency(&self) -> Histogram<u64> {
        self.latency.lock().clone()
    }
}

impl Drop for Viewers {
    fn drop(&mut self) {
        self.stop.cancel();
        if let Some(thread) = self.thread.take() {
            // A panic there was printed there.
            let _ = thread.join();
        }
    }
}

async fn all(
    address: &str,
    transport: Transport,
    viewers: Vec<Viewer>,
    seen: Arc<Seen>,
    latency: Arc<Mutex<Histogram<u64>>>,
    stop: CancellationToken,
) {
    let turns = Arc::new(Semaphore::new(CONNECTING));
    let scratch = Arc::new(Mutex::new(vec![0; SCRATCH]));
    let mut tasks = JoinSet::new();
    for viewer in viewers {
        let (turns, scratch, seen, latency) = (turns.clone(), scratch.clone(), seen.clone(), latency.clone());
        let address = address.to_owned();
        tasks.spawn(async move {
            let state = State { seen: seen.clone(), latency, offsets: HashMap::new(), only: 0, many: 1 < viewer.tasks.len() };
            if let Err(error) = watch(&address, transport, viewer, turns, &scratch, state).await {
                seen.closed.fetch_add(1, Ordering::Relaxed);
                seen.fault(format!("{error:#}"));
            }
        });
    }
    let ended = async { while tasks.join_next().await.is_some() {} };
    tokio::select! {
        () = ended => stop.cancelled().await,
        () = stop.cancelled() => {}
    }
}

struct State {
    seen: Arc<Seen>,
    latency: Arc<Mutex<Histogram<u64>>>,
    /// The last offset of each task; with one task only `only` is used.
    offsets: HashMap<Vec<u8>, u64>,
    only: u64,
    many: bool,
}

impl State {
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

fn number(frame: &[u8], mark: &[u8]) -> Option<u64> {
    let start = memmem::find(frame, mark)? + mark.len();
    let digits = frame[start..].iter().take_while(|b| b.is_ascii_digit());
    Some(digits.fold(0, |value, digit| value * 10 + u64::from(digit - b'0')))
}

fn text<'a>(frame: &'a [u8], mark: &[u8]) -> Option<&'a [u8]> {
    let start = memmem::find(frame, mark)? + mark.len();
    let length = memchr::memchr(b'"', &frame[start..])?;
    Some(&frame[start..start + length])
}

async fn watch(
    address: &str,
    transport: Transport,
    viewer: Viewer,
    turns: Arc<Semaphore>,
    scratch: &Mutex<Vec<u8>>,
    mut state: State,
) -> anyhow::Result<()> {
    let turn = turns.acquire_owned().await?;
    let mut stream = timeout(Duration::from_secs(30), TcpStream::connect(address)).await??;
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
    let mut turn = Some(turn);
    loop {
        let used = consume(&buffer, transport, &mut state, &mut waiting, &mut stream)?;
        buffer.drain(..used);
        if buffer.is_empty() {
            buffer = Vec::new();
        }
        if waiting == 0
            && let Some(turn) = turn.take()
        {
            drop(turn);
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

/// The first whole WebSocket frame: its opcode, its payload, its length.
fn frame(buffer: &[u8]) -> Option<(u8, &[u8], usize)> {
    let (first, second) = (*buffer.first()?, *buffer.get(1)?);
    let (length, head) = match second & 127 {
        126 => (u16::from_be_bytes(buffer.get(2..4)?.try_into().ok()?) as usize, 4),
        127 => (u64::from_be_bytes(buffer.get(2..10)?.try_into().ok()?) as usize, 10),
        short => (short as usize, 2),
    };
    Some((first & 15, buffer.get(head..head + length)?, head + length))
}

/// The first whole event, with whatever chunk framing stands before it; as a text frame.
fn event(buffer: &[u8]) -> Option<(u8, &[u8], usize)> {
    let end = memmem::find(buffer, b"\n\n")? + 2;
    let start = memmem::find(&buffer[..end], b"data: ").map_or(0, |at| at + 6);
    Some((1, &buffer[start..end], end))
}

/// A client's frame, masked by zeros.
fn client_frame(opcode: u8, payload: &[u8]) -> Vec<u8> {
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

/// What is left of a histogram when one knows only these: in milliseconds.
pub fn millis(histogram: &Histogram<u64>, quantile: f64) -> f64 {
    histogram.value_at_quantile(quantile) as f64 / 1e6
}
