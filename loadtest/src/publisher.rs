//! Publishers that keep to a rate: what cannot be sent in time is sent at once, and the stamp is the time when it should have been sent.

use std::{io::Write, time::Duration};

use anyhow::ensure;
use bytes::Bytes;
use tokio::time::{Instant, sleep_until};

use super::{clock, server::Hub};

/// The text that fills a payload up to about 300 bytes.
const FILLER: &str = concat!(
    "compiling module one of many; the quick brown fox jumps over the lazy dog while the linker waits for ",
    "its turn and nobody looks at the clock; warning: unused variable in a function that was written long ago; note: ",
    "consider prefixing it with an underscore and carry on with the build"
);

/// A payload of 300 bytes that says when it was sent, in [`clock::nanos`].
pub fn data(sent: u64, number: usize) -> String {
    let head = format!(r#"{{"t":{sent},"n":{number},"text":""#);
    let room = 300_usize.saturating_sub(head.len() + 2);
    format!("{head}{}\"}}", &FILLER[..room.min(FILLER.len())])
}

/// An activity with such a payload, as publishers send it.
pub fn activity(number: usize) -> String {
    format!(r#"{{"invocationId":"load","type":"message","data":{}}}"#, data(clock::nanos(), number))
}

/// The same as the hub encodes it, for servers that only pass it on.
pub fn encoded(number: usize) -> String {
    let data = data(clock::nanos(), number);
    format!(
        r#"{{"op":"activity","taskId":"load","offset":{number},"cursor":"5f3a9c1e-{number}","invocationId":"load","eventId":"0190c6a4-0190-7c6a-8c6a-0190c6a40190","timestamp":1764000000123,"receivedAt":1764000000123,"type":"message","data":{data}}}"#
    )
}

/// A rate that is kept on average.
pub struct Pace {
    next: Instant,
    period: Duration,
}

impl Pace {
    pub fn new(per_second: f64) -> Self {
        Self { next: Instant::now(), period: Duration::from_secs_f64(1.0 / per_second) }
    }

    pub async fn tick(&mut self) {
        sleep_until(self.next).await;
        self.next += self.period;
    }
}

/// Publishes to a hub for `time`, `batch` activities a request, to these tasks in turn; gives how many activities.
pub async fn to_hub(hub: &Hub, tasks: &[String], rate: f64, batch: usize, time: Duration) -> anyhow::Result<u64> {
    let client = reqwest::Client::new();
    let urls: Vec<_> = tasks.iter().map(|task| hub.publish_url(task)).collect();
    let mut pace = Pace::new(rate / batch as f64);
    let began = Instant::now();
    let mut sent = 0;
    while began.elapsed() < time {
        pace.tick().await;
        let body: Vec<_> = (0..batch).map(|n| activity(sent + n)).collect();
        let url = &urls[sent / batch % urls.len()];
        let response = client.post(url).body(Bytes::from(body.join("\n"))).send().await?;
        ensure!(response.status().is_success(), "the hub refused a request: {}", response.status());
        response.bytes().await?;
        sent += batch;
    }
    Ok(sent as u64)
}

/// Publishes to a reference server for `time`, `batch` events together; gives how many.
pub async fn to_reference(address: &str, rate: f64, batch: usize, time: Duration) -> anyhow::Result<u64> {
    let mut stream = std::net::TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    let mut pace = Pace::new(rate / batch as f64);
    let began = Instant::now();
    let mut sent = 0;
    while began.elapsed() < time {
        pace.tick().await;
        let mut bytes = Vec::new();
        for _ in 0..batch {
            sent += 1;
            let payload = encoded(sent);
            bytes.extend_from_slice(&u32::try_from(payload.len())?.to_be_bytes());
            bytes.extend_from_slice(payload.as_bytes());
        }
        stream.write_all(&bytes)?;
    }
    // Until it is all delivered the connection must stay.
    std::mem::forget(stream);
    Ok(sent as u64)
}
