//! One watched task: where its log stands, and the ring of its newest frames.
//!
//! The state in the watch channel only ever names what is committed. The head moves without holes: a batch that does not follow on
//! it is not shown but remembered as `known`, and the gap is filled from the store by one task at a time.

#[cfg(test)]
mod bounds;

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::Instant,
};

use crate::{
    model::{Epoch, FrameBatch, LogState, Offset, TaskId},
    sync::{Mutex, watch},
};

use super::{
    HubOptions,
    audience::{Audience, HasAudience},
};

/// What followers see of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct View {
    /// Whether the store has been asked.
    pub loaded: bool,
    /// Where the log stands; nothing if the task does not exist.
    pub log: Option<LogState>,
}

/// What a log needs from the store before it can go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Need {
    Nothing,
    /// Where it stands.
    State,
    /// The activities between its head and what is known to be committed.
    Activities,
}

/// What is missing between a log's head and what was heard of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Gap {
    /// The life of the log.
    pub(super) epoch: Epoch,
    /// Its head, where to read on from.
    pub(super) after: Offset,
    /// The greatest offset heard of.
    pub(super) until: Offset,
    generation: u64,
}

#[derive(Debug)]
pub(super) struct Log {
    pub(super) task: TaskId,
    view: watch::Sender<View>,
    audience: Audience,
    ring: Mutex<Ring>,
}

impl HasAudience for Log {
    fn audience(&self) -> &Audience {
        &self.audience
    }
}

#[derive(Debug, Default)]
struct Ring {
    batches: VecDeque<FrameBatch>,
    activities: usize,
    bytes: usize,
    /// Batches of `known`'s epoch that came before what goes before them.
    early: BTreeMap<Offset, FrameBatch>,
    early_bytes: usize,
    /// The greatest offset heard of, which may be ahead of the head while a gap is filled.
    known: Option<(Epoch, Offset)>,
    /// Changes whenever the log is replaced, so that what was read before counts for nothing.
    generation: u64,
    loading: bool,
    filling: bool,
    watchers: usize,
    idle_since: Option<Instant>,
}

impl Log {
    /// A log whose state is about to be asked for.
    pub(super) fn new(task: TaskId) -> Self {
        let ring = Ring { loading: true, ..Ring::default() };
        Self { task, view: watch::Sender::new(View::default()), audience: Audience::default(), ring: Mutex::new(ring) }
    }

    pub(super) fn subscribe(&self) -> watch::Receiver<View> {
        self.view.subscribe()
    }

    /// The log's life, as far as it is known.
    pub(super) fn epoch(&self) -> Option<Epoch> {
        self.view.borrow().log.map(|state| state.epoch)
    }

    /// Lets followers see this, and wakes them.
    fn show(&self, view: View) {
        self.view.send_replace(view);
        self.audience.tell();
    }

    /// Takes a committed batch; see [`super::Hub::apply`].
    pub(super) fn apply(&self, batch: FrameBatch, options: &HubOptions) -> Need {
        let mut ring = self.ring.lock();
        let view = *self.view.borrow();
        let (epoch, last) = (batch.epoch, batch.last());
        let (head, floor) = match view.log {
            Some(state) if state.epoch == epoch => (state.head, state.floor),
            None if view.loaded && batch.first() == Offset::ZERO.next() => (Offset::ZERO, batch.first()),
            _ => {
                ring.hear_of(epoch, last);
                return ring.want_state();
            }
        };
        if head.next() < batch.first() {
            ring.hear_of(epoch, last);
            ring.keep_early(batch, options);
            return ring.want_activities();
        }
        let Some(news) = batch.after(head) else { return Need::Nothing };
        ring.push(news, options);
        let mut head = last;
        while let Some(next) = ring.take_early(epoch, head) {
            head = next.last();
            ring.push(next, options);
        }
        self.show(View { loaded: true, log: Some(LogState { epoch, head, floor }) });
        Need::Nothing
    }

