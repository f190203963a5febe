//! What is done to Redis.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use redis::aio::MultiplexedConnection;
use tokio::time::{sleep, timeout};

use crate::{kind::Kind, plan::Fault, services::Redis};

/// How long Redis may take to answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// How often the list of members is deleted in a row, at most.
const FLAPS: f64 = 6.0;

/// Does it, waits, and heals it. Whether it was done to anything.
pub async fn inflict(redis: &mut Redis, fault: &Fault) -> Result<bool> {
    match fault.kind {
        Kind::KillRedis => {
            redis.kill()?;
            sleep(fault.lasts).await;
            redis.start_again().await?;
            Ok(true)
        }
        Kind::FreezeRedis => {
            redis.freeze()?;
            sleep(fault.lasts).await;
            redis.thaw()?;
            Ok(true)
        }
        Kind::KillClients => kill_clients(redis, fault).await,
        Kind::PauseClients => {
            let mut connection = connect(redis).await?;
            let most = u64::try_from(fault.lasts.as_millis())?;
            let what = if fault.strength < 0.5 { "ALL" } else { "WRITE" };
            let mut pause = redis::cmd("CLIENT");
            let paused: String = ask(pause.arg("PAUSE").arg(most).arg(what), &mut connection).await?;
            sleep(fault.lasts).await;
            Ok(paused == "OK")
        }
        Kind::FlapMembers => {
            let mut connection = connect(redis).await?;
            let mut deleted: u64 = 0;
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a handful")]
            for _ in 0..2 + (FLAPS * fault.strength) as u32 {
                deleted += ask::<u64>(redis::cmd("DEL").arg("tasklight:nodes"), &mut connection).await?;
                sleep(fault.lasts / 2).await;
            }
            Ok(deleted != 0)
        }
        kind => bail!("{} is not done to redis", kind.name()),
    }
}

/// All that listen, all others, or everyone.
async fn kill_clients(redis: &Redis, fault: &Fault) -> Result<bool> {
    let mut connection = connect(redis).await?;
    let types: &[&str] = match fault.strength {
        strength if strength < 0.4 => &["pubsub"],
        strength if strength < 0.7 => &["normal"],
        _ => &["pubsub", "normal"],
    };
    let mut killed: u64 = 0;
    for kind in types {
        let mut kill = redis::cmd("CLIENT");
        kill.arg("KILL").arg("TYPE").arg(kind).arg("SKIPME").arg("yes");
        killed += ask::<u64>(&kill, &mut connection).await?;
    }
    Ok(killed != 0)
}

async fn connect(redis: &Redis) -> Result<MultiplexedConnection> {
    let client = redis::Client::open(format!("redis://{}", redis.address()))?;
    timeout(ANSWER_TIMEOUT, client.get_multiplexed_async_connection()).await.context("redis lets nobody in")?.context("redis")
}

async fn ask<T: redis::FromRedisValue>(command: &redis::Cmd, connection: &mut MultiplexedConnection) -> Result<T> {
    timeout(ANSWER_TIMEOUT, command.query_async(connection)).await.context("redis does not answer")?.context("asking redis")
}
