//! Publishing activities and reading them in pages.

use std::{io, sync::Arc};

use axum::{
    Json,
    body::Body,
    extract::State,
    http::{HeaderMap, HeaderValue, Response, StatusCode, header},
};
use futures_util::{TryStreamExt, stream};
use serde::Serialize;
use serde_json::json;
use tokio::sync::mpsc;

use super::{
    App,
    access::Known,
    admit::{draw_rest, pause},
    error::Problem,
    extract::{Query, Received, Task, body},
    place,
};
use crate::{
    auth::Caller,
    ingest::{Item, Rejected, read_body, refused_by_store},
    model::{Cursor, Filter, FrameBuilder, LogState, NewActivity, Offset, TaskId, Timestamp, TraceContext},
    store::{Page, ReadAfter, Receipt, Store},
    telemetry::SpanKind,
    trail::{Deed, Way},
    writer::newly_stored,
};

/// The most activities in a page.
const MOST_LIMIT: usize = 1_000;

/// The activities in a page when no limit is given.
const DEFAULT_LIMIT: usize = 100;

/// The most bytes of payloads in a page; one activity may exceed it.
const PAGE_BYTES: usize = 4 << 20;

/// What became of one item of a request.
#[derive(Serialize)]
#[serde(untagged)]
enum ItemResult {
    #[serde(rename_all = "camelCase")]
    Receipt {
        event_id: crate::model::EventId,
        offset: Offset,
        cursor: Cursor,
        duplicate: bool,
    },
    Heartbeat {
        heartbeat: bool,
    },
    Error {
        error: Rejected,
    },
}

impl ItemResult {
    fn receipt(receipt: &Receipt) -> Self {
        let Receipt { event_id, cursor, duplicate } = *receipt;
        Self::Receipt { event_id, offset: cursor.offset, cursor, duplicate }
    }
}

/// `POST /v1/tasks/{id}/activities`: answers after the commit. What is traced is so from here on, as part of the sender's trace if it names one.
pub(super) async fn publish(
    State(app): State<Arc<App>>,
    Task(task): Task,
    Known(caller): Known,
    headers: HeaderMap,
    request: Body,
) -> Result<Json<Answer>, Problem> {
    if !app.is_running() {
        return Err(Problem::stopping());
    }
    let traceparent = headers.get("traceparent").and_then(|value| value.to_str().ok());
    let Some(mut span) = app.metrics.tracer.begin("publish", SpanKind::Server, traceparent) else {
        return take(&app, task, &caller, &headers, request, None).await;
    };
    span.note("http.request.method", "POST");
    span.note("http.route", "/v1/tasks/{task}/activities");
    span.note("task.id", task.as_str().to_owned());
    let answer = take(&app, task, &caller, &headers, request, Some(span.context())).await;
    let status = answer.as_ref().map_or_else(Problem::status, |_| StatusCode::OK.as_u16());
    span.note("http.response.status_code", i64::from(status));
    answer
}

async fn take(
    app: &App,
    task: TaskId,
    caller: &Caller,
    headers: &HeaderMap,
    request: Body,
    trace: Option<TraceContext>,
) -> Result<Json<Answer>, Problem> {
    // Until all of it is stored: what waits for the store is still there.
    let Received { bytes, room: _room } = body(app, headers, request, app.limits.request_bytes).await?;
    let parsed = read_body(&bytes, &task, Timestamp::now(), &app.limits, &app.redaction).map_err(|error| {
        app.metrics.reject(error.code());
        let status = match error.code() {
            "too_many_activities" => StatusCode::PAYLOAD_TOO_LARGE,
            _ => StatusCode::BAD_REQUEST,
        };
        Problem::new(status, error.code(), error.to_string()).field("body")
    })?;
    app.metrics.replaced_characters.inc_by(parsed.replaced as u64);
    draw_rest(app, caller, parsed.items.len());
    let single = parsed.single;
    let (mut results, activities, places) = sort(app, &task, parsed.items);
    app.metrics.accepted.http.inc_by(activities.len() as u64);
    let answers = app.writer.append_traced(task.clone(), activities, trace).await?;
    app.trail.published(caller, &task, Way::Http, newly_stored(&answers));
    for (place, answer) in places.into_iter().zip(answers) {
        results[place] = match answer {
            Ok(receipt) => ItemResult::receipt(&receipt),
            Err(refusal) => ItemResult::Error { error: refused_by_store(&refusal) },
        };
    }
    let all_refused = !results.is_empty() && results.iter().all(|result| matches!(result, ItemResult::Error { .. }));
    if single && all_refused {
        // One object by itself that was refused is the request's own problem.
        let Some(ItemResult::Error { error }) = results.pop() else { unreachable!("all are errors") };
        return Err(error.into());
    }
    if all_refused {
        let detail = "every activity of the request was refused; results says why, one by one";
        return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "all_refused", detail).with("results", results));
    }
    Ok(Json(Answer { results }))
}

