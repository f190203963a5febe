//! Tasks and their invocations: list, describe, change, delete.

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    Json,
    body::Body,
    extract::State,
    http::{HeaderMap, StatusCode},
    response::IntoResponse,
};
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json, value::RawValue};

use super::{
    App,
    access::Known,
    error::Problem,
    extract::{Query, Task, TaskInvocation, json as json_body},
};
use crate::{
    model::{Filter, FrameBuilder, TaskId, TaskSummary, Timestamp},
    store::{TaskChange, TaskPlace, TaskQuery},
};

/// The most tasks in a page, and how many when no limit is given.
const MOST_TASKS: usize = 1_000;
const DEFAULT_TASKS: usize = 100;

/// The most invocations that an answer lists, newest first.
const MOST_INVOCATIONS: usize = 1_000;

/// The bounds of what people say about a task.
const TITLE_CHARS: usize = 1_024;
const LABELS: usize = 32;
const LABEL_NAME_CHARS: usize = 64;
const LABEL_VALUE_CHARS: usize = 256;

/// The most labels that a list can be filtered by, and the longest text to search for.
const LABEL_FILTERS: usize = 8;
const SEARCH_CHARS: usize = 256;

/// `GET /v1/tasks`
pub(super) async fn list(State(app): State<Arc<App>>, Known(caller): Known, query: Query) -> Result<impl IntoResponse, Problem> {
    let query = query.only(&["status", "label", "q", "limit", "page"])?;
    let labels: Vec<_> = query.all("label").map(label).collect();
    if LABEL_FILTERS < labels.len() {
        return Err(Problem::bad_request("too_many_labels", "label", format!("at most {LABEL_FILTERS} labels")));
    }
    let text = query.one("q").map(str::to_owned);
    if text.as_ref().is_some_and(|text| SEARCH_CHARS < text.chars().count()) {
        return Err(Problem::bad_request("text_too_long", "q", format!("q has at most {SEARCH_CHARS} characters")));
    }
    let wanted = TaskQuery {
        status: query.parsed("status", "unknown_status")?,
        labels,
        text,
        visible: caller.visible(),
        limit: query.limit(DEFAULT_TASKS, MOST_TASKS)?,
        after: query.one("page").map(page).transpose()?,
    };
    let (tasks, next) = app.store.tasks(&wanted).await?;
    let next = next.map(|place| format!("{}-{}", place.listed_at.as_millis(), place.key));
    Ok(Json(json!({"tasks": tasks, "next": next})))
}

/// `name=value`, or `name` for any value.
fn label(text: &str) -> (String, Option<String>) {
    match text.split_once('=') {
        Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
        None => (text.to_owned(), None),
    }
}

fn page(text: &str) -> Result<TaskPlace, Problem> {
    let place = || {
        let (time, key) = text.split_once('-')?;
        Some(TaskPlace { listed_at: Timestamp::from_millis(time.parse().ok()?)?, key: key.parse().ok()? })
    };
    place().ok_or_else(|| Problem::bad_request("invalid_page", "page", "page is what an earlier answer gave as next"))
}

/// `GET /v1/tasks/{id}`
pub(super) async fn show(State(app): State<Arc<App>>, Task(task): Task) -> Result<impl IntoResponse, Problem> {
    let summary = summary(&app, &task).await?;
    let invocations = app.store.invocations(&task, MOST_INVOCATIONS).await?.unwrap_or_default();
    let last = app.store.read_before(&task, None, 1, &Filter::default()).await?;
    let last_activity: Option<Box<RawValue>> = last.and_then(|page| {
        let (offset, activity) = page.activities.first()?;
        let mut builder = FrameBuilder::new(&task, page.state.epoch);
        builder.push(*offset, activity);
        let batch = builder.finish().pop()?;
        let mut text = Vec::new();
        batch.write_json(batch.frames().first()?, &mut text);
        RawValue::from_string(String::from_utf8(text).ok()?).ok()
    });
    let mut answer = serde_json::to_value(&summary).unwrap_or_default();
    answer["invocations"] = json!(invocations);
    let mut text = answer.to_string();
    text.pop();
    let last = last_activity.as_ref().map_or("null", |raw| raw.get());
    text.push_str(&format!(",\"lastActivity\":{last}}}"));
    Ok(([("content-type", "application/json")], text))
}

async fn summary(app: &App, task: &TaskId) -> Result<TaskSummary, Problem> {
    let found = app.store.summaries(std::slice::from_ref(task)).await?;
    found.into_iter().next().ok_or_else(Problem::no_task)
}

