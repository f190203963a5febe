//! Ingest by PUBLISH: what agents say on their tasks' channels, taken by the owner of each task and held by its standby.
//!
//! One task (the keeper) hears everything in order and decides by [`Ownership`]; it never waits. What is to be stored goes through a bounded
//! queue to the submitter, which waits for the writer's room, and on to the acker, which waits for the commits, in order. A node whose queue
//! is half full withdraws from ownership, so that a PUBLISH is only counted by nodes that will store it; the other half is for what is
//! already on its way.

mod acks;
mod beat;
mod keeper;
mod submit;

use std::{sync::Arc, time::Duration};

use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{Envelopes, IngestLimits, Redaction};
use crate::{
    broker::{LinkReader, RedisBroker},
    cluster::OwnershipOptions,
    metrics::Metrics,
    store::Store,
    trail::Trail,
    writer::Writer,
};

use acks::Rejections;
use keeper::{Keeper, Question, Tools};

/// Bounds and times of ingest by PUBLISH.
#[derive(Debug, Clone)]
pub struct ChannelOptions {
    /// A node that was not heard of for so long is no member.
    pub member_timeout: Duration,
    /// How often a node says that it is alive.
    pub beat_interval: Duration,
    /// The most bytes heard that wait for the writer. At half of it the node withdraws.
    pub queue_bytes: usize,
    /// After so long without activities a task that does not run needs no owner.
    pub idle_timeout: Duration,
    /// What is kept about ownership.
    pub ownership: OwnershipOptions,
}

/// What the keeper may be asked from outside, at most.
const QUESTIONS: usize = 1_024;

/// A node's ingest by PUBLISH.
#[derive(Debug, Clone)]
pub struct ChannelIngest {
    questions: mpsc::Sender<Question>,
    member: watch::Receiver<bool>,
}

impl ChannelIngest {
    /// Joins the members and begins to listen, on `tracker` until `stop`.
    #[expect(clippy::too_many_arguments, reason = "it takes everything it needs, once, at the start of a node")]
    pub(crate) fn start(
        redis: Arc<RedisBroker>,
        reader: LinkReader,
        store: Store,
        writer: Writer,
        limits: IngestLimits,
        redaction: Arc<Redaction>,
        envelopes: Arc<Envelopes>,
        trail: Arc<Trail>,
        options: ChannelOptions,
        metrics: Arc<Metrics>,
        tracker: &TaskTracker,
        stop: CancellationToken,
    ) -> Self {
        let (questions, asked) = mpsc::channel(QUESTIONS);
        let (member_sender, member) = watch::channel(false);
        let rejections = Rejections::start(redis.clone(), store.clone(), redaction.clone(), tracker);
        let counts = metrics.channel.clone();
        let queue = submit::start(redis.clone(), rejections.clone(), writer.clone(), trail, options.queue_bytes, counts, tracker);
        let beat = beat::start(redis.clone(), options.clone(), questions.clone(), tracker, stop.clone());
        tracker.spawn(envelopes.clone().watch(stop.clone()));
        let tools = Tools {
            redis,
            store,
            writer,
            limits,
            redaction,
            envelopes,
            options,
            metrics,
            queue,
            beat,
            rejections,
            tracker: tracker.clone(),
        };
        tracker.spawn(Keeper::new(tools, questions.clone(), member_sender).run(reader, asked, stop));
        Self { questions, member }
    }

    /// Whether this node is a member: agents that PUBLISH can reach it.
    pub fn is_member(&self) -> bool {
        *self.member.borrow()
    }

    /// Hands its tasks to other nodes, as far as there are any, and takes nothing more; others are waited for within this time. Ends when whatever
    /// was taken is stored, however long that takes.
    pub(crate) async fn leave(&self, within: Duration) {
        let (reply, left) = oneshot::channel();
        if self.questions.send(Question::Leave(within, reply)).await.is_ok() {
            // An error means that the keeper has ended, which is as good.
            let _ = left.await;
        }
    }
}
