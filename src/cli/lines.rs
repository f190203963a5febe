//! The lines of a stream, numbered, each within a bound.

use tokio::io::{AsyncBufRead, AsyncBufReadExt};

/// One line, without its line break.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Line {
    /// Its bytes.
    Text(Vec<u8>),
    /// It was longer than allowed and is passed over.
    TooLong,
}

/// Reads lines.
#[derive(Debug)]
pub(crate) struct Lines<R> {
    reader: R,
    /// The most bytes of a line.
    most: usize,
    number: u64,
    line: Vec<u8>,
    too_long: bool,
    begun: bool,
}

impl<R: AsyncBufRead + Unpin> Lines<R> {
    pub(crate) fn new(reader: R, most: usize) -> Self {
        Self { reader, most, number: 0, line: Vec::new(), too_long: false, begun: false }
    }

    /// The next line with its number, from 1. Nothing is lost if the wait is given up.
    pub(crate) async fn next(&mut self) -> std::io::Result<Option<(u64, Line)>> {
        loop {
            let chunk = self.reader.fill_buf().await?;
            if chunk.is_empty() {
                return Ok(self.begun.then(|| self.take()));
            }
            self.begun = true;
            let end = chunk.iter().position(|byte| *byte == b'\n');
            let part = &chunk[..end.unwrap_or(chunk.len())];
            self.too_long |= self.most < self.line.len() + part.len();
            if self.too_long {
                self.line.clear();
            } else {
                self.line.extend_from_slice(part);
            }
            let used = part.len() + usize::from(end.is_some());
            self.reader.consume(used);
            if end.is_some() {
                return Ok(Some(self.take()));
            }
        }
    }

    fn take(&mut self) -> (u64, Line) {
        self.number += 1;
        self.begun = false;
        let line = std::mem::take(&mut self.line);
        let line = if std::mem::take(&mut self.too_long) { Line::TooLong } else { Line::Text(line) };
        (self.number, line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn lines_are_numbered_and_bounded_however_they_arrive() {
        for capacity in [1, 3, 64] {
            let text: &[u8] = b"one\n\ntoo long a line\nend";
            let mut lines = Lines::new(tokio::io::BufReader::with_capacity(capacity, text), 4);
            let mut read = Vec::new();
            while let Some(line) = lines.next().await.expect("memory") {
                read.push(line);
            }
            let text = |text: &str| Line::Text(text.as_bytes().to_vec());
            assert_eq!(read, [(1, text("one")), (2, text("")), (3, Line::TooLong), (4, text("end"))]);
        }
    }
}
