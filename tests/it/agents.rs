//! Coding agents behind `tasklight run` and `pipe`: recorded transcripts, replayed by stand-in commands.

mod trouble;

use std::{
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Stdio,
};

use rustix::process::Signal;
use serde_json::{Value, json};
use tasklight::{
    client::Received,
    formats::{Choice, Draft, Format, Said, Transcript},
    model::InvocationId,
};
use tempfile::TempDir;
use tokio::io::AsyncWriteExt;

use crate::{
    harness::TestHub,
    program::{end, finish, hear, log, output, run, statuses, tasklight},
    run::{Unsteady, seen, signal, type_line},
};

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/agents").join(name)
}

/// One transcript of each format that tells of a tool or two, and where its middle is.
const EACH: [(&str, Format, usize); 8] = [
    ("claude/remotecoder_permission_turn_cli2.1.186_partials.jsonl", Format::Claude, 43),
    ("claude/subagent_explore_count_files.jsonl", Format::Claude, 14),
    ("codex/takopi_all_formats.jsonl", Format::Codex, 10),
    ("gemini/made_deltas.jsonl", Format::Gemini, 4),
    ("opencode/takopi_opencode_stream_success.jsonl", Format::Opencode, 3),
    ("cursor/vincent_tools_2026.08.11.jsonl", Format::Cursor, 9),
    ("amp/untether_amp_stream_success.jsonl", Format::Amp, 2),
    ("goose/made_run.jsonl", Format::Goose, 5),
];

/// What the parser says of a transcript of invocation `r`.
fn expected(path: &Path, format: Format) -> Vec<Draft> {
    let mut transcript = Transcript::new(Choice::Known(format), "r".parse().expect("valid"));
    let mut said = Vec::new();
    transcript.push(&std::fs::read(path).expect("readable"), &mut said);
    transcript.finish(&mut said);
    said.into_iter().filter_map(|said| if let Said::Draft(draft) = said { Some(draft) } else { None }).collect()
}

/// Demands that the log is one invocation `r`: a status, the transcript, and a status.
fn is_transcript(name: &str, log: &[Received], drafts: &[Draft]) {
    let invocation: InvocationId = "r".parse().expect("valid");
    let (first, rest) = log.split_first().expect("activities");
    let (last, said) = rest.split_last().expect("activities");
    assert_eq!((first.kind.as_str(), last.kind.as_str()), ("status", "status"), "{name}");
    assert_eq!(said.len(), drafts.len(), "{name}");
    for (activity, draft) in said.iter().zip(drafts) {
        let mut data: Value = serde_json::from_str(activity.data()).expect("JSON");
        let time = data.as_object_mut().and_then(|data| data.remove("sourceTimestamp"));
        assert_eq!(time.as_ref().and_then(Value::as_u64), draft.time.map(|time| time.as_millis()), "{name}");
        assert_eq!((activity.kind.as_str(), &data), (draft.kind.as_str(), &json!(draft.data)), "{name}");
        assert_eq!(activity.event_id, draft.event_id(&invocation), "{name}");
    }
}

/// A command of this name that does what the script says.
fn stand_in(folder: &TempDir, name: &str, script: &str) -> String {
    let path = folder.path().join(name);
    std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).expect("written");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("its mode");
    path.to_str().expect("UTF-8").to_owned()
}

#[tokio::test]
async fn every_transcript_comes_out_as_its_parser_says_and_passes_through_unchanged() {
    let hub = TestHub::start().await;
    for (number, (name, format, _)) in EACH.into_iter().enumerate() {
        let (path, task) = (fixture(name), format!("t{number}"));
        let script = format!("cat '{}'", path.display());
        let flags = ["run", "--task", &task, "--invocation", "r", "--format", format.as_str(), "--", "sh", "-c", &script];
        let done = finish(&mut tasklight(&hub.url(""), flags)).await;
        assert_eq!((done.code, done.stdout), (Some(0), std::fs::read(&path).expect("readable")), "{name}: {}", done.stderr);
        let log = log(&hub.url(""), &task).await;
        is_transcript(name, &log, &expected(&path, format));
        let status = if name.contains("takopi_all") { "failed" } else { "completed" };
        assert_eq!(statuses(&log), ["running", status], "{name}");
        assert_eq!(log[0].field::<String>("agent").as_deref(), Some(format.as_str()));
    }
}

