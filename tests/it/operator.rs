//! What operators and packagers use: `ready`, `completions`, `man`, `--version`, and what a service manager and the system see of a hub.

use std::{
    collections::BTreeSet,
    fs,
    os::unix::{net::UnixDatagram, process::CommandExt},
    path::Path,
    process::{Child, Command, Output, Stdio},
};

use serde_json::json;
use sqlx::{Connection, SqliteConnection};
use tempfile::TempDir;
use tokio::time::timeout;

use crate::harness::{PATIENCE, TestHub, message};

/// Runs `tasklight` in an empty folder.
fn tasklight(arguments: &[&str], environment: &[(&str, &str)]) -> Output {
    let folder = TempDir::new().expect("a folder");
    Command::new(env!("CARGO_BIN_EXE_tasklight"))
        .args(arguments)
        .envs(environment.iter().copied())
        .current_dir(folder.path())
        .output()
        .expect("it runs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("UTF-8")
}

/// Every command with its subcommands, as `--help` names them: `["token", "make"]`.
fn commands(above: &[&str]) -> Vec<Vec<String>> {
    let help = text(&tasklight(&[above, &["--help"]].concat(), &[]).stdout);
    let listed = help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| line.starts_with("  "));
    let names =
        listed.filter_map(|line| line.strip_prefix("  ")).filter(|line| line.starts_with(|c: char| c.is_ascii_lowercase()));
    let mut all = Vec::new();
    for name in names.filter_map(|line| line.split_whitespace().next()).filter(|name| *name != "help") {
        let path = [above, &[name]].concat();
        all.push(path.iter().map(|part| (*part).to_owned()).collect());
        all.extend(commands(&path));
    }
    all
}

#[test]
fn the_manual_has_a_page_for_every_command() {
    let folder = TempDir::new().expect("a folder");
    let there = folder.path().join("man1");
    let output = tasklight(&["man", there.to_str().expect("UTF-8")], &[]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let page_of = |command: &[String]| format!("tasklight-{}.1", command.join("-"));
    let commands = commands(&[]);
    assert!(commands.iter().any(|command| command == &["token", "make"]), "{commands:?}");
    for page in commands.iter().map(|command| page_of(command)).chain(["tasklight.1".to_owned()]) {
        let page = fs::read_to_string(there.join(&page)).unwrap_or_else(|error| panic!("{page}: {error}"));
        assert!(page.contains(".TH ") && page.contains(".SH SYNOPSIS"), "{page}");
    }
    let printed = tasklight(&["man"], &[]);
    let installed = fs::read_to_string(there.join("tasklight.1")).expect("it is there");
    assert_eq!(text(&printed.stdout), installed);
    for name in installed.lines().filter_map(|line| line.strip_suffix("(1)")) {
        assert!(there.join(format!("{}.1", name.replace('\\', ""))).exists(), "{name} is named and has no page");
    }
}

#[test]
fn completions_name_every_command_in_every_shell() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let output = tasklight(&["completions", shell], &[]);
        assert!(output.status.success());
        let script = text(&output.stdout);
        for command in commands(&[]) {
            let name = command.last().expect("a name");
            assert!(script.contains(name.as_str()), "{shell} does not know {command:?}");
        }
    }
    assert_eq!(tasklight(&["completions", "tcsh"], &[]).status.code(), Some(2));
}

/// What a real bash offers for this command line, whose last word is being written.
fn offered_by_bash(words: &[&str]) -> BTreeSet<String> {
    let script = r#"
        source <("$PROGRAM" completions bash) || exit
        COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMPREPLY=()
        _tasklight tasklight "${COMP_WORDS[-1]}" "${COMP_WORDS[-2]}"
        printf '%s\n' "${COMPREPLY[@]}"
    "#;
    let mut bash = Command::new("bash");
    bash.args(["--norc", "-c", script, "bash"]).args(words).env("PROGRAM", env!("CARGO_BIN_EXE_tasklight"));
    let output = bash.output().expect("bash is there");
    assert!(output.status.success() && output.stderr.is_empty(), "{}", text(&output.stderr));
    text(&output.stdout).lines().map(str::to_owned).collect()
}

#[test]
fn bash_completes_commands_flags_and_values() {
    let first = offered_by_bash(&["tasklight", ""]);
    for command in commands(&[]).into_iter().filter(|command| command.len() == 1) {
        assert!(first.contains(&command[0]), "{command:?} is missing in {first:?}");
    }
    assert_eq!(offered_by_bash(&["tasklight", "serv"]), BTreeSet::from(["serve".to_owned()]));
    assert!(offered_by_bash(&["tasklight", "serve", "--admin"]).contains("--admin-listen"));
    assert!(offered_by_bash(&["tasklight", "token", "mak"]).contains("make"));
    assert!(offered_by_bash(&["tasklight", "completions", "z"]).contains("zsh"));
}

