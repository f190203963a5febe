//! One session's place in one log: a cursor, and nothing else that grows.
//!
//! A follower is *hot* while the ring still has its place, *cold* (one page from the store at a time) when not, and *asleep* at the
//! head. It never holds a queue of events: how far it is behind is a number. It does no I/O either: [`Follower::next`] says what comes
//! next, and the session does it.

use std::{collections::VecDeque, sync::Arc};

use crate::{
    metrics::Metrics,
    model::{Cursor, Epoch, Filter, FrameBatch, LogState, Offset, Timestamp},
    store::ReadAfter,
    sync::watch,
};

use super::{
    ColdPage, HubOptions, Otherwise, Start, Step, View,
    audience::{Mailbox, Relay, Seat, Slot},
    log::{Interest, Log},
};

/// How many activities a filter may skip before the viewer is told how far it has come.
const TELL_SKIPPED: u64 = 1_000;

/// One session's place in one log.
#[derive(Debug)]
pub struct Follower {
    /// Before the interest, so that the log outlives it.
    seat: Option<Seat<Log>>,
    interest: Interest,
    view: watch::Receiver<View>,
    filter: Filter,
    otherwise: Otherwise,
    page: (usize, usize),
    /// The cursor that the viewer came with, until the log it belongs to is known.
    came_with: Option<Cursor>,
    begun: bool,
    epoch: Option<Epoch>,
    cursor: Offset,
    /// The last offset that the viewer was told, by an activity or otherwise.
    told: Offset,
    live: bool,
    cold: VecDeque<FrameBatch>,
    /// Everything wanted up to here is in `cold`.
    cold_through: Offset,
    /// What the store itself said when the hub's view contradicted the cursor; the hub may be behind, so it is asked before a reset.
    verified: Verified,
    /// What the store said does not fit the hub's view: wait until that has changed.
    waiting: bool,
    /// The last page began before the cursor and did not reach it.
    fell_short: bool,
    /// See [`Follower::rests`].
    rests: bool,
    /// Since when it follows.
    since: Timestamp,
    /// Where it is counted whether the cursor that the viewer came with could be continued, until that is known.
    resuming: Option<Arc<Metrics>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verified {
    NotAsked,
    Asked,
    Says(Option<LogState>),
}

impl Follower {
    pub(super) fn new(interest: Interest, start: Start, filter: Filter, options: &HubOptions, metrics: &Arc<Metrics>) -> Self {
        Self {
            view: interest.log().subscribe(),
            seat: None,
            interest,
            filter,
            otherwise: start.otherwise,
            page: (options.page_activities, options.page_bytes),
            came_with: start.after,
            begun: false,
            epoch: None,
            cursor: Offset::ZERO,
            told: Offset::ZERO,
            live: false,
            cold: VecDeque::new(),
            cold_through: Offset::ZERO,
            verified: Verified::NotAsked,
            waiting: false,
            fell_short: false,
            rests: false,
            since: Timestamp::now(),
            resuming: start.after.map(|_| metrics.clone()),
        }
    }

    /// Whether the last step was the last one for now, so that asking again would only give [`Step::Asleep`].
    pub(crate) fn rests(&self) -> bool {
        self.rests
    }

    /// Whether the frames that were handed out last came from the ring.
    pub(crate) fn is_hot(&self) -> bool {
        self.cold_through < self.cursor
    }

    /// Since when it follows: what arrived before is history to the viewer.
    pub(crate) fn since(&self) -> Timestamp {
        self.since
    }

    /// What is wanted of the frames in [`Step::Frames`].
    pub fn filter(&self) -> &Filter {
        &self.filter
    }

    /// Where the viewer stands: everything wanted up to here was handed out. Nothing while the task does not exist.
    pub fn cursor(&self) -> Option<Cursor> {
        self.epoch.filter(|_| self.begun).map(|epoch| Cursor { epoch, offset: self.cursor })
    }

    /// The log's head as known here; 0 while the task does not exist.
    pub fn head(&self) -> Offset {
        self.view.borrow().log.map_or(Offset::ZERO, |state| state.head)
    }

    /// A receiver that sees a change once [`Follower::next`] may have more than [`Step::Asleep`] to say.
    pub fn changed(&self) -> watch::Receiver<View> {
        self.view.clone()
    }