/// The answer to a request.
#[derive(Serialize)]
pub(super) struct Answer {
    results: Vec<ItemResult>,
}

/// Splits what was understood: a result for each item (to be replaced for those that are appended), the activities, and their places.
fn sort(app: &App, task: &TaskId, items: Vec<Result<Item, Rejected>>) -> (Vec<ItemResult>, Vec<NewActivity>, Vec<usize>) {
    let (mut results, mut activities, mut places) = (Vec::with_capacity(items.len()), Vec::new(), Vec::new());
    for item in items {
        results.push(match item {
            Ok(Item::Activity(activity)) => {
                places.push(results.len());
                activities.push(*activity);
                ItemResult::Heartbeat { heartbeat: false }
            }
            Ok(Item::Heartbeat(invocation)) => {
                app.writer.heartbeat(task.clone(), invocation, Timestamp::now());
                ItemResult::Heartbeat { heartbeat: true }
            }
            Err(rejected) => {
                app.metrics.reject(rejected.code);
                ItemResult::Error { error: rejected }
            }
        });
    }
    (results, activities, places)
}

/// `GET /v1/tasks/{id}/activities`: a page, or everything as NDJSON.
pub(super) async fn page(
    State(app): State<Arc<App>>,
    Task(task): Task,
    Known(caller): Known,
    headers: HeaderMap,
    query: Query,
) -> Result<Response<Body>, Problem> {
    let query = query.only(&["after", "before", "from", "at", "limit", "type", "invocation", "series", "format"])?;
    let filter = filter(&query)?;
    let limit = query.limit(DEFAULT_LIMIT, MOST_LIMIT)?;
    place::one_place(&query)?;
    let download = match query.one("format") {
        None => false,
        Some("ndjson") if query.one("before").is_none() => true,
        Some("ndjson") => {
            return Err(Problem::bad_request("conflicting_parameters", "format", "what comes before is given in pages only"));
        }
        Some(_) => return Err(Problem::bad_request("invalid_format", "format", "format must be ndjson")),
    };
    let states = app.store.log_states(std::slice::from_ref(&task)).await?;
    let Some((_, state)) = states.into_iter().next() else { return Err(Problem::no_task()) };
    if let Some(before) = place::before(&query, state)? {
        let page = app.store.read_before(&task, Some(before), limit, &filter).await?.ok_or_else(Problem::no_task)?;
        let next = (page.state.floor <= page.through).then(|| Cursor { epoch: state.epoch, offset: page.through.next() });
        return Ok(page_response(&task, &page, next));
    }
    let after = place::beginning(&app, &task, &query, state).await?;
    let accepts = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).is_some_and(|text| text.contains("ndjson"));
    if download || accepts {
        app.trail.did(&caller, Deed::Exported, &task);
        let name = download.then(|| format!("attachment; filename=\"{task}.ndjson\""));
        let limit = query.one("limit").map(|_| limit);
        let mut response =
            ndjson(app, caller, task, Export { epoch: state.epoch, after, until: state.head, left: limit, filter });
        if let Some(name) = name.and_then(|name| HeaderValue::from_str(&name).ok()) {
            response.headers_mut().insert(header::CONTENT_DISPOSITION, name);
        }
        return Ok(response);
    }
    let range = ReadAfter { after, limit, bytes: PAGE_BYTES, window: filter.window(), filter };
    let page = app.store.read_after(&task, &range).await?.ok_or_else(Problem::no_task)?;
    let next = (page.through < page.state.head).then_some(Cursor { epoch: page.state.epoch, offset: page.through });
    Ok(page_response(&task, &page, next))
}

