//! What was recorded elsewhere, imported: agents' session files and the old database.

use std::path::Path;

use serde_json::{Value, json};
use sqlx::{ConnectOptions, Connection, Executor, sqlite::SqliteConnectOptions};
use tempfile::TempDir;

use crate::{
    harness::TestHub,
    program::{Finished, finish, tasklight},
};

const SESSIONS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/sessions");

async fn import(hub: &str, arguments: &[&str]) -> Finished {
    finish(&mut tasklight(hub, [&["import"], arguments].concat())).await
}

/// Type and what matters of the data of each activity.
fn told(log: &[Value], invocation: &str) -> Vec<String> {
    let of_run = log.iter().filter(|activity| activity["invocationId"] == invocation);
    of_run
        .map(|activity| {
            let data = &activity["data"];
            let words = ["name", "role", "text", "status", "output", "message"];
            let words: Vec<_> = words.iter().filter_map(|name| data[*name].as_str()).collect();
            format!("{}: {}", activity["type"].as_str().expect("a type"), words.join(" "))
        })
        .collect()
}

#[tokio::test]
async fn sessions_become_finished_runs_with_their_own_times_and_only_once() {
    let hub = TestHub::start().await;
    let done = import(&hub.url(""), &[SESSIONS]).await;
    assert_eq!(done.code, Some(0), "{done:?}");
    let expected = "5 sessions (2 claude, 1 codex, 2 gemini) in 3 tasks";
    assert!(done.out().starts_with(expected), "{}", done.out());
    assert!(done.out().contains("4 lines of unknown form were kept as they are"), "{}", done.out());

    let session = "5c1d0f1e-0000-4000-8000-000000000001";
    let web = hub.log("web").await;
    assert_eq!(
        told(&web, session),
        [
            "status: running",
            "custom: prompt <local-command-caveat>Caveat: local commands</local-command-caveat>",
            "message: user Fix the failing test\nand say why it failed",
            "thinking: The test is about dates.",
            "message: assistant I look at the test first.",
            "tool_call: Bash",
            "tool_result: 1 failing",
            "message: assistant It was the time zone.",
            "custom: unknown",
            "usage: ",
            "status: completed",
        ]
    );
    let of = |kind: &str| web.iter().find(|activity| activity["type"] == kind).expect(kind);
    assert_eq!(of("tool_call")["timestamp"], 1_795_168_807_000_u64, "when it was, not when it was imported");
    assert_eq!(of("tool_call")["data"]["toolCallId"], format!("{session}:toolu_1"));
    assert_eq!(of("usage")["data"]["inputTokens"], 3_010, "what each message had sent, cached or not");
    assert_eq!(of("usage")["data"]["outputTokens"], 130, "the last of what its lines say of a message, and no sum of them");
    let (_, run) = hub.get(&format!("/v1/tasks/web/invocations/{session}")).await;
    for (name, value) in [
        ("status", json!("completed")),
        ("backfilled", json!(true)),
        ("stalled", json!(false)),
        ("agent", json!("claude")),
        ("title", json!("Fix the date test")),
        ("startedAt", json!(1_795_168_801_000_u64)),
        ("completedAt", json!(1_795_168_820_000_u64)),
    ] {
        assert_eq!(run[name], value, "{name}");
    }
    assert_eq!(told(&web, &format!("{session}/agent-a1")).len(), 5, "a sub-agent is a run of its own");

    let api = hub.log("api").await;
    assert_eq!(
        told(&api, "0199c0de-0000-7000-8000-000000000002"),
        [
            "status: running",
            "custom: agent.init",
            "message: user List the files",
            "thinking: **Listing**",
            "tool_call: exec_command",
            "tool_result: a.rs\nb.rs\n",
            "tool_call: apply_patch",
            "tool_result: no such file",
            "message: assistant Two files.",
            "message: user yes",
            "message: user yes",
            "custom: unknown",
            "custom: turn_aborted",
            "custom: unknown",
            "usage: ",
            "status: cancelled",
        ]
    );
    assert_eq!(api[7]["data"]["isError"], true);

    let shop = hub.log("shop").await;
    assert_eq!(
        told(&shop, "9b1d0000-0000-4000-8000-000000000003"),
        [
            "status: running",
            "message: user What is in the cart?",
            "thinking: Cart\nLook into it.",
            "message: assistant I look.",
            "tool_call: read_file",
            "tool_result: []",
            "tool_call: run_shell_command",
            "tool_result: ",
            "message: assistant Nothing.",
            "custom: notice Request cancelled.",
            "custom: unknown",
            "usage: ",
            "status: completed",
        ]
    );
    let said = told(&shop, "9b1d0000-0000-4000-8000-000000000004");
    assert_eq!(said[1..3], ["message: user hi", "message: assistant hello"], "the last of what has the same id");

    let again = import(&hub.url(""), &[SESSIONS]).await;
    assert!(again.out().contains(": 0 activities stored, ") && again.code == Some(0), "{}", again.out());
    for (task, before) in [("web", web), ("api", api), ("shop", shop)] {
        assert_eq!(hub.log(task).await, before);
    }
}

