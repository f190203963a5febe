//! `tasklight run`: the command as if it ran alone, and nothing of it missing in the log or twice.

use std::{os::unix::fs::PermissionsExt, process::Stdio};

use rustix::process::{Pid, Signal, kill_process};
use tasklight::{
    client::{Client, Event, Start},
    model::Filter,
};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    process::Child,
    time::timeout,
};

use crate::{
    harness::{HubProcess, PATIENCE, TestHub},
    program::{end, finish, hear, log, output, run, statuses, tasklight},
};

pub fn signal(child: &Child, signal: Signal) {
    let pid = child.id().and_then(|pid| Pid::from_raw(pid.try_into().expect("small"))).expect("it runs");
    kill_process(pid, signal).expect("it runs");
}

pub async fn type_line(child: &mut Child) {
    child.stdin.as_mut().expect("piped").write_all(b"\n").await.expect("it listens");
}

/// Waits until the log tells of an activity whose data holds `text`.
pub async fn seen(hub: &str, text: &str) {
    let client = Client::new(hub, None).expect("a hub's URL");
    let mut follow = client.follow("t".parse().expect("a task"), Start::Beginning, Filter::default());
    let watching = async {
        loop {
            match follow.next().await.expect("it can be followed") {
                Event::Activity(received) if received.data().contains(text) => return,
                _ => {}
            }
        }
    };
    timeout(PATIENCE, watching).await.unwrap_or_else(|_| panic!("{text:?} never came"));
}

/// A hub that can go away and come back at the same address.
pub struct Unsteady {
    folder: TempDir,
    hub: Option<HubProcess>,
    address: String,
}

