//! Two encodings that secrets come in: strings of JSON, and base 64.

use std::borrow::Cow;

/// What a JSON string's content stands for, with a lone surrogate as U+FFFD. Borrowed where it holds no escapes.
pub(super) fn string(raw: &[u8]) -> Cow<'_, [u8]> {
    if !raw.contains(&b'\\') {
        return Cow::Borrowed(raw);
    }
    let mut text = Vec::with_capacity(raw.len());
    let mut at = 0;
    while at < raw.len() {
        at += unit(&raw[at..], &mut text);
    }
    Cow::Owned(text)
}

/// The places in a JSON string's content of these places in what it stands for, which must ascend.
pub(super) fn places(raw: &[u8], decoded: impl IntoIterator<Item = usize>) -> Vec<usize> {
    let (mut at, mut length, mut piece) = (0, 0, Vec::new());
    let place = |wanted| {
        while length < wanted && at < raw.len() {
            piece.clear();
            at += unit(&raw[at..], &mut piece);
            length += piece.len();
        }
        at
    };
    decoded.into_iter().map(place).collect()
}

/// Decodes one escape, or the plain bytes before the next; gives how many bytes of `raw` that took. `raw` is not empty.
fn unit(raw: &[u8], into: &mut Vec<u8>) -> usize {
    if raw[0] != b'\\' {
        into.push(raw[0]);
        return 1;
    }
    let plain = match raw.get(1) {
        Some(b'n') => b'\n',
        Some(b't') => b'\t',
        Some(b'r') => b'\r',
        Some(b'b') => 8,
        Some(b'f') => 12,
        Some(b'u') => {
            let (c, length) = unicode(raw);
            into.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
            return length.min(raw.len());
        }
        Some(other) => *other,
        None => b'\\',
    };
    into.push(plain);
    raw.len().min(2)
}

fn unicode(raw: &[u8]) -> (char, usize) {
    let unit = |at: usize| {
        let digits = std::str::from_utf8(raw.get(at..at + 4)?).ok()?;
        u32::from_str_radix(digits, 16).ok()
    };
    let first = unit(2).unwrap_or(0xFFFD);
    if (0xD800..0xDC00).contains(&first)
        && raw.get(6..8) == Some(b"\\u")
        && let Some(second @ 0xDC00..0xE000) = unit(8)
    {
        let scalar = 0x10000 + ((first - 0xD800) << 10) + (second - 0xDC00);
        return (char::from_u32(scalar).unwrap_or('\u{fffd}'), 12);
    }
    (char::from_u32(first).unwrap_or('\u{fffd}'), 6)
}

/// What base 64 of either alphabet stands for, with or without padding; nothing if it is none.
pub(super) fn base64(text: &[u8]) -> Option<Vec<u8>> {
    let text = text.trim_ascii_end();
    let text = text.strip_suffix(b"==").or(text.strip_suffix(b"=")).unwrap_or(text);
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3 + 3);
    let (mut bits, mut count) = (0u32, 0);
    for byte in text {
        let value = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' | b'-' => 62,
            b'/' | b'_' => 63,
            _ => return None,
        };
        bits = (bits << 6 | u32::from(value)) & 0xFFF;
        count += 6;
        if 8 <= count {
            count -= 8;
            bytes.push(u8::try_from(bits >> count & 0xFF).unwrap_or(0));
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_are_decoded_and_places_found_again() {
        let raw = br#"a\u0041\n\"\/\ud83d\ude00\ud800x\u20ac"#;
        let text = string(raw);
        assert_eq!(std::str::from_utf8(&text), Ok("aA\n\"/\u{1f600}\u{fffd}x\u{20ac}"));
        assert_eq!(places(raw, [0, 1, 2, 3, 5, 9, 12, 13, 16]), [0, 1, 7, 9, 13, 25, 31, 32, 38]);
        for broken in [&br"\"[..], br"\u", br"\u00", br"\ud800\u", br"a\u12"] {
            assert!(places(broken, [100])[0] <= broken.len(), "{broken:?} {:?}", string(broken));
        }
    }

    #[test]
    fn base_64_of_either_alphabet_is_read() {
        assert_eq!(base64(b"dXNlcjpwYXNz").as_deref(), Some(&b"user:pass"[..]));
        assert_eq!(base64(b"-_-_").as_deref(), base64(b"+/+/").as_deref());
        assert_eq!(base64(b"YQ==").as_deref(), Some(&b"a"[..]));
        assert_eq!(base64(b"a b"), None);
    }
}
