//! The command that is run for each event: one at a time, for a limited time, and what waits meanwhile.

use std::{collections::VecDeque, ffi::OsString, process::Stdio, time::Duration};

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::{
    process::{Child, Command},
    time::{Instant, timeout, timeout_at},
};

use super::{changes::Change, notice, told::Told};
use crate::model::Became;

/// The most events that wait for the command; beyond them the oldest are let go of.
const WAITING: usize = 1_000;

/// How long a command that was told to end has before it is killed.
const END_GRACE: Duration = Duration::from_secs(2);

/// What is still to be told, in order. What happens to one task several times is joined with what waits.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    queue: VecDeque<Change>,
}

impl Waiting {
    /// Adds an event; gives the one that had to go for it.
    pub(super) fn push(&mut self, change: Change) -> Option<Change> {
        let same = |other: &&mut Change| other.became == change.became && other.task.task_id == change.task.task_id;
        if let Some(other) = self.queue.iter_mut().find(same) {
            (other.runs, other.task) = (other.runs + change.runs, change.task);
            return None;
        }
        self.queue.push_back(change);
        if WAITING < self.queue.len() { self.queue.pop_front() } else { None }
    }

    /// The next one.
    pub(super) fn next(&mut self) -> Option<Change> {
        self.queue.pop_front()
    }
}

/// Runs the command.
#[derive(Debug)]
pub(super) struct Commands {
    command: Vec<OsString>,
    limit: Duration,
    running: Option<Running>,
}

#[derive(Debug)]
struct Running {
    child: Child,
    became: Became,
    until: Instant,
    what: String,
    /// Whether it was said that it takes too long.
    late: bool,
}

impl Commands {
    pub(super) fn new(command: Vec<OsString>, limit: Duration) -> Self {
        Self { command, limit, running: None }
    }

    pub(super) fn is_busy(&self) -> bool {
        self.running.is_some()
    }

    /// Starts it for this event, in a process group of its own, so that it can be ended with all that it started. Says whether it did; that it did not is said.
    pub(super) fn start(&mut self, told: &Told, hub: &str) -> bool {
        let Some((program, arguments)) = self.command.split_first() else { return false };
        let mut command = Command::new(program);
        command.args(arguments).envs(told.variables(hub)).stdin(Stdio::null()).process_group(0).kill_on_drop(true);
        match command.spawn() {
            Ok(child) => {
                let until = Instant::now() + self.limit;
                self.running = Some(Running { child, became: told.became(), until, what: told.name(), late: false });
            }
            Err(error) => notice(&format!("{}: the command cannot be started: {error}", told.name())),
        }
        self.is_busy()
    }

    /// Waits for its end, or for ever if it does not run; says for what it ran. Nothing is lost if the wait is given up.
    pub(super) async fn done(&mut self) -> Became {
        let Some(running) = &mut self.running else { return std::future::pending().await };
        match timeout_at(running.until, running.child.wait()).await {
            Ok(Ok(status)) if status.success() => {}
            Ok(Ok(status)) => notice(&format!("{}: the command ended with {status}", running.what)),
            Ok(Err(error)) => notice(&format!("{}: the command cannot be waited for: {error}", running.what)),
            Err(_) => {
                if !std::mem::replace(&mut running.late, true) {
                    notice(&format!("{}: the command took longer than --timeout, and is ended", running.what));
                }
                running.end().await;
            }
        }
        let became = running.became;
        self.running = None;
        became
    }

    /// Ends it, if it runs.
    pub(super) async fn end(&mut self) {
        if let Some(mut running) = self.running.take() {
            running.end().await;
        }
    }
}

impl Running {
    /// Asks its process group to end, and makes it.
    async fn end(&mut self) {
        let group = self.child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        let tell = |signal| group.map(|group| kill_process_group(group, signal));
        // It may have ended by itself.
        let _ = tell(Signal::TERM);
        if timeout(END_GRACE, self.child.wait()).await.is_err() {
            let _ = tell(Signal::KILL);
            let _ = timeout(END_GRACE, self.child.wait()).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(task: &str, became: &str, runs: u64) -> Change {
        let task = serde_json::from_value(serde_json::json!({
            "taskId": task, "title": null, "labels": {}, "status": "failed", "epoch": "5f3a9c1e", "head": runs, "floor": 1,
            "createdAt": 0, "lastActivityAt": null, "invocationCounts": {}
        }));
        Change { task: task.expect("a summary"), became: became.parse().expect("a word"), runs, previous: None }
    }

    #[test]
    fn what_waits_is_joined_by_task_and_kind_and_bounded() {
        let mut waiting = Waiting::default();
        for (task, became, runs) in [("a", "failed", 1), ("b", "failed", 1), ("a", "stalled", 1), ("a", "failed", 2)] {
            assert_eq!(waiting.push(change(task, became, runs)), None);
        }
        let first = waiting.next().expect("it waits");
        assert_eq!((first.task.task_id.as_str(), first.runs, first.task.head.get()), ("a", 3, 2), "as it is now");
        assert_eq!(waiting.next().expect("it waits").task.task_id.as_str(), "b");
        assert_eq!(waiting.next().expect("it waits").became, Became::Stalled);
        assert_eq!(waiting.next(), None);
        for n in 0..WAITING {
            assert_eq!(waiting.push(change(&format!("t{n}"), "failed", 1)), None);
        }
        assert_eq!(waiting.push(change("more", "failed", 1)).expect("one goes").task.task_id.as_str(), "t0");
    }
}
