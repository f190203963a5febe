//! What is done to what is between two processes.

use std::time::Duration;

use anyhow::{Context, Result};
use tokio::time::sleep;

use crate::{
    fleet::Links,
    kind::{Line, Trouble},
    plan::Fault,
    proxy::{Cut, Proxy, Weather},
};

/// The longest that a read is delayed.
const SLOWEST: Duration = Duration::from_millis(500);

/// The most that a read ends its connection by.
const WORST_LOSS: f64 = 0.2;

/// The least that gets through, in bytes a second.
const NARROWEST: f64 = 4_096.0;

/// Does it, waits, and heals it. Whether anything passed there meanwhile.
pub async fn inflict(links: &Links, line: Line, trouble: Trouble, fault: &Fault) -> Result<bool> {
    let proxy = match line {
        Line::Redis => &links.redis,
        Line::Postgres => links.postgres.as_ref().context("there is no postgres")?,
        Line::Clients => &links.clients,
    };
    let before = proxy.touched();
    match weather(trouble, fault.strength) {
        Some(weather) => {
            proxy.set(weather);
            sleep(fault.lasts).await;
            proxy.heal();
        }
        None => reset(proxy, fault.lasts).await,
    }
    Ok(before < proxy.touched())
}

/// What is done to the bytes; a reset is none of that.
fn weather(trouble: Trouble, strength: f64) -> Option<Weather> {
    Some(match trouble {
        Trouble::Deaf => Weather::Cut(Cut::ToHub),
        Trouble::Mute => Weather::Cut(Cut::FromHub),
        Trouble::HalfOpen => Weather::HalfOpen,
        Trouble::Loss => Weather::Loss(WORST_LOSS * strength),
        Trouble::Delay => Weather::Delay(SLOWEST.mul_f64(strength)),
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a positive number of a few digits")]
        Trouble::Narrow => Weather::Narrow((NARROWEST * (1.0 + 15.0 * strength)) as u32),
        Trouble::Reset => return None,
    })
}

/// All at once, and those that came meanwhile once more.
async fn reset(proxy: &Proxy, lasts: Duration) {
    proxy.reset();
    sleep(lasts).await;
    proxy.reset();
    // So that it is seen.
    sleep(Duration::from_millis(20)).await;
}
