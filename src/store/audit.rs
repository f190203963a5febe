//! Everything that is stored and was once said by somebody, to be looked at again and changed in its place: nothing else of a row changes.

use crate::model::{ActivityType, InvocationId, Offset, TaskId};

/// A place in the order in which activities are gone through: all of a task, then all of the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct AuditPlace {
    /// The task's key in the store.
    pub task: i64,
    /// The last offset that is behind.
    pub offset: Offset,
}

/// What of an activity was said by somebody.
#[derive(Debug, Clone)]
pub struct StoredActivity {
    /// Where it is.
    pub place: AuditPlace,
    /// Whose.
    pub task: TaskId,
    /// Its run's id.
    pub invocation: InvocationId,
    /// Its type.
    pub kind: ActivityType,
    /// Its payload, JSON.
    pub data: String,
    /// The series that it is a part of.
    pub series: Option<String>,
}

/// What has texts beside activities.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoredKind {
    /// A task: `title`, and `labels`, which are JSON.
    Task,
    /// A run: `agent`, `title`, `reason`, and `usage`, which is JSON.
    Run,
    /// Something refused: `field`, `message`, `excerpt`.
    Reject,
    /// What a stream's clients have named: nothing of it can be changed.
    Stream,
}

impl StoredKind {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Task, Self::Run, Self::Reject, Self::Stream];

    /// The columns, in the order of [`StoredTexts::texts`].
    pub fn columns(self) -> &'static [&'static str] {
        match self {
            Self::Task => &["title", "labels"],
            Self::Run => &["agent", "title", "reason", "usage"],
            Self::Reject => &["field", "message", "excerpt"],
            Self::Stream => &[],
        }
    }

    pub(super) fn table(self) -> &'static str {
        match self {
            Self::Task => "tasks",
            Self::Run => "invocations",
            Self::Reject => "rejects",
            Self::Stream => "streams",
        }
    }

    /// The column of its key.
    pub(super) fn key(self) -> &'static str {
        match self {
            Self::Stream => "task",
            _ => "id",
        }
    }
}

/// The texts of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredTexts {
    /// Its key in the store.
    pub key: i64,
    /// Whose task's it is, by name.
    pub task: String,
    /// What it is known by, which cannot be changed: a task's or a run's id; a stream's content type, last `Stream-Seq` and producers.
    pub names: Vec<String>,
    /// In the order of [`StoredKind::columns`].
    pub texts: Vec<Option<String>>,
}
