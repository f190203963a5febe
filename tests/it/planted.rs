//! Secrets that agents print are nowhere on their way: not in what waits on disk, in what is kept for later, in a hub's log at its wordiest,
//! or in what `formats` says of a transcript.

use std::{path::Path, process::Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    time::timeout,
};

use crate::{
    harness::PATIENCE,
    program::{end, finish, hear, run, tasklight},
    redact::{is_clean, planted},
    run::type_line,
    services::{prefix, redis_url},
};

const TOKEN: &str = "ghp_PLANTEDd4E5f6G7h8I9j0K1l2M3n4O5p6Q7r";
const PASSWORD: &str = "PLANTED9zebra";

/// Lines of each format with secrets where agents print what they read, and the fields that are shown of them.
fn transcripts() -> Vec<(&'static str, Vec<Value>)> {
    let words = format!("the token is {TOKEN}");
    let env = format!("DB_PASSWORD={PASSWORD}\nAPI_TOKEN={TOKEN}\n");
    let input = json!({"command": format!("curl -H 'Authorization: Bearer {PASSWORD}0' x"), "password": PASSWORD});
    let claude = |kind: &str, block: Value| json!({"type": kind, "message": {"role": kind, "content": [block]}});
    let codex = |item: Value| json!({"type": "item.completed", "item": item});
    let opencode = |kind: &str, part: Value| json!({"type": kind, "timestamp": 1, "sessionID": "s", "part": part});
    let goose =
        |role: &str, block: Value| json!({"type": "message", "message": {"role": role, "created": 1, "content": [block]}});
    let talk = |kind: &str| {
        vec![
            claude("assistant", json!({"type": "text", "text": words})),
            claude("assistant", json!({"type": "thinking", "thinking": words})),
            claude("assistant", json!({"type": "tool_use", "id": "t", "name": "Bash", "input": input})),
            claude("user", json!({"type": "tool_result", "tool_use_id": "t", "content": env})),
            json!({"type": "result", "subtype": "error", "is_error": true, "error": words, "agent": kind}),
        ]
    };
    vec![
        ("claude", talk("claude")),
        ("amp", talk("amp")),
        (
            "codex",
            vec![
                codex(json!({"id": "a", "type": "agent_message", "text": words})),
                codex(json!({"id": "b", "type": "command_execution", "command": format!("login --password {PASSWORD}"),
                    "aggregated_output": env, "exit_code": 0, "status": "completed"})),
                json!({"type": "turn.failed", "error": {"message": words}}),
            ],
        ),
        (
            "gemini",
            vec![
                json!({"type": "message", "role": "assistant", "content": words, "delta": true}),
                json!({"type": "tool_use", "tool_name": "sh", "tool_id": "t", "parameters": input}),
                json!({"type": "tool_result", "tool_id": "t", "status": "success", "output": env}),
                json!({"type": "result", "status": "error", "error": {"type": "E", "message": words}}),
            ],
        ),
        (
            "opencode",
            vec![
                opencode("text", json!({"type": "text", "text": words, "time": {"end": 1}})),
                opencode(
                    "tool_use",
                    json!({"callID": "t", "tool": "bash", "state": {"status": "completed", "input": input, "output": env}}),
                ),
                json!({"type": "error", "timestamp": 1, "sessionID": "s", "error": {"name": "E", "data": {"message": words}}}),
            ],
        ),
        (
            "cursor",
            vec![
                claude("assistant", json!({"type": "text", "text": words})),
                json!({"type": "tool_call", "subtype": "started", "call_id": "t", "tool_call": {"shellToolCall": {"args": input}}}),
                json!({"type": "tool_call", "subtype": "completed", "call_id": "t", "tool_call": {"shellToolCall": {"args": input,
                    "result": {"success": {"stdout": env, "exitCode": 0}}}}}),
                json!({"type": "result", "subtype": "error", "is_error": true, "result": words}),
            ],
        ),
        (
            "goose",
            vec![
                goose("assistant", json!({"type": "text", "text": words})),
                goose(
                    "assistant",
                    json!({"type": "toolRequest", "id": "t", "toolCall": {"status": "success", "value": {"name": "sh", "arguments": input}}}),
                ),
                goose(
                    "user",
                    json!({"type": "toolResponse", "id": "t", "toolResult": {"status": "success", "value": [{"type": "text", "text": env}]}}),
                ),
                json!({"type": "error", "error": words}),
            ],
        ),
        (
            "jsonl",
            vec![
                json!({"type": "message", "data": {"text": words}}),
                json!({"any": env}),
                json!({"type": "status", "data": {"status": "failed", "reason": words}}),
            ],
        ),
        ("text", vec![]),
    ]
}

