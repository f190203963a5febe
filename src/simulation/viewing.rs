//! What viewers do: they come, ask, read and go.

use std::sync::Arc;

use super::{
    book::Book,
    lies::Lie,
    viewer::{Connection, Viewer, heard, subscribe},
    watcher::{Begin, Heard, Watcher},
    world::{Broken, World},
};
use crate::{
    model::{ActivityType, Cursor, Filter, Offset, TaskId},
    session::Session,
};

impl World<'_> {
    /// A viewer connects and continues where it stands, or begins.
    pub(super) fn connect(&mut self, viewer: usize, number: usize) {
        let Some(node) = self.nodes[number].as_ref() else { return };
        let options = Arc::new(self.shape.session.clone());
        let session = Session::by_hand(node.hub.clone(), options, node.metrics.clone(), node.relay.clone());
        let mut connection = Connection::new(node.birth, session, self.lie == Some(Lie::Sleeps));
        let viewer = &mut self.viewers[viewer];
        for watcher in viewer.watchers.values_mut() {
            watcher.is_cut_off();
            let after = watcher.cursor();
            watcher.subscribes(after);
            let text = subscribe(watcher, after.map(|cursor| cursor.to_string()));
            // A queue that is full of hello takes no message yet: this one is first.
            connection.session.receive(&text);
        }
        viewer.connection = Some(connection);
    }

    /// A watcher as chance has it.
    pub(super) fn watcher(&mut self, task: TaskId) -> Watcher {
        let chance = &mut self.chance;
        let filter = Filter {
            types: chance.of(&[
                vec![],
                vec![],
                vec![],
                vec![ActivityType::Output],
                vec![ActivityType::Message, ActivityType::Status],
            ]),
            invocation: chance.of(&[None, None, None, Some("r")]).map(|run: &str| run.parse().expect("valid")),
            finished_series: chance.percent(25),
        };
        let begin = chance.of(&[Begin::Oldest, Begin::Oldest, Begin::Next, Begin::Last(2)]);
        Watcher::new(task, filter, begin)
    }

    /// A viewer subscribes, after its own cursor, or after one that is damaged, of the future or of another life.
    pub(super) fn subscribe(&mut self, viewer: usize, task: &TaskId) {
        let fresh = self.watcher(task.clone());
        let odd = self.chance.below(12);
        let other = self.book.lives(task).first().map(|life| life.epoch);
        let invented: Option<Cursor> = match odd {
            0 => "12345678-3".parse().ok(),
            1 => other.map(|epoch| Cursor { epoch, offset: Offset::new(1_000).unwrap_or_default() }),
            2 => other.map(|epoch| Cursor { epoch, offset: Offset::new(1).unwrap_or_default() }),
            _ => None,
        };
        let Viewer { watchers, connection: Some(connection) } = &mut self.viewers[viewer] else { return };
        if odd == 3 {
            let says = format!(r#"{{"op":"subscribe","task":"{task}","after":"12345678-"}}"#);
            connection.faults += usize::from(connection.say(&says));
            return;
        }
        let known = watchers.get(task).cloned();
        if known.as_ref().is_some_and(|known| !known.may_subscribe()) {
            return;
        }
        let mut watcher = known.unwrap_or(fresh);
        let after = invented.or(watcher.cursor());
        watcher.subscribes(after);
        if connection.say(&subscribe(&watcher, after.map(|cursor| cursor.to_string()))) {
            watchers.insert(task.clone(), watcher);
        }
    }

    /// A viewer that was told that a task is gone asks for it again.
    pub(super) fn subscribe_again(&mut self, viewer: usize) {
        let Viewer { watchers, connection: Some(connection) } = &mut self.viewers[viewer] else { return };
        for watcher in watchers.values_mut().filter(|watcher| watcher.is_out()) {
            let after = watcher.cursor();
            if connection.say(&subscribe(watcher, after.map(|cursor| cursor.to_string()))) {
                watcher.subscribes(after);
            }
        }
    }

    /// A client reads, and what it reads is held against what is committed.
    pub(super) fn read(&mut self, viewer: usize, bytes: usize) -> Result<(), Broken> {
        let Viewer { watchers, connection: Some(connection) } = &mut self.viewers[viewer] else { return Ok(()) };
        let mut messages = connection.read(bytes);
        if let Some(lie) = self.lie {
            lie.tell(&mut messages, &mut self.chance);
        }
        for message in messages {
            match message["op"].as_str() {
                Some("error") if message["code"] == "invalid_cursor" && 0 < connection.faults => connection.faults -= 1,
                Some("error") => return Err(format!("v{viewer} hears {message}")),
                Some("drain") => {
                    for (task, watcher) in &mut *watchers {
                        let cursor = message["cursors"][task.as_str()].as_str().and_then(|text| text.parse().ok());
                        if let Some(cursor) = cursor {
                            watcher.hears(&Heard::Drain(cursor), &self.book)?;
                        }
                    }
                }
                Some("heartbeat") => {
                    for (task, head) in message["heads"].as_object().into_iter().flatten() {
                        let task: TaskId = task.parse().map_err(|_| "a head of no task")?;
                        let highest = self.book.lives(&task).iter().map(|life| life.head).max().unwrap_or_default();
                        if highest < head.as_u64().unwrap_or(u64::MAX) {
                            return Err(format!("v{viewer} hears of a head of {head}, the highest is {highest}"));
                        }
                    }
                }
                _ => {}
            }
            let Some((task, heard)) = heard(&message) else { continue };
            let book = &self.book;
            self.trace.note(|| format!("  v{viewer} hears {task}: {}", words(&heard, &task, book)));
            if let Some(watcher) = watchers.get_mut(&task) {
                watcher.hears(&heard, book).map_err(|wrong| format!("v{viewer}: {wrong}"))?;
            }
        }
        Ok(())
    }

    /// One viewer has its turn, or reads all there is; says whether any had something to do.
    pub(super) fn read_all(&mut self) -> Result<bool, Broken> {
        for number in 0..self.viewers.len() {
            let Some(connection) = &mut self.viewers[number].connection else { continue };
            if connection.is_awake() {
                connection.turn(self.shape.socket);
                return Ok(true);
            }
            if connection.has_unread() {
                return self.read(number, usize::MAX).map(|()| true);
            }
        }
        Ok(false)
    }
}

/// What was heard, in words that are the same in every run.
fn words(heard: &Heard, task: &TaskId, book: &Book) -> String {
    let life = |cursor: &Cursor| format!("{}-{}", book.number(task, cursor.epoch), cursor.offset);
    match heard {
        Heard::Subscribed { epoch, floor, head, after } => {
            let epoch = epoch.map(|epoch| book.number(task, epoch));
            format!("subscribed to {epoch:?}, {floor}..{head}, after {:?}", after.as_ref().map(life))
        }
        Heard::Activity { cursor, .. } => life(cursor),
        Heard::Reset(epoch) => format!("reset to {}", book.number(task, *epoch)),
        Heard::Drain(cursor) => format!("drain at {}", life(cursor)),
        other => format!("{other:?}"),
    }
}
