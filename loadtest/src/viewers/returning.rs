//! Viewers who lose their connections and come back: each goes on after what it has seen, and everything that it is given is checked.

use std::{
    io::ErrorKind,
    net::SocketAddr,
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use memchr::memmem;
use parking_lot::Mutex;
use tokio::{
    io::AsyncWriteExt,
    net::TcpStream,
    task::JoinSet,
    time::{Instant, sleep, sleep_until},
};
use tokio_util::sync::CancellationToken;

use super::{
    SCRATCH,
    connection::{answer, handshake, open},
    frames::{Marks, Message, client_frame, frame},
    tally::Tally,
};
use crate::clock;

/// What viewers do, and what happens to them.
#[derive(Debug, Clone)]
pub struct Habits {
    /// What they follow, the epoch of its log, and the last offset that all have seen.
    pub task: String,
    pub epoch: String,
    pub seen: u64,
    /// Over which time they come at the beginning.
    pub come: Duration,
    pub cuts: Option<Cuts>,
    /// How long they wait before they try again, unless the server has told them.
    pub patience: Patience,
    /// At the beginning they come to all addresses in turn, not all to the first.
    pub scattered: bool,
}

/// Connections are reset without a word.
#[derive(Debug, Clone)]
pub struct Cuts {
    /// After how many seconds the first time.
    pub first: Range<f64>,
    /// How many seconds after a return.
    pub then: Range<f64>,
    /// For how many seconds the viewer is away.
    pub away: Range<f64>,
    /// After so long there are no more.
    pub until: Duration,
}

/// How viewers wait before they try again.
#[derive(Debug, Clone, Copy)]
pub enum Patience {
    /// As Tasklight's own clients: any time below a bound that doubles.
    Jitter { first: Duration, most: Duration },
    /// At once, and whenever so much time has passed: as bad as it gets.
    None { again: Duration },
}

impl Patience {
    /// How long after so many failures in a row.
    fn wait(self, failures: u32) -> Duration {
        match self {
            Self::Jitter { first, most } => (first * 2_u32.saturating_pow(failures.min(16))).min(most).mul_f64(rand::random()),
            Self::None { .. } if failures == 0 => Duration::ZERO,
            Self::None { again } => again,
        }
    }
}

/// What all of them share.
struct Shared {
    addresses: Vec<SocketAddr>,
    habits: Habits,
    marks: Marks,
    tally: Mutex<Tally>,
    live: AtomicUsize,
    scratch: Mutex<Vec<u8>>,
    began: Instant,
}

/// Viewers at work on a thread of their own.
pub struct Returning {
    shared: Arc<Shared>,
    stop: CancellationToken,
    thread: Option<JoinHandle<()>>,
}

impl Returning {
    /// They come to the first of these addresses, or to all of them; whenever a connection has ended or was not to be had, to the next.
    pub fn begin(addresses: &[&str], count: usize, habits: Habits) -> anyhow::Result<Self> {
        let shared = Arc::new(Shared {
            addresses: addresses.iter().map(|address| address.parse()).collect::<Result<_, _>>()?,
            habits,
            marks: Marks::new(),
            tally: Mutex::new(Tally::new()),
            live: AtomicUsize::new(0),
            scratch: Mutex::new(vec![0; SCRATCH]),
            began: Instant::now(),
        });
        let stop = CancellationToken::new();
        let thread = {
            let (shared, stop) = (shared.clone(), stop.clone());
            std::thread::spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
                runtime.block_on(async {
                    let mut viewers = JoinSet::new();
                    for number in 0..count {
                        let shared = shared.clone();
                        viewers.spawn(async move {
                            sleep(shared.habits.come.mul_f64(number as f64 / count as f64)).await;
                            Viewer::new(number, &shared.habits).watch(&shared).await;
                        });
                    }
                    stop.cancelled().await;
                });
            })
        };
        Ok(Self { shared, stop, thread: Some(thread) })
    }

    /// How many are connected and have everything.
    pub fn live(&self) -> usize {
        self.shared.live.load(Ordering::Relaxed)
    }

    pub fn tally(&self) -> Tally {
        self.shared.tally.lock().clone()
    }

    /// How many activities were new to their viewers so far.
    pub fn received(&self) -> u64 {
        self.shared.tally.lock().received
    }
}

