//! What a hub does that is no member any more, or that holds all it may.

use std::time::Duration;

use serde_json::json;
use sqlx::{Connection, Executor, PgConnection};
use tokio::{task::JoinSet, time::timeout};

use crate::{
    cluster::{Cluster, numbered, numbers},
    harness::{PATIENCE, TestHub},
    proxy::{Cut, Proxy},
    services::redis_url,
    viewer::Viewer,
};
use tasklight::config::Settings;

/// A number of `/metrics`.
async fn metric(hub: &TestHub, name: &str) -> u64 {
    let answer = reqwest::get(format!("http://{}/metrics", hub.node().admin_address())).await.expect("an answer");
    let text = answer.text().await.expect("text");
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    value.unwrap_or_else(|| panic!("no {name} in {text}")).parse().expect("a whole number")
}

/// A number of `/metrics` over all hubs.
async fn sum(hubs: &[TestHub], name: &str) -> u64 {
    let mut sum = 0;
    for hub in hubs {
        sum += metric(hub, name).await;
    }
    sum
}

/// Waits until a number of `/metrics` is as it should be.
async fn until_metric(hub: &TestHub, name: &str, wanted: impl Fn(u64) -> bool) {
    let reached = async { while !wanted(metric(hub, name).await) {} };
    timeout(PATIENCE, reached).await.unwrap_or_else(|_| panic!("{name} never came to what it should be"));
}

fn short_memberships(settings: &mut Settings) {
    settings.cluster.member_timeout = "1s".parse().expect("a duration");
    settings.hub.resync_interval = "200ms".parse().expect("a duration");
}

#[tokio::test]
async fn a_hub_without_redis_for_longer_than_its_membership_serves_on_and_returns() {
    let mut cluster = Cluster::start(1, &redis_url(), short_memberships).await;
    let server: reqwest::Url = redis_url().parse().expect("a URL");
    let address = format!("127.0.0.1:{}", server.port().expect("a port")).parse().expect("an address");
    let proxy = Proxy::start(address).await.expect("a proxy");
    let mut through = server.clone();
    through.set_port(Some(proxy.address().port())).expect("it takes a port");
    cluster
        .add(|settings| {
            short_memberships(settings);
            settings.broker.url = through.to_string();
        })
        .await;
    cluster.heard_by("t", 2).await;
    let mut viewer = Viewer::subscribe(cluster.hubs[1].address(), "t", json!({})).await;
    viewer.until("subscribed").await;
    proxy.cut(Cut::FromHub);
    until_metric(&cluster.hubs[0], "tasklight_cluster_members", |members| members == 1).await;

    cluster.hubs[1].publish("t", &["taken by the one that is cut off"]).await;
    assert_eq!(viewer.texts(1).await, ["taken by the one that is cut off"]);
    cluster.hubs[0].publish("t", &["taken by the other"]).await;
    assert_eq!(viewer.texts(1).await, ["taken by the other"]);
    for n in 0..5 {
        cluster.publish("t", &numbered(n)).await;
    }
    let seen = viewer.activities(5).await;
    assert_eq!(numbers(&seen), [0, 1, 2, 3, 4], "the other one owns the task now");
    let (status, said) = cluster.hubs[1].readiness().await;
    assert_eq!((status, &said["ready"]), (200, &json!(true)), "{said}");

    proxy.heal();
    until_metric(&cluster.hubs[1], "tasklight_cluster_lapses_total", |lapses| 0 < lapses).await;
    cluster.hubs[1].member().await;
    cluster.heard_by("t", 2).await;
    cluster.publish("t", &numbered(5)).await;
    assert_eq!(numbers(&viewer.activities(1).await), [5]);
    assert_eq!(cluster.hubs[0].log("t").await.len(), 8, "each once");
}

