//! Replacing parts of a text and nothing else.

use std::ops::Range;

use super::{Redactor, marker};

/// One part to be replaced.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Edit {
    range: Range<usize>,
    rule: usize,
    /// Whether the part is a whole JSON value, in whose place a string must stand.
    value: bool,
}

impl Edit {
    /// Part of a string's content, or of plain text.
    pub(super) fn content(range: Range<usize>, rule: usize) -> Self {
        Self { range, rule, value: false }
    }

    /// A whole JSON value.
    pub(super) fn value(range: Range<usize>, rule: usize) -> Self {
        Self { range, rule, value: true }
    }
}

/// `text` with these parts replaced; of two that overlap, the one that begins first (or else is longer) is. Adds each rule to `rules`.
pub(super) fn apply(redactor: &Redactor, text: &[u8], mut edits: Vec<Edit>, rules: &mut Vec<usize>) -> Vec<u8> {
    edits.sort_by(|a, b| a.range.start.cmp(&b.range.start).then(b.range.end.cmp(&a.range.end)));
    let mut out = Vec::with_capacity(text.len() + 32 * edits.len());
    let mut at = 0;
    for Edit { range, rule, value } in edits {
        if range.start < at {
            continue;
        }
        out.extend_from_slice(&text[at..range.start]);
        let marker = marker::of(redactor.id(rule));
        out.extend_from_slice(if value { format!("\"{marker}\"") } else { marker }.as_bytes());
        rules.push(rule);
        at = range.end;
    }
    out.extend_from_slice(&text[at..]);
    out
}