#[tokio::test]
async fn a_session_that_grew_gets_what_is_new_and_one_seen_live_is_left_alone() {
    let hub = TestHub::start().await;
    let folder = TempDir::new().expect("a folder");
    let file = folder.path().join("session.jsonl");
    let text = std::fs::read_to_string(format!("{SESSIONS}/claude/-home-me-web/5c1d0f1e-0000-4000-8000-000000000001.jsonl"))
        .expect("readable");
    let half: Vec<&str> = text.lines().take(8).collect();
    std::fs::write(&file, half.join("\n")).expect("written");
    let path = file.to_str().expect("UTF-8");
    assert_eq!(import(&hub.url(""), &["--task", "t", path]).await.code, Some(0));
    let before = hub.log("t").await;
    std::fs::write(&file, &text).expect("written");
    assert_eq!(import(&hub.url(""), &["--task", "t", path]).await.code, Some(0));
    let after = hub.log("t").await;
    assert_eq!(after[..before.len()], before);
    let messages = |log: &[Value]| log.iter().filter(|activity| activity["type"] == "message").count();
    assert_eq!((messages(&before), messages(&after)), (2, 3));

    let live = json!({"invocationId": "5c1d0f1e-0000-4000-8000-000000000001", "type": "message", "data": {"text": "live"}});
    hub.post("live", live).await;
    let done = import(&hub.url(""), &["--task", "live", path]).await;
    assert!(done.out().contains("1 sessions had been seen live and were left alone"), "{}", done.out());
    assert_eq!(hub.log("live").await.len(), 1);
    import(&hub.url(""), &["--task", "live", "--seen-live", path]).await;
    assert!(1 < hub.log("live").await.len());
}

#[tokio::test]
async fn a_dry_run_needs_no_hub_and_secrets_do_not_leave() {
    let done = import("http://127.0.0.1:1", &["--dry-run", SESSIONS]).await;
    assert_eq!(done.code, Some(0), "{done:?}");
    assert!(done.out().starts_with("nothing was stored (--dry-run): 5 sessions"), "{}", done.out());
    let hub = TestHub::start_with(|settings| settings.redact.enabled = false).await;
    let folder = TempDir::new().expect("a folder");
    let line = json!({"type": "user", "sessionId": "s1", "cwd": "/x/web", "timestamp": "2026-11-20T10:00:00Z",
        "message": {"role": "user", "content": "use ghp_PLANTEDa1b2c3d4e5f6g7h8i9j0k1l2m3n4o5p6"}});
    std::fs::write(folder.path().join("s1.jsonl"), format!("{line}\n")).expect("written");
    std::fs::write(folder.path().join("package.json"), "{\"name\": \"x\"}").expect("written");
    let done = import(&hub.url(""), &[folder.path().to_str().expect("UTF-8")]).await;
    assert!(done.out().contains("1 files were no sessions"), "{}", done.out());
    let log = json!(hub.log("web").await).to_string();
    assert!(log.contains("[redacted:github-token]") && !log.contains("PLANTED"), "{log}");
}

