//! What a client sends, frame by frame, seen before it is read: how many frames, in how many pieces a message comes, and since when it has been
//! coming. The WebSocket library answers pings and joins pieces by itself, so nobody else would see them.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::Instant,
};

use crate::{
    limits::{Rate, Spent},
    tls::stream::Stream,
};

/// A client's limits.
#[derive(Debug, Clone, Copy)]
pub(crate) struct MeterLimits {
    /// How many frames a second, of any kind.
    pub frames: Rate,
    /// The most pieces of a message; 0 for any number.
    pub fragments: u32,
}

/// What was too much.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TooMuch {
    Frames,
    Fragments,
}

/// Follows the heads of frames (RFC 6455 section 5.2). What is wrong with them is for the library to say.
#[derive(Debug)]
pub(crate) struct Meter {
    limits: MeterLimits,
    at: At,
    /// The first byte of the frame that comes.
    first: u8,
    /// A message is under way of which a piece has come.
    is_joining: bool,
    pieces: u32,
    since: Option<Instant>,
    spent: Spent,
    too_much: Option<TooMuch>,
}

/// What comes next.
#[derive(Debug, Clone, Copy)]
enum At {
    First,
    Second,
    Length { left: u8, value: u64, mask: u8 },
    Mask { left: u8, payload: u64 },
    Payload { left: u64 },
}

const FIN: u8 = 0x80;
const MASKED: u8 = 0x80;

impl Meter {
    pub(crate) fn new(limits: MeterLimits) -> Self {
        let spent = Spent::nothing();
        Self { limits, at: At::First, first: 0, is_joining: false, pieces: 0, since: None, spent, too_much: None }
    }

    /// What was too much, if anything was.
    pub(crate) fn too_much(&self) -> Option<TooMuch> {
        self.too_much
    }

    /// Since when a message has been coming that is not whole.
    pub(crate) fn since(&self) -> Option<Instant> {
        self.since
    }

    /// What waits was not read for a while, which is not the client's fault: its time begins anew.
    pub(crate) fn forgive(&mut self, now: Instant) {
        self.since = self.since.map(|_| now);
    }

    /// Looks at the next bytes.
    pub(crate) fn see(&mut self, mut bytes: &[u8], now: Instant) {
        while let Some((&byte, rest)) = bytes.split_first() {
            if self.too_much.is_some() {
                return;
            }
            if let At::Payload { left } = self.at {
                let here = usize::try_from(left).map_or(bytes.len(), |left| left.min(bytes.len()));
                bytes = &bytes[here..];
                self.payload(left - here as u64);
                continue;
            }
            bytes = rest;
            match self.at {
                At::First => self.begin(byte, now),
                At::Second => {
                    let mask = if byte & MASKED == 0 { 0 } else { 4 };
                    match byte & !MASKED {
                        126 => self.at = At::Length { left: 2, value: 0, mask },
                        127 => self.at = At::Length { left: 8, value: 0, mask },
                        short => self.mask(mask, u64::from(short)),
                    }
                }
                At::Length { left, value, mask } => {
                    let value = value << 8 | u64::from(byte);
                    match left - 1 {
                        0 => self.mask(mask, value),
                        left => self.at = At::Length { left, value, mask },
                    }
                }
                At::Mask { left, payload } => self.mask(left - 1, payload),
                At::Payload { .. } => {}
            }
        }
    }

    fn begin(&mut self, first: u8, now: Instant) {
        self.first = first;
        self.at = At::Second;
        self.since.get_or_insert(now);
        if !self.spent.spend(self.limits.frames, 1, now).is_zero() {
            self.too_much = Some(TooMuch::Frames);
        }
        if !self.is_control() {
            self.pieces += 1;
            if self.limits.fragments != 0 && self.limits.fragments < self.pieces {
                self.too_much = Some(TooMuch::Fragments);
            }
        }
    }

    fn is_control(&self) -> bool {
        self.first & 0x08 != 0
    }

    fn mask(&mut self, left: u8, payload: u64) {
        match left {
            0 => self.payload(payload),
            left => self.at = At::Mask { left, payload },
        }
    }

    fn payload(&mut self, left: u64) {
        if left != 0 {
            self.at = At::Payload { left };
            return;
        }
        self.at = At::First;
        if !self.is_control() {
            self.is_joining = self.first & FIN == 0;
            if !self.is_joining {
                self.pieces = 0;
            }
        }
        if !self.is_joining {
            self.since = None;
        }
    }
}

