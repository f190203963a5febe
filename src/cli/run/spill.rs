//! What does not fit into memory while the hub is away: lines in temporary files without a name, read back in order, gone with the process.
//!
//! The files are segments, so that room is given back while a long backlog is worked off.

use std::{collections::VecDeque, fs::File, io, os::unix::fs::FileExt};

use bytes::Bytes;

/// The size at which a segment is closed, unless the limit is so small that this would be most of it.
const SEGMENT_BYTES: u64 = 16 << 20;

/// How much is read back at once. It must hold the longest line.
const READ_BYTES: usize = 256 * 1024;

/// Why a line was not taken.
#[derive(Debug, thiserror::Error)]
pub(super) enum SpillError {
    /// The files hold as much as they may.
    #[error("the spill limit is reached")]
    Full,
    /// The disk does not take it.
    #[error("the spill file cannot be written: {0}")]
    Io(#[from] io::Error),
}

/// Lines on disk, first in first out.
#[derive(Debug)]
pub(super) struct Spill {
    most: u64,
    segments: VecDeque<Segment>,
    /// The bytes of all segments, with what was read back of them.
    bytes: u64,
    /// Lines that were read back and not yet given.
    read: VecDeque<Bytes>,
    /// Whether the disk did not take a line and has been given no room back since. A shorter line may fit; that is no ease.
    is_short: bool,
}

#[derive(Debug)]
struct Segment {
    file: File,
    written: u64,
    read: u64,
    /// How many lines were not read back yet.
    lines: u64,
}

impl Spill {
    /// At most so many bytes on disk.
    pub(super) fn new(most: u64) -> Self {
        Self { most, segments: VecDeque::new(), bytes: 0, read: VecDeque::new(), is_short: false }
    }

    /// How many lines there are.
    pub(super) fn lines(&self) -> u64 {
        self.segments.iter().map(|segment| segment.lines).sum::<u64>() + self.read.len() as u64
    }

    /// Whether so many bytes more would leave a quarter of the room free, as far as is known: how much the disk has only shows when it takes no more.
    pub(super) fn has_ease(&self, bytes: u64) -> bool {
        !self.is_short && self.bytes + bytes <= self.most / 4 * 3
    }

    /// Adds a line, which must hold no line break.
    pub(super) fn push(&mut self, line: &[u8]) -> Result<(), SpillError> {
        let text = [line, b"\n"].concat();
        let length = text.len() as u64;
        if self.most < self.bytes + length {
            return Err(SpillError::Full);
        }
        let written = self.write(&text);
        self.is_short |= written.is_err();
        Ok(written?)
    }

    fn write(&mut self, text: &[u8]) -> io::Result<()> {
        let segment_bytes = SEGMENT_BYTES.min(self.most / 8);
        let segment = match self.segments.back_mut() {
            Some(segment) if segment.written < segment_bytes => segment,
            _ => {
                let file = tempfile::tempfile()?;
                self.segments.push_back(Segment { file, written: 0, read: 0, lines: 0 });
                self.segments.back_mut().expect("just added")
            }
        };
        // What a failed write leaves behind is written over by the next.
        segment.file.write_all_at(text, segment.written)?;
        segment.written += text.len() as u64;
        segment.lines += 1;
        self.bytes += text.len() as u64;
        Ok(())
    }

    /// The next line. An error costs the lines of one segment; how many is said.
    pub(super) fn pop(&mut self) -> Result<Option<Bytes>, (u64, io::Error)> {
        while self.read.is_empty() {
            let Some(segment) = self.segments.front_mut() else { return Ok(None) };
            if segment.read == segment.written {
                self.remove_first();
                continue;
            }
            if let Err(error) = segment.read_block(&mut self.read) {
                let lost = segment.lines;
                self.remove_first();
                return Err((lost, error));
            }
        }
        Ok(self.read.pop_front())
    }

    fn remove_first(&mut self) {
        if let Some(segment) = self.segments.pop_front() {
            self.bytes -= segment.written;
            self.is_short = false;
        }
    }
}

impl Segment {
    /// Reads whole lines from where reading stands.
    fn read_block(&mut self, lines: &mut VecDeque<Bytes>) -> io::Result<()> {
        let rest = usize::try_from(self.written - self.read).unwrap_or(usize::MAX);
        let mut block = vec![0; rest.min(READ_BYTES)];
        self.file.read_exact_at(&mut block, self.read)?;
        let end = block.iter().rposition(|byte| *byte == b'\n').ok_or_else(|| io::Error::other("a line is too long"))?;
        let block = Bytes::from(block).slice(..=end);
        self.read += block.len() as u64;
        for line in block.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            lines.push_back(block.slice_ref(line));
            self.lines -= 1;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(number: usize) -> Vec<u8> {
        format!("{number:0>1000}").into_bytes()
    }

    #[test]
    fn lines_come_back_in_order_while_more_are_added() {
        let mut spill = Spill::new(8 << 20);
        let (mut written, mut read) = (0, 0);
        for _ in 0..40 {
            for _ in 0..100 {
                spill.push(&line(written)).expect("room");
                written += 1;
            }
            for _ in 0..90 {
                assert_eq!(spill.pop().expect("readable").as_deref(), Some(line(read).as_slice()));
                read += 1;
            }
        }
        assert_eq!(spill.lines(), (written - read) as u64);
        while let Some(next) = spill.pop().expect("readable") {
            assert_eq!(next, line(read));
            read += 1;
        }
        assert_eq!((read, spill.bytes, spill.segments.len()), (written, 0, 0));
    }

    #[test]
    fn the_limit_holds_and_room_comes_back() {
        let mut spill = Spill::new(100_000);
        let mut count = 0;
        while spill.push(&line(count)).is_ok() {
            count += 1;
        }
        assert_eq!(count, 99, "a line is 1001 bytes");
        assert!(!spill.has_ease(1));
        for _ in 0..count {
            spill.pop().expect("readable");
        }
        spill.pop().expect("readable");
        assert!(spill.has_ease(1) && spill.push(&line(0)).is_ok());
    }
    #[test]
    fn a_disk_that_took_no_more_has_no_ease_until_it_was_given_room() {
        let mut spill = Spill::new(8 << 20);
        spill.push(&line(0)).expect("room");
        // Nothing can be written to it.
        let full = File::open("/dev/null").expect("it is there");
        let disk = std::mem::replace(&mut spill.segments[0].file, full);
        assert!(matches!(spill.push(&line(1)), Err(SpillError::Io(_))));
        spill.segments[0].file = disk;
        assert!(spill.push(b"short").is_ok() && !spill.has_ease(1), "that a shorter one fits is no ease");
        assert_eq!(spill.lines(), 2);
        for expected in [line(0), b"short".to_vec()] {
            assert_eq!(spill.pop().expect("readable").as_deref(), Some(expected.as_slice()));
        }
        assert!(spill.pop().expect("readable").is_none() && spill.has_ease(1));
    }
}