impl Unsteady {
    pub fn start() -> Self {
        let folder = TempDir::new().expect("a folder");
        let hub = HubProcess::start(&folder.path().join("log.db"), "127.0.0.1:0");
        let address = hub.address().to_string();
        Self { folder, hub: Some(hub), address }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn kill(&mut self) {
        self.hub.take().expect("it is there").kill();
    }

    pub fn back(&mut self) {
        self.hub = Some(HubProcess::start(&self.folder.path().join("log.db"), &self.address));
    }
}

#[tokio::test]
async fn the_command_keeps_its_streams_and_its_exit_code() {
    let hub = TestHub::start().await;
    let done = finish(&mut run(
        &hub.url(""),
        &["--agent", "me", "--title", "a try"],
        "printf 'out\\nhalf'; printf 'err\\n' >&2; exit 3",
    ))
    .await;
    assert_eq!((done.code, done.out().as_str()), (Some(3), "out\nhalf"));
    assert_eq!(done.stderr, format!("tasklight: watch at {}\nerr\n", hub.url("/tasks/t")));
    let log = log(&hub.url(""), "t").await;
    assert_eq!((output(&log, "stdout").as_str(), output(&log, "stderr").as_str()), ("out\nhalf", "err\n"));
    assert_eq!(statuses(&log), ["running", "failed"]);
    assert_eq!(log[0].data(), r#"{"status":"running","agent":"me","title":"a try"}"#);
    assert_eq!(log.last().expect("a status").data(), r#"{"status":"failed","exitCode":3}"#);
}

#[tokio::test]
async fn a_command_that_cannot_start_fails_as_in_a_shell() {
    let hub = TestHub::start().await;
    let folder = TempDir::new().expect("a folder");
    let file = folder.path().join("not-executable");
    std::fs::write(&file, "text").expect("written");
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).expect("its mode");
    for (command, code) in [("no-such-command-anywhere", 127), (file.to_str().expect("UTF-8"), 126)] {
        let done = finish(&mut tasklight(&hub.url(""), ["run", "--quiet", "--task", "t", "--", command])).await;
        assert_eq!(done.code, Some(code));
        assert!(done.stderr.contains(command), "{}", done.stderr);
    }
    let log = log(&hub.url(""), "t").await;
    assert_eq!(statuses(&log), ["failed", "failed"]);
    assert!(log[0].field::<String>("reason").is_some_and(|reason| reason.starts_with("no-such-command-anywhere: ")));
}

#[tokio::test]
async fn a_hundred_megabytes_pass_in_bounded_memory() {
    const BYTES: usize = 100_000_000;
    let hub = TestHub::start().await;
    let script = format!("yes 'forty bytes with a line break at its end' | head -c {BYTES}; grep VmHWM /proc/$PPID/status >&2");
    let done = finish(&mut run(&hub.url(""), &["--quiet", "--wait", "120s"], &script)).await;
    assert_eq!((done.code, done.stdout.len()), (Some(0), BYTES), "{}", done.stderr);
    let memory: u64 = done.stderr.split_whitespace().nth(1).and_then(|kib| kib.parse().ok()).expect("VmHWM");
    assert!(memory < 64 * 1024, "{memory} KiB");
    let log = log(&hub.url(""), "t").await;
    assert!(output(&log, "stdout").as_bytes() == done.stdout, "what is recorded is what was printed");
    let longest = log.iter().map(|activity| activity.data().len()).max();
    assert!(longest < Some(48 * 1024), "{longest:?}");
}

#[tokio::test]
async fn binary_garbage_passes_unchanged_and_is_recorded_as_far_as_it_is_text() {
    let hub = TestHub::start().await;
    let folder = TempDir::new().expect("a folder");
    let copy = folder.path().join("copy");
    let script = format!("head -c 1000000 /dev/urandom | tee {}", copy.display());
    let done = finish(&mut run(&hub.url(""), &["--quiet"], &script)).await;
    let printed = std::fs::read(copy).expect("the copy");
    assert!(done.stdout == printed && done.stderr.is_empty(), "{}", done.stderr);
    // The hub keeps no NUL characters.
    let text = String::from_utf8_lossy(&printed).replace('\0', "\u{fffd}");
    assert!(output(&log(&hub.url(""), "t").await, "stdout") == text, "every other character is kept");
}

#[tokio::test]
async fn a_half_line_is_seen_while_the_command_waits() {
    let hub = TestHub::start().await;
    let mut child =
        run(&hub.url(""), &[], "printf 'name? '; read name; echo hi").stdin(Stdio::piped()).spawn().expect("it starts");
    seen(&hub.url(""), r#""name? ""#).await;
    type_line(&mut child).await;
    assert_eq!(end(child).await.out(), "name? hi\n");
    assert_eq!(output(&log(&hub.url(""), "t").await, "stdout"), "name? hi\n");
}

#[tokio::test]
async fn a_killed_command_has_failed_and_one_that_was_asked_to_end_is_cancelled() {
    let hub = TestHub::start().await;
    let done = finish(&mut run(&hub.url(""), &[], "kill -9 $$")).await;
    assert_eq!(done.code, Some(137));
    for (asked, code) in [(Signal::TERM, 143), (Signal::INT, 130), (Signal::HUP, 129)] {
        let mut child = run(&hub.url(""), &[], "echo ready; exec sleep 1000").spawn().expect("it starts");
        hear(&mut child, "ready\n").await;
        signal(&child, asked);
        assert_eq!(end(child).await.code, Some(code));
    }
    let log = log(&hub.url(""), "t").await;
    let ends = ["failed", "cancelled", "cancelled", "cancelled"];
    assert_eq!(statuses(&log), ends.iter().flat_map(|end| ["running", *end]).collect::<Vec<_>>());
    let reasons: Vec<String> = log.iter().filter_map(|activity| activity.field("reason")).collect();
    assert_eq!(reasons, ["SIGKILL", "SIGTERM", "SIGINT", "SIGHUP"].map(|name| format!("killed by {name}")));
}

#[tokio::test]
async fn asking_the_whole_group_is_asking_the_command_whoever_hears_it_first() {
    let hub = TestHub::start().await;
    let mut child = run(&hub.url(""), &[], "echo $$; exec sleep 1000").spawn().expect("it starts");
    let pid = hear(&mut child, "\n").await.trim().parse().ok().and_then(Pid::from_raw).expect("a pid");
    kill_process(pid, Signal::TERM).expect("it runs");
    signal(&child, Signal::TERM);
    let done = end(child).await;
    assert_eq!(
        (done.code, statuses(&log(&hub.url(""), "t").await)),
        (Some(143), vec!["running".to_owned(), "cancelled".to_owned()])
    );
    assert!(!done.stderr.contains("delivered"), "what ended the command does not end delivery: {}", done.stderr);
}

#[tokio::test]
async fn signals_reach_the_command_and_the_command_decides() {
    let hub = TestHub::start().await;
    let script = "trap 'echo usr1' USR1; trap 'echo bye; exit 7' TERM; echo ready; while :; do read line; done";
    let mut child = run(&hub.url(""), &[], script).stdin(Stdio::piped()).spawn().expect("it starts");
    hear(&mut child, "ready\n").await;
    signal(&child, Signal::USR1);
    hear(&mut child, "usr1\n").await;
    signal(&child, Signal::TERM);
    let done = end(child).await;
    assert_eq!((done.code, done.out().as_str()), (Some(7), "bye\n"));
    assert_eq!(statuses(&log(&hub.url(""), "t").await), ["running", "failed"]);
}

#[tokio::test]
async fn a_hub_that_goes_and_comes_back_has_everything_once() {
    let mut hub = Unsteady::start();
    let script = "echo before; read a; seq 1 1000000; echo away; read b; echo after; exit 5";
    let mut child = run(&hub.url(), &[], script).stdin(Stdio::piped()).spawn().expect("it starts");
    hear(&mut child, "before\n").await;
    seen(&hub.url(), "before").await;
    hub.kill();
    type_line(&mut child).await;
    // 7 MB, more than waits in memory: the command is not held up, and the rest goes to disk.
    hear(&mut child, "away\n").await;
    hub.back();
    type_line(&mut child).await;
    let done = end(child).await;
    assert_eq!(done.code, Some(5), "{}", done.stderr);
    assert!(done.stderr.contains("the output is kept") && done.stderr.contains("the hub is back"), "{}", done.stderr);
    let log = log(&hub.url(), "t").await;
    let numbers: String = (1..=1_000_000).map(|number| format!("{number}\n")).collect();
    assert!(output(&log, "stdout") == format!("before\n{numbers}away\nafter\n"), "everything, once, in order");
    assert_eq!(statuses(&log), ["running", "failed"]);
}

#[tokio::test]
async fn a_hub_that_is_killed_again_and_again_has_everything_once() {
    let mut hub = Unsteady::start();
    let script = "for i in 1 2 3 4 5 6; do seq -f \"$i-%g\" 1 20000; read a; done";
    let mut child = run(&hub.url(), &["--quiet"], script).stdin(Stdio::piped()).spawn().expect("it starts");
    for round in 1..=6 {
        hear(&mut child, &format!("{round}-20000\n")).await;
        hub.kill();
        type_line(&mut child).await;
        hub.back();
    }
    let done = end(child).await;
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    let numbers: String = (1..=6).flat_map(|i| (1..=20_000).map(move |number| format!("{i}-{number}\n"))).collect();
    assert!(output(&log(&hub.url(), "t").await, "stdout") == numbers, "everything, once, in order");
}

#[tokio::test]
async fn what_cannot_be_delivered_is_kept_and_can_be_sent_later() {
    let mut hub = Unsteady::start();
    hub.kill();
    let folder = TempDir::new().expect("a folder");
    let done = finish(run(&hub.url(), &["--wait", "0s"], "seq 1 3; exit 4").env("TMPDIR", folder.path())).await;
    assert_eq!((done.code, done.out().as_str()), (Some(4), "1\n2\n3\n"), "{}", done.stderr);
    assert!(done.stderr.contains("3 activities could not be delivered"), "{}", done.stderr);
    let file = std::fs::read_dir(folder.path()).expect("a folder").next().expect("a file").expect("readable").path();
    let told = format!("tasklight publish t --hub {} < {}", hub.url(), file.display());
    assert!(done.stderr.contains(&told), "{}", done.stderr);
    assert_eq!(std::fs::metadata(&file).expect("it is there").permissions().mode() & 0o777, 0o600);
    hub.back();
    for words in ["published 3 activities to t (offsets 1 to 3)", "published 0 activities to t (offsets 1 to 3), 3 stored before"]
    {
        let input = std::fs::File::open(&file).expect("readable");
        let sent = finish(tasklight(&hub.url(), ["publish", "t"]).stdin(input)).await;
        assert_eq!((sent.code, sent.out().trim_end()), (Some(0), words), "{}", sent.stderr);
    }
    let log = log(&hub.url(), "t").await;
    assert_eq!((output(&log, "stdout").as_str(), statuses(&log)), ("1\n2\n3\n", vec!["running".to_owned(), "failed".to_owned()]));
}

#[tokio::test]
async fn beyond_the_spill_limit_the_newest_is_dropped_and_that_is_said() {
    let folder = TempDir::new().expect("a folder");
    let flags = ["--wait", "0s", "--spill-limit", "1MiB"];
    let done = finish(run("http://127.0.0.1:1", &flags, "seq 1 1500000; echo end").env("TMPDIR", folder.path())).await;
    assert!(done.code == Some(0) && done.out().ends_with("1500000\nend\n"), "{}", done.stderr);
    assert!(
        done.stderr.contains("the newest is dropped") && done.stderr.contains("bytes of output were dropped"),
        "{}",
        done.stderr
    );
    let file = std::fs::read_dir(folder.path()).expect("a folder").next().expect("a file").expect("readable").path();
    let kept = std::fs::read_to_string(file).expect("UTF-8");
    assert!((5 << 20) - 100_000 < kept.len() && kept.len() < 5 << 20, "{} bytes", kept.len());
    let last: Vec<serde_json::Value> = kept.lines().rev().take(2).map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(
        (last[0]["data"]["status"].as_str(), last[1]["data"]["code"].as_str()),
        (Some("completed"), Some("output_dropped"))
    );
}

#[tokio::test]
async fn what_the_command_leaves_running_does_not_hold_us() {
    let hub = TestHub::start().await;
    let done = finish(&mut run(&hub.url(""), &[], "sleep 20 & echo done")).await;
    assert_eq!((done.code, done.out().as_str()), (Some(0), "done\n"));
    assert!(done.stderr.contains("still holds its output"), "{}", done.stderr);
    assert_eq!(statuses(&log(&hub.url(""), "t").await), ["running", "completed"]);
}

#[tokio::test]
async fn when_our_reader_goes_the_command_is_told_and_its_end_recorded() {
    let hub = TestHub::start().await;
    let mut child = tasklight(&hub.url(""), ["run", "--task", "t", "--", "yes"]).spawn().expect("it starts");
    let mut out = child.stdout.take().expect("piped");
    out.read_u8().await.expect("a byte");
    drop(out);
    assert_eq!(end(child).await.code, Some(141));
    let log = log(&hub.url(""), "t").await;
    assert_eq!(log.last().expect("a status").data(), r#"{"status":"failed","exitCode":141,"reason":"killed by SIGPIPE"}"#);
}

#[tokio::test]
async fn the_command_can_add_to_its_own_invocation() {
    let hub = TestHub::start().await;
    let program = env!("CARGO_BIN_EXE_tasklight");
    let script = format!("{program} publish $TASKLIGHT_TASK --type progress --data '{{\"percent\":40}}'");
    let done = finish(&mut run(&hub.url(""), &["--invocation", "mine"], &script)).await;
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    let log = log(&hub.url(""), "t").await;
    assert!(log.iter().all(|activity| activity.invocation.as_str() == "mine"));
    assert!(log.iter().any(|activity| activity.data() == r#"{"percent":40}"#));
}

#[tokio::test]
async fn what_the_hub_refuses_is_said_once_and_not_sent_again() {
    let hub = TestHub::start().await;
    finish(&mut run(&hub.url(""), &["--invocation", "r"], "true")).await;
    let again = finish(&mut run(&hub.url(""), &["--invocation", "r"], "false")).await;
    assert_eq!(again.code, Some(1));
    assert_eq!(again.stderr.matches("status_transition").count(), 1, "{}", again.stderr);
    assert!(again.stderr.contains("2 activities were refused"), "{}", again.stderr);
}
