//! What was refused of what agents sent over Redis, for whoever wonders where it has gone.

use std::sync::Arc;

use axum::{Json, extract::State};
use serde_json::{Value, json};

use super::{
    App,
    error::Problem,
    extract::{Query, Task},
};
use crate::store::REJECTS_OF_TASK;

/// `GET /v1/tasks/{task}/rejects`: newest first. A task that nothing was ever stored of may have some.
pub(super) async fn list(State(app): State<Arc<App>>, Task(task): Task, query: Query) -> Result<Json<Value>, Problem> {
    let limit = query.only(&["limit"])?.limit(REJECTS_OF_TASK, REJECTS_OF_TASK)?;
    let rejects = app.store.rejects(&task, limit).await?;
    if rejects.is_empty() && app.store.log_states(std::slice::from_ref(&task)).await?.is_empty() {
        return Err(Problem::no_task());
    }
    Ok(Json(json!({"rejects": rejects})))
}
