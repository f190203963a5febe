//! A session without its socket: what it hands out, and what it keeps.

mod by_hand;

use std::{future::poll_fn, str::FromStr, task::Poll};

use tokio::{
    io::AsyncReadExt,
    net::{TcpListener, TcpStream},
    task::JoinSet,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::*;
use crate::{
    config::Settings,
    ingest::{Item, parse_body},
    model::NewActivity,
    store::Store,
    tls::stream::Stream,
    writer::Writer,
};

const ACTIVITIES: usize = 500;

pub(super) fn task() -> TaskId {
    TaskId::from_str("t").expect("valid")
}

/// A message with a payload of about a kibibyte.
fn activity(number: usize, settings: &Settings) -> NewActivity {
    let padding = "x".repeat(1_000);
    let body = format!(r#"{{"invocationId":"r","type":"message","data":{{"n":{number},"text":"{padding}"}}}}"#);
    let mut parsed = parse_body(&body.into(), &task(), Timestamp::now(), &settings.ingest_limits()).expect("a body");
    match parsed.items.pop() {
        Some(Ok(Item::Activity(activity))) => *activity,
        other => panic!("no activity: {other:?}"),
    }
}

/// A hub over a store with [`ACTIVITIES`] activities.
pub(super) async fn full_hub(settings: &Settings) -> (Hub, Arc<Metrics>) {
    let store = Store::open(&settings.store_options()).await.expect("it opens");
    let (metrics, _) = Metrics::new();
    let (tracker, stop) = (TaskTracker::new(), CancellationToken::new());
    let hub = Hub::new(
        store.clone(),
        crate::broker::Broker::Local,
        None,
        settings.hub_options(),
        metrics.clone(),
        tracker.clone(),
        stop.clone(),
    );
    let writer = Writer::start(store, hub.clone(), settings.writer_options(), metrics.clone(), &tracker, stop);
    let activities = (0..ACTIVITIES).map(|number| activity(number, settings)).collect();
    writer.append(task(), activities).await.expect("they are taken");
    (hub, metrics)
}

#[tokio::test]
async fn a_full_queue_asks_for_no_more_and_goes_on_where_it_stopped() {
    let folder = tempfile::TempDir::new().expect("a folder");
    let mut settings = Settings::default();
    settings.store.url = format!("sqlite://{}", folder.path().join("log.db").display());
    let (hub, metrics) = full_hub(&settings).await;
    let options = SessionOptions { queue_frames: 40, queue_bytes: 20_000, ..settings.session_options() };
    let relay = Relay::default();
    let passing = relay.clone();
    let mut tasks = JoinSet::new();
    tasks.spawn(async move { passing.run().await });
    let mut session = Session::new(hub, Arc::new(options), metrics, "n", Access::open(), relay);
    assert!(session.receive(r#"{"op":"subscribe","task":"t"}"#));
    let (ours, mut theirs) = connected().await;
    let mut ours = Stream::Plain(ours);
    let (mut received, mut seen, mut on_the_way) = (Vec::new(), Vec::new(), 0);
    while seen.len() < ACTIVITIES {
        poll_fn(|context| {
            session.hear(context);
            session.pump();
            // One turn may overshoot by a frame.
            assert!(session.outbox.bytes() < 20_000 + 2_000, "{} bytes wait", session.outbox.bytes());
            if session.is_full() {
                let before = session.outbox.bytes();
                session.pump();
                assert_eq!(session.outbox.bytes(), before, "a full session asks for nothing");
            }
            // A socket that takes nothing is waited for below, where the other side reads.
            match session.outbox.poll_write(context, &mut ours) {
                Poll::Ready(written) => on_the_way += written.expect("open"),
                Poll::Pending => assert_ne!(on_the_way, 0, "it is full only while something is unread"),
            }
            if on_the_way == 0 { Poll::Pending } else { Poll::Ready(()) }
        })
        .await;
        // The other side takes a little.
        let mut some = [0; 7_000];
        let count = theirs.read(&mut some).await.expect("open");
        on_the_way -= count;
        received.extend_from_slice(&some[..count]);
        seen.extend(numbers(&mut received));
    }
    assert_eq!(seen, (0..ACTIVITIES as u64).collect::<Vec<_>>(), "each once, in order");
}

async fn connected() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let connect = TcpStream::connect(listener.local_addr().expect("an address"));
    let (theirs, accepted) = tokio::join!(connect, listener.accept());
    (accepted.expect("accepted").0, theirs.expect("connected"))
}

/// The numbers of the activities in the whole frames at the front, which are taken away.
fn numbers(received: &mut Vec<u8>) -> Vec<u64> {
    let mut numbers = Vec::new();
    loop {
        let (length, head) = match received.get(1) {
            Some(126) if 4 <= received.len() => (usize::from(u16::from_be_bytes([received[2], received[3]])), 4),
            Some(short) if *short < 126 => (usize::from(*short), 2),
            _ => return numbers,
        };
        if received.len() < head + length {
            return numbers;
        }
        let message: serde_json::Value = serde_json::from_slice(&received[head..head + length]).expect("JSON");
        numbers.extend(message["data"]["n"].as_u64());
        received.drain(..head + length);
    }
}
