//! Agents: each publishes one invocation of a task, in order, in one of three ways, and remembers what it was told.

mod acked;
mod forget;
mod http;
mod wire;

use std::{sync::Arc, time::Duration};

use anyhow::Result;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::{
    checker::{Proof, Publication, Sent},
    figures::Publishing,
    kind::Kind,
    run::Run,
};

/// How long an agent tries to finish what it has begun when the run ends and everything is well again.
pub const FINISH_PATIENCE: Duration = Duration::from_secs(45);

/// The most activities that are published together.
const TOGETHER: usize = 4;

/// How a publisher learns what became of its activities.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// POST to any node, again until there is a receipt.
    Http,
    /// PUBLISH, again until there is an ack.
    Acked,
    /// PUBLISH, until somebody hears it; never again after that.
    Forget,
}

/// Who publishes how much: for each task so many invocations of each way, each with a mean pause.
const CAST: [(Way, &str, usize, Duration); 3] = [
    (Way::Http, "http", 1, Duration::from_millis(250)),
    (Way::Acked, "acked", 1, Duration::from_millis(250)),
    (Way::Forget, "forget", 2, Duration::from_millis(120)),
];

/// The tasks of a run.
pub fn tasks() -> Vec<String> {
    (1..=6).map(|number| format!("chaos-{number}")).collect()
}

/// Agents at work.
pub struct Agents {
    at_work: JoinSet<Result<Publication>>,
}

impl Agents {
    /// Sends them all to work.
    pub fn start(run: &Arc<Run>) -> Self {
        let mut at_work = JoinSet::new();
        for task in tasks() {
            for (way, name, count, pause) in CAST {
                for number in 1..=count {
                    let invocation = Invocation::new(&task, &format!("{name}-{number}"));
                    let run = run.clone();
                    match way {
                        Way::Http => at_work.spawn(http::publish(run, invocation, pause)),
                        Way::Acked => at_work.spawn(acked::publish(run, invocation, pause)),
                        Way::Forget => at_work.spawn(forget::publish(run, invocation, pause)),
                    };
                }
            }
        }
        Self { at_work }
    }

    /// What they published, once [`Run::quiet`] was given and each has finished. For an agent that cannot finish it is an anomaly.
    pub async fn finish(mut self) -> Result<Vec<Publication>> {
        let mut all = Vec::new();
        while let Some(ended) = self.at_work.join_next().await {
            all.push(ended??);
        }
        Ok(all)
    }
}

/// One run of an agent, and what it has published so far.
struct Invocation {
    publication: Publication,
}

/// An activity on its way.
#[derive(Debug, Clone)]
struct Activity {
    event: Uuid,
    number: usize,
    body: Value,
}

impl Invocation {
    fn new(task: &str, name: &str) -> Self {
        let (task, invocation) = (task.to_owned(), name.to_owned());
        Self { publication: Publication { task, invocation, sent: Vec::new() } }
    }

    fn task(&self) -> &str {
        &self.publication.task
    }

    /// The next activities, at most so many. They count as unproven until [`Invocation::prove`].
    fn next(&mut self, most: usize) -> Vec<Activity> {
        let count = rand::random_range(1..=most);
        (0..count)
            .map(|_| {
                let event = Uuid::now_v7();
                let nothing = Sent { event, proof: Proof::None, at_ms: 0, during: None, life: None, out_of_turn: None };
                self.publication.sent.push(nothing);
                let number = self.publication.sent.len();
                // About as long as a line of a build's output.
                let text = "x".repeat(rand::random_range(20..200));
                let data = json!({"n": number, "text": text});
                let body = json!({
                    "invocationId": self.publication.invocation, "type": "custom", "eventId": event, "data": data,
                });
                Activity { event, number, body }
            })
            .collect()
    }

    /// Notes which life of the log its receipt names.
    fn lives(&mut self, activity: &Activity, life: Arc<str>) {
        self.publication.sent[activity.number - 1].life = Some(life);
    }

    /// Notes what its publisher was told about an activity.
    fn prove(&mut self, activity: &Activity, proof: Proof, run: &Run, figures: &Publishing) {
        run.board.publish(&self.publication.task);
        let sent = &mut self.publication.sent[activity.number - 1];
        (sent.proof, sent.at_ms) = (proof, run.timeline.elapsed_ms());
        sent.during = run.timeline.now().map(Kind::name);
        figures.activities.one();
    }
}

/// The body of several.
fn array(activities: &[Activity]) -> String {
    Value::from_iter(activities.iter().map(|activity| activity.body.clone())).to_string()
}
