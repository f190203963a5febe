//! What a cluster is asked to do, and what that makes of each thing that costs: pure arithmetic.

/// How activities come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// PUBLISH, each message heard by the task's owner and its standby.
    Redis,
    /// POST, answered by the node that it comes to.
    Http,
}

/// A load on a cluster.
#[derive(Debug, Clone, Copy)]
pub struct Scene {
    pub nodes: usize,
    pub tasks: usize,
    /// Activities a second, of all tasks together.
    pub rate: f64,
    /// Activities of a message or request.
    pub batch: f64,
    pub way: Way,
    /// Viewers of each task.
    pub viewers: f64,
    /// On how many nodes a task is watched.
    pub watching: f64,
    /// How long a commit takes, in seconds: what the disk and its neighbours make of it.
    pub commit: f64,
}

/// How many batches a node commits at once (`writer.lanes`).
const LANES: f64 = 2.0;

impl Scene {
    /// One whose viewers are spread over the nodes, as a balancer does that knows nothing of tasks.
    pub fn spread(self) -> Self {
        let nodes = self.nodes as f64;
        Self { watching: nodes * (1.0 - (1.0 - 1.0 / nodes).powf(self.viewers)), ..self }
    }

    /// Messages or requests a second.
    pub fn messages(&self) -> f64 {
        self.rate / self.batch
    }

    /// The same of those over Redis.
    pub fn published(&self) -> f64 {
        if self.way == Way::Redis { self.messages() } else { 0.0 }
    }

    /// Messages over Redis that a standby hears, too; and acks, which it hears of the owner.
    pub fn heard_twice(&self) -> f64 {
        if 1 < self.nodes { self.published() } else { 0.0 }
    }

    /// Hints that nodes hear, each of a message: whoever watches a task hears of all its commits.
    pub fn hints(&self) -> f64 {
        self.messages() * self.watching
    }

    /// Writes to viewers: the activities of a message go out together.
    pub fn writes(&self) -> f64 {
        self.messages() * self.viewers
    }

    /// Commits a second: what comes to a lane while it commits goes into its next commit together.
    pub fn commits(&self) -> f64 {
        let lanes = LANES * self.nodes as f64;
        let each = self.messages() / lanes;
        lanes * each / (1.0 + each * self.commit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: Scene =
        Scene { nodes: 2, tasks: 16, rate: 500.0, batch: 5.0, way: Way::Redis, viewers: 2.0, watching: 2.0, commit: 0.0 };

    #[test]
    fn a_message_is_heard_by_the_owner_the_standby_and_whoever_watches() {
        assert_eq!(
            [ONE.messages(), ONE.published(), ONE.heard_twice(), ONE.hints(), ONE.writes()],
            [100.0, 100.0, 100.0, 200.0, 200.0]
        );
        let alone = Scene { nodes: 1, watching: 1.0, ..ONE };
        assert_eq!([alone.heard_twice(), alone.hints()], [0.0, 100.0]);
        let http = Scene { way: Way::Http, ..ONE };
        assert_eq!([http.published(), http.heard_twice(), http.hints()], [0.0, 0.0, 200.0]);
    }

    #[test]
    fn what_comes_while_a_lane_commits_is_committed_together() {
        assert_eq!(ONE.commits(), 100.0, "each alone if it takes no time");
        let fast = Scene { rate: 1e9, commit: 0.001, ..ONE };
        assert!((fast.commits() - 4_000.0).abs() < 1.0, "four lanes, a commit a millisecond: {}", fast.commits());
    }

    #[test]
    fn viewers_of_a_task_meet_by_chance() {
        assert_eq!(Scene { nodes: 1, ..ONE }.spread().watching, 1.0);
        assert_eq!(ONE.spread().watching, 1.5, "two viewers on two nodes: half the time on the same");
        let many = Scene { nodes: 1_000, viewers: 10.0, ..ONE }.spread().watching;
        assert!((9.9..10.0).contains(&many), "{many}");
    }
}
