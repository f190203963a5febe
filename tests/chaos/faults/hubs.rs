//! What is done to the processes of hubs.

use anyhow::{Context, Result, bail};
use tokio::time::sleep;

use crate::{fleet::Fleet, kind::Kind, plan::Fault};

/// How far a clock jumps at most, in seconds: longer than anything that a hub waits for by the clock.
const FARTHEST: f64 = 7_200.0;

/// Does it, waits, and heals it.
pub async fn inflict(fleet: &mut Fleet, fault: &Fault) -> Result<bool> {
    if fault.kind == Kind::JumpClock {
        return jump(fleet, fault).await;
    }
    let hub = &mut fleet.members[fault.hub].hub;
    match fault.kind {
        Kind::KillHub => {
            hub.kill()?;
            sleep(fault.lasts).await;
            hub.revive().await?;
        }
        Kind::FreezeHub => {
            hub.freeze()?;
            sleep(fault.lasts).await;
            hub.thaw()?;
        }
        kind => bail!("{} is not done to one hub", kind.name()),
    }
    Ok(true)
}

/// Stops and starts one after the other; waits in between until all has settled, or only until each is ready again.
pub async fn restart_one_by_one(fleet: &mut Fleet, settle: bool) -> Result<bool> {
    for index in 0..fleet.members.len() {
        if settle && index != 0 {
            fleet.settle().await.context("between two restarts")?;
        }
        let hub = &mut fleet.members[index].hub;
        hub.stop().await?;
        hub.revive().await?;
    }
    Ok(true)
}

/// A node joins and leaves again, and nobody waits until things have settled with it.
pub async fn add_and_remove(fleet: &mut Fleet, fault: &Fault) -> Result<bool> {
    fleet.add().await?;
    sleep(fault.lasts).await;
    fleet.remove().await?;
    Ok(true)
}

/// The clock of the node that has one of its own is elsewhere for a while, then right again.
async fn jump(fleet: &Fleet, fault: &Fault) -> Result<bool> {
    let Some(clock) = fleet.members.iter().find_map(|member| member.hub.clock()) else { return Ok(false) };
    #[expect(clippy::cast_possible_truncation, reason = "some seconds")]
    let seconds = ((2.0 * fault.strength - 1.0) * FARTHEST) as i64;
    clock.set(seconds).await?;
    sleep(fault.lasts).await;
    clock.set(0).await?;
    Ok(seconds != 0)
}
