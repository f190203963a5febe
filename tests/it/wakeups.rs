//! Lost wake-ups: a follower that falls asleep at the very moment of a commit must be woken by it.

use std::sync::Arc;

use tasklight::{
    hub::{Follower, Otherwise, Start, Step},
    model::{Filter, Offset},
};
use tokio::{sync::Barrier, time::timeout};

use crate::{
    harness::{PATIENCE, TestHub},
    store_contract::activity,
    viewer::Viewer,
};

const ROUNDS: u64 = 400;
const FOLLOWERS: usize = 24;

/// Until the follower stands at `offset`, reading from the store where it must.
async fn follow_to(hub: &tasklight::hub::Hub, follower: &mut Follower, offset: Offset) {
    let task = "t".parse().expect("valid");
    while follower.cursor().is_none_or(|cursor| cursor.offset < offset) {
        match follower.next(1 << 16) {
            Step::Asleep => follower.changed().changed().await.expect("the log lives"),
            Step::Read(range) => follower.supply(hub.read(&task, &range).await.expect("it reads")),
            _ => {}
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_follower_sleeps_through_a_commit() {
    let hub = TestHub::start_with(|settings| settings.hub.resync_interval = "10m".parse().expect("a duration")).await;
    let barrier = Arc::new(Barrier::new(FOLLOWERS + 1));
    let mut followers = tokio::task::JoinSet::new();
    for _ in 0..FOLLOWERS {
        let (hub, barrier) = (hub.node().hub().clone(), barrier.clone());
        followers.spawn(async move {
            let start = Start { after: None, otherwise: Otherwise::Beginning };
            let mut follower = hub.follow(&"t".parse().expect("valid"), start, Filter::default());
            for round in 1..=ROUNDS {
                barrier.wait().await;
                let offset = Offset::new(round).expect("small");
                let woken = timeout(PATIENCE, follow_to(&hub, &mut follower, offset)).await;
                assert!(woken.is_ok(), "a follower slept through offset {round}");
            }
        });
    }
    for _ in 1..=ROUNDS {
        barrier.wait().await;
        let new = activity("t", r#"{"invocationId":"r","type":"message","data":{}}"#);
        let results = hub.node().writer().append(new.task, vec![new.activity]).await.expect("it is taken");
        assert!(results[0].is_ok());
    }
    while let Some(ended) = followers.join_next().await {
        ended.expect("every follower saw every round");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_socket_sleeps_through_a_commit() {
    let hub = TestHub::start_with(|settings| settings.hub.resync_interval = "10m".parse().expect("a duration")).await;
    let mut viewers = Vec::new();
    for _ in 0..16 {
        viewers.push(Viewer::subscribe(hub.address(), "t", serde_json::json!({})).await);
    }
    for round in 0..150 {
        let text = round.to_string();
        hub.publish("t", &[&text]).await;
        for viewer in &mut viewers {
            assert_eq!(viewer.texts(1).await, [text.as_str()]);
        }
    }
}
