//! The hubs' links to Redis: deaf, cut off by the server, failed over, spread over a cluster, behind TLS and an ACL.

use std::time::Duration;

use serde_json::json;
use tasklight::config::Settings;
use tokio::time::timeout;

use crate::{
    harness::{PATIENCE, TestHub},
    program::{finish, tasklight},
    proxy::{Cut, Proxy},
    redis_servers::{Servers, redis_cli, until_said},
    services::{Database, postgres_database},
    stand_in::OwnRedis,
    viewer::Viewer,
};

/// Hubs that find out about each other's commits by hints alone: heads are not compared for ten minutes.
async fn hubs(count: usize, database: &Database, redis: &str, change: impl Fn(usize, &mut Settings)) -> Vec<TestHub> {
    let mut hubs = Vec::new();
    for number in 0..count {
        let hub = TestHub::start_with(|settings| {
            settings.node.id = format!("hub-{number}");
            settings.store.url = database.url();
            settings.broker.url = redis.to_owned();
            settings.broker.probe_interval = "200ms".parse().expect("a duration");
            settings.broker.probe_timeout = "3s".parse().expect("a duration");
            settings.cluster.beat_interval = "200ms".parse().expect("a duration");
            settings.cluster.member_timeout = "6s".parse().expect("a duration");
            settings.hub.resync_interval = "10m".parse().expect("a duration");
            change(number, settings);
        })
        .await;
        hub.member().await;
        hubs.push(hub);
    }
    hubs
}

/// Waits until what `/readyz` says of Redis is, or is not, `ok`; the hub is to serve all the while.
async fn until_broker(hub: &TestHub, well: bool) {
    let noticed = async {
        loop {
            let (status, said) = hub.readiness().await;
            assert_eq!(status, 200, "{said}");
            if (said["degraded"] == false) == well {
                return;
            }
        }
    };
    timeout(PATIENCE, noticed).await.unwrap_or_else(|_| panic!("it never became well={well}"));
}

async fn metric(hub: &TestHub, name: &str) -> f64 {
    let text = reqwest::get(format!("http://{}/metrics", hub.node().admin_address()))
        .await
        .expect("metrics")
        .text()
        .await
        .expect("text");
    let lines = text.lines().filter(|line| line.starts_with(name));
    lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
}

/// Publishes over Redis, acked, as an agent does.
async fn publish(redis: &str, more: &[(&str, &str)], text: &str) {
    let mut command = tasklight("", ["publish", "t", "--redis", redis, "--invocation", "r", "--type", "message", "--text", text]);
    command.envs(more.iter().copied());
    let done = finish(&mut command).await;
    assert_eq!(done.code, Some(0), "{}", done.stderr);
}

#[tokio::test]
async fn a_deaf_link_is_noticed_and_shown_and_nothing_is_missing() {
    let redis = OwnRedis::start().await;
    let address = redis.url().trim_start_matches("redis://").parse().expect("an address");
    let proxy = Proxy::start(address).await.expect("a proxy");
    let through = format!("redis://{}", proxy.address());
    let database = postgres_database().await;
    let hubs = hubs(2, &database, &redis.url(), |number, settings| {
        if number == 1 {
            settings.broker.url = through.clone();
        }
    })
    .await;
    let mut viewer = Viewer::subscribe(hubs[1].address(), "t", json!({})).await;
    hubs[0].publish("t", &["before"]).await;
    assert_eq!(viewer.texts(1).await, ["before"]);
    viewer.until("live").await;
    let live =
        async || metric(&hubs[1], "tasklight_broker_feed_live").await + metric(&hubs[1], "tasklight_broker_ingest_live").await;
    assert_eq!(live().await, 2.0);
    proxy.cut(Cut::ToHub);
    hubs[0].publish("t", &["while it is deaf"]).await;
    until_broker(&hubs[1], false).await;
    assert!(live().await < 2.0, "the metrics say so, too");
    proxy.heal();
    assert_eq!(viewer.texts(1).await, ["while it is deaf"], "heads are compared as soon as it hears again");
    until_broker(&hubs[1], true).await;
    assert_eq!(live().await, 2.0);
    hubs[0].publish("t", &["afterwards"]).await;
    assert_eq!(viewer.texts(1).await, ["afterwards"]);
}

#[tokio::test]
async fn what_the_server_cuts_off_is_made_up_for() {
    let redis = OwnRedis::start().await;
    let database = postgres_database().await;
    let hubs = hubs(2, &database, &redis.url(), |_, _| {}).await;
    let mut viewer = Viewer::subscribe(hubs[1].address(), "t", json!({})).await;
    let port = redis.url().rsplit(':').next().expect("a port").to_owned();
    let mut expected = Vec::new();
    for round in 0..20 {
        let text = round.to_string();
        hubs[0].publish("t", &[&text]).await;
        expected.push(text);
        // As the server does to a subscriber that reads too slowly.
        redis_cli(&["-p", &port, "client", "kill", "type", "pubsub"]);
    }
    assert_eq!(viewer.texts(20).await, expected);
}