/// The filter that the parameters `type`, `invocation` and `series` name.
pub(super) fn filter(query: &Query) -> Result<Filter, Problem> {
    let types = query.all("type").flat_map(|value| value.split(',')).map(str::parse).collect::<Result<_, _>>();
    let finished_series = match query.one("series") {
        None => false,
        Some("final") => true,
        Some(_) => return Err(Problem::bad_request("invalid_series", "series", "series must be final")),
    };
    Ok(Filter {
        types: types.map_err(|error: crate::model::Invalid| Problem::bad_request("unknown_type", "type", error.to_string()))?,
        invocation: query.parsed("invocation", "invalid_invocation_id")?,
        finished_series,
    })
}

fn page_response(task: &TaskId, page: &Page, next: Option<Cursor>) -> Response<Body> {
    let mut text = br#"{"activities":["#.to_vec();
    write_activities(task, page, b",", &mut text);
    let LogState { epoch, head, floor } = page.state;
    let rest = json!({"head": head, "floor": floor, "epoch": epoch, "next": next}).to_string();
    text.extend_from_slice(b"],");
    text.extend_from_slice(&rest.as_bytes()[1..]);
    respond("application/json", Body::from(text))
}

pub(super) fn write_activities(task: &TaskId, page: &Page, separator: &[u8], out: &mut Vec<u8>) {
    let mut builder = FrameBuilder::new(task, page.state.epoch).expecting(page.activities.len(), page.data_bytes());
    for (offset, activity) in &page.activities {
        builder.push(*offset, activity);
    }
    let mut first = true;
    for batch in builder.finish() {
        for frame in batch.frames() {
            if !std::mem::take(&mut first) {
                out.extend_from_slice(separator);
            }
            batch.write_json(frame, out);
        }
    }
}

fn respond(kind: &'static str, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// What is left of an export.
struct Export {
    epoch: crate::model::Epoch,
    after: Offset,
    until: Offset,
    left: Option<usize>,
    filter: Filter,
}

/// The bytes of payloads that an export reads at once.
const EXPORT_BYTES: usize = 1 << 20;

/// How many parts of an export are ready and wait to be written, beside the one that is read.
const EXPORTED_AHEAD: usize = 1;

/// Everything up to the head as it was at the beginning, a page at a time, in constant memory: the next page is read while one is written. A log
/// that is deleted or trimmed under the export breaks the body off, which clients see as an error.
fn ndjson(app: Arc<App>, caller: Caller, task: TaskId, mut export: Export) -> Response<Body> {
    let (pages, mut read) = mpsc::channel(EXPORTED_AHEAD);
    let (reader, from) = (app.clone(), task.clone());
    let reading = app.hub.spawn_until_dropped(async move {
        while let Some(page) = export.next(&reader.store, &from).await.transpose() {
            // An export may take long, and a token may be taken back meanwhile.
            let page = page.and_then(|page| reader.auth.still_good(&caller).map(|()| page).map_err(io::Error::other));
            let over = page.is_err();
            if pages.send(page).await.is_err() || over {
                break;
            }
            pause(&reader, &caller).await;
        }
    });
    let pages = stream::poll_fn(move |context| {
        let _until_dropped = &reading;
        read.poll_recv(context)
    });
    respond("application/x-ndjson", Body::from_stream(pages.map_ok(move |page| lines(&task, &page))))
}

impl Export {
    /// The next page.
    async fn next(&mut self, store: &Store, task: &TaskId) -> io::Result<Option<Page>> {
        if self.until <= self.after || self.left == Some(0) {
            return Ok(None);
        }
        let limit = self.left.unwrap_or(MOST_LIMIT).min(MOST_LIMIT);
        let window = self.filter.window();
        let range = ReadAfter { after: self.after, limit, bytes: EXPORT_BYTES, window, filter: self.filter.clone() };
        let page = store.read_after(task, &range).await.map_err(io::Error::other)?;
        let page = page.filter(|page| page.state.epoch == self.epoch && page.state.floor <= self.after.next());
        let Some(mut page) = page else { return Err(io::Error::other("the log changed under the export")) };
        page.activities.retain(|(offset, _)| *offset <= self.until);
        self.after = page.through;
        self.left = self.left.map(|left| left - page.activities.len());
        Ok(Some(page))
    }
}

fn lines(task: &TaskId, page: &Page) -> Vec<u8> {
    let mut text = Vec::with_capacity(page.data_bytes() * 2);
    write_activities(task, page, b"\n", &mut text);
    if !text.is_empty() {
        text.push(b'\n');
    }
    text
}
