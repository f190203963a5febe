//! The terminal while `top` has it: its own screen, keys as they are pressed, and everything as it was afterwards.

use std::io::{self, Write};

use rustix::{stdio, termios::tcgetwinsize};
use tokio::io::AsyncReadExt;

use crate::cli::run::RawMode;

/// Another screen than the one with the shell on it, without a cursor; and back.
const ENTER: &[u8] = b"\x1b[?1049h\x1b[?25l";
const LEAVE: &[u8] = b"\x1b[?25h\x1b[?1049l";

/// How wide and high a terminal is that does not say so.
const SIZE: (usize, usize) = (80, 24);

/// What is asked for by a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Key {
    Quit,
    Pause,
}

/// The terminal; as it was again when this is dropped.
pub(super) struct Screen {
    _raw: RawMode,
}

impl Screen {
    pub(super) fn enter() -> io::Result<Self> {
        let raw = RawMode::set();
        write(ENTER)?;
        Ok(Self { _raw: raw })
    }

    /// Shows these lines, as many as there is room for.
    pub(super) fn show(&self, lines: &[String]) -> io::Result<()> {
        // Each line over the one before, so that nothing flickers.
        let mut text = String::from("\x1b[H");
        let (_, height) = size();
        let shown: Vec<_> = lines.iter().take(height).map(|line| format!("{line}\x1b[K")).collect();
        text.push_str(&shown.join("\r\n"));
        text.push_str("\x1b[J");
        write(text.as_bytes())
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // There is nobody left to tell.
        let _ = write(LEAVE);
    }
}

fn write(bytes: &[u8]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(bytes)?;
    out.flush()
}

/// How wide and how high the terminal is now.
pub(super) fn size() -> (usize, usize) {
    match tcgetwinsize(stdio::stdout()) {
        Ok(size) if 0 < size.ws_col && 0 < size.ws_row => (size.ws_col.into(), size.ws_row.into()),
        _ => SIZE,
    }
}

/// The next key that means something; the end of input is the end.
pub(super) async fn next(stdin: &mut tokio::io::Stdin) -> Key {
    loop {
        match stdin.read_u8().await {
            Ok(b'p' | b' ') => return Key::Pause,
            // Ctrl-C and Ctrl-D are keys here.
            Ok(b'q' | b'Q' | 3 | 4) | Err(_) => return Key::Quit,
            Ok(_) => {}
        }
    }
}
