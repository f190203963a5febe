//! A batch on its way over Redis, without I/O: what goes into the next message, what was answered, and what must be sent again.
//!
//! Redis says only that somebody heard a message. That an activity is stored is said later, by its `eventId`, on the task's ack
//! channel; until then it is sent again and again, in order, and the hub stores it once.

use std::borrow::Cow;

use bytes::Bytes;
use serde::Deserialize;

use super::{
    error::printable,
    publish::{ItemResult, Refusal, array},
};
use crate::model::{EventId, Fields};

/// The most bytes of a message. An activity that is larger by itself is refused here: no hub would answer it.
pub(super) const MESSAGE_BYTES: usize = 256 * 1024;

/// The most activities of a message.
const MESSAGE_ACTIVITIES: usize = 500;

/// What hubs say on a task's ack channel: what they stored, and what they refused.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Answer<'a> {
    #[serde(borrow)]
    event_ids: Vec<Cow<'a, str>>,
    rejected: Vec<Rejected>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Rejected {
    event_id: Option<String>,
    #[serde(flatten)]
    refusal: Refusal,
}

impl<'a> Answer<'a> {
    /// Nothing if these are not the words of a hub; other programs may speak on the channel as well.
    pub(crate) fn read(payload: &'a [u8]) -> Option<Self> {
        serde_json::from_slice(payload).ok()
    }
}

/// A batch and what became of it so far.
#[derive(Debug, Default)]
pub(crate) struct Delivery {
    items: Vec<Item>,
}

#[derive(Debug)]
struct Item {
    text: Bytes,
    /// None of a heartbeat, which is answered by nobody.
    event_id: Option<EventId>,
    result: Option<ItemResult>,
}

/// An array of activities that are not answered.
#[derive(Debug)]
pub(super) struct Message {
    /// What is published.
    pub payload: Bytes,
    /// Which items of the batch it holds.
    items: Vec<usize>,
}

impl Delivery {
    /// What could never be confirmed is refused at once, and is not sent.
    pub(crate) fn new(activities: &[Bytes]) -> Self {
        let items = activities.iter().map(|text| {
            let (event_id, result) = match event_id(text) {
                Ok(event_id) => (event_id, None),
                Err(refusal) => (None, Some(ItemResult::Refused(refusal))),
            };
            Item { text: text.clone(), event_id, result }
        });
        Self { items: items.collect() }
    }

    /// Whether it is of exactly these activities.
    pub(super) fn is_of(&self, activities: &[Bytes]) -> bool {
        self.items.len() == activities.len() && self.items.iter().zip(activities).all(|(item, text)| item.text == text)
    }

    /// The next message: the first activities that are not answered. Nothing once all are.
    pub(super) fn message(&self) -> Option<Message> {
        let (mut items, mut bytes) = (Vec::new(), 2);
        for (index, item) in self.items.iter().enumerate().filter(|(_, item)| item.result.is_none()) {
            bytes += item.text.len() + 1;
            if MESSAGE_ACTIVITIES <= items.len() || (!items.is_empty() && MESSAGE_BYTES < bytes) {
                break;
            }
            items.push(index);
        }
        let payload = array(items.iter().map(|index| &self.items[*index].text));
        (!items.is_empty()).then(|| Message { payload: payload.into(), items })
    }

    /// A hub took the message: for heartbeats that is all there is to know.
    pub(super) fn taken(&mut self, message: &Message) {
        for index in &message.items {
            let item = &mut self.items[*index];
            if item.event_id.is_none() {
                item.result = Some(ItemResult::Heartbeat);
            }
        }
    }

    /// Notes what a hub said. The first answer about an activity stands. Gives how many were answered by this.
    pub(crate) fn answered(&mut self, answer: Answer<'_>) -> usize {
        let stored = answer.event_ids.iter().map(|text| (text.as_ref().parse().ok(), None));
        let refused = answer.rejected.into_iter().map(|rejected| {
            let id = rejected.event_id.and_then(|text| text.parse().ok());
            (id, Some(rejected.refusal))
        });
        let mut count = 0;
        for (id, refusal) in stored.chain(refused).filter_map(|(id, refusal)| Some((id?, refusal))) {
            let open = |item: &&mut Item| item.result.is_none() && item.event_id == Some(id);
            for item in self.items.iter_mut().filter(open) {
                item.result = Some(match &refusal {
                    None => ItemResult::Acknowledged(id),
                    Some(Refusal { code, field, message }) => ItemResult::Refused(Refusal {
                        code: printable(code),
                        field: field.as_deref().map(printable),
                        message: printable(message),
                    }),
                });
                count += 1;
            }
        }
        count
    }

    /// How many of the message's activities are not answered.
    pub(super) fn open(&self, message: &Message) -> usize {
        message.items.iter().filter(|index| self.items[**index].result.is_none()).count()
    }

    /// What became of this activity, if that is known.
    pub(super) fn known(&self, activity: &Bytes) -> Option<&ItemResult> {
        self.items.iter().find(|item| item.text == activity).and_then(|item| item.result.as_ref())
    }

    /// What became of each, once all are answered.
    pub(crate) fn results(self) -> Vec<ItemResult> {
        self.items.into_iter().filter_map(|item| item.result).collect()
    }
}

