//! One item of a body: its envelope field by field, its payload checked and kept as raw text.

use std::{borrow::Cow, str::FromStr};

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::model::{
    Activity, ActivityType, Data, Effect, EventId, Fields, Invalid, InvocationId, JsonFault, NewActivity, Series, Status,
    StatusChange, TaskId, Timestamp, check_json,
};

use super::{IngestLimits, Item, Redaction, Rejected, redaction::Before};

/// The longest descriptions that an invocation's row keeps; the activity itself keeps them whole.
const AGENT_CHARS: usize = 128;
const TITLE_CHARS: usize = 1_024;
const REASON_CHARS: usize = 4_096;

/// The longest series id, in characters.
const SERIES_CHARS: usize = 128;

/// Reads one item, and takes the secrets out of it. `replaced` is raised by the NUL characters and lone surrogates that became U+FFFD.
pub(super) fn parse_item(
    text: &Bytes,
    task: &TaskId,
    now: Timestamp,
    limits: &IngestLimits,
    (redaction, before): (&Redaction, Before),
    replaced: &mut usize,
) -> Result<Item, Rejected> {
    if limits.activity_bytes < text.len() {
        let message = format!("an activity has at most {} bytes, this one has {}", limits.activity_bytes, text.len());
        return Err(Rejected::new("activity_too_large", None, message));
    }
    let fields: Fields<'_> = serde_json::from_slice(text).map_err(|error| not_json(&error, None))?;
    let envelope = Envelope::read(fields)?;
    if let Some(given) = envelope.task
        && given != *task
    {
        return Err(Rejected::new("task_mismatch", Some("taskId"), format!("taskId must be {task}, the task published to")));
    }
    redaction.id(&envelope.invocation)?;
    let Some(kind) = envelope.kind else { return Ok(Item::Heartbeat(envelope.invocation)) };
    let data = payload(text, envelope.data, limits, replaced)?;
    let data = redaction.data(task, &envelope.invocation, kind, data, before);
    let activity = Activity {
        event_id: envelope.event_id.unwrap_or_else(EventId::generate),
        invocation: envelope.invocation,
        kind,
        timestamp: envelope.timestamp.unwrap_or(now),
        received_at: now,
        data,
    };
    let effect = effect(&activity)?;
    let series = series(&activity)?;
    let event_id_given = envelope.event_id.is_some();
    Ok(Item::Activity(Box::new(NewActivity { activity, event_id_given, effect, series, sealed_by: None })))
}

/// A string, borrowed where it holds no escapes.
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// The known fields, each of its type. No `kind` stands for a heartbeat.
struct Envelope<'a> {
    task: Option<TaskId>,
    invocation: InvocationId,
    kind: Option<ActivityType>,
    event_id: Option<EventId>,
    timestamp: Option<Timestamp>,
    data: Option<&'a RawValue>,
}

