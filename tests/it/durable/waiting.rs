//! Who waits for what comes next in a stream: by long polls and by events, until it is closed, deleted, or the node stops.

use base64::{Engine, engine::general_purpose::STANDARD};
use futures_util::{StreamExt, future::join_all};
use reqwest::{Method, StatusCode};
use serde_json::json;
use tokio::{task::JoinSet, time::timeout};

use super::{JSON, TEXT, ask, code, header, put, read, request};
use crate::{
    harness::{PATIENCE, TestHub},
    services::execute_on,
};

#[tokio::test]
async fn what_is_called_a_text_and_is_none_comes_whole_by_events_too() {
    let hub = TestHub::start().await;
    put(&hub, "t", TEXT, "plain").await;
    let start = header(&ask(&hub, Method::HEAD, "t", &[], "").await, "stream-next-offset");
    let mut reader = ask(&hub, Method::GET, "t?offset=-1&live=sse", &[], "").await;
    assert_eq!(header(&reader, "stream-sse-data-encoding"), "", "it is text");
    let first = timeout(PATIENCE, reader.chunk()).await.expect("in time").expect("bytes").expect("an event");
    assert!(first.starts_with(b"event: data\ndata:plain\n\n"), "{first:?}");
    // A character that is cut in two, and what is none at all.
    for body in [vec![b'a', 0xc3], vec![0xa9, b'b'], vec![0xff, 0xfe], b"text".to_vec()] {
        assert_eq!(ask(&hub, Method::POST, "t", &[TEXT], body).await.status(), 204);
    }
    let rest = timeout(PATIENCE, reader.text()).await.expect("it ends, to be asked again").expect("in order");
    assert!(!rest.contains('\u{fffd}') && !rest.contains("event: data"), "{rest}");
    let close = ask(&hub, Method::POST, "t", &[("stream-closed", "true")], "").await;
    assert_eq!(close.status(), 204);
    let again = ask(&hub, Method::GET, &format!("t?offset={start}&live=sse"), &[], "").await;
    assert_eq!(header(&again, "stream-sse-data-encoding"), "base64");
    let events = timeout(PATIENCE, again.text()).await.expect("it ends").expect("UTF-8");
    let data = events.split("\n\n").filter_map(|event| event.strip_prefix("event: data\ndata:"));
    let bytes: Vec<u8> = data.flat_map(|data| STANDARD.decode(data).expect("base 64")).collect();
    assert_eq!(bytes, b"a\xc3\xa9b\xff\xfetext");
}

#[tokio::test]
async fn a_reader_who_could_miss_something_is_let_go_and_goes_on_where_it_was() {
    let hub = TestHub::start().await;
    put(&hub, "t", JSON, "[1]").await;
    let mut reader = ask(&hub, Method::GET, "t?offset=-1&live=sse", &[], "").await;
    let mut seen = String::new();
    while !seen.contains("\"upToDate\":true") {
        let part = timeout(PATIENCE, reader.chunk()).await.expect("in time").expect("bytes").expect("an event");
        seen.push_str(std::str::from_utf8(&part).expect("UTF-8"));
    }
    // With a status of its run comes the question whether the stream is closed, which the store cannot answer for now.
    let store = format!("sqlite://{}", hub.database().display());
    execute_on(&store, "ALTER TABLE streams RENAME TO away").await;
    let batch = json!([
        {"invocationId": "ds", "type": "custom", "data": {"message": 2}},
        {"invocationId": "ds", "type": "status", "data": {"status": "running"}}
    ]);
    assert_eq!(hub.post("t", batch).await.0, 200);
    let rest = timeout(PATIENCE, reader.text()).await.expect("it ends").expect("in order");
    assert_eq!(rest, "");
    execute_on(&store, "ALTER TABLE away RENAME TO streams").await;
    let told = seen.rsplit_once("\"streamNextOffset\":\"").and_then(|(_, rest)| rest.split('"').next()).expect("an offset");
    assert_eq!(read(&hub, &format!("t?offset={told}")).await, "[2]", "seen: {seen}");
}

