//! Errors as problem documents (RFC 9457) with a stable `code`, the field at fault where there is one, and no echo of what was sent.

use std::any::Any;

use axum::{
    body::Body,
    http::{HeaderValue, Response, StatusCode, header},
    response::IntoResponse,
};
use serde::Serialize;
use serde_json::Value;

use crate::{
    ingest::Rejected,
    model::{Epoch, Offset},
    store::StoreError,
    writer::WriterError,
};

/// How long a client that was told to come back should wait, in seconds.
const RETRY_AFTER_SECONDS: u64 = 1;

/// A problem document.
#[derive(Debug)]
pub(crate) struct Problem(Box<Document>);

#[derive(Debug, Serialize)]
struct Document {
    #[serde(rename = "type")]
    kind: String,
    title: &'static str,
    status: u16,
    detail: String,
    code: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<String>,
    #[serde(flatten)]
    more: serde_json::Map<String, Value>,
    #[serde(skip)]
    retry: Option<u64>,
}

impl Problem {
    /// The status of the answer.
    pub(super) fn status(&self) -> u16 {
        self.0.status
    }

    pub(crate) fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        Self(Box::new(Document {
            kind: format!("urn:tasklight:problem:{code}"),
            title: status.canonical_reason().unwrap_or("Error"),
            status: status.as_u16(),
            detail: detail.into(),
            code,
            field: None,
            more: serde_json::Map::new(),
            retry: matches!(status, StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS)
                .then_some(RETRY_AFTER_SECONDS),
        }))
    }

    /// When to come back, in seconds.
    pub(crate) fn retry_after(mut self, seconds: u64) -> Self {
        self.0.retry = Some(seconds);
        self
    }

    /// The field, parameter or header at fault.
    pub(crate) fn field(mut self, field: impl Into<String>) -> Self {
        self.0.field = Some(field.into());
        self
    }

    /// One more member of the document.
    pub(crate) fn with(mut self, name: &str, value: impl Serialize) -> Self {
        self.0.more.insert(name.to_owned(), serde_json::to_value(value).unwrap_or_default());
        self
    }

    pub(crate) fn bad_request(code: &'static str, field: &str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, detail).field(field)
    }

    pub(crate) fn no_task() -> Self {
        Self::new(StatusCode::NOT_FOUND, "task_not_found", "there is no such task")
    }

    pub(crate) fn stopping() -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "stopping", "this node is stopping: try again, at another one if there is one")
    }

    /// The cursor belongs to another life of the log, or to more than it has.
    pub(crate) fn reset(epoch: Epoch, head: Offset) -> Self {
        let detail =
            "the log cannot continue after this cursor: it was deleted and made again, or restored; read it from the start";
        Self::new(StatusCode::CONFLICT, "cursor_reset", detail).field("after").with("epoch", epoch).with("head", head)
    }

    /// What comes after the cursor is no longer kept.
    pub(crate) fn truncated(epoch: Epoch, floor: Offset) -> Self {
        let detail = format!("activities below offset {floor} are no longer kept: continue with after=start");
        Self::new(StatusCode::GONE, "cursor_truncated", detail).field("after").with("epoch", epoch).with("floor", floor)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response<Body> {
        let body = serde_json::to_vec(&self.0).unwrap_or_default();
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = StatusCode::from_u16(self.0.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if self.0.status == StatusCode::UNAUTHORIZED.as_u16() {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Some(seconds) = self.0.retry {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Unavailable(_) => {
                tracing::warn!(%error, "a request could not be answered");
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "store_unavailable", "the store does not answer: try again")
            }
            StoreError::Refused(_) => {
                tracing::error!(%error, "the store refused what had passed every check");
                Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "something went wrong in the hub; its log says what")
            }
        }
    }
}

impl From<WriterError> for Problem {
    fn from(error: WriterError) -> Self {
        let (code, advice) = match error {
            WriterError::Full => ("queue_full", "try again later"),
            WriterError::Stopping => return Self::stopping(),
            WriterError::Unanswered => {
                ("store_unavailable", "activities with an eventId can be sent again: what was stored stays stored once")
            }
        };
        Self::new(StatusCode::SERVICE_UNAVAILABLE, code, format!("{error}: {advice}"))
    }
}

impl From<Rejected> for Problem {
    fn from(rejected: Rejected) -> Self {
        let status = match rejected.code {
            "activity_too_large" | "too_many_activities" => StatusCode::PAYLOAD_TOO_LARGE,
            "status_transition" => StatusCode::CONFLICT,
            _ => StatusCode::BAD_REQUEST,
        };
        let problem = Self::new(status, rejected.code, rejected.message);
        match rejected.field {
            Some(field) => problem.field(field),
            None => problem,
        }
    }
}

pub(super) async fn no_route() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "route_not_found", "there is nothing at this address; /openapi.json lists what there is")
}

pub(super) async fn no_method() -> Problem {
    Problem::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "method_not_allowed",
        "this address takes other methods; /openapi.json lists them",
    )
}

/// A handler panicked: that is a bug, the connection goes on.
pub(super) fn panicked(cause: Box<dyn Any + Send + 'static>) -> Response<Body> {
    let text = cause.downcast_ref::<&str>().copied().or(cause.downcast_ref::<String>().map(String::as_str));
    tracing::error!(cause = text.unwrap_or("unknown"), "a request handler panicked");
    Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "something went wrong in the hub; its log says what")
        .into_response()
}