/// What `PUT` and `PATCH` take. A `title` of null removes it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Description {
    #[serde(default, deserialize_with = "given")]
    title: Option<Option<String>>,
    labels: Option<BTreeMap<String, String>>,
}

fn given<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<String>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

impl Description {
    fn check(self) -> Result<TaskChange, Problem> {
        let chars = |text: &str| text.chars().count();
        let clean = |text: &str| !text.chars().any(char::is_control);
        if let Some(Some(title)) = &self.title
            && (TITLE_CHARS < chars(title) || !clean(title))
        {
            let detail = format!("a title has at most {TITLE_CHARS} characters and no control characters");
            return Err(Problem::bad_request("invalid_title", "title", detail));
        }
        let label_fits = |(name, value): (&String, &String)| {
            (1..=LABEL_NAME_CHARS).contains(&chars(name)) && chars(value) <= LABEL_VALUE_CHARS && clean(name) && clean(value)
        };
        if self.labels.as_ref().is_some_and(|labels| LABELS < labels.len() || !labels.iter().all(label_fits)) {
            let detail = format!(
                "a task has at most {LABELS} labels, names of 1 to {LABEL_NAME_CHARS} and values of up to {LABEL_VALUE_CHARS} \
                 characters, without control characters"
            );
            return Err(Problem::bad_request("invalid_labels", "labels", detail));
        }
        Ok(TaskChange { title: self.title, labels: self.labels })
    }
}

/// `PUT /v1/tasks/{id}`: creates it if it is not there; 201 then, else 200.
pub(super) async fn put(
    State(app): State<Arc<App>>,
    Task(task): Task,
    headers: HeaderMap,
    body: Body,
) -> Result<impl IntoResponse, Problem> {
    let change = description(&app, &headers, body).await?;
    let created = app.writer.put_task(task.clone(), change).await??;
    let status = if created { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, Json(summary(&app, &task).await?)))
}

/// `PATCH /v1/tasks/{id}`
pub(super) async fn patch(
    State(app): State<Arc<App>>,
    Task(task): Task,
    headers: HeaderMap,
    body: Body,
) -> Result<impl IntoResponse, Problem> {
    let change = description(&app, &headers, body).await?;
    if !app.writer.patch_task(task.clone(), change).await?? {
        return Err(Problem::no_task());
    }
    Ok(Json(summary(&app, &task).await?))
}

async fn description(app: &App, headers: &HeaderMap, body: Body) -> Result<TaskChange, Problem> {
    if !app.is_running() {
        return Err(Problem::stopping());
    }
    let change = json_body::<Description>(app, headers, body).await?.check()?;
    let shortened = |text: String, most| text.chars().take(most).collect::<String>();
    let title = change.title.map(|title| title.map(|title| shortened(app.redaction.text(title), TITLE_CHARS)));
    let label = |(name, value): (String, String)| {
        let value = shortened(app.redaction.named(&name, value), LABEL_VALUE_CHARS);
        (shortened(app.redaction.text(name), LABEL_NAME_CHARS), value)
    };
    Ok(TaskChange { title, labels: change.labels.map(|labels| labels.into_iter().map(label).collect()) })
}

/// `DELETE /v1/tasks/{id}`, with everything below it.
pub(super) async fn delete(State(app): State<Arc<App>>, Task(task): Task) -> Result<impl IntoResponse, Problem> {
    if !app.is_running() {
        return Err(Problem::stopping());
    }
    // A long log goes bite by bite first, or others would wait for the transaction that takes all of it.
    app.store.lighten(&task).await?;
    if !app.writer.delete_task(task).await?? {
        return Err(Problem::no_task());
    }
    Ok(StatusCode::NO_CONTENT)
}

/// `GET /v1/tasks/{id}/invocations`
pub(super) async fn invocations(State(app): State<Arc<App>>, Task(task): Task) -> Result<Json<Value>, Problem> {
    let invocations = app.store.invocations(&task, MOST_INVOCATIONS).await?.ok_or_else(Problem::no_task)?;
    Ok(Json(json!({"invocations": invocations})))
}

/// `GET /v1/tasks/{id}/invocations/{invocation}`
pub(super) async fn invocation(
    State(app): State<Arc<App>>,
    TaskInvocation(task, id): TaskInvocation,
) -> Result<impl IntoResponse, Problem> {
    let found = app.store.invocation(&task, &id).await?;
    let no_invocation =
        || Problem::new(StatusCode::NOT_FOUND, "invocation_not_found", "there is no such invocation of this task");
    Ok(Json(found.ok_or_else(no_invocation)?))
}
