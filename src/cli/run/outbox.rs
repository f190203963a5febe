//! Activities on their way to the hub, in order: in memory up to a bound, then on disk up to a limit, then not at all. Adding never waits,
//! so the command is never held up by a hub that is away.

use std::collections::VecDeque;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::watch;

use super::spill::Spill;
use crate::cli::batch::BatchLimits;

/// The most bytes of activities that wait in memory, beside the request that is on its way.
const MEMORY_BYTES: usize = 4 << 20;

/// What may be dropped when there is no room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Keep {
    /// This may.
    IfRoom,
    /// This may not: there are only a few of these in the life of a command.
    Always,
}

/// Activities on their way.
#[derive(Debug)]
pub(super) struct Outbox {
    state: Mutex<State>,
    changed: watch::Sender<()>,
}

#[derive(Debug)]
struct State {
    /// The oldest.
    memory: VecDeque<Bytes>,
    memory_bytes: usize,
    memory_most: usize,
    /// What came while `memory` was full.
    spill: Spill,
    /// What came after the disk was full, and must be kept.
    reserve: VecDeque<Bytes>,
    /// What the disk did not give back.
    lost: u64,
    closed: bool,
}

impl Outbox {
    /// At most `spill_bytes` on disk.
    pub(super) fn new(spill_bytes: u64) -> Self {
        Self::bounded(MEMORY_BYTES, spill_bytes)
    }

    fn bounded(memory_most: usize, spill_bytes: u64) -> Self {
        let state = State {
            memory: VecDeque::new(),
            memory_bytes: 0,
            memory_most,
            spill: Spill::new(spill_bytes),
            reserve: VecDeque::new(),
            lost: 0,
            closed: false,
        };
        Self { state: Mutex::new(state), changed: watch::Sender::new(()) }
    }

    /// Adds an activity. Gives false if there was no room and it was dropped.
    pub(super) fn push(&self, activity: Bytes, keep: Keep) -> bool {
        let kept = self.state.lock().push(activity, keep);
        self.changed.send_replace(());
        kept
    }

    /// Whether there is room again for this many bytes and some to spare, so that dropping would not start again at once.
    pub(super) fn has_ease(&self, bytes: usize) -> bool {
        let state = self.state.lock();
        let in_memory = state.spill.lines() == 0 && state.memory_bytes + bytes <= state.memory_most / 4 * 3;
        state.reserve.is_empty() && (in_memory || state.spill.has_ease(bytes as u64))
    }

    /// Nothing more will be added.
    pub(super) fn close(&self) {
        self.state.lock().closed = true;
        self.changed.send_replace(());
    }

    /// How many activities wait.
    pub(super) fn waiting(&self) -> u64 {
        let state = self.state.lock();
        (state.memory.len() + state.reserve.len()) as u64 + state.spill.lines()
    }

    /// How many were lost because the disk did not give them back.
    pub(super) fn lost(&self) -> u64 {
        self.state.lock().lost
    }

    /// Takes the next activities, as many as fit into a request. Waits until there are some; nothing once it is closed and empty. Nothing
    /// is lost if the wait is given up.
    pub(super) async fn next(&self, limits: BatchLimits) -> Option<Vec<Bytes>> {
        let mut changed = self.changed.subscribe();
        loop {
            {
                let mut state = self.state.lock();
                let batch = state.batch(limits);
                if !batch.is_empty() {
                    return Some(batch);
                }
                if state.closed {
                    return None;
                }
            }
            // The sender lives in `self`, so this cannot fail.
            let _ = changed.changed().await;
        }
    }

    /// Takes the next activity, if there is one.
    pub(super) fn pop(&self) -> Option<Bytes> {
        self.state.lock().pop()
    }
}

impl State {
    fn push(&mut self, activity: Bytes, keep: Keep) -> bool {
        let size = activity.len();
        let in_order = self.spill.lines() == 0 && self.reserve.is_empty();
        if in_order && self.memory_bytes + size <= self.memory_most {
            self.memory_bytes += size;
            self.memory.push_back(activity);
            return true;
        }
        if self.reserve.is_empty() && self.spill.push(&activity).is_ok() {
            return true;
        }
        if keep == Keep::Always {
            self.reserve.push_back(activity);
        }
        keep == Keep::Always
    }

    fn pop(&mut self) -> Option<Bytes> {
        if let Some(activity) = self.memory.pop_front() {
            self.memory_bytes -= activity.len();
            return Some(activity);
        }
        loop {
            match self.spill.pop() {
                Ok(Some(activity)) => return Some(activity),
                Ok(None) => return self.reserve.pop_front(),
                Err((lost, _)) => self.lost += lost,
            }
        }
    }

    fn batch(&mut self, limits: BatchLimits) -> Vec<Bytes> {
        let (mut batch, mut bytes) = (Vec::new(), 0);
        while bytes < limits.bytes && batch.len() < limits.activities {
            let Some(activity) = self.pop() else { break };
            bytes += activity.len();
            batch.push(activity);
        }
        batch
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn activity(number: u64) -> Bytes {
        format!("{number:0>100}").into()
    }

    #[tokio::test]
    async fn order_is_kept_through_memory_disk_and_reserve() {
        let outbox = Outbox::bounded(1_000, 3_000);
        let mut kept = Vec::new();
        for number in 0..60 {
            if outbox.push(activity(number), if number == 55 { Keep::Always } else { Keep::IfRoom }) {
                kept.push(activity(number));
            }
        }
        assert_eq!(kept.len(), 10 + 29 + 1, "memory, disk, reserve");
        assert_eq!(kept.last(), Some(&activity(55)));
        assert_eq!(outbox.waiting(), 40);
        outbox.close();
        let mut got = Vec::new();
        while let Some(batch) = outbox.next(BatchLimits { activities: 7, bytes: 10_000 }).await {
            assert!(batch.len() <= 7);
            got.extend(batch);
        }
        assert_eq!(got, kept);
    }

    #[tokio::test]
    async fn what_comes_while_the_disk_is_worked_off_stays_behind_it() {
        let outbox = Outbox::bounded(300, 100_000);
        let mut next = 0;
        for number in 0..200 {
            assert!(outbox.push(activity(number), Keep::IfRoom));
            if number % 3 == 0 {
                assert_eq!(outbox.pop(), Some(activity(next)));
                next += 1;
            }
        }
        while let Some(got) = outbox.pop() {
            assert_eq!(got, activity(next));
            next += 1;
        }
        assert_eq!((next, outbox.waiting()), (200, 0));
    }

    #[tokio::test]
    async fn waiting_for_the_next_ends_with_the_first_or_with_the_end() {
        let outbox = Outbox::new(0);
        let (batch, ()) =
            tokio::join!(outbox.next(BatchLimits::default()), async { assert!(outbox.push(activity(1), Keep::IfRoom)) });
        assert_eq!(batch, Some(vec![activity(1)]));
        let (end, ()) = tokio::join!(outbox.next(BatchLimits::default()), async { outbox.close() });
        assert_eq!(end, None);
    }
}
