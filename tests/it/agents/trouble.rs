//! Agents whose hub is away, and agents that are stopped.

use super::*;

#[tokio::test]
async fn an_agent_is_never_held_up_by_a_hub_that_is_away_and_what_is_dropped_is_said() {
    let folder = TempDir::new().expect("a folder");
    let path = folder.path().join("long.jsonl");
    let line = |number: usize| {
        let content = json!([{"type": "text", "text": format!("{number} {}", "x".repeat(900))}]);
        format!("{}\n", json!({"type": "assistant", "message": {"id": "m", "content": content}}))
    };
    let text: String = (0..10_000).map(line).collect();
    std::fs::write(&path, format!("{text}{{\"type\":\"result\",\"subtype\":\"success\",\"is_error\":false}}\n"))
        .expect("written");
    let script = format!("cat '{}'", path.display());
    let flags = ["--format", "claude", "--wait", "0s", "--spill-limit", "1MiB"];
    let done = finish(run("http://127.0.0.1:1", &flags, &script).env("TMPDIR", folder.path())).await;
    assert_eq!((done.code, done.stdout.len() as u64), (Some(0), std::fs::metadata(&path).expect("it is there").len()));
    assert!(done.stderr.contains("the newest is dropped"), "{}", done.stderr);
    let mut files = std::fs::read_dir(folder.path()).expect("a folder").map(|file| file.expect("readable").path());
    let kept = std::fs::read_to_string(files.find(|file| *file != path).expect("a file")).expect("UTF-8");
    assert!(kept.len() < 6 << 20, "{} bytes", kept.len());
    let last: Value = kept.lines().last().and_then(|line| serde_json::from_str(line).ok()).expect("JSON");
    assert_eq!(last["data"], json!({"status": "completed", "exitCode": 0}));
}

#[tokio::test]
async fn an_agent_that_is_asked_to_end_and_ends_without_a_word_is_cancelled() {
    let hub = TestHub::start().await;
    let script = format!(
        "trap 'exit 0' INT; cat '{}'; echo ready; while :; do read line; done",
        fixture("claude/made_cut.jsonl").display()
    );
    let mut child = run(&hub.url(""), &[], &script).stdin(Stdio::piped()).spawn().expect("it starts");
    hear(&mut child, "ready\n").await;
    signal(&child, Signal::INT);
    assert_eq!(end(child).await.code, Some(0));
    let log = log(&hub.url(""), "t").await;
    assert_eq!(log.last().expect("a status").data(), r#"{"status":"cancelled","exitCode":0,"reason":"interrupted"}"#);
}
