//! What Durable Streams' clients send, as activities of one run, and back: a JSON message is `{"message": …}`, text is output of a process, and
//! other bytes are text of one character each. So whatever they send is looked at for secrets as everything else is, and every viewer can show it.

use bytes::Bytes;
use serde_json::{json, value::RawValue};

use super::{Before, IngestLimits, Item, Redaction, Rejected, item::parse_item};
use crate::model::{ActivityType, Fields, NewActivity, Status, TaskId, Timestamp};

/// The run that messages belong to.
pub(crate) const STREAM_RUN: &str = "ds";

/// What an activity of a stream takes beside its text.
const ENVELOPE: usize = 128;

/// What stands for the byte 0: a NUL in a text is not stored.
const NUL: char = '\u{100}';

/// How the messages of a stream are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StreamForm {
    /// Each message is a JSON value.
    Json,
    /// One text.
    Text,
    /// Any bytes.
    Bytes,
}

impl StreamForm {
    /// That of a stream of this content type.
    pub(crate) fn of(content_type: &str) -> Self {
        let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        match essence.as_str() {
            "application/json" => Self::Json,
            essence if essence.starts_with("text/") => Self::Text,
            _ => Self::Bytes,
        }
    }
}

/// What messages are read with.
#[derive(Clone, Copy)]
pub(crate) struct Reading<'a> {
    pub task: &'a TaskId,
    pub now: Timestamp,
    pub limits: &'a IngestLimits,
    pub redaction: &'a Redaction,
}

impl Reading<'_> {
    /// A body as the activities that it is stored as, without secrets; of an array each element is a message.
    pub(crate) fn messages(&self, body: &Bytes, form: StreamForm) -> Result<Vec<NewActivity>, Rejected> {
        let most = self.limits.request_activities;
        let items: Vec<Vec<u8>> = match form {
            StreamForm::Json => json_messages(body)?.into_iter().take(most + 1).map(json_item).collect(),
            StreamForm::Text | StreamForm::Bytes => self.pieces(body, form, most + 1),
        };
        if most < items.len() {
            let message = format!("a request takes at most {most} activities: send the rest in another one");
            return Err(Rejected::new("too_many_activities", Some("body"), message));
        }
        items.into_iter().map(|item| self.activity(item.into())).collect()
    }

    /// That the stream's run is here now.
    pub(crate) fn status(&self, status: Status, content_type: Option<&str>) -> Result<NewActivity, Rejected> {
        let data = match content_type {
            Some(title) => json!({"status": status, "agent": "durable-streams", "title": title}),
            None => json!({"status": status}),
        };
        let item = json!({"invocationId": STREAM_RUN, "type": "status", "data": data});
        self.activity(item.to_string().into())
    }

    /// What is published as an ordinary activity is, and goes through the same checks.
    fn activity(&self, item: Bytes) -> Result<NewActivity, Rejected> {
        let item = parse_item(&item, self.task, self.now, self.limits, (self.redaction, Before::Nothing), &mut 0);
        match item.map_err(|rejected| self.redaction.rejected(rejected))? {
            Item::Activity(activity) => Ok(*activity),
            Item::Heartbeat(_) => Err(Rejected::new("unknown_type", Some("type"), "a heartbeat is no message")),
        }
    }

    /// Text in pieces that fit into activities. Secrets leave it before it is cut, also what is left of one that the request before it began: whichever
    /// of the two ways each request is kept in, together they are one text.
    fn pieces(&self, body: &Bytes, form: StreamForm, most: usize) -> Vec<Vec<u8>> {
        let (text, item): (_, fn(&str) -> Vec<u8>) = match std::str::from_utf8(body) {
            Ok(text) if form == StreamForm::Text && !text.contains('\0') => (text.to_owned(), text_item),
            _ => (characters(body), bytes_item),
        };
        self.cut(&self.redaction.piece(self.task, STREAM_RUN, text), item, most)
    }

    fn cut(&self, text: &str, item: fn(&str) -> Vec<u8>, most: usize) -> Vec<Vec<u8>> {
        let room = self.limits.activity_bytes.saturating_sub(ENVELOPE);
        let (mut items, mut start, mut length) = (Vec::new(), 0, 0);
        for (at, character) in text.char_indices() {
            let written = written_length(character);
            if room < length + written && start < at {
                items.push(item(&text[start..at]));
                (start, length) = (at, 0);
                if most <= items.len() {
                    return items;
                }
            }
            length += written;
        }
        if start < text.len() {
            items.push(item(&text[start..]));
        }
        items
    }
}

/// The values of a body: the elements of an array, or the one value; none if there is nothing in it.
fn json_messages(body: &Bytes) -> Result<Vec<&RawValue>, Rejected> {
    let not_json = |_| Rejected::new("invalid_json", Some("body"), "the body is not JSON");
    let trimmed = body.trim_ascii();
    match trimmed.first() {
        None => Ok(Vec::new()),
        Some(b'[') => serde_json::from_slice(trimmed).map_err(not_json),
        Some(_) => serde_json::from_slice(trimmed).map(|value| vec![value]).map_err(not_json),
    }
}

