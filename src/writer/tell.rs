//! What follows a commit: viewers are shown what is new, and whoever waits is answered. It happens in the order of the commits and beside the
//! next one, so that the store never waits for encoding.

use std::ops::Range;

use tokio::sync::{mpsc, oneshot};

use super::{Change, ChangeDone, Results, Room};
use crate::{
    hub::Hub,
    model::{FrameBuilder, LogState, TaskId, TraceContext},
    store::{Append, TaskCommit},
};

/// How many commits may wait to be told; then the next one does.
pub(super) const UNTOLD: usize = 4;

/// A commit to tell of.
pub(super) enum News {
    /// A batch of activities.
    Appended {
        /// The batch.
        batch: Vec<Append>,
        /// What of it is new, by task.
        commits: Vec<TaskCommit>,
        /// What became of each of the batch.
        results: Results,
        /// Who waits, for how many of the results, and the room that they took in the queue.
        waiting: Vec<(usize, oneshot::Sender<Results>, Room)>,
        /// Which parts of the batch are traced, and what is told of them follows from.
        traces: Vec<(Range<usize>, TraceContext)>,
    },
    /// A change of a task, and where its log stands after it.
    Changed { task: TaskId, change: Change, done: ChangeDone, state: Option<LogState>, reply: oneshot::Sender<ChangeDone> },
}

/// Tells of everything that is committed, until nothing is committed any more.
pub(super) async fn tell(hub: Hub, mut news: mpsc::Receiver<News>) {
    while let Some(news) = news.recv().await {
        match news {
            News::Appended { batch, commits, results, waiting, traces } => {
                for commit in &commits {
                    // Of several the first: what viewers get is one batch.
                    let trace = traces.iter().find(|(part, _)| commit.items.iter().any(|index| part.contains(index)));
                    show(&hub, &batch, commit, trace.map(|(_, trace)| *trace));
                }
                let mut results = results.into_iter();
                for (count, reply, room) in waiting {
                    drop(room);
                    // The publisher may have gone away; the activities are stored all the same.
                    let _ = reply.send(results.by_ref().take(count).collect());
                }
            }
            News::Changed { task, change, done, state, reply } => {
                changed(&hub, &task, &change, &done, state);
                // A publisher that no longer listens is no reason not to do what it asked for.
                let _ = reply.send(done);
            }
        }
    }
}

fn show(hub: &Hub, batch: &[Append], commit: &TaskCommit, trace: Option<TraceContext>) {
    hub.touched(&commit.task);
    if !hub.is_watched(&commit.task) {
        return;
    }
    let mut builder = FrameBuilder::new(&commit.task, commit.epoch);
    let bytes = commit.items.iter().map(|index| batch[*index].activity.activity.data.as_bytes().len()).sum();
    builder = builder.expecting(commit.items.len(), bytes).traced(trace);
    let mut offset = commit.first;
    for index in &commit.items {
        builder.push(offset, &batch[*index].activity.activity);
        offset = offset.next();
    }
    hub.committed(&commit.task, builder.finish());
}

fn changed(hub: &Hub, task: &TaskId, change: &Change, done: &ChangeDone, state: Option<LogState>) {
    match (done, change) {
        (Ok(true), Change::Delete) => hub.deleted(task),
        (Ok(_), change) => {
            if matches!(change, Change::Put(_)) {
                hub.announce(task);
            }
            if let Some(state) = state {
                hub.changed(task, state);
            }
        }
        (Err(error), _) => tracing::warn!(task.id = %task, %error, "a task could not be changed"),
    }
}
