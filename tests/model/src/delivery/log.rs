//! `src/hub/log.rs` and `src/hub/resync.rs`, as far as they decide anything: every batch has one frame.

use super::{Broken, Need, Page, State};

/// `View`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct View {
    pub loaded: bool,
    pub log: Option<State>,
}

/// `resync::load_state`, between its steps.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Load {
    /// About to begin.
    Wanted,
    /// Begun; the store has not been read. Whether the log was replaced since (the program compares generations).
    Begun { overtaken: bool },
    /// The store has answered.
    Read { overtaken: bool, state: Option<State> },
}

/// `resync::fill_gap`, between its steps.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Fill {
    Wanted,
    /// The store has answered. Whether the log was replaced since (the program compares generations).
    Read {
        epoch: u8,
        after: u8,
        overtaken: bool,
        page: Option<Page>,
    },
}

/// `Log` with its `Ring`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Log {
    pub view: View,
    /// Epoch and offset of each frame.
    pub frames: Vec<(u8, u8)>,
    early: Vec<(u8, u8)>,
    known: Option<(u8, u8)>,
    loading: bool,
    filling: bool,
    pub load: Option<Load>,
    pub fill: Option<Fill>,
    /// Set by `Log::show`: followers are to be woken.
    pub shown: bool,
}

impl Log {
    pub fn watched() -> Self {
        Self {
            view: View::default(),
            frames: Vec::new(),
            early: Vec::new(),
            known: None,
            loading: true,
            filling: false,
            load: Some(Load::Wanted),
            fill: None,
            shown: false,
        }
    }

    fn show(&mut self, view: View) {
        self.view = view;
        self.shown = true;
    }

    fn needs(&mut self, need: Need) {
        match need {
            Need::Nothing => {}
            Need::State => self.load = Some(Load::Wanted),
            Need::Activities => self.fill = Some(Fill::Wanted),
        }
    }

    /// `Hub::apply`.
    pub fn apply(&mut self, frame: (u8, u8), ring: usize, broken: Option<Broken>) {
        let need = self.apply_batch(frame, ring, broken);
        self.needs(need);
    }

    fn apply_batch(&mut self, (epoch, offset): (u8, u8), ring: usize, broken: Option<Broken>) -> Need {
        let (head, floor) = match self.view.log {
            Some(state) if state.epoch == epoch => (state.head, state.floor),
            None if self.view.loaded && offset == 1 => (0, 1),
            _ => {
                self.hear_of(epoch, offset);
                return self.want_state();
            }
        };
        if head + 1 < offset && broken != Some(Broken::HintAppliedAcrossGap) {
            self.hear_of(epoch, offset);
            if !self.early.contains(&(epoch, offset)) {
                self.early.push((epoch, offset));
                self.early.sort_unstable();
            }
            return self.want_activities();
        }
        if offset <= head {
            return Need::Nothing;
        }
        self.push((epoch, offset), ring);
        let mut head = offset;
        while let Some(next) = self.take_early(epoch, head) {
            head = next;
            self.push((epoch, next), ring);
        }
        self.show(View { loaded: true, log: Some(State { epoch, head, floor }) });
        Need::Nothing
    }

    /// `Log::heard_of`.
    pub fn heard_of(&mut self, epoch: u8, head: u8) {
        let need = match self.view {
            View { loaded: false, .. } => {
                self.hear_of(epoch, head);
                Need::Nothing
            }
            View { log: Some(state), .. } if state.epoch == epoch && head <= state.head => Need::Nothing,
            View { log: Some(state), .. } if state.epoch == epoch => {
                self.hear_of(epoch, head);
                self.want_activities()
            }
            _ => self.want_state(),
        };
        self.needs(need);
    }

