//! One line of input made ready to be sent: what it lacks is filled in, everything else stays as it was written.

use crate::{
    cli::redact_args::Scrubber,
    client::Refusal,
    model::{EventId, Fields, InvocationId},
};
use bytes::Bytes;
use serde_json::value::RawValue;

/// Whether the field is there and not null, which counts as not given.
fn has(fields: &Fields<'_>, name: &str) -> bool {
    fields.0.iter().any(|(known, value)| known == name && value.get() != "null")
}

/// The object's text with these fields before the others, and without any that are null.
pub(super) fn with(fields: &Fields<'_>, more: &[(&str, String)]) -> Bytes {
    let given = fields.0.iter().filter(|(_, value)| value.get() != "null").map(|(name, value)| (&**name, value.get()));
    let all = more.iter().map(|(name, value)| (*name, value.as_str())).chain(given);
    let fields: Vec<String> = all.map(|(name, value)| format!("{}:{value}", quoted(name))).collect();
    format!("{{{}}}", fields.join(",")).into()
}

/// `text` as a JSON string.
pub(super) fn quoted(text: &str) -> String {
    serde_json::to_string(text).expect("strings are JSON")
}

/// Reads one line. An `eventId` is added where there is none, so that the line can be sent again without being stored twice; and the
/// invocation, if one is given for all.
pub(super) fn prepare(line: &[u8], invocation: Option<&InvocationId>) -> Result<Bytes, Refusal> {
    let invalid = |message: String| Refusal { code: "invalid_json".to_owned(), field: None, message };
    let text = std::str::from_utf8(line).map_err(|_| invalid("the line is not UTF-8".to_owned()))?;
    let fields: Fields<'_> = serde_json::from_str(text).map_err(|error| invalid(error.to_string()))?;
    let heartbeat = fields.0.iter().any(|(name, value)| name == "type" && value.get() == r#""heartbeat""#);
    let mut more = Vec::new();
    if !heartbeat && !has(&fields, "eventId") {
        more.push(("eventId", quoted(&EventId::generate().to_string())));
    }
    if let Some(invocation) = invocation.filter(|_| !has(&fields, "invocationId")) {
        more.push(("invocationId", quoted(invocation.as_str())));
    }
    Ok(with(&fields, &more))
}

/// An activity that was prepared, with its payload free of secrets. Without any it is the same bytes.
pub(super) fn without_secrets(activity: Bytes, scrubber: &Scrubber) -> Bytes {
    let Ok(Fields(mut fields)) = serde_json::from_slice::<Fields<'_>>(&activity) else { return activity };
    let value = |wanted: &str| fields.iter().find(|(name, _)| name == wanted).map_or("", |(_, value)| value.get());
    let redacted = scrubber.payload(value("data"), value("type") == r#""output""#, value("invocationId"));
    let Some(raw) = redacted.and_then(|text| RawValue::from_string(text).ok()) else { return activity };
    for (name, value) in &mut fields {
        if name == "data" {
            *value = &raw;
        }
    }
    with(&Fields(fields), &[])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prepared(line: &str, invocation: Option<&str>) -> String {
        let invocation = invocation.map(|text| text.parse().expect("valid"));
        let bytes = prepare(line.as_bytes(), invocation.as_ref()).expect(line);
        String::from_utf8(bytes.to_vec()).expect("UTF-8")
    }

    #[test]
    fn what_is_given_stays_as_it_was_written() {
        let line = r#"{"eventId":"x","invocationId":"r","type":"custom","data":{"a": 1.0,"b":"\u00e9"}}"#;
        assert_eq!(prepared(line, Some("other")), line);
        let beat = r#"{"invocationId":"r","type":"heartbeat"}"#;
        assert_eq!(prepared(beat, None), beat);
    }

    #[test]
    fn what_is_missing_or_null_is_filled_in() {
        let text = prepared(r#" {"type":"message","invocationId":null} "#, Some("a\"b"));
        let value: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!((value["invocationId"].as_str(), value["type"].as_str()), (Some("a\"b"), Some("message")));
        assert!(value["eventId"].as_str().is_some_and(|id| id.parse::<EventId>().is_ok()));
        assert!(prepared("{}", None).starts_with(r#"{"eventId":""#));
    }

    #[test]
    fn secrets_go_and_the_rest_stays_as_it_was_written() {
        let redactor = crate::redact::Redactor::new(&crate::redact::RedactOptions::default()).expect("the rules compile");
        let scrubber = Scrubber::new(Some(redactor));
        let line = r#"{"eventId":"x","type":"custom","data":{"a": 1.0,"password":"hunter2"}}"#;
        let clean = without_secrets(Bytes::from_static(line.as_bytes()), &scrubber);
        assert_eq!(clean, line.replace("hunter2", "[redacted:named-secret]").as_bytes());
        let same = Bytes::from_static(br#"{"type":"custom","data":{"max_tokens":1}}"#);
        assert_eq!(without_secrets(same.clone(), &scrubber).as_ptr(), same.as_ptr());
    }

    #[test]
    fn a_line_that_is_no_object_is_refused_here() {
        for line in ["", "7", "[]", "{", "{} {}"] {
            assert_eq!(prepare(line.as_bytes(), None).expect_err(line).code, "invalid_json");
        }
        assert!(prepare(b"{\"a\":\"\xff\"}", None).is_err());
    }
}
