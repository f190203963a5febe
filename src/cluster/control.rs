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
        /// Which.
        tasks: Vec<TaskId>,
    },
    /// To one: whatever I took of these is stored, and I take no more of them.
    Released {
        /// Who speaks.
        from: NodeId,
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

/// Passes a task from one owner to the next: on the task's own channel, so that both see it at the same place among the activities.
/// What comes before it is the first one's, what comes after it the second one's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mark {
    pub from: NodeId,
    pub to: NodeId,
}

/// What a mark begins with; no JSON text does.
const MARK: &[u8] = b"\0tasklight:mark\0";

impl Mark {
    pub(crate) fn encode(&self) -> Bytes {
        [MARK, self.from.as_bytes(), b"\0", self.to.as_bytes()].concat().into()
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let rest = std::str::from_utf8(bytes.strip_prefix(MARK)?).ok()?;
        let (from, to) = rest.split_once('\0')?;
        Some(Self { from: from.into(), to: to.into() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_and_marks_are_read_back() {
        let tasks = vec!["a".parse().expect("valid"), "b".parse().expect("valid")];
        let ready = Control::Ready { from: "hub-1#1".into(), tasks };
        assert_eq!(Control::decode(&ready.encode()), Some(ready));
        assert_eq!(Control::decode(b"{\"op\":\"other\"}"), None);
        let mark = Mark { from: "hub-1#1".into(), to: "hub-2#2".into() };
        assert_eq!(Mark::decode(&mark.encode()), Some(mark));
        assert_eq!(Mark::decode(b"{\"invocationId\":\"r\"}"), None);
        assert_eq!(Mark::decode(b"\0tasklight:mark\0half"), None);
    }
}
