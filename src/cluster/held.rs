//! What a node has heard on a task's channel and must not forget yet: a standby until the owner's ack, a coming owner until it is in charge.

use std::{
    collections::{BTreeMap, HashMap},
    hash::{Hash, Hasher},
};

use crate::model::{EventId, NewActivity};

/// Messages of one task, in order.
#[derive(Debug, Clone, Default)]
pub(super) struct Held {
    messages: BTreeMap<u64, Message>,
    places: HashMap<EventId, u64>,
    next: u64,
    weight: usize,
    count: usize,
}

#[derive(Debug, Clone)]
struct Message {
    activities: Vec<NewActivity>,
    weight: usize,
    /// Those with an `eventId` that no ack named yet.
    open: usize,
    /// Whether there are others, which no ack will ever name.
    anonymous: bool,
    heard: std::time::Instant,
}

impl Held {
    /// Keeps a message.
    pub(super) fn push(&mut self, activities: Vec<NewActivity>, heard: std::time::Instant) {
        let (number, weight) = (self.next, weight(&activities));
        self.next += 1;
        let mut open = 0;
        for activity in activities.iter().filter(|activity| activity.event_id_given) {
            // The same event again: the first message answers for it.
            if let std::collections::hash_map::Entry::Vacant(place) = self.places.entry(activity.activity.event_id) {
                place.insert(number);
                open += 1;
            }
        }
        let anonymous = activities.iter().any(|activity| !activity.event_id_given);
        if open == 0 && !anonymous {
            return;
        }
        self.weight += weight;
        self.count += activities.len();
        self.messages.insert(number, Message { activities, weight, open, anonymous, heard });
    }

    /// A message came by that need not be kept.
    pub(super) fn pass_over(&mut self) {
        self.next += 1;
    }

    /// These are stored or refused: a message of which nothing is left is let go.
    pub(super) fn settled(&mut self, events: impl IntoIterator<Item = EventId>) {
        for event in events {
            let Some(number) = self.places.remove(&event) else { continue };
            let Some(message) = self.messages.get_mut(&number) else { continue };
            message.open -= 1;
            if message.open == 0 && !message.anonymous {
                self.remove(number);
            }
        }
    }

    /// The events that were heard before `before` and are not settled.
    pub(super) fn open_since(&self, before: std::time::Instant) -> Vec<EventId> {
        let old = |number: &u64| self.messages.get(number).is_some_and(|message| message.heard <= before);
        self.places.iter().filter(|(_, number)| old(number)).map(|(event, _)| *event).collect()
    }

    /// The number of the next message, of all that came by: what is held now comes before it.
    pub(super) fn next_number(&self) -> u64 {
        self.next
    }

    /// When the oldest message was heard that is still held.
    pub(super) fn oldest(&self) -> Option<std::time::Instant> {
        self.messages.first_key_value().map(|(_, message)| message.heard)
    }

    /// Whether something before this number is held.
    pub(super) fn has_before(&self, number: u64) -> bool {
        self.messages.first_key_value().is_some_and(|(first, _)| *first < number)
    }

    /// The oldest message if it comes before this number, without those of its activities that are settled.
    pub(super) fn pop_before(&mut self, number: u64) -> Option<Vec<NewActivity>> {
        if self.has_before(number) { self.pop() } else { None }
    }

    /// The oldest message, without those of its activities that are settled.
    pub(super) fn pop(&mut self) -> Option<Vec<NewActivity>> {
        let number = *self.messages.first_key_value()?.0;
        let places = &mut self.places;
        let mut message = self.messages.remove(&number)?;
        self.weight -= message.weight;
        self.count -= message.activities.len();
        message.activities.retain(|activity| {
            !activity.event_id_given || places.get(&activity.activity.event_id).is_some_and(|place| *place == number)
        });
        for activity in &message.activities {
            places.remove(&activity.activity.event_id);
        }
        Some(message.activities)
    }

