//! One line to its JSON, whatever agents put around it.

use bytes::Bytes;
use serde_json::{Value, value::RawValue};

use super::{Parser, jsonl, scribe::Scribe};
use crate::model::{JsonLimits, Timestamp, check_json};

/// How an agent's line begins, wherever a notice before it has no line break of its own.
pub(super) const BEGIN: &str = r#"{"type":"#;

/// In how many places of a line that beginning is looked for.
const TRIES: usize = 4;

/// How deep and long what is mended may be; what is too much for a hub is cut later.
const LIMITS: JsonLimits = JsonLimits { depth: 120, number_chars: 4_096 };

/// Gives the line to the parser, or to the scribe if it is not JSON.
pub(super) fn read(parser: &mut Parser, line: &str, scribe: &mut Scribe) {
    if line.trim().is_empty() {
        return scribe.blank();
    }
    let Some((notice, value)) = json(line) else { return scribe.text(line) };
    if !notice.trim().is_empty() {
        scribe.notice(notice);
    }
    if !value.is_object() && !matches!(parser, Parser::Jsonl) {
        return scribe.unknown("not an object", &value);
    }
    match parser {
        Parser::Jsonl => jsonl::line(&value, scribe),
        Parser::Claude(claude) => claude.line(&value, scribe),
        Parser::Codex(codex) => codex.line(&value, scribe),
        Parser::Gemini(gemini) => gemini.line(&value, scribe),
        Parser::Opencode(opencode) => opencode.line(&value, scribe),
        Parser::Cursor(cursor) => cursor.line(&value, scribe),
        Parser::Goose(goose) => goose.line(&value, scribe),
    }
}

/// The object or array on a line, and what stands before it.
pub(super) fn json(line: &str) -> Option<(&str, Value)> {
    let trimmed = line.trim_start();
    if trimmed.starts_with(['{', '['])
        && let Some(value) = parse(trimmed)
    {
        return Some(("", value));
    }
    line.match_indices(BEGIN).take(TRIES).find_map(|(at, _)| Some((&line[..at], parse(&line[at..])?)))
}

fn parse(text: &str) -> Option<Value> {
    serde_json::from_str(text).ok().or_else(|| mended(text))
}

/// Lone surrogates are JSON, but no text; they become U+FFFD, as hubs do it.
fn mended(text: &str) -> Option<Value> {
    if !text.contains("\\u") || serde_json::from_str::<&RawValue>(text).is_err() {
        return None;
    }
    let (mended, _) = check_json(Bytes::copy_from_slice(text.as_bytes()), LIMITS).ok()?;
    serde_json::from_slice(&mended).ok()
}

/// A type's name for people and for counting: what is missing is said.
pub(super) fn named(kind: &str) -> &str {
    if kind.is_empty() { "(no type)" } else { kind }
}

/// A count of tokens or the like; nothing if it is none, or beyond anything that can be counted.
pub(super) fn count(value: &Value) -> u64 {
    const MOST: u64 = 1 << 53;
    value.as_u64().filter(|count| *count <= MOST).unwrap_or_default()
}

/// The items of an array; none of anything else.
pub(super) fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

/// The text of content that is a string, or a list of blocks of which some are text. Other blocks are named.
pub(super) fn joined(content: &Value) -> String {
    if let Some(text) = content.as_str() {
        return text.to_owned();
    }
    let text = |block: &Value| match (block["text"].as_str(), block["text"]["text"].as_str(), block["type"].as_str()) {
        (Some(text), ..) | (_, Some(text), _) => text.to_owned(),
        (.., Some(kind)) => format!("[{kind}]"),
        _ => block.as_str().map_or_else(|| block.to_string(), str::to_owned),
    };
    items(content).map(text).collect::<Vec<_>>().join("\n")
}

/// A time in RFC 3339 or in epoch milliseconds.
pub(super) fn time(value: &Value) -> Option<Timestamp> {
    if let Some(millis) = value.as_u64() {
        return Timestamp::from_millis(millis);
    }
    let time: jiff::Timestamp = value.as_str()?.parse().ok()?;
    u64::try_from(time.as_millisecond()).ok().and_then(Timestamp::from_millis)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_found_behind_notices_and_lone_surrogates_are_mended() {
        for (line, found) in [
            (r#"{"type":"a"}"#, Some(("", r#"{"type":"a"}"#))),
            (r#"  [1]"#, Some(("", "[1]"))),
            (r#"Loaded cached credentials.{"type":"init"}"#, Some(("Loaded cached credentials.", r#"{"type":"init"}"#))),
            (r#"see {"type": no} {"type":"a"}"#, Some((r#"see {"type": no} "#, r#"{"type":"a"}"#))),
            (r#"{"type":"a"} and more"#, None),
            (r#"{"a":"\ud83d"}"#, Some(("", "{\"a\":\"\u{fffd}\"}"))),
            ("plain", None),
            ("7", None),
        ] {
            let json = json(line).map(|(notice, value)| (notice.to_owned(), value.to_string()));
            assert_eq!(json, found.map(|(notice, value)| (notice.to_owned(), value.to_owned())), "{line}");
        }
    }
}
