//! Frames carry the bytes that were published, whichever way they are cut.

use super::*;
use crate::model::{Data, text_frame};

fn activity(invocation: &str, data: &'static str) -> Activity {
    Activity {
        event_id: EventId::from_bytes([7; 16]),
        invocation: invocation.parse().expect("valid"),
        kind: ActivityType::ToolCall,
        timestamp: Timestamp::from_millis(1_764_000_000_123).expect("small"),
        received_at: Timestamp::from_millis(1_764_000_000_130).expect("small"),
        data: Data::from_checked(Bytes::from_static(data.as_bytes())).expect("UTF-8"),
    }
}

#[test]
fn one_buffer_holds_every_view() {
    let epoch = Epoch::from_stored(0x5f3a_9c1e);
    let mut builder = FrameBuilder::new(&"build-42".parse().expect("valid"), epoch);
    builder.push(Offset::new(9).expect("small"), &activity("run 7", r#"{"a": 1.0}"#));
    builder.push(Offset::new(10).expect("small"), &activity("é\"\\", "{}"));
    let batches = builder.finish();
    let [batch] = batches.as_slice() else { panic!("two small activities are one batch") };
    let object = r#""taskId":"build-42","offset":9,"cursor":"5f3a9c1e-9","invocationId":"run 7","eventId":"07070707-0707-0707-0707-070707070707","timestamp":1764000000123,"receivedAt":1764000000130,"type":"tool_call","data":{"a": 1.0}}"#;
    let frame = &batch.frames()[0];
    let text = format!(r#"{{"op":"activity",{object}"#);
    assert_eq!(batch.websocket(0), text_frame(text.as_bytes()));
    let second = batch.websocket(1);
    assert_eq!(batch.websocket_all().len(), batch.websocket(0).len() + second.len());
    assert_eq!(batch.sse(frame), format!("id: 5f3a9c1e-9\ndata: {{\"op\":\"activity\",{object}\n\n"));
    let mut json = Vec::new();
    batch.write_json(frame, &mut json);
    assert_eq!(String::from_utf8(json).expect("UTF-8"), format!("{{{object}"));
    assert_eq!((batch.received_at().as_millis(), batch.within(0).received_at()), (1_764_000_000_130, batch.received_at()));
    let second: serde_json::Value = serde_json::from_slice(&second[4..]).expect("valid whatever the ids hold");
    assert_eq!((&second["invocationId"], &second["offset"]), (&"é\"\\".into(), &10.into()));
    assert_eq!((batch.first().get(), batch.last().get()), (9, 10));
}

#[test]
fn a_buffer_is_closed_when_it_is_long() {
    let mut builder = FrameBuilder::new(&"t".parse().expect("valid"), Epoch::generate());
    let long: &'static str = Box::leak(format!(r#"{{"text":"{}"}}"#, "x".repeat(40_000)).into_boxed_str());
    for offset in 1..=5 {
        builder.push(Offset::new(offset).expect("small"), &activity("r", long));
    }
    let batches = builder.finish();
    let runs: Vec<_> = batches.iter().map(|batch| (batch.first().get(), batch.last().get())).collect();
    assert_eq!(runs, [(1, 2), (3, 4), (5, 5)]);
}

#[test]
fn a_batch_narrows_to_what_comes_after_and_to_what_fits() {
    let mut builder = FrameBuilder::new(&"t".parse().expect("valid"), Epoch::generate());
    for offset in 5..=8 {
        builder.push(Offset::new(offset).expect("small"), &activity("r", "{}"));
    }
    let batch = builder.finish().remove(0);
    let one = batch.weight() / 4;
    let span = |batch: &FrameBatch| (batch.first().get(), batch.last().get(), batch.frames().len());
    let at = |offset| Offset::new(offset).expect("small");
    assert_eq!(batch.after(at(4)).as_ref().map(span), Some((5, 8, 4)));
    assert_eq!(batch.after(at(6)).as_ref().map(span), Some((7, 8, 2)));
    assert!(batch.after(at(8)).is_none());
    assert_eq!(span(&batch.within(0)), (5, 5, 1));
    let tail = batch.after(at(5)).expect("three left");
    assert_eq!(span(&tail.within(2 * one)), (6, 7, 2));
    assert_eq!(tail.sse_all().len(), tail.weight());
    let chunk = |events: &[u8]| [format!("{:08x}\r\n", events.len()).as_bytes(), events, b"\r\n"].concat();
    assert_eq!(batch.sse_chunk(), chunk(&batch.sse_all()));
    assert_eq!(tail.sse_chunk(), chunk(&tail.sse_all()));
    assert_eq!(tail.within(2 * one).websocket_all(), [tail.websocket(0), tail.websocket(1)].concat());
}
