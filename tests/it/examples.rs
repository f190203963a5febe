//! The examples, as their headers say to run them. The ones in Python and TypeScript are run by `tests/clients`.

use std::{path::PathBuf, process::Stdio};

use serde_json::{Value, json};
use tokio::process::Command;

use crate::{
    harness::TestHub,
    program::{Finished, end},
    services::{postgres_database, prefix, redis_url},
};

fn example(name: &str) -> Command {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("docs/examples").join(name);
    let mut command = Command::new(path);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    command
}

async fn run(command: &mut Command) -> Finished {
    end(command.spawn().expect("it can be run")).await
}

fn texts(log: &[Value], stream: &str) -> String {
    let of_stream = log.iter().filter(|activity| activity["data"]["stream"] == stream);
    of_stream.map(|activity| activity["data"]["text"].as_str().expect("text")).collect()
}

#[tokio::test]
async fn a_shell_publishes_with_nothing_but_redis_cli() {
    let (database, prefix) = (postgres_database().await, prefix());
    let hub = TestHub::start_with(|settings| {
        settings.store.url = database.url();
        settings.broker.url = redis_url();
        settings.broker.prefix = prefix.clone();
    })
    .await;
    hub.member().await;
    let script = r#"echo 'say "hi"	and \ all'; echo '  indented'; echo oops >&2; printf 'no line break'; exit 3"#;
    let done = run(example("shell/agent.sh")
        .args(["shell-task", "bash", "-c", script])
        .env("REDIS", redis_url())
        .env("PREFIX", &prefix))
    .await;
    assert_eq!(done.code, Some(3), "{done:?}");
    assert_eq!((done.out().as_str(), done.stderr.as_str()), ("say \"hi\"\tand \\ all\n  indented\nno line break\n", "oops\n"));
    // What it published may still be on its way into the store.
    let log = async {
        loop {
            let (status, page) = hub.get("/v1/tasks/shell-task/activities").await;
            let ended = |log: &Vec<Value>| log.iter().any(|activity| activity["data"]["status"] == "failed");
            if let (200, Some(log)) = (status, page["activities"].as_array().filter(|log| ended(log))) {
                return log.clone();
            }
        }
    };
    let log = tokio::time::timeout(crate::harness::PATIENCE, log).await.expect("it ends");
    assert_eq!(texts(&log, "stdout"), "say \"hi\"\tand \\ all\n  indented\nno line break\n");
    assert_eq!(texts(&log, "stderr"), "oops\n");
    assert_eq!((&log[0]["data"]["status"], &log[log.len() - 1]["data"]["exitCode"]), (&json!("running"), &json!(3)));
}

#[tokio::test]
async fn a_build_is_a_task_and_its_steps_are_invocations() {
    let hub = TestHub::start().await;
    let build = |task: &str| {
        let mut command = example("build/build.sh");
        let program = env!("CARGO_BIN_EXE_tasklight");
        command.env("TASKLIGHT", program).env("TASKLIGHT_HUB", hub.url("")).env("BUILD", task).env("ATTEMPT", "1");
        command.env_remove("TASKLIGHT_REDIS").env_remove("TASKLIGHT_TOKEN");
        command
    };
    let runs = async |task: &str| {
        let (_, answer) = hub.get(&format!("/v1/tasks/{task}/invocations")).await;
        let run = |run: &Value| {
            format!("{} {}", run["invocationId"].as_str().expect("an id"), run["status"].as_str().expect("a status"))
        };
        let mut runs: Vec<_> = answer["invocations"].as_array().expect("runs").iter().map(run).collect();
        runs.sort_unstable();
        runs
    };
    let done = run(&mut build("build-1")).await;
    assert_eq!(done.code, Some(0), "{done:?}");
    assert_eq!(runs("build-1").await, ["build-1 completed", "lint-1 completed", "package-1 completed", "test-1 completed"]);
    let log = hub.log("build-1").await;
    let progress: Vec<_> = log.iter().filter(|a| a["type"] == "progress" && a["invocationId"] == "test-1").collect();
    assert_eq!(progress.last().expect("progress")["data"]["current"], 4);
    let done = run(build("build-2").env("BREAK", "1")).await;
    assert_eq!(done.code, Some(3), "{done:?}");
    assert_eq!(runs("build-2").await, ["build-1 failed", "lint-1 completed", "package-1 failed", "test-1 completed"]);
    // Without a hub a build is what it would be without us.
    let done = run(build("build-3").env("TASKLIGHT_HUB", "http://127.0.0.1:1").env("TASKLIGHT", stub())).await;
    assert_eq!(done.code, Some(0), "{done:?}");
}

/// `tasklight` that waits for no hub: the tests have no time for that.
fn stub() -> String {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    let path = folder.join("tasklight-without-waiting");
    let program = env!("CARGO_BIN_EXE_tasklight");
    let script = format!(
        "#!/bin/sh\ncase \"$1\" in run) shift; exec {program} run --wait 0s \"$@\";; *) exec {program} \"$@\" --retry-for 0s;; esac\n"
    );
    std::fs::write(&path, script).expect("written");
    std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("it can be run");
    path.display().to_string()
}
