//! What one activity costs on its way from a request's bytes to a viewer's socket: parse, encode, ring, follower. `cargo bench --bench hot_path`

use std::{
    path::PathBuf,
    sync::{LazyLock, OnceLock},
    time::Duration,
};

use bytes::Bytes;
use divan::{Bencher, black_box, counter::ItemsCount};
use serde_json::json;
use tasklight::{
    config::Settings,
    hub::{Follower, Hub, Otherwise, Start, Step},
    ingest::{IngestLimits, Item, parse_body},
    model::{Activity, Cursor, Epoch, Filter, FrameBatch, FrameBuilder, JsonLimits, NewActivity, Offset, TaskId, Timestamp},
    node::Node,
};
use tempfile::TempDir;
use tokio::{runtime::Runtime, time::timeout};

/// How long the hub may take to say where a log stands.
const PATIENCE: Duration = Duration::from_secs(10);

/// What a viewer is given at once.
const BUDGET: usize = 256 * 1024;

/// How long the log of the follower's benchmark is; its ring holds all but the first activity.
const LENGTH: usize = 1_000;

/// The length of a log that no ring holds.
const FULL: usize = 10_001;

static HUB: LazyLock<RunningHub> = LazyLock::new(RunningHub::start);

/// Where its store is.
static FOLDER: OnceLock<PathBuf> = OnceLock::new();

fn main() {
    // Not beside the hub: what is static is never dropped, and would leave its folder behind.
    let folder = TempDir::new().expect("a folder");
    FOLDER.set(folder.path().to_owned()).expect("it is set once");
    divan::main();
}

/// A hub of its own. Its store has the first activity of each task; what follows is applied to its rings without being committed.
struct RunningHub {
    node: Node,
    runtime: Runtime,
}

impl RunningHub {
    fn start() -> Self {
        let mut settings = Settings {
            listen: "127.0.0.1:0".parse().expect("an address"),
            admin_listen: "127.0.0.1:0".parse().expect("an address"),
            ..Settings::default()
        };
        settings.store.url = format!("sqlite://{}", FOLDER.get().expect("main has made it").join("log.db").display());
        let runtime = Runtime::new().expect("a runtime");
        let node = runtime.block_on(Node::start(&settings)).expect("the hub starts");
        Self { node, runtime }
    }

    fn hub(&self) -> &Hub {
        self.node.hub()
    }

    /// A new task with a log of `length` in batches of `batch`, which is watched and so has a ring as long as the follower is kept; and
    /// its log's life.
    fn watched(&self, task: &TaskId, length: usize, batch: &[Activity]) -> (Follower, Epoch) {
        let stored = self.runtime.block_on(self.node.writer().append(task.clone(), parsed(1))).expect("the store takes it");
        let epoch = stored[0].as_ref().expect("a receipt").cursor.epoch;
        let follower = self.hub().follow(task, Start { after: None, otherwise: Otherwise::Beginning }, Filter::default());
        let mut view = follower.changed();
        let loaded = async { timeout(PATIENCE, view.wait_for(|view| view.loaded)).await.is_ok_and(|view| view.is_ok()) };
        assert!(self.runtime.block_on(loaded), "the store says where the log stands");
        for before in (1..length).step_by(batch.len()) {
            self.hub().apply(task, encoded(task, epoch, before, batch));
        }
        (follower, epoch)
    }
}

fn task(id: &str) -> TaskId {
    id.parse().expect("an id")
}

fn offset(number: usize) -> Offset {
    Offset::new(number as u64).expect("an offset")
}

/// An activity of 300 bytes.
fn text() -> String {
    let text = |length: usize| json!({"invocationId": "run-7", "type": "message", "data": {"role": "assistant", "text": "x".repeat(length)}});
    let frame = text(0).to_string().len();
    text(300 - frame).to_string()
}

fn body(count: usize) -> Bytes {
    if count == 1 { text().into() } else { format!("[{}]", vec![text(); count].join(",")).into() }
}

fn limits() -> IngestLimits {
    let json = JsonLimits { depth: 64, number_chars: 64 };
    IngestLimits { activity_bytes: 64 * 1024, request_activities: 1_000, request_bytes: 4 * 1024 * 1024, json }
}

