//! Who publishes, what they were answered, and whether the answers hold.

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;
use parking_lot::Mutex;
use serde_json::json;

use super::{book::Book, chance::Chance};
use crate::{
    config::Settings,
    ingest::{IngestLimits, Item, parse_body},
    model::{ActivityType, EventId, NewActivity, TaskId, Timestamp},
    store::{Receipt, Refusal},
    writer::{Results, Writer, WriterError},
};

const RUNS: [&str; 2] = ["r", "s"];
const SERIES: [&str; 2] = ["x", "y"];

/// Everybody who publishes.
#[derive(Debug)]
pub(super) struct Publishers {
    limits: IngestLimits,
    /// What all activities were taken at: long ago, so that ages do not depend on when the simulation runs.
    at: Timestamp,
    sent: Vec<Sent>,
    requests: BTreeMap<u64, Request>,
    next_request: u64,
    answers: Answers,
    /// Receipts are made wrong: see [`super::lies`].
    misleads: bool,
}

type Answers = Arc<Mutex<Vec<(u64, Result<Results, WriterError>)>>>;

/// An activity that was sent at least once.
#[derive(Debug)]
struct Sent {
    task: TaskId,
    event: EventId,
    text: String,
    data: String,
    receipts: Vec<Receipt>,
    refused: bool,
}

/// A request that is not answered yet.
#[derive(Debug)]
struct Request {
    birth: u64,
    items: Vec<usize>,
}

impl Publishers {
    pub(super) fn new(misleads: bool) -> Self {
        let at = Timestamp::from_millis(1_700_000_000_000).expect("small");
        let limits = Settings::default().ingest_limits();
        let (sent, requests, answers) = (Vec::new(), BTreeMap::new(), Answers::default());
        Self { limits, at, sent, requests, next_request: 0, answers, misleads }
    }

    /// Makes an activity.
    pub(super) fn make(&mut self, task: &TaskId, chance: &mut Chance) -> usize {
        let number = self.sent.len();
        let run = chance.of(&RUNS);
        let (kind, data) = match chance.below(10) {
            0 => ("status", json!({"n": number, "status": chance.of(&["running", "completed", "failed"])})),
            1..4 => ("message", json!({"n": number, "seriesId": chance.of(&SERIES), "delta": true, "text": "a"})),
            4 => ("message", json!({"n": number, "seriesId": chance.of(&SERIES), "final": true, "text": "aaa"})),
            5 => ("output", json!({"n": number, "text": "x".repeat(chance.of(&[10, 200, 500]))})),
            _ => (chance.of(&["output", "progress", "usage"]), json!({"n": number})),
        };
        let event = EventId::derived(number.to_string().as_bytes());
        let text = json!({"invocationId": run, "type": kind, "eventId": event.to_string(), "data": data}).to_string();
        let (task, data, receipts) = (task.clone(), data.to_string(), Vec::new());
        self.sent.push(Sent { task, event, text, data, receipts, refused: false });
        number
    }

    /// Sends activities of one task to a node; they were sent before, or not.
    pub(super) fn send(&mut self, items: Vec<usize>, writer: &Writer, birth: u64) {
        let task = self.sent[items[0]].task.clone();
        let activities = items.iter().map(|item| self.activity(*item)).collect();
        let number = self.next_request;
        self.next_request += 1;
        self.requests.insert(number, Request { birth, items });
        let (writer, answers) = (writer.clone(), self.answers.clone());
        tokio::spawn(async move {
            let answer = writer.append(task, activities).await;
            answers.lock().push((number, answer));
        });
    }

    fn activity(&self, item: usize) -> NewActivity {
        let sent = &self.sent[item];
        let mut body = parse_body(&Bytes::from(sent.text.clone()), &sent.task, self.at, &self.limits).expect("a body");
        match body.items.pop() {
            Some(Ok(Item::Activity(activity))) => *activity,
            other => panic!("no activity: {other:?}"),
        }
    }

    /// What was sent to this task so far.
    pub(super) fn sent_to(&self, task: &TaskId) -> Vec<usize> {
        self.sent.iter().enumerate().filter(|(_, sent)| sent.task == *task).map(|(item, _)| item).collect()
    }

    /// What is not known to be stored or refused, and is on no way.
    pub(super) fn unanswered(&self) -> Vec<usize> {
        let under_way: Vec<usize> = self.requests.values().flat_map(|request| request.items.clone()).collect();
        let open = |(item, sent): &(usize, &Sent)| sent.receipts.is_empty() && !sent.refused && !under_way.contains(item);
        self.sent.iter().enumerate().filter(open).map(|(item, _)| item).collect()
    }

