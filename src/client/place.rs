//! Where a viewer stands in a log, and whether what it hears is whole. Pure: it is told what the hub says, and says what that means.

use super::message::Message;
use crate::model::{Cursor, Offset};

/// Where to begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// With the oldest activity that is kept.
    Beginning,
    /// With what comes next.
    End,
    /// With the last so many.
    Last(u64),
    /// After this cursor.
    After(Cursor),
}

/// What a message means for the viewer's place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Meaning {
    /// It is news.
    News,
    /// It repeats what the viewer has.
    Repeat,
    /// Something before it never came: the connection must be made anew, after the cursor.
    Loss,
}

/// A viewer's place in one log.
#[derive(Debug)]
pub(crate) struct Place {
    start: Start,
    /// Whether every offset is expected to come.
    whole: bool,
    cursor: Option<Cursor>,
    /// Whether the offset after the cursor's is the next to come. After a reset it may be any.
    adjoining: bool,
    /// The task did not exist when following it began: the first offset to come is 1.
    awaits_first: bool,
    /// The place at which the last heartbeat found us behind the head.
    behind_at: Option<Offset>,
}

impl Place {
    /// `whole` if no filter leaves anything out.
    pub(crate) fn new(start: Start, whole: bool) -> Self {
        let cursor = match start {
            Start::After(cursor) => Some(cursor),
            _ => None,
        };
        Self { start, whole, cursor, adjoining: false, awaits_first: false, behind_at: None }
    }

    /// The last place that is known to be seen, to continue after.
    pub(crate) fn cursor(&self) -> Option<Cursor> {
        self.cursor
    }

    /// Where to begin on the next connection.
    pub(crate) fn resume(&self) -> Start {
        self.cursor.map_or(self.start, Start::After)
    }

    /// The task was deleted: should it come again, everything in it is new.
    pub(super) fn forget(&mut self) {
        *self = Self::new(Start::Beginning, self.whole);
    }

    /// Takes note of a message.
    pub(crate) fn hear(&mut self, message: &Message) -> Meaning {
        match *message {
            Message::Subscribed { epoch: Some(epoch), after, .. } => {
                (self.behind_at, self.awaits_first) = (None, false);
                match after {
                    // Of a log whose epoch is not the cursor's a reset tells next.
                    Some(after) if after.epoch == epoch => self.move_to(after, true),
                    _ => {}
                }
                Meaning::News
            }
            Message::Subscribed { epoch: None, .. } => {
                // Whatever the task will hold once it exists is new, wherever we meant to begin.
                self.start = Start::Beginning;
                self.awaits_first = true;
                Meaning::News
            }
            Message::Activity(ref received) => self.advance(received.cursor),
            Message::Live { offset } | Message::Cursor { offset } => self.skip(offset),
            Message::Truncated { floor } => {
                if let Some(cursor) = self.cursor {
                    self.move_to(Cursor { offset: floor.previous(), ..cursor }, true);
                }
                Meaning::News
            }
            Message::Reset { epoch } => {
                self.move_to(Cursor { epoch, offset: Offset::ZERO }, false);
                Meaning::News
            }
            Message::Heartbeat { head: Some(head) } => self.compare(head),
            _ => Meaning::News,
        }
    }

    fn advance(&mut self, to: Cursor) -> Meaning {
        if let Some(from) = self.cursor {
            if from.epoch != to.epoch {
                return Meaning::Loss;
            }
            if to.offset <= from.offset {
                return Meaning::Repeat;
            }
            if self.whole && self.adjoining && from.offset.next() < to.offset {
                return Meaning::Loss;
            }
        } else if self.whole && self.awaits_first && to.offset != Offset::ZERO.next() {
            return Meaning::Loss;
        }
        self.move_to(to, true);
        Meaning::News
    }

    /// Told that everything wanted up to here was sent.
    fn skip(&mut self, offset: Offset) -> Meaning {
        let Some(cursor) = self.cursor.filter(|cursor| cursor.offset < offset) else { return Meaning::News };
        if self.whole && self.adjoining {
            return Meaning::Loss;
        }
        self.move_to(Cursor { offset, ..cursor }, true);
        Meaning::News
    }

    /// Behind the head at two heartbeats, with nothing heard between them: whatever should have come is lost.
    fn compare(&mut self, head: Offset) -> Meaning {
        let at = self.cursor.map_or(Offset::ZERO, |cursor| cursor.offset);
        let was_behind_here = self.behind_at == Some(at);
        self.behind_at = (at < head).then_some(at);
        if at < head && was_behind_here { Meaning::Loss } else { Meaning::News }
    }

    fn move_to(&mut self, cursor: Cursor, adjoining: bool) {
        self.cursor = Some(cursor);
        self.adjoining = adjoining;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio_tungstenite::tungstenite::Utf8Bytes;

    fn message(text: &str) -> Message {
        Message::read(Utf8Bytes::from(text), &"t".parse().expect("valid")).expect("a message")
    }

    fn activity(cursor: &str) -> Message {
        message(&format!(
            r#"{{"op":"activity","taskId":"t","offset":1,"cursor":"{cursor}","invocationId":"r","eventId":"07070707-0707-0707-0707-070707070707","timestamp":1,"receivedAt":2,"type":"message","data":{{}}}}"#
        ))
    }

    fn cursor(text: &str) -> Cursor {
        text.parse().expect("a cursor")
    }

    /// The list that every client shares; see sdk/conformance/README.md.
    #[test]
    fn places_are_kept_as_every_client_keeps_them() {
        #[derive(serde::Deserialize)]
        struct List {
            places: Vec<Shared>,
        }
        #[derive(serde::Deserialize)]
        struct Shared {
            name: String,
            start: serde_json::Value,
            whole: bool,
            hears: Vec<(serde_json::Map<String, serde_json::Value>, String)>,
            resume: serde_json::Value,
        }
        let start = |words: &serde_json::Value| match (words.as_str(), words["last"].as_u64(), words["after"].as_str()) {
            (Some("start"), ..) => Start::Beginning,
            (Some("end"), ..) => Start::End,
            (_, Some(last), _) => Start::Last(last),
            (_, _, after) => Start::After(cursor(after.expect("a place to begin"))),
        };
        let List { places } = serde_json::from_str(include_str!("../../sdk/conformance/places.json")).expect("the list");
        for Shared { name, start: from, whole, hears, resume } in places {
            let mut place = Place::new(start(&from), whole);
            for (said, meaning) in hears {
                let heard = match said["op"].as_str() {
                    Some("activity") => activity(said["cursor"].as_str().expect("a cursor")),
                    _ => message(&serde_json::to_string(&said).expect("JSON")),
                };
                assert_eq!(format!("{:?}", place.hear(&heard)).to_lowercase(), meaning, "{name}: {said:?}");
            }
            assert_eq!(place.resume(), start(&resume), "{name}");
        }
    }
}