/// A connection whose meter sees what is read. Once it was too much nothing more is read.
#[derive(Debug)]
pub(super) struct Metered {
    pub stream: Stream,
    pub meter: Meter,
}

impl AsyncRead for Metered {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.meter.too_much.is_some() {
            return Poll::Ready(Err(io::ErrorKind::QuotaExceeded.into()));
        }
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(context, buffer))?;
        self.meter.see(&buffer.filled()[before..], Instant::now());
        if self.meter.too_much.is_some() {
            // What came with it is not answered any more.
            buffer.set_filled(before);
            return Poll::Ready(Err(io::ErrorKind::QuotaExceeded.into()));
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Metered {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(first: u8, payload: usize) -> Vec<u8> {
        let mut bytes = vec![first];
        match payload {
            short @ 0..126 => bytes.push(MASKED | u8::try_from(short).expect("short")),
            medium @ 126..65_536 => {
                bytes.push(MASKED | 126);
                bytes.extend_from_slice(&u16::try_from(medium).expect("medium").to_be_bytes());
            }
            long => {
                bytes.push(MASKED | 127);
                bytes.extend_from_slice(&(long as u64).to_be_bytes());
            }
        }
        bytes.extend_from_slice(&[1, 2, 3, 4]);
        bytes.resize(bytes.len() + payload, 0xff);
        bytes
    }

    fn meter(frames: usize, fragments: u32) -> Meter {
        Meter::new(MeterLimits { frames: Rate::per_second(frames), fragments })
    }

    #[test]
    fn a_message_is_under_way_from_its_first_byte_to_its_last_however_it_is_cut() {
        let mut bytes = Vec::new();
        for payload in [0, 1, 125, 126, 65_535, 65_536, 100_000] {
            bytes.extend(frame(0x81, payload));
        }
        // In three pieces, with a ping between them.
        for (first, payload) in [(0x01, 300), (0x00, 0), (0x89, 5), (0x80, 10), (0x8a, 0)] {
            bytes.extend(frame(first, payload));
        }
        for size in [1, 2, 3, 7, 4_096, bytes.len()] {
            let mut meter = meter(0, 3);
            for chunk in bytes.chunks(size) {
                meter.see(chunk, Instant::now());
            }
            assert_eq!((meter.too_much(), meter.since(), meter.pieces), (None, None, 0), "in steps of {size}");
            meter.see(&[0x81], Instant::now());
            assert!(meter.since().is_some(), "in steps of {size}: the next one begins where it should");
        }
    }

    #[test]
    fn a_ping_does_not_end_the_message_that_it_interrupts() {
        let (start, mut meter) = (Instant::now(), meter(0, 0));
        meter.see(&frame(0x01, 3), start);
        meter.see(&frame(0x89, 0), start + tokio::time::Duration::from_secs(1));
        assert_eq!(meter.since(), Some(start));
        meter.see(&frame(0x80, 0), start);
        assert_eq!(meter.since(), None);
    }

    #[test]
    fn too_many_frames_and_too_many_pieces_are_told_apart() {
        let mut flooded = meter(10, 1_000);
        let now = Instant::now();
        let seen = (0..)
            .take_while(|_| {
                flooded.see(&frame(0x89, 0), now);
                flooded.too_much().is_none()
            })
            .count();
        assert_eq!((seen, flooded.too_much()), (100, Some(TooMuch::Frames)));
        let mut torn = meter(0, 3);
        torn.see(&frame(0x01, 0), now);
        torn.see(&frame(0x00, 0).repeat(2), now);
        assert_eq!(torn.too_much(), None);
        torn.see(&frame(0x00, 0), now);
        assert_eq!(torn.too_much(), Some(TooMuch::Fragments));
    }

    #[test]
    fn a_length_that_lies_is_only_a_number() {
        for length in [1_u64 << 62, u64::MAX] {
            let mut meter = meter(0, 0);
            let mut bytes = vec![0x82, MASKED | 127];
            bytes.extend_from_slice(&length.to_be_bytes());
            bytes.extend_from_slice(&[0; 1_000]);
            meter.see(&bytes, Instant::now());
            assert!(meter.since().is_some());
        }
    }
}
