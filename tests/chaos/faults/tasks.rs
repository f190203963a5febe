//! A task of its own is deleted, with everything below it, while it is watched, and made again: its viewer has to be told, and must never
//! see something else under a cursor that it has seen.

use std::{collections::HashMap, time::Duration};

use anyhow::{Context, Result};
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep, timeout};
use tokio_tungstenite::{
    connect_async,
    tungstenite::{Message, client::IntoClientRequest, http::HeaderValue},
};
use uuid::Uuid;

use crate::{plan::Fault, run::Run};

/// How many activities each of its lives has.
const ACTIVITIES: usize = 12;

/// How long one request may take.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(4);

/// How long everything may take while other things go wrong as well.
const PATIENCE: Duration = Duration::from_secs(40);

/// After so long without a word the viewer tries another node.
const SILENCE: Duration = Duration::from_secs(3);

/// What was said of it: by cursor.
type Places = HashMap<String, Uuid>;

/// Does it. Whether it was deleted while somebody watched, and it is known that it was deleted once.
pub async fn inflict(run: &Run, fault: &Fault) -> Result<bool> {
    let task = format!("doomed-{}", Uuid::now_v7().simple());
    let client = reqwest::Client::builder().timeout(ANSWER_TIMEOUT).build()?;
    let first = publish(run, &client, &task).await?;
    let mut viewer = Viewer { task: task.clone(), cursor: None, told: true, seen: Vec::new() };
    // Some of it is seen before, and most of the time not all.
    let wanted = 1 + first.len().saturating_sub(2);
    let saw = timeout(PATIENCE, viewer.until(run, |seen| wanted <= seen.len())).await.is_ok();
    if !saw {
        run.anomaly(format!("the viewer of {task} saw {} of {} in {PATIENCE:?}", viewer.seen.len(), first.len()));
        return Ok(false);
    }
    // The viewer goes on while it happens.
    let changing = async {
        let known = delete(run, &client, &task).await;
        sleep(fault.lasts / 4).await;
        (known, publish(run, &client, &task).await)
    };
    let (known, second) = {
        let watching = viewer.until(run, |_| false);
        tokio::select! {
            () = watching => unreachable!("it is never enough"),
            changed = changing => changed,
        }
    };
    let second = second?;
    let last: Vec<String> = second.keys().cloned().collect();
    let all = |seen: &[(String, Uuid, bool)]| last.iter().all(|cursor| seen.iter().any(|(of, ..)| of == cursor));
    let complete = timeout(PATIENCE, viewer.until(run, all)).await.is_ok();
    let clean = delete(run, &client, &task).await;
    // A request that nobody answered may have deleted its second life, too: not all of it has to come then, but what comes has to fit.
    let certain = known && clean;
    if certain && !complete {
        let (got, cursor) = (viewer.seen.len(), viewer.cursor.as_deref().unwrap_or_default());
        run.anomaly(format!(
            "the viewer of {task}, deleted and made again, stands at {cursor} after {got}, and never got {last:?}"
        ));
    }
    let published: HashMap<String, Uuid> = first.into_iter().chain(second).collect();
    if let Some(wrong) = wrong(&viewer.seen, published) {
        run.anomaly(format!("the viewer of {task}, deleted and made again: {wrong}"));
    }
    Ok(certain)
}

/// Publishes a life's worth, until there is a receipt for each.
async fn publish(run: &Run, client: &reqwest::Client, task: &str) -> Result<Places> {
    let body: Vec<_> = (1..=ACTIVITIES)
        .map(|n| json!({"invocationId": "doomed", "type": "custom", "eventId": Uuid::now_v7(), "data": {"n": n}}))
        .collect();
    let body = Value::from(body).to_string();
    let publishing = async {
        loop {
            let url = format!("http://{}/v1/tasks/{task}/activities", run.nodes.any());
            let request = client.post(&url).header("content-type", "application/json").body(body.clone());
            if let Ok(answer) = request.send().await
                && answer.status() == 200
                && let Ok(text) = answer.text().await
            {
                return receipts(&text);
            }
            sleep(Duration::from_millis(100)).await;
        }
    };
    timeout(PATIENCE, publishing).await.with_context(|| format!("no receipt for {task} in {PATIENCE:?}"))?
}