#[tokio::test]
async fn a_transcript_that_is_sent_again_and_again_is_stored_once() {
    let hub = TestHub::start().await;
    for (name, format, _) in [EACH[0], EACH[3]] {
        let (path, task) = (fixture(name), format.as_str());
        let send = || async {
            let flags = ["pipe", "--task", task, "--invocation", "r", "--quiet", "--format", task];
            let input = std::fs::File::open(&path).expect("readable");
            let done = finish(tasklight(&hub.url(""), flags).stdin(input)).await;
            assert_eq!((done.code, done.stderr.as_str()), (Some(0), ""));
            assert_eq!(done.stdout, std::fs::read(&path).expect("readable"));
        };
        send().await;
        let first = log(&hub.url(""), task).await;
        is_transcript(name, &first, &expected(&path, format));
        tokio::join!(send(), send(), send(), send());
        let again = log(&hub.url(""), task).await;
        let said = finish(
            tasklight(&hub.url(""), ["pipe", "--task", task, "--invocation", "r", "--format", task])
                .stdin(std::fs::File::open(&path).expect("readable")),
        )
        .await;
        assert!(said.stderr.contains(&format!("{} activities had been stored before", first.len())), "{}", said.stderr);
        let ids = |log: &[Received]| log.iter().map(|activity| activity.event_id).collect::<Vec<_>>();
        assert_eq!(ids(&again), ids(&first), "{name}");
    }
}

#[tokio::test]
async fn a_hub_that_is_away_in_the_middle_of_a_transcript_has_all_of_it_once() {
    for (name, format, middle) in EACH {
        let mut hub = Unsteady::start();
        let path = fixture(name);
        let shown = path.display();
        let script = format!("head -n {middle} '{shown}'; echo; read a; tail -n +{} '{shown}'; echo; read b", middle + 1);
        let flags = ["--invocation", "r", "--format", format.as_str()];
        let mut child = run(&hub.url(), &flags, &script).stdin(Stdio::piped()).spawn().expect("it starts");
        hear(&mut child, "\n\n").await;
        seen(&hub.url(), "agent").await;
        hub.kill();
        type_line(&mut child).await;
        hear(&mut child, "\n\n").await;
        hub.back();
        type_line(&mut child).await;
        let done = end(child).await;
        assert_eq!(done.code, Some(0), "{name}: {}", done.stderr);
        let log = log(&hub.url(), "t").await;
        let drafts = expected(&path, format);
        // The blank line in the middle moves the later ids; the words are the same.
        let words = |data: &str| serde_json::from_str::<Value>(data).expect("JSON")["text"].clone();
        let told: Vec<_> =
            log[1..log.len() - 1].iter().map(|activity| (activity.kind.as_str(), words(activity.data()))).collect();
        let meant: Vec<_> =
            drafts.iter().map(|draft| (draft.kind.as_str(), draft.data.get("text").cloned().unwrap_or_default())).collect();
        assert_eq!(told, meant, "{name}");
    }
}

