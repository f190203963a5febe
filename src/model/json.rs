//! What a JSON text must be before it may be stored and sent on as it is.
//!
//! `serde_json`'s `RawValue` vouches for the grammar only: it lets through any depth, numbers of any length, `\u0000` and lone
//! surrogates. Postgres refuses the last two, browsers choke on the first two. This one pass over the bytes refuses what is out of
//! bounds and mends what agents really print: NUL characters and lone surrogates inside strings become U+FFFD.

use bytes::Bytes;

/// The bounds of a JSON text.
#[derive(Debug, Clone, Copy)]
pub struct JsonLimits {
    /// How deep arrays and objects may nest.
    pub depth: usize,
    /// The most characters that a number may have.
    pub number_chars: usize,
}

/// Which bound a JSON text broke.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JsonFault {
    /// Arrays and objects nest deeper than allowed.
    TooDeep,
    /// A number has more characters than allowed.
    LongNumber,
    /// A string holds an unescaped control character, which JSON (RFC 8259 section 7) forbids.
    ControlCharacter,
}

/// Checks `text`, which must be grammatically valid JSON. Returns it with line breaks between tokens turned into spaces (one activity is
/// one line everywhere) and NUL characters and lone surrogates turned into `\ufffd`, and how many were. Clean text is not copied.
pub fn check(text: Bytes, limits: JsonLimits) -> Result<(Bytes, usize), JsonFault> {
    let mut scan = Scan { bytes: &text, at: 0, depth: 0, edits: Vec::new(), replaced: 0 };
    scan.run(limits)?;
    if scan.edits.is_empty() {
        return Ok((text, 0));
    }
    let (edits, replaced) = (scan.edits, scan.replaced);
    let mut mended = text.to_vec();
    for edit in edits {
        match edit {
            Edit::Space(at) => mended[at] = b' ',
            Edit::Replacement(at) => mended[at..at + 4].copy_from_slice(b"fffd"),
        }
    }
    Ok((mended.into(), replaced))
}

/// Same-length changes, so positions stay true.
enum Edit {
    /// The line break at this place becomes a space.
    Space(usize),
    /// The four hexadecimal digits at this place become `fffd`.
    Replacement(usize),
}

struct Scan<'a> {
    bytes: &'a [u8],
    at: usize,
    depth: usize,
    edits: Vec<Edit>,
    replaced: usize,
}

impl Scan<'_> {
    fn run(&mut self, limits: JsonLimits) -> Result<(), JsonFault> {
        while let Some(&byte) = self.bytes.get(self.at) {
            match byte {
                b'"' => self.string()?,
                b'{' | b'[' => {
                    self.depth += 1;
                    if limits.depth < self.depth {
                        return Err(JsonFault::TooDeep);
                    }
                    self.at += 1;
                }
                b'}' | b']' => {
                    self.depth = self.depth.saturating_sub(1);
                    self.at += 1;
                }
                b'-' | b'0'..=b'9' => self.number(limits.number_chars)?,
                b'\n' | b'\r' => {
                    self.edits.push(Edit::Space(self.at));
                    self.at += 1;
                }
                _ => self.at += 1,
            }
        }
        Ok(())
    }

    fn number(&mut self, most: usize) -> Result<(), JsonFault> {
        let length =
            self.bytes[self.at..].iter().take_while(|b| matches!(b, b'-' | b'+' | b'.' | b'e' | b'E' | b'0'..=b'9')).count();
        self.at += length;
        if length <= most { Ok(()) } else { Err(JsonFault::LongNumber) }
    }

    /// From the opening quote to after the closing one.
    fn string(&mut self) -> Result<(), JsonFault> {
        self.at += 1;
        while let Some(&byte) = self.bytes.get(self.at) {
            match byte {
                b'"' => {
                    self.at += 1;
                    return Ok(());
                }
                b'\\' if self.bytes.get(self.at + 1) == Some(&b'u') => self.unicode_escape(),
                b'\\' => self.at += 2,
                0..0x20 => return Err(JsonFault::ControlCharacter),
                _ => self.at += 1,
            }
        }
        Ok(())
    }

    /// At the backslash of `\uXXXX`: NUL and surrogates without their partner are noted, pairs are stepped over.
    fn unicode_escape(&mut self) {
        let digits = self.at + 2;
        let unit = self.code_unit(digits);
        self.at += 6;
        let lone = match unit {
            Some(0) => true,
            Some(0xD800..=0xDBFF) => {
                let paired = self.bytes.get(self.at..self.at + 2) == Some(b"\\u")
                    && matches!(self.code_unit(self.at + 2), Some(0xDC00..=0xDFFF));
                if paired {
                    self.at += 6;
                }
                !paired
            }
            Some(0xDC00..=0xDFFF) => true,
            _ => false,
        };
        if lone {
            self.replaced += 1;
            self.edits.push(Edit::Replacement(digits));
        }
    }

    fn code_unit(&self, at: usize) -> Option<u16> {
        let digits = std::str::from_utf8(self.bytes.get(at..at + 4)?).ok()?;
        u16::from_str_radix(digits, 16).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: JsonLimits = JsonLimits { depth: 3, number_chars: 6 };

    fn checked(text: &str) -> Result<(String, usize), JsonFault> {
        check(Bytes::copy_from_slice(text.as_bytes()), LIMITS)
            .map(|(bytes, count)| (String::from_utf8(bytes.to_vec()).expect("still UTF-8"), count))
    }

    #[test]
    fn clean_text_is_the_same_bytes() {
        let text = Bytes::from_static(br#"{"a": [1, "x\n\u00e9\ud83d\ude00"]}"#);
        let (same, replaced) = check(text.clone(), LIMITS).expect("clean");
        assert_eq!((same.as_ptr(), replaced), (text.as_ptr(), 0), "clean text must not be copied");
    }

    #[test]
    fn nul_and_lone_surrogates_become_the_replacement_character() {
        for (text, mended, count) in [
            (r#""a\u0000b""#, r#""a\ufffdb""#, 1),
            (r#"{"\u0000":1}"#, r#"{"\ufffd":1}"#, 1),
            (r#""\ud800""#, r#""\ufffd""#, 1),
            (r#""\uDC00x""#, r#""\ufffdx""#, 1),
            (r#""\ud800\ud800\udc00""#, r#""\ufffd\ud800\udc00""#, 1),
            (r#""\ud800\n\udc00""#, r#""\ufffd\n\ufffd""#, 2),
            (r#""\\u0000""#, r#""\\u0000""#, 0),
            (r#""\\\u0000""#, r#""\\\ufffd""#, 1),
        ] {
            assert_eq!(checked(text), Ok((mended.to_owned(), count)), "{text}");
        }
    }

    #[test]
    fn line_breaks_between_tokens_become_spaces() {
        assert_eq!(checked("{\r\n\"a\":\n1}"), Ok(("{  \"a\": 1}".to_owned(), 0)));
    }

    #[test]
    fn what_is_out_of_bounds_is_named() {
        assert_eq!(checked("[[[1]]]"), Ok(("[[[1]]]".to_owned(), 0)));
        assert_eq!(checked("[[[[1]]]]"), Err(JsonFault::TooDeep));
        assert_eq!(checked("[-12.5e,1]"), Ok(("[-12.5e,1]".to_owned(), 0)));
        assert_eq!(checked("1234567"), Err(JsonFault::LongNumber));
        assert_eq!(checked("\"a\tb\""), Err(JsonFault::ControlCharacter));
        assert_eq!(checked(r#""[[[[1234567""#).map(|(_, n)| n), Ok(0), "brackets and digits in strings do not count");
    }
}
