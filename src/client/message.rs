//! What a hub says over a WebSocket, read once. Messages that this client does not know are passed over: the protocol only ever grows.

use std::{borrow::Cow, collections::BTreeMap, ops::Range, time::Duration};

use serde::{Deserialize, de::DeserializeOwned};
use serde_json::value::RawValue;
use tokio_tungstenite::tungstenite::Utf8Bytes;

use super::error::printable;
use crate::model::{Cursor, Epoch, EventId, InvocationId, Offset, TaskId, Timestamp};

/// How the hub begins an activity's message; the rest is the activity's plain JSON form without its opening brace.
const ACTIVITY: &str = r#"{"op":"activity","#;

/// An activity as the hub sent it.
#[derive(Debug, Clone)]
pub struct Received {
    /// Where a viewer who has seen it stands.
    pub cursor: Cursor,
    /// Which run it belongs to.
    pub invocation: InvocationId,
    /// Its idempotency key.
    pub event_id: EventId,
    /// When it happened, by the publisher's clock.
    pub timestamp: Timestamp,
    /// When the hub took it.
    pub received_at: Timestamp,
    /// Its type, which may be one that is newer than this client.
    pub kind: String,
    text: Utf8Bytes,
    data: Range<usize>,
}

impl Received {
    /// Its place in the log.
    pub fn offset(&self) -> Offset {
        self.cursor.offset
    }

    /// The payload's JSON text, byte for byte as the hub keeps it.
    pub fn data(&self) -> &str {
        &self.text[self.data.clone()]
    }

    /// The payload's field of this name as a `T`; nothing if it is missing or something else.
    pub fn field<T: DeserializeOwned>(&self, name: &str) -> Option<T> {
        let fields: BTreeMap<Cow<'_, str>, &RawValue> = serde_json::from_str(self.data()).ok()?;
        serde_json::from_str(fields.get(name)?.get()).ok()
    }

    /// The activity as one JSON object on one line, exactly as every other form of the API gives it, without its opening brace.
    pub fn json_after_brace(&self) -> &str {
        &self.text[ACTIVITY.len()..]
    }
}

/// A message from the hub.
#[derive(Debug)]
pub(crate) enum Message {
    /// Following has begun after this cursor; without an epoch the task does not exist yet.
    Subscribed { epoch: Option<Epoch>, floor: Offset, head: Offset, after: Option<Cursor> },
    /// An activity.
    Activity(Box<Received>),
    /// Everything up to here was sent.
    Live { offset: Offset },
    /// What comes before this offset is no longer kept.
    Truncated { floor: Offset },
    /// The log lives another life.
    Reset { epoch: Epoch },
    /// A filter skipped this far.
    Cursor { offset: Offset },
    /// How far the task's log has come, if the hub says so.
    Heartbeat { head: Option<Offset> },
    /// The subscription has ended.
    Unsubscribed { reason: String },
    /// The node stops; come back after this.
    Drain { reconnect_after: Duration },
    /// What we sent makes no sense to the hub.
    Error { code: String, message: String },
    /// Nothing that matters here.
    Other,
}

/// All fields of all messages but activities.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Raw {
    op: String,
    epoch: Option<Epoch>,
    floor: Option<Offset>,
    head: Option<Offset>,
    after: Option<Cursor>,
    offset: Option<Offset>,
    heads: Option<BTreeMap<String, Offset>>,
    reason: Option<String>,
    reconnect_after_ms: Option<u64>,
    code: Option<String>,
    message: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawActivity<'a> {
    cursor: Cursor,
    invocation_id: InvocationId,
    event_id: EventId,
    timestamp: Timestamp,
    received_at: Timestamp,
    #[serde(rename = "type")]
    kind: String,
    #[serde(borrow)]
    data: &'a RawValue,
}

impl Message {
    /// Reads a message; `task` is the one that is followed. Says what is wrong with one that cannot be read.
    pub(crate) fn read(text: Utf8Bytes, task: &TaskId) -> Result<Self, String> {
        if text.starts_with(ACTIVITY) {
            return activity(text).map_err(|error| format!("an activity cannot be read: {error}"));
        }
        let raw: Raw = serde_json::from_str(&text).map_err(|error| format!("a message cannot be read: {error}"))?;
        let op = raw.op.clone();
        raw.known(task).ok_or_else(|| format!("a field of '{}' is missing", printable(&op)))
    }
}

