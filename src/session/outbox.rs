//! Frames that wait to be written to one socket: handles on shared memory, written as they are, many in one write(2).

#[cfg(test)]
mod by_hand;

use std::{
    collections::VecDeque,
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Buf, Bytes};
use tokio::io::AsyncWrite;

use crate::tls::stream::Stream;

/// The most handles in one write.
const SLICES: usize = 32;

/// The queue. Whoever fills it keeps its bounds: [`Outbox::frames`] and [`Outbox::bytes`] say how full it is.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    items: VecDeque<Item>,
    frames: usize,
    bytes: usize,
    /// The first item has been written in part: nothing else may come between.
    is_torn: bool,
}

#[derive(Debug)]
struct Item {
    bytes: Bytes,
    frames: usize,
}

impl Outbox {
    /// Adds whole frames, so many of them.
    pub(super) fn push(&mut self, bytes: Bytes, frames: usize) {
        self.bytes += bytes.len();
        self.frames += frames;
        self.items.push_back(Item { bytes, frames });
    }

    /// How many frames wait.
    pub(super) fn frames(&self) -> usize {
        self.frames
    }

    /// How many bytes wait.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether nothing waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Whether a frame has been written in part. Then nothing else may be written but the rest of it.
    pub(crate) fn is_torn(&self) -> bool {
        self.is_torn
    }

    /// Drops everything but what has been written in part.
    pub(super) fn discard(&mut self) {
        self.items.truncate(usize::from(self.is_torn));
        self.frames = self.items.iter().map(|item| item.frames).sum();
        self.bytes = self.items.iter().map(|item| item.bytes.len()).sum();
    }

    /// Writes once, as much as the socket takes; says how many bytes that were. After a write that ended within a frame, only the rest of that
    /// item is written, so that whoever has something to say in between gets a turn.
    pub(crate) fn poll_write(&mut self, context: &mut Context<'_>, stream: &mut Stream) -> Poll<io::Result<usize>> {
        let most = if self.is_torn { 1 } else { SLICES };
        let written = match (self.items.front(), self.items.len().min(most)) {
            (None, _) => return Poll::Ready(Ok(0)),
            // The common case, and a cheaper call.
            (Some(item), 1) => Pin::new(stream).poll_write(context, &item.bytes),
            (Some(_), count) => {
                let mut slices = [IoSlice::new(&[]); SLICES];
                for (slice, item) in slices.iter_mut().zip(&self.items) {
                    *slice = IoSlice::new(&item.bytes);
                }
                Pin::new(stream).poll_write_vectored(context, &slices[..count])
            }
        };
        let written = ready!(written)?;
        self.advance(written);
        Poll::Ready(Ok(written))
    }

    fn advance(&mut self, mut written: usize) {
        self.bytes -= written;
        while let Some(first) = self.items.front_mut() {
            if written < first.bytes.len() {
                self.is_torn |= written != 0;
                first.bytes.advance(written);
                break;
            }
            written -= first.bytes.len();
            self.frames -= first.frames;
            self.is_torn = false;
            self.items.pop_front();
        }
        if self.items.is_empty() && SLICES < self.items.capacity() {
            // A session that was behind once must not keep the room for that.
            self.items = VecDeque::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::{
        io::AsyncReadExt,
        net::{TcpListener, TcpStream},
    };

    use super::*;

    #[tokio::test]
    async fn everything_is_written_in_order_however_the_socket_takes_it() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let connect = TcpStream::connect(listener.local_addr().expect("an address"));
        let (theirs, accepted) = tokio::join!(connect, listener.accept());
        let (mut theirs, (ours, _)) = (theirs.expect("connected"), accepted.expect("accepted"));
        let mut ours = Stream::Plain(ours);
        let mut outbox = Outbox::default();
        let mut expected = Vec::new();
        for number in 0..200_u32 {
            // More than the socket's buffers hold, in items of very different sizes.
            let item = vec![number.to_le_bytes()[0]; if number % 3 == 0 { 100_000 } else { 10 }];
            expected.extend_from_slice(&item);
            outbox.push(item.into(), 1);
        }
        assert_eq!((outbox.frames(), outbox.bytes()), (200, expected.len()));
        let writing = async {
            while !outbox.is_empty() {
                poll_fn(|context| outbox.poll_write(context, &mut ours)).await.expect("it is open");
            }
            assert_eq!((outbox.frames(), outbox.bytes(), outbox.is_torn()), (0, 0, false));
            drop(ours);
        };
        let mut got = Vec::new();
        let (read, ()) = tokio::join!(theirs.read_to_end(&mut got), writing);
        read.expect("it ends in order");
        assert!(got == expected, "byte for byte");
    }

    #[test]
    fn it_knows_when_a_frame_is_torn() {
        let mut outbox = Outbox::default();
        outbox.push(Bytes::from_static(b"abc"), 1);
        outbox.push(Bytes::from_static(b"defg"), 2);
        outbox.advance(0);
        assert!(!outbox.is_torn());
        outbox.advance(2);
        assert_eq!((outbox.is_torn(), outbox.frames(), outbox.bytes()), (true, 3, 5));
        outbox.advance(1);
        assert_eq!((outbox.is_torn(), outbox.frames(), outbox.bytes()), (false, 2, 4));
        outbox.advance(1);
        outbox.advance(0);
        assert!(outbox.is_torn(), "still");
        outbox.push(Bytes::from_static(b"h"), 1);
        outbox.discard();
        assert_eq!((outbox.frames(), outbox.bytes()), (2, 3), "the rest of what was begun");
        outbox.advance(3);
        assert!(outbox.is_empty() && !outbox.is_torn());
    }
}
