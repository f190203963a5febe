//! One endpoint's sender: what waits for it, one at a time, with patience. It knows nothing of the other endpoints, so none waits for another.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::watch,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use super::{
    Endpoint, Outcome, Sender, WebhookOptions,
    metrics::{Dropped, WebhookMetrics},
    sender::Failure,
};
use crate::{
    backoff::Backoff,
    model::Timestamp,
    store::{Delivery, NextDelivery, Store},
};

/// The bounds of the wait for a store that does not answer.
const STORE_RETRY: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// The longest sleep: then the store is asked again, also if nothing was heard.
const LONGEST_SLEEP: Duration = Duration::from_secs(30);

/// An endpoint that refuses one event after the other is left alone for so long at most: it may be that only these are bad.
const REFUSALS_PAUSE: Duration = Duration::from_secs(30);

/// After so many different events in a row it does not seem to be the events.
const REFUSALS: u32 = 3;

/// Sends what waits for an endpoint.
pub(super) struct Worker {
    pub(super) store: Store,
    pub(super) sender: Sender,
    pub(super) options: Arc<WebhookOptions>,
    /// Which of the endpoints.
    pub(super) index: usize,
    pub(super) metrics: WebhookMetrics,
    /// Failures since the last event that was taken.
    pub(super) trouble: Trouble,
}

/// How an endpoint has fared.
#[derive(Debug, Default)]
pub(super) struct Trouble {
    /// How many different events were refused in a row.
    refused: u32,
    /// The last one that failed.
    last: Option<i64>,
    /// It answered that it is gone.
    gone: bool,
    /// Whether somebody was told that it is in trouble.
    told: bool,
}

/// What becomes of a delivery.
#[derive(Debug, Clone, Copy)]
enum Fate {
    /// It was taken, or is let go of.
    Over,
    /// It is tried again then.
    Due(Timestamp),
}

impl Worker {
    fn endpoint(&self) -> &Endpoint {
        &self.options.endpoints[self.index]
    }

    /// Works until `stop`. `news` changes when there may be more to send.
    pub(super) async fn run(mut self, mut news: watch::Receiver<()>, stop: CancellationToken) {
        let _ = stop.run_until_cancelled(self.work(&mut news)).await;
    }

    async fn work(&mut self, news: &mut watch::Receiver<()>) {
        let mut backoff = Backoff::new(STORE_RETRY.0, STORE_RETRY.1);
        loop {
            news.borrow_and_update();
            let now = Timestamp::now();
            match self.store.next_delivery(&self.endpoint().name, now).await {
                Ok(NextDelivery::Due(delivery)) => {
                    backoff.reset();
                    if let Some(pause) = self.deliver(delivery, now).await {
                        sleep(pause).await;
                    }
                }
                Ok(NextDelivery::Later(due)) => {
                    backoff.reset();
                    let wait = Duration::from_millis(due.as_millis().saturating_sub(now.as_millis()));
                    // Whether it is time or there is news, the store is asked.
                    let _ = timeout(wait.min(LONGEST_SLEEP), news.changed()).await;
                }
                Ok(NextDelivery::None) => {
                    backoff.reset();
                    let _ = timeout(LONGEST_SLEEP, news.changed()).await;
                }
                Err(error) => {
                    tracing::debug!(%error, webhook = self.endpoint().name, "what waits could not be read; trying again");
                    backoff.wait().await;
                }
            }
        }
    }

    /// One try. Gives how long the endpoint is to be left alone.
    async fn deliver(&mut self, delivery: Delivery, now: Timestamp) -> Option<Duration> {
        let name = self.endpoint().name.clone();
        if self.trouble.gone || delivery.at.plus(self.options.give_up_after) <= now {
            let why = if self.trouble.gone { Dropped::Gone } else { Dropped::GivenUp };
            self.write(delivery.key, Fate::Over).await;
            self.metrics.count_dropped(&name, why, 1);
            if why == Dropped::GivenUp {
                tracing::warn!(
                    webhook = name,
                    event.id = delivery.event,
                    attempts = delivery.attempts,
                    "an event is given up: the webhook did not take it"
                );
            }
            return None;
        }
        if 0 < delivery.attempts {
            self.metrics.count_retried(&name);
        }
        match self.sender.send(self.endpoint(), &delivery.event, &delivery.body).await {
            Outcome::Delivered => {
                self.metrics.count_delivered(&name);
                if std::mem::take(&mut self.trouble).told {
                    tracing::info!(webhook = name, "the webhook takes events again");
                }
                self.write(delivery.key, Fate::Over).await;
                None
            }
            Outcome::Gone => {
                self.trouble.gone = true;
                self.metrics.count_dropped(&name, Dropped::Gone, 1);
                tracing::warn!(
                    webhook = name,
                    "the webhook is gone (410): nothing more is sent to it until this node starts anew"
                );
                self.write(delivery.key, Fate::Over).await;
                None
            }
            Outcome::Failed { failure, wait } => self.failed(&name, &delivery, failure, wait).await,
        }
    }

    async fn failed(&mut self, name: &str, delivery: &Delivery, failure: Failure, asked: Option<Duration>) -> Option<Duration> {
        self.metrics.count_failed(name, failure);
        let (first, most) = self.options.retry;
        let wait = backoff(first, most, delivery.attempts).max(asked.unwrap_or_default());
        tracing::debug!(
            webhook = name,
            event.id = delivery.event,
            reason = failure.as_str(),
            wait_ms = wait.as_millis(),
            "a try failed"
        );
        if !std::mem::replace(&mut self.trouble.told, true) {
            tracing::warn!(
                webhook = name,
                reason = failure.as_str(),
                "the webhook does not take an event; it is tried again, and what follows waits"
            );
        }
        let due = Timestamp::now().plus(wait);
        self.write(delivery.key, Fate::Due(due)).await;
        let another = self.trouble.last.replace(delivery.key) != Some(delivery.key);
        if !failure.is_of_this_event() {
            return Some(wait);
        }
        self.trouble.refused += u32::from(another);
        (REFUSALS <= self.trouble.refused && another)
            .then(|| backoff(first, most.min(REFUSALS_PAUSE), self.trouble.refused - REFUSALS))
    }

    /// Writes what became of a delivery. Without that it would be made again, so it is not given up before the node stops.
    async fn write(&self, key: i64, fate: Fate) {
        let mut backoff = Backoff::new(STORE_RETRY.0, STORE_RETRY.1);
        loop {
            let written = match fate {
                Fate::Over => self.store.end_delivery(key).await,
                Fate::Due(at) => self.store.postpone_delivery(key, at).await,
            };
            let Err(error) = written else { return };
            tracing::debug!(%error, webhook = self.endpoint().name, "what became of a try could not be written; trying again");
            backoff.wait().await;
        }
    }
}

/// The wait after so many failures: doubled each time, between half of it and all of it.
fn backoff(first: Duration, most: Duration, attempts: u32) -> Duration {
    let bound = first.saturating_mul(2_u32.saturating_pow(attempts)).min(most);
    bound.mul_f64(rand::random_range(0.5..1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_most() {
        let (first, most) = (Duration::from_secs(1), Duration::from_secs(600));
        for (attempts, bound) in [(0, 1), (1, 2), (5, 32), (9, 512), (10, 600), (40, 600), (u32::MAX, 600)] {
            let bound = Duration::from_secs(bound);
            let wait = backoff(first, most, attempts);
            assert!(bound / 2 <= wait && wait <= bound, "{attempts}: {wait:?}");
        }
    }
}