/// A transcript in a file, with a line that is no JSON and one that nobody knows.
fn written(folder: &TempDir, format: &str, lines: &[Value]) -> String {
    let path = folder.path().join(format!("{format}.jsonl"));
    let (first, last) = lines.split_at(lines.len().saturating_sub(1));
    let text = |lines: &[Value]| lines.iter().map(|line| format!("{line}\n")).collect::<String>();
    let between =
        format!("export API_KEY={PASSWORD}\n{}\n", json!({"type": format!("new {TOKEN}"), "x": [TOKEN, {"secret": PASSWORD}]}));
    std::fs::write(&path, text(first) + &between + &text(last)).expect("written");
    path.display().to_string()
}

/// The bytes of every file without a name that this process holds open: what waits on disk is in such files.
fn unnamed_files(pid: u32) -> Vec<u8> {
    let folder = format!("/proc/{pid}/fd");
    let open = std::fs::read_dir(folder).expect("it runs").filter_map(|entry| Some(entry.ok()?.path()));
    let unnamed =
        open.filter(|path| std::fs::read_link(path).is_ok_and(|target| target.to_string_lossy().ends_with(" (deleted)")));
    unnamed.filter_map(|path| std::fs::read(path).ok()).flatten().collect()
}

#[tokio::test]
async fn what_an_agent_says_is_clean_on_disk_and_in_what_is_kept() {
    let folder = TempDir::new().expect("a folder");
    for (format, lines) in transcripts() {
        let path = written(&folder, format, &lines);
        let kept = TempDir::new().expect("a folder");
        // More than waits in memory, so that the transcript goes to the disk.
        let filler = json!({"type": "filler", "data": {"text": "x".repeat(30_000)}});
        let filler_path = folder.path().join("filler");
        std::fs::write(&filler_path, format!("{filler}\n").repeat(200)).expect("written");
        let script = format!("cat '{}' '{path}'; echo; echo ready >&2; read a", filler_path.display());
        let flags = ["--quiet", "--wait", "0s", "--format", format, "--title", &format!("with {TOKEN}")];
        let mut child = run("http://127.0.0.1:1", &flags, &script)
            .env("TMPDIR", kept.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .expect("it starts");
        let mut errors = BufReader::new(child.stderr.take().expect("piped")).lines();
        let line = timeout(PATIENCE, errors.next_line()).await.expect("in time").expect("text");
        assert_eq!(line.as_deref(), Some("ready"), "{format}");
        let pid = child.id().expect("it runs");
        let on_disk = async {
            loop {
                let bytes = unnamed_files(pid);
                if String::from_utf8_lossy(&bytes).contains("[redacted:github-token]") {
                    return bytes;
                }
                tokio::task::yield_now().await;
            }
        };
        let waiting = timeout(PATIENCE, on_disk).await.unwrap_or_else(|_| panic!("{format}: nothing on disk"));
        is_clean(&format!("{format} on disk"), waiting);
        type_line(&mut child).await;
        assert_eq!(end(child).await.code, Some(0), "{format}");
        let file = std::fs::read_dir(kept.path()).expect("a folder").next().expect("a file").expect("readable").path();
        let rest = std::fs::read_to_string(file).expect("UTF-8");
        assert!(rest.contains("[redacted:github-token]") && rest.contains("[redacted:named-secret]"), "{format}");
        assert!(rest.contains(r#""status":"#) && rest.lines().count() >= 200.min(5 + lines.len()), "{format}");
        is_clean(&format!("what is kept of {format}"), rest);
    }
}

#[tokio::test]
async fn what_is_said_of_a_transcript_has_no_secret() {
    let folder = TempDir::new().expect("a folder");
    for (format, lines) in transcripts().into_iter().filter(|(format, _)| *format != "text") {
        let path = written(&folder, format, &lines);
        for flags in [&["formats", "--format", format][..], &["formats", "--json", "--format", format]] {
            let done = finish(&mut tasklight("", [flags, &[&path]].concat())).await;
            assert_eq!(done.code, Some(0), "{format}: {}", done.stderr);
            is_clean(&format!("what formats says of {format}"), &done.stdout);
            assert!(done.out().contains("[redacted:github-token]"), "{format}: {}", done.out());
        }
    }
}

#[tokio::test]
async fn a_hubs_log_at_its_wordiest_has_no_secret() {
    let folder = TempDir::new().expect("a folder");
    let log = folder.path().join("log");
    let prefix = prefix();
    let mut hub = tasklight("", ["serve", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", "--broker", &redis_url()])
        .current_dir(folder.path())
        .env("TASKLIGHT__LOG__LEVEL", "trace")
        .env("TASKLIGHT__LOG__FORMAT", "json")
        .env("TASKLIGHT__BROKER__PREFIX", &prefix)
        .stderr(std::fs::File::create(&log).expect("a file"))
        .spawn()
        .expect("it starts");
    let said = hear(&mut hub, "/\n").await;
    let url =
        said.split_whitespace().find(|word| word.starts_with("http://")).expect("its address").trim_end_matches('/').to_owned();
    let client = reqwest::Client::new();
    let post = async |body: String| {
        client.post(format!("{url}/v1/tasks/t/activities")).body(body).send().await.expect("an answer").status().as_u16()
    };
    assert_eq!(post(json!(planted()).to_string()).await, 200);
    assert_eq!(post(format!(r#"{{"invocationId":"r","type":"message","{TOKEN}":"{PASSWORD}""#)).await, 400, "it is cut");
    assert_eq!(post(json!({"invocationId": "r", "type": TOKEN, "data": PASSWORD}).to_string()).await, 400);
    assert_eq!(post(json!({"invocationId": TOKEN, "type": "message"}).to_string()).await, 400);
    let redis = redis::Client::open(redis_url()).expect("a URL");
    let mut agent = redis.get_multiplexed_async_connection().await.expect("Redis is there");
    let publish = async |agent: &mut redis::aio::MultiplexedConnection, channel: &str, text: String| -> u64 {
        redis::cmd("PUBLISH").arg(format!("{prefix}{channel}")).arg(text).query_async(agent).await.expect("a count")
    };
    publish(&mut agent, "tasks", json!({"taskId": "t"}).to_string()).await;
    let texts = [
        json!(planted()).to_string(),
        json!({"invocationId": "r", "type": "message", TOKEN: PASSWORD}).to_string(),
        format!("no JSON but {TOKEN} PASSWORD={PASSWORD}"),
    ];
    let mut rejects = String::new();
    let refused = async {
        // A hub that has just started may hear what it does not yet answer for.
        while !rejects.contains("unknown_field") || !rejects.contains("invalid_json") {
            for text in &texts {
                publish(&mut agent, "task:t", text.clone()).await;
            }
            let answer = client.get(format!("{url}/v1/tasks/t/rejects")).send().await.expect("an answer");
            rejects = answer.text().await.expect("a body");
        }
    };
    timeout(PATIENCE, refused).await.unwrap_or_else(|_| panic!("they are kept: {rejects}"));
    is_clean("the rejects", &rejects);
    crate::run::signal(&hub, rustix::process::Signal::TERM);
    assert_eq!(end(hub).await.code, Some(0));
    let words = std::fs::read_to_string(Path::new(&log)).expect("UTF-8");
    assert!(words.contains(r#""level":"TRACE""#) && words.contains(r#""level":"DEBUG""#), "it says a lot");
    is_clean("the log", words);
}
