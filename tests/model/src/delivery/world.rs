//! A store, nodes with a ring each, hints between them that come as they like, and viewers who come and go.

use std::collections::BTreeMap;

use super::{
    Broken, PAGE, Page, RING, State,
    follower::{Follower, Said},
    log::{Fill, Load, Log},
};

/// What follows a commit at the node that made it, in order (`writer/tell.rs`, `Hub::{committed, changed, deleted}`).
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum News {
    Committed(u8, u8),
    Changed(State),
    Deleted,
}

/// `broker::Hint`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Hint {
    Frames(u8, u8),
    Notice(u8, u8),
}

/// One node.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Node {
    pub log: Option<Log>,
    pub news: Vec<News>,
    /// On their way here, in no order.
    pub hints: Vec<Hint>,
    /// What the sweep has read and not told the log yet.
    pub swept: Option<Option<State>>,
}

/// What a session does for its follower.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Phase {
    Ready,
    Asleep,
    /// A page is to be read after this.
    Reading(u8),
    Arriving(Page),
}

/// A viewer's connection.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Session {
    pub node: u8,
    pub follower: Follower,
    pub phase: Phase,
}

/// What a viewer has seen, and the promise that was broken to it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Viewer {
    pub session: Option<Session>,
    /// The last place that it was shown or told.
    pub place: Option<(u8, u8)>,
    /// It was told where deliveries go on, but not which offset is next: the oldest that is kept.
    anew: bool,
    pub wrong: Option<&'static str>,
    pub ended: bool,
}

/// Everything.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct World {
    pub store: Option<State>,
    epochs: u8,
    /// Of each life of the log, how far it ever went.
    committed: BTreeMap<u8, u8>,
    pub nodes: Vec<Node>,
    pub viewers: Vec<Viewer>,
    pub appends: u8,
    pub changes: u8,
    pub repeats: u8,
    pub departures: u8,
}

impl World {
    pub fn new(nodes: u8, viewers: u8) -> Self {
        Self {
            nodes: vec![Node::default(); usize::from(nodes)],
            viewers: vec![Viewer::default(); usize::from(viewers)],
            ..Self::default()
        }
    }

    /// `Store::append`: the offset is assigned in the commit; a log that is not there is made.
    pub fn append(&mut self, node: usize, broken: Option<Broken>) {
        self.appends += 1;
        if broken == Some(Broken::ToldBeforeCommit) {
            let (epoch, head) = self.store.map_or((self.epochs + 1, 0), |state| (state.epoch, state.head));
            return self.nodes[node].news.push(News::Committed(epoch, head + 1));
        }
        let state = self.store.get_or_insert_with(|| {
            self.epochs += 1;
            State { epoch: self.epochs, head: 0, floor: 1 }
        });
        state.head += 1;
        self.committed.insert(state.epoch, state.head);
        self.nodes[node].news.push(News::Committed(state.epoch, state.head));
    }

    /// `Store::bite`, by retention at node 0.
    pub fn trim(&mut self) {
        let Some(state) = &mut self.store else { return };
        self.changes += 1;
        state.floor += 1;
        self.nodes[0].news.push(News::Changed(*state));
    }

    /// `Store::delete_task`.
    pub fn delete(&mut self, node: usize) {
        self.changes += 1;
        self.store = None;
        self.nodes[node].news.push(News::Deleted);
    }

    /// `Store::settle` finds an older database: the log lives another life, and nobody says so.
    pub fn renew(&mut self) {
        let Some(state) = &mut self.store else { return };
        self.changes += 1;
        self.epochs += 1;
        *state = State { epoch: self.epochs, head: state.head - 1, floor: state.floor };
        self.committed.insert(state.epoch, state.head);
    }

    /// `Store::read_after`.
    fn read_after(&self, after: u8) -> Option<Page> {
        let state = self.store?;
        let first = (after + 1).max(state.floor);
        let last = state.head.min(first + PAGE - 1);
        let offsets: Vec<_> = (first..=last).collect();
        let through = offsets.last().copied().unwrap_or(state.head.max(after));
        Some(Page { found: true, state, through, offsets })
    }

