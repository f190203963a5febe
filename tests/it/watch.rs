//! `tasklight watch` against a real hub.

use std::{path::Path, time::Duration};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt, BufReader, Lines},
    process::{Child, ChildStdout},
    time::timeout,
};

use crate::{
    harness::{HubProcess, PATIENCE, TestHub, message},
    program::{end, finish, tasklight},
    services::free_address,
};

fn status(run: &str, status: &str) -> Value {
    json!({"invocationId": run, "type": "status", "data": {"status": status, "reason": format!("why {run}"), "exitCode": 2}})
}

/// A watcher that is there: it has told that a task named `begin` fails.
struct Watcher {
    _child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Watcher {
    async fn start(hub: &TestHub, flags: &[&str]) -> Self {
        Self::start_at(&hub.url(""), flags).await
    }

    async fn start_at(hub: &str, flags: &[&str]) -> Self {
        let mut child = tasklight(hub, [&["watch"], flags].concat()).spawn().expect("it starts");
        let lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        Self { _child: child, lines }
    }

    async fn line(&mut self) -> String {
        timeout(PATIENCE, self.lines.next_line()).await.expect("it is told in time").expect("UTF-8").expect("a line")
    }

    async fn json(&mut self) -> Value {
        serde_json::from_str(&self.line().await).expect("JSON")
    }

    /// Fails one task after the other until one is told of: then it watches.
    async fn watches(&mut self, post: impl AsyncFn(String)) {
        for n in 0.. {
            post(format!("begin-{n}")).await;
            if let Ok(line) = timeout(Duration::from_millis(300), self.lines.next_line()).await {
                assert!(line.expect("UTF-8").expect("a line").contains("begin-"));
                return;
            }
        }
    }
}

async fn begins(watcher: &mut Watcher, hub: &TestHub) {
    watcher.watches(async |task| drop(hub.post(&task, status("r", "failed")).await)).await;
}

/// The next line that is not about a task that was only there to begin with.
async fn next(watcher: &mut Watcher) -> Value {
    loop {
        let told = watcher.json().await;
        if !told["task"]["taskId"].as_str().expect("a task").starts_with("begin-") {
            return told;
        }
    }
}

#[tokio::test]
async fn what_happens_is_told_and_not_how_things_stood() {
    let hub = TestHub::start().await;
    hub.post("before", status("r", "failed")).await;
    hub.post("runs", json!([status("1", "running"), status("2", "running")])).await;
    let mut watcher = Watcher::start(&hub, &["--json", "--on", "failed,completed"]).await;
    begins(&mut watcher, &hub).await;
    hub.send("PUT", "/v1/tasks/runs", json!({"title": "Two runs"})).await;
    hub.post("runs", status("1", "failed")).await;
    let told = next(&mut watcher).await;
    assert_eq!(
        (&told["status"], &told["task"]["taskId"], &told["task"]["title"]),
        (&json!("failed"), &json!("runs"), &json!("Two runs"))
    );
    assert_eq!((&told["previous"], &told["runs"]), (&json!("running"), &json!(1)));
    assert_eq!((&told["invocation"]["invocationId"], &told["invocation"]["reason"]), (&json!("1"), &json!("why 1")));
    assert_eq!(told["url"], hub.url("/tasks/runs"));
    hub.post("runs", status("2", "completed")).await;
    assert_eq!(next(&mut watcher).await["status"], "completed");
}

#[tokio::test]
async fn what_was_there_is_told_if_asked_for_and_the_code_says_what_it_was() {
    let hub = TestHub::start().await;
    for (task, word) in
        [("a-failed", "failed"), ("a-done", "completed"), ("a-gone", "cancelled"), ("a-lost", "lost"), ("a-runs", "running")]
    {
        hub.post(task, status("r", word)).await;
    }
    for (task, code) in [("a-failed", 10), ("a-done", 0), ("a-gone", 11), ("a-lost", 12), ("a-runs", 15)] {
        let all = "failed,completed,cancelled,lost,running";
        let done = finish(&mut tasklight(&hub.url(""), ["watch", "--existing", "--once", "--on", all, "--task", task])).await;
        assert_eq!(done.code, Some(code), "{task} {}", done.stderr);
        assert!(done.out().contains(task) && done.out().contains(&hub.url("/tasks/")), "{}", done.out());
    }
    // Of several the one that is meant, by label.
    hub.send("PUT", "/v1/tasks/a-lost", json!({"labels": {"team": "ci"}})).await;
    let flags = ["watch", "--existing", "--once", "--on", "lost,failed", "--label", "team=ci", "--label", "team"];
    assert_eq!(finish(&mut tasklight(&hub.url(""), flags)).await.code, Some(12));
}

#[tokio::test]
async fn a_command_is_told_by_its_environment_and_no_shell_sees_what_agents_say() {
    let hub = TestHub::start().await;
    let folder = TempDir::new().expect("a folder");
    let (told, trap) = (folder.path().join("told"), folder.path().join("trap"));
    let title = format!("$(touch {}); `touch {}` \"' ; x", trap.display(), trap.display());
    assert!(hub.send("PUT", "/v1/tasks/t", json!({"title": title})).await.0 < 300);
    hub.post("t", status("r 1", "running")).await;
    let flags = ["watch", "--once", "--existing", "--on", "failed", "--task", "t", "--"];
    // The command is a shell here, whose code is ours: what agents say comes to it as values only.
    let script = format!(
        r#"printf '%s\n' "$TASKLIGHT_TASK" "$TASKLIGHT_STATUS" "$TASKLIGHT_PREVIOUS" "$TASKLIGHT_RUN" "$TASKLIGHT_RUNS" "$TASKLIGHT_REASON" "$TASKLIGHT_EXIT_CODE" "$TASKLIGHT_URL" "$TASKLIGHT_HUB" "$TASKLIGHT_TITLE" > {}"#,
        told.display()
    );
    hub.post("t", status("r 1", "failed")).await;
    let command = [&flags[..], &["sh", "-c", &script]].concat();
    let done = finish(&mut tasklight(&hub.url(""), command)).await;
    assert_eq!(done.code, Some(10), "{}", done.stderr);
    let expected = format!("t\nfailed\n\nr 1\n1\nwhy r 1\n2\n{}\n{}\n{title}\n", hub.url("/tasks/t"), hub.url(""));
    assert_eq!(std::fs::read_to_string(&told).expect("it ran"), expected);
    assert!(!trap.exists());
}

#[tokio::test]
async fn what_happens_while_the_hub_is_away_is_told_when_it_is_back_and_nothing_twice() {
    let folder = TempDir::new().expect("a folder");
    let database = folder.path().join("log.db");
    let address = free_address().expect("a free port").to_string();
    let post = async |address: String, task: &str, body: Value| {
        let url = format!("http://{address}/v1/tasks/{task}/activities");
        let answer = reqwest::Client::new().post(url).body(body.to_string()).send().await.expect("an answer");
        assert_eq!(answer.status(), 200);
    };
    let hub = HubProcess::start(&database, &address);
    let mut watcher = Watcher::start_at(&format!("http://{address}"), &["--json"]).await;
    watcher.watches(async |task| post(address.clone(), &task, status("r", "failed")).await).await;
    post(address.clone(), "seen", status("r", "failed")).await;
    assert_eq!(next(&mut watcher).await["task"]["taskId"], "seen");
    hub.kill();
    // Somewhere else, where the watcher does not look.
    let elsewhere = HubProcess::start(&database, "127.0.0.1:0");
    let there = elsewhere.address().to_string();
    post(there.clone(), "away", json!([status("1", "failed"), status("2", "failed")])).await;
    post(there, "seen", status("r2", "failed")).await;
    elsewhere.kill();
    let _hub = HubProcess::start(&database, &address);
    let mut told = [next(&mut watcher).await, next(&mut watcher).await];
    told.sort_by_key(|told| told["task"]["taskId"].to_string());
    assert_eq!((&told[0]["task"]["taskId"], &told[0]["runs"]), (&json!("away"), &json!(2)));
    assert_eq!((&told[1]["task"]["taskId"], &told[1]["runs"]), (&json!("seen"), &json!(1)), "only what is new of it");
    post(address.clone(), "last", status("r", "failed")).await;
    assert_eq!(next(&mut watcher).await["task"]["taskId"], "last", "nothing in between");
}

/// Waits until the file has so many lines.
async fn until_lines(file: &Path, count: usize) -> Vec<String> {
    let there = async {
        loop {
            let text = std::fs::read_to_string(file).unwrap_or_default();
            if count <= text.lines().count() {
                return text.lines().map(str::to_owned).collect();
            }
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, there).await.expect("it is written")
}

#[tokio::test]
async fn a_command_that_takes_too_long_is_ended_with_all_that_it_started() {
    let hub = TestHub::start().await;
    let folder = TempDir::new().expect("a folder");
    let pids = folder.path().join("pids");
    let script = format!("sleep 1000 & echo $! >> {}; wait", pids.display());
    hub.post("t", status("r", "failed")).await;
    let flags = ["watch", "--once", "--existing", "--timeout", "300ms", "--", "sh", "-c", &script];
    let done = finish(&mut tasklight(&hub.url(""), flags)).await;
    assert_eq!(done.code, Some(10));
    assert!(done.stderr.contains("--timeout"), "{}", done.stderr);
    assert!(is_gone(until_lines(&pids, 1).await[0].parse().expect("a pid")).await);
}

#[tokio::test]
async fn a_signal_ends_it_and_the_command_that_runs() {
    let hub = TestHub::start().await;
    let folder = TempDir::new().expect("a folder");
    let pids = folder.path().join("pids");
    let script = format!("echo $$ >> {}; exec sleep 1000", pids.display());
    for (sent, code) in [(Signal::INT, 130), (Signal::TERM, 143)] {
        let _ = std::fs::remove_file(&pids);
        hub.post("t", status(&format!("r{code}"), "failed")).await;
        let child = tasklight(&hub.url(""), ["watch", "--existing", "--", "sh", "-c", &script]).spawn().expect("it starts");
        let pid = until_lines(&pids, 1).await[0].parse().expect("a pid");
        let ours = i32::try_from(child.id().expect("it runs")).ok().and_then(Pid::from_raw).expect("a pid");
        kill_process(ours, sent).expect("it runs");
        assert_eq!(end(child).await.code, Some(code));
        assert!(is_gone(pid).await);
    }
}

/// Waits until nothing runs under this number; what has ended and was not fetched does not run.
async fn is_gone(pid: i32) -> bool {
    let gone = async {
        let runs = || std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z"));
        while runs() {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, gone).await.is_ok()
}

#[tokio::test]
async fn a_run_that_stalls_is_told() {
    let hub = TestHub::start_with(|settings| {
        settings.reconciler.stalled_after = "500ms".parse().expect("a duration");
        settings.hub.resync_interval = "50ms".parse().expect("a duration");
    })
    .await;
    let mut child = tasklight(&hub.url(""), ["watch", "--on", "stalled", "--once", "--json"]).spawn().expect("it starts");
    // Until it watches, each task that falls silent is one that was so at the start.
    let mut told = None;
    for n in 0.. {
        hub.post(&format!("t{n}"), message("x")).await;
        if let Ok(status) = timeout(Duration::from_millis(400), child.wait()).await {
            told = status.expect("it ends").code();
            break;
        }
    }
    assert_eq!(told, Some(13));
    let done = end(child).await;
    let line: Value = serde_json::from_str(done.out().trim()).expect("JSON");
    assert_eq!((&line["status"], &line["task"]["stalled"]["reason"]), (&json!("stalled"), &json!("idle")));
}

#[tokio::test]
async fn a_hub_that_is_not_there_is_said() {
    let address = free_address().expect("a free port");
    let done = finish(&mut tasklight(&format!("http://{address}"), ["watch"])).await;
    assert_eq!(done.code, Some(3), "{}", done.stderr);
    let done = finish(&mut tasklight(&format!("http://{address}"), ["watch", "--on", "broken"])).await;
    assert!(done.code == Some(2) && done.stderr.contains("stalled"), "{}", done.stderr);
}
