//! The operator's listener: is it alive, should it get work, what does it count.

use std::{sync::Arc, time::Duration};

use axum::{Json, Router, extract::State, http::StatusCode, response::IntoResponse, routing::get};
use serde_json::json;
use tokio::time::timeout;

use super::{App, debug, error};
use crate::metrics::write_out;

/// How long the store may take to answer a readiness check.
const PING_TIMEOUT: Duration = Duration::from_secs(1);

/// The operator's routes.
pub(crate) fn routes(app: Arc<App>) -> Router {
    Router::new()
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .route("/debug/runtime", get(debug::runtime))
        .fallback(error::no_route)
        .with_state(app)
}

/// The process answers; nothing more is asked of it.
async fn healthz() -> &'static str {
    "ok\n"
}

/// Whether new work should be sent here, and what is missing. Without Redis a node still serves viewers and publishers over HTTP, so that
/// alone does not make it unready: it is `degraded`.
async fn readyz(State(app): State<Arc<App>>) -> impl IntoResponse {
    let stored = matches!(timeout(PING_TIMEOUT, app.store.ping()).await, Ok(Ok(()))) && app.writer.is_healthy();
    let running = app.is_running();
    let status = if stored && running { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let word = |good: bool, bad: &'static str| if good { "ok" } else { bad };
    let mut checks = json!({"store": word(stored, "not answering"), "node": word(running, "stopping")});
    let mut degraded = false;
    if let Some(ingest) = &app.ingest {
        let trouble = app.broker.trouble();
        let member = ingest.is_member();
        degraded = trouble.is_some() || !member;
        checks["broker"] = trouble.unwrap_or("ok").into();
        checks["cluster"] = word(member, "not a member").into();
    }
    (status, Json(json!({"ready": stored && running, "degraded": degraded, "node": app.node, "checks": checks})))
}

async fn metrics(State(app): State<Arc<App>>) -> impl IntoResponse {
    // Levels that change with every activity are looked at when somebody asks, not each time.
    app.writer.note_queue();
    app.metrics.watched_tasks.set(i64::try_from(app.hub.watched_tasks()).unwrap_or(i64::MAX));
    ([("content-type", "application/openmetrics-text; version=1.0.0; charset=utf-8")], write_out(&app.registry))
}