impl<'a> Envelope<'a> {
    fn read(fields: Fields<'a>) -> Result<Self, Rejected> {
        const NAMES: [&str; 6] = ["taskId", "invocationId", "type", "eventId", "timestamp", "data"];
        let mut values: [Option<&'a RawValue>; 6] = [None; 6];
        for (name, value) in fields.0 {
            let Some(index) = NAMES.iter().position(|known| *known == name) else {
                let message =
                    "the fields are invocationId, type, data, eventId, timestamp and taskId; anything else goes into data";
                return Err(Rejected { code: "unknown_field", field: Some(shortened(&name)), message: message.to_owned() });
            };
            if values[index].replace(value).is_some() {
                return Err(Rejected::new("duplicate_field", Some(NAMES[index]), "the field is given more than once"));
            }
        }
        let [task, invocation, kind, event_id, timestamp, data] = values.map(present);
        if data.is_some_and(|raw| !raw.get().starts_with('{')) {
            return Err(Rejected::new("wrong_type", Some("data"), "data must be an object"));
        }
        let kind = text_as(required(kind, "type")?, "type", "unknown_type", |text| match text {
            "heartbeat" => Ok(None),
            other => other.parse().map(Some),
        })?;
        Ok(Self {
            task: task.map(|raw| word(raw, "taskId", "invalid_task_id")).transpose()?,
            invocation: word(required(invocation, "invocationId")?, "invocationId", "invalid_invocation_id")?,
            kind,
            event_id: event_id.map(|raw| word(raw, "eventId", "invalid_event_id")).transpose()?,
            timestamp: timestamp.map(time).transpose()?,
            data,
        })
    }
}

/// `null` counts as not given: many a client cannot leave a field out.
fn present(value: Option<&RawValue>) -> Option<&RawValue> {
    value.filter(|raw| raw.get() != "null")
}

fn required<'a>(value: Option<&'a RawValue>, field: &'static str) -> Result<&'a RawValue, Rejected> {
    value.ok_or_else(|| Rejected::new("missing_field", Some(field), format!("{field} is required")))
}

/// A string of the form that `T` asks for.
fn word<T: FromStr<Err = Invalid>>(raw: &RawValue, field: &'static str, code: &'static str) -> Result<T, Rejected> {
    text_as(raw, field, code, str::parse)
}

fn text_as<T>(
    raw: &RawValue,
    field: &'static str,
    code: &'static str,
    parse: impl FnOnce(&str) -> Result<T, Invalid>,
) -> Result<T, Rejected> {
    let text: Text<'_> = serde_json::from_str(raw.get())
        .map_err(|_| Rejected::new("wrong_type", Some(field), format!("{field} must be a string")))?;
    parse(&text.0).map_err(|error| Rejected::new(code, Some(field), error.to_string()))
}

fn time(raw: &RawValue) -> Result<Timestamp, Rejected> {
    let millis: Option<u64> = raw.get().parse().ok();
    millis.and_then(Timestamp::from_millis).ok_or_else(|| {
        let message = "timestamp must be integer milliseconds since 1970, from 0 to 2^53 - 1";
        Rejected::new("invalid_timestamp", Some("timestamp"), message)
    })
}

/// The payload as it will be stored and sent: the request's own bytes, unless something in it had to be mended.
fn payload(text: &Bytes, data: Option<&RawValue>, limits: &IngestLimits, replaced: &mut usize) -> Result<Data, Rejected> {
    let Some(raw) = data else { return Ok(Data::empty()) };
    let bytes = text.slice_ref(raw.get().as_bytes());
    let (bytes, count) = check_json(bytes, limits.json).map_err(|fault| {
        let (code, message) = match fault {
            JsonFault::TooDeep => ("too_deep", format!("data nests deeper than {} levels", limits.json.depth)),
            JsonFault::LongNumber => {
                ("number_too_long", format!("a number in data has more than {} characters", limits.json.number_chars))
            }
            JsonFault::ControlCharacter => ("invalid_json", "a string in data holds an unescaped control character".to_owned()),
        };
        Rejected::new(code, Some("data"), message)
    })?;
    *replaced += count;
    Data::from_checked(bytes).ok_or_else(|| Rejected::new("invalid_json", Some("data"), "data is not UTF-8"))
}

/// What a `status` payload says, as far as the hub acts on it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct StatusData<'a> {
    #[serde(borrow)]
    status: Option<&'a RawValue>,
    #[serde(borrow)]
    agent: Option<&'a RawValue>,
    #[serde(borrow)]
    title: Option<&'a RawValue>,
    #[serde(borrow)]
    exit_code: Option<&'a RawValue>,
    #[serde(borrow)]
    reason: Option<&'a RawValue>,
    #[serde(borrow)]
    backfilled: Option<&'a RawValue>,
}