fn activity(text: Utf8Bytes) -> Result<Message, serde_json::Error> {
    let raw: RawActivity<'_> = serde_json::from_str(&text)?;
    let data = raw.data.get();
    let start = data.as_ptr().addr() - text.as_str().as_ptr().addr();
    let data = start..start + data.len();
    let RawActivity { cursor, invocation_id: invocation, event_id, timestamp, received_at, kind, .. } = raw;
    let received = Received { cursor, invocation, event_id, timestamp, received_at, kind, text, data };
    Ok(Message::Activity(Box::new(received)))
}

impl Raw {
    /// The message, or nothing if a field that it must have is missing.
    fn known(self, task: &TaskId) -> Option<Message> {
        let text = |text: Option<String>| text.as_deref().map(printable).unwrap_or_default();
        Some(match self.op.as_str() {
            "subscribed" => Message::Subscribed { epoch: self.epoch, floor: self.floor?, head: self.head?, after: self.after },
            "live" => Message::Live { offset: self.offset? },
            "truncated" => Message::Truncated { floor: self.floor? },
            "reset" => Message::Reset { epoch: self.epoch? },
            "cursor" => Message::Cursor { offset: self.offset? },
            "heartbeat" => Message::Heartbeat { head: self.heads?.get(task.as_str()).copied() },
            "unsubscribed" => Message::Unsubscribed { reason: text(self.reason) },
            "drain" => Message::Drain { reconnect_after: Duration::from_millis(self.reconnect_after_ms?) },
            "error" => Message::Error { code: text(self.code), message: text(self.message) },
            _ => Message::Other,
        })
    }
}

#[cfg(test)]
impl Received {
    /// An activity with this content, for tests of what shows it.
    pub(crate) fn for_test(invocation: &str, kind: &str, data: &str) -> Self {
        let text = format!(
            r#"{ACTIVITY}"taskId":"t","offset":1,"cursor":"00000000-1","invocationId":"{invocation}","eventId":"07070707-0707-0707-0707-070707070707","timestamp":0,"receivedAt":0,"type":"{kind}","data":{data}}}"#
        );
        match activity(text.into()) {
            Ok(Message::Activity(received)) => *received,
            other => panic!("not an activity: {other:?}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &'static str) -> Result<Message, String> {
        Message::read(Utf8Bytes::from_static(text), &"t".parse().expect("valid"))
    }

    #[test]
    fn an_activity_keeps_the_bytes_of_its_payload() {
        let text = r#"{"op":"activity","taskId":"t","offset":9,"cursor":"5f3a9c1e-9","invocationId":"r","eventId":"07070707-0707-0707-0707-070707070707","timestamp":1,"receivedAt":2,"type":"new_one","data":{"a": 1.0,"b":"\u00e9"}}"#;
        let Ok(Message::Activity(received)) = read(text) else { panic!("an activity") };
        assert_eq!(received.data(), r#"{"a": 1.0,"b":"\u00e9"}"#);
        assert_eq!(format!(r#"{{"op":"activity",{}"#, received.json_after_brace()), text);
        assert_eq!((received.field::<String>("b").as_deref(), received.field::<u64>("c")), (Some("é"), None));
        assert_eq!((received.offset().get(), received.kind.as_str()), (9, "new_one"));
    }

    #[test]
    fn what_is_not_known_is_passed_over_and_what_is_broken_is_named() {
        assert!(matches!(read(r#"{"op":"shiny","new":[1]}"#), Ok(Message::Other)));
        assert!(read(r#"{"op":"subscribed","task":"t","epoch":null,"floor":1,"head":0,"after":null}"#).is_ok());
        assert!(matches!(read(r#"{"op":"heartbeat","timestamp":1,"heads":{"t":7}}"#), Ok(Message::Heartbeat { head: Some(_) })));
        assert_eq!(read(r#"{"op":"live","task":"t"}"#).expect_err("no offset"), "a field of 'live' is missing");
        assert!(read("[]").is_err());
    }
}
