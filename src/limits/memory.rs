//! A ceiling for the process's memory. Above it nothing new is taken, so that what is there goes on and the process is not killed.

use std::{
    fs,
    sync::atomic::{AtomicBool, Ordering},
};

use prometheus_client::metrics::gauge::Gauge;

/// What the kernel says of this process, in pages: its size, what is resident, and how much of that is shared with files.
const USED: &str = "/proc/self/statm";

/// What the control group allows (version 2).
const ALLOWED: &str = "/sys/fs/cgroup/memory.max";

/// How much of what is allowed is used before nothing new is taken, in hundredths.
const SHARE: usize = 90;

/// Once nothing new is taken, that stays so until this much of the ceiling is used, in hundredths; else it would change with each tick.
const AGAIN: usize = 95;

/// Whether memory is short.
#[derive(Debug)]
pub(crate) struct Memory {
    ceiling: Option<usize>,
    page_bytes: usize,
    is_over: AtomicBool,
    used: Gauge,
}

impl Memory {
    /// Short above `ceiling` bytes; with 0, above what the control group allows, if it says so.
    pub(crate) fn new(ceiling: usize, used: Gauge) -> Self {
        let ceiling = if ceiling == 0 { allowed() } else { Some(ceiling) };
        Self { ceiling, page_bytes: rustix::param::page_size(), is_over: AtomicBool::new(false), used }
    }

    /// Whether nothing new is to be taken.
    pub(crate) fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Relaxed)
    }

    /// Looks how much is used.
    pub(super) fn look(&self) {
        let Some(used) = used(self.page_bytes) else { return };
        self.used.set(i64::try_from(used).unwrap_or(i64::MAX));
        let Some(ceiling) = self.ceiling else { return };
        let was_over = self.is_over();
        let is_over = is_over(was_over, used, ceiling);
        if was_over != is_over {
            self.is_over.store(is_over, Ordering::Relaxed);
            if is_over {
                tracing::warn!(used, ceiling, "memory is short: nothing new is taken until some is free");
            } else {
                tracing::info!(used, ceiling, "there is memory again");
            }
        }
    }
}

fn is_over(was_over: bool, used: usize, ceiling: usize) -> bool {
    let limit = if was_over { ceiling / 100 * AGAIN } else { ceiling };
    limit < used
}

/// What belongs to this process alone: pages of files can be dropped by the kernel.
fn used(page_bytes: usize) -> Option<usize> {
    let text = fs::read_to_string(USED).ok()?;
    let mut numbers = text.split_whitespace().skip(1).map(str::parse::<usize>);
    let (resident, shared) = (numbers.next()?.ok()?, numbers.next()?.ok()?);
    Some(resident.saturating_sub(shared) * page_bytes)
}

fn allowed() -> Option<usize> {
    let bytes: usize = fs::read_to_string(ALLOWED).ok()?.trim().parse().ok()?;
    Some(bytes / 100 * SHARE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_over_until_there_is_some_room_again() {
        for (was_over, used, expected) in
            [(false, 1_000, false), (false, 1_001, true), (true, 1_000, true), (true, 951, true), (true, 950, false)]
        {
            assert_eq!(is_over(was_over, used, 1_000), expected, "{was_over} {used}");
        }
    }

    #[test]
    fn what_is_used_is_seen_by_the_kernel() {
        let before = used(rustix::param::page_size()).expect("this is Linux");
        let block = std::hint::black_box(vec![1_u8; 64 << 20]);
        let after = used(rustix::param::page_size()).expect("this is Linux");
        assert!(before + (32 << 20) < after, "{before} {after}");
        drop(block);
    }
}
