//! What is committed, as it was seen in the store after every commit: the truth that everything else is held against.

use std::collections::BTreeMap;

use crate::{
    model::{ActivityType, Epoch, EventId, Filter, InvocationId, LogState, Offset, TaskId},
    store::gated::Seen,
};

/// All that ever was.
#[derive(Debug, Default)]
pub(super) struct Book {
    tasks: BTreeMap<TaskId, Vec<Life>>,
}

/// One life of a log.
#[derive(Debug)]
pub(super) struct Life {
    pub(super) epoch: Epoch,
    pub(super) floor: u64,
    pub(super) head: u64,
    /// It is over: the task was deleted, or its log has another life.
    pub(super) over: bool,
    entries: BTreeMap<u64, Entry>,
}

/// A committed activity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) event: EventId,
    pub(super) kind: ActivityType,
    pub(super) invocation: InvocationId,
    pub(super) data: String,
    series: Option<(String, bool)>,
}

impl Book {
    /// The lives of a task, the newest last.
    pub(super) fn lives(&self, task: &TaskId) -> &[Life] {
        self.tasks.get(task).map_or(&[], Vec::as_slice)
    }

    /// A life by its epoch.
    pub(super) fn life(&self, task: &TaskId, epoch: Epoch) -> Option<&Life> {
        self.lives(task).iter().find(|life| life.epoch == epoch)
    }

    /// The life that goes on.
    pub(super) fn living(&self, task: &TaskId) -> Option<&Life> {
        self.lives(task).last().filter(|life| !life.over)
    }

    /// Which of a task's lives it is, the same in every run.
    pub(super) fn number(&self, task: &TaskId, epoch: Epoch) -> String {
        let place = self.lives(task).iter().position(|life| life.epoch == epoch);
        place.map_or_else(|| "?".to_owned(), |place| place.to_string())
    }

    /// From where on the store is to be read of a log that stands there now; nothing if all of it is known.
    pub(super) fn unread(&self, task: &TaskId, state: LogState) -> Option<Offset> {
        match self.living(task) {
            Some(life) if life.epoch == state.epoch && life.head == state.head.get() => None,
            Some(life) if life.epoch == state.epoch => Offset::new(life.head),
            _ => Some(Offset::ZERO),
        }
    }

    /// What the store says of where all logs stand, and what was not known of them. Says what is wrong with that.
    pub(super) fn note(&mut self, logs: &[(TaskId, LogState)], mut unread: BTreeMap<TaskId, Vec<Seen>>) -> Result<(), String> {
        for (task, lives) in &mut self.tasks {
            let now = logs.iter().find(|(name, _)| name == task).map(|(_, state)| state.epoch);
            if let Some(life) = lives.last_mut().filter(|life| Some(life.epoch) != now) {
                life.over = true;
            }
        }
        for (task, state) in logs {
            let lives = self.tasks.entry(task.clone()).or_default();
            if lives.last().is_none_or(|life| life.over) {
                if lives.iter().any(|life| life.epoch == state.epoch) {
                    return Err(format!("{task}: a life that was over goes on"));
                }
                lives.push(Life::new(*state));
            }
            let Some(life) = lives.last_mut() else { continue };
            life.grow(task, *state, unread.remove(task).unwrap_or_default())?;
        }
        Ok(())
    }

    /// Whether the store still holds what it held: called with everything that it has.
    pub(super) fn compare(&self, task: &TaskId, all: &[Seen]) -> Result<(), String> {
        let Some(life) = self.living(task) else { return Err(format!("{task}: stored, and never seen")) };
        let kept: Vec<_> = life.entries.range(life.floor..).collect();
        let same = kept.len() == all.len()
            && kept.iter().zip(all).all(|((offset, entry), seen)| **offset == seen.offset.get() && **entry == Entry::of(seen));
        if same { Ok(()) } else { Err(format!("{task}: what is stored is not what was committed")) }
    }
}

impl Life {
    fn new(state: LogState) -> Self {
        Self { epoch: state.epoch, floor: state.floor.get(), head: 0, over: false, entries: BTreeMap::new() }
    }

    fn grow(&mut self, task: &TaskId, state: LogState, rows: Vec<Seen>) -> Result<(), String> {
        let before = self.entries.is_empty();
        let expected = if before { state.floor.get().max(self.head + 1) } else { self.head + 1 };
        for (row, expected) in rows.iter().zip(expected..) {
            if row.offset.get() != expected {
                return Err(format!("{task}: {} was committed where {expected} comes next", row.offset));
            }
            // What is trimmed is not remembered any more: sent again, it is another activity.
            if self.entries.range(state.floor.get()..).any(|(_, entry)| entry.event == row.event) {
                return Err(format!("{task}: the event at {} was committed twice", row.offset));
            }
            self.entries.insert(row.offset.get(), Entry::of(row));
        }
        if state.head.get() < self.head || state.floor.get() < self.floor {
            return Err(format!("{task}: a log goes back from {}..{} to {}..{}", self.floor, self.head, state.floor, state.head));
        }
        if rows.last().is_some_and(|last| last.offset != state.head) {
            return Err(format!("{task}: the head is {} and not that of the last activity", state.head));
        }
        (self.head, self.floor) = (state.head.get(), state.floor.get());
        Ok(())
    }

    /// What is committed there.
    pub(super) fn at(&self, offset: u64) -> Option<&Entry> {
        self.entries.get(&offset)
    }

    /// Everything that is committed or was.
    pub(super) fn entries(&self) -> impl Iterator<Item = (u64, &Entry)> {
        self.entries.iter().map(|(offset, entry)| (*offset, entry))
    }

    /// The first offset of the range that a viewer with this filter must not miss.
    pub(super) fn wanted(&self, from: u64, to: u64, filter: &Filter) -> Option<u64> {
        if to < from {
            return None;
        }
        self.entries.range(from..=to).find(|(_, entry)| self.must_be_shown(entry, filter)).map(|(offset, _)| *offset)
    }

    fn must_be_shown(&self, entry: &Entry, filter: &Filter) -> bool {
        if !filter.wants(entry.kind, &entry.invocation) {
            return false;
        }
        match &entry.series {
            // A piece may be left out once the whole is there.
            Some((series, false)) if filter.finished_series => {
                let whole = Some((series.clone(), true));
                !self.entries.values().any(|other| other.invocation == entry.invocation && other.series == whole)
            }
            _ => true,
        }
    }
}

impl Entry {
    fn of(seen: &Seen) -> Self {
        Self {
            event: seen.event,
            kind: seen.kind.parse().expect("a stored type"),
            invocation: seen.invocation.parse().expect("a stored id"),
            data: seen.data.clone(),
            series: seen.series.clone(),
        }
    }
}
