//! Tasks' logs by the protocol of Durable Streams (docs/durable-streams.md): made, appended to, read, waited for and deleted by its clients. The log
//! stays what it is: a message is an activity, an offset is a place in the log, and who may do what is granted as everywhere.

mod live;
mod offset;
mod read;
mod said;
mod write;

use std::sync::Arc;

use axum::{
    body::Body,
    extract::State,
    http::{HeaderName, HeaderValue, Response, StatusCode, header},
    response::IntoResponse,
    routing::{MethodRouter, get},
};

use super::{App, access::Known, error::Problem, extract::Task};
use crate::{
    ingest::StreamForm,
    model::{Cursor, Filter, InvocationId, LogState, Offset, TaskId},
    store::StreamRow,
};

pub(super) const NEXT_OFFSET: &str = "stream-next-offset";
const UP_TO_DATE: &str = "stream-up-to-date";
const CURSOR: &str = "stream-cursor";
const CLOSED: &str = "stream-closed";
const DATA_ENCODING: &str = "stream-sse-data-encoding";
const SEQ: &str = "stream-seq";
const PRODUCER: [&str; 3] = ["producer-id", "producer-epoch", "producer-seq"];
const EXPECTED_SEQ: &str = "producer-expected-seq";
const RECEIVED_SEQ: &str = "producer-received-seq";
const EXPIRY: [&str; 2] = ["stream-ttl", "stream-expires-at"];
const FORKED_FROM: &str = "stream-forked-from";

/// What pages of other origins may send, and what they may read.
pub(super) const SENT_HEADERS: [&str; 6] = [CLOSED, SEQ, "producer-id", "producer-epoch", "producer-seq", "if-none-match"];
pub(super) const SHOWN_HEADERS: [&str; 10] = [
    NEXT_OFFSET,
    UP_TO_DATE,
    CURSOR,
    CLOSED,
    DATA_ENCODING,
    "producer-epoch",
    "producer-seq",
    EXPECTED_SEQ,
    RECEIVED_SEQ,
    "etag",
];

/// What a log is that nothing was made of: its activities, as everywhere.
const ACTIVITIES: &str = "application/json";

/// What a stream is that does not say.
const UNNAMED: &str = "application/octet-stream";

/// The methods of a stream.
pub(super) fn methods() -> MethodRouter<Arc<App>> {
    get(read::read).head(head).put(write::create).post(write::append).delete(super::tasks::delete)
}

/// A stream as it was found.
struct Found {
    state: LogState,
    row: StreamRow,
}

impl Found {
    /// The stream at a task, if the task is there.
    async fn find(app: &App, task: &TaskId) -> Result<Option<Self>, Problem> {
        let states = app.store.log_states(std::slice::from_ref(task)).await?;
        let Some((_, state)) = states.into_iter().next() else { return Ok(None) };
        Ok(Some(Self { state, row: app.store.stream(task).await?.unwrap_or_default() }))
    }

    /// The same where there has to be one.
    async fn get(app: &App, task: &TaskId) -> Result<Self, Problem> {
        Self::find(app, task).await?.ok_or_else(Problem::no_task)
    }

    fn content_type(&self) -> &str {
        self.row.content_type.as_deref().unwrap_or(ACTIVITIES)
    }

    /// How its messages are kept; nothing if they are whole activities.
    fn form(&self) -> Option<StreamForm> {
        self.row.content_type.as_deref().map(StreamForm::of)
    }

    /// Where it ends for now, or for good.
    fn tail(&self) -> Cursor {
        Cursor { epoch: self.state.epoch, offset: self.row.closed_at.unwrap_or(self.state.head) }
    }

    /// Whether nothing comes after this offset any more.
    fn ends_at(&self, offset: Offset) -> bool {
        self.row.closed_at.is_some_and(|at| at <= offset)
    }

    /// What of the log belongs to it.
    fn filter(&self) -> Filter {
        let run: Option<InvocationId> = self.form().and_then(|_| crate::ingest::STREAM_RUN.parse().ok());
        Filter { invocation: run, ..Filter::default() }
    }

    /// An answer about it.
    fn answer(&self, status: StatusCode, at: Cursor, body: Body) -> Response<Body> {
        let mut response = Response::new(body);
        *response.status_mut() = status;
        set(&mut response, header::CONTENT_TYPE.as_str(), self.content_type());
        set(&mut response, header::CACHE_CONTROL.as_str(), "no-store");
        set(&mut response, NEXT_OFFSET, &offset::written(at));
        response
    }
}

/// Sets a header of an answer; what no header can hold is left out.
fn set(response: &mut Response<Body>, name: &'static str, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(HeaderName::from_static(name), value);
    }
}

/// `HEAD`: what it is and where it ends.
async fn head(State(app): State<Arc<App>>, Task(task): Task, Known(_): Known) -> Result<Response<Body>, Problem> {
    let found = Found::get(&app, &task).await?;
    let mut response = found.answer(StatusCode::OK, found.tail(), Body::empty());
    if found.row.closed_at.is_some() {
        set(&mut response, CLOSED, "true");
    }
    Ok(response.into_response())
}
