//! Making a stream, appending to it and closing it. A request happens whole or not at all, in one commit with how its producer has come along.

use std::sync::Arc;

use axum::{
    body::{Body, Bytes},
    extract::State,
    http::{HeaderMap, Response, StatusCode, Uri, header},
    response::IntoResponse,
};

use super::{CLOSED, EXPECTED_SEQ, Found, PRODUCER, RECEIVED_SEQ, UNNAMED, said, set};
use crate::{
    auth::Caller,
    http::{
        App,
        access::Known,
        admit::draw_rest,
        error::Problem,
        extract::{Received, Task, body},
    },
    ingest::{Item, Reading, Rejected, StreamForm, read_body, refused_by_store},
    model::{Cursor, NewActivity, Status, TaskId, Timestamp},
    store::{Refusal, StreamRefusal, StreamWrite},
    trail::{Deed, Way},
    writer::newly_stored,
};

/// `PUT`: makes the stream if there is none.
pub(super) async fn create(
    State(app): State<Arc<App>>,
    Task(task): Task,
    Known(caller): Known,
    address: Uri,
    headers: HeaderMap,
    request: Body,
) -> Result<Response<Body>, Problem> {
    if !app.is_running() {
        return Err(Problem::stopping());
    }
    said::refuse_unoffered(&headers)?;
    let given = said::content_type(&app, &headers)?;
    let (content_type, close) = (given.unwrap_or_else(|| UNNAMED.to_owned()), said::closes(&headers));
    let Received { bytes, room: _room } = body(&app, &headers, request, app.limits.request_bytes).await?;
    let found = Found::find(&app, &task).await?;
    if let Some(found) = found.filter(Found::is_made) {
        return there(&found, &content_type, close);
    }
    let reading = reading(&app, &task);
    let mut activities = vec![reading.status(Status::Running, Some(&content_type))?];
    activities.extend(reading.messages(&bytes, StreamForm::of(&content_type)).map_err(|rejected| counted(&app, rejected))?);
    if close {
        activities.push(reading.status(Status::Completed, None)?);
    }
    let write = StreamWrite { create: true, content_type: Some(content_type.clone()), close, ..StreamWrite::default() };
    match send(&app, &caller, &task, activities, write).await? {
        Ok(_) => {}
        Err(StreamRefusal::Exists) => return there(&Found::get(&app, &task).await?, &content_type, close),
        Err(refusal) => return Err(conflict(&refusal)),
    }
    app.trail.did(&caller, Deed::Described, &task);
    let found = Found::get(&app, &task).await?;
    let mut response = found.described(StatusCode::CREATED);
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or("localhost");
    let scheme = if app.origins.secure { "https" } else { "http" };
    set(&mut response, header::LOCATION.as_str(), &format!("{scheme}://{host}{}", address.path()));
    Ok(response)
}

/// The answer where there is one already: it is what was wanted, or it is another one.
fn there(found: &Found, content_type: &str, close: bool) -> Result<Response<Body>, Problem> {
    let same = said::essence(found.content_type()) == said::essence(content_type);
    if !same || found.row.closed_at.is_some() != close {
        return Err(conflict(&StreamRefusal::Exists));
    }
    Ok(found.described(StatusCode::OK))
}

/// `POST`: appends, closes, or both.
pub(super) async fn append(
    State(app): State<Arc<App>>,
    Task(task): Task,
    Known(caller): Known,
    headers: HeaderMap,
    request: Body,
) -> Result<Response<Body>, Problem> {
    if !app.is_running() {
        return Err(Problem::stopping());
    }
    let (close, producer) = (said::closes(&headers), said::producer(&app, &headers)?);
    let (seq, content_type) = (said::seq(&app, &headers)?, said::content_type(&app, &headers)?);
    let Received { bytes, room: _room } = body(&app, &headers, request, app.limits.request_bytes).await?;
    let found = Found::get(&app, &task).await?;
    let only_close = close && bytes.is_empty();
    if !only_close {
        check_content_type(&found, content_type.as_deref(), &bytes)?;
    }
    let activities = understood(&app, &task, &found, &bytes, close)?;
    let content_type = found.row.content_type.clone();
    let write = StreamWrite { create: false, content_type, seq, producer: producer.clone(), close, only_close };
    let sent = send(&app, &caller, &task, activities, write).await?;
    let mut accepted = producer.as_ref().map(|producer| producer.seq);
    let (status, at, closed) = match sent {
        Ok(at) if producer.is_some() && !only_close => (StatusCode::OK, at, close),
        Ok(at) => (StatusCode::NO_CONTENT, at, close),
        Err(ref repeat @ (StreamRefusal::Duplicate { .. } | StreamRefusal::ClosedAlready)) => {
            if let StreamRefusal::Duplicate { seq } = repeat {
                accepted = Some(*seq);
            }
            let now = Found::get(&app, &task).await?;
            (StatusCode::NO_CONTENT, now.tail(), now.row.closed_at.is_some())
        }
        Err(refusal) => return refused(&app, &task, producer.as_ref().map(|producer| producer.seq), &refusal).await,
    };
    let mut response = found.answer(status, at, Body::empty());
    response.headers_mut().remove(header::CONTENT_TYPE);
    if closed {
        set(&mut response, CLOSED, "true");
    }
    if let Some((producer, seq)) = producer.zip(accepted) {
        set(&mut response, PRODUCER[1], &producer.epoch.to_string());
        set(&mut response, PRODUCER[2], &seq.to_string());
    }
    Ok(response)
}

