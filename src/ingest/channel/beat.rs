//! Staying a member: a beat now and then, a fresh start after a lapse.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{
    sync::{mpsc, oneshot, watch},
    time::{sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{ChannelOptions, Question};
use crate::{
    broker::RedisBroker,
    cluster::{BEAT, Beat, Control, LEAVE, Lease, Members, Since, Standing},
};

/// How long after joining a node waits before it takes roles, so that those that join together see each other first.
const SETTLE: Duration = Duration::from_millis(300);

/// The shortest time between two beats, however often somebody asks for one.
const SHORTEST: Duration = Duration::from_millis(50);

/// How the keeper steers the beats.
#[derive(Debug)]
pub(super) struct BeatHandle {
    /// How this node stands.
    pub standing: watch::Sender<Standing>,
    /// Changes when the next beat is to come at once.
    pub soon: watch::Sender<u64>,
    /// For how long this node surely is a member.
    pub lease: Lease,
    /// Ends the membership.
    pub leave: CancellationToken,
}

pub(super) fn start(
    redis: Arc<RedisBroker>,
    options: ChannelOptions,
    keeper: mpsc::Sender<Question>,
    tracker: &TaskTracker,
    stop: CancellationToken,
) -> BeatHandle {
    let (standing, stands) = watch::channel(Standing::Unable);
    let (soon, asked) = watch::channel(0);
    let handle = BeatHandle { standing, soon, lease: Lease::default(), leave: stop.child_token() };
    let beats = Beats {
        script: redis::Script::new(BEAT),
        redis,
        options,
        keeper,
        stands,
        asked,
        lease: handle.lease.clone(),
        leave: handle.leave.clone(),
        since: Since::new(),
        members: Members::default(),
        forgotten: None,
    };
    tracker.spawn(beats.run());
    handle
}

struct Beats {
    script: redis::Script,
    redis: Arc<RedisBroker>,
    options: ChannelOptions,
    keeper: mpsc::Sender<Question>,
    stands: watch::Receiver<Standing>,
    asked: watch::Receiver<u64>,
    lease: Lease,
    leave: CancellationToken,
    /// The key in which this node is noted.
    since: Since,
    /// The members at the last beat.
    members: Members,
    /// Who was one when Redis forgot them all, and until when they count all the same.
    forgotten: Option<(Members, Instant)>,
}

impl Beats {
    async fn run(mut self) {
        let leave = self.leave.clone();
        // Whatever it is doing then may be cut short.
        let _ = leave.run_until_cancelled(self.be_a_member()).await;
        self.lease.end();
        let script = redis::Script::new(LEAVE);
        let key = self.redis.names.nodes();
        let node = [&*self.redis.node];
        let left = self.redis.commands.eval(&script, &key, &node);
        // If Redis does not answer, the others find out by themselves.
        let _ = timeout(self.options.beat_interval, left).await;
        self.say_members_changed();
    }

    async fn be_a_member(&mut self) {
        let mut joined = false;
        loop {
            if !joined {
                joined = self.join().await;
            }
            if joined {
                match self.beat(false).await {
                    Some(Beat::Counted(members, since)) => {
                        let members = self.with_forgotten(members, since);
                        let keeper_gone = self.keeper.send(Question::Members(members)).await.is_err();
                        if keeper_gone {
                            return;
                        }
                    }
                    Some(Beat::Lapsed) => {
                        joined = false;
                        self.lapse().await;
                        continue;
                    }
                    // By the time Redis answers again it may have forgotten this node; it will say so.
                    None => {}
                }
            }
            sleep(SHORTEST).await;
            let pause = self.options.beat_interval.saturating_sub(SHORTEST).mul_f64(rand::random_range(0.8..1.0));
            tokio::select! {
                () = sleep(pause) => {}
                Ok(()) = self.asked.changed() => {}
                Ok(()) = self.stands.changed() => {}
            }
        }
    }

    /// The members, and those who were until Redis forgot them all: they have time to be noted again.
    fn with_forgotten(&mut self, members: Members, since: Since) -> Members {
        if self.since != since {
            tracing::warn!("redis has forgotten the members of the cluster; tasks stay where they are");
            self.forgotten = Some((std::mem::take(&mut self.members), Instant::now() + self.options.member_timeout));
            self.since = since;
        }
        self.forgotten.take_if(|(_, until)| *until <= Instant::now());
        self.members = match &self.forgotten {
            Some((forgotten, _)) => members.and(forgotten),
            None => members,
        };
        self.members.clone()
    }

    /// Cleans up: what was heard and not read is dropped with the connections, what was taken without an `eventId` is dropped by the keeper.
    async fn lapse(&self) {
        self.lease.end();
        let (reply, done) = oneshot::channel();
        if self.keeper.send(Question::Lapsed(reply)).await.is_ok() {
            // An error means that the keeper has ended.
            let _ = done.await;
        }
    }

    /// Becomes a member once the subscriptions deliver.
    async fn join(&mut self) -> bool {
        let mut live = self.redis.ingest.live();
        if live.wait_for(|live| *live).await.is_err() {
            return false;
        }
        let joined = match self.beat(true).await {
            Some(Beat::Counted(_, since)) => {
                (self.since, self.members, self.forgotten) = (since, Members::default(), None);
                true
            }
            _ => false,
        };
        if joined {
            self.say_members_changed();
            sleep(SETTLE).await;
        }
        joined
    }

    async fn beat(&mut self, join: bool) -> Option<Beat> {
        let sent = Instant::now();
        let standing = self.stands.borrow_and_update().as_str();
        let wait = self.options.member_timeout.as_millis().to_string();
        let noted_in = if self.lease.holds() { &*self.since } else { "" };
        let arguments: [&str; 5] = [&self.redis.node, standing, &wait, if join { "1" } else { "0" }, noted_in];
        let key = self.redis.names.nodes();
        let answer = timeout(self.options.member_timeout, self.redis.commands.eval(&self.script, &key, &arguments)).await.ok()?;
        let beat = match answer {
            Ok(answer) => Beat::read(answer)?,
            Err(error) => {
                tracing::debug!(%error, "a beat did not reach Redis");
                return None;
            }
        };
        if let Beat::Counted(..) = &beat {
            self.lease.renew(sent, self.options.member_timeout);
        }
        Some(beat)
    }

    fn say_members_changed(&self) {
        let message = Control::Members { from: self.redis.node.clone() };
        self.redis.letters.send(self.redis.names.cluster(), message.encode());
    }
}