    /// What the node says of its oldest commit: to its own hub, and as a hint to the others.
    pub fn tell(&mut self, node: usize, broken: Option<Broken>) {
        let news = self.nodes[node].news.remove(0);
        let hint = match &news {
            News::Committed(epoch, offset) => Hint::Frames(*epoch, *offset),
            News::Changed(state) => Hint::Notice(state.epoch, state.head),
            // A random epoch: no other is like it.
            News::Deleted => Hint::Notice(u8::MAX, 0),
        };
        for (index, other) in self.nodes.iter_mut().enumerate() {
            if index != node && other.log.is_some() {
                other.hints.push(hint.clone());
                other.hints.sort_unstable();
            }
        }
        if let Some(log) = &mut self.nodes[node].log {
            match news {
                News::Committed(epoch, offset) => log.apply((epoch, offset), RING, broken),
                News::Changed(state) => log.observe(Some(state), RING),
                News::Deleted => log.replace(None),
            }
        }
    }

    /// `feed::listen` takes a hint.
    pub fn feed(&mut self, node: usize, hint: usize, stays: bool, broken: Option<Broken>) {
        let hints = &mut self.nodes[node].hints;
        let hint = if stays { hints[hint].clone() } else { hints.remove(hint) };
        let Some(log) = &mut self.nodes[node].log else { return };
        match hint {
            Hint::Frames(epoch, offset) => log.apply((epoch, offset), RING, broken),
            Hint::Notice(epoch, head) => log.heard_of(epoch, head),
        }
    }

    /// `resync::load_state` takes its next step.
    pub fn load(&mut self, node: usize) {
        let store = self.store;
        let Some(log) = &mut self.nodes[node].log else { return };
        match log.load {
            None => {}
            Some(Load::Wanted) => log.begin_load(),
            Some(Load::Begun { overtaken }) => log.load = Some(Load::Read { overtaken, state: store }),
            Some(Load::Read { .. }) => log.loaded(),
        }
    }

    /// `resync::fill_gap` takes its next step.
    pub fn fill(&mut self, node: usize, broken: Option<Broken>) {
        let Some(mut log) = self.nodes[node].log.take() else { return };
        match log.fill {
            None => {}
            Some(Fill::Wanted) => {
                log.fill =
                    log.gap().map(|(epoch, after)| Fill::Read { epoch, after, overtaken: false, page: self.read_after(after) });
            }
            Some(Fill::Read { .. }) => log.filled(RING, broken),
        }
        self.nodes[node].log = Some(log);
    }

    /// `resync::sweep` reads where the log stands, or, once it has, tells the log.
    pub fn sweep(&mut self, node: usize, broken: Option<Broken>) {
        let store = self.store;
        let Node { log: Some(log), swept, .. } = &mut self.nodes[node] else { return };
        match swept.take() {
            None => *swept = Some(store),
            Some(seen) if broken != Some(Broken::SweepDoesNotCompare) => log.observe(seen, RING),
            Some(_) => {}
        }
    }

    /// `Hub::follow`: the viewer comes to a node, with its cursor if it has one.
    pub fn follow(&mut self, viewer: usize, node: u8) {
        self.nodes[usize::from(node)].log.get_or_insert_with(Log::watched);
        let viewer = &mut self.viewers[viewer];
        let follower = Follower::new(viewer.place);
        viewer.session = Some(Session { node, follower, phase: Phase::Ready });
    }

    /// `resync::forget_idle`.
    pub fn forget_idle(&mut self, node: usize) {
        self.nodes[node] = Node { news: std::mem::take(&mut self.nodes[node].news), ..Node::default() };
    }

    pub fn is_idle(&self, node: usize) -> bool {
        let here = |viewer: &Viewer| viewer.session.as_ref().is_some_and(|session| usize::from(session.node) == node);
        self.nodes[node].log.is_some() && !self.viewers.iter().any(here)
    }

