//! Bodies of Durable Streams' clients, of each form: what is stored of them gives them back.

use bytes::Bytes;
use serde_json::value::RawValue;

use super::{Target, limits, task};
use crate::{
    config::Settings,
    ingest::{IngestLimits, Reading, Redaction, StreamForm, message_in},
    model::{NewActivity, Timestamp},
};

/// Small enough that bodies of a fuzzer are cut into many pieces.
const ACTIVITY_BYTES: usize = 200;

/// The first byte chooses the form, and whether activities are small.
pub(super) fn streams() -> Target {
    let (settings, task) = (Settings::default(), task());
    let redactor = settings.redactor().expect("the program's own rules are in order");
    let redaction = Redaction::new(redactor, settings.carry_limits(), Default::default());
    let small = IngestLimits { activity_bytes: ACTIVITY_BYTES, ..limits() };
    let of_all = limits();
    Box::new(move |data| {
        let [choice, rest @ ..] = data else { return };
        let form = match choice % 3 {
            0 => StreamForm::Json,
            1 => StreamForm::Text,
            _ => StreamForm::Bytes,
        };
        let limits = if choice & 0x80 == 0 { &of_all } else { &small };
        let body = Bytes::copy_from_slice(rest);
        let read = |redaction: &Redaction| {
            let reading = Reading { task: &task, now: Timestamp::default(), limits, redaction };
            reading.messages(&body, form)
        };
        if let Ok(stored) = read(&Redaction::off()) {
            check(&stored, form, &body, limits);
        }
        if let Ok(stored) = read(&redaction) {
            assert!(stored.iter().all(|new| message(new, form).is_some()), "what is left is a message all the same");
        }
    })
}

fn message(new: &NewActivity, form: StreamForm) -> Option<Vec<u8>> {
    message_in(form, new.activity.kind, new.activity.data.as_bytes())
}

/// Nothing is lost, added or changed on the way.
fn check(stored: &[NewActivity], form: StreamForm, body: &[u8], limits: &IngestLimits) {
    assert!(stored.len() <= limits.request_activities, "no more than a request takes");
    let messages: Vec<_> = stored.iter().map(|new| message(new, form).expect("what was stored of a message is one")).collect();
    match form {
        StreamForm::Text | StreamForm::Bytes => assert_eq!(messages.concat(), body),
        StreamForm::Json => {
            let body = body.trim_ascii();
            let whole: Option<&RawValue> = serde_json::from_slice(body).ok();
            let elements = serde_json::from_slice::<Vec<&RawValue>>(body).unwrap_or_else(|_| whole.into_iter().collect());
            assert_eq!(messages.len(), elements.len());
        }
    }
}
