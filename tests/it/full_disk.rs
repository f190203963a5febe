//! `tasklight run` while the hub is away and the disk that it spills to takes no more: the command goes on, what is missing is counted and said in its
//! place, and what is kept is whole and in order.

use std::process::Stdio;

use tasklight::client::Received;
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, BufReader},
    process::{ChildStdout, Command},
    time::timeout,
};

use crate::{
    harness::PATIENCE,
    program::{end, finish, log, run, statuses},
    run::{Unsteady, seen, type_line},
};

/// How a disk comes to take no more, in the middle of a line.
#[derive(Debug, Clone, Copy)]
enum Disk {
    /// It is small: a file system of its own, which whoever may make a namespace can mount (`ENOSPC`).
    Small,
    /// No file may be larger: so it is for everybody everywhere (`EFBIG`).
    Limited,
}

impl Disk {
    /// All that there are here: [`Disk::Limited`] always, so none of this is left out where nothing may be mounted.
    fn all() -> Vec<Self> {
        let mounts = std::process::Command::new("unshare").args(["-rm", "mount", "-t", "tmpfs", "none", "/tmp"]).output();
        let small = mounts.is_ok_and(|output| output.status.success()).then_some(Self::Small);
        small.into_iter().chain([Self::Limited]).collect()
    }

    /// The same command with this disk under its temporary files. At the end it prints which of them are left.
    fn under(self, command: &Command, folder: &TempDir) -> Command {
        let (program, setup): (&[&str], _) = match self {
            Self::Small => (&["unshare", "-rm", "sh"], r#"mount -t tmpfs -o size=512k none "$TMPDIR""#),
            // The signal (XFSZ) would end it before it can see the error.
            Self::Limited => (&["sh"], "ulimit -f 1024; trap '' 25"),
        };
        let script = format!(r#"{setup} || exit 99; "$@"; code=$?; ls -A "$TMPDIR"; exit $code"#);
        let command = command.as_std();
        let mut whole = Command::new(program[0]);
        whole.args(&program[1..]).args(["-c", &script, "sh"]).arg(command.get_program()).args(command.get_args());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => whole.env(name, value),
                None => whole.env_remove(name),
            };
        }
        whole.env("TMPDIR", folder.path());
        whole.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        whole
    }
}

/// Reads what is printed until this line, many megabytes later.
async fn hear(out: &mut BufReader<ChildStdout>, last: &str) {
    let listening = async {
        let mut line = String::new();
        while line != last {
            line.clear();
            assert_ne!(out.read_line(&mut line).await.expect("it can be read"), 0, "{last:?} is printed before the end");
        }
    };
    timeout(2 * PATIENCE, listening).await.expect("it says so");
}

/// How many bytes an activity says are missing where it is.
fn hole(activity: &Received) -> Option<usize> {
    let code = activity.field::<String>("code")?;
    assert_eq!(code, "output_dropped");
    activity.field::<String>("message")?.split(' ').next()?.parse().ok()
}

/// The number before these words in what was said.
fn number_before(said: &str, words: &str) -> usize {
    let line = said.lines().find_map(|line| line.strip_suffix(words)).unwrap_or_else(|| panic!("{words:?} is not in {said}"));
    line.rsplit(' ').next().and_then(|number| number.parse().ok()).expect("a number")
}

#[tokio::test]
async fn a_full_disk_costs_what_does_not_fit_and_that_is_said_in_one_place() {
    for disk in Disk::all() {
        let (mut hub, folder) = (Unsteady::start(), TempDir::new().expect("a folder"));
        let script = "echo before; read a; seq 1 800000; echo away; read b; echo after; exit 5";
        let mut child = disk.under(&run(&hub.url(), &[], script), &folder).spawn().expect("it starts");
        let mut out = BufReader::new(child.stdout.take().expect("piped"));
        hear(&mut out, "before\n").await;
        seen(&hub.url(), "before").await;
        hub.kill();
        type_line(&mut child).await;
        // 6 MB in 7 of JSON, of which less than 5 fit into memory and on this disk: the command is not held up.
        hear(&mut out, "away\n").await;
        hub.back();
        type_line(&mut child).await;
        let done = end(child).await;
        let mut rest = String::new();
        out.read_to_string(&mut rest).await.expect("UTF-8");
        assert_eq!((done.code, rest.as_str()), (Some(5), "after\n"), "{disk:?}: {}", done.stderr);
        let numbers: String = (1..=800_000).map(|number| format!("{number}\n")).collect();
        let printed = format!("before\n{numbers}away\nafter\n");
        let log = log(&hub.url(), "t").await;
        let (mut at, mut holes) = (0, Vec::new());
        for activity in log.iter().filter(|activity| activity.kind != "status") {
            if let Some(bytes) = hole(activity) {
                holes.push(bytes);
                at += bytes;
            } else {
                let text: String = activity.field("text").expect("output has text");
                assert!(
                    printed[at..].starts_with(&text),
                    "{disk:?}: what is kept is whole, in order, and a hole is where it is said to be"
                );
                at += text.len();
            }
        }
        assert_eq!(at, printed.len(), "{disk:?}: everything is there or said to be missing");
        assert_eq!(statuses(&log), ["running", "failed"], "{disk:?}: the end is kept whatever is dropped");
        assert_eq!(done.stderr.matches("the newest is dropped").count(), 1, "{disk:?}: {}", done.stderr);
        let said = number_before(&done.stderr, " bytes of output were dropped because there was no more room for them");
        assert_eq!(holes, [said], "{disk:?}: it is one hole, said once in the log and once by the command");
        assert!((512 << 10) < said, "{disk:?}: {said} bytes: so the disk took no more");
    }
}

#[tokio::test]
async fn what_a_full_disk_cannot_keep_either_is_counted_and_leaves_no_half_file() {
    for disk in Disk::all() {
        let folder = TempDir::new().expect("a folder");
        let flags = ["--wait", "0s"];
        let done = finish(&mut disk.under(&run("http://127.0.0.1:1", &flags, "seq 1 800000 >&2; exit 6"), &folder)).await;
        assert_eq!((done.code, done.out().as_str()), (Some(6), ""), "{disk:?}: no file is left: {}", done.stderr);
        let said: Vec<_> = done.stderr.lines().filter(|line| line.starts_with("tasklight: ")).collect();
        let lost: Vec<_> = said.iter().filter(|line| line.contains("activities are lost: they could not be delivered")).collect();
        let [lost] = lost[..] else { panic!("{disk:?}: {said:?}") };
        let count: usize = lost.split(' ').nth(1).and_then(|number| number.parse().ok()).expect("a number");
        // Some megabytes in pieces of 64 KiB at most; a slow reader gets larger ones, and so fewer.
        assert!(50 < count && lost.contains("nor kept: "), "{disk:?}: {lost}");
    }
}