    /// `Session::turn`, or the read that it waits for.
    pub fn turn(&mut self, index: usize, broken: Option<Broken>) {
        let Some(mut session) = self.viewers[index].session.take() else { return };
        let node = usize::from(session.node);
        session.phase = match session.phase {
            Phase::Asleep => Phase::Asleep,
            Phase::Reading(after) => {
                let page = self.read_after(after).unwrap_or(Page {
                    found: false,
                    state: State { epoch: 0, head: 0, floor: 1 },
                    through: after,
                    offsets: Vec::new(),
                });
                if let Some(log) = &mut self.nodes[node].log {
                    log.observe(page.found.then_some(page.state), RING);
                }
                Phase::Arriving(page)
            }
            Phase::Arriving(page) => {
                session.follower.supply(&page, broken);
                Phase::Ready
            }
            Phase::Ready => {
                let Some(log) = &self.nodes[node].log else { return };
                match session.follower.next(log, PAGE, broken) {
                    Said::Asleep => Phase::Asleep,
                    Said::Read(after) => Phase::Reading(after),
                    said => {
                        self.show(index, &said);
                        if said == Said::Deleted {
                            return;
                        }
                        if session.follower.rests { Phase::Asleep } else { Phase::Ready }
                    }
                }
            }
        };
        self.viewers[index].session = Some(session);
    }

    /// What the viewer makes of what it is told, and whether it may be told so.
    fn show(&mut self, index: usize, said: &Said) {
        let store = self.store;
        let committed = |(epoch, offset): (u8, u8)| self.committed.get(&epoch).is_some_and(|head| offset <= *head);
        // Nothing that is kept may be passed over.
        let skips = |(epoch, offset): (u8, u8)| store.is_some_and(|now| now.epoch == epoch && now.floor < offset);
        let viewer = &mut self.viewers[index];
        let wrong = match *said {
            Said::Begun(after) => {
                if viewer.place.is_none() {
                    viewer.anew = true;
                    viewer.place = after;
                }
                (after != viewer.place && after.is_some()).then_some("begun elsewhere")
            }
            Said::Reset(epoch) => {
                let goes_on = store.is_some_and(|now| viewer.place.is_some_and(|(of, at)| of == now.epoch && at <= now.head));
                viewer.place = Some((epoch, 0));
                viewer.anew = true;
                goes_on.then_some("reset though it could go on")
            }
            Said::Truncated(epoch, floor) => {
                viewer.place = Some((epoch, floor - 1));
                skips((epoch, floor)).then_some("truncated above the floor")
            }
            Said::Frame(frame) => {
                let follows = match viewer.place {
                    Some((epoch, _)) if viewer.anew => epoch == frame.0 && !skips(frame),
                    Some((epoch, offset)) => (epoch, offset + 1) == frame,
                    None => !skips(frame),
                };
                viewer.anew = false;
                viewer.place = Some(frame);
                match (committed(frame), follows) {
                    (false, _) => Some("shown but not committed"),
                    (_, false) => Some("not once and in order"),
                    _ => None,
                }
            }
            Said::Deleted => {
                viewer.ended = true;
                None
            }
            Said::Live | Said::Read(_) | Said::Asleep => None,
        };
        viewer.wrong = viewer.wrong.or(wrong);
    }

    /// `Audience::tell` and the mailbox: whoever follows a log that has shown something is woken.
    pub fn wake(&mut self, broken: Option<Broken>) {
        for (index, node) in self.nodes.iter_mut().enumerate() {
            let shown = node.log.as_mut().is_some_and(|log| std::mem::take(&mut log.shown));
            let sessions = self.viewers.iter_mut().filter_map(|viewer| viewer.session.as_mut());
            for session in sessions.filter(|session| shown && usize::from(session.node) == index) {
                session.follower.changed = true;
                if session.phase == Phase::Asleep && broken != Some(Broken::NobodyWoken) {
                    session.phase = Phase::Ready;
                }
            }
        }
    }

    /// All hints that are still on their way are lost; the sweep comes; whatever waits is done, until nothing happens any more.
    pub fn settle(&mut self, broken: Option<Broken>) {
        for node in 0..self.nodes.len() {
            while !self.nodes[node].news.is_empty() {
                self.tell(node, broken);
            }
        }
        self.nodes.iter_mut().for_each(|node| node.hints.clear());
        for _ in 0..3 {
            for node in 0..self.nodes.len() {
                self.sweep(node, broken);
                self.sweep(node, broken);
            }
            loop {
                let before = self.clone();
                self.wake(broken);
                (0..self.nodes.len()).for_each(|node| {
                    self.load(node);
                    self.fill(node, broken);
                });
                self.wake(broken);
                (0..self.viewers.len()).for_each(|viewer| self.turn(viewer, broken));
                if *self == before {
                    break;
                }
            }
        }
    }
}