fn receipts(text: &str) -> Result<Places> {
    let answer: Value = serde_json::from_str(text)?;
    let results = answer["results"].as_array().context("results")?;
    let place = |result: &Value| Some((result["cursor"].as_str()?.to_owned(), result["eventId"].as_str()?.parse().ok()?));
    results.iter().map(|result| place(result).with_context(|| format!("no receipt: {text}"))).collect()
}

/// Deletes it; whether it is known that this happened once, and is over.
async fn delete(run: &Run, client: &reqwest::Client, task: &str) -> bool {
    let end = Instant::now() + PATIENCE;
    let mut known = true;
    while Instant::now() < end {
        let url = format!("http://{}/v1/tasks/{task}", run.nodes.any());
        match client.delete(&url).send().await.map(|answer| answer.status().as_u16()) {
            Ok(204) => return known,
            Ok(404) => return false,
            _ => known = false,
        }
        sleep(Duration::from_millis(100)).await;
    }
    false
}

/// What is wrong with what was seen.
fn wrong(seen: &[(String, Uuid, bool)], mut places: Places) -> Option<String> {
    let known: Vec<Uuid> = places.values().copied().collect();
    let mut last: Option<(String, u64)> = None;
    for (cursor, event, told) in seen {
        let parts = cursor.split_once('-').and_then(|(epoch, offset)| Some((epoch, offset.parse::<u64>().ok()?)));
        let Some((epoch, offset)) = parts else { return Some(format!("{cursor} is no cursor")) };
        let due = match &last {
            Some((of, at)) if of == epoch => at + 1,
            Some((of, at)) if !told => return Some(format!("{cursor} after {of}-{at}, and without a word")),
            _ => 1,
        };
        if offset != due {
            return Some(format!("{cursor} where {epoch}-{due} was due"));
        }
        if !known.contains(event) {
            return Some(format!("{cursor} is event {event}, which nobody published"));
        }
        let there = *places.entry(cursor.clone()).or_insert(*event);
        if there != *event {
            return Some(format!("{cursor} is event {event}, and it was event {there}"));
        }
        last = Some((epoch.to_owned(), offset));
    }
    None
}

/// Follows one task over WebSockets, at any node, for ever.
struct Viewer {
    task: String,
    cursor: Option<String>,
    told: bool,
    /// Cursor, event, and whether it was told before it that the log starts over or is gone.
    seen: Vec<(String, Uuid, bool)>,
}

impl Viewer {
    /// Watches until it is enough. May be given up at any time, and taken up again.
    async fn until(&mut self, run: &Run, enough: impl Fn(&[(String, Uuid, bool)]) -> bool) {
        while !enough(&self.seen) {
            // Whatever ends a connection, another one is made.
            let _ = self.stay(run, &enough).await;
            sleep(Duration::from_millis(50)).await;
        }
    }

    async fn stay(&mut self, run: &Run, enough: &impl Fn(&[(String, Uuid, bool)]) -> bool) -> Result<()> {
        let mut request = format!("ws://{}/v1/ws", run.nodes.any()).into_client_request()?;
        request.headers_mut().insert("sec-websocket-protocol", HeaderValue::from_static("tasklight.v1"));
        let (mut socket, _) = timeout(ANSWER_TIMEOUT, connect_async(request)).await??;
        let after = self.cursor.as_deref().unwrap_or("start");
        socket.send(Message::text(json!({"op": "subscribe", "task": self.task, "after": after}).to_string())).await?;
        let end = Instant::now() + 3 * SILENCE;
        while Instant::now() < end && !enough(&self.seen) {
            let Message::Text(text) = timeout(SILENCE, socket.next()).await?.context("it ended")?? else { continue };
            let message: Value = serde_json::from_str(&text)?;
            match message["op"].as_str() {
                Some("activity") => {
                    let cursor = message["cursor"].as_str().context("a cursor")?.to_owned();
                    let event = message["eventId"].as_str().context("an event")?.parse()?;
                    self.seen.push((cursor.clone(), event, std::mem::take(&mut self.told)));
                    self.cursor = Some(cursor);
                }
                Some("reset") => {
                    self.told = true;
                    self.cursor = message["epoch"].as_str().map(|epoch| format!("{epoch}-0"));
                }
                Some("unsubscribed") => {
                    self.told = true;
                    return Ok(());
                }
                _ => {}
            }
        }
        Ok(())
    }
}