/// An old database with this table.
async fn old_database(path: &Path, statements: &str) {
    let options = SqliteConnectOptions::new().filename(path).create_if_missing(true);
    let mut connection = options.connect().await.expect("it opens");
    connection.execute(sqlx::raw_sql(sqlx::AssertSqlSafe(statements.to_owned()))).await.expect("it is made");
    connection.close().await.expect("it closes");
}

const OLD: &str = "
CREATE TABLE task_invocations (id INTEGER PRIMARY KEY, task_id TEXT, agent TEXT, prompt TEXT, result TEXT, error TEXT,
                               status TEXT, created_at TEXT, colour TEXT, weight REAL, picture BLOB);
INSERT INTO task_invocations VALUES
 (1, 'build', 'claude', 'first thing', 'done', NULL, 'ok', '2024-01-31 12:34:56', 'red', 1.5, x'cafe'),
 (2, 'build', 'claude', 'same second', 'done', NULL, 'ok', '2024-01-31 12:34:56', NULL, NULL, NULL),
 (3, 'build', 'codex', 'earlier', NULL, 'it broke', 'failed', '2024-01-30 00:00:00', NULL, NULL, NULL),
 (4, 'my task', NULL, NULL, NULL, NULL, NULL, '2024-02-01 00:00:00', NULL, NULL, NULL),
 (5, NULL, NULL, 'no date', NULL, NULL, NULL, '31.01.2024', NULL, NULL, NULL);";

#[tokio::test]
async fn the_old_table_is_imported_whole_in_its_order_and_only_once() {
    let hub = TestHub::start().await;
    let folder = TempDir::new().expect("a folder");
    let file = folder.path().join("old.db");
    old_database(&file, OLD).await;
    let bytes = std::fs::read(&file).expect("readable");
    let path = file.to_str().expect("UTF-8");
    let dry = import("http://127.0.0.1:1", &["--legacy", path, "--dry-run"]).await;
    assert!(dry.out().starts_with("nothing was stored (--dry-run): 5 rows in 3 tasks: 12 activities"), "{dry:?}");
    let done = import(&hub.url(""), &["--legacy", path]).await;
    assert_eq!(done.code, Some(1), "a date could not be read");
    assert!(done.out().starts_with("5 rows in 3 tasks: 12 activities stored; 1 rows had dates"), "{}", done.out());
    assert!(done.stderr.contains("row 5: created_at \"31.01.2024\" is no date"), "{}", done.stderr);
    assert!(done.stderr.contains("task \"my task\" is imported as my-task"), "{}", done.stderr);

    let log = hub.log("build").await;
    let order: Vec<_> =
        log.iter().filter(|a| a["type"] == "status").map(|a| a["invocationId"].as_str().expect("an id")).collect();
    assert_eq!(order, ["3", "1", "2"], "by time, and within a second by row");
    let (_, run) = hub.get("/v1/tasks/build/invocations/1").await;
    let at = json!(1_706_704_496_000_u64);
    for (name, value) in [
        ("status", &json!("completed")),
        ("backfilled", &json!(true)),
        ("stalled", &json!(false)),
        ("agent", &json!("claude")),
        ("title", &json!("first thing")),
        ("startedAt", &at),
        ("completedAt", &at),
    ] {
        assert_eq!(&run[name], value, "{name}");
    }
    let first = log.iter().find(|activity| activity["invocationId"] == "1").expect("it is there");
    assert_eq!(first["data"]["legacy"], json!({"row": 1, "status": "ok", "colour": "red", "weight": 1.5, "picture": "cafe"}));
    assert_eq!(log.iter().find(|activity| activity["type"] == "error").expect("an error")["data"]["message"], "it broke");
    let undated = &hub.log("legacy").await[0];
    assert_eq!(
        (&undated["data"]["legacy"]["created_at"], &undated["timestamp"]),
        (&json!("31.01.2024"), &json!(1_706_745_600_000_u64))
    );
    let shown = finish(&mut tasklight(&hub.url(""), ["tasks", "show", "build"])).await.out();
    assert!(shown.contains("recorded afterwards") && !shown.contains("took"), "{shown}");

    let again = import(&hub.url(""), &["--legacy", path]).await;
    assert!(again.out().contains(": 0 activities stored, 12 were there before"), "{}", again.out());
    assert_eq!(hub.log("build").await, log);
    assert_eq!(std::fs::read(&file).expect("readable"), bytes, "it was only read");
    assert_eq!(std::fs::read_dir(folder.path()).expect("a folder").count(), 1, "and nothing was put beside it");
}

