//! `tasklight run --pty`: a terminal of the command's own.

use std::{os::fd::AsFd, process::Stdio};

use rustix::{process::Signal, termios::tcgetattr};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    process::Command,
    time::timeout,
};

use crate::{
    harness::{PATIENCE, TestHub},
    program::{end, finish, hear, log, output, run, statuses},
    run::signal,
};

#[tokio::test]
async fn the_command_has_a_terminal_and_its_exit_code_and_output_are_kept() {
    let hub = TestHub::start().await;
    let script = "test -t 0 && test -t 1 && test -t 2 && echo terminal; stty size; echo err >&2; exit 3";
    let done = finish(&mut run(&hub.url(""), &["--pty", "--quiet"], script)).await;
    assert_eq!((done.code, done.out().as_str()), (Some(3), "terminal\r\n24 80\r\nerr\r\n"), "{}", done.stderr);
    let log = log(&hub.url(""), "t").await;
    assert_eq!(output(&log, "stdout"), "terminal\r\n24 80\r\nerr\r\n");
    assert_eq!(statuses(&log), ["running", "failed"]);
}

#[tokio::test]
async fn input_passes_through_to_its_end_and_is_not_echoed() {
    let hub = TestHub::start().await;
    for (input, expected) in [("one\ntwo\n", "one\r\ntwo\r\nend\r\n"), ("half", "halfend\r\n"), ("", "end\r\n")] {
        let mut child =
            run(&hub.url(""), &["--pty", "--quiet"], "cat; echo end").stdin(Stdio::piped()).spawn().expect("it starts");
        child.stdin.take().expect("piped").write_all(input.as_bytes()).await.expect("it reads");
        let done = end(child).await;
        assert_eq!((done.code, done.out().as_str()), (Some(0), expected), "{}", done.stderr);
    }
}

#[tokio::test]
async fn signals_reach_a_command_with_a_terminal() {
    let hub = TestHub::start().await;
    for (sent, code) in [(Signal::INT, 130), (Signal::TERM, 143)] {
        let mut child = run(&hub.url(""), &["--pty"], "echo ready; exec sleep 1000").spawn().expect("it starts");
        hear(&mut child, "ready\r\n").await;
        signal(&child, sent);
        assert_eq!(end(child).await.code, Some(code));
    }
    assert_eq!(statuses(&log(&hub.url(""), "t").await), ["running", "cancelled", "running", "cancelled"]);
}

#[tokio::test]
async fn our_own_terminals_size_is_passed_on_and_it_is_given_back_as_it_was() {
    let hub = TestHub::start().await;
    let (mut ours, theirs) = pty_process::open().expect("a terminal");
    ours.resize(pty_process::Size::new(33, 101)).expect("its size");
    let kept = theirs.as_fd().try_clone_to_owned().expect("a descriptor");
    let before = format!("{:?}", tcgetattr(&kept).expect("its modes"));
    let mut command = Command::new(env!("CARGO_BIN_EXE_tasklight"));
    let script = r#"stty size; while [ "$(stty size)" = "33 101" ]; do :; done; stty size; read line; echo got $line"#;
    command.args(["run", "--task", "t", "--quiet", "--pty", "--", "sh", "-c", script]).env("TASKLIGHT_HUB", hub.url(""));
    let mut child = pty_process::Command::from(command).spawn(theirs).expect("it starts");
    let mut heard = Vec::new();
    let mut hear = async |ours: &mut pty_process::Pty, text: &str| {
        let listening = async {
            while !String::from_utf8_lossy(&heard).contains(text) {
                heard.push(ours.read_u8().await.unwrap_or_else(|_| panic!("{text:?} in {:?}", String::from_utf8_lossy(&heard))));
            }
        };
        timeout(PATIENCE, listening).await.expect("it says so");
    };
    hear(&mut ours, "33 101").await;
    let during = format!("{:?}", tcgetattr(&kept).expect("its modes"));
    assert_ne!(during, before, "keys pass through as they are");
    ours.resize(pty_process::Size::new(44, 90)).expect("its size");
    hear(&mut ours, "44 90").await;
    ours.write_all(b"word\r").await.expect("it reads");
    hear(&mut ours, "got word").await;
    let ended = timeout(PATIENCE, child.wait()).await.expect("it ends").expect("it is ours");
    assert_eq!(ended.code(), Some(0));
    assert_eq!(format!("{:?}", tcgetattr(&kept).expect("its modes")), before);
}

#[tokio::test]
async fn when_the_reader_of_its_terminal_goes_the_command_is_hung_up() {
    let hub = TestHub::start().await;
    let mut child = run(&hub.url(""), &["--pty", "--quiet"], "exec yes").spawn().expect("it starts");
    let mut out = child.stdout.take().expect("piped");
    out.read_u8().await.expect("a byte");
    drop(out);
    assert_eq!(end(child).await.code, Some(129));
    let log = log(&hub.url(""), "t").await;
    assert_eq!(log.last().expect("a status").data(), r#"{"status":"failed","exitCode":129,"reason":"killed by SIGHUP"}"#);
}

#[tokio::test]
async fn an_agent_on_a_terminal_says_the_same() {
    let hub = TestHub::start().await;
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/agents/codex/takopi_all_formats.jsonl");
    for (flags, invocation) in [(["--quiet", "--pty"], "a"), (["--quiet", "--no-flags"], "b")] {
        let flags = [&flags[..], &["--invocation", invocation]].concat();
        finish(&mut run(&hub.url(""), &flags, &format!("cat '{file}'"))).await;
    }
    let log = log(&hub.url(""), "t").await;
    let of = |invocation: &str| -> Vec<String> {
        let theirs = log.iter().filter(|activity| activity.invocation.as_str() == invocation);
        theirs.map(|activity| activity.data().replace(&format!("\"{invocation}:"), "\":")).collect()
    };
    assert_eq!((of("a").len(), of("a")), (30, of("b")));
}
