//! `src/hub/follower.rs` without a filter, which begins with the oldest where it has no cursor.

use super::{Broken, Page, State, log::Log};

/// `Step`, as far as a viewer or its session sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said {
    /// Begun, going on after this.
    Begun(Option<(u8, u8)>),
    Reset(u8),
    /// In this life, going on with this.
    Truncated(u8, u8),
    Frame((u8, u8)),
    Live,
    /// `ReadAfter::after`.
    Read(u8),
    Asleep,
    Deleted,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Verified {
    NotAsked,
    Asked,
    Says(Option<State>),
}

/// `Follower`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Follower {
    came_with: Option<(u8, u8)>,
    begun: bool,
    epoch: Option<u8>,
    cursor: u8,
    live: bool,
    cold: Vec<(u8, u8)>,
    cold_through: u8,
    verified: Verified,
    waiting: bool,
    fell_short: bool,
    pub rests: bool,
    /// Whether the view has changed since it was looked at.
    pub changed: bool,
}

impl Follower {
    pub fn new(after: Option<(u8, u8)>) -> Self {
        Self {
            came_with: after,
            begun: false,
            epoch: None,
            cursor: 0,
            live: false,
            cold: Vec::new(),
            cold_through: 0,
            verified: Verified::NotAsked,
            waiting: false,
            fell_short: false,
            rests: false,
            changed: false,
        }
    }

    /// `Follower::next`.
    pub fn next(&mut self, log: &Log, limit: u8, broken: Option<Broken>) -> Said {
        loop {
            if let Some(said) = self.step(log, limit, broken) {
                return said;
            }
        }
    }

    /// `Follower::supply`.
    pub fn supply(&mut self, page: &Page, broken: Option<Broken>) {
        let state = page.found.then_some(page.state);
        if self.verified == Verified::Asked {
            self.verified = Verified::Says(state);
            return;
        }
        let fits = state.is_some_and(|state| Some(state.epoch) == self.epoch && state.floor <= self.cursor + 1)
            || broken == Some(Broken::AnyPageFits) && page.found;
        self.fell_short = page.through <= self.cursor;
        if fits && !self.fell_short {
            let offsets = page.offsets.iter().filter(|offset| self.cursor < **offset);
            self.cold = offsets.map(|offset| (page.state.epoch, *offset)).collect();
            self.cold_through = page.through;
        }
        self.waiting = !fits;
    }

    fn step(&mut self, log: &Log, limit: u8, broken: Option<Broken>) -> Option<Said> {
        self.rests = false;
        let changed = std::mem::take(&mut self.changed);
        let view = log.view;
        if !view.loaded || (self.waiting && !changed) {
            return Some(Said::Asleep);
        }
        self.waiting = false;
        if !self.begun {
            return Some(self.begin(view.log));
        }
        let Some(state) = view.log else {
            return Some(if self.epoch.is_some() { Said::Deleted } else { Said::Asleep });
        };
        let said = self.reconcile(state, limit, broken);
        if said.is_some() {
            return said;
        }
        if self.cursor == state.head {
            return Some(if std::mem::replace(&mut self.live, true) { Said::Asleep } else { Said::Live });
        }
        self.advance(log, state, limit, broken)
    }

    fn begin(&mut self, log: Option<State>) -> Said {
        self.begun = true;
        if let Some(state) = log {
            let (epoch, cursor) = self.came_with.take().unwrap_or((state.epoch, state.floor - 1));
            (self.epoch, self.cursor) = (Some(epoch), cursor);
        }
        Said::Begun(self.epoch.map(|epoch| (epoch, self.cursor)))
    }

    fn reconcile(&mut self, state: State, limit: u8, broken: Option<Broken>) -> Option<Said> {
        let cursor = self.came_with.take().or(self.epoch.map(|epoch| (epoch, self.cursor)));
        if cursor.is_none() && broken == Some(Broken::FloorOverlooked) {
            self.epoch = Some(state.epoch);
            return None;
        }
        let cursor = cursor.unwrap_or((state.epoch, 0));
        (self.epoch, self.cursor) = (Some(cursor.0), cursor.1);
        let ignored = broken == Some(Broken::ResumeIgnoresEpoch);
        let continues = |state: State| (cursor.0 == state.epoch || ignored) && cursor.1 <= state.head;
        if !continues(state) {
            if broken == Some(Broken::ResetWithoutAsking) {
                self.verified = Verified::Says(Some(state));
            }
            return match self.verified {
                Verified::NotAsked | Verified::Asked => {
                    self.verified = Verified::Asked;
                    Some(Said::Read(self.read(limit)))
                }
                Verified::Says(Some(said)) if !continues(said) => {
                    self.jump(state.epoch, state.floor - 1);
                    Some(Said::Reset(state.epoch))
                }
                Verified::Says(_) => Some(Said::Asleep),
            };
        }
        self.verified = Verified::NotAsked;
        if self.cursor + 1 < state.floor {
            self.jump(state.epoch, state.floor - 1);
            return (broken != Some(Broken::TruncatedUnsaid)).then_some(Said::Truncated(state.epoch, state.floor));
        }
        None
    }

    fn jump(&mut self, epoch: u8, to: u8) {
        self.epoch = Some(epoch);
        self.cursor = to;
        self.live = false;
        self.cold.clear();
        self.cold_through = 0;
        self.verified = Verified::NotAsked;
    }

    fn advance(&mut self, log: &Log, state: State, limit: u8, broken: Option<Broken>) -> Option<Said> {
        if !self.cold.is_empty() {
            let frame = self.cold.remove(0);
            self.cursor = frame.1;
            return Some(Said::Frame(frame));
        }
        if self.cursor < self.cold_through {
            self.cursor = self.cold_through;
            return None;
        }
        match log.frames_after(self.cursor, broken) {
            Some(frame) if frame.0 == state.epoch => {
                self.cursor = frame.1;
                self.rests = self.live && self.cursor == state.head;
                Some(Said::Frame(frame))
            }
            _ => {
                self.live = false;
                Some(Said::Read(self.read(limit)))
            }
        }
    }

    fn read(&self, limit: u8) -> u8 {
        let goes_on = self.cursor == self.cold_through || self.fell_short;
        if goes_on { self.cursor } else { self.cursor / limit * limit }
    }
}
