//! Hooks of agents: what Claude Code sends by itself appears in the log, and its settings get ours and lose them again.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sqlx::{Connection, Executor, PgConnection};
use tempfile::TempDir;

use crate::{
    harness::{PATIENCE, TestHub},
    program::{finish, tasklight},
    services::postgres_database,
};

/// A hook's payload of a session that works in the project `web`.
fn payload(event: &str, more: Value) -> Value {
    let mut all = json!({
        "session_id": "5c1d0f1e-0000-4000-8000-000000000001",
        "transcript_path": "/home/me/.claude/projects/-home-me-web/5c1d0f1e.jsonl",
        "cwd": "/home/me/web/src",
        "permission_mode": "default",
        "hook_event_name": event,
    });
    all.as_object_mut().expect("an object").extend(more.as_object().cloned().unwrap_or_default());
    all
}

async fn say(hub: &TestHub, event: &str, more: Value) {
    let answer = hub.send("POST", "/v1/hooks/claude", payload(event, more)).await;
    assert_eq!(answer, (200, json!({})), "{event}");
}

#[tokio::test]
async fn a_session_is_seen_live_without_anything_around_it() {
    let hub = TestHub::start().await;
    let tool = |more: Value| {
        let mut all = json!({"tool_name": "Bash", "tool_input": {"command": "make"}, "tool_use_id": "toolu_1"});
        all.as_object_mut().expect("an object").extend(more.as_object().cloned().unwrap_or_default());
        all
    };
    say(&hub, "UserPromptSubmit", json!({"prompt": "build it"})).await;
    say(&hub, "PreToolUse", tool(json!({}))).await;
    // Sent again, as by a proxy: stored once.
    say(&hub, "PreToolUse", tool(json!({}))).await;
    say(&hub, "PostToolUse", tool(json!({"tool_response": {"stdout": "ok", "stderr": ""}}))).await;
    say(&hub, "PostToolUseFailure", json!({"tool_name": "Read", "tool_use_id": "toolu_2", "error": "no such file"})).await;
    say(&hub, "Notification", json!({"message": "may I?", "notification_type": "permission_prompt"})).await;
    say(&hub, "SubagentStart", json!({"agent_id": "a1", "agent_type": "Explore"})).await;
    say(&hub, "SomethingNew", json!({"what": "ever"})).await;
    say(&hub, "Stop", json!({"stop_hook_active": false})).await;
    say(&hub, "SessionEnd", json!({"reason": "logout"})).await;
    let log = hub.log("web").await;
    let kinds: Vec<_> = log.iter().map(|activity| activity["type"].as_str().expect("a type")).collect();
    assert_eq!(
        kinds,
        ["status", "message", "tool_call", "tool_result", "tool_result", "custom", "custom", "custom", "status", "status"]
    );
    let id = "5c1d0f1e-0000-4000-8000-000000000001:toolu_1";
    assert_eq!((&log[2]["data"]["toolCallId"], &log[3]["data"]["toolCallId"]), (&json!(id), &json!(id)));
    assert_eq!((&log[4]["data"]["isError"], &log[7]["data"]["raw"]["what"]), (&json!(true), &json!("ever")));
    let (_, run) = hub.get("/v1/tasks/web/invocations/5c1d0f1e-0000-4000-8000-000000000001").await;
    assert_eq!(
        (&run["status"], &run["agent"], &run["reason"]),
        (&json!("completed"), &json!("claude"), &json!("session ended: logout"))
    );
    // Taken up again: an agent is never refused, and nothing is lost.
    say(&hub, "UserPromptSubmit", json!({"prompt": "one more thing"})).await;
    let log = hub.log("web").await;
    assert_eq!(
        (log.len(), &log[10]["data"]["text"], &log[11]["data"]["name"]),
        (12, &json!("one more thing"), &json!("late_status"))
    );
}

#[tokio::test]
async fn the_request_may_name_task_and_run_and_a_run_of_somebody_else_keeps_its_status() {
    let hub = TestHub::start().await;
    let client = reqwest::Client::new();
    let post = async |path: &str, headers: &[(&str, &str)]| {
        let mut request = client.post(hub.url(path)).body(payload("SessionEnd", json!({})).to_string());
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.send().await.expect("an answer").status().as_u16()
    };
    assert_eq!(post("/v1/hooks/claude?task=named", &[("x-tasklight-task", "other")]).await, 200);
    assert_eq!(hub.log("named").await[0]["type"], "status");
    hub.publish("wrapped", &["from the wrapper"]).await;
    let inside = [("x-tasklight-task", "wrapped"), ("x-tasklight-invocation", "r")];
    assert_eq!(post("/v1/hooks/claude", &inside).await, 200);
    let (_, run) = hub.get("/v1/tasks/wrapped/invocations/r").await;
    assert_eq!(run["status"], "running", "its wrapper says when it ends");
    // Variables that are not set leave their headers empty.
    assert_eq!(post("/v1/hooks/claude", &[("x-tasklight-task", ""), ("x-tasklight-invocation", "")]).await, 200);
    assert_eq!(hub.log("web").await.len(), 1);
}