fn json_item(value: &RawValue) -> Vec<u8> {
    [br#"{"invocationId":"ds","type":"custom","data":{"message":"#.as_slice(), value.get().as_bytes(), b"}}"].concat()
}

fn text_item(text: &str) -> Vec<u8> {
    json!({"invocationId": STREAM_RUN, "type": "output", "data": {"stream": "stdout", "text": text}}).to_string().into_bytes()
}

fn bytes_item(text: &str) -> Vec<u8> {
    json!({"invocationId": STREAM_RUN, "type": "custom", "data": {"bytes": text}}).to_string().into_bytes()
}

/// How many bytes JSON needs for a character at most.
fn written_length(character: char) -> usize {
    match character {
        '"' | '\\' => 2,
        character if character.is_control() => 6,
        character => character.len_utf8(),
    }
}

/// One character for each byte.
fn characters(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| if *byte == 0 { NUL } else { char::from(*byte) }).collect()
}

/// The bytes that [`characters`] made a text of.
fn bytes(text: &str) -> Vec<u8> {
    text.chars().map(|character| if character == NUL { 0 } else { u8::try_from(character).unwrap_or(b'?') }).collect()
}

/// What a payload of the stream's run says, if it is a message of this form: JSON text, or bytes.
pub(crate) fn message_in(form: StreamForm, kind: ActivityType, data: &[u8]) -> Option<Vec<u8>> {
    let Fields(fields) = serde_json::from_slice(data).ok()?;
    let field = |wanted: &str| fields.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.get());
    let text = |wanted: &str| serde_json::from_str::<String>(field(wanted)?).ok();
    match (form, kind) {
        (StreamForm::Json, ActivityType::Custom) => Some(field("message")?.as_bytes().to_vec()),
        (StreamForm::Text | StreamForm::Bytes, ActivityType::Output) => Some(text("text")?.into_bytes()),
        (StreamForm::Text | StreamForm::Bytes, ActivityType::Custom) => Some(bytes(&text("bytes")?)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::JsonLimits;

    const LIMITS: IngestLimits = IngestLimits {
        activity_bytes: 400,
        request_activities: 40,
        request_bytes: 10_000,
        json: JsonLimits { depth: 8, number_chars: 32 },
    };

    fn stored(body: &[u8], form: StreamForm) -> Result<Vec<NewActivity>, Rejected> {
        let (task, redaction) = ("t".parse().expect("an id"), Redaction::off());
        let reading = Reading { task: &task, now: Timestamp::default(), limits: &LIMITS, redaction: &redaction };
        reading.messages(&Bytes::copy_from_slice(body), form)
    }

    fn read(stored: &[NewActivity], form: StreamForm) -> Vec<Vec<u8>> {
        let message = |new: &NewActivity| message_in(form, new.activity.kind, new.activity.data.as_bytes());
        stored.iter().map(|new| message(new).expect("a message")).collect()
    }

    #[test]
    fn bytes_come_back_as_they_went_however_they_are_cut() {
        let every: Vec<u8> = (0..=255).cycle().take(2_000).collect();
        let text = "é\u{1f600}\"\\\r\n\u{2028}\u{7f}x".repeat(60);
        for (body, form) in [
            (every.as_slice(), StreamForm::Bytes),
            (every.as_slice(), StreamForm::Text),
            (text.as_bytes(), StreamForm::Text),
            (text.as_bytes(), StreamForm::Bytes),
            (b"\0", StreamForm::Text),
        ] {
            let stored = stored(body, form).expect("it is taken");
            assert!(stored.iter().all(|new| new.activity.data.as_bytes().len() <= LIMITS.activity_bytes));
            assert_eq!(read(&stored, form).concat(), body, "{form:?}");
        }
    }

    #[test]
    fn an_array_is_its_elements_and_each_value_is_as_it_was_written() {
        for (body, expected) in [
            (r#"{"b": 1.50, "a":"\u00e9"}"#, vec![r#"{"b": 1.50, "a":"\u00e9"}"#]),
            ("[[1,2],[3]]", vec!["[1,2]", "[3]"]),
            ("[[[1]]]", vec!["[[1]]"]),
            (" \"x\" ", vec!["\"x\""]),
            ("[null, 42]", vec!["null", "42"]),
            ("[]", vec![]),
            ("", vec![]),
        ] {
            let stored = stored(body.as_bytes(), StreamForm::Json).expect(body);
            assert_eq!(read(&stored, StreamForm::Json), expected.iter().map(|text| text.as_bytes().to_vec()).collect::<Vec<_>>());
        }
    }

    #[test]
    fn what_no_activity_may_be_is_refused_with_the_same_codes() {
        for (body, form, code) in [
            (b"{ not json }".to_vec(), StreamForm::Json, "invalid_json"),
            (b"[1,2".to_vec(), StreamForm::Json, "invalid_json"),
            (format!("\"{}\"", "x".repeat(400)).into_bytes(), StreamForm::Json, "activity_too_large"),
            (b"[[[[[[[[[[1]]]]]]]]]]".to_vec(), StreamForm::Json, "too_deep"),
            (format!("[{}1]", "1,".repeat(40)).into_bytes(), StreamForm::Json, "too_many_activities"),
            (vec![b'x'; 400 * 41], StreamForm::Text, "too_many_activities"),
        ] {
            assert_eq!(stored(&body, form).map(drop).expect_err("it is refused").code, code);
        }
    }
}