fn effect(activity: &Activity) -> Result<Effect, Rejected> {
    match activity.kind {
        ActivityType::Status => {}
        ActivityType::Usage => return Ok(Effect::Usage),
        _ => return Ok(Effect::SignOfLife),
    }
    let data: StatusData<'_> =
        serde_json::from_slice(activity.data.as_bytes()).map_err(|error| not_json(&error, Some("data")))?;
    let status: Status = word(required(data.status, "data.status")?, "data.status", "unknown_status")?;
    let words = |raw: Option<&RawValue>, field: &'static str, most: usize| {
        present(raw)
            .map(|raw| text_as(raw, field, "wrong_type", |text| Ok(text.chars().take(most).collect::<String>())))
            .transpose()
    };
    let exit_code = present(data.exit_code).map(|raw| {
        let message = "data.exitCode must be an integer of 32 bits";
        raw.get().parse().map_err(|_| Rejected::new("wrong_type", Some("data.exitCode"), message))
    });
    Ok(Effect::Status(StatusChange {
        status,
        agent: words(data.agent, "data.agent", AGENT_CHARS)?,
        title: words(data.title, "data.title", TITLE_CHARS)?,
        exit_code: exit_code.transpose()?,
        reason: words(data.reason, "data.reason", REASON_CHARS)?,
        backfilled: data.backfilled.is_some_and(|raw| raw.get() == "true"),
    }))
}

/// What a payload says of its part in a series.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SeriesData<'a> {
    #[serde(borrow)]
    series_id: Option<&'a RawValue>,
    #[serde(rename = "final", borrow)]
    is_final: Option<&'a RawValue>,
}

fn series(activity: &Activity) -> Result<Option<Series>, Rejected> {
    const MARK: &[u8] = b"\"seriesId\"";
    let bytes = activity.data.as_bytes();
    if !bytes.windows(MARK.len()).any(|window| window == MARK) {
        return Ok(None);
    }
    let data: SeriesData<'_> = serde_json::from_slice(bytes).map_err(|error| not_json(&error, Some("data")))?;
    let Some(raw) = present(data.series_id) else { return Ok(None) };
    let id: String = text_as(raw, "data.seriesId", "wrong_type", |text| Ok(text.to_owned()))?;
    if id.is_empty() || SERIES_CHARS < id.chars().count() {
        let message = format!("data.seriesId has 1 to {SERIES_CHARS} characters");
        return Err(Rejected::new("invalid_series_id", Some("data.seriesId"), message));
    }
    Ok(Some(Series { id: id.into(), is_final: data.is_final.is_some_and(|raw| raw.get() == "true") }))
}

/// A field's name as sent, short enough and clean enough for an answer or a log.
fn shortened(name: &str) -> String {
    name.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).take(64).collect()
}