#[test]
fn the_version_says_which_commit_it_is() {
    let said = text(&tasklight(&["--version"], &[]).stdout);
    let commit = env!("TASKLIGHT_COMMIT");
    assert_eq!(said, format!("tasklight {} ({commit})\n", env!("CARGO_PKG_VERSION")));
    assert_eq!(commit, tasklight::version::COMMIT);
    let git = Command::new("git").args(["rev-parse", "--short=12", "HEAD"]).current_dir(env!("CARGO_MANIFEST_DIR")).output();
    let ours = Path::new(env!("CARGO_MANIFEST_DIR")).join(".git").exists() && std::env::var_os("TASKLIGHT_COMMIT").is_none();
    if let Ok(git) = git
        && ours
        && git.status.success()
    {
        assert_eq!(commit.trim_end_matches("-dirty"), text(&git.stdout).trim());
    }
}

#[tokio::test]
async fn ready_says_by_its_exit_code_how_a_hub_stands() {
    let hub = TestHub::start_with(|settings| {
        settings.store.busy_timeout = "20ms".parse().expect("a duration");
        settings.writer.commit_timeout = "100ms".parse().expect("a duration");
    })
    .await;
    let admin = hub.node().admin_address().to_string();
    let ask = async |environment: Vec<(&'static str, String)>, flags: Vec<String>| {
        let asking = tokio::task::spawn_blocking(move || {
            let environment: Vec<_> = environment.iter().map(|(name, value)| (*name, value.as_str())).collect();
            let flags: Vec<_> = flags.iter().map(String::as_str).collect();
            tasklight(&[&["ready"], flags.as_slice()].concat(), &environment)
        });
        let output = asking.await.expect("it runs");
        (output.status.code(), text(&output.stdout), text(&output.stderr))
    };
    let url = format!("http://{admin}");
    let (code, out, _) = ask(vec![], vec!["--admin".to_owned(), url.clone()]).await;
    assert_eq!((code, out.as_str()), (Some(0), "ready\n"));
    // The hub beside it, as a health check asks: the configuration says where it is, even if it listens everywhere.
    let everywhere = format!("0.0.0.0:{}", hub.node().admin_address().port());
    let environment = vec![("TASKLIGHT__ADMIN_LISTEN", everywhere), ("TASKLIGHT__LISTEN", "0.0.0.0:8080".to_owned())];
    assert_eq!(ask(environment, vec![]).await.0, Some(0));

    let database = format!("sqlite://{}", hub.database().display());
    let mut intruder = SqliteConnection::connect(&database).await.expect("a connection");
    let lock = intruder.begin_with("BEGIN IMMEDIATE").await.expect("the lock");
    assert_eq!(hub.post("t", message("x")).await.0, 503);
    let told = async { while hub.readiness().await.0 != 503 {} };
    timeout(PATIENCE, told).await.expect("readiness tells");
    let (code, out, _) = ask(vec![], vec!["--admin".to_owned(), url]).await;
    assert_eq!((code, out.as_str()), (Some(1), "not ready: store not answering\n"));
    lock.rollback().await.expect("the lock goes");

    drop(hub);
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a port");
    let (code, _, err) = ask(vec![], vec!["--admin".to_owned(), format!("http://{nobody}")]).await;
    assert!(code == Some(3) && err.contains("nobody answers"), "{code:?} {err}");
    assert_eq!(ask(vec![], vec!["--admin".to_owned(), "no URL".to_owned()]).await.0, Some(2));
}

/// `tasklight serve` on free ports and an empty store, started by a shell that first does `before`.
fn serve(folder: &Path, before: &str, environment: &[(&str, &str)]) -> Child {
    let program = env!("CARGO_BIN_EXE_tasklight");
    Command::new("sh")
        .arg("-c")
        .arg(format!("{before}; exec \"$0\" serve --listen 127.0.0.1:0 --admin-listen 127.0.0.1:0"))
        .arg(program)
        .current_dir(folder)
        .envs(environment.iter().copied())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
        .expect("it starts")
}

fn terminate(child: &mut Child) {
    let pid = rustix::process::Pid::from_child(child);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("it runs");
    assert!(child.wait().expect("it ends").success(), "it stops in order");
}

#[test]
fn a_service_manager_hears_when_the_hub_is_ready_and_when_it_stops() {
    let folder = TempDir::new().expect("a folder");
    let place = folder.path().join("notify");
    let manager = UnixDatagram::bind(&place).expect("a socket");
    manager.set_read_timeout(Some(PATIENCE)).expect("it takes a time");
    let heard = || {
        let mut message = [0; 64];
        let length = manager.recv(&mut message).expect("the hub says so");
        text(&message[..length])
    };
    let mut hub = serve(folder.path(), ":", &[("NOTIFY_SOCKET", place.to_str().expect("UTF-8"))]);
    assert_eq!(heard(), "READY=1");
    terminate(&mut hub);
    assert_eq!(heard(), "STOPPING=1");
}

