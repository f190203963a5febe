//! From bytes to validated activities. One bad item never hurts its neighbours: each is taken or refused by itself, with a stable code
//! and the name of the field at fault.

mod channel;
mod envelopes;
mod hooks;
mod item;
mod messages;
mod redaction;
mod shape;

use bytes::Bytes;
use serde_json::value::RawValue;

use crate::model::{EventId, Fields, InvocationId, JsonLimits, NewActivity, TaskId, Timestamp};
use crate::store::Refusal;

pub use channel::{ChannelIngest, ChannelOptions};
use envelopes::Unopened;
pub(crate) use envelopes::{EnvelopeOptions, Envelopes, Sealing, parse as envelope_keys_in};
pub(crate) use hooks::{Hook, HookPlace, read_claude as read_claude_hook};
use item::parse_item;
pub(crate) use messages::{Reading, STREAM_RUN, StreamForm, message_in};
use redaction::Before;
pub use redaction::Redaction;
pub(crate) use shape::shape_of;

/// The bounds of what publishers may send.
#[derive(Debug, Clone)]
pub struct IngestLimits {
    /// The most bytes of one activity's JSON text.
    pub activity_bytes: usize,
    /// The most activities in one request.
    pub request_activities: usize,
    /// The most bytes of one request's body.
    pub request_bytes: usize,
    /// The bounds of payloads.
    pub json: JsonLimits,
}

/// One thing that was published.
#[derive(Debug)]
pub enum Item {
    /// An activity, to be appended.
    Activity(Box<NewActivity>),
    /// A sign of life, which is not an activity.
    Heartbeat(InvocationId),
}

/// Why one item was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, serde::Serialize)]
#[error("{message}")]
pub struct Rejected {
    /// The stable code that clients branch on.
    pub code: &'static str,
    /// The field at fault, as a path such as `data.status`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// What is wrong and what would be right, without the value itself.
    pub message: String,
}

impl Rejected {
    pub(crate) fn new(code: &'static str, field: Option<&str>, message: impl Into<String>) -> Self {
        Self { code, field: field.map(str::to_owned), message: message.into() }
    }
}

/// What a publisher hears of an activity that the store did not take.
pub(crate) fn refused_by_store(refusal: &Refusal) -> Rejected {
    let field = matches!(refusal, Refusal::Transition { .. }).then_some("data.status");
    Rejected::new(refusal.code(), field, refusal.to_string())
}

/// A body as it was understood.
#[derive(Debug)]
pub struct Body {
    /// Each item, in order.
    pub items: Vec<Result<Item, Rejected>>,
    /// The text of each item, a slice of the body.
    pub texts: Vec<Bytes>,
    /// Whether the body was one object by itself.
    pub single: bool,
    /// How many NUL characters and lone surrogates became U+FFFD.
    pub replaced: usize,
}

/// Why a body as a whole was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// There is nothing in it.
    #[error("the body is empty: send one activity, an array of them, or one per line")]
    Empty,
    /// It is not JSON; items cannot be told apart.
    #[error("the body is not JSON: {0}")]
    NotJson(String),
    /// It holds more than one request may.
    #[error("a request takes at most {0} activities: send the rest in another one")]
    TooMany(usize),
    /// It is longer than one request may be.
    #[error("a message has at most {0} bytes: send the rest in another one")]
    TooLarge(usize),
}

impl BodyError {
    /// The stable code that clients branch on.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Empty => "empty_body",
            Self::NotJson(_) => "invalid_json",
            Self::TooMany(_) => "too_many_activities",
            Self::TooLarge(_) => "message_too_large",
        }
    }
}

/// Reads a body as [`read_body`] does, with whatever secrets there are in it: for those who store nothing.
pub fn parse_body(body: &Bytes, task: &TaskId, now: Timestamp, limits: &IngestLimits) -> Result<Body, BodyError> {
    read_body(body, task, now, limits, &Redaction::off())
}

