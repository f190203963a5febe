//! The messages of the WebSocket protocol `tasklight.v1`: JSON text, tagged by `op`. Changes are only ever additions.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::{
    auth::Secret,
    hub::{Otherwise, Start},
    model::{ActivityType, Cursor, Epoch, Filter, InvocationId, LogState, Offset, TaskId, Timestamp},
};

use super::SessionOptions;

/// The WebSocket subprotocol that both sides must name.
pub(crate) const SUBPROTOCOL: &str = "tasklight.v1";

/// The most `last` that a subscription may ask for.
const MOST_LAST: u64 = 1_000_000;

/// What a subscription is about.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// One task's log.
    Task(TaskId),
    /// The list of all tasks.
    List,
}

/// A message from a client.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum ClientMessage {
    /// Follow, from there on.
    Subscribe {
        /// What.
        target: Target,
        /// From where.
        start: Start,
        /// Which activities.
        filter: Filter,
    },
    /// Follow no more.
    Unsubscribe {
        /// What.
        target: Target,
    },
    /// A token, first or renewed.
    Auth {
        /// The token.
        token: Secret,
    },
    /// Answered by a pong.
    Ping,
}

/// What is wrong with a client's message.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    /// The stable code that clients branch on.
    pub code: &'static str,
    /// What is wrong, naming the field, and what would be right.
    pub message: String,
    /// The task that it was about, if that could be read.
    pub task: Option<TaskId>,
}

/// A client's message as it comes: any fields of any message, no others.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    op: String,
    task: Option<String>,
    list: Option<String>,
    after: Option<String>,
    last: Option<u64>,
    types: Option<Vec<String>>,
    invocation: Option<String>,
    series: Option<String>,
    token: Option<Secret>,
}

impl ClientMessage {
    /// Reads a message, or says what is wrong with it.
    pub(crate) fn parse(text: &str) -> Result<Self, Fault> {
        let raw: Raw = serde_json::from_str(text).map_err(|error| {
            let hint = "a message is a JSON object such as {\"op\":\"subscribe\",\"task\":\"build-42\"}";
            let what = if error.is_data() { field_at_fault(&error) } else { "it is not JSON".to_owned() };
            Fault { code: "invalid_message", message: format!("{what}; {hint}"), task: None }
        })?;
        let task = raw.task.as_deref().and_then(|task| task.parse().ok());
        raw.read().map_err(|(code, message)| Fault { code, message, task })
    }
}

/// Serde's words up to the position, with values left out: they name the field and nothing of its content.
fn field_at_fault(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let known = text.split(", expected one of").next().unwrap_or_default();
    let clean: String = known.chars().filter(|c| !c.is_control()).take(120).collect();
    clean.split(" at line").next().unwrap_or_default().to_owned()
}

type Wrong = (&'static str, String);

impl Raw {
    fn read(self) -> Result<ClientMessage, Wrong> {
        match self.op.as_str() {
            "subscribe" => {
                let target = self.target()?;
                Ok(ClientMessage::Subscribe { target, start: self.start()?, filter: self.filter()? })
            }
            "unsubscribe" => Ok(ClientMessage::Unsubscribe { target: self.target()? }),
            "auth" => {
                let token = self.token.ok_or(("missing_field", "auth needs \"token\"".to_owned()))?;
                Ok(ClientMessage::Auth { token })
            }
            "ping" => Ok(ClientMessage::Ping),
            _ => Err(("unknown_op", "op is subscribe, unsubscribe, auth or ping".to_owned())),
        }
    }

    fn target(&self) -> Result<Target, Wrong> {
        match (&self.task, self.list.as_deref()) {
            (Some(task), None) => task.parse().map(Target::Task).map_err(|error| ("invalid_task_id", format!("task: {error}"))),
            (None, Some("tasks")) => Ok(Target::List),
            (None, Some(_)) => Err(("unknown_list", "list must be \"tasks\"".to_owned())),
            _ => Err(("missing_field", "name either a task or a list, as in \"task\":\"build-42\"".to_owned())),
        }
    }

    fn start(&self) -> Result<Start, Wrong> {
        if self.last.is_some_and(|last| MOST_LAST < last) {
            return Err(("invalid_last", format!("last is at most {MOST_LAST}")));
        }
        let otherwise = self.last.map_or(Otherwise::Beginning, Otherwise::Last);
        match self.after.as_deref() {
            None => Ok(Start { after: None, otherwise }),
            Some("start") => Ok(Start { after: None, otherwise: Otherwise::Beginning }),
            Some("end") => Ok(Start { after: None, otherwise: Otherwise::End }),
            Some(text) => {
                let cursor: Cursor = text.parse().map_err(|error| ("invalid_cursor", format!("after: {error}")))?;
                Ok(Start { after: Some(cursor), otherwise })
            }
        }
    }

    fn filter(&self) -> Result<Filter, Wrong> {
        let types = self.types.iter().flatten().map(|text| text.parse::<ActivityType>());
        let invocation = self.invocation.as_deref().map(str::parse::<InvocationId>).transpose();
        let finished_series = match self.series.as_deref() {
            None => false,
            Some("final") => true,
            Some(_) => return Err(("invalid_series", "series must be \"final\"".to_owned())),
        };
        Ok(Filter {
            types: types.collect::<Result<_, _>>().map_err(|error| ("unknown_type", format!("types: {error}")))?,
            invocation: invocation.map_err(|error| ("invalid_invocation_id", format!("invocation: {error}")))?,
            finished_series,
        })
    }
}

/// The limits that a session tells its client.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Limits {
    subscriptions: usize,
    frame_bytes: usize,
    queue_frames: usize,
    queue_bytes: usize,
}