    /// `Log::observe`.
    pub fn observe(&mut self, seen: Option<State>, ring: usize) {
        let need = match (self.view.log, seen) {
            _ if !self.view.loaded => Need::Nothing,
            (None, None) => Need::Nothing,
            (Some(state), Some(seen)) if state.epoch == seen.epoch => {
                let floor = state.floor.max(seen.floor.min(state.head + 1));
                if state.floor < floor {
                    self.show(View { loaded: true, log: Some(State { floor, ..state }) });
                }
                if seen.head <= state.head {
                    Need::Nothing
                } else {
                    self.hear_of(seen.epoch, seen.head);
                    if ring < usize::from(seen.head - state.head) {
                        self.clear();
                        self.show(View { loaded: true, log: Some(seen) });
                        Need::Nothing
                    } else {
                        self.want_activities()
                    }
                }
            }
            _ => self.want_state(),
        };
        self.needs(need);
    }

    /// `Log::replace`.
    pub fn replace(&mut self, state: Option<State>) {
        if let Some(Load::Begun { overtaken } | Load::Read { overtaken, .. }) = &mut self.load {
            *overtaken = true;
        }
        if let Some(Fill::Read { overtaken, .. }) = &mut self.fill {
            *overtaken = true;
        }
        self.clear();
        self.known = None;
        self.show(View { loaded: true, log: state });
    }

    /// `Log::begin_load`.
    pub fn begin_load(&mut self) {
        self.known = None;
        self.load = Some(Load::Begun { overtaken: false });
    }

    /// `Log::loaded`.
    pub fn loaded(&mut self) {
        let Some(Load::Read { overtaken, state }) = self.load.take() else { return };
        let epoch = state.map(|state| state.epoch);
        if overtaken || self.known.is_some_and(|(heard, _)| Some(heard) != epoch) {
            self.load = Some(Load::Wanted);
            return;
        }
        self.loading = false;
        if !self.view.loaded || self.view.log.map(|log| log.epoch) != epoch {
            self.clear();
            self.show(View { loaded: true, log: state });
        } else {
            self.show(self.view);
            if let Some(state) = state {
                self.hear_of(state.epoch, state.head);
            }
        }
        let need = match (self.view.log, self.known) {
            (Some(log), Some((_, known))) if log.head < known => self.want_activities(),
            _ => Need::Nothing,
        };
        self.needs(need);
    }

    /// `Log::gap`.
    pub fn gap(&mut self) -> Option<(u8, u8)> {
        let gap = match (self.view.log, self.known) {
            (Some(state), Some((epoch, known))) if state.epoch == epoch && state.head < known => Some((epoch, state.head)),
            _ => None,
        };
        self.filling = gap.is_some();
        gap
    }

    /// What `resync::fill_gap` does with what it read.
    pub fn filled(&mut self, ring: usize, broken: Option<Broken>) {
        let Some(Fill::Read { epoch, after, overtaken, page }) = self.fill.take() else { return };
        match page {
            Some(page) if page.state.epoch == epoch && page.state.floor <= after + 1 => {
                for offset in page.offsets {
                    self.apply((epoch, offset), ring, broken);
                }
            }
            // `Log::correct`.
            page if !overtaken => self.replace(page.map(|page| page.state)),
            _ => {}
        }
        self.fill = Some(Fill::Wanted);
    }

    /// `Log::frames_after`.
    pub fn frames_after(&self, cursor: u8, broken: Option<Broken>) -> Option<(u8, u8)> {
        let newest = self.frames.last()?;
        if newest.1 <= cursor + 1 {
            return (cursor < newest.1).then_some(*newest);
        }
        if cursor + 1 < self.frames.first()?.1 && broken != Some(Broken::EvictedFramesSkipped) {
            return None;
        }
        self.frames.iter().find(|(_, offset)| cursor < *offset).copied()
    }

    fn push(&mut self, frame: (u8, u8), ring: usize) {
        self.frames.push(frame);
        if ring < self.frames.len() {
            self.frames.remove(0);
        }
    }

    fn take_early(&mut self, epoch: u8, head: u8) -> Option<u8> {
        while self.early.first().is_some_and(|(_, offset)| *offset <= head + 1) {
            let (of, offset) = self.early.remove(0);
            if of == epoch && head < offset {
                return Some(offset);
            }
        }
        None
    }

    fn clear(&mut self) {
        self.early.clear();
        self.frames.clear();
    }

    fn hear_of(&mut self, epoch: u8, offset: u8) {
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
