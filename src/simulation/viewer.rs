//! A viewer: a real session, a socket that holds little, and a client that reads when chance lets it.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Wake, Waker},
};

use serde_json::Value;

use super::watcher::{Begin, Heard, Watcher};
use crate::{
    model::{Filter, TaskId},
    session::Session,
};

/// Whoever is woken by it is only given a turn if it was, so that a wake-up that is forgotten is found.
#[derive(Debug, Default)]
struct Flag(AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// One client, over all its connections.
pub(super) struct Viewer {
    pub(super) watchers: BTreeMap<TaskId, Watcher>,
    pub(super) connection: Option<Connection>,
}

/// One connection.
pub(super) struct Connection {
    /// Which of all nodes that ever were has it.
    pub(super) birth: u64,
    pub(super) session: Session,
    flag: Arc<Flag>,
    is_blocked: bool,
    /// It forgets to wake up after a while: see [`super::lies`].
    sleeps: bool,
    turns: usize,
    /// What the socket holds.
    wire: Vec<u8>,
    /// What the client has read and is not a whole frame yet.
    read: Vec<u8>,
    /// How many of its messages make no sense and were not answered yet.
    pub(super) faults: usize,
}

impl Viewer {
    pub(super) fn new() -> Self {
        Self { watchers: BTreeMap::new(), connection: None }
    }
}

impl Connection {
    pub(super) fn new(birth: u64, session: Session, sleeps: bool) -> Self {
        let flag = Arc::new(Flag(AtomicBool::new(true)));
        Self { birth, session, flag, is_blocked: false, sleeps, turns: 0, wire: Vec::new(), read: Vec::new(), faults: 0 }
    }

    /// Whether its session has something to do.
    pub(super) fn is_awake(&self) -> bool {
        self.flag.0.load(Ordering::Relaxed) && !(self.sleeps && 6 < self.turns)
    }

    /// Whether there is something to read.
    pub(super) fn has_unread(&self) -> bool {
        !self.wire.is_empty()
    }

    /// The session has its turn, with a socket that holds so many bytes.
    pub(super) fn turn(&mut self, socket: usize) {
        self.flag.0.store(false, Ordering::Relaxed);
        self.turns += 1;
        let waker = Waker::from(self.flag.clone());
        let turn = self.session.turn_by_hand(&Context::from_waker(&waker), socket.saturating_sub(self.wire.len()));
        self.wire.extend(turn.written);
        self.is_blocked = turn.is_blocked;
        if turn.goes_on {
            self.flag.0.store(true, Ordering::Relaxed);
        }
    }

    /// The client says something, if it may. Says whether it did.
    pub(super) fn say(&mut self, text: &str) -> bool {
        let may = self.session.takes_messages();
        if may {
            self.session.receive(text);
            self.flag.0.store(true, Ordering::Relaxed);
        }
        may
    }

    /// The client reads so many bytes, and gives the messages that are whole.
    pub(super) fn read(&mut self, bytes: usize) -> Vec<Value> {
        let count = bytes.min(self.wire.len());
        self.read.extend(self.wire.drain(..count));
        if self.is_blocked {
            self.flag.0.store(true, Ordering::Relaxed);
        }
        let mut messages = Vec::new();
        while let Some((head, length)) = frame(&self.read) {
            if self.read.len() < head + length {
                break;
            }
            messages.push(serde_json::from_slice(&self.read[head..head + length]).expect("a message is JSON"));
            self.read.drain(..head + length);
        }
        messages
    }

    /// Something was done to the session that makes it speak.
    pub(super) fn wake(&self) {
        self.flag.0.store(true, Ordering::Relaxed);
    }
}

/// The length of a frame's head and of its content (RFC 6455 section 5.2).
fn frame(bytes: &[u8]) -> Option<(usize, usize)> {
    match *bytes.get(1)? {
        126 => Some((4, usize::from(u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?)))),
        127 => Some((10, usize::try_from(u64::from_be_bytes(bytes.get(2..10)?.try_into().ok()?)).ok()?)),
        short => Some((2, usize::from(short))),
    }
}

/// What a message says of a task; nothing if it is not about one.
pub(super) fn heard(message: &Value) -> Option<(TaskId, Heard)> {
    let number = |field: &str| message[field].as_u64().unwrap_or_default();
    let text = |field: &str| message[field].as_str().unwrap_or_default().to_owned();
    let cursor = |field: &str| message[field].as_str().and_then(|text| text.parse().ok());
    let name = if message["op"] == "activity" { "taskId" } else { "task" };
    let task = message[name].as_str()?.parse().ok()?;
    let heard = match message["op"].as_str()? {
        "subscribed" => Heard::Subscribed {
            epoch: message["epoch"].as_str().and_then(|text| text.parse().ok()),
            floor: number("floor"),
            head: number("head"),
            after: cursor("after"),
        },
        "activity" => Heard::Activity {
            cursor: cursor("cursor")?,
            offset: number("offset"),
            event: text("eventId"),
            kind: text("type"),
            invocation: text("invocationId"),
            data: message["data"].to_string(),
        },
        "live" => Heard::Live(number("offset")),
        "cursor" => Heard::Skipped(number("offset")),
        "truncated" => Heard::Truncated(number("floor")),
        "reset" => Heard::Reset(text("epoch").parse().ok()?),
        "unsubscribed" => Heard::Deleted,
        _ => return None,
    };
    Some((task, heard))
}

/// The message that subscribes a watcher.
pub(super) fn subscribe(watcher: &Watcher, after: Option<String>) -> String {
    let Filter { types, invocation, finished_series } = watcher.filter();
    let mut message = serde_json::json!({"op": "subscribe", "task": watcher.task().as_str()});
    match (after, watcher.begin()) {
        (Some(cursor), begin) => {
            message["after"] = cursor.into();
            if let Begin::Last(count) = begin {
                message["last"] = count.into();
            }
        }
        (None, Begin::Oldest) => {}
        (None, Begin::Next) => message["after"] = "end".into(),
        (None, Begin::Last(count)) => message["last"] = count.into(),
    }
    if !types.is_empty() {
        message["types"] = types.iter().map(|kind| kind.as_str()).collect();
    }
    if let Some(invocation) = invocation {
        message["invocation"] = invocation.as_str().into();
    }
    if *finished_series {
        message["series"] = "final".into();
    }
    message.to_string()
}