    /// Whether an answer is waited for.
    pub(super) fn waits(&self) -> bool {
        !self.requests.is_empty()
    }

    /// A node is gone: what it was asked is not answered any more.
    pub(super) fn forget(&mut self, birth: u64) {
        self.requests.retain(|_, request| request.birth != birth);
    }

    /// Takes the answers that came, and says which one is wrong. Gives what came, in words.
    pub(super) fn hear(&mut self, book: &Book) -> Result<Vec<String>, String> {
        let mut answers = std::mem::take(&mut *self.answers.lock());
        answers.sort_by_key(|(number, _)| *number);
        let mut words = Vec::new();
        for (number, answer) in answers {
            let Some(request) = self.requests.remove(&number) else { continue };
            let results = match answer {
                Ok(results) => results,
                Err(error) => {
                    words.push(format!("request {number}: {error}"));
                    continue;
                }
            };
            if results.len() != request.items.len() {
                return Err(format!("request {number}: {} results for {} activities", results.len(), request.items.len()));
            }
            for (item, result) in request.items.iter().zip(results) {
                let sent = &mut self.sent[*item];
                match result {
                    Ok(mut receipt) => {
                        if self.misleads && *item == 7 {
                            receipt.cursor.offset = receipt.cursor.offset.next();
                        }
                        words.push(format!(
                            "#{item} is at {}{}",
                            receipt.cursor.offset,
                            if receipt.duplicate { " again" } else { "" }
                        ));
                        sent.receive(receipt, book).map_err(|wrong| format!("#{item} of {}: {wrong}", sent.task))?;
                    }
                    Err(refusal) => {
                        words.push(format!("#{item} is refused: {}", refusal.code()));
                        sent.refuse(&refusal, book).map_err(|wrong| format!("#{item} of {}: {wrong}", sent.task))?;
                    }
                }
            }
        }
        Ok(words)
    }

    /// Whether all receipts still hold, and nothing is stored that nobody sent.
    pub(super) fn check(&self, book: &Book) -> Result<(), String> {
        for sent in &self.sent {
            for receipt in &sent.receipts {
                sent.holds(receipt, book)?;
            }
            for life in book.lives(&sent.task) {
                let other = life.entries().find(|(_, entry)| entry.event == sent.event && entry.data != sent.data);
                if let Some((offset, entry)) = other {
                    return Err(format!("{} at {offset}: stored is {}, sent was {}", sent.task, entry.data, sent.data));
                }
            }
        }
        Ok(())
    }

    /// Whether an event was made by the hub itself, which only says of runs that they ended.
    pub(super) fn is_known(&self, event: EventId, kind: ActivityType) -> bool {
        kind == ActivityType::Status || self.sent.iter().any(|sent| sent.event == event)
    }
}

impl Sent {
    fn receive(&mut self, receipt: Receipt, book: &Book) -> Result<(), String> {
        if receipt.event_id != self.event {
            return Err(format!("a receipt for {}", receipt.event_id));
        }
        self.holds(&receipt, book)?;
        // It is remembered as long as it is kept.
        let floor = book.life(&self.task, receipt.cursor.epoch).map_or(0, |life| life.floor);
        let same = |before: &&Receipt| before.cursor.epoch == receipt.cursor.epoch && floor <= before.cursor.offset.get();
        let before = self.receipts.iter().find(same);
        match before {
            Some(before) if before.cursor != receipt.cursor => {
                Err(format!("it was at {} and is said to be at {}", before.cursor.offset, receipt.cursor.offset))
            }
            Some(_) if !receipt.duplicate => Err("it was stored already, and is said to be new".to_owned()),
            _ => {
                self.receipts.push(receipt);
                Ok(())
            }
        }
    }

    /// Only what it says of a run can be refused, and nothing that is stored.
    fn refuse(&mut self, refusal: &Refusal, book: &Book) -> Result<(), String> {
        let kept =
            book.living(&self.task).and_then(|life| life.entries().find(|(at, it)| life.floor <= *at && it.event == self.event));
        self.refused = true;
        match (refusal, kept) {
            (Refusal::Transition { .. }, None) => Ok(()),
            (_, Some((offset, _))) => Err(format!("it is stored at {offset}, and refused")),
            (other, None) => Err(format!("refused as {}", other.code())),
        }
    }

    fn holds(&self, receipt: &Receipt, book: &Book) -> Result<(), String> {
        let at = receipt.cursor;
        let entry = book.life(&self.task, at.epoch).and_then(|life| life.at(at.offset.get()));
        match entry {
            Some(entry) if entry.event == self.event => Ok(()),
            other => Err(format!("the receipt says {}, where there is {other:?}", at.offset)),
        }
    }
}
