//! What a store promises to those who write streams: all of a request or nothing, in one commit with how its producer has come along.

use tasklight::store::{Producer, StreamRefusal, StreamRow, StreamWrite};

use super::*;

const TEXT: &str = "text/plain";

fn by(epoch: u64, seq: u64) -> StreamWrite {
    StreamWrite { producer: Some(Producer { name: "p".to_owned(), epoch, seq }), ..write() }
}

fn write() -> StreamWrite {
    StreamWrite { content_type: Some(TEXT.to_owned()), ..StreamWrite::default() }
}

fn create() -> StreamWrite {
    StreamWrite { create: true, ..write() }
}

/// The offsets of what was appended, or why it was not.
async fn send(store: &Store, batch: &[Append], write: &StreamWrite, attempt: Attempt) -> Result<Vec<u64>, Refusal> {
    let appended = store.append_to_stream(batch, write, attempt).await.expect("it answers");
    assert_eq!(appended.results.len(), batch.len());
    appended.results.into_iter().map(|result| result.map(|receipt| receipt.cursor.offset.get())).collect()
}

fn refused(refusal: StreamRefusal) -> Result<Vec<u64>, Refusal> {
    Err(Refusal::Stream(refusal))
}

pub async fn a_stream_takes_all_of_a_request_or_nothing(f: Fixture) {
    let store = &f.store;
    assert_eq!(send(store, &[message("s", "x")], &write(), Attempt::First).await, Err(Refusal::Outdated), "there is no task");
    assert_eq!(store.stream(&task("s")).await.expect("it answers"), None);
    assert_eq!(send(store, &[message("s", "a"), message("s", "b")], &create(), Attempt::First).await, Ok(vec![1, 2]));
    assert_eq!(send(store, &[message("s", "c")], &create(), Attempt::First).await, refused(StreamRefusal::Exists));
    // The second is refused by its run, so the first is not stored either, nor how far its producer came.
    receipts(store, &[status("s", "r", "completed")]).await;
    let batch = [message("s", "d"), status("s", "r", "running")];
    assert!(matches!(send(store, &batch, &by(0, 0), Attempt::First).await, Err(Refusal::Transition { .. })));
    assert_eq!(send(store, &[message("s", "d")], &by(0, 0), Attempt::First).await, Ok(vec![4]));
    let seq = StreamWrite { seq: Some("2".to_owned()), ..by(0, 1) };
    assert_eq!(send(store, &[message("s", "e")], &seq, Attempt::First).await, Ok(vec![5]));
    let again = StreamWrite { seq: Some("10".to_owned()), ..by(0, 2) };
    assert_eq!(send(store, &[message("s", "f")], &again, Attempt::First).await, refused(StreamRefusal::SeqRegression));
    let close = StreamWrite { close: true, ..by(0, 2) };
    assert_eq!(send(store, &[message("s", "f"), message("s", "g")], &close, Attempt::First).await, Ok(vec![6, 7]));
    assert_eq!(send(store, &[message("s", "h")], &write(), Attempt::First).await, refused(StreamRefusal::Closed));
    assert_eq!(send(store, &[message("s", "f")], &close, Attempt::First).await, refused(StreamRefusal::Duplicate { seq: 2 }));
    let row = store.stream(&task("s")).await.expect("it answers");
    let expected = StreamRow { content_type: Some(TEXT.to_owned()), seq: Some("2".to_owned()), closed_at: Offset::new(7) };
    assert_eq!(row, Some(expected));
    let log: Vec<String> = texts(store, "s", &everything()).await.into_iter().map(|(_, text)| text).collect();
    let expected = ["a", "b", "", "d", "e", "f", "g"].map(|text| format!(r#"{{"text":"{text}"}}"#));
    assert_eq!([&log[..2], &log[3..]], [&expected[..2], &expected[3..]]);
}

pub async fn a_producer_is_known_by_what_was_committed(f: Fixture) {
    let store = &f.store;
    send(store, &[message("s", "a")], &create(), Attempt::First).await.expect("it is made");
    let batch = [message("s", "b"), message("s", "c")];
    assert_eq!(send(store, &batch, &by(1, 0), Attempt::First).await, Ok(vec![2, 3]));
    // The same request once more, because its answer was lost to the writer: what it did is found.
    assert_eq!(send(store, &batch, &by(1, 0), Attempt::Again).await, Ok(vec![2, 3]));
    // The same from its client, as new activities.
    let other = [message("s", "b"), message("s", "c")];
    assert_eq!(send(store, &other, &by(1, 0), Attempt::First).await, refused(StreamRefusal::Duplicate { seq: 0 }));
    assert_eq!(send(store, &other, &by(1, 2), Attempt::First).await, refused(StreamRefusal::Gap { expected: 1 }));
    assert_eq!(send(store, &other, &by(0, 0), Attempt::First).await, refused(StreamRefusal::StaleEpoch { epoch: 1 }));
    assert_eq!(send(store, &other, &by(2, 1), Attempt::First).await, refused(StreamRefusal::EpochBegins));
    assert_eq!(send(store, &[message("s", "d")], &by(2, 0), Attempt::First).await, Ok(vec![4]));
    // What was stored by another request is not stored again, and yet this one is noted: the next one goes on after it.
    let event = uuid::Uuid::now_v7();
    let known = [activity("s", &format!(r#"{{"invocationId":"r","type":"message","eventId":"{event}","data":{{"text":"e"}}}}"#))];
    receipts(store, &known).await;
    for attempt in [Attempt::First, Attempt::First, Attempt::Again] {
        assert_eq!(send(store, &known, &by(3, 0), attempt).await, Ok(vec![5]));
    }
    let seq = |seq: &str, by: StreamWrite| StreamWrite { seq: Some(seq.to_owned()), ..by };
    assert_eq!(send(store, &known, &by(3, 2), Attempt::First).await, refused(StreamRefusal::Gap { expected: 1 }));
    assert_eq!(send(store, &known, &by(2, 0), Attempt::First).await, refused(StreamRefusal::StaleEpoch { epoch: 3 }));
    assert_eq!(send(store, &known, &seq("5", by(3, 1)), Attempt::First).await, Ok(vec![5]));
    assert_eq!(
        send(store, &[message("s", "f")], &seq("4", by(3, 2)), Attempt::First).await,
        refused(StreamRefusal::SeqRegression)
    );
    assert_eq!(send(store, &[message("s", "f")], &by(3, 2), Attempt::First).await, Ok(vec![6]));
    // It goes with its task.
    store.delete_task(&task("s")).await.expect("it is deleted");
    assert_eq!(send(store, &[message("s", "a")], &StreamWrite { create: true, ..by(0, 0) }, Attempt::First).await, Ok(vec![1]));
}

pub async fn of_many_who_send_the_same_at_once_one_is_stored(f: Fixture) {
    send(&f.store, &[message("s", "a")], &create(), Attempt::First).await.expect("it is made");
    for seq in 0..8 {
        let racers = (0..6).map(|n| {
            let store = f.store.clone();
            async move { send(&store, &[message("s", &format!("{seq} by {n}"))], &by(0, seq), Attempt::First).await }
        });
        let results = futures_util::future::join_all(racers).await;
        assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1, "{results:?}");
        let repeats = results.iter().filter(|result| **result == refused(StreamRefusal::Duplicate { seq })).count();
        assert_eq!(repeats, 5, "{results:?}");
    }
    let states = f.store.log_states(&[task("s")]).await.expect("it answers");
    assert_eq!(states[0].1.head.get(), 9);
}
