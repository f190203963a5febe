//! The `tasklight` program as a user runs it, and what a task's log holds afterwards.

use std::{ffi::OsStr, process::Stdio};

use tasklight::{
    client::{Client, Event, Received, Start},
    model::Filter,
};
use tokio::{
    io::AsyncReadExt,
    process::{Child, Command},
    time::timeout,
};

use crate::harness::PATIENCE;

/// What a program left behind.
#[derive(Debug)]
pub struct Finished {
    pub code: Option<i32>,
    pub stdout: Vec<u8>,
    pub stderr: String,
}

impl Finished {
    pub fn out(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }
}

/// The program with these arguments, against this hub.
pub fn tasklight<A: AsRef<OsStr>>(hub: &str, arguments: impl IntoIterator<Item = A>) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tasklight"));
    command
        .args(arguments)
        .env("TASKLIGHT_HUB", hub)
        .env_remove("TASKLIGHT_TOKEN")
        .env_remove("TASKLIGHT_INVOCATION")
        .env_remove("TASKLIGHT_REDIS");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    command
}

/// `tasklight run` of a shell script.
pub fn run(hub: &str, flags: &[&str], script: &str) -> Command {
    tasklight(hub, [&["run", "--task", "t"], flags, &["--", "sh", "-c", script]].concat())
}

/// Runs a program to its end.
pub async fn finish(command: &mut Command) -> Finished {
    end(command.spawn().expect("the program starts")).await
}

/// Waits for a program's end.
pub async fn end(child: Child) -> Finished {
    let output = timeout(4 * PATIENCE, child.wait_with_output()).await.expect("it ends").expect("it is ours");
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    Finished { code: output.status.code(), stdout: output.stdout, stderr }
}

/// Reads a program's standard output until it ends with `text`, and gives all of it.
pub async fn hear(child: &mut Child, text: &str) -> String {
    let out = child.stdout.as_mut().expect("piped");
    let mut heard = Vec::new();
    let listening = async {
        while !heard.ends_with(text.as_bytes()) {
            let byte = out.read_u8().await.unwrap_or_else(|_| panic!("{:?} and then the end", String::from_utf8_lossy(&heard)));
            heard.push(byte);
        }
    };
    timeout(PATIENCE, listening).await.expect("it says so");
    String::from_utf8_lossy(&heard).into_owned()
}

/// Everything that the task's log holds.
pub async fn log(hub: &str, task: &str) -> Vec<Received> {
    let client = Client::new(hub, None).expect("a hub's URL");
    let mut follow = client.follow(task.parse().expect("a task"), Start::Beginning, Filter::default());
    let mut all = Vec::new();
    let reading = async {
        loop {
            match follow.next().await.expect("it can be followed") {
                Event::Activity(received) => all.push(*received),
                Event::Live(_) => return,
                Event::Subscribed { .. } => {}
                other => panic!("unexpected: {other:?}"),
            }
        }
    };
    timeout(4 * PATIENCE, reading).await.expect("the log is read");
    all
}

/// The text that a stream's output activities hold, in order.
pub fn output(log: &[Received], stream: &str) -> String {
    let of_stream =
        |activity: &&Received| activity.kind == "output" && activity.field::<String>("stream").as_deref() == Some(stream);
    log.iter().filter(of_stream).map(|activity| activity.field::<String>("text").expect("output has text")).collect()
}

/// The statuses that the log tells, in order.
pub fn statuses(log: &[Received]) -> Vec<String> {
    log.iter().filter(|activity| activity.kind == "status").filter_map(|activity| activity.field("status")).collect()
}