#[tokio::test]
async fn a_batch_larger_than_a_hint_may_be_arrives_whole() {
    let redis = OwnRedis::start().await;
    let database = postgres_database().await;
    let hubs = hubs(2, &database, &redis.url(), |_, _| {}).await;
    let mut viewer = Viewer::subscribe(hubs[1].address(), "t", json!({})).await;
    viewer.until("subscribed").await;
    let texts: Vec<_> = (0..60).map(|n| format!("{n}-{}", "x".repeat(50_000))).collect();
    hubs[0].publish("t", &texts.iter().map(String::as_str).collect::<Vec<_>>()).await;
    assert_eq!(viewer.texts(60).await, texts);
}

#[tokio::test]
async fn channels_beyond_what_one_connection_may_have_go_to_another_and_all_deliver() {
    let redis = OwnRedis::start().await;
    let database = postgres_database().await;
    let hubs = hubs(2, &database, &redis.url(), |_, settings| settings.broker.lane_channels = 3).await;
    let port = redis.url().rsplit(':').next().expect("a port").to_owned();
    let subscribers = || redis_cli(&["-p", &port, "client", "list", "type", "pubsub"]).lines().count();
    let before = subscribers();
    let mut viewer = Viewer::connect(hubs[1].address()).await;
    for n in 0..20 {
        viewer.say(json!({"op": "subscribe", "task": format!("t{n}")})).await;
        viewer.until("subscribed").await;
    }
    for n in 0..20 {
        let text = format!("hint {n}");
        hubs[0].publish(&format!("t{n}"), &[&text]).await;
        assert_eq!(viewer.texts(1).await, [text]);
    }
    assert!(before + 20 / 3 <= subscribers(), "{before} connections became {}", subscribers());
    // Whichever of them the server ends, all that was on it is made up for.
    redis_cli(&["-p", &port, "client", "kill", "type", "pubsub"]);
    for n in 0..20 {
        let text = format!("afterwards {n}");
        hubs[0].publish(&format!("t{n}"), &[&text]).await;
        assert_eq!(viewer.texts(1).await, [text]);
    }
}

#[tokio::test]
async fn a_subscription_that_stays_behind_on_a_demoted_master_is_noticed_and_moved() {
    let servers = Servers::with_replica().await;
    let [master, replica, sentinel] = [0, 1, 2].map(|place| servers.ports[place].to_string());
    let url = format!("redis+sentinel://127.0.0.1:{sentinel}/main");
    let database = postgres_database().await;
    let hubs = hubs(2, &database, &url, |_, _| {}).await;
    let mut viewer = Viewer::subscribe(hubs[1].address(), "t", json!({})).await;
    publish(&url, &[], "before").await;
    assert_eq!(viewer.texts(1).await, ["before"]);
    // By hand, because a Sentinel also closes the connections of subscribers on the master that it demotes, if it reaches it.
    redis_cli(&["-p", &sentinel, "sentinel", "remove", "main"]);
    redis_cli(&["-p", &replica, "replicaof", "no", "one"]);
    redis_cli(&["-p", &master, "replicaof", "127.0.0.1", &replica]);
    until_said(&["-p", &master, "role"], "slave").await;
    until_said(&["-p", &master, "pubsub", "numsub", "tasklight:task:t"], "2").await;
    redis_cli(&["-p", &sentinel, "sentinel", "monitor", "main", "127.0.0.1", &replica, "1"]);
    until_said(&["-p", &replica, "pubsub", "numsub", "tasklight:task:t"], "2").await;
    until_said(&["-p", &master, "pubsub", "numsub", "tasklight:task:t"], "0").await;
    publish(&url, &[], "to the new master").await;
    assert_eq!(viewer.texts(1).await, ["to the new master"]);
    hubs[0].publish("t", &["hints go by the new master"]).await;
    assert_eq!(viewer.texts(1).await, ["hints go by the new master"]);
    for hub in &hubs {
        until_broker(hub, true).await;
    }
}

