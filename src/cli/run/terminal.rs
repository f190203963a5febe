//! A terminal of the command's own (`--pty`), for programs that hold their output back when it goes into a pipe: the size of ours is passed
//! on, what is typed is passed through, and our own terminal is given back as it was.

use std::{
    cell::Cell,
    io,
    os::fd::{AsFd, OwnedFd},
};

use pty_process::{OwnedReadPty, OwnedWritePty, Pts, Size};
use rustix::{
    process::{Signal, getpgrp},
    stdio,
    termios::{
        LocalModes, OptionalActions, OutputModes, SpecialCodeIndex, Termios, Winsize, isatty, tcgetattr, tcgetpgrp, tcgetwinsize,
        tcsetattr, tcsetwinsize,
    },
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// The size where we have no terminal ourselves.
const SIZE: (u16, u16) = (24, 80);

/// How much of what is typed is read at once.
const INPUT_BYTES: usize = 4 * 1024;

/// What a terminal takes for the end of input, at the beginning of a line.
const END_OF_INPUT: u8 = 4;

/// Our end of the command's terminal.
pub(super) struct Terminal {
    pub output: OwnedReadPty,
    pub input: OwnedWritePty,
    pub size: TerminalSize,
}

/// The size of the command's terminal.
pub(super) struct TerminalSize(OwnedFd);

/// Which of the keys that make signals were typed into the command's terminal: they reach the command, and not us.
#[derive(Debug, Default)]
pub(super) struct Keys {
    interrupt: Cell<bool>,
    quit: Cell<bool>,
}

impl Keys {
    /// The signals that were typed.
    pub(super) fn typed(&self) -> impl Iterator<Item = Signal> {
        let keys = [(&self.interrupt, Signal::INT), (&self.quit, Signal::QUIT)];
        keys.into_iter().filter(|(typed, _)| typed.get()).map(|(_, signal)| signal)
    }

    /// Notes what among these bytes is a signal to a terminal in these modes.
    fn note(&self, bytes: &[u8], modes: &Termios) {
        if modes.local_modes.contains(LocalModes::ISIG) {
            for (typed, key) in [(&self.interrupt, SpecialCodeIndex::VINTR), (&self.quit, SpecialCodeIndex::VQUIT)] {
                typed.set(typed.get() || bytes.contains(&modes.special_codes[key]));
            }
        }
    }
}

impl Terminal {
    /// A new one, with the end that the command gets.
    pub(super) fn open() -> io::Result<(Self, Pts)> {
        let (pty, pts) = pty_process::open().map_err(io::Error::other)?;
        pty.resize(Size::new(SIZE.0, SIZE.1)).map_err(io::Error::other)?;
        let size = TerminalSize(pty.as_fd().try_clone_to_owned()?);
        size.follow_ours();
        if !isatty(stdio::stdin()) {
            // What comes from a file or a pipe is no conversation.
            let mut modes = tcgetattr(&pts)?;
            modes.local_modes -= LocalModes::ECHO;
            tcsetattr(&pts, OptionalActions::Now, &modes)?;
        }
        let (output, input) = pty.into_split();
        Ok((Self { output, input, size }, pts))
    }
}

impl TerminalSize {
    /// Makes it that of our own terminal, if there is one.
    pub(super) fn follow_ours(&self) {
        if let Some(size) = our_size() {
            // A terminal that is gone has no size any more.
            let _ = tcsetwinsize(&self.0, size);
        }
    }
}

fn our_size() -> Option<Winsize> {
    let size = tcgetwinsize(stdio::stdout()).or_else(|_| tcgetwinsize(stdio::stdin())).ok();
    size.filter(|size| 0 < size.ws_row && 0 < size.ws_col)
}

/// Passes what comes in on to the command, and the end of it; for as long as it is waited for. Notes the keys that make signals.
pub(super) async fn pass_input(mut input: OwnedWritePty, size: &TerminalSize, keys: &Keys) {
    let mut stdin = tokio::io::stdin();
    let mut buffer = vec![0; INPUT_BYTES];
    let mut last = b'\n';
    loop {
        let count = match stdin.read(&mut buffer).await {
            Ok(0) | Err(_) => break,
            Ok(count) => count,
        };
        last = buffer[count - 1];
        // Our end shows the modes that the command has given its own.
        if let Ok(modes) = tcgetattr(&size.0) {
            keys.note(&buffer[..count], &modes);
        }
        if input.write_all(&buffer[..count]).await.is_err() {
            return;
        }
    }
    // Behind an unfinished line the first only ends the line.
    let ends: &[u8] = if last == b'\n' { &[END_OF_INPUT] } else { &[END_OF_INPUT, END_OF_INPUT] };
    // It fails only when the command has ended.
    let _ = input.write_all(ends).await;
    std::future::pending().await
}

/// Our terminal in raw mode, so that keys reach the command's terminal as they are; as it was again when this is dropped.
pub(crate) struct RawMode(Option<Termios>);

impl RawMode {
    /// Sets it, if standard input is a terminal and ours to set.
    pub(crate) fn set() -> Self {
        let stdin = stdio::stdin();
        let ours = isatty(stdin) && tcgetpgrp(stdin).is_ok_and(|group| group == getpgrp());
        let Some(before) = ours.then(|| tcgetattr(stdin).ok()).flatten() else { return Self(None) };
        let mut raw = before.clone();
        raw.make_raw();
        // Our own words go to the same terminal, line by line.
        raw.output_modes |= OutputModes::OPOST | OutputModes::ONLCR;
        let is_set = tcsetattr(stdin, OptionalActions::Now, &raw).is_ok();
        Self(is_set.then_some(before))
    }
}

impl Drop for RawMode {
    fn drop(&mut self) {
        if let Some(before) = &self.0 {
            // There is nobody left to tell.
            let _ = tcsetattr(stdio::stdin(), OptionalActions::Now, before);
        }
    }
}
