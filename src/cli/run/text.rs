//! From the bytes of a stream to pieces of text: whole lines wherever possible, each piece small enough for one activity.
//!
//! What becomes of the bytes does not depend on how they were cut into reads: only on the bytes, and on when the caller asks for what is
//! there so far.

/// The most bytes of a piece once it is written as a JSON string. Control characters take six bytes there, so binary garbage makes
/// pieces of fewer characters.
pub(super) const PIECE_JSON_BYTES: usize = 47 * 1024;

/// Collects bytes and gives text.
#[derive(Debug, Default)]
pub(super) struct Assembler {
    /// The beginning of a UTF-8 sequence whose rest has not come: at most three bytes.
    undecoded: Vec<u8>,
    text: String,
    /// How many bytes `text` takes in JSON.
    json_bytes: usize,
    /// Where in `text` the unfinished line begins.
    line_start: usize,
}

impl Assembler {
    /// Whether there are finished lines.
    pub(super) fn has_lines(&self) -> bool {
        0 < self.line_start
    }

    /// Whether there is text after the last line break.
    pub(super) fn has_unfinished(&self) -> bool {
        self.line_start < self.text.len()
    }

    /// Takes bytes. Pieces that are full are added to `full`.
    pub(super) fn push(&mut self, bytes: &[u8], full: &mut Vec<String>) {
        if self.undecoded.is_empty() {
            self.decode(bytes);
        } else {
            let mut joined = std::mem::take(&mut self.undecoded);
            joined.extend_from_slice(bytes);
            self.decode(&joined);
        }
        self.cut(full);
    }

    /// The finished lines.
    pub(super) fn take_lines(&mut self) -> Option<String> {
        self.take(self.line_start)
    }

    /// All text, with the unfinished line; but never the beginning of a UTF-8 sequence.
    pub(super) fn take_all(&mut self) -> Option<String> {
        self.take(self.text.len())
    }

    /// The end of the stream: a UTF-8 sequence that was not finished becomes U+FFFD.
    pub(super) fn finish(&mut self, full: &mut Vec<String>) {
        if !std::mem::take(&mut self.undecoded).is_empty() {
            self.append("\u{fffd}");
            self.cut(full);
        }
        full.extend(self.take_all());
    }

    fn decode(&mut self, mut bytes: &[u8]) {
        loop {
            let error = match std::str::from_utf8(bytes) {
                Ok(text) => return self.append(text),
                Err(error) => error,
            };
            let (valid, rest) = bytes.split_at(error.valid_up_to());
            self.append(std::str::from_utf8(valid).expect("checked just now"));
            let Some(invalid) = error.error_len() else {
                self.undecoded.extend_from_slice(rest);
                return;
            };
            self.append("\u{fffd}");
            bytes = &rest[invalid..];
        }
    }

    fn append(&mut self, text: &str) {
        if let Some(last) = text.rfind('\n') {
            self.line_start = self.text.len() + last + 1;
        }
        self.json_bytes += text.bytes().map(json_bytes).sum::<usize>();
        self.text.push_str(text);
    }

    /// Gives pieces from the front while there is more than one holds: cut after the last line break that fits, or else inside the line.
    fn cut(&mut self, full: &mut Vec<String>) {
        while PIECE_JSON_BYTES < self.json_bytes {
            let (mut end, mut bytes, mut line_end) = (0, 0, 0);
            for (at, c) in self.text.char_indices() {
                let width: usize = self.text.as_bytes()[at..at + c.len_utf8()].iter().copied().map(json_bytes).sum();
                if PIECE_JSON_BYTES < bytes + width {
                    break;
                }
                bytes += width;
                end = at + c.len_utf8();
                if c == '\n' {
                    line_end = end;
                }
            }
            let end = if 0 < line_end { line_end } else { end };
            full.extend(self.take(end));
        }
    }

