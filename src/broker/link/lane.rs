//! One lane of a link: a connection to each server, the channels that are subscribed on them, and a probe that tells whether they deliver.
//!
//! A probe is a number published through the command connections and heard, or not, on the lane. It is deaf if nobody heard the number
//! (the subscription is not where commands go, such as on a master that was demoted), or if it does not arrive here in time.

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use parking_lot::Mutex;
use redis::{AsyncConnectionConfig, PushInfo, PushKind, Value, aio::MultiplexedConnection};
use tokio::{
    sync::watch,
    time::{Instant, MissedTickBehavior, interval, timeout},
};

use super::{Inner, LinkEvent, Shared};
use crate::{
    backoff::Backoff,
    broker::{BrokerError, servers::Servers},
};

/// The first and the longest wait before connecting again.
const RETRY: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));

/// How many channels one SUBSCRIBE names: few enough for Redis to serve others in between.
const CHUNK: usize = 500;

/// What is asked of a lane.
#[derive(Debug)]
pub(super) struct Lane {
    pub(super) index: usize,
    wanted: Mutex<Wanted>,
    /// Changes when there is something to do.
    wake: watch::Sender<u64>,
    /// Changes when the connections are to be dropped.
    rebuild: watch::Sender<u64>,
    live: AtomicBool,
}

#[derive(Debug, Default)]
struct Wanted {
    channels: HashSet<String>,
    /// What of them has changed since that was followed last, the last word for each. Nothing while there is no connection: a new one begins with all
    /// channels, and nobody counts how often they change until then.
    changes: Option<HashMap<String, bool>>,
}

impl Lane {
    pub(super) fn new(index: usize) -> Self {
        let (wanted, live) = (Mutex::default(), AtomicBool::new(false));
        Self { index, wanted, wake: watch::Sender::new(0), rebuild: watch::Sender::new(0), live }
    }

    pub(super) fn channels(&self) -> usize {
        self.wanted.lock().channels.len()
    }

    pub(super) fn is_live(&self) -> bool {
        self.live.load(Ordering::Acquire)
    }

    /// Notes what is wanted; [`Lane::wake`] has it done.
    pub(super) fn want(&self, channel: String, on: bool) {
        let mut wanted = self.wanted.lock();
        if on {
            wanted.channels.insert(channel.clone());
        } else {
            wanted.channels.remove(&channel);
        }
        if let Some(changes) = &mut wanted.changes {
            changes.insert(channel, on);
        }
    }

    pub(super) fn wake(&self) {
        if self.wanted.lock().changes.as_ref().is_some_and(|changes| !changes.is_empty()) {
            self.wake.send_modify(|times| *times += 1);
        }
    }

    pub(super) fn rebuild(&self) {
        self.rebuild.send_modify(|times| *times += 1);
    }
}

/// Keeps the lane connected until the link ends.
pub(super) async fn run(link: Arc<Inner>, lane: Arc<Lane>) {
    let mut backoff = Backoff::new(RETRY.0, RETRY.1);
    let mut rebuild = lane.rebuild.subscribe();
    while !link.stop.is_cancelled() {
        rebuild.mark_unchanged();
        let generation = link.shared.generation.load(Ordering::SeqCst);
        let ended = tokio::select! {
            ended = serve(&link, &lane, generation) => ended,
            Ok(()) = rebuild.changed() => Err(BrokerError::Unusable("it is to be rebuilt")),
            () = link.stop.cancelled() => return,
        };
        lane.wanted.lock().changes = None;
        if lane.live.swap(false, Ordering::AcqRel) {
            backoff.reset();
            link.review_live();
            link.shared.say(generation, LinkEvent::Down { lane: lane.index }).await;
        }
        if let Err(error) = ended {
            link.metrics.reconnects.inc();
            tracing::debug!(link = link.options.name, lane = lane.index, %error, "connecting to Redis again");
        }
        tokio::select! {
            () = backoff.wait() => {}
            () = link.stop.cancelled() => return,
        }
    }
}

/// What the sockets' readers leave for the lane.
#[derive(Debug)]
struct Ears {
    shared: Arc<Shared>,
    generation: u64,
    probes: Vec<String>,
    /// The greatest number heard on each probe.
    heard: Vec<AtomicU64>,
    broken: watch::Sender<bool>,
}

