//! Hooks of agents: what they say is published like anything else, and they are never kept waiting.

use std::{str::FromStr, sync::Arc, time::Duration};

use axum::{
    Json,
    body::{Body, Bytes},
    extract::State,
    http::{HeaderMap, StatusCode},
};
use serde_json::{Value, json};
use tokio::time::timeout;

use super::{
    App,
    access::{Known, granted},
    error::Problem,
    extract::{Query, Received, body},
};
use crate::{
    auth::{Caller, Right},
    ingest::{Hook, HookPlace, Item, read_body, read_claude_hook, refused_by_store},
    model::{ActivityType, Data, Effect, EventId, NewActivity, Timestamp},
    store::Refusal,
    trail::Way,
    writer::{Results, newly_stored},
};

/// How long an agent waits for its hook's answer at most. What was taken by then is stored all the same.
const PATIENCE: Duration = Duration::from_secs(2);

/// `POST /v1/hooks/claude`: an empty object for what was taken, which tells Claude Code to go on as it would without the hook.
pub(super) async fn claude(
    State(app): State<Arc<App>>,
    Known(caller): Known,
    headers: HeaderMap,
    query: Query,
    request: Body,
) -> Result<Json<Value>, Problem> {
    if !app.is_running() {
        return Err(Problem::stopping());
    }
    let query = query.only(&["task", "invocation"])?;
    let place = HookPlace {
        task: named(&query, &headers, "task", "invalid_task_id")?,
        invocation: named(&query, &headers, "invocation", "invalid_invocation_id")?,
    };
    let Received { bytes, room: _room } = body(&app, &headers, request, app.limits.request_bytes).await?;
    // Before long texts are cut: half a secret would not be found.
    let bytes = app.redaction.json(bytes);
    let hook = read_claude_hook(&bytes, place)?;
    granted(&caller, Right::Publish, &hook.task)?;
    match timeout(PATIENCE, publish(&app, &caller, hook)).await {
        Ok(done) => done.map(|()| Json(json!({}))),
        Err(_) => {
            let detail = "the store has not confirmed in time; what was taken is stored when it answers";
            Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "store_unavailable", detail))
        }
    }
}

/// What the query or a header says; an empty header says nothing, because it was filled from a variable that is not set.
fn named<T: FromStr>(query: &Query, headers: &HeaderMap, name: &'static str, code: &'static str) -> Result<Option<T>, Problem>
where
    T::Err: std::fmt::Display,
{
    if let Some(value) = query.parsed(name, code)? {
        return Ok(Some(value));
    }
    let header = format!("x-tasklight-{name}");
    let value = headers.get(&header).and_then(|value| value.to_str().ok()).filter(|value| !value.is_empty());
    let bad = |error| Problem::bad_request(code, &header, format!("{header}: {error}"));
    value.map(str::parse).transpose().map_err(bad)
}

async fn publish(app: &App, caller: &Caller, hook: Hook) -> Result<(), Problem> {
    let Hook { task, body } = hook;
    let parsed = read_body(&body, &task, Timestamp::now(), &app.limits, &app.redaction).map_err(|error| {
        app.metrics.reject(error.code());
        Problem::bad_request(error.code(), "body", error.to_string())
    })?;
    app.metrics.replaced_characters.inc_by(parsed.replaced as u64);
    let mut activities = Vec::new();
    for item in parsed.items {
        match item {
            Ok(Item::Activity(activity)) => activities.push(*activity),
            Ok(Item::Heartbeat(_)) => {}
            Err(rejected) => {
                app.metrics.reject(rejected.code);
                return Err(rejected.into());
            }
        }
    }
    app.metrics.accepted.hook.inc_by(activities.len() as u64);
    let results = app.writer.append(task.clone(), activities.clone()).await?;
    app.trail.published(caller, &task, Way::Hook, newly_stored(&results));
    let late = late_statuses(activities, &results)?;
    // A session that has ended and was taken up again says `running`, which its run can no longer be: that is kept as what was said.
    app.writer.append(task, late).await?;
    Ok(())
}

/// The statuses that came too late to be one, as `custom`; anything else that the store refused is the hook's problem.
fn late_statuses(activities: Vec<NewActivity>, results: &Results) -> Result<Vec<NewActivity>, Problem> {
    let mut late = Vec::new();
    for (mut new, result) in activities.into_iter().zip(results) {
        match result {
            Ok(_) => {}
            Err(Refusal::Transition { .. }) => {
                new.activity.event_id = EventId::generate();
                new.activity.kind = ActivityType::Custom;
                let said = new.activity.data.as_str();
                let data = Bytes::from(format!(r#"{{"name":"late_status","said":{said}}}"#));
                new.activity.data = Data::from_checked(data).unwrap_or_else(Data::empty);
                new.effect = Effect::SignOfLife;
                late.push(new);
            }
            Err(refusal) => return Err(refused_by_store(refusal).into()),
        }
    }
    Ok(late)
}
