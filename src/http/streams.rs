//! The two ways to watch: Server-Sent Events for one task, WebSocket for many.

use std::sync::Arc;

use axum::{
    body::Body,
    extract::State,
    http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header},
    response::IntoResponse,
};
use hyper_util::rt::TokioIo;
use tokio::time::{Duration, timeout};

use super::{
    App,
    activities::filter,
    error::Problem,
    extract::{Query, Task},
};
use crate::{
    hub::{Otherwise, Start},
    model::Cursor,
    session::{
        Session,
        sse::{self, SseSession},
        upgrade::{HandshakeError, accept},
        websocket,
    },
};

/// How long the connection may take to be handed over after the 101.
const UPGRADE_TIMEOUT: Duration = Duration::from_secs(10);

/// `GET /v1/tasks/{id}/stream`
pub(super) async fn sse(
    State(app): State<Arc<App>>,
    Task(task): Task,
    headers: HeaderMap,
    query: Query,
) -> Result<Response<Body>, Problem> {
    let query = query.only(&["after", "last", "type", "invocation", "series"])?;
    if !app.is_running() {
        return Err(Problem::stopping());
    }
    let start = start(&headers, &query)?;
    let session = SseSession {
        follower: app.hub.follow(&task, start, filter(&query)?),
        task,
        hub: app.hub.clone(),
        options: app.session.clone(),
        metrics: app.metrics.clone(),
        drain: app.drain.clone(),
        stop: app.stop.clone(),
    };
    let mut response = Response::new(Body::from_stream(sse::body(session)));
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
pub(super) async fn websocket(State(app): State<Arc<App>>, mut request: Request<Body>) -> Response<Body> {
    if !app.is_running() {
        return Problem::stopping().into_response();
    }
    let (response, upgrade) = match accept(&mut request) {
        Ok(accepted) => accepted,
        Err(error) => return refused(&error).into_response(),
    };
    let session = Session::new(app.hub.clone(), app.session.clone(), app.metrics.clone(), &app.node);
    let (hub, drain, stop) = (app.hub.clone(), app.drain.clone(), app.stop.clone());
    app.sessions.spawn(async move {
        match timeout(UPGRADE_TIMEOUT, upgrade).await {
            Ok(Ok(io)) => websocket::serve(TokioIo::new(io), session, hub, drain, stop).await,
            Ok(Err(error)) => tracing::debug!(%error, "a connection broke before its session began"),
            Err(_) => tracing::debug!("a connection was not handed over in time"),
        }
    });
    response
}

fn refused(error: &HandshakeError) -> Problem {
    let status = match error {
        HandshakeError::NotAnUpgrade => StatusCode::UPGRADE_REQUIRED,
        HandshakeError::Subprotocol | HandshakeError::Invalid(_) => StatusCode::BAD_REQUEST,
    };
    Problem::new(status, "invalid_handshake", error.to_string())
}
