//! Lines out of bytes.
//!
//! Only a line feed ends a line: agents print U+2028 and lone carriage returns inside strings. Bytes become text only when the line is
//! whole, so no character is ever cut. A line that is too long is passed over to its end, and only its head and its length are kept: a head with
//! a tail behind it could be JSON that nobody wrote.

/// The longest line that is read as a whole.
pub const LINE_BYTES: usize = 8 << 20;

/// How much is kept of a longer one.
const HEAD_BYTES: usize = 16 * 1024;

/// One line, without its line break.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Line<'a> {
    /// All of it.
    Whole(&'a [u8]),
    /// It is longer than [`LINE_BYTES`].
    Long {
        /// How it begins.
        head: &'a [u8],
        /// How many bytes it has.
        bytes: u64,
    },
}

/// Cuts bytes into lines.
#[derive(Debug)]
pub struct Framer {
    most: usize,
    line: Vec<u8>,
    /// The length of the unfinished line, of which `line` may be only the head.
    bytes: u64,
}

impl Default for Framer {
    fn default() -> Self {
        Self { most: LINE_BYTES, line: Vec::new(), bytes: 0 }
    }
}

impl Framer {
    /// Takes bytes and gives the lines that they end.
    pub fn push(&mut self, mut bytes: &[u8], mut each: impl FnMut(Line<'_>)) {
        while let Some(end) = bytes.iter().position(|byte| *byte == b'\n') {
            self.extend(&bytes[..end]);
            each(self.whole());
            self.clear();
            bytes = &bytes[end + 1..];
        }
        self.extend(bytes);
    }

    /// The end of the stream: the last line, if it had no line break.
    pub fn finish(&mut self, mut each: impl FnMut(Line<'_>)) {
        if 0 < self.bytes {
            each(self.whole());
            self.clear();
        }
    }

    /// The bytes of the unfinished line, as far as they are kept.
    pub fn unfinished(&self) -> &[u8] {
        &self.line
    }

    /// Forgets the unfinished line, whose bytes somebody else has taken.
    pub fn clear(&mut self) {
        // What one long line needed is not kept for ever.
        if HEAD_BYTES < self.line.capacity() {
            self.line = Vec::new()
        } else {
            self.line.clear()
        }
        self.bytes = 0;
    }

    fn extend(&mut self, part: &[u8]) {
        self.bytes += part.len() as u64;
        if self.bytes <= self.most as u64 {
            self.line.extend_from_slice(part);
            return;
        }
        let head = HEAD_BYTES.min(self.most);
        if self.line.len() < head {
            let rest = part.len().min(head - self.line.len());
            self.line.extend_from_slice(&part[..rest]);
        }
        self.line.truncate(head);
        self.line.shrink_to_fit();
    }

    fn whole(&self) -> Line<'_> {
        if self.most as u64 >= self.bytes {
            return Line::Whole(self.line.strip_suffix(b"\r").unwrap_or(&self.line));
        }
        Line::Long { head: &self.line, bytes: self.bytes }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A line, owned: its bytes, and its length if only the head was kept.
    type Owned = (Vec<u8>, Option<u64>);

    fn lines<'a>(most: usize, chunks: impl IntoIterator<Item = &'a [u8]>) -> Vec<Owned> {
        let mut framer = Framer { most, ..Framer::default() };
        let mut all: Vec<Owned> = Vec::new();
        let mut add = |line: Line<'_>| match line {
            Line::Whole(bytes) => all.push((bytes.to_vec(), None)),
            Line::Long { head, bytes } => all.push((head.to_vec(), Some(bytes))),
        };
        for chunk in chunks {
            framer.push(chunk, &mut add);
        }
        framer.finish(&mut add);
        all
    }

    #[test]
    fn only_a_line_feed_ends_a_line_and_one_carriage_return_goes_with_it() {
        let text = "a\rb\r\r\n\u{2028}c\u{85}\n\n\rd".as_bytes();
        let expected = ["a\rb\r", "\u{2028}c\u{85}", "", "\rd"].map(|line| (line.as_bytes().to_vec(), None));
        assert_eq!(lines(100, [text]), expected);
    }

    #[test]
    fn fifty_megabytes_without_a_line_break_are_a_head_and_a_length() {
        let chunk = vec![b'x'; 1 << 20];
        let mut framer = Framer::default();
        let mut seen = Vec::new();
        for _ in 0..50 {
            framer.push(&chunk, |_| panic!("it has not ended"));
            assert!(framer.line.capacity() <= 2 * LINE_BYTES);
        }
        framer.push(b"}\n{}\n", |line| match line {
            Line::Whole(bytes) => seen.push((bytes.to_vec(), 0)),
            Line::Long { head, bytes } => seen.push((head[..3].to_vec(), bytes)),
        });
        assert_eq!(seen, [(b"xxx".to_vec(), (50 << 20) + 1), (b"{}".to_vec(), 0)]);
    }

    proptest! {
        #[test]
        fn the_cuts_of_reading_do_not_show(
            bytes in prop::collection::vec(prop_oneof![Just(b'\n'), Just(b'\r'), any::<u8>()], 0..200),
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..8),
        ) {
            let mut at: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
            at.extend([0, bytes.len()]);
            at.sort_unstable();
            let split = lines(20, at.windows(2).map(|pair| &bytes[pair[0]..pair[1]]));
            prop_assert_eq!(split, lines(20, [bytes.as_slice()]));
        }
    }
}