/// What serde says, without its echo of the input.
fn not_json(error: &serde_json::Error, field: Option<&str>) -> Rejected {
    if error.is_data() {
        return Rejected::new("wrong_type", field, "an activity is a JSON object whose fields are each given once");
    }
    let what = if error.is_eof() { "the text ends too early" } else { "the text is not JSON" };
    Rejected::new("invalid_json", field, format!("{what} (line {}, column {})", error.line(), error.column()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::JsonLimits;

    fn parse(text: &str) -> Result<Item, Rejected> {
        let json = JsonLimits { depth: 4, number_chars: 8 };
        let limits = IngestLimits { activity_bytes: 400, request_activities: 3, request_bytes: 10_000, json };
        let task = "build-42".parse().expect("valid");
        let now = Timestamp::from_millis(1_000).expect("small");
        parse_item(&Bytes::copy_from_slice(text.as_bytes()), &task, now, &limits, (&Redaction::off(), Before::Pieces), &mut 0)
    }

    fn activity(text: &str) -> NewActivity {
        match parse(text) {
            Ok(Item::Activity(activity)) => *activity,
            other => panic!("{text} gave {other:?}"),
        }
    }

    #[test]
    fn the_payload_stays_byte_for_byte() {
        let new = activity(r#"{"type":"custom","data": {"b": 1.50, "a":"\u00e9"},"invocationId":"r"}"#);
        assert_eq!(new.activity.data.as_str(), r#"{"b": 1.50, "a":"\u00e9"}"#);
        assert_eq!((new.activity.timestamp.as_millis(), new.event_id_given), (1_000, false));
    }

    #[test]
    fn every_fault_has_its_code_and_names_its_field() {
        let long = format!(r#"{{"invocationId":"r","type":"custom","data":{{"a":"{}"}}}}"#, "x".repeat(400));
        let with = |rest: &str| format!(r#"{{"invocationId":"r",{rest}}}"#);
        for (text, code, field) in [
            (r#"{"type":"message"}"#.to_owned(), "missing_field", Some("invocationId")),
            (r#"{"invocationId":7,"type":"message"}"#.to_owned(), "wrong_type", Some("invocationId")),
            (r#"{"invocationId":"","type":"message"}"#.to_owned(), "invalid_invocation_id", Some("invocationId")),
            (with(r#""data":{}"#), "missing_field", Some("type")),
            (with(r#""type":"nonsense""#), "unknown_type", Some("type")),
            (with(r#""type":"message","text":"hi""#), "unknown_field", Some("text")),
            (with(r#""type":"message","type":"message""#), "duplicate_field", Some("type")),
            (with(r#""type":"message","data":[]"#), "wrong_type", Some("data")),
            (with(r#""type":"message","data":"x""#), "wrong_type", Some("data")),
            (with(r#""type":"message","eventId":"x""#), "invalid_event_id", Some("eventId")),
            (with(r#""type":"message","timestamp":1.5"#), "invalid_timestamp", Some("timestamp")),
            (with(r#""type":"message","timestamp":-1"#), "invalid_timestamp", Some("timestamp")),
            (with(r#""type":"message","timestamp":"1""#), "invalid_timestamp", Some("timestamp")),
            (with(r#""type":"message","timestamp":9007199254740992"#), "invalid_timestamp", Some("timestamp")),
            (with(r#""type":"message","taskId":"other""#), "task_mismatch", Some("taskId")),
            (with(r#""type":"message","taskId":"a b""#), "invalid_task_id", Some("taskId")),
            (with(r#""type":"message","data":{"a":[[[[1]]]]}"#), "too_deep", Some("data")),
            (with(r#""type":"message","data":{"a":123456789}"#), "number_too_long", Some("data")),
            (with(r#""type":"status""#), "missing_field", Some("data.status")),
            (with(r#""type":"status","data":{"status":"asleep"}"#), "unknown_status", Some("data.status")),
            (with(r#""type":"status","data":{"status":"running","agent":1}"#), "wrong_type", Some("data.agent")),
            (with(r#""type":"status","data":{"status":"failed","exitCode":1.5}"#), "wrong_type", Some("data.exitCode")),
            (with(r#""type":"output","data":{"seriesId":7}"#), "wrong_type", Some("data.seriesId")),
            (with(r#""type":"output","data":{"seriesId":""}"#), "invalid_series_id", Some("data.seriesId")),
            ("{".to_owned(), "invalid_json", None),
            ("7".to_owned(), "wrong_type", None),
            (long, "activity_too_large", None),
        ] {
            let rejected = parse(&text).expect_err(&text);
            assert_eq!((rejected.code, rejected.field.as_deref()), (code, field), "{text}");
        }
    }

    #[test]
    fn effects_are_read_once_at_the_edge() {
        let status = activity(
            r#"{"invocationId":"r","type":"status","data":{"status":"failed","agent":"make","exitCode":2,"reason":null,"x":1}}"#,
        );
        let agent = Some("make".to_owned());
        let expected =
            StatusChange { status: Status::Failed, agent, title: None, exit_code: Some(2), reason: None, backfilled: false };
        assert_eq!(status.effect, Effect::Status(expected));
        assert_eq!(activity(r#"{"invocationId":"r","type":"usage","data":{"inputTokens":1}}"#).effect, Effect::Usage);
        let piece = activity(r#"{"invocationId":"r","type":"message","data":{"seriesId":"s","delta":true,"text":"a"}}"#);
        assert_eq!(piece.series, Some(Series { id: "s".into(), is_final: false }));
        let whole = activity(r#"{"invocationId":"r","type":"message","data":{"seriesId":"s","final":true,"text":"ab"}}"#);
        assert_eq!(whole.series, Some(Series { id: "s".into(), is_final: true }));
    }

    #[test]
    fn a_heartbeat_is_not_an_activity() {
        assert!(matches!(parse(r#"{"invocationId":"r","type":"heartbeat"}"#), Ok(Item::Heartbeat(id)) if id.as_str() == "r"));
    }
}
