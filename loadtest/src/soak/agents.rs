//! Agents of a soak: runs that begin, speak and end on tasks that come and go, over HTTP and by PUBLISH, and a few tasks that stay. When a run is over, the
//! store is asked whether its log has exactly what was published.

use std::{sync::Arc, time::Duration};

use anyhow::{Context, ensure};
use rand::RngExt;
use reqwest::{Method, StatusCode};
use tokio::time::Instant;
use uuid::Uuid;

use super::field::{Field, count};
use crate::{
    api::Api,
    publisher::{Pace, data},
    request::Connection,
};

/// Activities that are sent together, how many times, and the time between.
const BATCH: usize = 3;
const BATCHES: std::ops::Range<usize> = 20..40;
const BETWEEN: Duration = Duration::from_millis(100);

/// One run of so many is left without an end, for the reconciler to find; one of so many gets labels; one of so many is deleted by its publisher, the rest by
/// retention.
const ABANDONED: u64 = 16;
const LABELLED: u64 = 4;
const DELETED: u64 = 4;

/// How long what was published over Redis may take to be in the store.
const PATIENCE: Duration = Duration::from_secs(20);

/// Runs over HTTP, one after the other, until the soak is over.
pub async fn over_http(field: Arc<Field>, lane: usize) -> anyhow::Result<()> {
    for number in 0.. {
        if field.over() {
            return Ok(());
        }
        let task = format!("http-{lane}-{number}");
        run_over_http(&field, &task, number).await.with_context(|| task.clone())?;
        if number % DELETED == 0
            && let Some(rested) = field.rested()
        {
            delete(&field, &rested).await?;
        }
    }
    Ok(())
}

