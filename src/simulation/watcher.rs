//! What a viewer of one task must and must not hear. It knows what the viewer heard and what is committed, and nothing of how the hub works.

use crate::model::{Cursor, Epoch, Filter, Offset, TaskId};

use super::book::{Book, Life};

/// Where a viewer without a usable cursor wants to begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Begin {
    Oldest,
    Next,
    Last(u64),
}

/// What a viewer hears of a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Heard {
    Subscribed {
        epoch: Option<Epoch>,
        floor: u64,
        head: u64,
        after: Option<Cursor>,
    },
    Activity {
        cursor: Cursor,
        offset: u64,
        event: String,
        kind: String,
        invocation: String,
        data: String,
    },
    Live(u64),
    /// A filter skipped this far.
    Skipped(u64),
    Truncated(u64),
    Reset(Epoch),
    Deleted,
    /// The node stops: go on there.
    Drain(Cursor),
}

/// How sure it is where deliveries go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum From {
    /// Right after the last one.
    Exactly,
    /// With the oldest that is kept.
    Oldest,
    /// Somewhere.
    Anywhere,
}

/// A viewer's place in one log, over all its connections.
#[derive(Debug, Clone)]
pub(super) struct Watcher {
    task: TaskId,
    filter: Filter,
    begin: Begin,
    epoch: Option<Epoch>,
    last: u64,
    from: From,
    held: Held,
    /// It has asked in the place of a subscription that held on the same connection.
    is_replaced: bool,
}

/// How its subscription stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Held {
    No,
    /// It has asked. Of a subscription that is replaced by that, something may still be on its way.
    Asked,
    Yes,
}

impl Watcher {
    pub(super) fn new(task: TaskId, filter: Filter, begin: Begin) -> Self {
        Self { task, filter, begin, epoch: None, last: 0, from: From::Anywhere, held: Held::No, is_replaced: false }
    }

    pub(super) fn task(&self) -> &TaskId {
        &self.task
    }

    pub(super) fn filter(&self) -> &Filter {
        &self.filter
    }

    pub(super) fn begin(&self) -> Begin {
        self.begin
    }

    /// What it continues after, if it has heard anything that it can continue.
    pub(super) fn cursor(&self) -> Option<Cursor> {
        self.epoch.map(|epoch| Cursor { epoch, offset: Offset::new(self.last).unwrap_or_default() })
    }

    /// Whether it may subscribe: an earlier wish was fulfilled.
    pub(super) fn may_subscribe(&self) -> bool {
        self.held != Held::Asked
    }

    /// Whether it was told that there is nothing to follow any more.
    pub(super) fn is_out(&self) -> bool {
        self.held == Held::No
    }

    /// Its connection is gone.
    pub(super) fn is_cut_off(&mut self) {
        self.held = Held::No;
    }

    /// It subscribes, again or for the first time, after this.
    pub(super) fn subscribes(&mut self, after: Option<Cursor>) {
        self.is_replaced = self.held == Held::Yes;
        self.held = Held::Asked;
        (self.epoch, self.last) = (after.map(|cursor| cursor.epoch), after.map_or(0, |cursor| cursor.offset.get()));
        self.from = From::Exactly;
    }

    /// It hears this. Says which promise that breaks.
    pub(super) fn hears(&mut self, heard: &Heard, book: &Book) -> Result<(), String> {
        let before = self.place(book);
        let wrong = |what: String| Err(format!("{before}: {what}: {heard:?}"));
        match (self.held, heard) {
            (Held::Asked, Heard::Subscribed { .. }) | (Held::Yes, _) => {}
            (Held::Asked, _) if self.is_replaced => return Ok(()),
            _ => return wrong("without a subscription".to_owned()),
        }
        let result = match heard {
            Heard::Subscribed { epoch, floor, head, after } => self.subscribed(*epoch, *floor, *head, *after, book),
            Heard::Activity { .. } => self.shown(heard, book),
            Heard::Live(offset) | Heard::Skipped(offset) => self.moves(*offset, book),
            Heard::Truncated(floor) => self.truncated(*floor, book),
            Heard::Reset(epoch) => self.reset(*epoch, book),
            Heard::Deleted => self.deleted(book),
            // What it came with and was not looked at yet is given back as it is.
            Heard::Drain(cursor) if Some(cursor.epoch) == self.epoch && Some(*cursor) != self.cursor() => {
                self.moves(cursor.offset.get(), book)
            }
            Heard::Drain(_) => Ok(()),
        };
        result.or_else(wrong)
    }

    /// It has been quiet for long enough. Says what it should have heard by now.
    pub(super) fn rests(&self, book: &Book) -> Result<(), String> {
        let missing = |what: String| Err(format!("{}: {what}", self.place(book)));
        if self.held == Held::Asked {
            return missing("its subscription was never said to hold".to_owned());
        }
        match (book.living(&self.task), self.epoch) {
            (None, _) => Ok(()),
            (Some(life), Some(epoch)) if life.epoch != epoch => {
                missing("it was never told that the log has another life".to_owned())
            }
            (Some(life), _) => match self.first_missing(life, life.head) {
                Some(offset) => missing(format!("{offset} was never shown; the head is {}", life.head)),
                None => Ok(()),
            },
        }
    }

    /// Where it stands, in words that are the same in every run.
    fn place(&self, book: &Book) -> String {
        let life = self.epoch.map(|epoch| book.number(&self.task, epoch));
        format!("{} at {}-{}", self.task, life.as_deref().unwrap_or("none"), self.last)
    }