    /// Has a session's mailbox told, on its own thread, whenever [`Follower::next`] may have more than [`Step::Asleep`] to say.
    pub(crate) fn tell(&mut self, relay: &Relay, mailbox: Arc<Mailbox>, slot: Slot) {
        self.seat = Some(Seat::take(self.interest.log().clone(), relay, mailbox, slot));
    }

    /// The next step, with at most `budget` bytes of frames but one frame at least. What it hands out is counted as delivered.
    pub fn next(&mut self, budget: usize) -> Step {
        loop {
            if let Some(step) = self.step(budget) {
                return step;
            }
        }
    }

    /// Gives the page that [`Step::Read`] asked for. A page that does not fit is dropped; the next step says why or asks again.
    pub fn supply(&mut self, page: ColdPage) {
        if self.verified == Verified::Asked {
            self.verified = Verified::Says(page.state);
            return;
        }
        let fits = page.state.is_some_and(|state| Some(state.epoch) == self.epoch && state.floor <= self.cursor.next());
        self.fell_short = page.through <= self.cursor;
        if fits && !self.fell_short {
            self.cold = page.batches.iter().filter_map(|batch| batch.after(self.cursor)).collect();
            self.cold_through = page.through;
        }
        self.waiting = !fits;
    }

    /// One step, or nothing if it moved on without anything to say.
    fn step(&mut self, budget: usize) -> Option<Step> {
        self.rests = false;
        let changed = self.view.has_changed().unwrap_or(true);
        let view = *self.view.borrow_and_update();
        if !view.loaded || (self.waiting && !changed) {
            return Some(Step::Asleep);
        }
        self.waiting = false;
        if !self.begun {
            return Some(self.begin(view.log));
        }
        let Some(state) = view.log else {
            return Some(if self.epoch.is_some() { Step::Deleted } else { Step::Asleep });
        };
        let step = self.reconcile(state, changed);
        self.note_resume(step.as_ref());
        if step.is_some() {
            return step;
        }
        if self.cursor == state.head {
            return Some(self.at_the_head());
        }
        self.advance(state, budget)
    }

    /// How far the filter has skipped beyond what the viewer was told, if it has.
    pub fn take_skipped(&mut self) -> Option<Offset> {
        let skipped = self.begun && self.told < self.cursor;
        self.told = self.cursor;
        skipped.then_some(self.cursor)
    }

    fn begin(&mut self, log: Option<LogState>) -> Step {
        self.begun = true;
        if let Some(state) = log {
            match self.came_with {
                // Whether it can be continued is for `reconcile` to find: it is as if the viewer had been here all along.
                Some(cursor) => (self.epoch, self.cursor) = (Some(cursor.epoch), cursor.offset),
                None => (self.epoch, self.cursor) = (Some(state.epoch), self.beginning(state)),
            }
            self.came_with = None;
        }
        self.told = self.cursor;
        Step::Begun { state: log, after: self.cursor() }
    }

    /// Where deliveries begin without a usable cursor.
    fn beginning(&self, state: LogState) -> Offset {
        let oldest = state.floor.previous();
        match self.otherwise {
            Otherwise::Beginning => oldest,
            Otherwise::End => state.head,
            Otherwise::Last(count) => Offset::new(state.head.get().saturating_sub(count)).unwrap_or_default().max(oldest),
        }
    }

    /// Makes the cursor one that the log can continue, and says so where that took a jump. `changed`: the log is not as it was at the last step.
    fn reconcile(&mut self, state: LogState, changed: bool) -> Option<Step> {
        if let Some(came) = self.came_with.take() {
            // It is the viewer's own word: there is nothing to tell of it.
            (self.epoch, self.cursor, self.told) = (Some(came.epoch), came.offset, came.offset);
        }
        // Whoever waited for the task begins before everything; its beginning may be gone by the time that it is seen.
        let cursor = Cursor { epoch: self.epoch.unwrap_or(state.epoch), offset: self.cursor };
        self.epoch = Some(cursor.epoch);
        let continues = |state: LogState| cursor.epoch == state.epoch && cursor.offset <= state.head;
        if !continues(state) {
            return match self.verified {
                Verified::Says(Some(said)) if !continues(said) => {
                    self.jump(state.epoch, self.beginning(state));
                    Some(Step::Reset { epoch: state.epoch })
                }
                Verified::Says(_) if !changed => Some(Step::Asleep),
                // What it may have said was of a log that was another one then, or away.
                _ => {
                    self.verified = Verified::Asked;
                    Some(Step::Read(ReadAfter { limit: 1, ..self.read() }))
                }
            };
        }
        self.verified = Verified::NotAsked;
        if self.cursor.next() < state.floor {
            self.jump(state.epoch, state.floor.previous());
            return Some(Step::Truncated { floor: state.floor });
        }
        None
    }

