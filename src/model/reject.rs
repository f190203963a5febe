//! What was refused of what came over Redis.

use serde::{Deserialize, Serialize};

use super::{EventId, TaskId, Timestamp};

/// Something published over Redis that was refused, as it is kept for people to see. Its content is not in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Reject {
    /// On whose channel. The task need not exist.
    #[serde(rename = "taskId")]
    pub task: TaskId,
    /// When the hub refused it.
    pub at: Timestamp,
    /// The stable code.
    pub code: String,
    /// The field at fault.
    pub field: Option<String>,
    /// What is wrong and what would be right.
    pub message: String,
    /// The idempotency key, if it could be read.
    pub event_id: Option<EventId>,
    /// How long it was.
    pub bytes: u64,
    /// Its fields and what kind of values they have.
    pub excerpt: String,
}
