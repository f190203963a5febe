//! Visitors of a soak: they open a task from its start by WebSocket or SSE, leave in the middle of it, come back at another hub with their cursor, and see it to
//! its end. Every offset is the one after the last, whatever happens between.

use std::{sync::Arc, time::Duration};

use anyhow::{Context, bail, ensure};
use futures_util::SinkExt;
use rand::RngExt;
use serde_json::{Value, json};
use tokio::time::{Instant, timeout};
use tokio_tungstenite::{connect_async, tungstenite::Message};

use super::field::{Field, count};
use crate::server;

/// How long a visitor stays at once, in milliseconds, and how long it waits for a run's end in all.
const STAY: std::ops::Range<u64> = 300..4_000;
const PATIENCE: Duration = Duration::from_secs(25);

/// Where a visitor stands.
#[derive(Debug)]
struct Place {
    task: String,
    offset: u64,
    cursor: Option<String>,
    ended: bool,
}

impl Place {
    /// An activity came.
    fn take(&mut self, activity: &Value) -> anyhow::Result<()> {
        let offset = activity["offset"].as_u64().context("an offset")?;
        ensure!(offset == self.offset + 1, "{}: offset {offset} came after {}", self.task, self.offset);
        ensure!(!self.ended, "{}: {offset} came after the end", self.task);
        self.offset = offset;
        self.cursor = Some(activity["cursor"].as_str().context("a cursor")?.to_owned());
        if activity["type"] == "status" && activity["data"]["status"] == "completed" {
            let total = activity["data"]["reason"].as_str().unwrap_or_default();
            ensure!(total == offset.to_string(), "{}: {total} were published, the end is at {offset}", self.task);
            self.ended = true;
        }
        Ok(())
    }
}

/// Visits one task after the other until the soak is over; every other one by SSE, if wanted.
pub async fn visit(field: Arc<Field>, sse: bool) -> anyhow::Result<()> {
    let client = reqwest::Client::new();
    while !field.over() {
        let Some(task) = field.visited() else {
            field.pause(Duration::from_millis(200)).await;
            continue;
        };
        let (mut place, began) = (Place { task, offset: 0, cursor: None, ended: false }, Instant::now());
        while !place.ended && began.elapsed() < PATIENCE && !field.over() {
            let (before, stay) = (place.offset, Duration::from_millis(rand::rng().random_range(STAY)));
            if place.cursor.is_some() {
                count(&field.counts.resumed, 1);
            }
            let hub = field.hub();
            let staying = async { if sse { by_sse(&client, hub, &mut place).await } else { by_socket(hub, &mut place).await } };
            // When it is over it is dropped, without any good-bye.
            if let Ok(left) = timeout(stay, staying).await {
                left.with_context(|| format!("at {hub}"))?;
            }
            count(&field.counts.seen, place.offset - before);
        }
        count(&field.counts.whole, u64::from(place.ended));
    }
    Ok(())
}

async fn by_socket(hub: &str, place: &mut Place) -> anyhow::Result<()> {
    let (mut socket, _) = connect_async(format!("ws://{hub}/v1/ws")).await?;
    let after = place.cursor.as_deref().unwrap_or("start");
    socket.send(Message::text(json!({"op": "subscribe", "task": place.task, "after": after}).to_string())).await?;
    while !place.ended {
        let message = server::next(&mut socket).await?;
        match message["op"].as_str().unwrap_or_default() {
            "activity" => place.take(&message)?,
            "reset" | "truncated" | "unsubscribed" | "error" => bail!("{} after {}: {message}", place.task, place.offset),
            _ => {}
        }
    }
    socket.close(None).await?;
    Ok(())
}

async fn by_sse(client: &reqwest::Client, hub: &str, place: &mut Place) -> anyhow::Result<()> {
    let mut request = client.get(format!("http://{hub}/v1/tasks/{}/stream", place.task)).header("accept", "text/event-stream");
    if let Some(cursor) = &place.cursor {
        request = request.header("last-event-id", cursor);
    }
    let mut answer = request.send().await?;
    ensure!(answer.status().is_success(), "{}: {}", place.task, answer.status());
    let mut text = Vec::new();
    while !place.ended {
        text.extend_from_slice(&answer.chunk().await?.context("the hub ended the stream")?);
        while let Some(end) = memchr::memmem::find(&text, b"\n\n") {
            let event: Vec<u8> = text.drain(..end + 2).collect();
            for line in String::from_utf8(event)?.lines() {
                let Some(data) = line.strip_prefix("data: ") else { continue };
                let message: Value = serde_json::from_str(data)?;
                if message["cursor"].is_string() && message["type"].is_string() {
                    place.take(&message)?;
                }
            }
        }
    }
    Ok(())
}