    fn take(&mut self, end: usize) -> Option<String> {
        if end == 0 {
            return None;
        }
        let rest = self.text.split_off(end);
        let piece = std::mem::replace(&mut self.text, rest);
        self.json_bytes -= piece.bytes().map(json_bytes).sum::<usize>();
        self.line_start = self.line_start.saturating_sub(end);
        Some(piece)
    }
}

/// How many bytes this byte of UTF-8 takes in a JSON string as `serde_json` writes it.
fn json_bytes(byte: u8) -> usize {
    match byte {
        b'"' | b'\\' | b'\n' | b'\r' | b'\t' | 0x08 | 0x0c => 2,
        0..0x20 => 6,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pieces<'a>(chunks: impl IntoIterator<Item = &'a [u8]>) -> Vec<String> {
        let (mut assembler, mut pieces) = (Assembler::default(), Vec::new());
        for chunk in chunks {
            assembler.push(chunk, &mut pieces);
        }
        assembler.finish(&mut pieces);
        pieces
    }

    /// Bytes with many line breaks, escapes, and broken and whole UTF-8; some long enough for several pieces.
    fn streams() -> impl Strategy<Value = Vec<u8>> {
        let part = prop_oneof![
            any::<Vec<u8>>(),
            ".{0,40}".prop_map(String::into_bytes),
            Just("line\r\n".as_bytes().to_vec()),
            Just("😀é\u{1b}[31m\"\\".as_bytes().to_vec()),
            (any::<u8>(), 1..30_000_usize).prop_map(|(byte, count)| vec![byte; count]),
        ];
        prop::collection::vec(part, 0..12).prop_map(|parts| parts.concat())
    }

    proptest! {
        #[test]
        fn the_cuts_of_reading_do_not_show(bytes in streams(), cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..8)) {
            let mut at: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
            at.extend([0, bytes.len()]);
            at.sort_unstable();
            let split = pieces(at.windows(2).map(|pair| &bytes[pair[0]..pair[1]]));
            prop_assert_eq!(&split, &pieces([bytes.as_slice()]));
            prop_assert_eq!(split.concat(), String::from_utf8_lossy(&bytes));
        }

        #[test]
        fn no_piece_is_too_long_in_json(bytes in streams()) {
            for piece in pieces([bytes.as_slice()]) {
                let written = serde_json::to_string(&piece).expect("a string").len();
                prop_assert!(written <= PIECE_JSON_BYTES + 2, "{} bytes", written);
            }
        }
    }

    #[test]
    fn a_line_in_two_reads_stays_one() {
        let (mut assembler, mut full) = (Assembler::default(), Vec::new());
        assembler.push(b"one\ntw", &mut full);
        assert_eq!(assembler.take_lines().as_deref(), Some("one\n"));
        assert!(!assembler.has_lines() && assembler.has_unfinished());
        assembler.push(b"o\n", &mut full);
        assert_eq!((assembler.take_lines().as_deref(), full.len()), (Some("two\n"), 0));
    }

    #[test]
    fn a_character_is_never_cut() {
        let (mut assembler, mut full) = (Assembler::default(), Vec::new());
        assembler.push(b"a\xf0\x9f\x98", &mut full);
        assert_eq!(assembler.take_all().as_deref(), Some("a"));
        assert_eq!(assembler.take_all(), None);
        assembler.push(b"\x80", &mut full);
        assert_eq!(assembler.take_all().as_deref(), Some("😀"));
        assembler.push(b"\xf0\x9f", &mut full);
        assembler.finish(&mut full);
        assert_eq!(full, ["\u{fffd}"]);
    }

    #[test]
    fn pieces_end_with_lines_where_lines_fit() {
        let line = format!("{}\n", "x".repeat(999));
        let all = pieces([line.repeat(200).as_bytes()]);
        assert!(1 < all.len() && all.iter().all(|piece| piece.ends_with('\n')));
        let long = pieces(["y".repeat(3 * PIECE_JSON_BYTES).as_bytes()]);
        assert_eq!(long.iter().map(String::len).collect::<Vec<_>>(), [PIECE_JSON_BYTES; 3]);
    }
}