#[tokio::test]
async fn an_import_that_was_cut_off_goes_on_where_it_was() {
    let mut hub = TestHub::start().await;
    let folder = TempDir::new().expect("a folder");
    let file = folder.path().join("old.db");
    let rows: Vec<String> =
        (1..=3_000).map(|n| format!("({n}, 'big', '2024-01-31 12:{:02}:{:02}')", n / 60 % 60, n % 60)).collect();
    let table = "CREATE TABLE task_invocations (id INTEGER PRIMARY KEY, task_id TEXT, created_at TEXT); INSERT INTO task_invocations VALUES ";
    old_database(&file, &format!("{table}{};", rows.join(","))).await;
    let path = file.to_str().expect("UTF-8").to_owned();
    let child = tasklight(&hub.url(""), ["import", "--retry-for", "0s", "--legacy", &path]).spawn().expect("it starts");
    let begun = async { while hub.get("/v1/tasks/big").await.0 != 200 {} };
    tokio::time::timeout(crate::harness::PATIENCE, begun).await.expect("something is stored");
    hub.restart().await;
    let cut = crate::program::end(child).await;
    if cut.code != Some(0) {
        assert_eq!(cut.code, Some(3), "{cut:?}");
        assert!(cut.stderr.contains("run it again to go on"), "{}", cut.stderr);
    }
    let done = import(&hub.url(""), &["--legacy", &path]).await;
    assert_eq!(done.code, Some(0), "{done:?}");
    let log = hub.log("big").await;
    let mut runs: Vec<_> = log.iter().map(|activity| activity["invocationId"].as_str().expect("an id")).collect();
    runs.sort_unstable();
    runs.dedup();
    assert_eq!((log.len(), runs.len()), (3_000, 3_000), "each row once");
}

#[tokio::test]
async fn what_is_no_old_database_is_said_plainly() {
    let folder = TempDir::new().expect("a folder");
    let file = folder.path().join("old.db");
    let path = file.to_str().expect("UTF-8");
    let legacy = async |table: &str| import("http://127.0.0.1:1", &["--legacy", path, "--table", table, "--dry-run"]).await;
    assert!(legacy("task_invocations").await.stderr.contains("old.db is no file"));
    std::fs::write(
        &file,
        "just text, and long enough to be looked at as a header of a database file, which has 100 bytes or more",
    )
    .expect("written");
    assert!(legacy("task_invocations").await.stderr.contains("is no SQLite database"));
    std::fs::remove_file(&file).expect("removed");
    old_database(&file, "CREATE TABLE runs (name TEXT); CREATE TABLE \"odd \"\" name\" (a TEXT, Created_At TEXT);").await;
    let done = legacy("task_invocations").await;
    assert!(done.stderr.contains("it has odd \" name, runs: name one with --table"), "{}", done.stderr);
    assert!(legacy("runs").await.stderr.contains("no column created_at; it has name"));
    let done = legacy("odd \" name").await;
    assert!(done.out().contains("0 rows in 0 tasks"), "{done:?}");
}
