//! Looking for text in payloads: in the texts and numbers of their JSON, as people read them, not in the names of fields.

use std::borrow::Cow;

use regex::{Regex, RegexBuilder};
use serde::Serialize;

use super::{Data, Invalid};

/// The longest text to look for.
const MOST_CHARS: usize = 256;

/// The most characters that are shown of a text in which something was found, and how many of them before it.
const EXCERPT_CHARS: usize = 200;
const CHARS_BEFORE: usize = 60;

/// A text to look for, whatever the case of its letters.
#[derive(Debug, Clone)]
pub struct Needle(Regex);

/// Where a text was found first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Excerpt {
    /// What stands there, as plain text.
    #[serde(rename = "excerpt")]
    pub text: String,
    /// Where in it the found text begins, and how long it is, in UTF-16 code units: what JavaScript counts.
    pub at: (usize, usize),
}

impl Needle {
    /// `text` as something to look for.
    pub fn new(text: &str) -> Result<Self, Invalid> {
        let chars = text.chars().count();
        if !(1..=MOST_CHARS).contains(&chars) {
            return Err(Invalid::new(format!("the text to look for has 1 to {MOST_CHARS} characters")));
        }
        let regex = RegexBuilder::new(&regex::escape(text)).case_insensitive(true).build();
        regex.map(Self).map_err(|_| Invalid::new("this text cannot be looked for"))
    }

    /// Where it is found first in a payload, if it is.
    pub fn find(&self, data: &Data) -> Option<Excerpt> {
        let json = data.as_str();
        let bytes = json.as_bytes();
        let mut at = 0;
        while let Some(byte) = bytes.get(at) {
            let begin = at;
            match byte {
                b'"' => {
                    at = string_end(bytes, begin);
                    let is_name = bytes[at..].iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b':');
                    let found = if is_name { None } else { self.find_in(&decoded(&json[begin..at])) };
                    if found.is_some() {
                        return found;
                    }
                }
                b'-' | b'0'..=b'9' => {
                    let is_number = |byte: &u8| matches!(byte, b'-' | b'+' | b'.' | b'e' | b'E' | b'0'..=b'9');
                    at += bytes[begin..].iter().take_while(|byte| is_number(byte)).count();
                    if let Some(found) = self.find_in(&json[begin..at]) {
                        return Some(found);
                    }
                }
                _ => at += 1,
            }
        }
        None
    }

    fn find_in(&self, text: &str) -> Option<Excerpt> {
        let found = self.0.find(text)?;
        let length = found.as_str().chars().count().min(EXCERPT_CHARS);
        let before = (EXCERPT_CHARS - length).min(CHARS_BEFORE);
        let from = text[..found.start()].char_indices().rev().take(before).last().map_or(found.start(), |(at, _)| at);
        let shown = |from: usize, chars: usize| text[from..].char_indices().nth(chars).map_or(text.len(), |(at, _)| from + at);
        let until = shown(from, EXCERPT_CHARS);
        let units = |part: &str| part.encode_utf16().count();
        let at = (units(&text[from..found.start()]), units(&text[found.start()..shown(found.start(), length)]));
        Some(Excerpt { text: text[from..until].to_owned(), at })
    }
}

/// The place after the string that begins here.
fn string_end(bytes: &[u8], begin: usize) -> usize {
    let mut at = begin + 1;
    loop {
        match bytes.get(at) {
            Some(b'\\') => at += 2,
            Some(b'"') => return at + 1,
            Some(_) => at += 1,
            None => return bytes.len(),
        }
    }
}

/// What a JSON string says.
fn decoded(string: &str) -> Cow<'_, str> {
    let plain = string.trim_matches('"');
    if !string.contains('\\') {
        return Cow::Borrowed(plain);
    }
    serde_json::from_str(string).map_or(Cow::Borrowed(plain), Cow::Owned)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn find(text: &str, json: &str) -> Option<Excerpt> {
        let data = Data::from_checked(json.to_owned().into()).expect("UTF-8");
        Needle::new(text).expect("a needle").find(&data)
    }

    #[test]
    fn texts_and_numbers_are_looked_at_and_names_are_not() {
        for (text, json, found) in [
            ("make", r#"{"input":{"command":"Make test"}}"#, true),
            ("MAKE", r#"["x",["make"]]"#, true),
            ("command", r#"{"command":"make"}"#, false),
            ("command", "{\"command\" \n : \"make\", \"x\": \"a command\"}", true),
            ("42", r#"{"exitCode":142.5}"#, true),
            ("e400", r#"{"n":1E400}"#, true),
            ("true", r#"{"isError":true,"n":null}"#, false),
            ("line\ntwo", r#"{"text":"line\ntwo"}"#, true),
            (r"\n", r#"{"text":"line\ntwo"}"#, false),
            (r"c:\temp", r#"{"text":"C:\\temp\\\"x\""}"#, true),
            ("größe", r#"{"text":"GR\u00d6\u1e9eE"}"#, true),
            ("GRÖ", r#"{"text":"gr\u00f6\u00dfe"}"#, true),
            ("\u{1f600}", r#"{"text":"\ud83d\ude00"}"#, true),
            ("a.c", r#"{"text":"abc"}"#, false),
            ("two", r#"{"a":"t","b":"wo"}"#, false),
            ("x", "{}", false),
        ] {
            assert_eq!(find(text, json).is_some(), found, "{text} in {json}");
        }
    }

    #[test]
    fn an_excerpt_says_where_in_units_of_javascript() {
        let found = find("needle", r#"{"text":"\ud83d\ude00 a Needle"}"#).expect("it is there");
        assert_eq!((found.text.as_str(), found.at), ("\u{1f600} a Needle", (5, 6)));
        let long = format!(r#"{{"text":"{}needle{}"}}"#, "é".repeat(1_000), "z".repeat(1_000));
        let found = find("needle", &long).expect("it is there");
        assert_eq!((found.text.chars().count(), found.at), (200, (60, 6)));
        let whole = "n".repeat(256);
        let found = find(&whole, &format!("[\"x{whole}\"]")).expect("it is there");
        assert_eq!((found.text.len(), found.at), (200, (0, 200)), "a long one is cut, too");
    }

    #[test]
    fn what_can_be_looked_for_is_bounded() {
        assert!(Needle::new("").is_err() && Needle::new(&"x".repeat(257)).is_err());
        assert!(Needle::new(&"ſ".repeat(256)).is_ok());
    }

    proptest! {
        #[test]
        fn whatever_a_text_holds_is_found_where_it_is_said(before in ".{0,300}", needle in ".{1,40}", after in ".{0,300}") {
            let json = serde_json::json!({"a": [1, {"text": format!("{before}{needle}{after}")}]}).to_string();
            let found = find(&needle, &json).expect("it is there");
            let units: Vec<u16> = found.text.encode_utf16().collect();
            let marked = String::from_utf16(&units[found.at.0..found.at.0 + found.at.1]).expect("whole characters");
            prop_assert!(Needle::new(&needle).expect("a needle").0.is_match(&marked), "{marked:?}");
            prop_assert!(found.text.chars().count() <= EXCERPT_CHARS);
        }
    }
}