    fn subscribed(
        &mut self,
        epoch: Option<Epoch>,
        floor: u64,
        head: u64,
        after: Option<Cursor>,
        book: &Book,
    ) -> Result<(), String> {
        if std::mem::replace(&mut self.held, Held::Yes) == Held::Yes {
            return Err("said twice".to_owned());
        }
        let Some(epoch) = epoch else {
            return if after.is_none() { Ok(()) } else { Err("a place in a log that is not there".to_owned()) };
        };
        let life = book.life(&self.task, epoch).ok_or("a life that never was")?;
        if life.head < head || life.floor < floor {
            return Err(format!("the log stands at {}..{} and never was there", life.floor, life.head));
        }
        let begins = match self.begin {
            Begin::Oldest => floor - 1,
            Begin::Next => head,
            Begin::Last(count) => head.saturating_sub(count).max(floor - 1),
        };
        let expected = match self.cursor() {
            Some(cursor) => cursor,
            None => Cursor { epoch, offset: Offset::new(begins).unwrap_or_default() },
        };
        if after != Some(expected) {
            return Err(format!("it should go on after {expected}"));
        }
        (self.epoch, self.last) = (Some(expected.epoch), expected.offset.get());
        Ok(())
    }

    fn shown(&mut self, heard: &Heard, book: &Book) -> Result<(), String> {
        let Heard::Activity { cursor, offset, event, kind, invocation, data } = heard else { return Ok(()) };
        let life = book.life(&self.task, cursor.epoch).ok_or("nothing of that life was committed")?;
        let entry = life.at(*offset).ok_or("it is not committed")?;
        if (entry.event.to_string(), entry.kind.as_str(), entry.invocation.as_str(), &entry.data)
            != (event.clone(), kind.as_str(), invocation.as_str(), data)
            || cursor.offset.get() != *offset
        {
            return Err(format!("committed is {entry:?}"));
        }
        if self.epoch.is_some_and(|epoch| epoch != cursor.epoch) {
            return Err("another life of the log, and no word of it".to_owned());
        }
        self.epoch = Some(cursor.epoch);
        if *offset <= self.last {
            return Err("again, or out of order".to_owned());
        }
        if !self.filter.wants(entry.kind, &entry.invocation) {
            return Err("the filter leaves it out".to_owned());
        }
        if let Some(missing) = self.first_missing(life, offset - 1) {
            return Err(format!("{missing} was skipped"));
        }
        self.last = *offset;
        self.from = From::Exactly;
        Ok(())
    }

    /// It is told that it has everything up to there.
    fn moves(&mut self, to: u64, book: &Book) -> Result<(), String> {
        // Of a task that was made after it subscribed it does not know the life yet; the next activity tells.
        let Some(epoch) = self.epoch else { return Ok(()) };
        let Some(life) = book.life(&self.task, epoch) else { return Err("of a life that never was".to_owned()) };
        if life.head < to {
            return Err(format!("the head was never there, it is {}", life.head));
        }
        if to < self.last {
            return Err("it was further already".to_owned());
        }
        if let Some(missing) = self.first_missing(life, to) {
            return Err(format!("{missing} was skipped"));
        }
        self.last = to;
        self.from = From::Exactly;
        Ok(())
    }

    fn truncated(&mut self, floor: u64, book: &Book) -> Result<(), String> {
        let highest = match self.epoch {
            Some(epoch) => book.life(&self.task, epoch).map(|life| life.floor),
            None => book.lives(&self.task).iter().map(|life| life.floor).max(),
        };
        if highest.is_none_or(|highest| highest < floor) {
            return Err(format!("the floor was never there, it is {highest:?}"));
        }
        if floor <= self.last + 1 {
            return Err("it could be continued".to_owned());
        }
        self.last = floor - 1;
        self.from = From::Exactly;
        Ok(())
    }

    fn reset(&mut self, epoch: Epoch, book: &Book) -> Result<(), String> {
        if book.life(&self.task, epoch).is_none() {
            return Err("a life that never was".to_owned());
        }
        let own = self.epoch.and_then(|own| book.life(&self.task, own));
        if own.is_some_and(|life| !life.over && self.last <= life.head) {
            return Err("it could be continued".to_owned());
        }
        (self.epoch, self.last) = (Some(epoch), 0);
        self.from = if self.begin == Begin::Oldest { From::Oldest } else { From::Anywhere };
        Ok(())
    }

    fn deleted(&mut self, book: &Book) -> Result<(), String> {
        let mut lives = book.lives(&self.task).iter().filter(|life| self.epoch.is_none_or(|epoch| life.epoch == epoch));
        if self.epoch.is_some_and(|epoch| book.life(&self.task, epoch).is_some()) && lives.all(|life| !life.over) {
            return Err("it is there".to_owned());
        }
        self.held = Held::No;
        Ok(())
    }

    /// The first offset up to `to` that it must have been shown and was not.
    fn first_missing(&self, life: &Life, to: u64) -> Option<u64> {
        match self.from {
            From::Exactly => life.wanted(self.last + 1, to, &self.filter),
            From::Oldest => life.wanted(life.floor.max(self.last + 1), to, &self.filter),
            From::Anywhere => None,
        }
    }
}

#[cfg(test)]
mod tests;
