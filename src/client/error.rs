//! What can go wrong between a client and its hub, by what the caller can do about it.

use std::{error::Error, time::Duration};

use reqwest::{Response, StatusCode, header};
use serde::Deserialize;

use crate::model::TaskId;

/// The longest `Retry-After` that is believed.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(60);

/// The most characters of an answer's own words that are passed on.
const DETAIL_CHARS: usize = 500;

/// Why a request was not done.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The client cannot be made as asked.
    #[error("{0}")]
    Setup(String),
    /// The hub did not answer: it may have got the request or not.
    #[error("the hub at {hub} cannot be reached: {reason}")]
    Unreachable {
        /// The hub's URL.
        hub: String,
        /// Why, as the system says it.
        reason: String,
    },
    /// The hub, or something before it, is somewhere else.
    #[error("the hub at {hub} sends elsewhere: use {location} instead")]
    Redirected {
        /// The hub's URL.
        hub: String,
        /// Where it sends.
        location: String,
    },
    /// The hub said no.
    #[error("{0}")]
    Refused(Problem),
    /// Redis did not answer, or the connection to it was lost.
    #[error("Redis at {redis} cannot be reached: {reason}")]
    RedisUnreachable {
        /// Its address, without passwords.
        redis: String,
        /// Why, as Redis or the system says it.
        reason: String,
    },
    /// Redis does not let us in, or not do what is needed.
    #[error("Redis at {redis} refuses: {reason}")]
    RedisRefused {
        /// Its address, without passwords.
        redis: String,
        /// Why, as Redis says it.
        reason: String,
    },
    /// No hub listens to the task's channel.
    #[error("no hub takes the task {task}: the PUBLISH reached 0 receivers, and its announcement {hubs}")]
    NoHub {
        /// The task.
        task: TaskId,
        /// How many hubs heard of it all the same.
        hubs: u64,
    },
    /// A hub heard activities over Redis and has not confirmed them.
    #[error("a hub was reached over Redis, but has not confirmed {count} of the activities within {}", humantime::format_duration(*.waited))]
    Unconfirmed {
        /// How many.
        count: usize,
        /// How long they were waited for.
        waited: Duration,
    },
    /// What answered is no hub that this client understands.
    #[error("the hub's answer is not understood: {0}")]
    Answer(String),
}

impl ClientError {
    /// Whether the same request may succeed a little later.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::RedisUnreachable { .. } | Self::NoHub { .. } | Self::Unconfirmed { .. } => true,
            Self::Refused(problem) => problem.is_transient(),
            Self::Setup(_) | Self::Redirected { .. } | Self::RedisRefused { .. } | Self::Answer(_) => false,
        }
    }

    /// How long the hub asked to wait before the next try.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Refused(problem) => problem.retry_after,
            _ => None,
        }
    }

    /// The hub's code for why it said no.
    pub fn code(&self) -> Option<&str> {
        match self {
            Self::Refused(problem) => Some(&problem.code),
            _ => None,
        }
    }
}

/// A refusal as a problem document (RFC 9457).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{detail} ({code}{})", .field.as_ref().map(|field| format!(", field {field}")).unwrap_or_default())]
pub struct Problem {
    /// The HTTP status.
    pub status: u16,
    /// The stable code to branch on; `http_<status>` when what answered is no hub.
    pub code: String,
    /// What is wrong, in words.
    pub detail: String,
    /// The field at fault.
    pub field: Option<String>,
    /// How long to wait before the next try.
    pub retry_after: Option<Duration>,
}

impl Problem {
    /// Whether the same request may succeed a little later: the hub, or a gateway before it, is busy or away.
    pub fn is_transient(&self) -> bool {
        matches!(self.status, 408 | 429 | 500 | 502..=504)
    }

    pub(crate) fn read(status: StatusCode, retry_after: Option<Duration>, body: &[u8]) -> Self {
        #[derive(Deserialize)]
        struct Document {
            code: String,
            #[serde(default)]
            detail: String,
            field: Option<String>,
        }
        let code = status.as_u16();
        match serde_json::from_slice::<Document>(body) {
            Ok(Document { code: word, detail, field }) => Self {
                status: code,
                code: printable(&word),
                detail: printable(&detail),
                field: field.as_deref().map(printable),
                retry_after,
            },
            Err(_) => {
                let detail = format!("HTTP {status}, with an answer that is not a hub's: is the hub's URL right?");
                Self { status: code, code: format!("http_{code}"), detail, field: None, retry_after }
            }
        }
    }
}

/// Words from outside, fit to be printed: bounded, and without control characters.
pub(super) fn printable(text: &str) -> String {
    text.chars().take(DETAIL_CHARS).map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

/// The root of an error, which says what happened; what is around it says only in which layer.
pub(super) fn innermost(error: &(dyn Error + 'static)) -> String {
    let mut root = error;
    while let Some(source) = root.source() {
        root = source;
    }
    root.to_string()
}

/// The seconds of `Retry-After`; its form with a date is not used by hubs.
pub(super) fn retry_after(response: &Response) -> Option<Duration> {
    let seconds = response.headers().get(header::RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds).min(LONGEST_RETRY_AFTER))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_document_is_told_from_any_other_answer() {
        let body = br#"{"type":"urn:x","title":"Bad Request","status":400,"detail":"no","code":"bad_thing","field":"data"}"#;
        let problem = Problem::read(StatusCode::BAD_REQUEST, None, body);
        assert_eq!((problem.to_string().as_str(), problem.is_transient()), ("no (bad_thing, field data)", false));
        let problem = Problem::read(StatusCode::BAD_GATEWAY, Some(Duration::from_secs(3)), b"<html>");
        assert_eq!((problem.code.as_str(), problem.is_transient()), ("http_502", true));
    }

    #[test]
    fn words_from_outside_cannot_steer_a_terminal() {
        assert_eq!(printable("a\u{1b}[2Jb"), "a\u{fffd}[2Jb");
    }
}
