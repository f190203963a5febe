//! One agent of a demo: it tells one story after the other, at its pace.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use rand::{RngExt, SeedableRng, rngs::StdRng};
use serde_json::{Value, json};
use tokio::{
    select,
    time::{Instant, sleep, sleep_until},
};
use tokio_util::sync::CancellationToken;

use super::script::{Beat, Ending, Script};
use crate::{
    backoff::Backoff,
    client::{Client, ClientError, ItemResult},
    model::{EventId, TaskId, Timestamp},
};

/// The most activities in a request; faster agents send more requests.
const BATCH: usize = 200;

/// More often than this an agent sends no requests: a faster one sends several activities in one.
const SHORTEST: Duration = Duration::from_millis(20);

/// How many ordinary pauses a stalled agent is silent, and how long at least.
const SILENCE: u32 = 200;
const SILENCE_LEAST: Duration = Duration::from_secs(20);

/// How long an agent tries again while the hub is away.
const PATIENCE: Duration = Duration::from_secs(60);

/// The bounds of the wait between tries.
const RETRY: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(5));

/// What all agents share.
#[derive(Debug)]
pub(super) struct Shared {
    client: Client,
    pace: Duration,
    secrets: bool,
    stop: CancellationToken,
    begun: Instant,
    runs: AtomicU64,
    stored: AtomicU64,
    refused: AtomicU64,
    stalled: AtomicU64,
    died: AtomicU64,
}

impl Shared {
    pub(super) fn new(client: Client, pace: Duration, secrets: bool, stop: CancellationToken) -> Self {
        let zero = AtomicU64::default;
        let (runs, stored, refused, stalled, died) = (zero(), zero(), zero(), zero(), zero());
        Self { client, pace, secrets, stop, begun: Instant::now(), runs, stored, refused, stalled, died }
    }

    pub(super) fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    /// What happened so far.
    pub(super) fn words(&self) -> String {
        let count = |of: &AtomicU64| of.load(Ordering::Relaxed);
        let seconds = self.begun.elapsed().as_secs_f64().max(0.001);
        let stored = count(&self.stored);
        #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
        let rate = stored as f64 / seconds;
        let mut words = format!("{} runs, {stored} activities stored in {seconds:.0} s ({rate:.0}/s)", count(&self.runs));
        for (of, what) in [(&self.stalled, "fell silent"), (&self.died, "died"), (&self.refused, "activities refused")] {
            if 0 < count(of) {
                words.push_str(&format!(", {} {what}", count(of)));
            }
        }
        words
    }
}

/// An agent.
#[derive(Debug)]
pub(super) struct Agent {
    shared: Arc<Shared>,
    task: TaskId,
    number: u32,
    rng: StdRng,
    start: u64,
    runs: u32,
    /// What was not sent yet.
    waiting: VecDeque<Bytes>,
}

impl Agent {
    pub(super) fn new(shared: Arc<Shared>, task: TaskId, number: u32, seed: u64, start: u64) -> Self {
        let rng = StdRng::seed_from_u64(seed ^ (u64::from(number) << 32));
        Self { shared, task, number, rng, start, runs: 0, waiting: VecDeque::new() }
    }

    /// Works until it is stopped; a run that goes on then is said to be cancelled.
    pub(super) async fn work(mut self) -> Result<(), ClientError> {
        // Not all at once.
        let first = self.shared.pace.min(Duration::from_secs(2)).mul_f64(self.rng.random());
        select! {
            () = sleep(first) => {}
            () = self.shared.stop.cancelled() => return Ok(()),
        }
        while !self.shared.stop.is_cancelled() {
            self.runs += 1;
            let invocation = format!("{}-{}-{}", self.start, self.number, self.runs);
            self.shared.runs.fetch_add(1, Ordering::Relaxed);
            let script = Script::new(StdRng::from_rng(&mut self.rng), &invocation, self.shared.secrets);
            self.tell(&invocation, script).await?;
        }
        Ok(())
    }

    async fn tell(&mut self, invocation: &str, mut script: Script) -> Result<(), ClientError> {
        let mut due = Instant::now();
        while let Some(beat) = script.next() {
            match beat {
                Beat::Activity(kind, data) => self.waiting.push_back(activity(invocation, kind, data)),
                Beat::Silence => {
                    self.send().await?;
                    self.shared.stalled.fetch_add(1, Ordering::Relaxed);
                    due = Instant::now() + (self.shared.pace * SILENCE).max(SILENCE_LEAST);
                }
            }
            // Some are quick, some are slow; on the average it is the pace.
            due += self.shared.pace.mul_f64(self.rng.random_range(0.2..1.8));
            if due.saturating_duration_since(Instant::now()) < SHORTEST && self.waiting.len() < BATCH {
                continue;
            }
            self.send().await?;
            let stop = self.shared.stop.clone();
            select! {
                () = sleep_until(due) => {}
                () = stop.cancelled() => {
                    if script.is_over() {
                        break;
                    }
                    let reason = json!({"status": "cancelled", "reason": "the demo has ended"});
                    self.waiting.push_back(activity(invocation, "status", reason));
                    return self.send().await;
                }
            }
        }
        if script.ending == Ending::Dies {
            self.shared.died.fetch_add(1, Ordering::Relaxed);
        }
        self.send().await
    }

    /// Sends what waits, again while the hub is away.
    async fn send(&mut self) -> Result<(), ClientError> {
        while !self.waiting.is_empty() {
            let batch: Vec<Bytes> = self.waiting.drain(..self.waiting.len().min(BATCH)).collect();
            let mut backoff = Backoff::new(RETRY.0, RETRY.1);
            let deadline = Instant::now() + PATIENCE;
            let results = loop {
                match self.shared.client.publish(&self.task, &batch).await {
                    Ok(results) => break results,
                    Err(error) if error.is_transient() && Instant::now() < deadline && !self.shared.stop.is_cancelled() => {
                        sleep(error.retry_after().unwrap_or_default().max(backoff.next())).await;
                    }
                    Err(error) => return Err(error),
                }
            };
            let refused = results.iter().filter(|result| matches!(result, ItemResult::Refused(_))).count() as u64;
            self.shared.refused.fetch_add(refused, Ordering::Relaxed);
            self.shared.stored.fetch_add(results.len() as u64 - refused, Ordering::Relaxed);
        }
        Ok(())
    }
}

fn activity(invocation: &str, kind: &str, data: Value) -> Bytes {
    let (event_id, timestamp) = (EventId::generate(), Timestamp::now());
    json!({"invocationId": invocation, "type": kind, "eventId": event_id, "timestamp": timestamp, "data": data})
        .to_string()
        .into()
}
