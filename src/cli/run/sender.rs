//! Delivery: what is in the outbox goes to the hub, in order, one request at a time, again and again until it is confirmed. Activities
//! carry their `eventId`, so a request that was stored without our knowing is stored once.

use std::{collections::BTreeSet, time::Duration};

use bytes::Bytes;
use tokio::time::{Instant, sleep, sleep_until};

use super::outbox::Outbox;
use crate::{
    backoff::Backoff,
    cli::batch::BatchLimits,
    client::{ClientError, ItemResult, Problem, Publisher, Refusal},
};

/// How often the hub hears that the command is alive while it has nothing to say.
const HEARTBEAT: Duration = Duration::from_secs(10);

/// The bounds of the wait between tries.
const RETRY_FIRST: Duration = Duration::from_millis(200);
const RETRY_MOST: Duration = Duration::from_secs(5);

/// Sends one task's activities.
#[derive(Debug)]
pub(super) struct Sender<'a> {
    publisher: Publisher,
    outbox: &'a Outbox,
    heartbeat: Bytes,
    /// Whether to keep silent about a hub that is away. What is refused is always said.
    quiet: bool,
    limits: BatchLimits,
    backoff: Backoff,
    /// What was taken from the outbox and is not confirmed yet.
    in_flight: Vec<Bytes>,
    /// When the hub last heard of us.
    heard: Instant,
    /// Why the hub does not take anything at present, if so.
    trouble: Option<String>,
    /// The codes of refusals that were said.
    said: BTreeSet<String>,
    refused: u64,
    /// How many activities were stored before we sent them for the first time.
    repeated: u64,
    /// Whether what is in flight was sent before.
    resending: bool,
}

impl<'a> Sender<'a> {
    pub(super) fn new(publisher: Publisher, outbox: &'a Outbox, heartbeat: Bytes, quiet: bool) -> Self {
        Self {
            publisher,
            outbox,
            heartbeat,
            quiet,
            limits: BatchLimits::default(),
            backoff: Backoff::new(RETRY_FIRST, RETRY_MOST),
            in_flight: Vec::new(),
            heard: Instant::now(),
            trouble: None,
            said: BTreeSet::new(),
            refused: 0,
            repeated: 0,
            resending: false,
        }
    }

    /// Sends until the outbox is closed and everything in it was answered. Nothing is lost if the wait is given up: what is not confirmed
    /// can be had from [`Sender::unconfirmed`] and the outbox.
    pub(super) async fn run(&mut self) {
        loop {
            if self.in_flight.is_empty() {
                let next = tokio::select! {
                    biased;
                    next = self.outbox.next(self.limits) => next,
                    () = sleep_until(self.heard + HEARTBEAT) => {
                        self.beat().await;
                        continue;
                    }
                };
                match next {
                    Some(batch) => self.in_flight = batch,
                    None => return,
                }
            }
            if let Err(wait) = self.deliver().await {
                sleep(wait).await;
            }
        }
    }

    /// What was sent, or was about to be, and is not known to be stored.
    pub(super) fn unconfirmed(&self) -> impl Iterator<Item = &Bytes> {
        let stored = |activity: &Bytes| matches!(self.publisher.known(activity), Some(ItemResult::Acknowledged(_)));
        self.in_flight.iter().filter(move |activity| !stored(activity))
    }

    /// Why the hub took nothing at last.
    pub(super) fn trouble(&self) -> &str {
        self.trouble.as_deref().unwrap_or("the hub has not confirmed them yet")
    }

    /// How many activities the hub refused.
    pub(super) fn refused(&self) -> u64 {
        self.refused
    }

    /// How many activities had been stored by somebody before us, as far as the hub says so.
    pub(super) fn repeated(&self) -> u64 {
        self.repeated
    }

    /// One request. On failure, gives how long to wait before the next.
    async fn deliver(&mut self) -> Result<(), Duration> {
        let count = self.in_flight.len().min(self.limits.activities);
        match self.publisher.publish(&self.in_flight[..count]).await {
            Ok(results) => {
                self.confirmed(count, &results);
                Ok(())
            }
            Err(error) if self.limits.shrink_for(&error, count) => Ok(()),
            // One activity by itself that is too large will be too large for ever.
            Err(ClientError::Refused(Problem { status: 413, code, detail, field, .. })) => {
                self.confirmed(count, &[ItemResult::Refused(Refusal { code, field, message: detail })]);
                Ok(())
            }
            Err(error) => Err(self.failed(&error)),
        }
    }

    fn confirmed(&mut self, count: usize, results: &[ItemResult]) {
        self.in_flight.drain(..count);
        self.heard = Instant::now();
        self.backoff.reset();
        if self.trouble.take().is_some() && !self.quiet {
            eprintln!("tasklight: the hub is back; what it missed is on its way");
        }
        for result in results {
            match result {
                ItemResult::Refused(refusal) => {
                    self.refused += 1;
                    if self.said.insert(refusal.code.clone()) {
                        eprintln!("tasklight: the hub refused an activity: {refusal}");
                    }
                }
                ItemResult::Stored(receipt) => self.repeated += u64::from(receipt.duplicate && !self.resending),
                ItemResult::Acknowledged(_) | ItemResult::Heartbeat => {}
            }
        }
        self.resending = false;
    }

    /// Says why, once, and gives the wait before the next try. A hub that says no is asked again too: the grant may be mended, and until
    /// the end nothing is given up.
    fn failed(&mut self, error: &ClientError) -> Duration {
        self.resending = true;
        let first = self.trouble.replace(error.to_string()).is_none();
        if first && !self.quiet {
            eprintln!("tasklight: {error}; the output is kept and sent as soon as the hub takes it");
        }
        error.retry_after().unwrap_or_default().max(self.backoff.next())
    }

    /// One try: the next heartbeat, or the next activity, says it again.
    async fn beat(&mut self) {
        let beat = [self.heartbeat.clone()];
        if let Err(error) = self.publisher.publish(&beat).await {
            self.failed(&error);
        }
        self.heard = Instant::now();
    }
}