#[cfg(target_os = "linux")]
#[test]
fn a_hub_raises_its_limit_of_open_files_as_far_as_it_may() {
    use std::os::linux::net::SocketAddrExt;

    let folder = TempDir::new().expect("a folder");
    let name = format!("tasklight-test-{}", uuid::Uuid::now_v7());
    let address = std::os::unix::net::SocketAddr::from_abstract_name(&name).expect("a name");
    let manager = UnixDatagram::bind_addr(&address).expect("a socket");
    manager.set_read_timeout(Some(PATIENCE)).expect("it takes a time");
    let mut hub = serve(folder.path(), "ulimit -Sn 300; ulimit -Hn 900", &[("NOTIFY_SOCKET", &format!("@{name}"))]);
    manager.recv(&mut [0; 64]).expect("the hub is ready");
    let limits = fs::read_to_string(format!("/proc/{}/limits", hub.id())).expect("it runs");
    let files = limits.lines().find(|line| line.starts_with("Max open files")).expect("a limit");
    let numbers: Vec<_> = files.split_whitespace().skip(3).take(2).collect();
    assert_eq!(numbers, ["900", "900"]);
    terminate(&mut hub);
}

#[test]
fn urls_with_passwords_are_read_from_files_and_shown_nowhere() {
    let folder = TempDir::new().expect("a folder");
    let file = |name: &str, content: &str| {
        let path = folder.path().join(name);
        fs::write(&path, content).expect("a file");
        path.to_str().expect("UTF-8").to_owned()
    };
    let store = file("store", "  postgres://hub:canary-1@db/x?sslmode=require\n");
    let broker = file("broker", "redis+sentinel://hub:canary-2@10.0.0.5/main?sentinel_password=canary-3\n");
    let environment = [("TASKLIGHT__STORE__URL_FILE", store.as_str()), ("TASKLIGHT__BROKER__URL_FILE", broker.as_str())];
    let output = tasklight(&["config", "--json"], &environment);
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success() && !out.contains("canary") && !err.contains("canary"), "{out}{err}");
    let shown: serde_json::Value = serde_json::from_str(&out).expect("JSON");
    assert_eq!(shown["store.url"]["value"], json!("postgres://hub:[redacted]@db/x?sslmode=require"));
    assert_eq!(shown["store.url"]["origin"], json!(store));
    let masked = "redis+sentinel://hub:[redacted]@10.0.0.5/main?sentinel_password=[redacted]";
    assert_eq!(shown["broker.url"]["value"], json!(masked));

    // The later source wins, whichever of the two keys it gives.
    let elsewhere = folder.path().join("flag.db");
    let flag = format!("sqlite://{}", elsewhere.display());
    let migrated = tasklight(&["migrate", "--store", &flag], &environment);
    assert!(migrated.status.success() && elsewhere.exists(), "{}", text(&migrated.stderr));
}

#[test]
fn a_file_that_holds_no_url_is_refused_without_being_shown() {
    let folder = TempDir::new().expect("a folder");
    let secret = folder.path().join("secret");
    fs::write(&secret, "canary").expect("a file");
    let secret = secret.to_str().expect("UTF-8");
    for (environment, says) in [
        (vec![("TASKLIGHT__STORE__URL_FILE", secret)], "store.url_file"),
        (vec![("TASKLIGHT__BROKER__URL_FILE", secret)], "broker.url_file"),
        (vec![("TASKLIGHT__STORE__URL_FILE", "/nowhere/url")], "/nowhere/url"),
        (vec![("TASKLIGHT__STORE__URL_FILE", secret), ("TASKLIGHT__STORE__URL", "sqlite://a.db")], "both given by environment"),
        (vec![("TASKLIGHT__STORE__URL", "mysql://u:canary@db/x")], "mysql://"),
    ] {
        let output = tasklight(&["serve", "--admin-listen", "127.0.0.1:0", "--listen", "127.0.0.1:0"], &environment);
        let err = text(&output.stderr);
        assert!(!output.status.success() && err.contains(says) && !err.contains("canary"), "{environment:?}: {err}");
    }
}

#[test]
fn the_admin_listener_goes_beyond_loopback_only_when_it_is_told_to() {
    let refused = tasklight(&["config"], &[("TASKLIGHT__ADMIN_LISTEN", "0.0.0.0:0")]);
    assert!(!refused.status.success() && text(&refused.stderr).contains("insecure_admin_listen"));
    let allowed = [("TASKLIGHT__ADMIN_LISTEN", "0.0.0.0:0"), ("TASKLIGHT__INSECURE_ADMIN_LISTEN", "true")];
    assert!(tasklight(&["config"], &allowed).status.success());
    // That says nothing about the API.
    let api = tasklight(&["config"], &[("TASKLIGHT__LISTEN", "0.0.0.0:0"), ("TASKLIGHT__INSECURE_ADMIN_LISTEN", "true")]);
    assert!(!api.status.success() && text(&api.stderr).contains("listen = 0.0.0.0"));
}
