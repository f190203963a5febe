//! The audit trail: who published, changed, deleted, exported and revoked, as lines of the log under the target `tasklight::audit`. They name
//! subjects, tokens' ids and tasks, never payloads, titles or tokens.
//!
//! Publishing is told in sums, once for each subject, task and way within an interval: a line for each request would cost more than the request. A
//! node that is killed takes the sums of its last interval with it; everything else is said when it is done.

use std::{
    collections::{BTreeMap, HashMap},
    mem,
    sync::Arc,
    time::Duration,
};

use parking_lot::Mutex;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::{
    auth::{Caller, Means, Revoked},
    model::TaskId,
};

/// The target of the log's lines.
pub(crate) const TARGET: &str = "tasklight::audit";

/// The most sums that are kept before they are all told.
const SUMS: usize = 10_000;

/// How activities came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Way {
    /// By the API.
    Http,
    /// By the hook of an agent.
    Hook,
    /// Over Redis.
    Redis,
}

/// What was done with a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Deed {
    /// It was made, or described anew.
    Described,
    /// It was deleted with everything below it.
    Deleted,
    /// Its log, or a part of it, was asked for as a file.
    Exported,
}

/// Who it was; over Redis only who seals messages is known.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Who {
    subject: Option<Arc<str>>,
    means: Means,
    id: Option<Box<str>>,
}

/// Writes the trail.
#[derive(Debug)]
pub(crate) struct Trail {
    kept: bool,
    interval: Duration,
    published: Mutex<HashMap<(Who, TaskId, Way), u64>>,
}

impl Trail {
    /// One that tells sums so often; if it is not `kept`, it tells nothing at all.
    pub(crate) fn new(kept: bool, interval: Duration) -> Self {
        Self { kept, interval, published: Mutex::default() }
    }

    /// Adds activities of `caller` that were stored.
    pub(crate) fn published(&self, caller: &Caller, task: &TaskId, way: Way, activities: usize) {
        if self.kept && activities != 0 {
            self.add(Who::of(caller), task, way, activities);
        }
    }

    /// Adds activities that came over Redis and were stored: for each, who sealed it, if somebody did.
    pub(crate) fn heard<'a>(&self, task: &TaskId, sealed_by: impl Iterator<Item = Option<&'a Arc<str>>>) {
        if !self.kept {
            return;
        }
        let mut sums = BTreeMap::<_, usize>::new();
        sealed_by.for_each(|by| *sums.entry(by).or_default() += 1);
        for (by, activities) in sums {
            let means = if by.is_some() { Means::Envelope } else { Means::Open };
            self.add(Who { subject: by.cloned(), means, id: None }, task, Way::Redis, activities);
        }
    }

    fn add(&self, who: Who, task: &TaskId, way: Way, activities: usize) {
        let full = {
            let mut published = self.published.lock();
            *published.entry((who, task.clone(), way)).or_default() += activities as u64;
            (SUMS <= published.len()).then(|| mem::take(&mut *published))
        };
        full.into_iter().for_each(tell);
    }

    /// Tells what `caller` did with a task.
    pub(crate) fn did(&self, caller: &Caller, deed: Deed, task: &TaskId) {
        if !self.kept {
            return;
        }
        let Who { subject, means, id } = Who::of(caller);
        let (subject, id) = (subject.as_deref(), id.as_deref());
        let action = match deed {
            Deed::Described => "described",
            Deed::Deleted => "deleted",
            Deed::Exported => "exported",
        };
        tracing::info!(target: TARGET, action, subject, ?means, token.id = id, task.id = %task, "{action}");
    }

    /// Tells that `caller` took something back.
    pub(crate) fn revoked(&self, caller: &Caller, revoked: &Revoked) {
        if !self.kept {
            return;
        }
        let Who { subject, means, id } = Who::of(caller);
        let (subject, id) = (subject.as_deref(), id.as_deref());
        tracing::info!(target: TARGET, action = "revoked", subject, ?means, token.id = id, ?revoked, "revoked");
    }

    /// Tells the sums again and again until `stop`, and then once more.
    pub(crate) async fn run(&self, stop: CancellationToken) {
        let mut ticks = interval(self.interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let over = tokio::select! {
                _ = ticks.tick() => false,
                () = stop.cancelled() => true,
            };
            let published = mem::take(&mut *self.published.lock());
            tell(published);
            if over {
                return;
            }
        }
    }
}

impl Who {
    fn of(caller: &Caller) -> Self {
        Self { subject: Some(caller.subject().shared()), means: caller.means(), id: caller.id().map(Into::into) }
    }
}

fn tell(published: HashMap<(Who, TaskId, Way), u64>) {
    for ((Who { subject, means, id }, task, way), activities) in published {
        let (subject, id) = (subject.as_deref(), id.as_deref());
        tracing::info!(
            target: TARGET, action = "published", subject, ?means, token.id = id, task.id = %task, ?way, activities,
            "published"
        );
    }
}
