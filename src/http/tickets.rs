//! Tickets: what a browser's `EventSource` shows in its address, because it cannot send a header. Each is good once and for half a minute, at any node.

use std::sync::Arc;

use axum::{Json, extract::State, http::StatusCode, response::IntoResponse};
use serde_json::json;

use super::{App, access::Known, error::Problem};

/// `POST /v1/tickets`: a ticket for whoever asks, with the same grants and the same end.
pub(super) async fn make(State(app): State<Arc<App>>, Known(caller): Known) -> Result<impl IntoResponse, Problem> {
    let (ticket, life) = app.tickets.make(&caller).await?;
    let millis = u64::try_from(life.as_millis()).unwrap_or(u64::MAX);
    let no_store = [("cache-control", "no-store")];
    Ok((StatusCode::CREATED, no_store, Json(json!({"ticket": ticket, "expiresInMs": millis}))))
}
