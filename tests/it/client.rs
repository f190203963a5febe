//! The Rust client: what it says of a log when that changes under it.

use tasklight::{
    client::{Client, Event, Follow, FollowError, Start},
    model::{ActivityType, Filter},
};
use tokio::time::timeout;

use crate::harness::{PATIENCE, TestHub};

fn follow(hub: &TestHub, start: Start, filter: Filter) -> Follow {
    Client::new(&hub.url(""), None).expect("a hub's URL").follow("t".parse().expect("a task"), start, filter)
}

/// The next event as a word and a number.
async fn next(follow: &mut Follow) -> (&'static str, u64) {
    match timeout(PATIENCE, follow.next()).await.expect("in time").expect("it can be followed") {
        Event::Subscribed { head, .. } => ("subscribed", head.get()),
        Event::Activity(received) => ("activity", received.offset().get()),
        Event::Live(offset) => ("live", offset.get()),
        Event::Skipped(offset) => ("skipped", offset.get()),
        Event::Truncated(floor) => ("truncated", floor.get()),
        Event::Reset(_) => ("reset", 0),
        Event::Deleted => ("deleted", 0),
        Event::Reconnecting { .. } => ("reconnecting", 0),
    }
}

#[tokio::test]
async fn a_log_is_followed_from_its_beginning_into_what_comes() {
    let hub = TestHub::start().await;
    hub.publish("t", &["one", "two"]).await;
    let mut follow = follow(&hub, Start::Beginning, Filter::default());
    for expected in [("subscribed", 2), ("activity", 1), ("activity", 2), ("live", 2)] {
        assert_eq!(next(&mut follow).await, expected);
    }
    hub.publish("t", &["three"]).await;
    assert_eq!(next(&mut follow).await, ("activity", 3));
    follow.close().await;
}

#[tokio::test]
async fn a_task_that_is_deleted_and_made_again_is_followed_from_its_new_beginning() {
    let hub = TestHub::start().await;
    let cursors = hub.publish("t", &["one", "two"]).await;
    let mut follow = follow(&hub, Start::End, Filter::default());
    assert_eq!((next(&mut follow).await, next(&mut follow).await), (("subscribed", 2), ("live", 2)));
    assert_eq!(hub.send("DELETE", "/v1/tasks/t", serde_json::Value::Null).await.0, 204);
    assert_eq!(next(&mut follow).await, ("deleted", 0));
    assert_eq!(next(&mut follow).await, ("subscribed", 0));
    hub.publish("t", &["new"]).await;
    assert_eq!(next(&mut follow).await, ("activity", 1));
    let old = cursors[1].parse().expect("a cursor");
    let mut late = self::follow(&hub, Start::After(old), Filter::default());
    for expected in [("subscribed", 1), ("reset", 0), ("activity", 1), ("live", 1)] {
        assert_eq!(next(&mut late).await, expected);
    }
}

#[tokio::test]
async fn only_what_a_filter_wants_comes() {
    let hub = TestHub::start().await;
    hub.publish("t", &["one", "two"]).await;
    let filter = Filter { types: vec![ActivityType::Error], ..Filter::default() };
    let mut follow = follow(&hub, Start::Beginning, filter);
    assert_eq!((next(&mut follow).await, next(&mut follow).await), (("subscribed", 2), ("live", 2)));
    hub.post("t", serde_json::json!({"invocationId": "r", "type": "error", "data": {"message": "x"}})).await;
    assert_eq!(next(&mut follow).await, ("activity", 3));
    assert_eq!(follow.cursor().map(|cursor| cursor.offset.get()), Some(3));
}

#[tokio::test]
async fn what_is_no_hub_is_an_error_and_what_is_away_is_waited_for() {
    let hub = TestHub::start().await;
    let client = Client::new(&hub.url("/not/a/hub"), None).expect("a URL");
    let error = client.follow("t".parse().expect("a task"), Start::End, Filter::default()).next().await;
    assert!(matches!(&error, Err(FollowError::Refused { code, .. }) if code == "route_not_found"), "{error:?}");
    let client = Client::new("http://127.0.0.1:1", None).expect("a URL");
    let mut away = client.follow("t".parse().expect("a task"), Start::End, Filter::default());
    assert_eq!((next(&mut away).await, next(&mut away).await), (("reconnecting", 0), ("reconnecting", 0)));
}
