//! Payloads cut to what a hub takes, so that nothing is refused for its size: what is too long is marked and its length kept.

use bytes::Bytes;
use serde_json::{Map, Value};

use crate::model::{JsonLimits, check_json};

/// The most bytes of a payload; a hub takes activities of 64 KiB, of which the envelope needs a part.
pub const DATA_BYTES: usize = 48 * 1024;

/// How deep a payload may nest, and how long its numbers may be: what hubs take unless they are told otherwise.
const LIMITS: JsonLimits = JsonLimits { depth: 64, number_chars: 64 };

/// Deeper parts become text at this depth.
const DEPTH: usize = 32;

/// The lengths that strings are cut to, one after the other until it fits.
const CUTS: [usize; 5] = [16 * 1024, 8 * 1024, 2 * 1024, 512, 128];

/// What a string that was cut ends with.
const MARK: &str = "…[cut]";

/// Fields that say what a payload belongs to; they are short, and never cut away.
const KEPT: [&str; 12] = [
    "name",
    "role",
    "toolCallId",
    "parentToolCallId",
    "seriesId",
    "delta",
    "final",
    "isError",
    "stream",
    "line",
    "agent",
    "version",
];

/// `data`, a JSON object, as one that a hub takes: itself if it fits; else with its longest strings cut, `truncated: true` and
/// `originalBytes`.
pub fn fit(data: String) -> String {
    let size = data.len();
    if size <= DATA_BYTES && check_json(Bytes::from(data.clone()), LIMITS).is_ok() {
        return data;
    }
    // What serde does not read (it is deeper than anything here makes) is kept by its beginning.
    let mut map: Map<String, Value> =
        serde_json::from_str(&data).unwrap_or_else(|_| Map::from_iter([("head".to_owned(), Value::String(cut(&data, CUTS[1])))]));
    map.values_mut().for_each(|value| flatten(value, DEPTH));
    if DATA_BYTES < size {
        map.insert("truncated".to_owned(), true.into());
        map.insert("originalBytes".to_owned(), size.into());
    }
    for most in CUTS {
        if let Some(text) = fitting(&map) {
            return text;
        }
        map.values_mut().for_each(|value| shorten(value, most));
    }
    // Many small things: each field as the beginning of its text.
    for most in CUTS {
        if let Some(text) = fitting(&map) {
            return text;
        }
        let fields = map.iter_mut().filter(|(name, _)| !KEPT.contains(&name.as_str()));
        fields
            .filter(|(_, value)| most < value.to_string().len())
            .for_each(|(_, value)| *value = cut(&value.to_string(), most).into());
    }
    // Many small fields: the ones that matter, and the beginning of the rest.
    let rest = serde_json::to_string(&map).unwrap_or_default();
    map.retain(|name, _| KEPT.contains(&name.as_str()) || name == "truncated" || name == "originalBytes");
    map.insert("head".to_owned(), cut(&rest, CUTS[1]).into());
    fitting(&map).unwrap_or_else(|| format!(r#"{{"truncated":true,"originalBytes":{size}}}"#))
}

fn fitting(map: &Map<String, Value>) -> Option<String> {
    serde_json::to_string(map).ok().filter(|text| text.len() <= DATA_BYTES)
}

/// Turns what lies deeper than `depth` into its JSON text.
fn flatten(value: &mut Value, depth: usize) {
    match value {
        Value::Array(_) | Value::Object(_) if depth == 0 => *value = Value::String(value.to_string()),
        Value::Array(items) => items.iter_mut().for_each(|item| flatten(item, depth - 1)),
        Value::Object(fields) => fields.values_mut().for_each(|field| flatten(field, depth - 1)),
        _ => {}
    }
}

fn shorten(value: &mut Value, most: usize) {
    match value {
        Value::String(text) if most < text.len() => *text = cut(text, most),
        Value::Array(items) => items.iter_mut().for_each(|item| shorten(item, most)),
        Value::Object(fields) => fields.values_mut().for_each(|field| shorten(field, most)),
        _ => {}
    }
}

fn cut(text: &str, most: usize) -> String {
    let mut end = most.min(text.len()).saturating_sub(MARK.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}{MARK}", &text[..end])
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn fitted(data: &Value) -> Value {
        let text = fit(data.to_string());
        assert!(text.len() <= DATA_BYTES, "{} bytes", text.len());
        assert!(check_json(Bytes::from(text.clone()), LIMITS).is_ok());
        serde_json::from_str(&text).expect("JSON")
    }

    #[test]
    fn what_fits_stays_byte_for_byte() {
        let text = r#"{"b": 1.0,"a":"é"}"#.to_owned();
        assert_eq!(fit(text.clone()), text);
    }

    #[test]
    fn long_strings_are_cut_and_say_so_and_short_ones_stay() {
        let data =
            json!({"toolCallId": "r:1", "output": "é".repeat(100_000), "input": {"a": ["\u{1}".repeat(30_000)], "b": "short"}});
        let fitted = fitted(&data);
        assert_eq!((&fitted["toolCallId"], &fitted["input"]["b"]), (&json!("r:1"), &json!("short")));
        assert_eq!((&fitted["truncated"], fitted["originalBytes"].as_u64()), (&json!(true), Some(data.to_string().len() as u64)));
        assert!(fitted["output"].as_str().is_some_and(|text| text.ends_with(MARK) && text.starts_with("ééé")));
    }

    #[test]
    fn any_shape_fits() {
        let mut deep = json!("x");
        for _ in 0..100 {
            deep = json!({"a": [deep]});
        }
        let many: Map<String, Value> = (0..20_000).map(|number| (format!("k{number}"), json!(number))).collect();
        for data in [
            json!({"name": "n", "raw": deep}),
            json!({"name": "n", "raw": vec![1; 100_000]}),
            json!({"name": "n", "raw": [vec!["word"; 20_000], "y".repeat(1 << 20)]}),
            Value::Object(many),
        ] {
            fitted(&data);
        }
        assert_eq!(fitted(&json!({"name": "n", "raw": vec![1; 100_000]}))["name"], "n");
    }
}
