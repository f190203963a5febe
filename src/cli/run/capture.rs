//! One output stream of the command: every byte is recorded, and passed on to our own stream at once and unchanged.

use std::{future::pending, io, time::Duration};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    sync::watch,
    time::{Instant, sleep_until},
};

use super::{journal::Stream, recorder::Recorder};

/// How long a stream that something else still holds is read after the command has ended.
const AFTER_EXIT: Duration = Duration::from_secs(3);

/// What the command itself may have left in the pipe is never more: the most that Linux lets a pipe hold.
const PIPE_BYTES: usize = 1 << 20;

/// How much is read at once: what a pipe holds by default.
const READ_BYTES: usize = 64 * 1024;

/// How reading ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// All who could write have closed it.
    Closed,
    /// The command has ended, but something that it left behind still holds it.
    Abandoned,
    /// Whoever read our own stream has gone. The pipe is closed, so the command finds out as it would without us.
    ReaderGone,
}

/// Records `from` and passes it on to `to`, until its end. `exited` says when the command has ended.
pub(super) async fn capture(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    stream: Stream,
    recorder: &Recorder<'_>,
    mut exited: watch::Receiver<Option<Instant>>,
) -> End {
    let mut buffer = vec![0; READ_BYTES];
    let mut passing = true;
    let mut after_exit = 0;
    let mut held_up = Duration::ZERO;
    let end = loop {
        let exit = *exited.borrow_and_update();
        let patience = exit.map(|at| at + AFTER_EXIT);
        let read = tokio::select! {
            biased;
            () = at(recorder.due(stream)) => {
                recorder.flush_due(stream);
                continue;
            }
            read = from.read(&mut buffer) => read,
            // What the command wrote is read to its end, even if our own reader took longer than our patience to take it.
            () = at(patience.map(|until| until + held_up)) => break End::Abandoned,
            Ok(()) = exited.changed(), if exit.is_none() => continue,
        };
        let bytes = match read {
            Ok(0) => break End::Closed,
            Ok(count) => &buffer[..count],
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(_) => break End::Closed,
        };
        recorder.record(stream, bytes);
        let before = Instant::now();
        if passing && let Err(error) = pass_on(bytes, &mut to, stream, recorder).await {
            if error.kind() == io::ErrorKind::BrokenPipe {
                break End::ReaderGone;
            }
            // Such as a terminal that was closed: the command would only have got an error for each write.
            passing = false;
        }
        if exit.is_some() {
            held_up += before.elapsed();
            after_exit += bytes.len();
        }
        if PIPE_BYTES < after_exit && patience.is_some_and(|until| until <= Instant::now()) {
            break End::Abandoned;
        }
    };
    recorder.finish(stream);
    end
}

/// Writes everything, and flushes what becomes due meanwhile: our own reader may be a pager that takes its time.
async fn pass_on(bytes: &[u8], to: &mut (impl AsyncWrite + Unpin), stream: Stream, recorder: &Recorder<'_>) -> io::Result<()> {
    let writing = async {
        to.write_all(bytes).await?;
        to.flush().await
    };
    tokio::pin!(writing);
    loop {
        tokio::select! {
            biased;
            () = at(recorder.due(stream)) => recorder.flush_due(stream),
            written = &mut writing => return written,
        }
    }
}

/// At that time; never without one.
async fn at(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        cli::{
            redact_args::Scrubber,
            run::{journal::Journal, outbox::Outbox, recorder::Naming},
        },
        formats::{Choice, Transcript},
    };
    use serde_json::Value;

    fn texts(outbox: &Outbox) -> Vec<String> {
        let text = |bytes: bytes::Bytes| serde_json::from_slice::<Value>(&bytes).expect("JSON")["data"]["text"].clone();
        std::iter::from_fn(|| outbox.pop()).map(|bytes| text(bytes).as_str().unwrap_or_default().to_owned()).collect()
    }

    /// Captures `from` into `to` with a command that has ended already; gives how it ended and what was recorded.
    async fn captured(from: impl AsyncRead + Unpin, to: impl AsyncWrite + Unpin) -> (End, Vec<String>) {
        let outbox = Outbox::new(0);
        let journal = Journal::new(&outbox, "r".parse().expect("valid"), Scrubber::new(None));
        let (_exited, exit) = watch::channel(Some(Instant::now()));
        let transcript = Transcript::new(Choice::Auto, "r".parse().expect("valid"));
        let end = capture(from, to, Stream::Stdout, &Recorder::new(&journal, transcript, Naming::Given), exit).await;
        (end, texts(&outbox))
    }

    #[tokio::test(start_paused = true)]
    async fn every_byte_is_passed_on() {
        let mut passed = Vec::new();
        let (end, texts) = captured(&b"one\n\xff\x00two"[..], &mut passed).await;
        assert_eq!((end, passed.as_slice()), (End::Closed, b"one\n\xff\x00two".as_slice()));
        assert_eq!(texts, ["one\n\u{fffd}\0two"]);
    }

    #[tokio::test(start_paused = true)]
    async fn what_the_command_left_behind_does_not_hold_us() {
        let (mut background, pipe) = tokio::io::duplex(64);
        background.write_all(b"late\n").await.expect("room");
        let began = Instant::now();
        assert_eq!(captured(pipe, Vec::new()).await, (End::Abandoned, vec!["late\n".to_owned()]));
        assert_eq!(began.elapsed().as_secs(), AFTER_EXIT.as_secs());
    }

    #[tokio::test(start_paused = true)]
    async fn a_reader_that_takes_its_time_gets_everything() {
        let (mut command, pipe) = tokio::io::duplex(1 << 20);
        command.write_all(&[b'x'; 100_000]).await.expect("room");
        drop(command);
        let (to, mut pager) = tokio::io::duplex(16);
        let read = async {
            tokio::time::sleep(10 * AFTER_EXIT).await;
            let mut text = Vec::new();
            pager.read_to_end(&mut text).await.map(|_| text.len())
        };
        let ((end, _), length) = tokio::join!(captured(pipe, to), read);
        assert_eq!((end, length.expect("memory")), (End::Closed, 100_000));
    }

    #[tokio::test]
    async fn a_reader_that_is_gone_closes_the_pipe_but_what_was_read_is_recorded() {
        let (to, gone) = tokio::io::duplex(16);
        drop(gone);
        assert_eq!(captured(&b"text\n"[..], to).await, (End::ReaderGone, vec!["text\n".to_owned()]));
    }
}
