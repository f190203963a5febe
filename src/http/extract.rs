//! What handlers take out of requests: ids from the path, parameters from the query, bodies within their bounds; each fault with the
//! name of what is wrong.

use std::str::FromStr;

use axum::{
    body::{Body, Bytes},
    extract::{FromRequestParts, Path},
    http::{HeaderMap, StatusCode, header, request::Parts},
};
use bytes::BytesMut;
use http_body_util::BodyExt;
use tokio::{
    sync::SemaphorePermit,
    time::{Duration, timeout},
};

use super::{App, access::check_task, error::Problem};
use crate::model::{InvocationId, TaskId};

/// How long a body waits for room among the others.
const BODY_ROOM_TIME: Duration = Duration::from_secs(2);

/// The task in the path, if whoever asks may do with it what the method says.
pub(super) struct Task(pub TaskId);

impl<S: Send + Sync> FromRequestParts<S> for Task {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let fields = fields(parts, state).await?;
        let text = fields.iter().find(|(name, _)| name == "task").map_or("", |(_, value)| value);
        let task = text.parse();
        let task = task.map_err(|error| Problem::bad_request("invalid_task_id", "taskId", format!("{error}")))?;
        check_task(parts, &task)?;
        Ok(Self(task))
    }
}

/// The task and the invocation in the path.
pub(super) struct TaskInvocation(pub TaskId, pub InvocationId);

impl<S: Send + Sync> FromRequestParts<S> for TaskInvocation {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Task(task) = Task::from_request_parts(parts, state).await?;
        let fields = fields(parts, state).await?;
        let text = fields.iter().find(|(name, _)| name == "invocation").map_or("", |(_, value)| value);
        let invocation = text.parse();
        invocation
            .map(|invocation| Self(task, invocation))
            .map_err(|error| Problem::bad_request("invalid_invocation_id", "invocationId", format!("{error}")))
    }
}

async fn fields<S: Send + Sync>(parts: &mut Parts, state: &S) -> Result<Vec<(String, String)>, Problem> {
    let fields = Path::<Vec<(String, String)>>::from_request_parts(parts, state).await;
    let Path(fields) = fields.map_err(|_| Problem::bad_request("invalid_path", "path", "the path is not UTF-8"))?;
    Ok(fields)
}

/// The query as names and values. A name that the handler does not know is an error, so that a typing mistake is not a silent default.
pub(super) struct Query(Vec<(String, String)>);

impl<S: Send + Sync> FromRequestParts<S> for Query {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let fields = axum::extract::Query::<Vec<(String, String)>>::from_request_parts(parts, state).await;
        let fields =
            fields.map_err(|_| Problem::bad_request("invalid_query", "query", "the query is not of the form a=b&c=d"))?;
        Ok(Self(fields.0))
    }
}

impl Query {
    /// Refuses names that are not among these.
    pub(super) fn only(self, names: &[&str]) -> Result<Self, Problem> {
        // A ticket may stand in any address.
        let known = |name: &str| name == "ticket" || names.contains(&name);
        match self.0.iter().find(|(name, _)| !known(name)) {
            None => Ok(self),
            Some((name, _)) => {
                let name: String = name.chars().filter(|c| !c.is_control()).take(64).collect();
                let detail = format!("this address takes the parameters {}", names.join(", "));
                Err(Problem::bad_request("unknown_parameter", &name, detail))
            }
        }
    }

    /// All values given under this name.
    pub(super) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(known, value)| known == name && !value.is_empty()).map(|(_, value)| value.as_str())
    }

    /// All values given under this name, also those without a character.
    pub(super) fn given<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The last value given under this name.
    pub(super) fn one(&self, name: &str) -> Option<&str> {
        self.0.iter().rev().find(|(known, value)| known == name && !value.is_empty()).map(|(_, value)| value.as_str())
    }

    /// The value under this name as a `T`.
    pub(super) fn parsed<T: FromStr>(&self, name: &'static str, code: &'static str) -> Result<Option<T>, Problem>
    where
        T::Err: std::fmt::Display,
    {
        let value = self.one(name).map(str::parse).transpose();
        value.map_err(|error| Problem::bad_request(code, name, format!("{name}: {error}")))
    }

    /// A count between 1 and `most`.
    pub(super) fn limit(&self, default: usize, most: usize) -> Result<usize, Problem> {
        let Some(text) = self.one("limit") else { return Ok(default) };
        let limit = text.parse().ok().filter(|limit| (1..=most).contains(limit));
        limit.ok_or_else(|| Problem::bad_request("invalid_limit", "limit", format!("limit is a number from 1 to {most}")))
    }
}

/// A body that has come, and the room that it takes up among the others. Whoever waits with what is in it keeps this, or nobody counts it.
pub(super) struct Received<'a> {
    pub bytes: Bytes,
    pub room: Option<SemaphorePermit<'a>>,
}

