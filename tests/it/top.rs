//! `tasklight top`: figures of real hubs, once and live in a terminal.

use std::{os::fd::AsFd, time::Duration};

use rustix::termios::tcgetattr;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    process::Command,
    time::timeout,
};

use crate::{
    harness::{PATIENCE, TestHub},
    program::{finish, tasklight},
    viewer::Viewer,
};

fn admin(hub: &TestHub) -> String {
    format!("http://{}", hub.node().admin_address())
}

async fn named(name: &str) -> TestHub {
    TestHub::start_with(|settings| settings.node.id = name.to_owned()).await
}

#[tokio::test]
async fn once_it_prints_what_all_nodes_do_and_who_is_away() {
    let hubs = [named("one").await, named("two").await];
    let mut viewer = Viewer::subscribe(hubs[0].address(), "t", json!({})).await;
    viewer.until("subscribed").await;
    hubs[1].post("t", json!({"invocationId": "r", "type": "nonsense"})).await;
    let away = "http://127.0.0.1:1".to_owned();
    let flags = [admin(&hubs[0]), admin(&hubs[1]), away].map(|url| ["--admin".to_owned(), url]).concat();
    let arguments = |more: &[&str]| {
        let mut all = vec!["top".to_owned(), "--interval".to_owned(), "300ms".to_owned()];
        all.extend(flags.iter().cloned());
        all.extend(more.iter().map(|flag| (*flag).to_owned()));
        all
    };
    // While it looks twice.
    let publishing = async {
        loop {
            hubs[0].publish("t", &["x"]).await;
            viewer.activities(1).await;
        }
    };
    let mut command = tasklight("", arguments(&["--once", "--json"]));
    let done = tokio::select! {
        done = finish(&mut command) => done,
        () = publishing => unreachable!("it goes on"),
    };
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    let figures: Value = serde_json::from_str(&done.out()).expect("one object");
    let states: Vec<_> = figures["nodes"].as_array().expect("nodes").iter().map(|node| [&node["node"], &node["state"]]).collect();
    assert_eq!(json!(states), json!([["one", "ready"], ["two", "ready"], ["127.0.0.1:1", "away"]]));
    let total = &figures["total"];
    assert_eq!((&total["sessions"], &total["watchedTasks"]), (&json!(1.0), &json!(1.0)), "{total}");
    for (name, figure) in [("publishedPerSecond", 1.), ("deliveredPerSecond", 1.), ("commitP99Seconds", 0.), ("memoryBytes", 1e6)]
    {
        assert!(total[name].as_f64().is_some_and(|value| figure < value), "{name}: {total}");
    }
    assert_eq!(
        total["publishedPerSecond"], figures["nodes"][0]["figures"]["publishedPerSecond"],
        "the other one has nothing to do"
    );
    // Where there is no terminal it is one picture.
    let done = finish(&mut tasklight("", arguments(&[]))).await;
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    let text = done.out();
    for words in ["3 nodes, 1 not answering", "one", "two", "published/s", "commit p99", "127.0.0.1:1: does not answer"] {
        assert!(text.contains(words), "{words} is missing in\n{text}");
    }
    assert!(!text.contains('\u{1b}'), "no terminal, nothing for one");
}

#[tokio::test]
async fn when_no_node_answers_it_says_so() {
    for (arguments, code) in [(&["--admin", "http://127.0.0.1:1"][..], 3), (&["--interval", "1ms"], 1), (&["--nonsense"], 2)] {
        let all = [&["top", "--once", "--interval", "100ms"][..], arguments].concat();
        // Given twice, a flag is wrong usage; the default stays where the other one is tried.
        let all = if arguments[0] == "--interval" { [&["top", "--once"][..], arguments].concat() } else { all };
        let done = finish(&mut tasklight("", all)).await;
        assert_eq!(done.code, Some(code), "{arguments:?}: {}", done.stderr);
    }
}

#[tokio::test]
async fn in_a_terminal_it_goes_on_until_it_is_told_to_end_and_gives_the_terminal_back() {
    let hub = named("the-only-one").await;
    let (mut ours, theirs) = pty_process::open().expect("a terminal");
    ours.resize(pty_process::Size::new(40, 100)).expect("its size");
    let kept = theirs.as_fd().try_clone_to_owned().expect("a descriptor");
    let before = format!("{:?}", tcgetattr(&kept).expect("its modes"));
    let mut command = Command::new(env!("CARGO_BIN_EXE_tasklight"));
    command.args(["top", "--interval", "100ms", "--admin", &admin(&hub)]);
    let mut child = pty_process::Command::from(command).spawn(theirs).expect("it starts");
    let mut heard = Vec::new();
    let mut hear = async |ours: &mut pty_process::Pty, text: &str| {
        let from = heard.len();
        let listening = async {
            while !String::from_utf8_lossy(&heard[from..]).contains(text) {
                heard.push(ours.read_u8().await.unwrap_or_else(|_| panic!("{text:?} in {:?}", String::from_utf8_lossy(&heard))));
            }
        };
        timeout(PATIENCE, listening).await.expect("it says so");
    };
    hear(&mut ours, "\u{1b}[?1049h").await;
    hear(&mut ours, "the-only-one").await;
    let during = format!("{:?}", tcgetattr(&kept).expect("its modes"));
    assert_ne!(during, before, "keys are heard as they are pressed");
    let mut viewer = Viewer::subscribe(hub.address(), "t", json!({})).await;
    viewer.until("subscribed").await;
    hear(&mut ours, "sessions                       1             1").await;
    ours.write_all(b"xp").await.expect("it reads");
    hear(&mut ours, "PAUSED").await;
    drop(viewer);
    ours.resize(pty_process::Size::new(40, 60)).expect("its size");
    hear(&mut ours, "PAUSED").await;
    hear(&mut ours, "sessions                       1             1").await;
    ours.write_all(b"p").await.expect("it reads");
    hear(&mut ours, "sessions                       0             0").await;
    ours.write_all(b"q").await.expect("it reads");
    hear(&mut ours, "\u{1b}[?1049l").await;
    let ended = timeout(PATIENCE, child.wait()).await.expect("it ends").expect("it is ours");
    assert_eq!(ended.code(), Some(0));
    let after = async {
        while format!("{:?}", tcgetattr(&kept).expect("its modes")) != before {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    timeout(PATIENCE, after).await.expect("the terminal is as it was");
}
