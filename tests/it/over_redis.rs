//! `tasklight publish` and `tasklight run` over Redis, with somebody who plays the hub by the protocol: acks, refusals, silence, absence.

use std::process::Stdio;

use futures_util::future::join_all;
use serde_json::Value;
use tempfile::TempDir;
use tokio::{
    io::AsyncWriteExt,
    process::{Child, Command},
};

use crate::{
    harness::TestHub,
    program::{Finished, end, finish, hear, tasklight},
    services::{prefix, redis_url},
    stand_in::{Log, OwnRedis, StandIn, printed},
};

/// The program publishing over this Redis, with no way to a hub.
fn over(redis: &str, prefix: &str, arguments: &[&str]) -> Command {
    let mut command = tasklight("http://127.0.0.1:1", arguments);
    command.env_remove("TASKLIGHT_HUB").env("TASKLIGHT_REDIS", redis).env("TASKLIGHT_REDIS_PREFIX", prefix);
    command
}

/// Publishes these lines.
async fn publish(redis: &str, prefix: &str, flags: &[&str], lines: &str) -> Child {
    let arguments = [&["publish", "t", "--invocation", "r"], flags].concat();
    let mut child = over(redis, prefix, &arguments).stdin(Stdio::piped()).spawn().expect("it starts");
    let written = child.stdin.take().expect("piped").write_all(lines.as_bytes()).await;
    if let Err(error) = written {
        let done = end(child).await;
        panic!("it does not read what it is given: {error}; {:?} {}", done.code, done.stderr);
    }
    child
}

fn run(redis: &str, prefix: &str, flags: &[&str], script: &str) -> Command {
    over(redis, prefix, &[&["run", "--task", "t"], flags, &["--", "sh", "-c", script]].concat())
}

fn lines(count: usize) -> String {
    (0..count).map(|number| format!("{{\"type\":\"custom\",\"data\":{{\"n\":{number}}}}}\n")).collect()
}

fn numbers(activities: &[Value]) -> Vec<u64> {
    activities.iter().map(|activity| activity["data"]["n"].as_u64().expect("a number")).collect()
}

fn statuses(log: &[Value]) -> Vec<&str> {
    log.iter().filter_map(|activity| activity["data"]["status"].as_str()).collect()
}

/// How it ended, with what it said.
fn ending(done: &Finished) -> (Option<i32>, &str) {
    (done.code, std::str::from_utf8(&done.stdout).expect("UTF-8").trim_end())
}