async fn run_over_http(field: &Field, task: &str, number: u64) -> anyhow::Result<()> {
    let hub = field.hubs[usize::try_from(number)? % field.hubs.len()].clone();
    let (mut connection, api) = (Connection::open(&hub).await?, Api::of(&hub));
    connection.publish(task, status("running", 0).as_bytes()).await?;
    field.opened(task);
    if number.is_multiple_of(LABELLED) {
        let described = format!(r#"{{"title":"run {number} over HTTP","labels":{{"soak":"yes","n":"{number}"}}}}"#);
        api.patch(&format!("/v1/tasks/{task}"), &described).await?;
    }
    let (mut total, batches) = (1, rand::rng().random_range(BATCHES));
    for batch in 0..batches {
        let lines: Vec<_> = (0..BATCH).map(|n| message(total + n)).collect();
        connection.publish(task, lines.join("\n").as_bytes()).await?;
        total += BATCH;
        if batch % 10 == 9 {
            connection.publish(task, br#"{"invocationId":"run","type":"heartbeat"}"#).await?;
        }
        field.pause(BETWEEN).await;
    }
    if number % ABANDONED == ABANDONED - 1 && !field.over() {
        field.closed(task);
        count(&field.counts.published, total as u64);
        return Ok(());
    }
    total += 1;
    let usage = format!(r#"{{"invocationId":"run","type":"usage","data":{{"inputTokens":{total}}}}}"#);
    connection.publish(task, usage.as_bytes()).await?;
    total += 1;
    connection.publish(task, status("completed", total).as_bytes()).await?;
    field.closed(task);
    ended(field, &api, task, total).await
}

/// Runs over Redis.
pub async fn over_redis(field: Arc<Field>, lane: usize) -> anyhow::Result<()> {
    let mut redis = redis::Client::open(field.redis.as_str())?.get_multiplexed_async_connection().await?;
    for number in 0.. {
        if field.over() {
            return Ok(());
        }
        let task = format!("wire-{lane}-{number}");
        run_over_redis(&field, &mut redis, &task).await.with_context(|| task.clone())?;
    }
    Ok(())
}

async fn run_over_redis(field: &Field, redis: &mut redis::aio::MultiplexedConnection, task: &str) -> anyhow::Result<()> {
    say(field, redis, task, &status("running", 0)).await?;
    field.opened(task);
    let (mut total, batches) = (1, rand::rng().random_range(BATCHES));
    for _ in 0..batches {
        let messages: Vec<_> = (0..BATCH).map(|n| message(total + n)).collect();
        say(field, redis, task, &format!("[{}]", messages.join(","))).await?;
        total += BATCH;
        field.pause(BETWEEN).await;
    }
    total += 1;
    say(field, redis, task, &status("completed", total)).await?;
    let (api, began) = (Api::of(field.hub()), Instant::now());
    loop {
        let (status, run) = api.ask(Method::GET, &format!("/v1/tasks/{task}/invocations/run"), "").await?;
        if status == StatusCode::OK && run["status"] == "completed" {
            break;
        }
        ensure!(began.elapsed() < PATIENCE, "what was published is not in the store: {run}");
        tokio::time::sleep(BETWEEN).await;
    }
    field.closed(task);
    ended(field, &api, task, total).await
}

/// Publishes until somebody hears it; announces the task meanwhile, as agents do.
async fn say(field: &Field, redis: &mut redis::aio::MultiplexedConnection, task: &str, message: &str) -> anyhow::Result<()> {
    let began = Instant::now();
    loop {
        let channel = format!("{}task:{task}", field.prefix);
        let heard: u64 = redis::cmd("PUBLISH").arg(channel).arg(message).query_async(redis).await?;
        if 0 < heard {
            return Ok(());
        }
        ensure!(began.elapsed() < PATIENCE, "nobody listens");
        let announced = format!(r#"{{"taskId":"{task}"}}"#);
        let _: u64 = redis::cmd("PUBLISH").arg(format!("{}tasks", field.prefix)).arg(announced).query_async(redis).await?;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// The log has what was published, no more and no less.
async fn ended(field: &Field, api: &Api, task: &str, total: usize) -> anyhow::Result<()> {
    let described = api.get(&format!("/v1/tasks/{task}")).await?;
    ensure!(described["head"] == total, "{total} were published, the store has {}", described["head"]);
    count(&field.counts.published, total as u64);
    count(&field.counts.runs, 1);
    Ok(())
}

async fn delete(field: &Field, task: &str) -> anyhow::Result<()> {
    let (status, answer) = Api::of(field.hub()).ask(Method::DELETE, &format!("/v1/tasks/{task}"), "").await?;
    // Retention may have been first.
    ensure!(status.is_success() || status == StatusCode::NOT_FOUND, "deleting {task}: {status} {answer}");
    count(&field.counts.deleted, u64::from(status.is_success()));
    Ok(())
}

/// Tasks that stay: an activity at a time at this rate, each with the time when it was due.
pub async fn steadily(field: Arc<Field>, tasks: Vec<String>, rate: f64) -> anyhow::Result<()> {
    let mut connections = Vec::new();
    for hub in &field.hubs {
        connections.push(Connection::open(hub).await?);
    }
    let mut pace = Pace::new(rate);
    for number in 0.. {
        if field.over() {
            return Ok(());
        }
        let due = pace.tick().await;
        let data = data(due, number);
        let body = format!(
            r#"{{"invocationId":"steady-{}","type":"message","eventId":"{}","data":{data}}}"#,
            number / 1_000,
            Uuid::now_v7()
        );
        // Each task has one hub that it is published to, but the first, which is published to all of them in turn.
        let task = number % tasks.len();
        let hub = if task == 0 { number / tasks.len() } else { task } % connections.len();
        connections[hub].publish(&tasks[task], body.as_bytes()).await?;
        count(&field.counts.published, 1);
        if number % 1_000 == 999 {
            for task in &tasks {
                let end =
                    format!(r#"{{"invocationId":"steady-{}","type":"status","data":{{"status":"completed"}}}}"#, number / 1_000);
                connections[0].publish(task, end.as_bytes()).await?;
                count(&field.counts.published, 1);
            }
        }
    }
    Ok(())
}

fn message(number: usize) -> String {
    let data = data(0, number);
    format!(r#"{{"invocationId":"run","type":"message","eventId":"{}","data":{data}}}"#, Uuid::now_v7())
}

/// A status; the last one says how many activities there are with it.
fn status(word: &str, total: usize) -> String {
    let extra = if total == 0 { r#""agent":"soak""#.to_owned() } else { format!(r#""reason":"{total}""#) };
    format!(r#"{{"invocationId":"run","type":"status","eventId":"{}","data":{{"status":"{word}",{extra}}}}}"#, Uuid::now_v7())
}
