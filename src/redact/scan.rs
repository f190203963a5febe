//! Where the secrets are in one text.

use std::ops::Range;

use super::{
    Redactor, marker, named,
    rule::{Own, Rule},
};

/// A secret's place and the rule that found it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Span {
    pub range: Range<usize>,
    pub rule: usize,
}

/// The secrets in `text`, in order, none overlapping another. Places are between characters.
pub(super) fn spans(redactor: &Redactor, text: &[u8]) -> Vec<Span> {
    let (rules, names) = redactor.words.leads(text);
    let mut spans = Vec::new();
    for number in rules {
        if let Some(rule) = redactor.rules.get(number) {
            by_rule(rule, number, text, &mut spans);
        }
    }
    let named = redactor.own(Own::Named);
    let mut known = 0;
    for name in names {
        // What names something within a secret that was found adds nothing; looking again at each would cost more than a pass.
        if known <= name.start
            && let Some(range) = named::secret(text, name, &redactor.keys)
        {
            known = range.end;
            spans.push(Span { range, rule: named });
        }
    }
    spans.retain(|span| !marker::holds(text, &span.range));
    for span in &mut spans {
        // A marker that stands there already goes whole, or stays.
        if let Some(marker) = marker::around(text, span.range.start) {
            span.range.start = marker.start;
        }
        if let Some(marker) = marker::around(text, span.range.end) {
            span.range.end = marker.end;
        }
        while 0 < span.range.start && is_within_character(text, span.range.start) {
            span.range.start -= 1;
        }
        while is_within_character(text, span.range.end) {
            span.range.end += 1;
        }
    }
    joined(spans)
}

fn by_rule(rule: &Rule, number: usize, text: &[u8], spans: &mut Vec<Span>) {
    let mut at = 0;
    // From the end of the secret, and not of the match: what ends one may begin the next.
    while let Some(captures) = rule.regex.get().captures_at(text, at) {
        let whole = captures.get(0).map_or(text.len()..text.len(), |whole| whole.range());
        let secret = rule.secret(text, &captures);
        at = secret.as_ref().map_or(whole.end, |secret| secret.end).max(at + 1);
        spans.extend(secret.map(|range| Span { range, rule: number }));
        if text.len() < at {
            return;
        }
    }
}

fn is_within_character(text: &[u8], at: usize) -> bool {
    text.get(at).is_some_and(|byte| byte & 0b1100_0000 == 0b1000_0000)
}

/// Those that overlap made one, under the rule that is more exact: that of a token before that of a name.
fn joined(mut spans: Vec<Span>) -> Vec<Span> {
    spans.sort_by(|a, b| a.range.start.cmp(&b.range.start).then(a.rule.cmp(&b.rule)));
    let mut joined: Vec<Span> = Vec::with_capacity(spans.len());
    for span in spans {
        match joined.last_mut() {
            Some(last) if span.range.start < last.range.end => {
                last.range.end = last.range.end.max(span.range.end);
                last.rule = last.rule.min(span.rule);
            }
            _ => joined.push(span),
        }
    }
    joined
}