/// A body within its bounds of size, time and the memory that all bodies share. It takes up what has come of it, not what was announced: else a
/// few clients that announce much and send nothing would keep out all others.
pub(super) async fn body<'a>(app: &'a App, headers: &HeaderMap, body: Body, most: usize) -> Result<Received<'a>, Problem> {
    let announced = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    if announced.is_some_and(|size| most < size) {
        return Err(too_large(app, most));
    }
    timeout(app.body_timeout, collect(app, body, most)).await.unwrap_or_else(|_| {
        app.bounds.reached.count("body_timeout");
        Err(Problem::new(StatusCode::REQUEST_TIMEOUT, "body_timeout", "the body took too long to arrive"))
    })
}

async fn collect(app: &App, mut body: Body, most: usize) -> Result<Received<'_>, Problem> {
    let mut room: Option<SemaphorePermit<'_>> = None;
    let (mut first, mut whole) = (Bytes::new(), BytesMut::new());
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| Problem::bad_request("body_unreadable", "body", "the body ended before it was whole"))?;
        let Ok(data) = frame.into_data() else { continue };
        if most < first.len() + whole.len() + data.len() {
            return Err(too_large(app, most));
        }
        let more = room_for(app, data.len()).await?;
        match &mut room {
            Some(room) => room.merge(more),
            None => room = Some(more),
        }
        // Most bodies come in one piece, which is not copied.
        if first.is_empty() && whole.is_empty() {
            first = data;
            continue;
        }
        whole.extend_from_slice(&std::mem::take(&mut first));
        whole.extend_from_slice(&data);
    }
    Ok(Received { bytes: if whole.is_empty() { first } else { whole.freeze() }, room })
}

/// Room for so many bytes; bodies that are there must end for it, so nobody waits for long.
async fn room_for(app: &App, bytes: usize) -> Result<SemaphorePermit<'_>, Problem> {
    let permits = u32::try_from(bytes.min(app.body_bytes)).unwrap_or(u32::MAX);
    let room = timeout(BODY_ROOM_TIME, app.bodies.acquire_many(permits)).await.map_err(|_| {
        app.bounds.reached.count("body_bytes");
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, "too_many_bodies", "too many bodies are being read: try again later")
    })?;
    room.map_err(|_| Problem::stopping())
}

fn too_large(app: &App, most: usize) -> Problem {
    app.bounds.reached.count("request");
    let detail = format!("a body has at most {most} bytes: send the rest in another request");
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", detail)
}

/// A small JSON object as a body; no body counts as `{}`.
pub(super) async fn json<T: serde::de::DeserializeOwned>(app: &App, headers: &HeaderMap, from: Body) -> Result<T, Problem> {
    let Received { bytes, room: _room } = body(app, headers, from, app.limits.activity_bytes).await?;
    let text: &[u8] = if bytes.trim_ascii().is_empty() { b"{}" } else { &bytes };
    let no_object = || Problem::bad_request("invalid_json", "body", "the body is not a JSON object");
    // The parser would also take the fields' values in order, as an array.
    if text.trim_ascii().starts_with(b"[") {
        return Err(no_object());
    }
    serde_json::from_slice(text).map_err(|error| if error.is_data() { invalid_field(&error) } else { no_object() })
}

/// What the parser says of a field by its name. Of a value it says the value, which is not for an answer.
fn invalid_field(error: &serde_json::Error) -> Problem {
    let text = error.to_string();
    let words = text.split(" at line").next().unwrap_or_default();
    let named = ["unknown field `", "missing field `", "duplicate field `"].iter().find_map(|start| words.strip_prefix(start));
    match named.and_then(|rest| rest.split_once('`')) {
        Some((field, _)) => Problem::bad_request("invalid_field", field, words),
        None => Problem::bad_request(
            "invalid_field",
            "body",
            "a field of the body is not of its type; /openapi.json says which it is",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_named_and_its_value_is_not() {
        #[derive(Debug, serde::Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Given {
            #[expect(dead_code, reason = "what is read does not matter")]
            labels: std::collections::BTreeMap<String, String>,
        }
        for (text, field, words) in [
            (r#"{"labels": {}, "colour": "red"}"#, "colour", "unknown field `colour`, expected `labels`"),
            ("{}", "labels", "missing field `labels`"),
            (r#"{"labels": "hunter2"}"#, "body", "not of its type"),
            (r#"{"labels": {"a": 4711}}"#, "body", "not of its type"),
        ] {
            let error = serde_json::from_str::<Given>(text).expect_err(text);
            let told = format!("{:?}", invalid_field(&error));
            assert!(told.contains(&format!("Some({field:?})")) && told.contains(words), "{told}");
            assert!(!told.contains("hunter2") && !told.contains("4711"), "{told}");
        }
    }
}
