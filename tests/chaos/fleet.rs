//! All nodes together, each behind a proxy of its own to Redis, and what it means that they have settled.

use std::{net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use anyhow::{Context, Result, ensure};
use futures_util::future::join_all;
use tokio::time::{Instant, sleep, timeout};

use crate::{
    agents,
    hubs::{Condition, Hub, HubOptions},
    proxy::Proxy,
    run::Run,
};

/// How long the nodes may take to settle after a fault: the longest that is legitimate is a membership's end (5 s) and a reconnect under
/// backoff (5 s), each perhaps twice.
const SETTLE_PATIENCE: Duration = Duration::from_secs(60);

/// How long Redis may take to answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);

/// How often that is looked at.
const LOOK: Duration = Duration::from_millis(200);

/// A node and its ways.
pub struct Member {
    /// The process.
    pub hub: Hub,
    /// What stands between it and others.
    pub links: Arc<Links>,
}

/// What stands between a node and others.
pub struct Links {
    /// Redis.
    pub redis: Proxy,
    /// Postgres, if it has one.
    pub postgres: Option<Proxy>,
    /// Viewers, and publishers over HTTP.
    pub clients: Proxy,
}

/// How many listen to a task's channel when all has settled, compared to how many are to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listeners {
    /// One that was its standby lingers for a while (10 s).
    AtLeast,
    /// Lingering is over, too.
    Exactly,
}

/// The nodes.
pub struct Fleet {
    /// Those that are to run.
    pub members: Vec<Member>,
    run: Arc<Run>,
    options: HubOptions,
    postgres: Option<SocketAddr>,
    named: usize,
}

impl Fleet {
    /// No node yet. With a `postgres` they keep their logs there, else where `options` say.
    pub fn new(run: Arc<Run>, options: HubOptions, postgres: Option<SocketAddr>) -> Self {
        Self { members: Vec::new(), run, options, postgres, named: 0 }
    }

    /// Starts one more, waits until it takes work, and has connections go there.
    pub async fn add(&mut self) -> Result<()> {
        self.join(false).await
    }

    /// The same with a clock of its own.
    pub async fn add_with_clock(&mut self) -> Result<()> {
        self.join(true).await
    }

    async fn join(&mut self, with_clock: bool) -> Result<()> {
        self.named += 1;
        let redis = Proxy::start(self.run.redis()).await?;
        let mut options = self.options.clone();
        let postgres = match self.postgres {
            Some(postgres) => Some(Proxy::start(postgres).await?),
            None => None,
        };
        if let Some(postgres) = &postgres {
            options.store = format!("postgres://tasklight@{}/postgres", postgres.address());
        }
        let broker = options.broker.clone().unwrap_or_else(|| format!("redis://{}", redis.address()));
        let mut hub = Hub::new(&format!("hub-{}", self.named), broker, options)?;
        if with_clock {
            hub.give_clock()?;
        }
        hub.revive().await?;
        let clients = Proxy::start(hub.address).await?;
        self.run.nodes.list(clients.address());
        self.members.push(Member { hub, links: Arc::new(Links { redis, postgres, clients }) });
        Ok(())
    }

    /// Stops the one that was added last, in order; then connections do not go there any more.
    pub async fn remove(&mut self) -> Result<()> {
        let mut member = self.members.pop().context("there is a node")?;
        let stopped = member.hub.stop().await;
        self.run.nodes.strike(member.links.clients.address());
        stopped
    }

    /// Heals all links, and has all nodes run.
    pub async fn heal(&mut self) -> Result<()> {
        for Member { hub, links } in &mut self.members {
            for proxy in [Some(&links.redis), links.postgres.as_ref(), Some(&links.clients)].into_iter().flatten() {
                proxy.heal();
            }
            if hub.is_started() {
                hub.thaw()?;
            } else {
                hub.revive().await?;
            }
        }
        Ok(())
    }

    /// An error if a process has ended that nobody asked to.
    pub fn all_alive(&mut self) -> Result<()> {
        for Member { hub, .. } in &mut self.members {
            if hub.is_started() {
                let ended = hub.ended()?;
                ensure!(ended.is_none(), "{} ended by itself: {ended:?}", hub.name);
            }
        }
        Ok(())
    }

    /// Waits until every node is well and sees exactly the others, and every task has one owner and, where there are several nodes, a
    /// standby. Only then is the next fault the only one.
    pub async fn settle(&mut self) -> Result<()> {
        let missing = self.settle_or_say(Listeners::AtLeast).await?;
        ensure!(missing.is_none(), "the nodes have not settled within {SETTLE_PATIENCE:?}: {}", missing.unwrap_or_default());
        Ok(())
    }

