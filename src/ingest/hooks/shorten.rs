//! Values that are too large to be an activity's payload: their longest texts are cut, and say so.
//!
//! A tool's answer may be a file of megabytes, and a hook has nobody who would cut it before. Secrets are gone by then, so that no cut
//! leaves half of one.

use serde_json::{Map, Value, json};

/// The longest texts are cut to this at first, then to half of it, and so on.
const FIRST_CUT: usize = 32 * 1024;

/// What texts are never cut below; a value that is too large even so has too many of them, and is given up.
const LAST_CUT: usize = 64;

/// What a cut adds at most.
const NOTE: &str = "… [cut: 18446744073709551615 bytes]";

/// `value`, with its longest texts cut until its JSON text has at most `most` bytes. What has too many parts becomes a note of its size.
pub(super) fn to_fit(value: Value, most: usize) -> Value {
    let bytes = size(&value);
    if bytes <= most {
        return value;
    }
    let mut value = value;
    let mut cut = FIRST_CUT;
    while LAST_CUT <= cut {
        shorten(&mut value, cut);
        if size(&value) <= most {
            return value;
        }
        cut /= 2;
    }
    // Names say what it was; they are few, and short by now.
    let name = value.get("name").or(value.get("hook")).cloned().unwrap_or_default();
    let tool = value.get("toolCallId").cloned().unwrap_or_default();
    let mut note = Map::new();
    note.extend([("truncated".to_owned(), json!(true)), ("bytes".to_owned(), json!(bytes))]);
    note.extend(
        [("name", name), ("toolCallId", tool)].into_iter().filter(|(_, v)| v.is_string()).map(|(k, v)| (k.to_owned(), v)),
    );
    Value::Object(note)
}

fn size(value: &Value) -> usize {
    value.to_string().len()
}

fn shorten(value: &mut Value, most: usize) {
    match value {
        Value::String(text) => shorten_text(text, most),
        Value::Array(items) => items.iter_mut().for_each(|item| shorten(item, most)),
        Value::Object(fields) => fields.values_mut().for_each(|field| shorten(field, most)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn shorten_text(text: &mut String, most: usize) {
    if text.len() <= most + NOTE.len() {
        return;
    }
    // A text that was cut before says how long it was then.
    let (kept, note) = match text.rsplit_once("… [cut: ") {
        Some((kept, rest)) if rest.ends_with(" bytes]") && rest.len() < NOTE.len() => (kept.len(), format!("… [cut: {rest}")),
        _ => (text.len(), format!("… [cut: {} bytes]", text.len())),
    };
    text.truncate(text.floor_char_boundary(kept.min(most)));
    text.push_str(&note);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fits_stays_and_long_texts_say_how_long_they_were() {
        let value = json!({"a": "x".repeat(100), "n": 7});
        assert_eq!(to_fit(value.clone(), 1_000), value);
        let cut = to_fit(json!({"a": "é".repeat(100_000), "b": "short", "n": [7, null]}), 5_000);
        assert!(size(&cut) <= 5_000, "{}", size(&cut));
        let text = cut["a"].as_str().expect("text");
        assert!(text.starts_with("éé") && text.ends_with("… [cut: 200000 bytes]"), "{}", &text[text.len() - 40..]);
        assert_eq!((&cut["b"], &cut["n"]), (&json!("short"), &json!([7, null])));
    }

    #[test]
    fn what_has_too_many_parts_becomes_a_note() {
        let value = json!({"name": "Read", "toolCallId": "s:t", "input": vec![0; 10_000]});
        assert_eq!(to_fit(value, 1_000), json!({"truncated": true, "bytes": 20_044, "name": "Read", "toolCallId": "s:t"}));
    }
}