impl Ears {
    /// Takes what a socket's reader has read. Never waits.
    fn hear(&self, push: PushInfo) {
        match push.kind {
            PushKind::Message | PushKind::SMessage => {
                let mut data = push.data.into_iter();
                let (Some(Value::BulkString(channel)), Some(Value::BulkString(payload))) = (data.next(), data.next()) else {
                    return;
                };
                let Ok(channel) = String::from_utf8(channel) else { return };
                if let Some(index) = self.probes.iter().position(|probe| *probe == channel) {
                    let number = std::str::from_utf8(&payload).ok().and_then(|text| text.parse().ok()).unwrap_or(0);
                    self.heard[index].fetch_max(number, Ordering::AcqRel);
                    return;
                }
                self.shared.offer(self.generation, LinkEvent::Message { channel, payload: Bytes::from(payload) });
            }
            // A slot of a cluster that moves away takes its subscriptions with it.
            PushKind::Disconnection | PushKind::SUnsubscribe => drop(self.broken.send_replace(true)),
            _ => {}
        }
    }
}

/// Connects, subscribes, and keeps at it until something is wrong.
async fn serve(link: &Inner, lane: &Lane, generation: u64) -> Result<(), BrokerError> {
    let options = &link.options;
    let servers = Servers::discover(&link.address, options.connect_timeout).await?;
    let probes = servers.one_on_each(&format!("{}:{}", link.probe, lane.index));
    let ears = Arc::new(Ears {
        shared: link.shared.clone(),
        generation,
        heard: probes.iter().map(|_| AtomicU64::new(0)).collect(),
        probes,
        broken: watch::Sender::new(false),
    });
    let mut sockets = Sockets::connect(link, servers, ears.clone()).await?;
    let all: Vec<String> = {
        let mut wanted = lane.wanted.lock();
        wanted.changes = Some(HashMap::new());
        wanted.channels.iter().cloned().collect()
    };
    let mut wake = lane.wake.subscribe();
    sockets.subscribe(&ears.probes).await?;
    for some in all.chunks(CHUNK) {
        sockets.subscribe(some).await?;
        for channel in some {
            link.shared.say(generation, LinkEvent::Subscribed(channel.clone())).await;
        }
    }
    let mut probe = Probe::default();
    probe.say(link, &ears).await?;
    lane.live.store(true, Ordering::Release);
    link.review_live();
    link.shared.say(generation, LinkEvent::Live { lane: lane.index }).await;
    let mut broken = ears.broken.subscribe();
    let mut ticks = interval(options.probe_interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            Ok(()) = wake.changed() => {}
            _ = ticks.tick() => {
                probe.check(link, &ears, lane)?;
                sockets.check(link).await?;
                probe.say(link, &ears).await?;
            }
            () = async { drop(broken.wait_for(|broken| *broken).await) } => {
                return Err(BrokerError::Unusable("the connection has ended"));
            }
        }
        sockets.follow(link, lane, generation).await?;
    }
}

/// The probes of one lane.
#[derive(Debug, Default)]
struct Probe {
    number: u64,
    /// When the number that was heard last was, or when it began.
    heard: Option<Instant>,
    /// Since when publishing has failed.
    mute: Option<Instant>,
}

impl Probe {
    /// Publishes the next number.
    async fn say(&mut self, link: &Inner, ears: &Ears) -> Result<(), BrokerError> {
        self.heard.get_or_insert_with(Instant::now);
        let messages: Vec<_> =
            ears.probes.iter().map(|name| (name.clone(), Bytes::from((self.number + 1).to_string()))).collect();
        let began = Instant::now();
        // Through a dead connection and a new one it might take several times as long, and nothing else is looked at meanwhile.
        let published = timeout(link.options.response_timeout, link.commands.publish(&messages)).await;
        match published.unwrap_or(Err(BrokerError::Timeout)) {
            Ok(counts) if counts.contains(&0) => {
                link.metrics.deaf.inc();
                return Err(BrokerError::Unusable("it is not subscribed where commands go"));
            }
            Ok(_) => {
                self.number += 1;
                self.mute = None;
            }
            // That commands do not arrive does not make this connection deaf.
            Err(error) => {
                tracing::debug!(%error, "a probe could not be published");
                self.mute.get_or_insert(began);
            }
        }
        Ok(())
    }

    /// Fails if what was published is not heard for too long.
    fn check(&mut self, link: &Inner, ears: &Ears, lane: &Lane) -> Result<(), BrokerError> {
        let now = Instant::now();
        let all_heard = ears.heard.iter().all(|heard| self.number <= heard.load(Ordering::Acquire));
        let live = self.mute.is_none_or(|since| now - since < link.options.probe_timeout);
        if lane.live.swap(live, Ordering::AcqRel) != live {
            link.review_live();
        }
        if all_heard {
            self.heard = Some(now);
        } else if self.heard.is_none_or(|heard| link.options.probe_timeout <= now - heard) {
            link.metrics.deaf.inc();
            tracing::warn!(
                link = link.options.name,
                lane = lane.index,
                "a connection to Redis is open but delivers nothing; making a new one"
            );
            return Err(BrokerError::Unusable("it is deaf"));
        }
        Ok(())
    }
}

