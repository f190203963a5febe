//! What is sent: one JSON object for each move of a run. Nothing of any activity's payload but what a `status` says of the run.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::{
    model::{Became, Cursor, EventId, InvocationId, StalledReason, Status, TaskId, Timestamp, Transition},
    store::Untold,
};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Event<'a> {
    id: EventId,
    #[serde(rename = "type")]
    kind: String,
    time: Timestamp,
    task: Task<'a>,
    invocation: Invocation<'a>,
    previous_status: Option<Status>,
    cursor: Cursor,
    url: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Task<'a> {
    task_id: &'a TaskId,
    title: Option<&'a str>,
    labels: &'a BTreeMap<String, String>,
    status: Option<Status>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Invocation<'a> {
    invocation_id: &'a InvocationId,
    status: Status,
    agent: Option<&'a str>,
    title: Option<&'a str>,
    exit_code: Option<i32>,
    reason: Option<&'a str>,
    stalled: bool,
    stalled_reason: Option<StalledReason>,
}

/// The body that tells of a move. The same move always has the same body, but for what its task is called now.
pub(super) fn body(untold: &Untold, page_url: Option<&str>) -> String {
    let Untold { transition, title, labels, .. } = untold;
    let Transition { task, invocation, became, previous, cursor, at, .. } = transition;
    let status = match became {
        Became::Status(status) => *status,
        Became::Stalled => Status::Running,
    };
    let event = Event {
        id: transition.event_id(),
        kind: format!("invocation.{became}"),
        time: *at,
        task: Task { task_id: task, title: title.as_deref(), labels, status: transition.task_status },
        invocation: Invocation {
            invocation_id: invocation,
            status,
            agent: transition.agent.as_deref(),
            title: transition.title.as_deref(),
            exit_code: transition.exit_code,
            reason: transition.reason.as_deref(),
            stalled: *became == Became::Stalled,
            stalled_reason: transition.stalled,
        },
        previous_status: *previous,
        cursor: *cursor,
        url: page_url.map(|base| format!("{base}/tasks/{task}#{}", cursor.offset)),
    };
    serde_json::to_string(&event).expect("an event is JSON")
}

/// An event for trying out an endpoint: its id and its body.
pub(crate) fn test_event() -> (String, String) {
    let id = format!("test-{:032x}", rand::random::<u128>());
    let body = serde_json::json!({"id": id, "type": "test", "time": Timestamp::now()}).to_string();
    (id, body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_tells_everything_under_the_names_of_the_api() {
        let transition = Transition {
            task: "build-42".parse().expect("valid"),
            invocation: "run 7".parse().expect("valid"),
            became: Became::Status(Status::Failed),
            previous: Some(Status::Running),
            cursor: "5f3a9c1e-17".parse().expect("valid"),
            at: Timestamp::from_millis(1_764_000_000_123).expect("small"),
            task_status: Some(Status::Failed),
            agent: Some("claude".to_owned()),
            title: None,
            exit_code: Some(2),
            reason: Some("no \"space\"".to_owned()),
            stalled: None,
        };
        let labels = BTreeMap::from([("team".to_owned(), "ci".to_owned())]);
        let untold = Untold { key: 1, transition, title: Some("Build".to_owned()), labels };
        let id = untold.transition.event_id();
        let expected = format!(
            r#"{{"id":"{id}","type":"invocation.failed","time":1764000000123,"task":{{"taskId":"build-42","title":"Build","labels":{{"team":"ci"}},"status":"failed"}},"invocation":{{"invocationId":"run 7","status":"failed","agent":"claude","title":null,"exitCode":2,"reason":"no \"space\"","stalled":false,"stalledReason":null}},"previousStatus":"running","cursor":"5f3a9c1e-17","url":"https://tl.example/tasks/build-42#17"}}"#
        );
        assert_eq!(body(&untold, Some("https://tl.example")), expected);
        let stalled = Transition { became: Became::Stalled, stalled: Some(StalledReason::Tool), ..untold.transition.clone() };
        let told = body(&Untold { transition: stalled, title: None, ..untold }, None);
        assert!(told.contains(r#""type":"invocation.stalled""#) && told.contains(r#""status":"running","agent""#), "{told}");
        assert!(told.contains(r#""stalled":true,"stalledReason":"tool""#) && told.ends_with(r#""url":null}"#), "{told}");
    }
}
