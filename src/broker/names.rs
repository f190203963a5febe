//! The names under which nodes and agents meet in Redis: all of them, and nowhere else.

use std::sync::Arc;

use crate::model::TaskId;

/// Makes and reads names under one prefix.
#[derive(Debug, Clone)]
pub struct Names {
    prefix: Arc<str>,
}

/// What a channel is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Channel {
    /// Agents announce tasks here.
    Tasks,
    /// Agents publish a task's activities here.
    Task(TaskId),
    /// The hub confirms and refuses a task's activities here.
    Ack(TaskId),
    /// Nodes hint at a task's commits here.
    Feed(TaskId),
    /// Nodes say here which tasks' summaries changed.
    Changed,
    /// Nodes talk about membership and ownership here.
    Cluster,
    /// One node is spoken to here.
    Node,
}

impl Names {
    /// Names that begin with `prefix`.
    pub fn new(prefix: &str) -> Self {
        Self { prefix: prefix.into() }
    }

    /// The channel on which agents announce tasks.
    pub fn tasks(&self) -> String {
        format!("{}tasks", self.prefix)
    }

    /// The channel on which agents publish a task's activities.
    pub fn task(&self, task: &TaskId) -> String {
        format!("{}task:{task}", self.prefix)
    }

    /// The channel on which a task's activities are confirmed and refused.
    pub fn ack(&self, task: &TaskId) -> String {
        format!("{}ack:{task}", self.prefix)
    }

    /// The channel that carries hints of a task's commits between nodes.
    pub fn feed(&self, task: &TaskId) -> String {
        format!("{}feed:{task}", self.prefix)
    }

    /// The channel on which nodes say which tasks' summaries changed.
    pub fn changed(&self) -> String {
        format!("{}changed", self.prefix)
    }

    /// The channel on which nodes talk about membership and ownership.
    pub fn cluster(&self) -> String {
        format!("{}cluster", self.prefix)
    }

    /// The channel on which one node is spoken to.
    pub fn node(&self, node: &str) -> String {
        format!("{}node:{node}", self.prefix)
    }

    /// What a link's probes are sent on.
    pub fn probe(&self, node: &str, link: &str) -> String {
        format!("{}probe:{node}:{link}", self.prefix)
    }

    /// The key that holds the membership.
    pub fn nodes(&self) -> String {
        format!("{}nodes", self.prefix)
    }

    /// What a channel of these names is for; nothing if it is none.
    pub fn read(&self, channel: &str) -> Option<Channel> {
        let rest = channel.strip_prefix(&*self.prefix)?;
        match rest.split_once(':') {
            None => match rest {
                "tasks" => Some(Channel::Tasks),
                "changed" => Some(Channel::Changed),
                "cluster" => Some(Channel::Cluster),
                _ => None,
            },
            Some(("task", id)) => id.parse().ok().map(Channel::Task),
            Some(("ack", id)) => id.parse().ok().map(Channel::Ack),
            Some(("feed", id)) => id.parse().ok().map(Channel::Feed),
            Some(("node", _)) => Some(Channel::Node),
            Some(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_channel_is_read_back() {
        let names = Names::new("x:y:");
        let task: TaskId = "build-42".parse().expect("valid");
        for (name, channel) in [
            (names.tasks(), Channel::Tasks),
            (names.task(&task), Channel::Task(task.clone())),
            (names.ack(&task), Channel::Ack(task.clone())),
            (names.feed(&task), Channel::Feed(task.clone())),
            (names.changed(), Channel::Changed),
            (names.cluster(), Channel::Cluster),
            (names.node("hub-1#5f3a9c1e"), Channel::Node),
        ] {
            assert_eq!(names.read(&name), Some(channel), "{name}");
        }
        assert_eq!(names.task(&task), "x:y:task:build-42");
        for other in ["x:y:task:a b", "task:build-42", "x:y:probe:n:feed", "x:y:"] {
            assert_eq!(names.read(other), None, "{other}");
        }
    }
}
