//! The two ways to watch: Server-Sent Events for one task, WebSocket for many.

use std::{sync::Arc, time::Duration};

use axum::{
    Extension,
    body::Body,
    extract::State,
    http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Version, header},
    response::IntoResponse,
};

use super::{
    App,
    access::Known,
    activities::filter,
    error::Problem,
    extract::{Query, Task},
    hand_over::{HandOver, Handed},
};
use crate::{
    auth::Caller,
    hub::{Hub, Otherwise, Relay, Start},
    limits::{AddressSeat, TooManySessions},
    metrics::Metrics,
    model::Cursor,
    session::{
        Session, SessionOptions,
        access::Access,
        sse::{self, SseSession},
        upgrade::{HandshakeError, accept},
    },
};

/// When one who has too many sessions should come back, in seconds.
const SESSIONS_RETRY: u64 = 5;

/// `GET /v1/tasks/{id}/stream`
pub(super) async fn sse(
    State(app): State<Arc<App>>,
    Extension(hand_over): Extension<HandOver>,
    Task(task): Task,
    Known(caller): Known,
    (seat, version, method): (Option<Extension<Arc<AddressSeat>>>, Version, Method),
    headers: HeaderMap,
    query: Query,
) -> Result<Response<Body>, Problem> {
    let query = query.only(&["after", "last", "type", "invocation", "series"])?;
    if !app.is_running() {
        return Err(Problem::stopping());
    }
    let start = start(&headers, &query)?;
    let access = Access::new(app.auth.clone(), app.bounds.clone(), Some(caller), Duration::ZERO);
    let access = access.map_err(|_| too_many_sessions(&app))?.with_seat(seat.map(|Extension(seat)| seat));
    let session = SseSession {
        follower: app.hub.follow(&task, start, filter(&query)?),
        task,
        hub: app.hub.clone(),
        options: app.session.clone(),
        metrics: app.metrics.clone(),
        ending: app.ending.clone(),
        access,
    };
    let mut response = if method == Method::HEAD {
        // Its connection stays what it is, and takes up nothing.
        Response::new(Body::empty())
    } else {
        hand_over.leave(Handed::Sse { session: Box::new(session), chunked: version == Version::HTTP_11 });
        Response::new(hand_over.body(sse::first_event()))
    };
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    Ok(response)
}

/// `Last-Event-ID` is what a browser says when it reconnects, so it wins over the `after` that is still in its address.
fn start(headers: &HeaderMap, query: &Query) -> Result<Start, Problem> {
    let otherwise = match query.parsed::<u64>("last", "invalid_last")? {
        Some(count) => Otherwise::Last(count),
        None => Otherwise::Beginning,
    };
    let last_id = headers.get("last-event-id").filter(|value| !value.is_empty());
    let (name, text) = match last_id {
        Some(value) => ("Last-Event-ID", value.to_str().ok()),
        None => ("after", query.one("after")),
    };
    let cursor = match (name, text) {
        ("after", None | Some("start")) => return Ok(Start { after: None, otherwise }),
        ("after", Some("end")) => return Ok(Start { after: None, otherwise: Otherwise::End }),
        (_, text) => text.unwrap_or_default().parse::<Cursor>(),
    };
    let after = cursor.map_err(|error| Problem::bad_request("invalid_cursor", name, format!("{name}: {error}")))?;
    Ok(Start { after: Some(after), otherwise })
}

/// `GET /v1/ws`
pub(super) async fn websocket(
    State(app): State<Arc<App>>,
    Extension(hand_over): Extension<HandOver>,
    request: Request<Body>,
) -> Response<Body> {
    open(app, &hand_over, &request, Session::new)
}

/// `GET /v1/echo`: the same way to the same socket, for a session that says again what it hears. Only tests have it (`make autobahn`).
#[cfg(feature = "echo")]
pub(super) async fn echo(
    State(app): State<Arc<App>>,
    Extension(hand_over): Extension<HandOver>,
    request: Request<Body>,
) -> Response<Body> {
    open(app, &hand_over, &request, Session::echoing)
}

/// How a session is made.
type NewSession = fn(Hub, Arc<SessionOptions>, Arc<Metrics>, &str, Access, Relay) -> Session;

/// Has the connection become a session, if its handshake is in order and there is room.
fn open(app: Arc<App>, hand_over: &HandOver, request: &Request<Body>, new: NewSession) -> Response<Body> {
    if !app.is_running() {
        return Problem::stopping().into_response();
    }
    let response = match accept(request) {
        Ok(response) => response,
        Err(error) => return refused(&error).into_response(),
    };
    let caller = request.extensions().get::<Caller>().cloned();
    let seat = request.extensions().get::<Arc<AddressSeat>>().cloned();
    let access = match Access::new(app.auth.clone(), app.bounds.clone(), caller, app.first_message_timeout) {
        Ok(access) => access.with_seat(seat),
        Err(TooManySessions) => return too_many_sessions(&app).into_response(),
    };
    let session = move |relay| new(app.hub.clone(), app.session.clone(), app.metrics.clone(), &app.node, access, relay);
    hand_over.leave(Handed::WebSocket(Box::new(session)));
    response
}

/// Said before the connection becomes a session; one whose subject is known only afterwards is closed with 4429.
pub(super) fn too_many_sessions(app: &App) -> Problem {
    app.bounds.reached.count("sessions_per_subject");
    let detail = "the subject has as many sessions open as it may have: close some";
    Problem::new(StatusCode::TOO_MANY_REQUESTS, "too_many_sessions", detail).retry_after(SESSIONS_RETRY)
}

fn refused(error: &HandshakeError) -> Problem {
    let status = match error {
        HandshakeError::NotAnUpgrade => StatusCode::UPGRADE_REQUIRED,
        HandshakeError::Subprotocol | HandshakeError::Invalid(_) => StatusCode::BAD_REQUEST,
    };
    Problem::new(status, "invalid_handshake", error.to_string())
}
