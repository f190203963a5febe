//! How far a long piece of work has come, on standard error: a line that is rewritten on a terminal, else a new one now and then.

use std::{
    io::{self, IsTerminal, Write},
    time::{Duration, Instant},
};

/// How often it is said to a person, and how often to a log.
const ON_TERMINAL: Duration = Duration::from_millis(200);
const IN_LOG: Duration = Duration::from_secs(10);

/// Says how far something is.
#[derive(Debug)]
pub(crate) struct Progress {
    every: Duration,
    is_terminal: bool,
    said: Instant,
    /// Whether a line on the terminal waits to be rewritten.
    open: bool,
}

impl Progress {
    pub(crate) fn new() -> Self {
        let is_terminal = io::stderr().is_terminal();
        let every = if is_terminal { ON_TERMINAL } else { IN_LOG };
        Self { every, is_terminal, said: Instant::now(), open: false }
    }

    /// It is so far now; the words are only made when they are shown.
    pub(crate) fn at(&mut self, words: impl FnOnce() -> String) {
        if self.said.elapsed() < self.every {
            return;
        }
        self.said = Instant::now();
        // Nobody needs to see it.
        let _ = match self.is_terminal {
            true => write!(io::stderr(), "\r\u{1b}[K{}", words()),
            false => writeln!(io::stderr(), "{}", words()),
        };
        self.open = self.is_terminal;
    }

    /// A line of its own, between.
    pub(crate) fn say(&mut self, words: &str) {
        self.clear();
        eprintln!("{words}");
    }

    /// Nothing is left of it on the terminal.
    pub(crate) fn clear(&mut self) {
        if std::mem::take(&mut self.open) {
            eprint!("\r\u{1b}[K");
        }
    }
}
