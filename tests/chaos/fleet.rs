//! All nodes together, each behind a proxy of its own to Redis, and what it means that they have settled.

use std::{path::PathBuf, sync::Arc, time::Duration};

use anyhow::{Context, Result, ensure};
use futures_util::future::join_all;
use tokio::time::{Instant, sleep};

use crate::{
    agents,
    hubs::{Condition, Hub, HubOptions},
    proxy::Proxy,
    run::Run,
};

/// How long the nodes may take to settle after a fault: the longest that is legitimate is a membership's end (5 s) and a reconnect under
/// backoff (5 s), each perhaps twice.
const SETTLE_PATIENCE: Duration = Duration::from_secs(60);

/// How often that is looked at.
const LOOK: Duration = Duration::from_millis(200);

/// A node and its way to Redis.
pub struct Member {
    /// The process.
    pub hub: Hub,
    /// What stands between it and Redis.
    pub proxy: Proxy,
}

/// The nodes.
pub struct Fleet {
    /// Those that are to run.
    pub members: Vec<Member>,
    run: Arc<Run>,
    options: HubOptions,
    named: usize,
}

impl Fleet {
    /// No node yet.
    pub fn new(run: Arc<Run>, options: HubOptions) -> Self {
        Self { members: Vec::new(), run, options, named: 0 }
    }

    /// Starts one more, waits until it takes work, and has connections go there.
    pub async fn add(&mut self) -> Result<()> {
        self.named += 1;
        let proxy = Proxy::start(self.run.redis).await?;
        let mut hub = Hub::new(&format!("hub-{}", self.named), proxy.address(), self.options.clone())?;
        hub.start()?;
        hub.ready().await?;
        self.run.nodes.list(hub.address);
        self.members.push(Member { hub, proxy });
        Ok(())
    }

    /// Stops the one that was added last, in order; then connections do not go there any more.
    pub async fn remove(&mut self) -> Result<()> {
        let mut member = self.members.pop().context("there is a node")?;
        let stopped = member.hub.stop().await;
        self.run.nodes.strike(member.hub.address);
        stopped
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
        let end = Instant::now() + SETTLE_PATIENCE;
        loop {
            self.all_alive()?;
            let conditions = self.conditions().await;
            let missing = unsettled(&conditions);
            let overflowed = conditions.iter().filter_map(|(_, condition)| condition.as_ref()).any(|it| it.overflowed != 0);
            ensure!(!overflowed, "a node had no room for activities that it had taken: {conditions:#?}");
            let Some(missing) = missing else { return Ok(()) };
            ensure!(Instant::now() < end, "the nodes have not settled within {SETTLE_PATIENCE:?}: {missing}; {conditions:#?}");
            sleep(LOOK).await;
        }
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

/// What is not yet as it should be.
fn unsettled(conditions: &[(String, Option<Condition>)]) -> Option<String> {
    let nodes = conditions.len() as u64;
    let tasks = agents::tasks().len() as u64;
    let (mut owned, mut standby) = (0, 0);
    for (name, condition) in conditions {
        let Some(condition) = condition else { return Some(format!("{name} does not answer")) };
        if !condition.well {
            return Some(format!("{name} is not well: {}", condition.said));
        }
        if condition.members != nodes || condition.known < tasks {
            return Some(format!("{name} knows of {} nodes and {} tasks", condition.members, condition.known));
        }
        owned += condition.owned;
        standby += condition.standby;
    }
    let others = if nodes == 1 { 0 } else { tasks };
    (owned != tasks || standby < others).then(|| format!("{owned} tasks have owners and {standby} have others who listen"))
}