fn parsed(count: usize) -> Vec<NewActivity> {
    let body = parse_body(&body(count), &task("build-42"), Timestamp::now(), &limits()).expect("a body");
    let taken = body.items.into_iter().map(|item| match item {
        Ok(Item::Activity(activity)) => *activity,
        other => panic!("an activity, not {other:?}"),
    });
    taken.collect()
}

fn activities(count: usize) -> Vec<Activity> {
    parsed(count).into_iter().map(|new| new.activity).collect()
}

/// `activities` encoded, the first of them after `before`.
fn encoded(task: &TaskId, epoch: Epoch, before: usize, activities: &[Activity]) -> Vec<FrameBatch> {
    let mut builder = FrameBuilder::new(task, epoch);
    for (index, activity) in activities.iter().enumerate() {
        builder.push(offset(before + index + 1), activity);
    }
    builder.finish()
}

/// A request's body apart into validated activities.
#[divan::bench(args = [1, 100])]
fn parse(bencher: Bencher<'_, '_>, count: usize) {
    let (body, task, limits, now) = (body(count), task("build-42"), limits(), Timestamp::now());
    bencher.counter(ItemsCount::new(count)).bench(|| parse_body(black_box(&body), &task, now, &limits).expect("a body"));
}

/// A committed batch into Server-Sent Events.
#[divan::bench(args = [1, 100])]
fn encode(bencher: Bencher<'_, '_>, count: usize) {
    let (activities, task, epoch) = (activities(count), task("build-42"), Epoch::generate());
    bencher.counter(ItemsCount::new(count)).bench(|| encoded(&task, epoch, 1_000, black_box(&activities)));
}

/// The WebSocket frames, which the first viewer who wants them has copied out of the events.
#[divan::bench(args = [1, 100])]
fn encode_websocket(bencher: Bencher<'_, '_>, count: usize) {
    let (activities, task, epoch) = (activities(count), task("build-42"), Epoch::generate());
    bencher.counter(ItemsCount::new(count)).with_inputs(|| encoded(&task, epoch, 1_000, &activities)).bench_refs(|batches| {
        for batch in batches {
            black_box(batch.websocket_all());
        }
    });
}

/// A batch into a full ring, whose oldest go, with one follower asleep.
#[divan::bench(args = [1, 100])]
fn ring_append(bencher: Bencher<'_, '_>, count: usize) {
    let (activities, task) = (activities(count), task(&format!("append-{count}")));
    let (follower, epoch) = HUB.watched(&task, FULL, &activities);
    let mut head = FULL;
    let next = || {
        let batches = encoded(&task, epoch, head, &activities);
        head += count;
        batches
    };
    bencher.counter(ItemsCount::new(count)).with_inputs(next).bench_local_values(|batches| HUB.hub().apply(&task, batches));
    assert_eq!(follower.head(), offset(head), "everything followed on what was there");
}

/// A viewer that comes so many behind in a ring of batches of one: begin, frames, live, asleep.
#[divan::bench(args = [1, 100])]
fn follower_read(bencher: Bencher<'_, '_>, behind: usize) {
    let task = task(&format!("read-{behind}"));
    let (_keeps_the_ring, epoch) = HUB.watched(&task, LENGTH, &activities(1));
    let after = Cursor { epoch, offset: offset(LENGTH - behind) };
    let start = Start { after: Some(after), otherwise: Otherwise::Beginning };
    let follow = || HUB.hub().follow(&task, start, Filter::default());
    let read = |follower: &mut Follower| {
        let mut frames = 0;
        loop {
            match follower.next(BUDGET) {
                Step::Frames(batch) => frames += black_box(batch).frames().len(),
                Step::Begun { .. } | Step::Live(_) => {}
                Step::Asleep => return frames,
                other => panic!("the ring has it all, but {other:?}"),
            }
        }
    };
    assert_eq!(read(&mut follow()), behind, "it reads what it is behind");
    bencher.counter(ItemsCount::new(behind)).with_inputs(follow).bench_refs(read);
}