impl Drop for Returning {
    fn drop(&mut self) {
        self.stop.cancel();
        if let Some(thread) = self.thread.take() {
            // A panic there was printed there.
            let _ = thread.join();
        }
    }
}

/// How a connection ended.
enum End {
    /// It was cut.
    Cut,
    /// The server closed it, and may have said when to come back.
    Closed { back_after: Option<Duration> },
}

/// One of them.
struct Viewer {
    number: usize,
    /// How many connections it has had or tried.
    turn: usize,
    /// The last offset that it has seen.
    last: u64,
    /// When its connection ended, if it has had one.
    ended: Option<u64>,
    /// When it first tried to come back after it was away, until it is live.
    tried: Option<u64>,
    /// Whether it is connected and has everything.
    live: bool,
    /// What is left of a message that has not come whole.
    rest: Vec<u8>,
    back_after: Option<Duration>,
    /// Whether the server has said goodbye.
    over: bool,
}

impl Viewer {
    fn new(number: usize, habits: &Habits) -> Self {
        let (turn, last) = (if habits.scattered { number } else { 0 }, habits.seen);
        Self { number, turn, last, ended: None, tried: None, live: false, rest: Vec::new(), back_after: None, over: false }
    }

    /// Watches for good.
    async fn watch(&mut self, shared: &Shared) {
        let mut failures = 0;
        loop {
            let end = self.connection(shared).await;
            if std::mem::take(&mut self.live) {
                shared.live.fetch_sub(1, Ordering::Relaxed);
                self.ended = Some(clock::nanos());
                failures = 0;
            }
            self.rest = Vec::new();
            let sent_away = matches!(end, Ok(End::Closed { back_after: Some(_) }));
            let wait = match (end, &shared.habits.cuts) {
                (Ok(End::Cut), Some(cuts)) => {
                    let mut tally = shared.tally.lock();
                    tally.cuts += 1;
                    self.cut(clock::nanos(), &mut tally);
                    seconds_in(&cuts.away)
                }
                (Ok(End::Closed { back_after: Some(told) }), _) => {
                    shared.tally.lock().lost += 1;
                    told
                }
                (Ok(_), _) => {
                    shared.tally.lock().lost += 1;
                    shared.habits.patience.wait(failures)
                }
                (Err(_), _) => {
                    shared.tally.lock().failures += 1;
                    failures += 1;
                    shared.habits.patience.wait(failures)
                }
            };
            sleep(wait).await;
            if sent_away {
                shared.tally.lock().sent_away.push(clock::nanos());
            }
        }
    }