    /// Forgets the activities without an `eventId` from this number on.
    pub(super) fn drop_anonymous(&mut self, since: u64) {
        for message in self.messages.range_mut(since..).map(|(_, message)| message).filter(|message| message.anonymous) {
            message.anonymous = false;
            message.activities.retain(|activity| activity.event_id_given);
            let less = weight(&message.activities);
            self.weight -= message.weight - less;
            message.weight = less;
        }
        self.messages.retain(|_, message| message.open != 0 || message.anonymous);
        self.count = self.messages.values().map(|message| message.activities.len()).sum();
        self.weight = self.messages.values().map(|message| message.weight).sum();
    }

    /// How many bytes it keeps, about.
    pub(super) fn weight(&self) -> usize {
        self.weight
    }

    /// How many activities it keeps.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    pub(super) fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    fn remove(&mut self, number: u64) {
        if let Some(message) = self.messages.remove(&number) {
            self.weight -= message.weight;
            self.count -= message.activities.len();
        }
    }
}

/// What decides what becomes of it: two that hash alike go on alike.
impl Hash for Held {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.next.hash(state);
        for (number, message) in &self.messages {
            let activities = message.activities.iter();
            let open = activities.map(|new| (new.activity.event_id, self.places.get(&new.activity.event_id) == Some(number)));
            (number, message.anonymous, message.heard, open.collect::<Vec<_>>()).hash(state);
        }
    }
}

fn weight(activities: &[NewActivity]) -> usize {
    activities.iter().map(NewActivity::weight).sum()
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::model::{Activity, ActivityType, Data, Effect, Timestamp};

    fn activity(id: u8, given: bool) -> NewActivity {
        let activity = Activity {
            event_id: EventId::from_bytes([id; 16]),
            invocation: "r".parse().expect("valid"),
            kind: ActivityType::Output,
            timestamp: Timestamp::default(),
            received_at: Timestamp::default(),
            data: Data::empty(),
        };
        NewActivity { activity, event_id_given: given, effect: Effect::SignOfLife, series: None, sealed_by: None }
    }

    fn ids(activities: &[NewActivity]) -> Vec<u8> {
        activities.iter().map(|activity| activity.activity.event_id.as_bytes()[0]).collect()
    }

    fn id(n: u8) -> EventId {
        EventId::from_bytes([n; 16])
    }

    #[test]
    fn what_is_settled_goes_and_the_rest_keeps_its_order() {
        let mut held = Held::default();
        let now = Instant::now();
        held.push(vec![activity(1, true), activity(2, true)], now);
        held.push(vec![activity(3, true)], now);
        held.push(vec![activity(4, true)], now);
        held.settled([id(2), id(3), id(9)]);
        assert_eq!(held.count(), 3, "a message goes as a whole");
        assert_eq!(held.pop().map(|some| ids(&some)), Some(vec![1]));
        assert_eq!(held.pop().map(|some| ids(&some)), Some(vec![4]));
        assert!(held.pop().is_none() && held.is_empty());
        assert_eq!((held.weight(), held.count()), (0, 0));
    }

    #[test]
    fn anonymous_activities_stay_until_they_are_dropped() {
        let mut held = Held::default();
        held.push(vec![activity(1, true), activity(2, false)], Instant::now());
        held.push(vec![activity(3, false)], Instant::now());
        held.settled([id(1)]);
        assert_eq!(held.pop().map(|some| ids(&some)), Some(vec![2]));
        held.push(vec![activity(4, true), activity(5, false)], Instant::now());
        held.drop_anonymous(0);
        assert_eq!(held.pop().map(|some| ids(&some)), Some(vec![4]));
        assert!(held.is_empty());
    }

    #[test]
    fn an_event_heard_twice_is_held_once() {
        let mut held = Held::default();
        held.push(vec![activity(1, true)], Instant::now());
        held.push(vec![activity(1, true)], Instant::now());
        assert_eq!(held.open_since(Instant::now()), [id(1)]);
        held.settled([id(1)]);
        assert!(held.is_empty());
    }
}
