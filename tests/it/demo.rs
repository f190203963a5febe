//! The demo's agents: what they publish is what agents publish.

use std::collections::BTreeSet;

use serde_json::json;

use crate::{
    harness::TestHub,
    program::{finish, tasklight},
};

#[tokio::test]
async fn agents_work_for_as_long_as_they_are_told_and_leave_nothing_running_but_the_dead() {
    let hub = TestHub::start().await;
    let arguments = ["demo", "--agents", "8", "--tasks", "4", "--rate", "400", "--for", "4s", "--seed", "7", "--secrets"];
    let done = finish(&mut tasklight(&hub.url(""), arguments)).await;
    assert_eq!(done.code, Some(0), "{done:?}");
    let out = done.out();
    assert!(out.contains("--seed 7") && out.contains("activities stored"), "{out}");
    let (_, tasks) = hub.get("/v1/tasks").await;
    let names: BTreeSet<_> =
        tasks["tasks"].as_array().expect("tasks").iter().map(|t| t["taskId"].as_str().expect("an id")).collect();
    assert_eq!(names, BTreeSet::from(["demo-billing", "demo-checkout", "demo-mobile-app", "demo-search-index"]));
    let (mut kinds, mut running, mut ended, mut count) = (BTreeSet::new(), 0, 0, 0);
    for name in names {
        let log = hub.log(name).await;
        count += log.len();
        kinds.extend(log.iter().map(|activity| activity["type"].as_str().expect("a type").to_owned()));
        let (_, runs) = hub.get(&format!("/v1/tasks/{name}/invocations")).await;
        for run in runs["invocations"].as_array().expect("runs") {
            if run["status"] == "running" { running += 1 } else { ended += 1 }
        }
    }
    let expected = ["error", "message", "output", "progress", "status", "thinking", "tool_call", "tool_result", "usage"];
    assert_eq!(kinds, expected.map(str::to_owned).into());
    let died = out
        .split(", ")
        .find_map(|words| words.strip_suffix(" died\n").or(words.strip_suffix(" died")))
        .map_or(0, |n| n.parse().expect("a count"));
    assert_eq!(running, died, "only who died is still said to run: {out}");
    assert!(8 <= ended && 400 <= count, "{ended} runs, {count} activities");
    let metrics = reqwest::get(format!("http://{}/metrics", hub.node().admin_address())).await.expect("an answer");
    assert!(metrics.text().await.expect("a body").contains("tasklight_secrets_redacted_total"), "the made-up secrets went");
}

#[tokio::test]
async fn without_a_hub_it_is_said_once_and_at_once() {
    let done = finish(&mut tasklight("http://127.0.0.1:1", ["demo", "--agents", "50"])).await;
    assert_eq!((done.code, done.stderr.matches("tasklight:").count()), (Some(3), 1), "{done:?}");
    let hub = TestHub::start().await;
    let done = finish(&mut tasklight(&hub.url(""), ["demo", "--prefix", "/"])).await;
    assert_eq!(done.code, Some(2), "{done:?}");
    assert_eq!(hub.get("/v1/tasks").await.1["tasks"], json!([]));
}
