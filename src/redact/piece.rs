//! Payloads that are pieces of running text: the output of a process, or a series of streamed text.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{Carry, Redacted, Redactor, decode, splice, splice::Edit};

/// What says in a payload that it is a piece of a series.
const SERIES: &[u8] = b"\"seriesId\"";

/// The fields that tell a piece's place, and its text.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Piece<'a> {
    #[serde(borrow)]
    stream: Option<&'a RawValue>,
    #[serde(borrow)]
    series_id: Option<&'a RawValue>,
    #[serde(rename = "final", borrow)]
    is_final: Option<&'a RawValue>,
    #[serde(borrow)]
    text: Option<&'a RawValue>,
    #[serde(borrow)]
    bytes: Option<&'a RawValue>,
}

/// `data` without what is part of a secret that began in the piece before; nothing if nothing is, or if it is no piece.
pub(super) fn continued(
    redactor: &Redactor,
    data: &[u8],
    is_output: bool,
    scope: impl Fn() -> String,
    carry: &Carry,
) -> Option<Redacted<Vec<u8>>> {
    let is_series = || data.windows(SERIES.len()).any(|window| window == SERIES);
    if !is_output && !is_series() {
        return None;
    }
    let piece: Piece<'_> = serde_json::from_slice(data).ok()?;
    let is_final = piece.is_final.is_some_and(|raw| raw.get() == "true");
    // What a text cannot hold comes between what one can, as pieces of the same output.
    let unnamed = if piece.bytes.is_some() { "\"stdout\"" } else { "" };
    let name = piece.series_id.or(piece.stream).map_or(unnamed, RawValue::get);
    let raw = piece.text.or(piece.bytes)?.get();
    let content = raw.strip_prefix('"')?.strip_suffix('"')?;
    if is_final {
        // It holds the whole text by itself.
        return None;
    }
    let text = decode::string(content.as_bytes());
    let spans = carry.next(redactor, &format!("{}\n{name}", scope()), &text);
    if spans.is_empty() {
        return None;
    }
    let start = content.as_ptr() as usize - data.as_ptr() as usize;
    let places = decode::places(content.as_bytes(), spans.iter().flat_map(|span| [span.range.start, span.range.end]));
    let edits = spans.iter().zip(places.chunks_exact(2));
    let edits = edits.map(|(span, place)| Edit::content(start + place[0]..start + place[1], span.rule)).collect();
    let mut rules = Vec::new();
    let text = splice::apply(redactor, data, edits, &mut rules);
    Some(Redacted { text, rules })
}
