//! PUBLISH of an array, and again until each activity of it is acked.
//!
//! One message is in flight per invocation: PUBLISH is at-most-once, so with two in flight the first could be lost and the second stored,
//! and no sending again could put them into order.

use std::{collections::HashSet, sync::Arc, time::Duration};

use anyhow::Result;
use futures_util::StreamExt;
use redis::aio::PubSub;
use serde::Deserialize;
use tokio::time::{Instant, sleep, timeout_at};
use uuid::Uuid;

use super::{Activity, FINISH_PATIENCE, Invocation, TOGETHER, array, wire};
use crate::{
    checker::{Proof, Publication},
    run::Run,
};

/// How long acks are waited for before sending again.
const ACK_TIMEOUT: Duration = Duration::from_secs(1);

/// What comes on the ack channel: acks of any invocation of the task, or refusals.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Word {
    #[serde(default)]
    event_ids: Vec<Uuid>,
    #[serde(default)]
    rejected: Vec<Refusal>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Refusal {
    event_id: Option<Uuid>,
    code: String,
    message: String,
}

/// Publishes until the run gets quiet, then finishes.
pub(super) async fn publish(run: Arc<Run>, mut invocation: Invocation, pause: Duration) -> Result<Publication> {
    let mut wire = wire::Wire::new(&run);
    let mut ear = None;
    while !run.quiet.is_cancelled() {
        let activities = invocation.next(TOGETHER);
        let missing = deliver(&run, &mut wire, &mut ear, invocation.task(), &activities).await;
        for activity in activities.iter().filter(|activity| !missing.contains(&activity.event)) {
            invocation.prove(activity, Proof::Ack, &run, &run.figures.acked);
        }
        run.pace(pause).await;
    }
    Ok(invocation.publication)
}

/// Those that are never acked.
async fn deliver(
    run: &Run,
    wire: &mut wire::Wire,
    ear: &mut Option<PubSub>,
    task: &str,
    activities: &[Activity],
) -> HashSet<Uuid> {
    let figures = &run.figures.acked;
    let mut missing: HashSet<Uuid> = activities.iter().map(|activity| activity.event).collect();
    let mut attempts = 0_u32;
    let mut quiet_since = None;
    loop {
        if ear.is_none() {
            *ear = wire.acks(task).await.ok();
        }
        if let Some(acks) = ear {
            figures.sent.one();
            if attempts != 0 {
                figures.again.one();
            }
            attempts += 1;
            let rest: Vec<_> = activities.iter().filter(|activity| missing.contains(&activity.event)).cloned().collect();
            match wire.publish(task, &array(&rest)).await {
                Ok(0) => {
                    figures.untaken.one();
                    // If it does not get through, the next round says it again.
                    let _ = wire.announce(task).await;
                }
                Ok(_) => {
                    if !listen(run, acks, task, &mut missing).await {
                        *ear = None;
                    }
                }
                Err(_) => *ear = None,
            }
        }
        if missing.is_empty() {
            return missing;
        }
        if run.quiet.is_cancelled() && FINISH_PATIENCE < quiet_since.get_or_insert_with(Instant::now).elapsed() {
            run.anomaly(format!("task {task}: no ack for {missing:?} in {attempts} attempts, although all is well again"));
            return missing;
        }
        sleep(wire::AGAIN.mul_f64(rand::random_range(0.2..1.8))).await;
    }
}

/// Listens until nothing is missing or it has taken too long; says whether the connection is still there.
async fn listen(run: &Run, acks: &mut PubSub, task: &str, missing: &mut HashSet<Uuid>) -> bool {
    let end = Instant::now() + ACK_TIMEOUT;
    let mut words = acks.on_message();
    while !missing.is_empty() {
        let Ok(word) = timeout_at(end, words.next()).await else { return true };
        let Some(word) = word else { return false };
        let text = word.get_payload_bytes();
        match serde_json::from_slice::<Word>(text) {
            Ok(word) => {
                for event in &word.event_ids {
                    missing.remove(event);
                }
                for Refusal { event_id, code, message } in word.rejected {
                    run.anomaly(format!("task {task}: event {event_id:?} was refused: {code}: {message}"));
                }
            }
            Err(error) => run.anomaly(format!("task {task}: an ack that is none ({error}): {}", String::from_utf8_lossy(text))),
        }
    }
    true
}