/// A message to a client, but for activities and tasks, which are encoded once for all. `docs/protocol.md` says what the fields mean.
#[derive(Debug, Serialize)]
#[serde(tag = "op", rename_all = "lowercase")]
pub(crate) enum ServerMessage<'a> {
    #[serde(rename_all = "camelCase")]
    Hello {
        node: &'a str,
        heartbeat_ms: u64,
        limits: Limits,
    },
    Subscribed {
        task: &'a TaskId,
        epoch: Option<Epoch>,
        floor: Offset,
        head: Offset,
        after: Option<Cursor>,
    },
    Live {
        task: &'a TaskId,
        offset: Offset,
    },
    #[serde(rename = "live")]
    ListLive {
        list: &'static str,
    },
    Truncated {
        task: &'a TaskId,
        floor: Offset,
    },
    Reset {
        task: &'a TaskId,
        epoch: Epoch,
    },
    Cursor {
        task: &'a TaskId,
        offset: Offset,
    },
    Heartbeat {
        timestamp: Timestamp,
        heads: BTreeMap<&'a TaskId, Offset>,
    },
    Unsubscribed {
        task: &'a TaskId,
        reason: &'static str,
    },
    #[serde(rename_all = "camelCase")]
    Drain {
        reconnect_after_ms: u64,
        cursors: BTreeMap<&'a TaskId, Cursor>,
    },
    Pong {
        timestamp: Timestamp,
    },
    Error {
        code: &'static str,
        message: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        task: Option<&'a TaskId>,
    },
}

impl<'a> ServerMessage<'a> {
    pub(crate) fn hello(node: &'a str, options: &SessionOptions) -> Self {
        Self::Hello {
            node,
            heartbeat_ms: u64::try_from(options.heartbeat.as_millis()).unwrap_or(u64::MAX),
            limits: Limits {
                subscriptions: options.subscriptions,
                frame_bytes: options.frame_bytes,
                queue_frames: options.queue_frames,
                queue_bytes: options.queue_bytes,
            },
        }
    }

    pub(crate) fn subscribed(task: &'a TaskId, state: Option<LogState>, after: Option<Cursor>) -> Self {
        Self::Subscribed {
            task,
            epoch: state.map(|state| state.epoch),
            floor: state.map_or(Offset::ZERO.next(), |state| state.floor),
            head: state.map_or(Offset::ZERO, |state| state.head),
            after,
        }
    }

    pub(crate) fn error(code: &'static str, message: &'a str, task: Option<&'a TaskId>) -> Self {
        Self::Error { code, message, task }
    }

    /// The message's text.
    pub(crate) fn encode(&self) -> Bytes {
        serde_json::to_vec(self).expect("protocol messages are JSON").into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subscription_says_what_and_from_where() {
        let cursor: Cursor = "5f3a9c1e-17".parse().expect("valid");
        for (text, after, otherwise) in [
            (r#"{"op":"subscribe","task":"t"}"#, None, Otherwise::Beginning),
            (r#"{"op":"subscribe","task":"t","after":"start"}"#, None, Otherwise::Beginning),
            (r#"{"op":"subscribe","task":"t","after":"end"}"#, None, Otherwise::End),
            (r#"{"op":"subscribe","task":"t","last":5}"#, None, Otherwise::Last(5)),
            (r#"{"op":"subscribe","task":"t","after":"5f3a9c1e-17","last":5}"#, Some(cursor), Otherwise::Last(5)),
        ] {
            let Ok(ClientMessage::Subscribe { start, .. }) = ClientMessage::parse(text) else { panic!("{text}") };
            assert_eq!(start, Start { after, otherwise }, "{text}");
        }
    }

    #[test]
    fn what_makes_no_sense_is_refused_by_code() {
        for (text, code) in [
            ("", "invalid_message"),
            ("[]", "invalid_message"),
            (r#"{"op":1}"#, "invalid_message"),
            (r#"{"op":"subscribe","task":"t","nonsense":1}"#, "invalid_message"),
            (r#"{"op":"shout"}"#, "unknown_op"),
            (r#"{"op":"subscribe"}"#, "missing_field"),
            (r#"{"op":"subscribe","task":"a b"}"#, "invalid_task_id"),
            (r#"{"op":"subscribe","list":"cats"}"#, "unknown_list"),
            (r#"{"op":"subscribe","task":"t","after":"17"}"#, "invalid_cursor"),
            (r#"{"op":"subscribe","task":"t","types":["x"]}"#, "unknown_type"),
            (r#"{"op":"subscribe","task":"t","invocation":""}"#, "invalid_invocation_id"),
            (r#"{"op":"subscribe","task":"t","series":"all"}"#, "invalid_series"),
            (r#"{"op":"subscribe","task":"t","last":1000001}"#, "invalid_last"),
        ] {
            assert_eq!(ClientMessage::parse(text).expect_err(text).code, code, "{text}");
        }
    }

    #[test]
    fn a_fault_names_the_field_and_not_its_value() {
        let fault = ClientMessage::parse(r#"{"op":"subscribe","task":"t","secret":"hunter2"}"#).expect_err("unknown field");
        assert!(fault.message.contains("`secret`") && !fault.message.contains("hunter2"), "{}", fault.message);
    }
}