    /// One connection; an error means that there was none.
    async fn connection(&mut self, shared: &Shared) -> anyhow::Result<End> {
        self.tried.get_or_insert_with(clock::nanos);
        let address = shared.addresses[self.turn % shared.addresses.len()];
        self.turn += 1;
        let mut stream = open(address, self.number).await?;
        stream.write_all(handshake(address).as_bytes()).await?;
        let rest = answer(&mut stream, "101").await?;
        let Habits { task, epoch, cuts, .. } = &shared.habits;
        let subscribe = format!(r#"{{"op":"subscribe","task":"{task}","after":"{epoch}-{}"}}"#, self.last);
        stream.write_all(&client_frame(1, subscribe.as_bytes())).await?;
        let subscribed = clock::nanos();
        let cut = cuts.as_ref().and_then(|cuts| {
            let at = Instant::now() + seconds_in(if self.ended.is_some() { &cuts.then } else { &cuts.first });
            (at < shared.began + cuts.until).then_some(at)
        });
        self.take(&rest, subscribed, shared, &stream);
        let cut = async move {
            match cut {
                Some(at) => sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::pin!(cut);
        loop {
            tokio::select! {
                () = &mut cut => {
                    // Nothing is said and nothing is waited for: the server reads a reset.
                    let _ = stream.set_zero_linger();
                    return Ok(End::Cut);
                }
                ready = stream.readable() => if ready.is_err() { return Ok(self.closed()) },
            }
            let mut scratch = shared.scratch.lock();
            match stream.try_read(&mut scratch) {
                Ok(0) => return Ok(self.closed()),
                Ok(count) => self.take(&scratch[..count], subscribed, shared, &stream),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(_) => return Ok(self.closed()),
            }
            if std::mem::take(&mut self.over) {
                return Ok(self.closed());
            }
        }
    }

    fn closed(&mut self) -> End {
        End::Closed { back_after: self.back_after.take() }
    }

    /// What was read: whole messages are looked at, the rest is kept.
    fn take(&mut self, bytes: &[u8], subscribed: u64, shared: &Shared, stream: &TcpStream) {
        let mut all = std::mem::take(&mut self.rest);
        let bytes = if all.is_empty() {
            bytes
        } else {
            all.extend_from_slice(bytes);
            &all
        };
        let (now, mut used) = (clock::nanos(), 0);
        let mut tally = shared.tally.lock();
        while let Some((opcode, payload, length)) = frame(&bytes[used..]) {
            used += length;
            match opcode {
                9 => drop(stream.try_write(&client_frame(10, payload))),
                8 => {
                    // A server that is answered need not wait.
                    let _ = stream.try_write(&client_frame(8, payload));
                    self.over = true;
                }
                _ => self.message(payload, (now, subscribed), shared, &mut tally),
            }
        }
        self.rest = bytes[used..].to_vec();
    }

    fn message(&mut self, payload: &[u8], (now, subscribed): (u64, u64), shared: &Shared, tally: &mut Tally) {
        match shared.marks.message(payload) {
            Message::Activity => {
                let offset = shared.marks.offset(payload).unwrap_or_default();
                if offset <= self.last {
                    tally.repeated += 1;
                    return;
                }
                tally.received += 1;
                tally.skipped += offset - self.last - 1;
                self.last = offset;
                let age = now.saturating_sub(shared.marks.sent(payload).unwrap_or(now)).max(1);
                tally.delivery.saturating_record(age);
                if self.live {
                    tally.live.saturating_record(age);
                }
            }
            Message::Live if !self.live => {
                shared.live.fetch_add(1, Ordering::Relaxed);
                self.has_all(now, subscribed, tally);
            }
            Message::Reset => tally.resets += 1,
            Message::Live => {}
            Message::Other => {
                if memmem::find(payload, b"\"op\":\"truncated\"").is_some() {
                    tally.resets += 1;
                }
                if let Some(after) = reconnect_after(payload) {
                    self.back_after = Some(after);
                }
            }
        }
    }

    /// Everything missed is there.
    fn has_all(&mut self, now: u64, subscribed: u64, tally: &mut Tally) {
        self.live = true;
        let tried = self.tried.take().unwrap_or(now);
        if let Some(ended) = self.ended {
            tally.returns += 1;
            tally.replay.saturating_record(now.saturating_sub(tried).max(1));
            tally.resume.saturating_record(now.saturating_sub(subscribed).max(1));
            tally.downtime.saturating_record(now.saturating_sub(ended).max(1));
        }
    }

    /// It is away again; a return that is not over counts with the time that it had, and the next one begins anew.
    fn cut(&mut self, now: u64, tally: &mut Tally) {
        if let Some(tried) = self.tried.take().filter(|_| self.ended.is_some()) {
            tally.cut_again += 1;
            tally.replay.saturating_record(now.saturating_sub(tried).max(1));
        }
    }
}

/// What a server that stops says: when to come back.
fn reconnect_after(payload: &[u8]) -> Option<Duration> {
    let mark = b"\"reconnectAfterMs\":";
    let start = memmem::find(payload, mark)? + mark.len();
    let digits = payload[start..].iter().take_while(|b| b.is_ascii_digit());
    Some(Duration::from_millis(digits.fold(0, |value, digit| value * 10 + u64::from(digit - b'0'))))
}

fn seconds_in(range: &Range<f64>) -> Duration {
    Duration::from_secs_f64(range.start + (range.end - range.start) * rand::random::<f64>())
}

#[cfg(test)]
mod tests;
