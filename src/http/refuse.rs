//! Connections that are not served: for want of room, or of TLS. They are told so, if there are not too many of them, and closed.

use std::{convert::Infallible, sync::Arc, time::Duration};

use axum::{
    http::{Request, StatusCode},
    response::IntoResponse,
};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::TcpStream,
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

use super::error::Problem;

/// How many connections are told at the same time that there is no room. More are closed without a word.
const REFUSALS: usize = 64;

/// How long it may take to tell one.
const REFUSAL_TIME: Duration = Duration::from_secs(2);

/// When to come back, in seconds.
const RETRY_AFTER: u64 = 5;

/// Why there is no room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoRoom {
    /// The node has as many connections as it may.
    Node,
    /// The address has as many as it may.
    Address,
}

impl NoRoom {
    /// The key of the limit.
    pub(super) fn limit(self) -> &'static str {
        match self {
            Self::Node => "connections",
            Self::Address => "connections_per_address",
        }
    }

    pub(super) fn problem(self) -> Problem {
        let problem = match self {
            Self::Node => Problem::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "too_many_connections",
                "this node has as many connections as it may have: try again, at another one if there is one",
            ),
            Self::Address => Problem::new(
                StatusCode::TOO_MANY_REQUESTS,
                "too_many_connections_from_address",
                "your address has as many connections as it may have: close some; a proxy has to be named in http.trusted_proxies",
            ),
        };
        problem.retry_after(RETRY_AFTER)
    }
}

/// The room for telling.
#[derive(Debug, Clone)]
pub(super) struct Refusals(Arc<Semaphore>);

impl Refusals {
    pub(super) fn new() -> Self {
        Self(Arc::new(Semaphore::new(REFUSALS)))
    }

    /// A place to tell one, if there is one.
    pub(super) fn place(&self) -> Option<OwnedSemaphorePermit> {
        self.0.clone().try_acquire_owned().ok()
    }
}

/// Answers the first request with the problem, and closes.
pub(super) async fn refuse(stream: TcpStream, why: impl Fn() -> Problem, _place: OwnedSemaphorePermit) {
    let answer = service_fn(|_: Request<Incoming>| {
        let problem = why();
        async { Ok::<_, Infallible>(problem.into_response()) }
    });
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(REFUSAL_TIME).keep_alive(false);
    // Whether it is heard is up to the client.
    let _ = timeout(REFUSAL_TIME, http.serve_connection(TokioIo::new(stream), answer)).await;
}