    /// Waits until every node is well and knows of all the others, whatever tasks there are.
    pub async fn meet(&mut self) -> Result<()> {
        let end = Instant::now() + SETTLE_PATIENCE;
        loop {
            self.all_alive()?;
            let Some(missing) = unmet(&self.conditions().await) else { return Ok(()) };
            ensure!(Instant::now() < end, "the nodes have not met within {SETTLE_PATIENCE:?}: {missing}");
            sleep(LOOK).await;
        }
    }

    /// As [`Fleet::settle`]; what is missing after all patience is no error.
    pub async fn settle_or_say(&mut self, listeners: Listeners) -> Result<Option<String>> {
        let end = Instant::now() + SETTLE_PATIENCE;
        loop {
            self.all_alive()?;
            let conditions = self.conditions().await;
            let missing = match unsettled(&conditions) {
                None => self.unheard(listeners).await,
                missing => missing,
            };
            let overflowed = conditions.iter().filter_map(|(_, condition)| condition.as_ref()).any(|it| it.overflowed != 0);
            ensure!(!overflowed, "a node had no room for activities that it had taken: {conditions:#?}");
            match missing {
                None => return Ok(None),
                Some(missing) if end <= Instant::now() => return Ok(Some(format!("{missing}; {conditions:#?}"))),
                Some(_) => sleep(LOOK).await,
            }
        }
    }

    /// A task to whose channel not its owner and, where there are several nodes, its standby have subscribed.
    async fn unheard(&self, listeners: Listeners) -> Option<String> {
        let tasks = agents::tasks();
        let mut ask = redis::cmd("PUBSUB");
        ask.arg("NUMSUB").arg(tasks.iter().map(|task| format!("tasklight:task:{task}")).collect::<Vec<_>>());
        let asking = async {
            let client = redis::Client::open(format!("redis://{}", self.run.redis()))?;
            ask.query_async::<Vec<(String, usize)>>(&mut client.get_multiplexed_async_connection().await?).await
        };
        let Ok(Ok(heard)) = timeout(ANSWER_TIMEOUT, asking).await else { return Some("redis does not answer".to_owned()) };
        let wanted = self.members.len().min(2);
        let right = |many: usize| match listeners {
            Listeners::AtLeast => wanted <= many,
            Listeners::Exactly => wanted == many,
        };
        let wrong = heard.into_iter().find(|(_, many)| !right(*many));
        wrong.map(|(channel, listeners)| format!("{listeners} nodes listen to {channel}"))
    }

    /// What each says about itself.
    pub async fn conditions(&self) -> Vec<(String, Option<Condition>)> {
        let asking = self.members.iter().map(async |member| (member.hub.name.clone(), member.hub.condition().await));
        join_all(asking).await
    }

    /// Their logs, including those of nodes that were removed.
    pub fn logs(&self) -> Vec<PathBuf> {
        (1..=self.named).map(|number| self.options.folder.join(format!("hub-{number}.log"))).collect()
    }
}

/// What is missing before every node is well and knows of all the others.
fn unmet(conditions: &[(String, Option<Condition>)]) -> Option<String> {
    let nodes = conditions.len() as u64;
    conditions.iter().find_map(|(name, condition)| match condition {
        None => Some(format!("{name} does not answer")),
        Some(condition) if !condition.well => Some(format!("{name} is not well: {}", condition.said)),
        Some(condition) => (condition.members != nodes).then(|| format!("{name} knows of {} nodes", condition.members)),
    })
}

/// What is not yet as it should be.
fn unsettled(conditions: &[(String, Option<Condition>)]) -> Option<String> {
    if let Some(missing) = unmet(conditions) {
        return Some(missing);
    }
    let nodes = conditions.len() as u64;
    let tasks = agents::tasks().len() as u64;
    let (mut owned, mut standby) = (0, 0);
    for (name, condition) in conditions.iter().filter_map(|(name, condition)| Some((name, condition.as_ref()?))) {
        if condition.known < tasks {
            return Some(format!("{name} knows of {} tasks", condition.known));
        }
        owned += condition.owned;
        standby += condition.standby;
    }
    let others = if nodes == 1 { 0 } else { tasks };
    // Tasks of a fault's own, which were deleted, are forgotten later.
    let only_these = conditions.iter().flat_map(|(_, condition)| condition).all(|condition| condition.known == tasks);
    let right = if only_these { owned == tasks } else { tasks <= owned };
    (!right || standby < others).then(|| format!("{owned} tasks have owners and {standby} have others who listen"))
}