    /// Counts, once, whether the cursor that the viewer came with could be continued.
    fn note_resume(&mut self, step: Option<&Step>) {
        let undecided = matches!(step, Some(Step::Read(_) | Step::Asleep));
        let Some(metrics) = self.resuming.take_if(|_| !undecided) else { return };
        match step {
            Some(Step::Reset { .. }) => metrics.resumes.reset.inc(),
            Some(Step::Truncated { .. }) => metrics.resumes.truncated.inc(),
            _ => metrics.resumes.recovered.inc(),
        };
    }

    fn jump(&mut self, epoch: Epoch, to: Offset) {
        self.epoch = Some(epoch);
        self.cursor = to;
        self.told = to;
        self.live = false;
        self.cold.clear();
        self.cold_through = Offset::ZERO;
        self.verified = Verified::NotAsked;
    }

    fn at_the_head(&mut self) -> Step {
        if std::mem::replace(&mut self.live, true) {
            return Step::Asleep;
        }
        self.told = self.cursor;
        Step::Live(self.cursor)
    }

    fn advance(&mut self, state: LogState, budget: usize) -> Option<Step> {
        if let Some(batch) = self.cold.pop_front() {
            return Some(self.hand_out_cold(batch, budget));
        }
        if self.cursor < self.cold_through {
            self.cursor = self.cold_through;
            return self.tell_skipped();
        }
        match self.interest.log().frames_after(self.cursor) {
            Some(batch) if batch.epoch == state.epoch => {
                let step = self.hand_out_hot(batch.within(budget));
                self.rests = self.live && self.cursor == state.head;
                step
            }
            _ => {
                self.live = false;
                Some(Step::Read(self.read()))
            }
        }
    }

    fn read(&self) -> ReadAfter {
        let whole = self.filter == Filter::default();
        let window = self.filter.window();
        let (limit, bytes) = self.page;
        // The first page begins where that of others does who come at the same time, so that one read serves them all.
        let goes_on = self.cursor == self.cold_through || self.fell_short;
        let after = if whole && !goes_on { shared_start(self.cursor, limit) } else { self.cursor };
        ReadAfter { after, limit, bytes, window, filter: self.filter.clone() }
    }

    fn hand_out_hot(&mut self, batch: FrameBatch) -> Option<Step> {
        self.cursor = batch.last();
        let wanted = batch.frames().iter().rev().find(|frame| self.filter.wants(frame.kind, &frame.invocation));
        match wanted {
            Some(frame) => {
                self.told = frame.offset;
                Some(Step::Frames(batch))
            }
            None => self.tell_skipped(),
        }
    }

    /// What was read was filtered by the store.
    fn hand_out_cold(&mut self, batch: FrameBatch, budget: usize) -> Step {
        let part = batch.within(budget);
        if let Some(rest) = batch.after(part.last()) {
            self.cold.push_front(rest);
        }
        self.cursor = part.last();
        self.told = self.cursor;
        Step::Frames(part)
    }

    /// After a jump over what the filter left out: says so now and then, not each time.
    fn tell_skipped(&mut self) -> Option<Step> {
        if self.cursor < self.told.plus(TELL_SKIPPED) {
            return None;
        }
        self.told = self.cursor;
        Some(Step::Skipped(self.cursor))
    }
}

/// The place at or before `cursor` at which pages of so many activities begin.
fn shared_start(cursor: Offset, limit: usize) -> Offset {
    let limit = (limit as u64).max(1);
    Offset::new(cursor.get() / limit * limit).unwrap_or_default()
}

#[cfg(test)]
mod tests;
