//! A session without its socket: what it hands out, and what it keeps.

use std::str::FromStr;

use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::*;
use crate::{
    config::Settings,
    ingest::{Item, parse_body},
    model::NewActivity,
    store::Store,
    writer::Writer,
};

const ACTIVITIES: usize = 500;

fn task() -> TaskId {
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
async fn full_hub(settings: &Settings) -> (Hub, Arc<Metrics>) {
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
    let mut session = Session::new(hub.clone(), Arc::new(options), metrics, "n");
    assert!(session.receive(r#"{"op":"subscribe","task":"t"}"#));
    let mut seen = Vec::new();
    while seen.len() < ACTIVITIES {
        for (slot, wait) in session.pump() {
            let arrival = match wait {
                Wait::Read(task, range) => Arrival::Page(hub.read(&task, &range).await),
                Wait::Log(mut view) if !view.borrow().loaded => {
                    view.changed().await.expect("the log lives");
                    Arrival::Changed
                }
                // At the head: what is queued is all there is.
                Wait::Log(_) => continue,
                other => panic!("nothing else to wait for: {other:?}"),
            };
            session.arrived(slot, arrival);
        }
        // One turn may overshoot by a frame.
        assert!(session.queued_bytes < 20_000 + 2_000, "{} bytes wait", session.queued_bytes);
        if session.is_full() {
            assert!(session.pump().is_empty(), "a full session asks for nothing");
        }
        // The socket takes a little.
        for _ in 0..5 {
            let Some(frame) = session.pop() else { break };
            let message: serde_json::Value = serde_json::from_slice(&frame).expect("JSON");
            seen.extend(message["data"]["n"].as_u64());
        }
    }
    assert_eq!(seen, (0..ACTIVITIES as u64).collect::<Vec<_>>(), "each once, in order");
}