#[tokio::test]
async fn a_failover_that_leaves_the_old_master_alive_is_followed() {
    let servers = Servers::with_replica().await;
    let [master, replica, sentinel] = [0, 1, 2].map(|place| servers.ports[place].to_string());
    let url = format!("redis+sentinel://127.0.0.1:{sentinel}/main");
    let database = postgres_database().await;
    let hubs = hubs(2, &database, &url, |_, _| {}).await;
    let mut viewer = Viewer::subscribe(hubs[1].address(), "t", json!({})).await;
    publish(&url, &[], "before").await;
    assert_eq!(viewer.texts(1).await, ["before"]);
    until_said(&["-p", &sentinel, "sentinel", "failover", "main"], "OK").await;
    until_said(&["-p", &replica, "role"], "master").await;
    until_said(&["-p", &master, "role"], "slave").await;
    publish(&url, &[], "to the new master").await;
    assert_eq!(viewer.texts(1).await, ["to the new master"]);
    for hub in &hubs {
        until_broker(hub, true).await;
    }
    hubs[0].publish("t", &["hints go by the new master"]).await;
    assert_eq!(viewer.texts(1).await, ["hints go by the new master"]);
    let heard = async {
        while redis_cli(&["-p", &replica, "publish", "tasklight:task:t", "[]"]).trim() != "2" {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(PATIENCE, heard).await.expect("owner and standby listen at the new master");
}

#[tokio::test]
async fn a_cluster_carries_each_task_on_its_shard() {
    let mut servers = Servers::cluster().await;
    let url = format!("redis+cluster://127.0.0.1:{}", servers.ports[0]);
    let database = postgres_database().await;
    let hubs = hubs(2, &database, &url, |_, _| {}).await;
    let mut viewer = Viewer::subscribe(hubs[1].address(), "t", json!({})).await;
    publish(&url, &[], "acked on its shard").await;
    assert_eq!(viewer.texts(1).await, ["acked on its shard"]);
    // As any agent does that knows how to find a shard.
    let event = uuid::Uuid::now_v7().to_string();
    let activity = json!({"invocationId": "r", "type": "message", "eventId": event, "data": {"text": "by SPUBLISH"}}).to_string();
    let port = servers.ports[1].to_string();
    let heard = redis_cli(&["-c", "-p", &port, "spublish", "tasklight:task:t", &activity]);
    assert!(matches!(heard.trim(), "1" | "2"), "{heard}");
    assert_eq!(viewer.texts(1).await, ["by SPUBLISH"]);
    // One of the three dies for good: without replicas the cluster does not serve, and the hubs say so and go on without it.
    servers.kill(2);
    until_broker(&hubs[0], false).await;
    hubs[1].publish("t", &["without Redis"]).await;
    assert_eq!(viewer.texts(1).await, ["without Redis"]);
}

#[tokio::test]
async fn tls_and_a_user_with_no_more_rights_than_are_written_down_are_enough() {
    let document = include_str!("../../docs/redis.md");
    let rules = document.split("    ACL SETUSER hub ").nth(1).and_then(|rest| rest.split("\n\n").next()).expect("it is there");
    let rules = rules.split_whitespace().collect::<Vec<_>>().join(" ");
    let (servers, authority) = Servers::with_tls("hub", &rules).await;
    let port = servers.ports[0];
    let database = postgres_database().await;
    let authority = authority.display().to_string();
    let hubs = hubs(2, &database, &format!("rediss://hub:password@localhost:{port}"), |_, settings| {
        settings.broker.ca_file = authority.clone();
    })
    .await;
    let mut viewer = Viewer::subscribe(hubs[1].address(), "t", json!({})).await;
    let mut list = Viewer::connect(hubs[1].address()).await;
    list.say(json!({"op": "subscribe", "list": "tasks"})).await;
    list.until("live").await;
    hubs[0].publish("t", &["through TLS"]).await;
    assert_eq!(viewer.texts(1).await, ["through TLS"]);
    list.until("task").await;
}

#[tokio::test]
async fn a_redis_that_cannot_be_used_is_named_without_its_password() {
    let database = postgres_database().await;
    for (url, words) in [
        ("http://user:hunter2@h", "broker.url"),
        ("redis://user:hunter2@", "broker.url"),
        ("redis+sentinel://:hunter2@h", "broker.url"),
    ] {
        let mut command = tasklight(
            "",
            ["serve", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", "--store", &database.url(), "--broker", url],
        );
        let done = finish(&mut command).await;
        assert_eq!(done.code, Some(1), "{url}: {}", done.stderr);
        assert!(done.stderr.contains(words) && !done.stderr.contains("hunter2"), "{url}: {}", done.stderr);
    }
    let mut command = tasklight("", ["config"]);
    let done = finish(command.env("TASKLIGHT__BROKER__URL", "redis://user:hunter2@h:6379")).await;
    assert!(done.out().contains("redis://user:") && !done.out().contains("hunter2"), "{}", done.out());
}
