//! Lines of JSON of a program's own. One that is an activity, `{"type", "data"}` as in the protocol, is that activity; any other is kept
//! as `custom`.

use serde_json::{Value, json};

use super::{Evidence, line, scribe::Scribe};
use crate::model::{ActivityType, Status};

/// The most characters of a series's id.
const SERIES_CHARS: usize = 128;

pub(super) fn line(value: &Value, scribe: &mut Scribe) {
    scribe.time = line::time(&value["timestamp"]);
    let kind = value["type"].as_str().and_then(|kind| kind.parse::<ActivityType>().ok());
    let (Some(kind), Value::Object(data)) = (kind, &value["data"]) else {
        return scribe.custom("line", json!({"value": value}));
    };
    if kind == ActivityType::Status {
        return status(data.get("status"), data.get("reason"), scribe);
    }
    let is_series =
        data.get("seriesId").is_none_or(|id| id.as_str().is_some_and(|id| (1..=SERIES_CHARS).contains(&id.chars().count())));
    if !is_series {
        return scribe.custom("line", json!({"value": value}));
    }
    scribe.draft(kind, Value::Object(data.clone()));
}

/// What the program says of its own end counts once it has ended.
fn status(status: Option<&Value>, reason: Option<&Value>, scribe: &mut Scribe) {
    let words = reason.and_then(Value::as_str).unwrap_or("the program said that it failed");
    match status.and_then(Value::as_str).and_then(|status| status.parse::<Status>().ok()) {
        Some(Status::Completed) => scribe.evidence = Evidence::Success,
        Some(Status::Failed) => scribe.failed(words),
        _ => {}
    }
    scribe.silent("status");
}