    /// Another node says that the log stands here now, without the activities. Another epoch than the known one makes the log ask the store.
    pub(super) fn heard_of(&self, epoch: Epoch, head: Offset) -> Need {
        let mut ring = self.ring.lock();
        match *self.view.borrow() {
            View { loaded: false, .. } => {
                ring.hear_of(epoch, head);
                Need::Nothing
            }
            View { log: Some(state), .. } if state.epoch == epoch && head <= state.head => Need::Nothing,
            View { log: Some(state), .. } if state.epoch == epoch => {
                ring.hear_of(epoch, head);
                ring.want_activities()
            }
            _ => ring.want_state(),
        }
    }

    /// Takes what a read of the store saw. Within an epoch, heads and floors only rise; another epoch is never believed from a read that
    /// may be old, it makes the log ask afresh.
    pub(super) fn observe(&self, seen: Option<LogState>, options: &HubOptions) -> Need {
        let mut ring = self.ring.lock();
        let view = *self.view.borrow();
        match (view.log, seen) {
            _ if !view.loaded => Need::Nothing,
            (None, None) => Need::Nothing,
            (Some(state), Some(seen)) if state.epoch == seen.epoch => {
                if state.floor < seen.floor {
                    let floor = seen.floor.min(state.head.next());
                    self.show(View { loaded: true, log: Some(LogState { floor, ..state }) });
                }
                if seen.head <= state.head {
                    return Need::Nothing;
                }
                ring.hear_of(seen.epoch, seen.head);
                let missing = seen.head.get() - state.head.get();
                if (options.ring_activities as u64) < missing {
                    // More than the ring would hold: followers read it themselves, each at its own pace.
                    ring.clear();
                    self.show(View { loaded: true, log: Some(seen) });
                    return Need::Nothing;
                }
                ring.want_activities()
            }
            _ => ring.want_state(),
        }
    }

    /// The log is another one now, or none.
    pub(super) fn replace(&self, state: Option<LogState>) {
        self.become_other(&mut self.ring.lock(), state);
    }

    /// The store, asked for what is in the gap, says that the log stands here. It is not believed if the log was replaced meanwhile: that may be
    /// newer.
    pub(super) fn correct(&self, gap: Gap, state: Option<LogState>) {
        let mut ring = self.ring.lock();
        if ring.generation == gap.generation {
            self.become_other(&mut ring, state);
        }
    }

    fn become_other(&self, ring: &mut Ring, state: Option<LogState>) {
        ring.generation += 1;
        ring.clear();
        ring.known = None;
        self.show(View { loaded: true, log: state });
    }

    /// Before asking the store for the state: what to give back to [`Log::loaded`].
    pub(super) fn begin_load(&self) -> u64 {
        let mut ring = self.ring.lock();
        ring.known = None;
        ring.generation
    }

    /// The store said where the log stands, asked at `generation`. Says what is needed next; `State` if the answer was overtaken by a
    /// change or by news of another life of the log.
    pub(super) fn loaded(&self, generation: u64, state: Option<LogState>) -> Need {
        let mut ring = self.ring.lock();
        let epoch = state.map(|state| state.epoch);
        if ring.generation != generation || ring.known.is_some_and(|(heard, _)| Some(heard) != epoch) {
            return Need::State;
        }
        ring.loading = false;
        let view = *self.view.borrow();
        if !view.loaded || view.log.map(|log| log.epoch) != epoch {
            ring.clear();
            self.show(View { loaded: true, log: state });
        } else {
            // Even without a change: a follower may be waiting for this answer.
            self.show(view);
            if let Some(state) = state {
                ring.hear_of(state.epoch, state.head);
            }
        }
        match (self.view.borrow().log, ring.known) {
            (Some(log), Some((_, known))) if log.head < known => ring.want_activities(),
            _ => Need::Nothing,
        }
    }

    /// The gap to fill next. When there is none, filling has ended.
    pub(super) fn gap(&self) -> Option<Gap> {
        let mut ring = self.ring.lock();
        let gap = match (self.view.borrow().log, ring.known) {
            (Some(LogState { epoch, head, .. }), Some((of, known))) if of == epoch && head < known => {
                Some(Gap { epoch, after: head, until: known, generation: ring.generation })
            }
            _ => None,
        };
        ring.filling = gap.is_some();
        gap
    }