#[tokio::test]
async fn known_agents_are_told_to_print_json_unless_hands_are_kept_off() {
    let hub = TestHub::start().await;
    let folder = TempDir::new().expect("a folder");
    let claude = stand_in(&folder, "claude", &format!("echo \"$*\" >&2; cat '{}'", fixture(EACH[1].0).display()));
    let flags = |more: &[&str]| [&["run", "--task", "t"], more, &["--", &claude, "-p", "hi"]].concat().join("\n");
    let start = |more: &[&str]| tasklight(&hub.url(""), flags(more).split('\n').map(str::to_owned).collect::<Vec<_>>());
    let done = finish(&mut start(&["--invocation", "a"])).await;
    assert!(done.stderr.contains("claude is told --output-format stream-json --verbose"), "{}", done.stderr);
    assert!(done.stderr.contains("\n--output-format stream-json --verbose -p hi\n"), "{}", done.stderr);
    let done = finish(&mut start(&["--invocation", "b", "--no-flags"])).await;
    assert!(done.stderr.contains("\n-p hi\n") && !done.stderr.contains("is told"), "{}", done.stderr);
    let done = finish(&mut start(&["--invocation", "c", "--format", "text"])).await;
    assert!(done.stderr.contains("\n-p hi\n"), "{}", done.stderr);
    let log = log(&hub.url(""), "t").await;
    let of = |invocation: &str, kind: &str| {
        log.iter().filter(|activity| activity.invocation.as_str() == invocation && activity.kind == kind).count()
    };
    // Without flags it is known by its first line; as text it is not looked at.
    assert_eq!([of("a", "tool_call"), of("b", "tool_call"), of("c", "tool_call")], [2, 2, 0]);
    assert!(log[0].data().contains(r#""agent":"claude""#), "{}", log[0].data());
    assert!(log[0].field::<String>("title").is_some_and(|title| title.ends_with("claude -p hi")), "{}", log[0].data());
}

#[tokio::test]
async fn an_agent_in_a_script_is_known_by_its_first_line() {
    let hub = TestHub::start().await;
    let script = format!("echo building; printf 'half {{ a line'; echo; cat '{}'; echo late >&2", fixture(EACH[2].0).display());
    let done = finish(&mut run(&hub.url(""), &[], &script)).await;
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    let log = log(&hub.url(""), "t").await;
    assert_eq!(output(&log, "stdout"), "building\nhalf { a line\n");
    let agents: Vec<String> = log.iter().filter_map(|activity| activity.field("agent")).collect();
    assert_eq!(agents, ["sh", "codex"]);
    assert_eq!(statuses(&log), ["running", "running", "failed"]);
    let mut kinds: Vec<_> = log.iter().map(|activity| activity.kind.as_str()).collect();
    kinds.dedup();
    assert_eq!(kinds[..4], ["status", "output", "status", "custom"]);
}

#[tokio::test]
async fn the_last_status_is_what_there_is_evidence_for() {
    let hub = TestHub::start().await;
    for (name, format, code, expected) in [
        (EACH[1].0, "claude", 0, json!({"status": "completed", "exitCode": 0})),
        (EACH[1].0, "claude", 1, json!({"status": "failed", "exitCode": 1})),
        ("claude/made_cut.jsonl", "claude", 0, json!({"status": "completed", "exitCode": 0, "reason": "ended, unconfirmed"})),
        (
            "claude/made_failed.jsonl",
            "claude",
            0,
            json!({"status": "failed", "exitCode": 0, "reason": "Reached maximum number of turns (3)"}),
        ),
        (
            "codex/made_interrupted.jsonl",
            "codex",
            0,
            json!({"status": "failed", "exitCode": 0, "reason": "interrupted; last error: stream disconnected; retrying 1/5"}),
        ),
        ("opencode/made_cut.jsonl", "opencode", 0, json!({"status": "failed", "exitCode": 0, "reason": "interrupted"})),
        (
            "gemini/untether_gemini_stream_error.jsonl",
            "gemini",
            41,
            json!({"status": "failed", "exitCode": 41, "reason": "authentication failed"}),
        ),
        ("jsonl/made_lines.jsonl", "jsonl", 0, json!({"status": "failed", "exitCode": 0, "reason": "no disk"})),
    ] {
        let script = format!("cat '{}'; exit {code}", fixture(name).display());
        let done = finish(&mut run(&hub.url(""), &["--format", format], &script)).await;
        assert_eq!(done.code, Some(code), "{name}");
        let log = log(&hub.url(""), "t").await;
        let last: Value = serde_json::from_str(log.last().expect("a status").data()).expect("JSON");
        assert_eq!(last, expected, "{name}");
    }
    let script = format!("cat '{}'; kill -9 $$", fixture(EACH[1].0).display());
    let done = finish(&mut run(&hub.url(""), &["--format", "claude"], &script)).await;
    let script = format!("cat '{}'; exec sleep 1000", fixture(EACH[1].0).display());
    let mut child = run(&hub.url(""), &["--format", "claude"], &script).spawn().expect("it starts");
    hear(&mut child, "\"fbdf4f61-1cac-469f-8034-e7e210fa2719\"}\n").await;
    signal(&child, Signal::TERM);
    assert_eq!((done.code, end(child).await.code), (Some(137), Some(143)));
    let log = log(&hub.url(""), "t").await;
    let ends: Vec<&str> = log.iter().map(Received::data).filter(|data| data.contains("killed by")).collect();
    let killed =
        |status: &str, code: u8, name: &str| format!(r#"{{"status":"{status}","exitCode":{code},"reason":"killed by {name}"}}"#);
    assert_eq!(ends, [killed("failed", 137, "SIGKILL"), killed("cancelled", 143, "SIGTERM")]);
}

#[tokio::test]
async fn fifty_megabytes_on_a_line_and_what_is_too_long_for_a_hub_are_cut_and_say_so() {
    let hub = TestHub::start().await;
    let folder = TempDir::new().expect("a folder");
    let long = folder.path().join("long.jsonl");
    let text = "é".repeat(100_000);
    let message = json!({"type": "assistant", "message": {"id": "m", "content": [{"type": "text", "text": text}]}});
    std::fs::write(&long, format!("{message}\n{{\"type\":\"result\",\"subtype\":\"success\",\"is_error\":false}}"))
        .expect("written");
    let script = format!(
        "printf '{{\"type\":\"assistant\",\"a\":\"'; head -c 50000000 /dev/zero | tr '\\0' x; printf '\"}}\\n'; cat '{}'; \
         grep VmHWM /proc/$PPID/status >&2",
        long.display()
    );
    let done = finish(&mut run(&hub.url(""), &["--quiet", "--invocation", "r", "--format", "claude"], &script)).await;
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    let memory: u64 = done.stderr.split_whitespace().nth(1).and_then(|kib| kib.parse().ok()).expect("VmHWM");
    assert!(memory < 96 * 1024, "{memory} KiB");
    let log = log(&hub.url(""), "t").await;
    assert_eq!(statuses(&log), ["running", "completed"]);
    // When standard error was read is chance.
    let said: Vec<&Received> = log.iter().filter(|activity| activity.kind != "output").collect();
    let of = |index: usize, field: &str| serde_json::from_str::<Value>(said[index].data()).expect("JSON")[field].clone();
    assert_eq!(
        (of(1, "name"), of(1, "originalBytes"), of(1, "truncated")),
        (json!("line_too_long"), json!(50_000_027), json!(true))
    );
    assert!(of(1, "head").as_str().is_some_and(|head| head.starts_with(r#"{"type":"assistant","a":"xxx"#)));
    assert_eq!((of(2, "truncated"), of(2, "originalBytes").as_u64().is_some_and(|bytes| 200_000 < bytes)), (json!(true), true));
    assert!(of(2, "text").as_str().is_some_and(|text| text.ends_with("…[cut]")));
}

#[tokio::test]
async fn what_an_agent_says_leaves_without_secrets_and_before_it_is_cut() {
    const TOKEN: &str = "ghp_PLANTEDd4E5f6G7h8I9j0K1l2M3n4O5p6Q7r";
    let hub = TestHub::start_with(|settings| settings.redact.enabled = false).await;
    let folder = TempDir::new().expect("a folder");
    let path = folder.path().join("transcript.jsonl");
    // The token lies over the place where the text will be cut.
    let long = format!("{}{TOKEN} {}", "x ".repeat(8_180), "y ".repeat(40_000));
    let lines = [
        json!({"type": "assistant", "message": {"content": [{"type": "tool_use", "id": "t", "name": "Bash", "input": {"password": "PLANTED9zebra", "command": "ls"}}]}}),
        json!({"type": "user", "message": {"content": [{"type": "tool_result", "tool_use_id": "t", "content": long}]}}),
        json!({"type": "brand_new", "x": [TOKEN]}),
    ];
    let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
    std::fs::write(&path, format!("{text}export API_KEY=PLANTED9zebra\n")).expect("written");
    let script = format!("cat '{}'", path.display());
    let done = finish(&mut run(&hub.url(""), &["--quiet", "--format", "claude"], &script)).await;
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    let log = json!(hub.log("t").await).to_string();
    assert!(!log.contains("PLANTED"), "{log}");
    assert!(log.contains("[redacted:github-token]") && log.contains("[redacted:named-secret]"));
}

#[tokio::test]
async fn what_comes_in_by_a_pipe_passes_through_and_ends_by_its_own_words() {
    let hub = TestHub::start().await;
    let mut child = tasklight(&hub.url(""), ["pipe", "--task", "t"]).stdin(Stdio::piped()).spawn().expect("it starts");
    let mut input = child.stdin.take().expect("piped");
    input.write_all(b"one\nhalf").await.expect("it reads");
    assert_eq!(hear(&mut child, "half").await, "one\nhalf");
    seen(&hub.url(""), "half").await;
    drop(input);
    assert_eq!(end(child).await.code, Some(0));
    let of_text = log(&hub.url(""), "t").await;
    assert_eq!(
        (output(&of_text, "stdout").as_str(), statuses(&of_text)),
        ("one\nhalf", vec!["running".to_owned(), "completed".to_owned()])
    );
    for (name, status, reason) in [
        (EACH[1].0, "completed", None),
        ("claude/made_failed.jsonl", "failed", Some("Reached maximum number of turns (3)")),
        ("claude/made_cut.jsonl", "completed", Some("ended, unconfirmed")),
    ] {
        let input = std::fs::File::open(fixture(name)).expect("readable");
        let done = finish(tasklight(&hub.url(""), ["pipe", "--task", "t"]).stdin(input)).await;
        assert_eq!(done.code, Some(0), "{}", done.stderr);
        let log = log(&hub.url(""), "t").await;
        let last = log.last().expect("a status");
        assert_eq!(last.field::<String>("status").as_deref(), Some(status), "{name}");
        assert_eq!(last.field::<String>("reason").as_deref(), reason, "{name}");
    }
    let mut child = tasklight(&hub.url(""), ["pipe", "--task", "u"]).stdin(Stdio::piped()).spawn().expect("it starts");
    let mut input = child.stdin.take().expect("piped");
    drop(child.stdout.take());
    input.write_all(b"begun\n").await.expect("it reads");
    assert_eq!(end(child).await.code, Some(0));
    drop(input);
    let cut = log(&hub.url(""), "u").await;
    let gone = r#"{"status":"cancelled","reason":"whoever read the output has gone"}"#;
    assert_eq!((output(&cut, "stdout").as_str(), cut.last().expect("a status").data()), ("begun\n", gone));
    let mut child = tasklight(&hub.url(""), ["pipe", "--task", "t"]).stdin(Stdio::piped()).spawn().expect("it starts");
    let mut input = child.stdin.take().expect("piped");
    input.write_all(b"begun\n").await.expect("it reads");
    hear(&mut child, "begun\n").await;
    signal(&child, Signal::INT);
    assert_eq!(end(child).await.code, Some(130));
    drop(input);
    let log = log(&hub.url(""), "t").await;
    assert_eq!(log.last().expect("a status").data(), r#"{"status":"cancelled","reason":"interrupted by SIGINT"}"#);
}

#[tokio::test]
async fn drift_is_kept_counted_and_said() {
    let hub = TestHub::start().await;
    let path = fixture("drift/claude_newer.jsonl");
    let script = format!("cat '{}'", path.display());
    let done = finish(&mut run(&hub.url(""), &[], &script)).await;
    assert!(done.stderr.contains("4 lines of claude 9.9.9 are of unknown types"), "{}", done.stderr);
    assert!(done.stderr.contains("tasklight formats"), "{}", done.stderr);
    let log = log(&hub.url(""), "t").await;
    let unknown: Vec<&str> = log.iter().map(Received::data).filter(|data| data.contains(r#""name":"unknown""#)).collect();
    assert_eq!(unknown.len(), 4);
    assert_eq!(
        unknown[1],
        r#"{"agent":"claude","line":"brand_new","name":"unknown","raw":{"a":{"b":[1,2.5]},"type":"brand_new"},"version":"9.9.9"}"#
    );
    let quiet = finish(&mut run(&hub.url(""), &["--quiet"], &script)).await;
    assert_eq!(quiet.stderr, "");
    let looked = finish(&mut tasklight("", ["formats", "--json", path.to_str().expect("UTF-8")])).await;
    let looked: Value = serde_json::from_str(&looked.out()).expect("JSON");
    assert_eq!(looked["unknown"], json!({"assistant/hologram": 1, "brand_new": 2, "system/brand_new": 1}));
    assert_eq!((&looked["format"], &looked["version"], &looked["lines"]), (&json!("claude"), &json!("9.9.9"), &json!(6)));
    let listed = finish(&mut tasklight("", ["formats"])).await;
    for word in ["claude", "--output-format stream-json --verbose", "codex exec", "2.1.178"] {
        assert!(listed.out().contains(word), "{word} in {}", listed.out());
    }
    let missing = finish(&mut tasklight("", ["formats", "no-such-file"])).await;
    assert_eq!(missing.code, Some(1));
}
