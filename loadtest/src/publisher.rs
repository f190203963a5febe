//! Publishers that keep to a rate: what cannot be sent in time is sent at once, and the stamp is the time when it should have been sent.

use std::{io::Write, time::Duration};

use futures_util::future::try_join_all;
use tokio::{sync::Mutex, time::Instant};

use super::{clock, request::Connection, server::Hub};

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
fn activity(number: usize, sent: u64) -> String {
    format!(r#"{{"invocationId":"load","type":"message","data":{}}}"#, data(sent, number))
}

/// The same as the hub encodes it, for servers that only pass it on.
fn encoded(number: usize, sent: u64) -> String {
    let data = data(sent, number);
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

    /// Waits for the next time; gives when it was due, in [`clock::nanos`].
    pub async fn tick(&mut self) -> u64 {
        let due = self.next;
        self.next += self.period;
        // The runtime's timers go off up to a millisecond late, which would count as the server's.
        let wait = due.saturating_duration_since(Instant::now());
        if !wait.is_zero() {
            // A thread that is gone has slept long enough.
            let _ = tokio::task::spawn_blocking(move || std::thread::sleep(wait)).await;
        }
        let late = u64::try_from(due.elapsed().as_nanos()).unwrap_or(u64::MAX);
        clock::nanos().saturating_sub(late)
    }
}

/// How long the last deliveries may take.
pub const SETTLE: Duration = Duration::from_secs(30);

/// How many requests may be on their way at once, so that a slow commit does not lower the rate.
const LANES: usize = 16;

/// How many activities a request has when speed is all that counts.
const ARRAY: usize = 500;

/// Publishes one activity, with which the task is there.
pub async fn one(hub: &Hub, task: &str) -> anyhow::Result<()> {
    Connection::open(&hub.address).await?.publish(task, activity(0, clock::nanos()).as_bytes()).await
}

/// Publishes one activity to each of these tasks.
pub async fn each(hub: &Hub, tasks: &[String]) -> anyhow::Result<()> {
    let lanes = tasks.chunks(tasks.len().div_ceil(LANES)).map(|tasks| async move {
        let mut connection = Connection::open(&hub.address).await?;
        for task in tasks {
            connection.publish(task, activity(0, clock::nanos()).as_bytes()).await?;
        }
        anyhow::Ok(())
    });
    try_join_all(lanes).await?;
    Ok(())
}

/// Publishes so many activities to one task, as fast as it goes.
pub async fn many(hub: &Hub, task: &str, count: usize) -> anyhow::Result<()> {
    let mut connection = Connection::open(&hub.address).await?;
    for first in (0..count).step_by(ARRAY) {
        let body: Vec<_> = (first..count.min(first + ARRAY)).map(|n| activity(n, clock::nanos())).collect();
        connection.publish(task, body.join("\n").as_bytes()).await?;
    }
    Ok(())
}

/// Publishes to a hub for `time`, `batch` activities a request, to these tasks in turn; gives how many activities.
pub async fn to_hub(hub: &Hub, tasks: &[String], rate: f64, batch: usize, time: Duration) -> anyhow::Result<u64> {
    let pace = &Mutex::new((Pace::new(rate / batch as f64), 0));
    let requests = (rate * time.as_secs_f64() / batch as f64).round() as usize;
    let lanes = (0..LANES).map(|_| async move {
        let mut connection = Connection::open(&hub.address).await?;
        loop {
            let (due, number) = {
                let mut turn = pace.lock().await;
                if turn.1 == requests {
                    return anyhow::Ok(());
                }
                turn.1 += 1;
                (turn.0.tick().await, turn.1)
            };
            let body: Vec<_> = (0..batch).map(|n| activity(number * batch + n, due)).collect();
            connection.publish(&tasks[number % tasks.len()], body.join("\n").as_bytes()).await?;
        }
    });
    try_join_all(lanes).await?;
    Ok((requests * batch) as u64)
}

/// Publishes to a reference server for `time`, `batch` events together, for `logs` logs in turn; gives how many.
pub async fn to_reference(address: &str, rate: f64, batch: usize, logs: usize, time: Duration) -> anyhow::Result<u64> {
    let mut stream = std::net::TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    let mut pace = Pace::new(rate / batch as f64);
    let began = Instant::now();
    let mut sent = 0;
    while began.elapsed() < time {
        let due = pace.tick().await;
        let mut bytes = Vec::new();
        for _ in 0..batch {
            let payload = encoded(sent / logs + 1, due);
            sent += 1;
            bytes.extend_from_slice(&u32::try_from(payload.len())?.to_be_bytes());
            bytes.extend_from_slice(payload.as_bytes());
        }
        stream.write_all(&bytes)?;
    }
    // Until it is all delivered the connection must stay.
    std::mem::forget(stream);
    Ok(sent as u64)
}
