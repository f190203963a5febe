//! Where a session stands: told in heartbeats, and when it has to go elsewhere.

use std::time::Duration;

use super::{Entry, Session, Subscription, protocol::ServerMessage};
use crate::{
    hub::Slot,
    model::{Cursor, TaskId, Timestamp},
};

impl Session {
    /// Says where all logs stand, and how far filters have come.
    pub(crate) fn heartbeat(&mut self) {
        let mut skipped = Vec::new();
        let mut heads = Vec::new();
        for (_, entry) in &mut self.slots {
            if let Subscription::Task(task, follower) = &mut entry.subscription {
                skipped.extend(follower.take_skipped().map(|offset| (task.clone(), offset)));
                heads.push((task.clone(), follower.head()));
            }
        }
        for (task, offset) in &skipped {
            self.say(&ServerMessage::Cursor { task, offset: *offset });
        }
        self.say(&ServerMessage::Heartbeat { timestamp: Timestamp::now(), heads: heads.iter().map(|(t, o)| (t, *o)).collect() });
    }

    /// Tells the client to come back after a while, and where it stands.
    pub(crate) fn drain(&mut self, reconnect_after: Duration) {
        let cursors: Vec<(TaskId, Cursor)> = self.cursors();
        let cursors = cursors.iter().map(|(task, cursor)| (task, *cursor)).collect();
        let millis = u64::try_from(reconnect_after.as_millis()).unwrap_or(u64::MAX);
        self.say(&ServerMessage::Drain { reconnect_after_ms: millis, cursors });
    }

    fn cursors(&self) -> Vec<(TaskId, Cursor)> {
        let of = |(_, entry): &(Slot, Entry)| match &entry.subscription {
            Subscription::Task(task, follower) => Some((task.clone(), follower.cursor()?)),
            Subscription::List(_) => None,
        };
        self.slots.iter().filter_map(of).collect()
    }
}