/// A connection to each server, and what is subscribed on them.
struct Sockets {
    servers: Servers,
    connections: Vec<MultiplexedConnection>,
    subscribed: HashSet<String>,
    /// How long one SUBSCRIBE may take.
    patience: Duration,
}

impl Sockets {
    async fn connect(link: &Inner, servers: Servers, ears: Arc<Ears>) -> Result<Self, BrokerError> {
        let mut connections = Vec::with_capacity(servers.masters.len());
        for master in &servers.masters {
            let ears = ears.clone();
            let config = AsyncConnectionConfig::new()
                .set_connection_timeout(Some(link.options.connect_timeout))
                .set_response_timeout(Some(link.options.response_timeout))
                .set_push_sender(move |push: PushInfo| {
                    ears.hear(push);
                    Ok::<_, redis::aio::SendError>(())
                });
            let client = redis::Client::open(master.clone())?;
            let connecting = client.get_multiplexed_async_connection_with_config(&config);
            let connection = timeout(link.options.connect_timeout * 2, connecting).await.map_err(|_| BrokerError::Timeout)??;
            connections.push(connection);
        }
        Ok(Self { servers, connections, subscribed: HashSet::new(), patience: link.options.response_timeout * 2 })
    }

    async fn subscribe(&mut self, channels: &[String]) -> Result<(), BrokerError> {
        self.change(channels, true).await?;
        self.subscribed.extend(channels.iter().cloned());
        Ok(())
    }

    /// Does what was asked since the last time.
    async fn follow(&mut self, link: &Inner, lane: &Lane, generation: u64) -> Result<(), BrokerError> {
        let changes = lane.wanted.lock().changes.as_mut().map(std::mem::take).unwrap_or_default();
        let (on, off): (Vec<_>, Vec<_>) = changes.into_iter().partition(|(_, on)| *on);
        let off: Vec<_> = off.into_iter().map(|(channel, _)| channel).filter(|channel| self.subscribed.remove(channel)).collect();
        for some in off.chunks(CHUNK) {
            self.change(some, false).await?;
        }
        let on: Vec<_> = on.into_iter().map(|(channel, _)| channel).collect();
        for some in on.chunks(CHUNK) {
            let new: Vec<_> = some.iter().filter(|channel| !self.subscribed.contains(*channel)).cloned().collect();
            self.subscribe(&new).await?;
            for channel in some {
                link.shared.say(generation, LinkEvent::Subscribed(channel.clone())).await;
            }
        }
        Ok(())
    }

    /// Subscribes or unsubscribes, and waits until every server has confirmed it.
    async fn change(&mut self, channels: &[String], on: bool) -> Result<(), BrokerError> {
        if channels.is_empty() {
            return Ok(());
        }
        let mut by_master: HashMap<usize, Vec<&String>> = HashMap::new();
        for channel in channels {
            by_master.entry(self.servers.master_of(channel)).or_default().push(channel);
        }
        for (master, names) in by_master {
            let connection = &mut self.connections[master];
            let confirmed = async {
                if !self.servers.sharded {
                    return if on { connection.subscribe(&names).await } else { connection.unsubscribe(&names).await };
                }
                // One channel a command: channels of one SSUBSCRIBE must be of one slot. Each is confirmed by one answer.
                let mut pipeline = redis::Pipeline::with_capacity(names.len());
                for name in &names {
                    pipeline.cmd(if on { "SSUBSCRIBE" } else { "SUNSUBSCRIBE" }).arg(*name);
                }
                pipeline.query_async::<()>(connection).await
            };
            timeout(self.patience, confirmed).await.map_err(|_| BrokerError::Timeout)??;
        }
        Ok(())
    }

    /// Fails if the servers are others now.
    async fn check(&self, link: &Inner) -> Result<(), BrokerError> {
        if link.address.may_move()
            && let Ok(now) = Servers::discover(&link.address, link.options.connect_timeout).await
            && !now.same_as(&self.servers)
        {
            return Err(BrokerError::Unusable("the masters are others now"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_connection_nothing_is_kept_of_channels_that_come_and_go() {
        let lane = Lane::new(0);
        for number in 0..10_000 {
            let name = format!("feed:{number}");
            lane.want(name.clone(), true);
            lane.want(name, false);
        }
        lane.want("feed:stays".to_owned(), true);
        let wanted = lane.wanted.lock();
        assert_eq!((wanted.channels.len(), wanted.changes.iter().flatten().count()), (1, 0));
    }
}