#[tokio::test]
async fn a_standby_that_holds_all_it_may_lets_go_of_the_channel_and_nothing_is_lost() {
    const MOST: u64 = 20;
    let mut cluster = Cluster::start(2, &redis_url(), |settings| {
        settings.cluster.hold_activities = 20;
        settings.store.busy_timeout = "200ms".parse().expect("a duration");
    })
    .await;
    cluster.heard_by("t", 2).await;
    // Nobody is on the way to own it: only an owner stores what it hears at once.
    let settled = async { while sum(&cluster.hubs, "tasklight_cluster_owned_tasks").await != 1 {} };
    timeout(PATIENCE, settled).await.expect("an owner");
    let mut intruder = PgConnection::connect(&cluster.database.url()).await.expect("Postgres");
    // Nothing can be stored, so nothing is acked.
    let lock = "BEGIN; LOCK TABLE activities IN EXCLUSIVE MODE";
    intruder.execute(sqlx::raw_sql(lock)).await.expect("the lock");
    let mut published = 0;
    let alone = async {
        loop {
            let count = cluster.publish("t", &numbered(published)).await;
            published += 1;
            if count == 1 {
                return;
            }
        }
    };
    timeout(PATIENCE, alone).await.expect("the standby lets go");
    for _ in 0..100 {
        assert_eq!(cluster.publish("t", &numbered(published)).await, 1, "the owner goes on, and the standby does not come back");
        published += 1;
    }
    let held = sum(&cluster.hubs, "tasklight_cluster_held_activities").await;
    // The gauge is set now and then. What was on its way when it let go it holds as well.
    assert!(held < MOST + published as u64 - 100, "{held} of {published} are held");
    intruder.execute(sqlx::raw_sql("ROLLBACK")).await.expect("the lock goes");
    let log = cluster.log_of(0, "t", published).await;
    assert_eq!(numbers(&log), (0..published as u64).collect::<Vec<_>>(), "once and in order");
    cluster.heard_by("t", 2).await;
    let settled = async { while sum(&cluster.hubs, "tasklight_cluster_held_activities").await != 0 {} };
    timeout(PATIENCE, settled).await.expect("all is acked");
}

/// What is given to a hub that goes to do what it must not do.
const MEANWHILE: Duration = Duration::from_secs(2);

#[tokio::test]
async fn a_hub_that_stops_stores_all_that_it_has_counted_before_it_ceases_to_be_a_member() {
    let mut cluster = Cluster::start(1, &redis_url(), |settings| {
        settings.writer.queue_activities = 20;
        settings.store.busy_timeout = "100ms".parse().expect("a duration");
    })
    .await;
    cluster.heard_by("t", 1).await;
    let mut intruder = PgConnection::connect(&cluster.database.url()).await.expect("Postgres");
    let lock = "BEGIN; LOCK TABLE activities IN SHARE ROW EXCLUSIVE MODE";
    intruder.execute(sqlx::raw_sql(lock)).await.expect("the lock");
    let texts: Vec<_> = (0..200).map(|n| json!({"invocationId": "r", "type": "message", "data": {"n": n}})).collect();
    for text in &texts {
        assert_eq!(cluster.publish("t", text).await, 1, "without an eventId, so that nobody else can have it");
    }
    let (nodes, channel) = (format!("{}nodes", cluster.prefix), format!("{}task:t", cluster.prefix));
    let mut hub = cluster.hubs.remove(0);
    let mut stopping = JoinSet::new();
    stopping.spawn(async move {
        let ended = hub.stop().await;
        (hub, ended)
    });
    let let_go = async {
        let mut listeners = redis::cmd("PUBSUB");
        listeners.arg("NUMSUB").arg(&channel);
        while listeners.query_async::<(String, u64)>(&mut cluster.agent).await.expect("a count").1 != 0 {}
    };
    timeout(PATIENCE, let_go).await.expect("it lets go of the channel");
    let gone = async {
        // One field says since when there are members.
        while redis::cmd("HLEN").arg(&nodes).query_async::<u64>(&mut cluster.agent).await.expect("a count") > 1 {}
    };
    assert!(timeout(MEANWHILE, gone).await.is_err(), "it is no member any more, and has stored nothing");
    intruder.execute(sqlx::raw_sql("ROLLBACK")).await.expect("the lock goes");
    let (mut hub, ended) = stopping.join_next().await.expect("one").expect("it stops");
    assert!(ended, "by itself");
    hub.start_again().await;
    assert_eq!(numbers(&hub.log("t").await), (0..200).collect::<Vec<_>>(), "all of them, in order");
}
