//! Publishers that send the next batch when the last one is stored, over HTTP or over Redis.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use anyhow::{Context, ensure};
use futures_util::StreamExt;
use memchr::memmem;
use tokio::{
    sync::Semaphore,
    task::JoinSet,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;
use uuid::{Uuid, fmt::Hyphenated};

use crate::{publisher::data, request::Connection};

/// How long an ack may take.
const PATIENCE: Duration = Duration::from_secs(15);

/// How they publish.
#[derive(Debug, Clone)]
pub struct Plan {
    pub publishers: usize,
    /// Activities of a request or message.
    pub batch: usize,
    /// To how many tasks, in turn.
    pub tasks: usize,
}

/// Publishers at work.
pub struct Publishers {
    stop: CancellationToken,
    /// How many activities are known to be stored.
    stored: Arc<AtomicU64>,
    work: JoinSet<anyhow::Result<()>>,
}

impl Publishers {
    /// To the hub at this address.
    pub async fn over_http(address: &str, plan: &Plan) -> anyhow::Result<Self> {
        let mut this = Self::new();
        let turn = Arc::new(AtomicUsize::new(0));
        for number in 1..=plan.publishers {
            let mut connection = Connection::open(address).await?;
            let (stop, stored, turn, plan) = (this.stop.clone(), this.stored.clone(), turn.clone(), plan.clone());
            this.work.spawn(async move {
                // Where tasks take turns, each has one run.
                let mut body = Body::of(if plan.tasks == 1 { number } else { 1 }, plan.batch);
                while !stop.is_cancelled() {
                    let task = format!("t{}", turn.fetch_add(1, Ordering::Relaxed) % plan.tasks);
                    connection.publish(&task, body.next()).await?;
                    stored.fetch_add(plan.batch as u64, Ordering::Relaxed);
                }
                Ok(())
            });
        }
        Ok(this)
    }

    /// To whichever hub listens to the tasks at this Redis, each to one of them, listening to the acks.
    pub async fn over_redis(url: &str, prefix: &str, plan: &Plan) -> anyhow::Result<Self> {
        let mut this = Self::new();
        let client = redis::Client::open(url)?;
        let mut acks = client.get_async_pubsub().await?;
        let mut announcer = client.get_multiplexed_async_connection().await?;
        for task in 0..plan.tasks {
            acks.subscribe(format!("{prefix}ack:t{task}")).await?;
            let (channel, announcement) = (format!("{prefix}tasks"), format!(r#"{{"taskId":"t{task}"}}"#));
            let nodes: usize = redis::cmd("PUBLISH").arg(channel).arg(announcement).query_async(&mut announcer).await?;
            ensure!(nodes == 1, "{nodes} nodes heard of the task");
        }
        let acked: Vec<_> = (0..=plan.publishers).map(|_| Arc::new(Semaphore::new(0))).collect();
        for (number, acked) in acked.iter().enumerate().skip(1) {
            let mut connection = client.get_multiplexed_async_connection().await?;
            let (stop, stored, acked, batch) = (this.stop.clone(), this.stored.clone(), acked.clone(), plan.batch);
            let channel = format!("{prefix}task:t{}", number % plan.tasks);
            this.work.spawn(async move {
                let mut body = Body::of(number, batch);
                while !stop.is_cancelled() {
                    let message = body.next();
                    let mut publish = redis::cmd("PUBLISH");
                    publish.arg(&channel).arg(message);
                    while publish.query_async::<u64>(&mut connection).await? == 0 {
                        sleep(Duration::from_millis(10)).await;
                    }
                    let all = timeout(PATIENCE, acked.acquire_many(u32::try_from(batch)?)).await;
                    all.context("a message was not acked")??.forget();
                    stored.fetch_add(batch as u64, Ordering::Relaxed);
                }
                Ok(())
            });
        }
        let stop = this.stop.clone();
        this.work.spawn(async move {
            let mut acks = acks.into_on_message();
            // Ends when the last publisher has let go of its semaphore.
            while acked.iter().any(|acked| 1 < Arc::strong_count(acked)) || !stop.is_cancelled() {
                let Ok(ack) = timeout(Duration::from_millis(100), acks.next()).await else { continue };
                let ack = ack.context("Redis closed the connection for acks")?;
                let (number, count) = read_ack(ack.get_payload_bytes())?;
                acked.get(number).context("an ack of somebody else")?.add_permits(count);
            }
            Ok(())
        });
        Ok(this)
    }

    fn new() -> Self {
        Self { stop: CancellationToken::new(), stored: Arc::default(), work: JoinSet::new() }
    }

    /// How many activities are known to be stored by now.
    pub fn stored(&self) -> u64 {
        self.stored.load(Ordering::Relaxed)
    }

    /// Ends after the batches that are on their way; gives how many activities were stored.
    pub async fn finish(mut self) -> anyhow::Result<u64> {
        self.stop.cancel();
        while let Some(done) = self.work.join_next().await {
            done??;
        }
        Ok(self.stored())
    }
}

/// Whose ack it is, and of how many activities.
fn read_ack(payload: &[u8]) -> anyhow::Result<(usize, usize)> {
    let mark = b"\"invocationId\":\"run-";
    let start = memmem::find(payload, mark).with_context(|| format!("refused: {}", String::from_utf8_lossy(payload)))?;
    let digits = payload[start + mark.len()..].iter().take_while(|b| b.is_ascii_digit());
    let number = digits.fold(0, |number, digit| number * 10 + usize::from(digit - b'0'));
    let ids = memmem::find(payload, b"\"eventIds\":[").context("no ids in an ack")?;
    // Each id stands between two quotes, and the name before them, too.
    let quotes = memchr::memchr_iter(b'"', &payload[ids..]).count();
    Ok((number, quotes / 2 - 1))
}

/// An array of activities of 300 bytes, each with an `eventId` of its own whenever it is asked for.
struct Body {
    bytes: Vec<u8>,
    /// Where the ids stand.
    places: Vec<usize>,
}

impl Body {
    fn of(publisher: usize, batch: usize) -> Self {
        let (mut bytes, mut places) = (b"[".to_vec(), Vec::new());
        for number in 0..batch {
            if number != 0 {
                bytes.push(b',');
            }
            bytes.extend_from_slice(format!(r#"{{"invocationId":"run-{publisher}","type":"message","eventId":""#).as_bytes());
            places.push(bytes.len());
            bytes.extend_from_slice(&[b'0'; Hyphenated::LENGTH]);
            bytes.extend_from_slice(format!(r#"","data":{}}}"#, data(0, number)).as_bytes());
        }
        bytes.push(b']');
        Self { bytes, places }
    }

    fn next(&mut self) -> &[u8] {
        for place in &self.places {
            Uuid::now_v7().hyphenated().encode_lower(&mut self.bytes[*place..place + Hyphenated::LENGTH]);
        }
        &self.bytes
    }
}
