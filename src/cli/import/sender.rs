//! Activities of the past on their way to a hub: in order, in batches, again while that may help, and counted.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use serde_json::Value;
use tokio::time::{Instant, sleep};

use crate::{
    backoff::Backoff,
    cli::{batch::BatchLimits, redact_args::Scrubber},
    client::{Client, ClientError, ItemResult},
    formats::fit,
    model::{ActivityType, EventId, InvocationId, TaskId, Timestamp},
};

/// How many activities wait at most before they are sent.
const WAITING: usize = 1_000;

/// The bounds of the wait between tries.
const RETRY_FIRST: Duration = Duration::from_millis(200);
const RETRY_MOST: Duration = Duration::from_secs(5);

/// An activity of the past.
#[derive(Debug)]
pub(super) struct Past<'a> {
    pub task: &'a TaskId,
    pub invocation: &'a InvocationId,
    pub kind: ActivityType,
    pub event_id: EventId,
    pub time: Timestamp,
    pub data: Value,
    /// Where it was found, for whoever wonders why it was refused.
    pub from: &'a Arc<str>,
}

/// An activity's text, and where it was found.
type Item = (Bytes, Arc<str>);

/// Sends, unless it only counts.
#[derive(Debug)]
pub(super) struct Sender {
    client: Option<Client>,
    scrubber: Scrubber,
    retry_for: Duration,
    limits: BatchLimits,
    waiting: Vec<(TaskId, Vec<Item>)>,
    count: usize,
    stored: u64,
    duplicates: u64,
    refused: u64,
}

impl Sender {
    /// Without a client nothing is sent.
    pub(super) fn new(client: Option<Client>, scrubber: Scrubber, retry_for: Duration) -> Self {
        let limits = BatchLimits::default();
        let (waiting, count, stored, duplicates, refused) = (Vec::new(), 0, 0, 0, 0);
        Self { client, scrubber, retry_for, limits, waiting, count, stored, duplicates, refused }
    }

    pub(super) fn client(&self) -> Option<&Client> {
        self.client.as_ref()
    }

    pub(super) fn refused(&self) -> u64 {
        self.refused
    }

    /// What became of all so far.
    pub(super) fn words(&self) -> String {
        let mut words = format!("{} activities stored", self.stored);
        if self.client.is_none() {
            words = format!("{} activities", self.stored);
        }
        for (count, what) in [(self.duplicates, "were there before"), (self.refused, "refused")] {
            if 0 < count {
                words.push_str(&format!(", {count} {what}"));
            }
        }
        words
    }

    /// Takes one; those of a task are stored in this order.
    pub(super) async fn push(&mut self, past: Past<'_>) -> Result<(), ClientError> {
        let text = past.data.to_string();
        self.push_text(past, text).await
    }

    /// The same with a payload that stays as it is written, unless there is a secret in it.
    pub(super) async fn push_text(&mut self, past: Past<'_>, text: String) -> Result<(), ClientError> {
        let text = self.scrubber.payload(&text, past.kind == ActivityType::Output, past.invocation.as_str()).unwrap_or(text);
        let activity = format!(
            r#"{{"invocationId":{},"type":"{}","eventId":"{}","timestamp":{},"data":{}}}"#,
            Value::from(past.invocation.as_str()),
            past.kind,
            past.event_id,
            past.time.as_millis(),
            fit(text)
        );
        let item = (Bytes::from(activity), past.from.clone());
        match self.waiting.iter_mut().find(|(task, _)| task == past.task) {
            Some((_, items)) => items.push(item),
            None => self.waiting.push((past.task.clone(), vec![item])),
        }
        self.count += 1;
        if WAITING <= self.count { self.flush().await } else { Ok(()) }
    }

    /// Until all that was taken is stored or refused.
    pub(super) async fn flush(&mut self) -> Result<(), ClientError> {
        self.count = 0;
        for (task, items) in std::mem::take(&mut self.waiting) {
            let mut rest = items.as_slice();
            while !rest.is_empty() {
                let (mut count, mut bytes) = (0, 0);
                while let Some((text, _)) = rest.get(count).filter(|(text, _)| self.limits.fits(count, bytes, text.len())) {
                    (count, bytes) = (count + 1, bytes + text.len());
                }
                if self.send(&task, &rest[..count]).await? {
                    rest = &rest[count..];
                }
            }
        }
        Ok(())
    }

    /// Sends some; says whether that was done. If not, fewer of them go into one request from now on.
    async fn send(&mut self, task: &TaskId, items: &[Item]) -> Result<bool, ClientError> {
        let Some(client) = self.client.clone() else {
            self.stored += items.len() as u64;
            return Ok(true);
        };
        let activities: Vec<Bytes> = items.iter().map(|(text, _)| text.clone()).collect();
        let mut backoff = Backoff::new(RETRY_FIRST, RETRY_MOST);
        let deadline = Instant::now() + self.retry_for;
        loop {
            let error = match client.publish(task, &activities).await {
                Ok(results) => {
                    self.note(items, &results);
                    return Ok(true);
                }
                Err(error) => error,
            };
            if self.limits.shrink_for(&error, items.len()) {
                return Ok(false);
            }
            let wait = error.retry_after().unwrap_or_default().max(backoff.next());
            if !error.is_transient() || deadline < Instant::now() + wait {
                return Err(error);
            }
            sleep(wait).await;
        }
    }

    fn note(&mut self, items: &[Item], results: &[ItemResult]) {
        for ((_, from), result) in items.iter().zip(results) {
            match result {
                ItemResult::Stored(receipt) if receipt.duplicate => self.duplicates += 1,
                ItemResult::Stored(_) | ItemResult::Acknowledged(_) | ItemResult::Heartbeat => self.stored += 1,
                ItemResult::Refused(refusal) => {
                    self.refused += 1;
                    eprintln!("tasklight: {from} was refused: {refusal}");
                }
            }
        }
    }
}