fn check_content_type(found: &Found, given: Option<&str>, bytes: &Bytes) -> Result<(), Problem> {
    if bytes.is_empty() {
        return Err(Problem::bad_request(
            "empty_body",
            "body",
            "the body is empty: to close the stream, say Stream-Closed: true",
        ));
    }
    let Some(given) = given else {
        return Err(Problem::bad_request("missing_header", "content-type", "content-type is that of the stream"));
    };
    if said::essence(found.content_type()) != said::essence(given) {
        let detail = format!("the stream is of {}", found.content_type());
        return Err(Problem::new(StatusCode::CONFLICT, "content_type_mismatch", detail).field("content-type"));
    }
    Ok(())
}

/// A refusal as it is answered, and counted.
fn counted(app: &App, rejected: Rejected) -> Problem {
    app.metrics.reject(rejected.code);
    rejected.into()
}

fn reading<'a>(app: &'a App, task: &'a TaskId) -> Reading<'a> {
    Reading { task, now: Timestamp::now(), limits: &app.limits, redaction: &app.redaction }
}

/// The activities that a request is stored as; at least one.
fn understood(app: &App, task: &TaskId, found: &Found, bytes: &Bytes, close: bool) -> Result<Vec<NewActivity>, Problem> {
    let Some(form) = found.form() else {
        if close {
            let detail = "a log of activities goes on: its runs end one by one, by a status";
            return Err(Problem::new(StatusCode::CONFLICT, "stream_not_closable", detail).field(CLOSED));
        }
        return whole_activities(app, task, bytes);
    };
    let reading = reading(app, task);
    let mut activities = reading.messages(bytes, form).map_err(|rejected| counted(app, rejected))?;
    if close {
        activities.push(reading.status(Status::Completed, None)?);
    }
    if activities.is_empty() {
        return Err(Problem::bad_request("empty_body", "body", "there is no message in the body"));
    }
    Ok(activities)
}

/// Whole activities, as the ordinary address takes them, but all or none.
fn whole_activities(app: &App, task: &TaskId, bytes: &Bytes) -> Result<Vec<NewActivity>, Problem> {
    let parsed = read_body(bytes, task, Timestamp::now(), &app.limits, &app.redaction)
        .map_err(|error| Problem::bad_request(error.code(), "body", error.to_string()))?;
    let mut activities = Vec::with_capacity(parsed.items.len());
    for item in parsed.items {
        match item.map_err(|rejected| counted(app, rejected))? {
            Item::Activity(activity) => activities.push(*activity),
            Item::Heartbeat(_) => {
                return Err(Problem::bad_request("unknown_type", "type", "a heartbeat is no message: send it to /v1/tasks"));
            }
        }
    }
    if activities.is_empty() {
        return Err(Problem::bad_request("empty_body", "body", "there is no activity in the body"));
    }
    Ok(activities)
}

/// Has it committed. Gives the place after it, or why the stream did not take it.
async fn send(
    app: &App,
    caller: &Caller,
    task: &TaskId,
    activities: Vec<NewActivity>,
    write: StreamWrite,
) -> Result<Result<Cursor, StreamRefusal>, Problem> {
    draw_rest(app, caller, activities.len());
    app.metrics.accepted.http.inc_by(activities.len() as u64);
    let results = app.writer.append_to_stream(task.clone(), activities, write).await?;
    app.trail.published(caller, task, Way::Http, newly_stored(&results));
    match results.into_iter().last() {
        Some(Ok(receipt)) => Ok(Ok(receipt.cursor)),
        Some(Err(Refusal::Stream(refusal))) => Ok(Err(refusal)),
        Some(Err(Refusal::Outdated)) | None => Err(Problem::no_task()),
        Some(Err(refusal)) => Err(refused_by_store(&refusal).into()),
    }
}

fn conflict(refusal: &StreamRefusal) -> Problem {
    let status = match refusal {
        StreamRefusal::StaleEpoch { .. } => StatusCode::FORBIDDEN,
        StreamRefusal::EpochBegins => StatusCode::BAD_REQUEST,
        StreamRefusal::TooManyProducers => StatusCode::UNPROCESSABLE_ENTITY,
        _ => StatusCode::CONFLICT,
    };
    Problem::new(status, refusal.code(), refusal.to_string())
}

/// The answer to what the stream does not take, with what its writer needs to go on.
async fn refused(app: &App, task: &TaskId, seq: Option<u64>, refusal: &StreamRefusal) -> Result<Response<Body>, Problem> {
    let mut response = conflict(refusal).into_response();
    let found = Found::get(app, task).await?;
    set(&mut response, super::NEXT_OFFSET, &super::offset::written(found.tail()));
    if found.row.closed_at.is_some() {
        set(&mut response, CLOSED, "true");
    }
    match refusal {
        StreamRefusal::StaleEpoch { epoch } => set(&mut response, PRODUCER[1], &epoch.to_string()),
        StreamRefusal::Gap { expected } => {
            set(&mut response, EXPECTED_SEQ, &expected.to_string());
            set(&mut response, RECEIVED_SEQ, &seq.unwrap_or_default().to_string());
        }
        _ => {}
    }
    Ok(response)
}

impl Found {
    /// Whether it is something already that a stream cannot be made of.
    fn is_made(&self) -> bool {
        self.row.content_type.is_some() || self.state.head != crate::model::Offset::ZERO
    }

    /// What is said of a stream that is there.
    fn described(&self, status: StatusCode) -> Response<Body> {
        let mut response = self.answer(status, self.tail(), Body::empty());
        if self.row.closed_at.is_some() {
            set(&mut response, CLOSED, "true");
        }
        response
    }
}
