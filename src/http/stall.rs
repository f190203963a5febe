//! A connection whose other side takes nothing for too long is broken: without this, an answer to a client that stopped reading would
//! wait for ever. WebSocket sessions have a shorter limit of their own, which says goodbye first.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep, sleep},
};

/// A stream whose writes fail with `TimedOut` once they have been blocked for the limit.
#[derive(Debug)]
pub(super) struct StallGuard<S> {
    stream: S,
    limit: Duration,
    blocked: Option<Pin<Box<Sleep>>>,
    flag: BlockedFlag,
}

/// Raised while the last write was blocked.
#[derive(Debug, Clone, Default)]
pub(super) struct BlockedFlag(Arc<AtomicBool>);

impl BlockedFlag {
    pub(super) fn is_raised(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

impl<S> StallGuard<S> {
    pub(super) fn new(stream: S, limit: Duration) -> Self {
        Self { stream, limit, blocked: None, flag: BlockedFlag::default() }
    }

    /// Tells, from elsewhere, whether the last write was blocked.
    pub(super) fn blocked(&self) -> BlockedFlag {
        self.flag.clone()
    }

    /// The stream without its guard.
    pub(super) fn into_inner(self) -> S {
        self.stream
    }

    /// Notes whether a write was blocked, and turns one that is blocked for too long into an error.
    fn guard<T>(&mut self, context: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        self.flag.0.store(written.is_pending(), Ordering::Release);
        if written.is_ready() {
            self.blocked = None;
            return written;
        }
        let limit = self.limit;
        let sleep = self.blocked.get_or_insert_with(|| Box::pin(sleep(limit)));
        ready!(sleep.as_mut().poll(context));
        // Armed again, so that a last attempt to say goodbye has its own time.
        sleep.as_mut().reset(Instant::now() + limit);
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the other side takes nothing")))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for StallGuard<S> {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for StallGuard<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.guard(context, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.guard(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        // A stream by TLS keeps what the socket does not take, and says so here only.
        let flushed = Pin::new(&mut self.stream).poll_flush(context);
        self.guard(context, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shut = Pin::new(&mut self.stream).poll_shutdown(context);
        self.guard(context, shut)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    const LIMIT: Duration = Duration::from_secs(30);

    #[tokio::test(start_paused = true)]
    async fn a_reader_that_stops_breaks_the_connection_after_the_limit() {
        let (ours, _theirs) = duplex(16);
        let began = Instant::now();
        let error = StallGuard::new(ours, LIMIT).write_all(&[0; 100]).await.expect_err("nobody reads");
        assert_eq!((error.kind(), began.elapsed().as_secs()), (io::ErrorKind::TimedOut, LIMIT.as_secs()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_reader_that_is_only_slow_gets_everything() {
        let (ours, mut theirs) = duplex(16);
        let mut guard = StallGuard::new(ours, LIMIT);
        let read = async {
            let mut buffer = [0; 16];
            let mut count = 0;
            while count < 100 {
                sleep(LIMIT / 2).await;
                count += theirs.read(&mut buffer).await.expect("open");
            }
            count
        };
        let (written, count) = tokio::join!(guard.write_all(&[0; 100]), read);
        written.expect("it went on");
        assert_eq!(count, 100);
    }
}
