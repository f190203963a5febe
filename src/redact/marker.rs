//! `[redacted:RULE]`: what stands where a secret was. It is never taken for a secret itself.

/// How a marker begins.
const OPENING: &str = "[redacted:";

/// The longest id of a rule.
pub(super) const ID_CHARS: usize = 64;

/// The marker of this rule.
pub(super) fn of(id: &str) -> String {
    format!("{OPENING}{id}]")
}

/// Whether an id has the form that a marker can hold.
pub(super) fn is_id(id: &str) -> bool {
    (1..=ID_CHARS).contains(&id.len()) && id.bytes().all(is_id_byte)
}

fn is_id_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.')
}

/// Whether the text is a marker and nothing else.
pub(super) fn is_one(text: &[u8]) -> bool {
    length(text) == Some(text.len())
}

/// The length of the marker that the text begins with.
pub(super) fn length(text: &[u8]) -> Option<usize> {
    let id = text.strip_prefix(OPENING.as_bytes())?;
    let end = id.iter().take(ID_CHARS + 1).position(|byte| !is_id_byte(*byte))?;
    (0 < end && id[end] == b']').then_some(OPENING.len() + end + 1)
}

/// Whether this range lies within a marker.
pub(super) fn holds(text: &[u8], range: &std::ops::Range<usize>) -> bool {
    let from = range.start.saturating_sub(OPENING.len() + ID_CHARS);
    let Some(at) = text[from..=range.start.min(text.len() - 1)].iter().rposition(|byte| *byte == b'[') else { return false };
    length(&text[from + at..]).is_some_and(|length| range.end <= from + at + length)
}

/// The marker in whose midst this place is: behind its first byte and before its end.
pub(super) fn around(text: &[u8], place: usize) -> Option<std::ops::Range<usize>> {
    let from = place.saturating_sub(OPENING.len() + ID_CHARS);
    let start = from + text[from..place.min(text.len())].iter().rposition(|byte| *byte == b'[')?;
    let end = start + length(&text[start..])?;
    (place < end).then_some(start..end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_marker_is_known_whole_and_from_within() {
        let text = b"a [redacted:x-y.1] b";
        assert_eq!(length(&text[2..]), Some(16));
        assert!(is_one(&text[2..18]) && !is_one(text) && !is_one(b"[redacted:]") && !is_one(b"[redacted:a b]"));
        assert_eq!([2, 3, 17, 18].map(|place| around(text, place)), [None, Some(2..18), Some(2..18), None]);
        assert!(holds(text, &(2..18)) && holds(text, &(12..13)) && !holds(text, &(2..19)) && !holds(text, &(18..20)));
    }
}