#[tokio::test]
async fn what_is_too_large_is_cut_and_secrets_are_gone_before() {
    let hub = TestHub::start().await;
    // The cut would fall into the token.
    for at in [32 * 1024 - 20, 16 * 1024 - 20, 8 * 1024 - 20] {
        let text =
            format!("{}\nexport TOKEN=ghp_PLANTEDa1b2c3d4e5f6g7h8i9j0k1l2m3n4o5p6 {}", "x".repeat(at), "y".repeat(100_000));
        say(&hub, "PostToolUse", json!({"tool_name": "Bash", "tool_use_id": at.to_string(), "tool_response": {"stdout": text}}))
            .await;
    }
    let log = hub.log("web").await;
    assert_eq!(log.len(), 3);
    for activity in &log {
        let output = activity["data"]["output"].as_str().expect("text");
        assert!(output.ends_with("…[cut]") && output.len() < 64 * 1024, "{} bytes", output.len());
        assert!(!output.contains("PLANTED"));
    }
}

#[tokio::test]
async fn what_is_no_hook_is_refused_with_a_code_and_a_field() {
    let hub = TestHub::start().await;
    for (path, body, code, field) in [
        ("/v1/hooks/claude", json!({"hook_event_name": "Stop"}), "missing_field", "session_id"),
        ("/v1/hooks/claude", json!([1]), "invalid_json", "body"),
        ("/v1/hooks/claude?task=a/b", payload("Stop", json!({})), "invalid_task_id", "task"),
        ("/v1/hooks/claude?taks=a", payload("Stop", json!({})), "unknown_parameter", "taks"),
    ] {
        let (status, problem) = hub.send("POST", path, body).await;
        assert_eq!((status, problem["code"].as_str(), problem["field"].as_str()), (400, Some(code), Some(field)));
    }
    let (_, tasks) = hub.get("/v1/tasks").await;
    assert_eq!(tasks["tasks"], json!([]), "nothing was made of it");
}

#[tokio::test]
async fn settings_get_our_hooks_and_lose_them_again() {
    let folder = TempDir::new().expect("a folder");
    let file = folder.path().join(".claude/settings.json");
    let hooks = async |arguments: &[&str]| {
        let mut command = tasklight("http://127.0.0.1:7777", [&["hooks"], arguments].concat());
        finish(command.env("HOME", folder.path()).env_remove("CLAUDE_CONFIG_DIR").current_dir(folder.path())).await
    };
    let read = |path: &std::path::Path| std::fs::read_to_string(path).expect("readable");
    let before = "{\n  \"zeta\": true,\n  \"hooks\": {\n    \"Stop\": [\n      {\"hooks\": [{\"type\": \"command\", \"command\": \"say done\"}]}\n    ]\n  },\n  \"alpha\": 1\n}\n";
    std::fs::create_dir(folder.path().join(".claude")).expect("a folder");
    std::fs::write(&file, before).expect("written");
    let done = hooks(&["install", "claude", "--task", "web", "--print"]).await;
    assert_eq!((done.code, read(&file).as_str()), (Some(0), before), "nothing is changed by --print");
    let printed = done.out();
    let done = hooks(&["install", "claude", "--task", "web"]).await;
    assert!(done.out().contains("11 events now tell http://127.0.0.1:7777"), "{done:?}");
    assert_eq!(read(&file), printed);
    let value: Value = serde_json::from_str(&printed).expect("JSON");
    assert_eq!(value["hooks"]["PreToolUse"][0]["hooks"][0]["url"], "http://127.0.0.1:7777/v1/hooks/claude?task=web");
    assert_eq!(read(&folder.path().join(".claude/settings.json.tasklight-backup")), before);
    assert!(hooks(&["install", "claude", "--task", "web"]).await.out().contains("nothing changed"));
    assert!(hooks(&["status"]).await.out().contains("settings.json: installed, tells http://127.0.0.1:7777"));
    assert!(hooks(&["remove", "claude"]).await.out().contains("the hooks are gone"));
    assert_eq!(read(&file), before);
    assert!(hooks(&["remove", "claude"]).await.out().contains("there were none"));
    // A project that has no settings yet; the token stays where it is.
    let mut command = tasklight("http://127.0.0.1:7777", ["hooks", "install", "claude", "--project"]);
    let done = finish(command.env("HOME", folder.path()).env("TASKLIGHT_TOKEN", "hunter2").current_dir(folder.path())).await;
    assert_eq!(done.code, Some(0), "{done:?}");
    let text = read(&folder.path().join(".claude/settings.local.json"));
    assert!(!text.contains("hunter2") && text.contains("Bearer $TASKLIGHT_TOKEN"), "{text}");
    std::fs::write(&file, "{ // mine\n}").expect("written");
    let done = hooks(&["install", "claude"]).await;
    assert_eq!((done.code, read(&file).as_str()), (Some(1), "{ // mine\n}"), "{done:?}");
    assert!(done.stderr.contains("settings.json") && done.stderr.contains("nothing was changed"), "{}", done.stderr);
}

