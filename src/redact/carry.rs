//! Text that comes in pieces: the end of each stream's last piece, so that a secret which is cut in two is found when its second half comes.
//!
//! Nothing is held back, so commits, receipts and their order are as without it; therefore the first half has been stored and shown by
//! then (or all of it, where what gives it away comes behind it, as the `@` in a URL does), and only what comes after the cut is removed.
//! What can still pass beside that: a secret whose halves are more than
//! [`CarryLimits::bytes`] or a line break apart (but for private keys, of which every line is removed until the last), whose pieces come
//! to two nodes, or a node that was started between them, or whose stream was silent while so many others spoke that its end was let go.

use std::{collections::HashMap, ops::Range};

use parking_lot::Mutex;

use super::{Redactor, scan, scan::Span};

/// How much of a piece is looked at together with the one before it.
const WINDOW_BYTES: usize = 8 * 1024;

/// How a private key begins and ends.
const KEY_BEGINS: &[u8] = b"-----BEGIN ";
const KEY_ENDS: &[u8] = b"-----END ";

/// How long the line is that begins one.
const KEY_NAME_BYTES: usize = 64;

/// What is kept at most.
#[derive(Debug, Clone, Copy)]
pub struct CarryLimits {
    /// The most streams whose last piece is remembered; those that were silent for longest are let go, half of them at a time.
    pub streams: usize,
    /// The most bytes of each.
    pub bytes: usize,
}

/// The ends of streams.
pub struct Carry {
    limits: CarryLimits,
    tails: Mutex<Tails>,
}

/// Those that were heard lately, and those that were before; the latter go when the former are many.
#[derive(Default)]
struct Tails {
    young: HashMap<Box<str>, Tail>,
    old: HashMap<Box<str>, Tail>,
}

/// The end of one stream, as it came.
#[derive(Default)]
struct Tail {
    /// Its unfinished line.
    line: Vec<u8>,
    /// The rule that finds private keys, while one is open.
    key: Option<usize>,
}

impl std::fmt::Debug for Carry {
    /// Without the text, in which there may be secrets.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Carry").field("limits", &self.limits).finish_non_exhaustive()
    }
}

impl Carry {
    /// Nothing yet, and never more than this.
    pub fn new(limits: CarryLimits) -> Self {
        Self { limits, tails: Mutex::default() }
    }

    /// What of `text`, the next piece of `stream`, is part of a secret that began before it; and remembers its end.
    pub(super) fn next(&self, redactor: &Redactor, stream: &str, text: &[u8]) -> Vec<Span> {
        let before = {
            let mut tails = self.tails.lock();
            tails.young.remove(stream).or_else(|| tails.old.remove(stream)).unwrap_or_default()
        };
        let (mut spans, mut key) = match before.key {
            Some(rule) => rest_of_key(text, rule),
            None => (Vec::new(), None),
        };
        let line_ends = text.contains(&b'\n');
        let mut line = before.line;
        if !line.is_empty() {
            let cut = line.len();
            line.extend_from_slice(&text[..text.len().min(WINDOW_BYTES)]);
            if redactor.words.suspects(&line, &redactor.keys) {
                let found = scan::spans(redactor, &line).into_iter().filter(|span| cut < span.range.end);
                spans
                    .extend(found.map(|span| Span { range: span.range.start.saturating_sub(cut)..span.range.end - cut, ..span }));
            }
            key = key.or_else(|| open_key(redactor, &line));
            line.truncate(cut);
        }
        key = key.or_else(|| open_key(redactor, text));
        if line_ends {
            line.clear();
        }
        line.extend_from_slice(last_line(text));
        let surplus = line.len().saturating_sub(self.limits.bytes);
        line.drain(..surplus);
        if !line.is_empty() || key.is_some() {
            self.keep(stream, Tail { line, key });
        }
        spans
    }

    fn keep(&self, stream: &str, tail: Tail) {
        let mut tails = self.tails.lock();
        if self.limits.streams / 2 <= tails.young.len() {
            tails.old = std::mem::take(&mut tails.young);
        }
        tails.young.insert(stream.into(), tail);
    }
}

/// The text after the last line break.
fn last_line(text: &[u8]) -> &[u8] {
    let start = text.iter().rposition(|byte| matches!(byte, b'\n')).map_or(0, |at| at + 1);
    &text[start..]
}

/// The rule of private keys, if one is open at the end of `text`: begun, and nothing but a key behind it.
fn open_key(redactor: &Redactor, text: &[u8]) -> Option<usize> {
    // From the end, where it is mostly seen at once that none is.
    let body = text.iter().rev().take_while(|byte| is_key_byte(**byte)).count();
    let name = text[..text.len() - body].strip_suffix(b"-----")?;
    let name = &name[name.len().saturating_sub(KEY_NAME_BYTES)..];
    let holds = |word: &[u8]| name.windows(word.len()).any(|window| window == word);
    (holds(KEY_BEGINS) && holds(b"PRIVATE KEY")).then(|| redactor.rules.iter().position(|rule| rule.id == "private-key"))?
}

