//! Whatever happens between, a viewer's transcript equals the store's log from its cursor on: exactly once, in order, and every jump is
//! said. Random publishing, disconnects, trims, deletions and restarts, over both transports.

use std::{
    collections::{HashMap, HashSet},
    net::SocketAddr,
    sync::Arc,
};

use parking_lot::Mutex;
use proptest::prelude::*;
use serde_json::{Value, json};
use tokio::{sync::watch, task::JoinSet, time::timeout};

use crate::{
    harness::{PATIENCE, TestHub, message},
    viewer::{Stream, Viewer},
};

const WATCHERS: usize = 4;

#[derive(Debug, Clone)]
enum Step {
    Publish(usize),
    Connect(usize),
    Disconnect(usize),
    Trim(u64),
    Restart,
    MakeAgain,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (1..40_usize).prop_map(Step::Publish),
        5 => (0..WATCHERS).prop_map(Step::Connect),
        4 => (0..WATCHERS).prop_map(Step::Disconnect),
        2 => (0..100_u64).prop_map(Step::Trim),
        1 => Just(Step::Restart),
        1 => Just(Step::MakeAgain),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, max_shrink_iters: 40, ..ProptestConfig::default() })]

    #[test]
    fn every_transcript_is_the_log(steps in proptest::collection::vec(step(), 10..60)) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
        runtime.block_on(play(&steps));
    }
}

/// What the store committed, by receipts.
#[derive(Default)]
struct Log {
    events: HashMap<(String, u64), String>,
    /// Where viewers may begin after a reset or at first.
    floors: HashSet<(String, u64)>,
    epoch: String,
    head: u64,
}

impl Log {
    fn note(&mut self, answer: &Value) {
        for result in answer["results"].as_array().expect("results") {
            let (epoch, offset) = split(result["cursor"].as_str().expect("a cursor"));
            let event = result["eventId"].as_str().expect("an id").to_owned();
            self.floors.insert((epoch.clone(), 1));
            assert!(self.events.insert((epoch.clone(), offset), event).is_none(), "an offset is given once");
            (self.epoch, self.head) = (epoch, offset);
        }
    }
}

fn split(cursor: &str) -> (String, u64) {
    let (epoch, offset) = cursor.split_once('-').expect("a cursor");
    (epoch.to_owned(), offset.parse().expect("an offset"))
}

#[derive(Debug, Clone, PartialEq)]
enum Seen {
    Activity(String, u64, String),
    Reset,
    Truncated(u64),
}

/// A viewer that remembers everything over all its connections.
struct Watcher {
    sse: bool,
    transcript: Arc<Mutex<Vec<Seen>>>,
    cursor: watch::Sender<Option<String>>,
    connection: JoinSet<()>,
}

impl Watcher {
    fn new(sse: bool) -> Self {
        Self { sse, transcript: Arc::default(), cursor: watch::Sender::new(None), connection: JoinSet::new() }
    }

    async fn connect(&mut self, address: SocketAddr) {
        self.disconnect().await;
        let (sse, transcript, cursor) = (self.sse, self.transcript.clone(), self.cursor.clone());
        self.connection.spawn(async move {
            loop {
                let after = cursor.borrow().clone();
                let ended = if sse {
                    read_stream(address, after, &transcript, &cursor).await
                } else {
                    read_socket(address, after, &transcript, &cursor).await
                };
                if ended.is_none() {
                    return;
                }
            }
        });
    }

    /// Cuts the connection wherever it is, and waits until it notes nothing more.
    async fn disconnect(&mut self) {
        self.connection.abort_all();
        while let Some(ended) = self.connection.join_next().await {
            assert!(ended.is_ok() || ended.is_err_and(|error| error.is_cancelled()), "the watcher found something wrong");
        }
    }
}

/// Notes what came and moves the cursor in one go, so that a cut between the two cannot happen.
fn note(transcript: &Mutex<Vec<Seen>>, cursor: &watch::Sender<Option<String>>, seen: Option<Seen>, at: Option<String>) {
    let mut transcript = transcript.lock();
    transcript.extend(seen);
    if at.is_some() {
        cursor.send_replace(at);
    }
}

fn activity(message: &Value) -> Seen {
    let (epoch, offset) = split(message["cursor"].as_str().expect("a cursor"));
    assert_eq!(message["offset"], offset);
    Seen::Activity(epoch, offset, message["eventId"].as_str().expect("an id").to_owned())
}

/// One connection; says whether to come back on this address.
async fn read_socket(
    address: SocketAddr,
    after: Option<String>,
    transcript: &Mutex<Vec<Seen>>,
    cursor: &watch::Sender<Option<String>>,
) -> Option<()> {
    let more = after.map_or(json!({}), |after| json!({"after": after}));
    let mut viewer = Viewer::subscribe(address, "t", more).await;
    let mut epoch = String::new();
    loop {
        let message = viewer.try_next().await?;
        match message["op"].as_str().expect("an op") {
            "activity" => note(transcript, cursor, Some(activity(&message)), message["cursor"].as_str().map(str::to_owned)),
            "subscribed" => epoch = message["epoch"].as_str().unwrap_or_default().to_owned(),
            "reset" => {
                epoch = message["epoch"].as_str().expect("an epoch").to_owned();
                note(transcript, cursor, Some(Seen::Reset), Some(format!("{epoch}-0")));
            }
            "truncated" => {
                let floor = message["floor"].as_u64().expect("a floor");
                note(transcript, cursor, Some(Seen::Truncated(floor)), Some(format!("{epoch}-{}", floor - 1)));
            }
            "unsubscribed" => return Some(()),
            "drain" => return None,
            _ => {}
        }
    }
}

