//! An activity: one recorded event of an invocation, with its payload as the raw JSON text that it came as.

use std::{fmt, str::FromStr, sync::Arc};

use bytes::Bytes;
use serde::{Serialize, Serializer};

use super::{EventId, Invalid, InvocationId, Status, Timestamp};

/// What kind of event an activity records. A `heartbeat` is none of them: it is not an activity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ActivityType {
    /// Moves the invocation's status in the same commit.
    Status,
    /// Something said by or to the agent.
    Message,
    /// The agent's reasoning.
    Thinking,
    /// A tool was called.
    ToolCall,
    /// What a tool gave back.
    ToolResult,
    /// Text from a process.
    Output,
    /// How far something has come.
    Progress,
    /// Something went wrong.
    Error,
    /// Tokens and cost so far; each replaces the one before.
    Usage,
    /// Anything else.
    Custom,
}

impl ActivityType {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::Status,
        Self::Message,
        Self::Thinking,
        Self::ToolCall,
        Self::ToolResult,
        Self::Output,
        Self::Progress,
        Self::Error,
        Self::Usage,
        Self::Custom,
    ];

    /// The type as written in JSON and stored.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Status => "status",
            Self::Message => "message",
            Self::Thinking => "thinking",
            Self::ToolCall => "tool_call",
            Self::ToolResult => "tool_result",
            Self::Output => "output",
            Self::Progress => "progress",
            Self::Error => "error",
            Self::Usage => "usage",
            Self::Custom => "custom",
        }
    }
}

impl fmt::Display for ActivityType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for ActivityType {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text).ok_or_else(|| {
            Invalid::new(
                "a type is status, message, thinking, tool_call, tool_result, output, progress, error, usage or custom \
                 (or heartbeat, which is not stored)",
            )
        })
    }
}

impl Serialize for ActivityType {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// An activity's payload: the text of a JSON object on one line, kept byte for byte from parse to socket.
#[derive(Clone, PartialEq, Eq)]
pub struct Data(Bytes);

impl Data {
    /// `bytes` as a payload, if they are UTF-8. The caller vouches that they are a JSON object that passed [`super::check_json`].
    pub fn from_checked(bytes: Bytes) -> Option<Self> {
        std::str::from_utf8(&bytes).is_ok().then_some(Self(bytes))
    }

    /// The payload `{}`.
    pub fn empty() -> Self {
        Self(Bytes::from_static(b"{}"))
    }

    /// The text's bytes, UTF-8.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("checked when it was made")
    }
}

impl fmt::Debug for Data {
    /// Payloads may hold what must not reach a log: only the size is shown.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Data({} bytes)", self.0.len())
    }
}

/// One event of an invocation; with a task, an epoch and an offset beside it, it is what viewers get.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Activity {
    /// The idempotency key.
    pub event_id: EventId,
    /// Which run it belongs to.
    pub invocation: InvocationId,
    /// What it records.
    pub kind: ActivityType,
    /// When it happened, by the publisher's clock.
    pub timestamp: Timestamp,
    /// When the hub took it, by the hub's clock.
    pub received_at: Timestamp,
    /// The payload.
    pub data: Data,
}

/// A validated activity that has no offset yet.
#[derive(Debug, Clone)]
pub struct NewActivity {
    /// What will be stored.
    pub activity: Activity,
    /// Whether the publisher gave the `eventId`; if not, it is new by construction and no earlier one needs to be looked for.
    pub event_id_given: bool,
    /// What it changes beside the log.
    pub effect: Effect,
    /// Its part in a series of streamed text.
    pub series: Option<Series>,
    /// Who sealed it, where agents seal what they publish over Redis.
    pub sealed_by: Option<Arc<str>>,
}

impl NewActivity {
    /// How many bytes it is counted as in queues: its payload and an allowance for the rest.
    pub fn weight(&self) -> usize {
        const ENVELOPE: usize = 256;
        self.activity.data.as_bytes().len() + ENVELOPE
    }
}

/// What an activity changes beside the log, parsed once at the edge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Only that the invocation is alive.
    SignOfLife,
    /// The invocation's status and description.
    Status(StatusChange),
    /// The invocation's usage is now this activity's payload.
    Usage,
}

/// The fields of a `status` activity that the hub knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatusChange {
    /// Where the invocation stands now.
    pub status: Status,
    /// Which agent runs, e.g. `claude`.
    pub agent: Option<String>,
    /// What this run is about.
    pub title: Option<String>,
    /// The process's exit code.
    pub exit_code: Option<i32>,
    /// Why, in words.
    pub reason: Option<String>,
    /// Whether the run is recorded after the fact.
    pub backfilled: bool,
}

/// An activity's part in a series of streamed text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Series {
    /// The series's id, unique within its invocation.
    pub id: Arc<str>,
    /// Whether this closes the series and holds the whole text; else it is one piece.
    pub is_final: bool,
}
