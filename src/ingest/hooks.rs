//! What agents' own hooks say, as activities: no wrapper around the agent, and no script beside it.
//!
//! A hook's payload becomes the same text that a publisher would have sent, and then goes the same way: validated, redacted, bounded. Nothing
//! that a hook says is dropped: kinds that are not known become `custom` with all that they hold.

mod claude;

use bytes::Bytes;
use serde_json::Value;

use super::Rejected;
use crate::{
    formats::fit,
    model::{EventId, InvocationId, TaskId},
};

pub(crate) use claude::read as read_claude;

/// What the request itself says about where its activities belong; it goes before what can be derived from the payload.
#[derive(Debug, Default)]
pub(crate) struct HookPlace {
    /// The task.
    pub task: Option<TaskId>,
    /// The run.
    pub invocation: Option<InvocationId>,
}

/// A hook's payload, understood.
#[derive(Debug)]
pub(crate) struct Hook {
    /// The task that it belongs to.
    pub task: TaskId,
    /// Its activities as an array, as a publisher sends them.
    pub body: Bytes,
}

/// One activity on its way to [`Hook::body`].
struct Draft {
    kind: &'static str,
    /// Derived from what the payload names; without one, saying the same twice means that it happened twice.
    event_id: Option<EventId>,
    data: Value,
}

impl Draft {
    fn new(kind: &'static str, data: Value) -> Self {
        Self { kind, event_id: None, data }
    }

    /// The text of the activity, as a publisher sends it. What is longer than hubs take is cut, and says so.
    fn into_json(self, invocation: &InvocationId) -> String {
        let (kind, data) = (Value::from(self.kind), fit(self.data.to_string()));
        let event_id = self.event_id.map(|id| format!(r#""eventId":"{id}","#)).unwrap_or_default();
        format!(r#"{{"invocationId":{},"type":{kind},{event_id}"data":{data}}}"#, Value::from(invocation.as_str()))
    }
}

fn missing(field: &'static str) -> Rejected {
    Rejected::new("missing_field", Some(field), format!("{field} is required: this is no payload of a hook"))
}
