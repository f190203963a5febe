//! A line in the log for each request, where debugging is on: which route, about which task, with what answer, in what time. Never the
//! query, a header or a path that is not understood, because tokens and whatever else can be in those.

use axum::{
    body::Body,
    extract::MatchedPath,
    http::{Method, Request, Response},
    middleware::Next,
};
use tokio::time::Instant;

use crate::model::TaskId;

/// Says what a request was answered.
pub(super) async fn requests(request: Request<Body>, next: Next) -> Response<Body> {
    if !tracing::enabled!(tracing::Level::DEBUG) {
        return next.run(request).await;
    }
    let started = Instant::now();
    let method = known(request.method());
    let route = request.extensions().get::<MatchedPath>().map(|route| route.as_str().to_owned());
    let task: Option<TaskId> =
        request.uri().path().strip_prefix("/v1/tasks/").and_then(|rest| rest.split('/').next()?.parse().ok());
    let response = next.run(request).await;
    tracing::debug!(
        http.method = method,
        http.route = route.as_deref().unwrap_or("none"),
        http.status = response.status().as_u16(),
        task.id = task.as_ref().map(tracing::field::display),
        duration_ms = started.elapsed().as_secs_f64() * 1e3,
        "answered"
    );
    response
}

/// The method; a made-up one is whatever somebody wrote.
fn known(method: &Method) -> &'static str {
    let all = [Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE, Method::HEAD, Method::OPTIONS];
    let names = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"];
    all.iter().position(|known| known == method).map_or("other", |index| names[index])
}
