//! How busy tasks were lately, for the small curves beside them in lists.

use std::sync::Arc;

use axum::{Json, extract::State, response::IntoResponse};
use serde_json::json;

use super::{App, access::Known, error::Problem, extract::Query};
use crate::auth::Right;
use crate::model::{Invalid, RATE_BUCKET_MILLIS, RateSpan, TaskId, Timestamp};

/// The most tasks that are asked about at once.
const MOST_TASKS: usize = 100;

/// `GET /v1/rates`
pub(super) async fn rates(State(app): State<Arc<App>>, Known(caller): Known, query: Query) -> Result<impl IntoResponse, Problem> {
    let query = query.only(&["task"])?;
    let tasks = query.all("task").map(str::parse).collect::<Result<Vec<TaskId>, Invalid>>();
    let mut tasks = tasks.map_err(|error| Problem::bad_request("invalid_task_id", "task", error.to_string()))?;
    if MOST_TASKS < tasks.len() {
        return Err(Problem::bad_request("too_many_tasks", "task", format!("at most {MOST_TASKS} tasks at once")));
    }
    tasks.sort_unstable();
    tasks.dedup();
    // As if they were not there.
    tasks.retain(|task| caller.may(Right::Read, task));
    let span = RateSpan::up_to(Timestamp::now());
    let rates = if tasks.is_empty() { Vec::new() } else { app.store.rates(&tasks, span).await? };
    Ok(Json(json!({"bucketMs": RATE_BUCKET_MILLIS, "until": span.until, "rates": rates})))
}
