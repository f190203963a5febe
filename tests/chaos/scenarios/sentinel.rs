//! Redis fails over, by Sentinel, to a server whose link is open and deaf: hubs must notice, say so, and be well again when it is healed.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use futures_util::future::join_all;
use tokio::time::{Instant, sleep, timeout};

use super::Stage;
use crate::{
    hubs::HubOptions,
    kind::{Kind, Line, Trouble},
    proxy::{Cut, Proxy},
    services::{Postgres, Redis, free_address},
};

/// How long a failover, or anything that servers have to tell each other, may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// How often it is looked at.
const LOOK: Duration = Duration::from_millis(50);

/// How long hubs may take to say that they hear nothing.
const NOTICE: Duration = Duration::from_secs(20);

/// A Sentinel that watches `main`.
struct Sentinel {
    address: SocketAddr,
    child: Child,
}

impl Sentinel {
    fn start(folder: &Path, main: SocketAddr) -> Result<Self> {
        let address = free_address()?;
        let file: PathBuf = folder.join("sentinel.conf");
        let config = format!(
            "bind 127.0.0.1\nport {}\nsentinel monitor main 127.0.0.1 {} 1\nsentinel down-after-milliseconds main 1000\n\
             sentinel failover-timeout main 5000\n",
            address.port(),
            main.port()
        );
        fs::write(&file, config)?;
        let log = fs::File::create(folder.join("sentinel.log"))?;
        let mut command = Command::new("redis-server");
        let child =
            command.arg(&file).arg("--sentinel").stdin(Stdio::null()).stdout(log).spawn().context("starting a Sentinel")?;
        Ok(Self { address, child })
    }

    /// Whom it names as the master.
    async fn names(&self) -> Result<u16> {
        let client = redis::Client::open(format!("redis://{}", self.address))?;
        let mut connection = client.get_multiplexed_async_connection().await?;
        let mut ask = redis::cmd("SENTINEL");
        let (_, port): (String, String) = ask.arg("GET-MASTER-ADDR-BY-NAME").arg("main").query_async(&mut connection).await?;
        Ok(port.parse()?)
    }

    /// Whether it knows so many replicas of it.
    async fn knows_a_replica(&self) -> Result<bool> {
        let client = redis::Client::open(format!("redis://{}", self.address))?;
        let mut connection = client.get_multiplexed_async_connection().await?;
        let replicas: Vec<redis::Value> = redis::cmd("SENTINEL").arg("REPLICAS").arg("main").query_async(&mut connection).await?;
        Ok(!replicas.is_empty())
    }
}

impl Drop for Sentinel {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = (self.child.kill(), self.child.wait());
    }
}

/// Waits until it is so.
async fn until(what: &str, is_so: impl AsyncFn() -> bool) -> Result<()> {
    let waiting = async {
        while !is_so().await {
            sleep(LOOK).await;
        }
    };
    timeout(PATIENCE, waiting).await.with_context(|| format!("{what} did not come in {PATIENCE:?}"))
}

pub(super) async fn play(options: &HubOptions, folder: &Path) -> Result<()> {
    let main = Redis::start(folder).await?;
    let other = folder.join("replica-of-redis");
    fs::create_dir(&other)?;
    let replica = Redis::start(&other).await?;
    // This is how Sentinel, and by it the hubs, come to the replica.
    let link = Proxy::start(replica.address()).await?;
    replica.follow(main.address(), link.address().port()).await?;
    let sentinel = Sentinel::start(folder, main.address())?;
    until("Sentinel's knowledge of the replica", async || sentinel.knows_a_replica().await.unwrap_or(false)).await?;
    let options = HubOptions { broker: Some(format!("redis+sentinel://{}/main", sentinel.address)), ..options.clone() };
    let mut stage = Stage::set(&options, main, Postgres::start(folder).await?).await?;
    let run = stage.arena.run.clone();

    let begun = run.timeline.begin(Kind::KillRedis);
    let died = Instant::now();
    stage.arena.redis.kill()?;
    let new = link.address().port();
    until("a failover", async || sentinel.names().await.is_ok_and(|port| port == new)).await?;
    link.cut(Cut::ToHub);
    run.move_redis(replica.address());
    println!("failed over after {:.1} s, to a deaf link", died.elapsed().as_secs_f64());
    let deaf = Instant::now();
    let mute = run.timeline.begin(Kind::Link(Line::Redis, Trouble::Deaf));
    let noticing = join_all(stage.arena.fleet.members.iter().map(|member| member.hub.unwell()));
    timeout(NOTICE, noticing)
        .await
        .with_context(|| format!("a hub says that all is well {NOTICE:?} after its Redis went deaf"))?;
    sleep(super::WELL).await;
    for (name, condition) in stage.arena.fleet.conditions().await {
        // Every socket is open: what tells is that nothing comes.
        let fooled = condition.is_some_and(|condition| condition.well);
        ensure!(!fooled, "{name} says that all is well, {:?} after its Redis went deaf", deaf.elapsed());
    }
    let before = (run.figures.http.activities.get(), run.figures.delivered());
    sleep(super::WELL / 2).await;
    let meanwhile = (run.figures.http.activities.get() - before.0, run.figures.delivered() - before.1);
    println!("still deaf: in {:?} {} published over HTTP, {} delivered", super::WELL / 2, meanwhile.0, meanwhile.1);
    ensure!(meanwhile.0 != 0 && meanwhile.1 != 0, "without Redis nothing goes on");
    link.heal();
    let healed = Instant::now();
    stage.arena.redis = replica;
    stage.settle("after the link was healed").await?;
    println!("settled {:.1} s after the link was healed", healed.elapsed().as_secs_f64());
    run.timeline.settled(begun);
    run.timeline.settled(mute);
    stage.conclude(None).await
}
