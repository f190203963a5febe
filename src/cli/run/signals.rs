//! Signals on their way to the command, and its end told by their names.

use std::{io, process::ExitStatus, time::Duration};

use futures_util::{StreamExt, stream::SelectAll};
use rustix::process::{Pid, Signal, kill_process};
use tokio::{
    signal::unix::{SignalKind, signal},
    time::{Instant, timeout},
};

/// The signals that are passed on, and whether each asks the command to end. Those of job control reach it by themselves: it is in our
/// process group.
const FORWARDED: [(Signal, bool); 8] = [
    (Signal::INT, true),
    (Signal::QUIT, true),
    (Signal::TERM, true),
    (Signal::HUP, true),
    (Signal::USR1, false),
    (Signal::USR2, false),
    (Signal::ALARM, false),
    (Signal::WINCH, false),
];

/// How long after the command's end the signal that ended it may reach us.
const SETTLE: Duration = Duration::from_millis(250);

/// Whom the keys of our terminal reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reach {
    /// The command too: it is in our process group.
    OurTerminal,
    /// Us alone: the command has a terminal of its own.
    CommandsTerminal,
}

/// The signals that were sent to us.
pub(super) struct Signals {
    reach: Reach,
    arrivals: SelectAll<futures_util::stream::BoxStream<'static, Signal>>,
    /// Those that asked the command to end, whether by us or by the terminal.
    asked: Vec<Signal>,
}

impl Signals {
    /// Begins to listen. A signal that was ignored when we began stays ignored, for the command too: that is how `nohup` works.
    pub(super) fn new(reach: Reach) -> io::Result<Self> {
        let ignored = ignored();
        let mut arrivals = SelectAll::new();
        for (number, _) in FORWARDED {
            if ignored >> (number.as_raw() - 1) & 1 == 0 {
                let stream = signal(SignalKind::from_raw(number.as_raw()))?;
                let stream = futures_util::stream::unfold(stream, move |mut stream| async move {
                    stream.recv().await.map(|()| (number, stream))
                });
                arrivals.push(stream.boxed());
            }
        }
        Ok(Self { reach, arrivals, asked: Vec::new() })
    }

    /// The next signal. Nothing is lost if the wait is given up.
    pub(super) async fn next(&mut self) -> Signal {
        match self.arrivals.next().await {
            Some(signal) => signal,
            None => std::future::pending().await,
        }
    }

    /// The number of the next signal that asks for the end.
    pub(super) async fn next_wish(&mut self) -> i32 {
        loop {
            let signal = self.next().await;
            if asks_for_end(signal) {
                return signal.as_raw();
            }
        }
    }

    /// The next signal that asks us not to wait any longer. What ended the command does not count, though it may reach us a moment later
    /// than the command.
    pub(super) async fn next_request_to_end(&mut self) {
        let from = Instant::now() + SETTLE;
        while !asks_for_end(self.next().await) || Instant::now() < from {}
    }

    /// Passes a signal on to the command, unless the terminal has sent it to the whole foreground group already.
    pub(super) fn forward(&mut self, signal: Signal, child: Option<u32>) {
        self.note(signal);
        let of_keys = matches!(signal, Signal::INT | Signal::QUIT | Signal::WINCH);
        let by_terminal = of_keys && self.reach == Reach::OurTerminal && in_foreground();
        if !by_terminal {
            send(signal, child);
        }
    }

    /// Whether someone asked the command, which has ended, to end with this signal. Who asks a whole process group asks us too, if a moment
    /// later.
    pub(super) async fn was_asked_by(&mut self, number: i32) -> bool {
        if !FORWARDED.iter().any(|(signal, ends)| signal.as_raw() == number && *ends) {
            return false;
        }
        let heard = async {
            while !self.asked.iter().any(|signal| signal.as_raw() == number) {
                let signal = self.next().await;
                self.note(signal);
            }
        };
        timeout(SETTLE, heard).await.is_ok()
    }

