//! Whether a request is let in now: not while memory is short, not beyond what its subject may draw, not beyond what its address may have behind
//! a proxy.

use std::{net::IpAddr, sync::Arc, time::Duration};

use axum::{
    body::Body,
    extract::State,
    http::{HeaderMap, Method, Request, Response, StatusCode},
    middleware::Next,
    response::IntoResponse,
};

use super::{App, error::Problem, refuse::NoRoom};
use crate::{
    auth::Caller,
    limits::{AddressSeat, Draw},
};

/// Where a connection comes from; in the extensions of its requests.
#[derive(Debug, Clone, Copy)]
pub(super) struct Peer(pub IpAddr);

/// When to come back while memory is short, in seconds.
const MEMORY_RETRY: u64 = 5;

/// The routes under `/v1` that an operator needs most when nothing else is answered.
const NEVER_SHED: &str = "/v1/admin/";

/// Answers 503 to what is new while memory is short; sessions that are open go on. Gives a request that came through a trusted proxy a seat of its
/// client's address, or answers 429; other connections have theirs already.
pub(super) async fn admit(State(app): State<Arc<App>>, mut request: Request<Body>, next: Next) -> Response<Body> {
    let path = request.uri().path();
    if app.bounds.memory.is_over() && path.starts_with("/v1/") && !path.starts_with(NEVER_SHED) {
        app.bounds.reached.count("memory");
        let detail = "this node is short of memory: try again later, at another one if there is one";
        let problem = Problem::new(StatusCode::SERVICE_UNAVAILABLE, "overloaded", detail);
        return problem.retry_after(MEMORY_RETRY).into_response();
    }
    let seat = match seat(&app, &request) {
        None => return next.run(request).await,
        Some(Ok(seat)) => Arc::new(seat),
        Some(Err(problem)) => return problem.into_response(),
    };
    // A session takes it with it.
    request.extensions_mut().insert(seat.clone());
    let response = next.run(request).await;
    drop(seat);
    response
}

/// The seat that a request needs, if it came through a proxy for somebody else.
fn seat(app: &App, request: &Request<Body>) -> Option<Result<AddressSeat, Problem>> {
    let Peer(peer) = request.extensions().get::<Peer>().copied().filter(|peer| app.proxies.has(peer.0))?;
    let client = app.proxies.client(peer, forwarded(request.headers()));
    if app.proxies.has(client) {
        // The proxy's own, such as a health check.
        return None;
    }
    Some(app.bounds.addresses.sit(client).ok_or_else(|| {
        app.bounds.reached.count(NoRoom::Address.limit());
        NoRoom::Address.problem()
    }))
}

fn forwarded(headers: &HeaderMap) -> impl DoubleEndedIterator<Item = &str> {
    // What is no text was not written by a proxy: it counts as a hop that is not understood.
    headers.get_all("x-forwarded-for").iter().map(|value| value.to_str().unwrap_or("?"))
}

/// Draws once for what a request does, or answers 429. Sessions wait for what they read.
pub(super) async fn draw(State(app): State<Arc<App>>, request: Request<Body>, next: Next) -> Response<Body> {
    let path = request.uri().path();
    // A task may be called stream.
    let is_session = path == "/v1/ws" || (path.ends_with("/stream") && path.matches('/').count() == 4);
    let Some(caller) = request.extensions().get::<Caller>().filter(|_| !is_session) else { return next.run(request).await };
    let what = match *request.method() {
        Method::GET | Method::HEAD => Draw::ColdReads,
        _ => Draw::Publishes,
    };
    let wait = app.bounds.subjects.wait(caller, what);
    if wait.is_zero() {
        app.bounds.subjects.draw(caller, what, 1);
        return next.run(request).await;
    }
    too_fast(&app, what, wait).into_response()
}

fn too_fast(app: &App, what: Draw, wait: Duration) -> Problem {
    let (limit, code, detail) = match what {
        Draw::Publishes => {
            ("publishes_per_second", "too_many_publishes", "the subject has published too much in too short a time")
        }
        Draw::ColdReads => ("cold_reads_per_second", "too_many_reads", "the subject has read too much in too short a time"),
    };
    app.bounds.reached.count(limit);
    let seconds = u64::try_from(wait.as_millis().div_ceil(1_000)).unwrap_or(u64::MAX);
    Problem::new(StatusCode::TOO_MANY_REQUESTS, code, detail).retry_after(seconds.max(1))
}

/// Draws for one more read of an answer that takes many, and waits until it may be done.
pub(super) async fn pause(app: &App, caller: &Caller) {
    let wait = app.bounds.subjects.draw(caller, Draw::ColdReads, 1);
    if !wait.is_zero() {
        app.bounds.reached.count("cold_reads_per_second");
        tokio::time::sleep(wait).await;
    }
}

/// Draws for what a request turned out to hold, beyond the one that it was let in for. It is stored all the same; the next one waits.
pub(super) fn draw_rest(app: &App, caller: &Caller, activities: usize) {
    app.bounds.subjects.draw(caller, Draw::Publishes, activities.saturating_sub(1));
}