#[tokio::test]
async fn what_is_acked_is_published_and_what_is_rejected_is_named() {
    let (url, prefix) = (redis_url(), prefix());
    let mut hub = StandIn::owner(&url, &prefix, "t").await;
    let child = publish(&url, &prefix, &[], &lines(4)).await;
    let got = hub.activities().await;
    assert_eq!(numbers(&got), [0, 1, 2, 3]);
    assert!(got.iter().all(|activity| activity["invocationId"] == "r"));
    hub.reject("t", &got[2], "unknown_type").await;
    hub.ack("t", got.iter().filter(|activity| activity["data"]["n"] != 2)).await;
    let done = end(child).await;
    assert_eq!(ending(&done), (Some(1), "published 3 activities to t, 1 refused"));
    assert!(done.stderr.contains("line 3 was refused: not so (unknown_type, field data)"), "{}", done.stderr);

    let child = publish(&url, &prefix, &["--json"], &lines(1)).await;
    let got = hub.activities().await;
    hub.ack("t", &got).await;
    let id = got[0]["eventId"].as_str().expect("an id");
    let line = format!(r#"{{"line":1,"eventId":"{id}"}}"#);
    assert_eq!(ending(&end(child).await), (Some(0), line.as_str()));
}

#[tokio::test]
async fn a_task_that_nobody_takes_is_announced_until_somebody_does() {
    let (url, prefix) = (redis_url(), prefix());
    let alone = finish(&mut over(&url, &prefix, &["publish", "t", "--invocation=r", "--type=custom", "--retry-for=0s"])).await;
    assert_eq!(alone.code, Some(3));
    let words =
        "no hub takes the task t: the PUBLISH reached 0 receivers, and its announcement 0\n  is a hub's broker.url this Redis";
    assert!(alone.stderr.contains(words), "{}", alone.stderr);

    let mut hub = StandIn::listen(&url, &prefix).await;
    let busy = finish(&mut over(&url, &prefix, &["publish", "t", "--invocation=r", "--type=custom", "--retry-for=0s"])).await;
    assert_eq!(busy.code, Some(3));
    assert!(busy.stderr.contains("reached 0 receivers, and its announcement 1\n  they may be too busy"), "{}", busy.stderr);

    let child = publish(&url, &prefix, &[], &lines(2)).await;
    assert_eq!(hub.announced().await, "t");
    hub.take("t").await;
    let got = hub.activities().await;
    assert_eq!(numbers(&got), [0, 1]);
    hub.ack("t", &got).await;
    assert_eq!(ending(&end(child).await), (Some(0), "published 2 activities to t"));
}

#[tokio::test]
async fn exactly_what_was_not_acked_is_sent_again_in_order() {
    let (url, prefix) = (redis_url(), prefix());
    let mut hub = StandIn::owner(&url, &prefix, "t").await;
    let child = publish(&url, &prefix, &[], &lines(6)).await;
    let first = hub.activities().await;
    hub.ack("t", [&first[1], &first[4]]).await;
    let again = hub.activities().await;
    assert_eq!(again, [&first[0], &first[2], &first[3], &first[5]].map(Clone::clone));
    // An ack of somebody else, a resend's late ack, and the words of a stranger change nothing.
    let theirs = serde_json::json!({"invocationId": "x", "eventId": "0190c6a4-7c1e-7000-8000-5f3a9c1e0001"});
    hub.ack("t", [&theirs, &first[1]]).await;
    hub.ack("t", &again).await;
    assert_eq!(ending(&end(child).await), (Some(0), "published 6 activities to t"));
}

#[tokio::test]
async fn what_is_known_when_publishing_is_given_up_is_said() {
    let (url, prefix) = (redis_url(), prefix());
    let mut hub = StandIn::owner(&url, &prefix, "t").await;
    let child = publish(&url, &prefix, &["--retry-for", "0s"], &lines(3)).await;
    let got = hub.activities().await;
    hub.ack("t", [&got[0], &got[2]]).await;
    let done = end(child).await;
    assert_eq!(ending(&done), (Some(3), "published 2 activities to t"));
    assert!(done.stderr.contains("line 2 and what follows it is not confirmed"), "{}", done.stderr);
    assert!(
        done.stderr.contains("a hub was reached over Redis, but has not confirmed 1 of the activities within 5s"),
        "{}",
        done.stderr
    );
}

#[tokio::test]
async fn messages_are_bounded_and_go_one_at_a_time() {
    let (url, prefix) = (redis_url(), prefix());
    let mut hub = StandIn::owner(&url, &prefix, "t").await;
    let text = "x".repeat(50_000);
    let input: String = (0..9).map(|n| format!("{{\"type\":\"custom\",\"data\":{{\"n\":{n},\"text\":\"{text}\"}}}}\n")).collect();
    let child = publish(&url, &prefix, &[], &input).await;
    let mut log = Log::default();
    while log.activities.len() < 9 {
        let got = hub.activities().await;
        assert!(serde_json::to_vec(&got).expect("JSON").len() <= 256 * 1024, "{} activities", got.len());
        assert!(hub.is_silent().await, "the next message waits for the acks of this one");
        hub.ack("t", &got).await;
        log.store(got);
    }
    assert_eq!(numbers(&log.activities), (0..9).collect::<Vec<_>>());
    assert_eq!(end(child).await.code, Some(0));
}

#[tokio::test]
async fn a_command_is_recorded_without_a_way_to_the_hub() {
    let (url, prefix) = (redis_url(), prefix());
    let mut hub = StandIn::listen(&url, &prefix).await;
    let program = env!("CARGO_BIN_EXE_tasklight");
    let script = format!("echo one; {program} publish t --type progress --data '{{\"percent\":40}}'; echo two; exit 3");
    let child = run(&url, &prefix, &["--invocation", "mine"], &script).spawn().expect("it starts");
    assert_eq!(hub.announced().await, "t");
    hub.take("t").await;
    let log = hub.store_until("t", 1).await;
    let done = end(child).await;
    assert_eq!((done.code, done.out().as_str()), (Some(3), "one\npublished 1 activity to t\ntwo\n"), "{}", done.stderr);
    assert!(done.stderr.contains("publishing to t over redis://"), "{}", done.stderr);
    assert_eq!(statuses(&log), ["running", "failed"]);
    assert!(log.iter().any(|activity| activity["type"] == "progress" && activity["invocationId"] == "mine"), "{log:?}");
    assert_eq!(printed(&log, "mine"), "one\npublished 1 activity to t\ntwo\n");
}

#[tokio::test]
async fn several_invocations_share_a_task_and_each_keeps_its_order() {
    const RUNS: usize = 4;
    let (url, prefix) = (redis_url(), prefix());
    let mut hub = StandIn::owner(&url, &prefix, "t").await;
    let children: Vec<_> = (0..RUNS)
        .map(|run_number| {
            let flags = ["--invocation", &format!("r{run_number}"), "--quiet"];
            let script = format!("for i in 1 2 3 4 5; do seq -f '{run_number}-%g' 1 9000; sleep 0.1; done; exit {run_number}");
            run(&url, &prefix, &flags, &script).spawn().expect("it starts")
        })
        .collect();
    let (log, ends) = tokio::join!(hub.store_until("t", RUNS), join_all(children.into_iter().map(end)));
    for (run_number, done) in ends.into_iter().enumerate() {
        assert_eq!(done.code.map(|code| usize::try_from(code).expect("a code")), Some(run_number), "{}", done.stderr);
        let expected: String = (1..=9_000).map(|line| format!("{run_number}-{line}\n")).collect();
        assert!(printed(&log, &format!("r{run_number}")) == expected.repeat(5), "everything of run {run_number}, once, in order");
    }
}

#[tokio::test]
async fn a_redis_that_is_killed_and_comes_back_costs_nothing() {
    let (mut redis, prefix) = (OwnRedis::start().await, prefix());
    let mut hub = StandIn::owner(&redis.url(), &prefix, "t").await;
    let script = "seq 1 1000; read a; seq 1001 300000; read b; echo after; exit 5";
    let mut child = run(&redis.url(), &prefix, &["--invocation", "r"], script).stdin(Stdio::piped()).spawn().expect("it starts");
    hear(&mut child, "1000\n").await;
    let mut log = Log::default();
    while !printed(&log.activities, "r").ends_with("1000\n") {
        let got = hub.activities().await;
        hub.ack("t", &got).await;
        log.store(got);
    }
    redis.kill();
    child.stdin.as_mut().expect("piped").write_all(b"\n").await.expect("it listens");
    // The command is not held up.
    hear(&mut child, "300000\n").await;
    redis.back().await;
    let mut hub = StandIn::owner(&redis.url(), &prefix, "t").await;
    // What the hub took without saying so comes again; then Redis goes once more before an ack arrives.
    log.store(hub.activities().await);
    redis.kill();
    redis.back().await;
    let mut hub = StandIn::owner(&redis.url(), &prefix, "t").await;
    child.stdin.as_mut().expect("piped").write_all(b"\n").await.expect("it listens");
    while log.ends == 0 {
        let got = hub.activities().await;
        hub.ack("t", &got).await;
        log.store(got);
    }
    let done = end(child).await;
    assert_eq!(done.code, Some(5), "{}", done.stderr);
    assert!(done.stderr.contains("cannot be reached") && done.stderr.contains("the hub is back"), "{}", done.stderr);
    let expected: String = (1..=300_000).map(|number| format!("{number}\n")).chain(["after\n".to_owned()]).collect();
    assert!(printed(&log.activities, "r") == expected, "everything, once, in order");
}

#[tokio::test]
async fn a_hub_that_lets_go_of_the_task_is_followed_by_the_next() {
    let (url, prefix) = (redis_url(), prefix());
    let mut hub = StandIn::owner(&url, &prefix, "t").await;
    let script = "echo one; read a; echo two";
    let mut child =
        run(&url, &prefix, &["--invocation", "r", "--quiet"], script).stdin(Stdio::piped()).spawn().expect("it starts");
    let mut log = Log::default();
    while printed(&log.activities, "r") != "one\n" {
        let got = hub.activities().await;
        hub.ack("t", &got).await;
        log.store(got);
    }
    hub.withdraw("t").await;
    let mut next = StandIn::listen(&url, &prefix).await;
    child.stdin.as_mut().expect("piped").write_all(b"\n").await.expect("it listens");
    assert_eq!(next.announced().await, "t");
    next.take("t").await;
    assert_eq!(printed(&next.store_until("t", 1).await, "r"), "two\n");
    assert_eq!(end(child).await.code, Some(0));
}

#[tokio::test]
async fn what_cannot_be_delivered_is_kept_within_the_limit_and_can_be_sent_later() {
    let folder = TempDir::new().expect("a folder");
    let flags = ["--wait", "0s", "--spill-limit", "1MiB"];
    let gone = "redis://agent:hunter2@127.0.0.1:1";
    let mut command = run(gone, "p:", &flags, "seq 1 1500000; exit 4");
    let done = finish(command.env("TMPDIR", folder.path())).await;
    assert!(done.code == Some(4) && done.out().ends_with("1500000\n"), "{}", done.stderr);
    assert!(done.stderr.contains("the newest is dropped") && !done.stderr.contains("hunter2"), "{}", done.stderr);
    let file = std::fs::read_dir(folder.path()).expect("a folder").next().expect("a file").expect("readable").path();
    let told = format!("tasklight publish t --redis 'redis://***@127.0.0.1:1' --redis-prefix p: < {}", file.display());
    assert!(done.stderr.contains(&told), "{}", done.stderr);
    let kept = std::fs::read_to_string(&file).expect("UTF-8");
    assert!((5 << 20) - 100_000 < kept.len() && kept.len() < 5 << 20, "{} bytes", kept.len());

    let (url, prefix) = (redis_url(), prefix());
    let mut hub = StandIn::owner(&url, &prefix, "t").await;
    let input = std::fs::File::open(&file).expect("readable");
    let child = over(&url, &prefix, &["publish", "t"]).stdin(input).spawn().expect("it starts");
    let log = hub.store_until("t", 1).await;
    assert_eq!(ending(&end(child).await), (Some(0), format!("published {} activities to t", log.len()).as_str()));
    assert_eq!((log.len(), statuses(&log)), (kept.lines().count(), vec!["running", "failed"]));
}

#[tokio::test]
async fn wrong_addresses_are_refused_and_never_shown_with_their_password() {
    for (url, code, words) in [
        ("http://u:hunter2@h", 2, "--redis: it starts with redis://"),
        ("redis://u:hunter2@h:port", 2, "--redis: \"h:port\" is not a host"),
        ("redis://u:hunter2@127.0.0.1:1", 3, "Redis at redis://***@127.0.0.1:1 cannot be reached"),
        (&redis_url().replace("://", "://u:hunter2@"), 1, "refuses: "),
    ] {
        let arguments = ["publish", "t", "--invocation=r", "--type=custom", "--retry-for=0s"];
        let done = finish(&mut over(url, "p:", &arguments)).await;
        assert_eq!(done.code, Some(code), "{url}: {}", done.stderr);
        assert!(done.stderr.contains(words) && !done.stderr.contains("hunter2"), "{url}: {}", done.stderr);
    }
}

#[tokio::test]
async fn an_agent_needs_no_more_rights_than_the_protocol_says() {
    let redis = OwnRedis::start().await;
    let mut hub = StandIn::owner(&redis.url(), "tasklight:", "t").await;
    let document = include_str!("../../docs/protocol.md");
    let rule = document.split("    ACL SETUSER agent ").nth(1).and_then(|rest| rest.split("\n\n").next()).expect("it is there");
    // A selector in parentheses is one word.
    let (words, selectors) = rule.split_once("\n      (").expect("selectors follow");
    let selectors = selectors.trim_end_matches(['\n', '`', ')']).split(")\n      (").map(|words| format!("({words})"));
    hub.set_user("agent", words.split(' ').map(str::to_owned).chain(selectors)).await;
    let url = redis.url().replace("://", "://agent:password@");
    let child = publish(&url, "tasklight:", &[], &lines(1)).await;
    let got = hub.activities().await;
    hub.ack("t", &got).await;
    assert_eq!(ending(&end(child).await), (Some(0), "published 1 activity to t"));
    hub.set_user("agent", ["clearselectors".to_owned()]).await;
    let done = end(publish(&url, "tasklight:", &["--retry-for", "0s"], &lines(1)).await).await;
    assert!(done.code == Some(3) && done.stderr.contains("may this user subscribe to it?"), "{}", done.stderr);
}

#[tokio::test]
async fn a_hub_named_by_a_flag_wins_over_the_environments_redis() {
    let arguments = ["publish", "t", "--invocation=r", "--type=custom", "--retry-for=0s", "--hub=http://127.0.0.1:1"];
    let done = finish(&mut over(&redis_url(), &prefix(), &arguments)).await;
    assert!(done.code == Some(3) && done.stderr.contains("the hub at http://127.0.0.1:1 cannot be reached"), "{}", done.stderr);
}

/// A hub around this Redis.
async fn hub_around(url: &str, prefix: &str) -> TestHub {
    TestHub::start_with(|settings| {
        settings.broker.url = url.to_owned();
        settings.broker.prefix = prefix.to_owned();
    })
    .await
}

#[tokio::test]
async fn a_real_hub_stores_it_once_in_order_through_its_restart() {
    let (url, prefix) = (redis_url(), prefix());
    let mut hub = hub_around(&url, &prefix).await;
    let script = "seq 1 1000; read a; seq 1001 200000; read b; exit 6";
    let mut child = run(&url, &prefix, &["--invocation", "r"], script).stdin(Stdio::piped()).spawn().expect("it starts");
    hear(&mut child, "1000\n").await;
    child.stdin.as_mut().expect("piped").write_all(b"\n").await.expect("it listens");
    hub.restart().await;
    hear(&mut child, "200000\n").await;
    child.stdin.as_mut().expect("piped").write_all(b"\n").await.expect("it listens");
    let done = end(child).await;
    assert_eq!(done.code, Some(6), "{}", done.stderr);
    let log = hub.log("t").await;
    let expected: String = (1..=200_000).map(|number| format!("{number}\n")).collect();
    assert!(printed(&log, "r") == expected, "everything, once, in order");
    assert_eq!(statuses(&log), ["running", "failed"]);

    let refused = end(publish(&url, &prefix, &[], "{\"type\":\"nope\"}\n{\"type\":\"custom\"}\n").await).await;
    assert_eq!(ending(&refused), (Some(1), "published 1 activity to t, 1 refused"), "{}", refused.stderr);
    assert!(refused.stderr.contains("line 1 was refused") && refused.stderr.contains("(unknown_type, field type)"));
}

#[tokio::test]
async fn a_cluster_and_the_master_of_a_sentinel_will_do() {
    for (_redis, url) in [OwnRedis::cluster().await, OwnRedis::sentinel().await] {
        let hub = hub_around(&url, "p:").await;
        let done = finish(&mut run(&url, "p:", &["--invocation", "r"], "seq 1 20000; exit 2")).await;
        assert_eq!(done.code, Some(2), "{url}: {}", done.stderr);
        let expected: String = (1..=20_000).map(|number| format!("{number}\n")).collect();
        assert!(printed(&hub.log("t").await, "r") == expected, "{url}: everything, once, in order");
        assert!(!done.stderr.contains("cannot be"), "{url}: {}", done.stderr);
    }
}