/// What of `text` still belongs to a private key that was open before it, and the rule if it still is.
fn rest_of_key(text: &[u8], rule: usize) -> (Vec<Span>, Option<usize>) {
    let mut end = text.iter().take_while(|byte| is_key_byte(**byte)).count();
    let rest = &text[end..];
    let mut open = rest.is_empty();
    if rest.starts_with(KEY_ENDS) {
        let after = &rest[KEY_ENDS.len()..];
        end += KEY_ENDS.len() + after.windows(5).position(|window| window == b"-----").map_or(after.len(), |at| at + 5);
    } else if KEY_ENDS.starts_with(rest) {
        (end, open) = (text.len(), true);
    }
    let blanks = text[..end].iter().take_while(|byte| byte.is_ascii_whitespace()).count();
    let range: Range<usize> = blanks..end - text[blanks..end].iter().rev().take_while(|byte| byte.is_ascii_whitespace()).count();
    let spans = if range.is_empty() { Vec::new() } else { vec![Span { range, rule }] };
    (spans, open.then_some(rule))
}

fn is_key_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=' | b'\n' | b'\r')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::redact::tests::redactor;

    const LIMITS: CarryLimits = CarryLimits { streams: 8, bytes: 1_024 };

    /// What these pieces of one stream become, joined.
    fn passed(pieces: &[&str]) -> String {
        let redactor = redactor();
        let carry = Carry::new(LIMITS);
        let pass = |text: &&str| match redactor.piece("s", text.as_bytes(), &carry) {
            Some(redacted) => String::from_utf8(redacted.text).expect("UTF-8"),
            None => (*text).to_owned(),
        };
        pieces.iter().map(pass).collect()
    }

    #[test]
    fn wherever_a_secret_is_cut_its_second_half_goes() {
        for (before, secret, after) in [
            ("see ", "ghp_A1b2C3d4E5f6G7h8I9j0K1l2M3n4O5p6Q7r8", " there\n"),
            ("export PASSWORD=", "hunter2-zebra9", "\nnext"),
            ("x postgres://me:", "hunter2zebra9", "@db y"),
        ] {
            let text = format!("{before}{secret}{after}");
            for cut in 1..text.len() {
                let out = passed(&[&text[..cut], &text[cut..]]);
                let shown = cut.saturating_sub(before.len()).min(secret.len());
                let rest = out.get(before.len() + shown..).unwrap_or_default();
                assert!(shown == secret.len() || !out.contains(secret), "cut at {cut}: {out}");
                assert!(out.ends_with(after), "cut at {cut}: {out}");
                assert!(shown == secret.len() || !rest.contains(&secret[shown..]), "cut at {cut}: {out}");
            }
        }
    }

    #[test]
    fn tokens_that_come_letter_by_letter_are_stopped_as_soon_as_they_are_one() {
        let secret = "ghp_A1b2C3d4E5f6G7h8I9j0K1l2M3n4O5p6Q7r8S9t0";
        let pieces: Vec<String> = secret.chars().map(String::from).collect();
        let pieces: Vec<&str> = pieces.iter().map(String::as_str).collect();
        let out = passed(&pieces);
        assert!(out.starts_with("ghp_A1b2") && !out.contains("8S") && out.ends_with("[redacted:github-token]"), "{out}");
    }

    #[test]
    fn a_private_key_goes_to_its_end_however_it_is_cut() {
        let body = "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7VJTUt9Us8cKj\n".repeat(4);
        let text = format!("before\n-----BEGIN PRIVATE KEY-----\n{body}-----END PRIVATE KEY-----\nafter\n");
        let begins = text.find("MII").expect("a key");
        for cut in begins..text.len() - 40 {
            let out = passed(&[&text[..begins], &text[begins..cut], &text[cut..]]);
            assert!(!out.contains("MIIEvQ") || cut - begins < 24, "cut at {cut}: {out}");
            assert!(out.starts_with("before\n") && out.ends_with("\nafter\n"), "cut at {cut}: {out}");
        }
        let lines: Vec<&str> = text.split_inclusive('\n').collect();
        let out = passed(&lines);
        assert!(!out.contains("MII") && out.ends_with("\nafter\n"), "{out}");
    }

    #[test]
    fn innocent_pieces_stay_and_streams_are_apart() {
        let redactor = redactor();
        let carry = Carry::new(LIMITS);
        assert!(redactor.piece("a", b"export PASSWORD=", &carry).is_none());
        assert!(redactor.piece("b", b"hunter2", &carry).is_none(), "another stream");
        assert!(redactor.piece("a", b"hunter2", &carry).is_some());
        assert_eq!(
            passed(&["max_tok", "ens: 12 ", "author", "ity\n", "é", "€ the bea", "rer of this\n"]),
            "max_tokens: 12 authority\né€ the bearer of this\n"
        );
    }

    #[test]
    fn what_is_kept_is_bounded_and_not_shown() {
        let redactor = redactor();
        let carry = Carry::new(LIMITS);
        for number in 0..100 {
            carry.next(redactor, &format!("{number}"), "é".repeat(5_000).as_bytes());
        }
        let tails = carry.tails.lock();
        assert!(tails.young.len() + tails.old.len() <= LIMITS.streams);
        assert!(tails.young.values().chain(tails.old.values()).all(|tail| tail.line.len() <= LIMITS.bytes));
        drop(tails);
        assert!(!format!("{carry:?}").contains('é'));
    }
}
