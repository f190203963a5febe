//! What a run became: a move of its status, or that it is stalled. What those are told of who do not watch.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use super::{Cursor, EventId, Invalid, InvocationId, StalledReason, Status, TaskId, Timestamp};

/// What a run may be told to have become.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "&'static str")]
pub enum Became {
    /// Its status moved.
    Status(Status),
    /// It runs, and does not get on.
    Stalled,
}

impl Became {
    /// All of them, in the order in which they are listed to users.
    pub const ALL: [Self; 7] = [
        Self::Status(Status::Pending),
        Self::Status(Status::Running),
        Self::Status(Status::Completed),
        Self::Status(Status::Failed),
        Self::Status(Status::Cancelled),
        Self::Status(Status::Lost),
        Self::Stalled,
    ];

    /// The word as written in JSON, flags and configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Status(status) => status.as_str(),
            Self::Stalled => "stalled",
        }
    }
}

impl From<Became> for &'static str {
    fn from(became: Became) -> Self {
        became.as_str()
    }
}

impl TryFrom<String> for Became {
    type Error = Invalid;

    fn try_from(text: String) -> Result<Self, Invalid> {
        text.parse()
    }
}

impl FromStr for Became {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let known = Self::ALL.into_iter().find(|became| became.as_str() == text);
        known.ok_or_else(|| Invalid::new("a run becomes pending, running, completed, failed, cancelled, lost or stalled"))
    }
}

impl fmt::Display for Became {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One move of one run, as it was when it was committed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Transition {
    /// Its task.
    pub task: TaskId,
    /// Which run.
    pub invocation: InvocationId,
    /// What it became.
    pub became: Became,
    /// Where it stood before; nothing if it is new.
    pub previous: Option<Status>,
    /// The activity that moved it; of a stalled run its newest one.
    pub cursor: Cursor,
    /// When the hub took that activity; of a stalled run, from when on it was stalled.
    pub at: Timestamp,
    /// Where its task stands with it.
    pub task_status: Option<Status>,
    /// Which agent runs.
    pub agent: Option<String>,
    /// What the run is about.
    pub title: Option<String>,
    /// The process's exit code.
    pub exit_code: Option<i32>,
    /// Why, in words.
    pub reason: Option<String>,
    /// Why it is stalled.
    pub stalled: Option<StalledReason>,
}

impl Transition {
    /// The id that is this move's, whoever tells of it and however often.
    pub fn event_id(&self) -> EventId {
        let Self { task, invocation, cursor, at, .. } = self;
        EventId::derived(
            match self.became {
                Became::Status(_) => format!("transition\n{task}\n{cursor}"),
                Became::Stalled => format!("stalled\n{task}\n{}\n{invocation}\n{}", cursor.epoch, at.as_millis()),
            }
            .as_bytes(),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn transition(became: Became) -> Transition {
        Transition {
            task: "build-42".parse().expect("valid"),
            invocation: "run-7".parse().expect("valid"),
            became,
            previous: Some(Status::Running),
            cursor: "5f3a9c1e-17".parse().expect("valid"),
            at: Timestamp::from_millis(1_764_000_000_123).expect("small"),
            task_status: Some(Status::Failed),
            agent: None,
            title: None,
            exit_code: Some(2),
            reason: Some("no space".to_owned()),
            stalled: None,
        }
    }

    #[test]
    fn words_read_back_what_they_write() {
        for became in Became::ALL {
            assert_eq!(became.as_str().parse(), Ok(became));
        }
        assert!("heartbeat".parse::<Became>().is_err());
        let failed = transition(Became::Status(Status::Failed));
        let text = serde_json::to_string(&failed).expect("JSON");
        assert_eq!(serde_json::from_str::<Transition>(&text).expect(&text), failed);
    }

    #[test]
    fn a_move_has_one_id_and_no_other_has_it() {
        let failed = transition(Became::Status(Status::Failed));
        assert_eq!(failed.event_id(), Transition { task_status: None, ..failed.clone() }.event_id());
        assert_ne!(failed.event_id(), Transition { cursor: "5f3a9c1e-18".parse().expect("valid"), ..failed.clone() }.event_id());
        let stalled = transition(Became::Stalled);
        assert_ne!(failed.event_id(), stalled.event_id());
        // What is heard in between does not make another stall of it; another time does.
        assert_eq!(
            stalled.event_id(),
            Transition { cursor: "5f3a9c1e-18".parse().expect("valid"), ..stalled.clone() }.event_id()
        );
        assert_ne!(stalled.event_id(), Transition { at: Timestamp::default(), ..stalled }.event_id());
    }
}