/// Reads a body for `task`: one object, an array, or NDJSON (one object a line), told apart by what it begins with. What is understood
/// holds no secrets any more, nor does what is said of the rest; only `texts` are as they were sent.
pub fn read_body(
    body: &Bytes,
    task: &TaskId,
    now: Timestamp,
    limits: &IngestLimits,
    redaction: &Redaction,
) -> Result<Body, BodyError> {
    let trimmed = body.trim_ascii();
    if trimmed.is_empty() {
        return Err(BodyError::Empty);
    }
    let mut replaced = 0;
    let mut texts = Vec::new();
    let mut read = |text: &[u8]| {
        let text = body.slice_ref(text);
        let item = parse_item(&text, task, now, limits, (redaction, Before::Pieces), &mut replaced)
            .map_err(|rejected| redaction.rejected(rejected));
        texts.push(text);
        item
    };
    if trimmed[0] == b'[' {
        let values: Vec<&RawValue> = serde_json::from_slice(trimmed).map_err(|error| BodyError::NotJson(error.to_string()))?;
        if limits.request_activities < values.len() {
            return Err(BodyError::TooMany(limits.request_activities));
        }
        let items = values.into_iter().map(|text| read(text.get().as_bytes())).collect();
        return Ok(Body { items, texts, single: false, replaced });
    }
    let one_line = !trimmed.contains(&b'\n');
    if one_line || serde_json::from_slice::<&RawValue>(trimmed).is_ok() {
        let items = vec![read(trimmed)];
        return Ok(Body { items, texts, single: true, replaced });
    }
    let lines: Vec<_> = trimmed.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii).filter(|line| !line.is_empty()).collect();
    if limits.request_activities < lines.len() {
        return Err(BodyError::TooMany(limits.request_activities));
    }
    let items = lines.into_iter().map(read).collect();
    Ok(Body { items, texts, single: false, replaced })
}

/// The `eventId` that an item gives, whatever else is wrong with it.
pub fn event_id_of(text: &[u8]) -> Option<EventId> {
    let fields: Fields<'_> = serde_json::from_slice(text).ok()?;
    let (_, value) = fields.0.iter().find(|(name, _)| name == "eventId")?;
    serde_json::from_str::<String>(value.get()).ok()?.parse().ok()
}

/// The items with an `eventId` of a body that is not read any further, as far as they can be told apart; `most` at most.
pub(crate) fn events_in(body: &Bytes, most: usize) -> Vec<(EventId, Bytes)> {
    let trimmed = body.trim_ascii();
    let event = |text: &[u8]| Some((event_id_of(text)?, body.slice_ref(text)));
    if let Ok(values) = serde_json::from_slice::<Vec<&RawValue>>(trimmed) {
        return values.into_iter().filter_map(|value| event(value.get().as_bytes())).take(most).collect();
    }
    if let Some(event) = event(trimmed) {
        return vec![event];
    }
    trimmed.split(|byte| *byte == b'\n').filter_map(event).take(most).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits() -> IngestLimits {
        let json = JsonLimits { depth: 64, number_chars: 64 };
        IngestLimits { activity_bytes: 1_000, request_activities: 3, request_bytes: 10_000, json }
    }

    fn parse(body: &str) -> Result<Body, BodyError> {
        let task = "build-42".parse().expect("valid");
        parse_body(&Bytes::copy_from_slice(body.as_bytes()), &task, Timestamp::default(), &limits())
    }

    const ONE: &str = r#"{"invocationId":"r","type":"message","data":{"text":"hi"}}"#;

    #[test]
    fn an_object_an_array_and_lines_are_told_apart() {
        let pretty = ONE.replace(',', ",\n");
        for (body, count, single) in [
            (ONE.to_owned(), 1, true),
            (pretty, 1, true),
            (format!(" [{ONE}, {ONE}]\n"), 2, false),
            (format!("{ONE}\r\n\n{ONE}\n{ONE}\n"), 3, false),
            ("[]".to_owned(), 0, false),
        ] {
            let parsed = parse(&body).expect(&body);
            assert_eq!((parsed.items.len(), parsed.single), (count, single), "{body}");
            assert!(parsed.items.iter().all(Result::is_ok), "{body}");
        }
    }

    #[test]
    fn a_bad_line_is_refused_by_itself() {
        let parsed = parse(&format!("{ONE}\nnot json\n{ONE}")).expect("lines");
        let codes: Vec<_> = parsed.items.iter().map(|item| item.as_ref().err().map(|rejected| rejected.code)).collect();
        assert_eq!(codes, [None, Some("invalid_json"), None]);
    }

    #[test]
    fn a_body_that_cannot_be_told_apart_is_refused_whole() {
        for (body, code) in [
            ("", "empty_body"),
            (" \n ", "empty_body"),
            ("[1,", "invalid_json"),
            (&format!("[{ONE},{ONE},{ONE},{ONE}]"), "too_many_activities"),
            (&format!("{ONE}\n{ONE}\n{ONE}\n{ONE}"), "too_many_activities"),
        ] {
            assert_eq!(parse(body).err().map(|error| error.code()), Some(code), "{body}");
        }
    }
}