/// The key by which an activity will be answered; none of a heartbeat.
fn event_id(text: &Bytes) -> Result<Option<EventId>, Refusal> {
    let refused = |code: &str, field: Option<&str>, message: String| Refusal {
        code: code.to_owned(),
        field: field.map(str::to_owned),
        message,
    };
    let fields: Fields<'_> = serde_json::from_slice(text)
        .map_err(|error| refused("invalid_json", None, format!("it is not a JSON object: {error}")))?;
    if MESSAGE_BYTES < text.len() + 2 {
        let message = format!("{} bytes; over Redis an activity has at most {}", text.len(), MESSAGE_BYTES - 2);
        return Err(refused("activity_too_large", None, message));
    }
    let mut given = fields.0.iter().filter(|(name, _)| name == "eventId").map(|(_, value)| value);
    if fields.0.iter().any(|(name, value)| name == "type" && value.get() == r#""heartbeat""#) {
        return Ok(None);
    }
    let field = Some("eventId");
    let (Some(value), None) = (given.next(), given.next()) else {
        let message = "over Redis an activity needs one eventId: its answer names it".to_owned();
        return Err(refused("invalid_event_id", field, message));
    };
    let invalid = |error: String| refused("invalid_event_id", field, error);
    serde_json::from_str::<EventId>(value.get()).map(Some).map_err(|error| invalid(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: usize) -> String {
        format!("0190c6a4-7c1e-7000-8000-{number:012}")
    }

    fn activity(number: usize, padding: usize) -> Bytes {
        format!(r#"{{"eventId":"{}","type":"custom","data":{{"p":"{}"}}}}"#, id(number), "x".repeat(padding)).into()
    }

    fn ids(message: &Message) -> Vec<usize> {
        let array: Vec<serde_json::Value> = serde_json::from_slice(&message.payload).expect("an array");
        let number = |item: &serde_json::Value| item["eventId"].as_str().and_then(|id| id[24..].parse().ok());
        array.iter().map(|item| number(item).expect("an id")).collect()
    }

    fn answer(delivery: &mut Delivery, payload: &str) -> usize {
        delivery.answered(Answer::read(payload.as_bytes()).expect("an answer"))
    }

    #[test]
    fn exactly_what_is_not_answered_is_sent_again_in_order() {
        let mut delivery = Delivery::new(&(0..5).map(|number| activity(number, 0)).collect::<Vec<_>>());
        let message = delivery.message().expect("a message");
        assert_eq!((ids(&message), delivery.open(&message)), (vec![0, 1, 2, 3, 4], 5));
        let stored = format!(r#"{{"invocationId":"r","eventIds":["{}","{}","{}"]}}"#, id(1), id(3).to_uppercase(), id(77));
        assert_eq!((answer(&mut delivery, &stored), answer(&mut delivery, &stored)), (2, 0));
        let message = delivery.message().expect("a message");
        assert_eq!(ids(&message), [0, 2, 4]);
        let refused = format!(r#"{{"rejected":[{{"eventId":"{}","code":"a","message":"b","field":"data"}}]}}"#, id(2));
        assert_eq!((answer(&mut delivery, &refused), delivery.open(&message)), (1, 2));
        assert!(matches!(delivery.known(&activity(2, 0)), Some(ItemResult::Refused(_))));
        assert!(delivery.known(&activity(0, 0)).is_none() && delivery.known(&activity(3, 0)).is_some());
        answer(&mut delivery, &format!(r#"{{"eventIds":["{}","{}","{}"]}}"#, id(0), id(2), id(4)));
        assert!(delivery.message().is_none());
        let results = delivery.results();
        assert!(matches!(&results[2], ItemResult::Refused(refusal) if refusal.to_string() == "b (a, field data)"));
        assert!([0, 1, 3, 4].iter().all(|index| matches!(results[*index], ItemResult::Acknowledged(_))));
    }

    #[test]
    fn a_message_is_bounded_in_bytes_and_count() {
        let mut delivery = Delivery::new(&(0..9).map(|number| activity(number, 60_000)).collect::<Vec<_>>());
        for expected in [vec![0, 1, 2, 3], vec![4, 5, 6, 7], vec![8]] {
            let message = delivery.message().expect("a message");
            assert!(message.payload.len() <= MESSAGE_BYTES);
            assert_eq!(ids(&message), expected);
            for number in expected {
                answer(&mut delivery, &format!(r#"{{"eventIds":["{}"]}}"#, id(number)));
            }
        }
        let many = Delivery::new(&(0..1_000).map(|number| activity(number, 0)).collect::<Vec<_>>());
        assert_eq!(ids(&many.message().expect("a message")).len(), MESSAGE_ACTIVITIES);
    }

    #[test]
    fn a_heartbeat_is_done_when_a_hub_took_it() {
        let mut delivery = Delivery::new(&[r#"{"invocationId":"r","type":"heartbeat"}"#.into(), activity(1, 0)]);
        let message = delivery.message().expect("a message");
        delivery.taken(&message);
        assert_eq!(ids(&delivery.message().expect("a message")), [1]);
    }

    #[test]
    fn what_no_hub_could_answer_is_refused_here() {
        let texts = [
            (r#"{"type":"custom"}"#.to_owned(), "invalid_event_id"),
            (r#"{"type":"custom","eventId":"x"}"#.to_owned(), "invalid_event_id"),
            (r#"{"type":"custom","eventId":7}"#.to_owned(), "invalid_event_id"),
            (format!(r#"{{"eventId":"{}","eventId":"{}"}}"#, id(1), id(2)), "invalid_event_id"),
            ("[]".to_owned(), "invalid_json"),
            (String::from_utf8(activity(1, MESSAGE_BYTES).to_vec()).expect("UTF-8"), "activity_too_large"),
        ];
        for (text, code) in texts {
            let delivery = Delivery::new(&[Bytes::from(text)]);
            assert!(delivery.message().is_none());
            assert!(matches!(&delivery.results()[..], [ItemResult::Refused(refusal)] if refusal.code == code), "{code}");
        }
        assert!(Answer::read(b"PONG").is_none() && Answer::read(br#"["x"]"#).is_none());
    }
}
