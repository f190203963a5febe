//! POST to any node, and again with the same `eventId`s to any node until there is a receipt for each.

use std::{sync::Arc, time::Duration};

use anyhow::{Result, bail};
use serde::Deserialize;
use serde_json::Value;
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use super::{Activity, FINISH_PATIENCE, Invocation, TOGETHER, array};
use crate::{
    checker::{Proof, Publication},
    run::Run,
};

/// How long one request may take before it is sent to another node: a frozen one never answers.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(4);

/// How long is waited before sending again, about.
const AGAIN: Duration = Duration::from_millis(150);

#[derive(Debug, Deserialize)]
struct Answer {
    results: Vec<Outcome>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Outcome {
    event_id: Option<Uuid>,
    offset: Option<u64>,
    cursor: Option<String>,
    #[serde(default)]
    duplicate: bool,
    error: Option<Value>,
}

/// Publishes until the run gets quiet, then finishes.
pub(super) async fn publish(run: Arc<Run>, mut invocation: Invocation, pause: Duration) -> Result<Publication> {
    let client = reqwest::Client::builder().timeout(ANSWER_TIMEOUT).build()?;
    while !run.quiet.is_cancelled() {
        let activities = invocation.next(TOGETHER);
        deliver(&run, &client, &mut invocation, &activities).await;
        run.pace(pause).await;
    }
    Ok(invocation.publication)
}

/// One batch; the next one waits for it, or an invocation's order would be up to chance.
async fn deliver(run: &Run, client: &reqwest::Client, invocation: &mut Invocation, activities: &[Activity]) {
    let figures = &run.figures.http;
    let body = array(activities);
    let mut attempts = 0_u32;
    let mut quiet_since = None;
    loop {
        let url = format!("http://{}/v1/tasks/{}/activities", run.nodes.any(), invocation.task());
        figures.sent.one();
        if attempts != 0 {
            figures.again.one();
        }
        attempts += 1;
        if let Ok(answer) = client.post(&url).header("content-type", "application/json").body(body.clone()).send().await {
            let status = answer.status().as_u16();
            if status == 503 && !answer.headers().contains_key("retry-after") {
                run.anomaly(format!("{url} answered 503 and does not say when to come back"));
            }
            match (status, answer.text().await) {
                (200, Ok(text)) => match receipts(&text, activities) {
                    Ok(results) => {
                        for (activity, receipt) in activities.iter().zip(results) {
                            invocation.prove(activity, Proof::Receipt(receipt.offset), run, figures);
                            invocation.lives(activity, receipt.life);
                            if receipt.duplicate {
                                run.figures.duplicates.one();
                            }
                        }
                        return;
                    }
                    Err(error) => run.anomaly(format!("{url} answered {error}: {text}")),
                },
                (503, Ok(_)) => run.figures.told.one(),
                (_, Err(_)) => {}
                (status, Ok(text)) => run.anomaly(format!("{url} answered {status} to a publisher: {text}")),
            }
        }
        if run.quiet.is_cancelled() && FINISH_PATIENCE < quiet_since.get_or_insert_with(Instant::now).elapsed() {
            let Activity { event, number, .. } = &activities[0];
            run.anomaly(format!(
                "{url}: no receipt for number {number} event {event} after {attempts} attempts, although all is well again"
            ));
            return;
        }
        sleep(AGAIN.mul_f64(rand::random_range(0.2..1.8))).await;
    }
}

/// What a receipt says.
struct Receipt {
    offset: u64,
    life: Arc<str>,
    duplicate: bool,
}

/// The receipt of each activity.
fn receipts(text: &str, activities: &[Activity]) -> Result<Vec<Receipt>> {
    let answer: Answer = serde_json::from_str(text)?;
    if answer.results.len() != activities.len() {
        bail!("{} results for {} activities", answer.results.len(), activities.len());
    }
    let receipt = |(outcome, activity): (&Outcome, &Activity)| match (outcome.event_id, outcome.offset, &outcome.cursor) {
        (Some(event), Some(offset), Some(cursor)) if event == activity.event => {
            let life = cursor.split('-').next().unwrap_or_default().into();
            Ok(Receipt { offset, life, duplicate: outcome.duplicate })
        }
        _ => bail!("no receipt for event {}: {:?}", activity.event, outcome.error),
    };
    answer.results.iter().zip(activities).map(receipt).collect()
}
