//! The shape of what was refused: enough to see what is wrong with it, and none of its content.

use serde_json::Value;

use super::Redaction;

/// The most characters of a shape.
const CHARS: usize = 1_024;

/// The deepest level that is shown.
const DEPTH: usize = 4;

/// The most members of an object or array that are shown.
const MEMBERS: usize = 24;

/// The most characters of a field's name that are shown.
const NAME_CHARS: usize = 64;

/// A text that shows the fields of a JSON value and of what kind their values are, such as `{"type":"text of 7","data":{"n":"number"}}`.
/// Values, which may be secrets, are never in it; nor are secrets that were taken for names.
pub(crate) fn shape_of(text: &[u8], redaction: &Redaction) -> String {
    if text.is_empty() {
        return String::new();
    }
    let Ok(value) = serde_json::from_slice::<Value>(text) else { return format!("{} bytes that are not JSON", text.len()) };
    let mut shape = shape(&value, 0, redaction).to_string();
    if let Some((end, _)) = shape.char_indices().nth(CHARS) {
        shape.truncate(end);
        shape.push('…');
    }
    shape
}

fn shape(value: &Value, depth: usize, redaction: &Redaction) -> Value {
    match value {
        Value::Null => Value::Null,
        Value::Bool(_) => "boolean".into(),
        Value::Number(_) => "number".into(),
        Value::String(text) => format!("text of {}", text.chars().count()).into(),
        Value::Array(list) if DEPTH <= depth => format!("array of {}", list.len()).into(),
        Value::Object(fields) if DEPTH <= depth => format!("object of {}", fields.len()).into(),
        Value::Array(list) => list.iter().take(MEMBERS).map(|value| shape(value, depth + 1, redaction)).collect(),
        Value::Object(fields) => {
            let shown = fields.iter().take(MEMBERS);
            // Beyond ASCII, too: a terminal may take U+009B for the beginning of a sequence.
            let plain = |c: char| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c };
            let name = |name: &str| redaction.text(name.to_owned()).chars().take(NAME_CHARS).map(plain).collect::<String>();
            shown.map(|(field, value)| (name(field), shape(value, depth + 1, redaction))).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_shown_and_values_are_not() {
        let text = br#"{"type":"tool_call","data":{"token":"s3cr3t","n":4711,"list":[true,null]}}"#;
        let shape: Value = serde_json::from_str(&shape_of(text, &Redaction::off())).expect("JSON");
        assert_eq!(
            shape,
            serde_json::json!({
                "type": "text of 9",
                "data": {"token": "text of 6", "n": "number", "list": ["boolean", null]}
            })
        );
        assert_eq!(shape_of(b"password=hunter2", &Redaction::off()), "16 bytes that are not JSON");
        assert_eq!(shape_of(b"", &Redaction::off()), "");
    }

    #[test]
    fn what_steers_a_terminal_is_not_kept() {
        let text = "{\"a\u{9b}31m\u{7f}\\u001b\":1}";
        assert_eq!(shape_of(text.as_bytes(), &Redaction::off()), "{\"a\u{fffd}31m\u{fffd}\u{fffd}\":\"number\"}");
    }

    #[test]
    fn a_shape_is_short_however_large_the_value() {
        let deep = format!("{}1{}", "[".repeat(100), "]".repeat(100));
        assert_eq!(shape_of(deep.as_bytes(), &Redaction::off()), r#"[[[["array of 1"]]]]"#);
        let names: Vec<String> = (0..500).map(|n| format!("\"{n}{}\":1", "x".repeat(200))).collect();
        let wide = format!("{{{}}}", names.join(","));
        assert!(shape_of(wide.as_bytes(), &Redaction::off()).chars().count() <= CHARS + 1);
    }
}