#[tokio::test]
async fn what_the_command_installs_is_what_the_hub_takes() {
    let hub = TestHub::start().await;
    let done =
        finish(&mut tasklight(&hub.url(""), ["hooks", "install", "claude", "--print", "--settings", "/nowhere/at-all.json"]))
            .await;
    let settings: Value = serde_json::from_str(&done.out()).expect("JSON");
    for (event, groups) in settings["hooks"].as_object().expect("events") {
        let hook = &groups[0]["hooks"][0];
        let mut request = reqwest::Client::new().post(hook["url"].as_str().expect("an address"));
        for (name, _) in hook["headers"].as_object().expect("headers") {
            request = request.header(name, "");
        }
        let response = request.body(payload(event, json!({})).to_string()).send().await.expect("an answer");
        assert_eq!(response.status(), 200, "{event}");
    }
    assert_eq!(hub.log("web").await.len(), 12, "one each, and two of a prompt");
}

#[tokio::test]
async fn what_the_stream_and_the_hooks_of_a_run_both_tell_is_stored_once() {
    let hub = TestHub::start().await;
    let folder = TempDir::new().expect("a folder");
    let stream = [
        json!({"type": "system", "subtype": "init", "session_id": "s", "tools": [], "claude_code_version": "2.1.240"}),
        json!({"type": "assistant", "message": {"id": "m", "content": [{"type": "tool_use", "id": "toolu_1", "name": "Bash", "input": {}}]}}),
        json!({"type": "user", "message": {"content": [{"type": "tool_result", "tool_use_id": "toolu_1", "content": "ok"}]}}),
    ];
    let file = folder.path().join("stream.jsonl");
    std::fs::write(&file, stream.map(|line| line.to_string()).join("\n")).expect("written");
    let path = file.to_str().expect("UTF-8");
    let run = ["run", "--task", "joined", "--invocation", "r", "--format", "claude", "--", "cat", path];
    let done = finish(&mut tasklight(&hub.url(""), run)).await;
    assert_eq!(done.code, Some(0), "{done:?}");
    for (event, name) in [("PreToolUse", "tool_name"), ("PostToolUse", "tool_response")] {
        let path = "/v1/hooks/claude?task=joined&invocation=r";
        let (status, _) = hub.send("POST", path, payload(event, json!({"tool_use_id": "toolu_1", name: "Bash"}))).await;
        assert_eq!(status, 200);
    }
    let log = hub.log("joined").await;
    for kind in ["tool_call", "tool_result"] {
        let ids: Vec<_> =
            log.iter().filter(|a| a["type"] == kind).map(|a| a["data"]["toolCallId"].as_str().expect("an id")).collect();
        assert_eq!(ids, ["r:toolu_1"], "{kind}: of the stream, which came first");
    }
}

#[tokio::test]
async fn an_agent_does_not_wait_for_a_store_that_does_not_answer_and_nothing_is_lost() {
    let database = postgres_database().await;
    let hub = TestHub::start_with(|settings| settings.store.url = database.url()).await;
    say(&hub, "UserPromptSubmit", json!({"prompt": "first"})).await;
    let mut other = PgConnection::connect(&database.url()).await.expect("Postgres is there");
    other.execute("BEGIN; LOCK TABLE tasks IN ACCESS EXCLUSIVE MODE").await.expect("it is locked");
    let began = Instant::now();
    let (status, problem) = hub.send("POST", "/v1/hooks/claude", payload("UserPromptSubmit", json!({"prompt": "second"}))).await;
    assert_eq!((status, &problem["code"]), (503, &json!("store_unavailable")));
    assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
    other.execute("ROLLBACK").await.expect("it is free");
    let stored = async { while hub.log("web").await.len() < 4 {} };
    tokio::time::timeout(PATIENCE, stored).await.expect("what was taken is stored");
    assert_eq!(hub.log("web").await[3]["data"]["text"], "second");
}