    /// The store, asked after the gap was known, has nothing in it: what was heard of is not committed, or is no more. It is not believed any longer,
    /// unless something else was heard of meanwhile.
    pub(super) fn deny(&self, gap: Gap) {
        self.ring.lock().known.take_if(|known| *known == (gap.epoch, gap.until));
    }

    /// The frames that come right after `cursor`, if the ring still has them.
    pub(super) fn frames_after(&self, cursor: Offset) -> Option<FrameBatch> {
        let ring = self.ring.lock();
        // Nearly everyone wants the newest; looking for it in the middle would touch a dozen batches.
        let newest = ring.batches.back()?;
        if newest.first() <= cursor.next() {
            return newest.after(cursor);
        }
        if cursor.next() < ring.batches.front()?.first() {
            return None;
        }
        let index = ring.batches.partition_point(|batch| batch.last() <= cursor);
        ring.batches.get(index)?.after(cursor)
    }

    /// Drops the frames that are kept: followers read the store.
    pub(super) fn forget_frames(&self) {
        self.ring.lock().clear();
    }

    /// Whether nobody has watched since `before`.
    pub(super) fn is_idle_since(&self, before: Instant) -> bool {
        let ring = self.ring.lock();
        ring.watchers == 0 && ring.idle_since.is_some_and(|since| since <= before)
    }
}

impl Ring {
    fn push(&mut self, batch: FrameBatch, options: &HubOptions) {
        self.activities += batch.frames().len();
        self.bytes += batch.weight();
        self.batches.push_back(batch);
        while options.ring_activities < self.activities || options.ring_bytes < self.bytes {
            let Some(oldest) = self.batches.pop_front() else { break };
            self.activities -= oldest.frames().len();
            self.bytes -= oldest.weight();
        }
    }

    /// Keeps a batch for which it is too early, as far as there is room for such.
    fn keep_early(&mut self, batch: FrameBatch, options: &HubOptions) {
        if self.early_bytes + batch.weight() <= options.ring_bytes {
            self.early_bytes += batch.weight();
            if let Some(same) = self.early.insert(batch.first(), batch) {
                self.early_bytes -= same.weight();
            }
        }
    }

    /// What follows on `head` among the batches that came early.
    fn take_early(&mut self, epoch: Epoch, head: Offset) -> Option<FrameBatch> {
        while let Some(first) = self.early.first_entry().filter(|first| *first.key() <= head.next()) {
            let batch = first.remove();
            self.early_bytes -= batch.weight();
            if let Some(news) = batch.after(head).filter(|news| news.epoch == epoch) {
                return Some(news);
            }
        }
        None
    }

    fn clear(&mut self) {
        self.early.clear();
        self.early_bytes = 0;
        self.batches.clear();
        self.activities = 0;
        self.bytes = 0;
    }

    fn hear_of(&mut self, epoch: Epoch, offset: Offset) {
        self.known = match self.known {
            Some((known, greatest)) if known == epoch => Some((epoch, greatest.max(offset))),
            _ => Some((epoch, offset)),
        };
    }

    fn want_state(&mut self) -> Need {
        if std::mem::replace(&mut self.loading, true) { Need::Nothing } else { Need::State }
    }

    fn want_activities(&mut self) -> Need {
        if std::mem::replace(&mut self.filling, true) { Need::Nothing } else { Need::Activities }
    }
}

/// Someone's interest in a log: while any is held, and for a while after, the log has a ring here.
#[derive(Debug)]
pub(super) struct Interest {
    log: Arc<Log>,
}

impl Interest {
    pub(super) fn new(log: Arc<Log>) -> Self {
        let mut ring = log.ring.lock();
        ring.watchers += 1;
        ring.idle_since = None;
        drop(ring);
        Self { log }
    }

    pub(super) fn log(&self) -> &Arc<Log> {
        &self.log
    }
}

impl Drop for Interest {
    fn drop(&mut self) {
        let mut ring = self.log.ring.lock();
        ring.watchers -= 1;
        if ring.watchers == 0 {
            ring.idle_since = Some(Instant::now());
        }
    }
}
