//! What a store promises of runs that do not get on.

use tasklight::model::{Invocation, StalledReason};

use super::*;

/// This, taken so many seconds ago.
fn taken(seconds: u64, json: &str) -> Append {
    let mut append = activity("t", json);
    append.activity.activity.received_at = Timestamp::now().minus(Duration::from_secs(seconds));
    append
}

fn said(run: &str, seconds: u64, kind: &str, data: &str) -> Append {
    taken(seconds, &format!(r#"{{"invocationId":"{run}","type":"{kind}","data":{data}}}"#))
}

async fn run(f: &Fixture, id: &str) -> Invocation {
    f.store.invocation(&task("t"), &id.parse().expect("valid")).await.expect("it reads").expect("it is there")
}

async fn beat(f: &Fixture, run: &str, seconds: u64) {
    let at = Timestamp::now().minus(Duration::from_secs(seconds));
    f.store.heartbeats(&[Heartbeat { task: task("t"), invocation: run.parse().expect("valid"), at }]).await.expect("it is noted");
}

pub async fn a_run_recorded_after_the_fact_is_never_stalled(f: Fixture) {
    receipts(&f.store, &[said("r", 4_000, "status", r#"{"status":"running"}"#)]).await;
    assert!(run(&f, "r").await.stalled && !run(&f, "r").await.backfilled);
    receipts(&f.store, &[said("r", 4_000, "status", r#"{"status":"running","backfilled":true}"#)]).await;
    assert!(!run(&f, "r").await.stalled && run(&f, "r").await.backfilled);
    let summary = f.store.summaries(&[task("t")]).await.expect("it reads").remove(0);
    assert_eq!(summary.stalled, None);
    receipts(&f.store, &[said("r", 4_000, "status", r#"{"status":"completed"}"#)]).await;
    assert!(run(&f, "r").await.backfilled, "once said it stays");
    let data = r#"{"status":"completed","backfilled":true}"#;
    let once = taken(0, &format!(r#"{{"invocationId":"once","type":"status","timestamp":1000,"data":{data}}}"#));
    receipts(&f.store, &[once]).await;
    let (once, then) = (run(&f, "once").await, Timestamp::from_millis(1_000));
    assert_eq!((once.started_at, once.completed_at, once.backfilled), (then, then, true));
}

pub async fn runs_are_stalled_by_what_their_log_says_last(f: Fixture) {
    let long = "x".repeat(10_000);
    let approval = format!(r#"{{"input":{{"name":"{long}"}},"n":1e400,"name":"needs_approval"}}"#);
    let text = r#"{"text":"needs_approval waiting for a prompt","name":"needs_approval","reason":"waiting for a prompt"}"#;
    for (id, seconds, kind, data, reason) in [
        ("asks", 5, "custom", approval.as_str(), Some(StalledReason::Waiting)),
        ("asked", 5, "custom", r#"{"name":"notification"}"#, None),
        ("done", 301, "status", r#"{"status":"running","reason":"waiting for a prompt"}"#, Some(StalledReason::Waiting)),
        ("just done", 295, "status", r#"{"status":"running","reason":"waiting for a prompt"}"#, None),
        ("builds", 595, "tool_call", r#"{"name":"bash"}"#, None),
        ("hangs", 601, "tool_call", r#"{"name":"bash"}"#, Some(StalledReason::Tool)),
        ("speaks", 295, "message", text, None),
        ("silent", 301, "message", text, Some(StalledReason::Idle)),
    ] {
        receipts(&f.store, &[said(id, seconds + 60, "thinking", "{}"), said(id, seconds, kind, data)]).await;
        let run = run(&f, id).await;
        assert_eq!((run.stalled, run.stalled_reason), (reason.is_some(), reason), "{id}");
        assert_eq!(run.stalled_since, reason.map(|_| run.last_activity_at), "{id}");
        let listed = f.store.invocations(&task("t"), 100).await.expect("it reads").expect("the task is there");
        let listed = listed.iter().find(|run| run.invocation_id.as_str() == id).expect("it is listed");
        assert_eq!(listed.stalled_reason, reason, "{id}");
    }
    beat(&f, "silent", 1).await;
    assert_eq!(run(&f, "silent").await.stalled_reason, Some(StalledReason::Idle), "heartbeats do not hide it");
    beat(&f, "speaks", 91).await;
    let speaks = run(&f, "speaks").await;
    assert_eq!((speaks.stalled_reason, speaks.stalled_since), (Some(StalledReason::Heartbeat), speaks.heartbeat_at));
    receipts(&f.store, &[said("silent", 0, "message", "{}"), said("hangs", 0, "status", r#"{"status":"failed"}"#)]).await;
    assert!(!run(&f, "silent").await.stalled && !run(&f, "hangs").await.stalled);
}

pub async fn a_task_tells_what_is_stalled_of_it_and_whose_agents_worked(f: Fixture) {
    let told = async || f.store.summaries(&[task("t")]).await.expect("it reads").remove(0);
    let by = |agent: &str| format!(r#"{{"status":"running","agent":"{agent}"}}"#);
    receipts(&f.store, &[said("a", 100, "status", &by("claude")), said("b", 100, "message", "{}")]).await;
    assert_eq!((told().await.stalled, told().await.agents), (None, vec!["claude".to_owned()]));
    receipts(&f.store, &[said("a", 700, "tool_call", "{}"), said("b", 400, "message", "{}")]).await;
    let stalled = told().await.stalled;
    assert_eq!(stalled, None, "what came last in a log may have been taken earlier; the row says when it was heard of");
    for (id, agent, seconds) in [("c", "codex", 800), ("d", "gemini", 700), ("e", "claude", 900), ("f", "amp", 10)] {
        receipts(&f.store, &[said(id, seconds, "status", &by(agent))]).await;
    }
    receipts(&f.store, &[said("d", 650, "tool_call", "{}")]).await;
    let summary = told().await;
    assert_eq!(summary.agents, ["amp", "claude", "gemini", "codex"]);
    let stalled = summary.stalled.expect("three are");
    assert_eq!((stalled.count, stalled.reason, stalled.invocation_id.as_str()), (3, StalledReason::Tool, "d"));
    assert_eq!(stalled.since, run(&f, "d").await.last_activity_at);
    let (listed, _) = f.store.tasks(&TaskQuery { limit: 10, ..TaskQuery::default() }).await.expect("it lists");
    assert_eq!(listed[0].stalled.as_ref(), Some(&stalled), "the list tells the same");
    for id in ["c", "d", "e"] {
        receipts(&f.store, &[said(id, 0, "status", r#"{"status":"completed"}"#)]).await;
    }
    assert_eq!(told().await.stalled, None);
}

pub async fn tasks_that_fall_silent_are_found_when_they_do(f: Fixture) {
    let now = Timestamp::now();
    let found = async |seconds: u64| {
        let until = now.plus(Duration::from_secs(seconds));
        let span = StallSpan { since: until.minus(Duration::from_secs(5)), until };
        !f.store.may_have_stalled(span, 10).await.expect("it looks").is_empty()
    };
    receipts(&f.store, &[said("r", 0, "message", "{}")]).await;
    // The row may be ten seconds behind the log: it is found that much longer.
    for (seconds, expected) in [(295, false), (301, true), (310, true), (320, false), (595, false), (601, true), (620, false)] {
        assert_eq!(found(seconds).await, expected, "{seconds} s later");
    }
    beat(&f, "r", 0).await;
    for (seconds, expected) in [(85, false), (91, true), (97, false)] {
        assert_eq!(found(seconds).await, expected, "{seconds} s after the heartbeat");
    }
    receipts(&f.store, &[said("r", 0, "status", r#"{"status":"completed"}"#)]).await;
    assert!(!found(301).await, "it has ended");
}