    /// Whether anybody asked the command to end.
    pub(super) fn was_asked(&self) -> bool {
        !self.asked.is_empty()
    }

    fn note(&mut self, signal: Signal) {
        if asks_for_end(signal) && !self.asked.contains(&signal) {
            self.asked.push(signal);
        }
    }
}

/// Sends the command a signal.
pub(super) fn send(signal: Signal, child: Option<u32>) {
    if let Some(pid) = child.and_then(|pid| Pid::from_raw(i32::try_from(pid).ok()?)) {
        // It fails only when the command has just ended.
        let _ = kill_process(pid, signal);
    }
}

fn asks_for_end(signal: Signal) -> bool {
    FORWARDED.iter().any(|(known, ends)| *known == signal && *ends)
}

/// Whether we are in the terminal's foreground process group, which gets what is typed there.
fn in_foreground() -> bool {
    rustix::termios::tcgetpgrp(rustix::stdio::stdin()).is_ok_and(|group| group == rustix::process::getpgrp())
}

/// The signals that this process was told to ignore, a bit each from the lowest for signal 1. Where it cannot be known: none.
fn ignored() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}

/// How the command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    /// With this exit code.
    Exited(u8),
    /// By this signal.
    Killed(i32),
}

impl Ending {
    pub(super) fn of(status: ExitStatus) -> Self {
        use std::os::unix::process::ExitStatusExt;
        match (status.code(), status.signal()) {
            (Some(code), _) => Self::Exited(u8::try_from(code & 0xff).unwrap_or(u8::MAX)),
            (None, Some(signal)) => Self::Killed(signal),
            (None, None) => Self::Exited(u8::MAX),
        }
    }

    /// The exit code that a shell would give.
    pub(super) fn exit_code(self) -> u8 {
        match self {
            Self::Exited(code) => code,
            Self::Killed(signal) => u8::try_from(128 + signal).unwrap_or(u8::MAX),
        }
    }

    /// The signal that ended it, also when a program caught it and says so by its exit code.
    pub(super) fn signal(self) -> Option<i32> {
        match self {
            Self::Killed(signal) => Some(signal),
            Self::Exited(code) => 128u8.checked_add(1).filter(|first| *first <= code).map(|_| i32::from(code) - 128),
        }
    }
}

/// A signal's name.
pub(super) fn name(number: i32) -> String {
    const NAMES: [(Signal, &str); 18] = [
        (Signal::HUP, "HUP"),
        (Signal::INT, "INT"),
        (Signal::QUIT, "QUIT"),
        (Signal::ILL, "ILL"),
        (Signal::TRAP, "TRAP"),
        (Signal::ABORT, "ABRT"),
        (Signal::BUS, "BUS"),
        (Signal::FPE, "FPE"),
        (Signal::KILL, "KILL"),
        (Signal::USR1, "USR1"),
        (Signal::SEGV, "SEGV"),
        (Signal::USR2, "USR2"),
        (Signal::PIPE, "PIPE"),
        (Signal::ALARM, "ALRM"),
        (Signal::TERM, "TERM"),
        (Signal::XCPU, "XCPU"),
        (Signal::XFSZ, "XFSZ"),
        (Signal::SYS, "SYS"),
    ];
    match NAMES.iter().find(|(signal, _)| signal.as_raw() == number) {
        Some((_, name)) => format!("SIG{name}"),
        None => format!("signal {number}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endings_have_the_codes_of_a_shell() {
        for (ending, code, signal) in [
            (Ending::Exited(0), 0, None),
            (Ending::Exited(3), 3, None),
            (Ending::Exited(143), 143, Some(15)),
            (Ending::Killed(9), 137, Some(9)),
        ] {
            assert_eq!((ending.exit_code(), ending.signal()), (code, signal));
        }
        assert_eq!((name(9).as_str(), name(64).as_str()), ("SIGKILL", "signal 64"));
    }
}