async fn read_stream(
    address: SocketAddr,
    after: Option<String>,
    transcript: &Mutex<Vec<Seen>>,
    cursor: &watch::Sender<Option<String>>,
) -> Option<()> {
    let mut stream = Stream::open(address, "t", "", after.as_deref()).await?;
    loop {
        let event = stream.next().await?;
        let message: Value = serde_json::from_str(&event.data).expect("JSON");
        let seen = match event.name.as_deref() {
            None => Some(activity(&message)),
            Some("reset") => Some(Seen::Reset),
            Some("truncated") => Some(Seen::Truncated(message["floor"].as_u64().expect("a floor"))),
            Some("unsubscribed") => return Some(()),
            Some("drain") => return None,
            Some(_) => None,
        };
        note(transcript, cursor, seen, event.id);
    }
}

async fn play(steps: &[Step]) {
    let mut hub = TestHub::start_with(|settings| {
        settings.hub.ring_activities = 24;
        settings.hub.page_activities = 16;
        settings.session.queue_frames = 8;
    })
    .await;
    let mut log = Log::default();
    let mut watchers: Vec<_> = (0..WATCHERS).map(|n| Watcher::new(n % 2 == 1)).collect();
    publish(&hub, &mut log, 1).await;
    for step in steps {
        match step {
            Step::Publish(count) => publish(&hub, &mut log, *count).await,
            Step::Connect(watcher) => watchers[*watcher].connect(hub.address()).await,
            Step::Disconnect(watcher) => watchers[*watcher].disconnect().await,
            Step::Trim(percent) => {
                let floor = (log.head * percent / 100).max(1);
                log.floors.insert((log.epoch.clone(), floor));
                let floor = tasklight::model::Offset::new(floor).expect("small");
                let trimmed = hub.node().writer().trim("t".parse().expect("valid"), floor).await;
                assert!(trimmed.expect("an answer").expect("it trims"));
            }
            Step::Restart => {
                for watcher in &mut watchers {
                    watcher.disconnect().await;
                }
                hub.restart().await;
            }
            Step::MakeAgain => {
                let (status, _) = hub.send("DELETE", "/v1/tasks/t", json!({})).await;
                assert_eq!(status, 204);
                publish(&hub, &mut log, 2).await;
            }
        }
    }
    let end = format!("{}-{}", log.epoch, log.head);
    for (number, watcher) in watchers.iter_mut().enumerate() {
        watcher.connect(hub.address()).await;
        let mut cursor = watcher.cursor.subscribe();
        // What `wait_for` gives holds a lock: it must be gone before the transcript is looked at.
        let arrived = timeout(PATIENCE, cursor.wait_for(|at| at.as_ref() == Some(&end))).await.is_ok();
        assert!(arrived, "watcher {number} never came to {end}: {:?}", watcher.transcript.lock().last());
        watcher.disconnect().await;
        check(number, &watcher.transcript.lock(), &log);
    }
    let stored = hub.log("t").await;
    assert_eq!(stored.last().map(|activity| activity["offset"].clone()), (!stored.is_empty()).then(|| json!(log.head)));
}

async fn publish(hub: &TestHub, log: &mut Log, count: usize) {
    let (status, answer) = hub.post("t", json!(vec![message("x"); count])).await;
    assert_eq!(status, 200, "{answer}");
    log.note(&answer);
}

fn check(number: usize, transcript: &[Seen], log: &Log) {
    let mut last: Option<(String, u64)> = None;
    let mut jump = None;
    for (place, seen) in transcript.iter().enumerate() {
        let context = || format!("watcher {number}, entry {place}: {:?}", &transcript[place.saturating_sub(3)..=place]);
        match seen {
            Seen::Reset => {
                last = None;
                jump = None;
            }
            Seen::Truncated(floor) => {
                assert!(last.as_ref().is_none_or(|(_, offset)| offset + 1 < *floor), "nothing was cut off: {}", context());
                jump = Some(*floor);
            }
            Seen::Activity(epoch, offset, event) => {
                let key = (epoch.clone(), *offset);
                assert_eq!(log.events.get(&key), Some(event), "not what was committed: {}", context());
                match (jump.take(), &last) {
                    (Some(floor), _) => assert_eq!(*offset, floor, "{}", context()),
                    (None, Some((life, before))) => assert_eq!((epoch, *offset), (life, before + 1), "{}", context()),
                    (None, None) => assert!(log.floors.contains(&key), "no place to begin: {}", context()),
                }
                last = Some(key);
            }
        }
    }
}
