//! What nodes say to each other about ownership, and the mark that divides a task's channel between two owners.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::ranking::NodeId;
use crate::model::TaskId;

/// The most tasks that one message names.
pub(crate) const TASKS: usize = 500;

/// A message between nodes. Lost ones are repeated by whoever waits for an answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "lowercase")]
pub(crate) enum Control {
    /// To all: membership has changed; look again.
    Members {
        /// Who speaks.
        from: NodeId,
    },
    /// To all: these are subscribed here, and will be taken by me once nobody else does.
    Ready {
        /// Who speaks.
        from: NodeId,
        /// Whether the last owner's mark named me.
        marked: bool,
        /// Which.
        tasks: Vec<TaskId>,
    },
    /// To one: these are published to, and are yours now, or you are their standby.
    Tell {
        /// Who speaks.
        from: NodeId,
        /// Which.
        tasks: Vec<TaskId>,
    },
    /// To one: I take nothing of these, but hold some that nobody has confirmed.
    Holding {
        /// Who speaks.
        from: NodeId,
        /// Which, and for how many milliseconds.
        tasks: Vec<(TaskId, u64)>,
    },
    /// To one: everybody else has let go of these; store what you hold and I have not heard.
    Flush {
        /// Who speaks.
        from: NodeId,
        /// Which, and how many messages of each I have heard before the mark that I listen.
        tasks: Vec<(TaskId, u64)>,
    },
    /// To one: whatever I took of these is stored, and I take no more of them.
    Released {
        /// Who speaks.
        from: NodeId,
        /// Whether I may have taken what you have heard too.
        took: bool,
        /// Which.
        tasks: Vec<TaskId>,
    },
    /// To all: nothing happens in these any more; they need no owner until somebody announces them again.
    Forget {
        /// Who speaks.
        from: NodeId,
        /// Which.
        tasks: Vec<TaskId>,
    },
}

impl Control {
    pub(crate) fn encode(&self) -> Bytes {
        serde_json::to_vec(self).expect("a message is JSON").into()
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        serde_json::from_slice(bytes).ok()
    }
}

/// Says something on a task's own channel, so that all who listen there see it at the same place among the activities.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Mark {
    /// What comes before it is taken by `from`, who had heard `early` messages before its mark that it listens; what comes after it by `to`.
    Passes { from: NodeId, to: NodeId, early: u64 },
    /// `from` listens from here on.
    Listens { from: NodeId },
    /// `from` is to own the task, and whoever did is gone: what comes after it nobody else takes.
    /// The last such mark counts.
    Claims { from: NodeId, number: u64 },
}

/// What a mark begins with; no JSON text does.
const MARK: &[u8] = b"\0tasklight:mark\0";

/// The most bytes of a mark: two names of nodes and a number. Agents publish on the same channel, and may send what they like.
const MARK_BYTES: usize = 1_024;

impl Mark {
    pub(crate) fn encode(&self) -> Bytes {
        let text = match self {
            Self::Passes { from, to, early } => format!("passes\0{from}\0{to}\0{early}"),
            Self::Listens { from } => format!("listens\0{from}"),
            Self::Claims { from, number } => format!("claims\0{from}\0{number}"),
        };
        [MARK, text.as_bytes()].concat().into()
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(bytes.strip_prefix(MARK).filter(|rest| rest.len() <= MARK_BYTES)?).ok()?;
        let words: Vec<_> = text.split('\0').collect();
        match words[..] {
            ["passes", from, to, early] => Some(Self::Passes { from: from.into(), to: to.into(), early: early.parse().ok()? }),
            ["listens", from] => Some(Self::Listens { from: from.into() }),
            ["claims", from, number] => Some(Self::Claims { from: from.into(), number: number.parse().ok()? }),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_and_marks_are_read_back() {
        let tasks = vec!["a".parse().expect("valid"), "b".parse().expect("valid")];
        let ready = Control::Ready { from: "hub-1#1".into(), marked: false, tasks };
        assert_eq!(Control::decode(&ready.encode()), Some(ready));
        assert_eq!(Control::decode(b"{\"op\":\"other\"}"), None);
        let (from, to) = (NodeId::from("hub-1#1"), NodeId::from("hub-2#2"));
        for mark in [
            Mark::Passes { from: from.clone(), to, early: 3 },
            Mark::Listens { from: from.clone() },
            Mark::Claims { from, number: 4 },
        ] {
            assert_eq!(Mark::decode(&mark.encode()), Some(mark));
        }
        assert_eq!(Mark::decode(b"{\"invocationId\":\"r\"}"), None);
        assert_eq!(Mark::decode(b"\0tasklight:mark\0half"), None);
        let long = Mark::Listens { from: "x".repeat(MARK_BYTES).into() };
        assert_eq!(Mark::decode(&long.encode()), None, "no name of a node is so long");
    }
}