#[tokio::test]
async fn a_poll_that_begins_while_the_stream_is_closed_is_told_so_at_once() {
    let hub = TestHub::start_with(|settings| {
        settings.session.long_poll = "1h".parse().expect("a duration");
        settings.limits.publishes_per_second = 0;
        settings.limits.cold_reads_per_second = 0;
    })
    .await;
    for round in 0..300 {
        let task = format!("t{round}");
        put(&hub, &task, TEXT, "").await;
        let closing = request(&hub, Method::POST, &task, &[("stream-closed", "true")], "").send();
        let polls = (0..4).map(|_| request(&hub, Method::GET, &format!("{task}?offset=-1&live=long-poll"), &[], "").send());
        let (closed, polls) = tokio::join!(closing, timeout(PATIENCE, join_all(polls)));
        assert_eq!(closed.expect("an answer").status(), 204);
        for poll in polls.unwrap_or_else(|_| panic!("round {round}: nobody told it")) {
            assert_eq!(header(&poll.expect("an answer"), "stream-closed"), "true", "round {round}");
        }
    }
}

#[tokio::test]
async fn whoever_waits_is_answered_by_what_comes_and_leaves_with_the_node() {
    let mut hub = TestHub::start_with(|settings| settings.session.long_poll = "25s".parse().expect("a duration")).await;
    put(&hub, "t", TEXT, "").await;
    let tail = header(&ask(&hub, Method::HEAD, "t", &[], "").await, "stream-next-offset");
    let mut polls = JoinSet::new();
    for place in [tail.as_str(), "now"] {
        polls.spawn(request(&hub, Method::GET, &format!("t?offset={place}&live=long-poll"), &[], "").send());
    }
    until_open(&hub, 2).await;
    // What another run says wakes nobody.
    hub.publish("t", &["noise"]).await;
    ask(&hub, Method::POST, "t", &[TEXT], "news").await;
    while let Some(answer) = timeout(PATIENCE, polls.join_next()).await.expect("they are answered") {
        let answer = answer.expect("it ran").expect("an answer");
        assert_eq!((answer.status().as_u16(), answer.text().await.expect("a body").as_str()), (200, "news"));
    }
    polls.spawn(request(&hub, Method::GET, "t?offset=now&live=long-poll", &[], "").send());
    let sse = ask(&hub, Method::GET, "t?offset=-1&live=sse", &[], "").await;
    let mut events = sse.bytes_stream();
    let first = timeout(PATIENCE, events.next()).await.expect("in time").expect("an event").expect("bytes");
    assert!(first.starts_with(b"event: data\ndata:news\n"), "{first:?}");
    until_open(&hub, 2).await;
    assert!(timeout(PATIENCE, hub.stop()).await.expect("within its time"), "nothing holds it back");
    let answer = timeout(PATIENCE, polls.join_next()).await.expect("it is answered").expect("it waits");
    let answer = answer.expect("it ran").expect("an answer");
    assert_eq!((answer.status(), header(&answer, "stream-up-to-date")), (StatusCode::NO_CONTENT, "true".to_owned()));
    let rest: Vec<_> = timeout(PATIENCE, events.collect()).await.expect("it ends");
    assert!(rest.iter().all(Result::is_ok), "in order: {rest:?}");
}

/// Until so many sessions are open.
async fn until_open(hub: &TestHub, sessions: usize) {
    let metrics = format!("http://{}/metrics", hub.node().admin_address());
    let wanted = format!("\ntasklight_sessions_open {sessions}\n");
    let open =
        async { while !reqwest::get(&metrics).await.expect("an answer").text().await.expect("a body").contains(&wanted) {} };
    timeout(PATIENCE, open).await.expect("they are open");
}

#[tokio::test]
async fn who_deletes_a_stream_ends_those_who_wait_for_it() {
    let hub = TestHub::start().await;
    put(&hub, "t", TEXT, "x").await;
    let mut polls = JoinSet::new();
    polls.spawn(request(&hub, Method::GET, "t?offset=now&live=long-poll", &[], "").send());
    let sse = ask(&hub, Method::GET, "t?offset=now&live=sse", &[], "").await;
    until_open(&hub, 2).await;
    ask(&hub, Method::DELETE, "t", &[], "").await;
    let answer = timeout(PATIENCE, polls.join_next()).await.expect("it is answered").expect("it waits");
    let answer = answer.expect("it ran").expect("an answer");
    assert_eq!(code(answer).await, (404, json!("task_not_found")));
    timeout(PATIENCE, sse.text()).await.expect("it ends").expect("in order");
}
