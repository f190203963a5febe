//! Configuration: what wins, what is refused, and by what name.

use std::process::Command;

use tempfile::TempDir;

/// Runs `tasklight` in an empty folder with this file and environment; gives whether it succeeded, what it printed and its complaint.
fn tasklight(arguments: &[&str], file: &str, environment: &[(&str, &str)]) -> (bool, String, String) {
    let folder = TempDir::new().expect("a folder");
    std::fs::write(folder.path().join("tasklight.toml"), file).expect("a file");
    let output = Command::new(env!("CARGO_BIN_EXE_tasklight"))
        .args(arguments)
        .current_dir(folder.path())
        .envs(environment.iter().copied())
        .output()
        .expect("it runs");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
    (output.status.success(), text(output.stdout), text(output.stderr))
}

#[test]
fn later_sources_win_and_are_named() {
    let file = "[session]\nheartbeat = \"10s\"\nidle_timeout = \"40s\"\n[limits]\nactivity = \"1KiB\"\n";
    let environment = [("TASKLIGHT__SESSION__HEARTBEAT", "5s"), ("TASKLIGHT__HTTP__ORIGINS", "https://a.io,https://b.io")];
    let (ok, out, err) = tasklight(&["config"], file, &environment);
    assert!(ok, "{err}");
    for line in [
        "session.heartbeat = \"5s\"  # environment",
        "session.idle_timeout = \"40s\"  # tasklight.toml",
        "limits.activity = \"1KiB\"  # tasklight.toml",
        "http.origins = [\"https://a.io\",\"https://b.io\"]  # environment",
        "session.queue_frames = 256  # default",
    ] {
        assert!(out.contains(line), "{line} is missing in\n{out}");
    }
}

#[test]
fn passwords_are_not_printed() {
    let (ok, out, err) = tasklight(&["config"], "[store]\nurl = \"postgres://me:hunter2@db/x\"\n", &[]);
    assert!(ok && out.contains("[redacted]") && !format!("{out}{err}").contains("hunter2"), "{out}{err}");
}

#[test]
fn a_bad_value_stops_the_start_and_names_itself() {
    for (file, environment, names) in [
        ("[store]\nurll = \"x\"\n", vec![], vec!["store.urll", "tasklight.toml"]),
        ("heartbeat = \"1s\"\n", vec![], vec!["heartbeat", "did you mean session.heartbeat"]),
        ("[session]\nheartbeat = \"soon\"\n", vec![], vec!["session.heartbeat", "soon", "30s"]),
        ("[limits]\nactivity = \"1 parsec\"\n", vec![], vec!["limits.activity", "64KiB"]),
        ("", vec![("TASKLIGHT__LIMITS__JSON_DEPTH", "deep")], vec!["limits.json_depth", "environment"]),
        ("", vec![("TASKLIGHT__NODE__NAME", "x")], vec!["node.name", "environment"]),
        ("[writer]\nqueue_activities = 0\n", vec![], vec!["writer.queue_activities", "at least 1"]),
        ("[writer]\nqueue_activities = 9000000000000000000\n", vec![], vec!["writer.queue_activities", "at most"]),
        ("[broker]\nread_messages = 9000000000000000000\n", vec![], vec!["broker.read_messages", "at most"]),
        ("[session]\nidle_timeout = \"9000000000years\"\n", vec![], vec!["session.idle_timeout", "hundred years"]),
        ("[store]\nsynchronous = \"off\"\n", vec![], vec!["store.synchronous", "full"]),
        ("[log]\nformat = \"xml\"\n", vec![], vec!["log.format", "pretty"]),
        ("listen = \"0.0.0.0:8080\"\n", vec![], vec!["listen", "--insecure-listen"]),
        ("[http]\ntrusted_proxies = [\"10.0.0.0/99\"]\n", vec![], vec!["http.trusted_proxies", "10.0.0.0/99", "10.0.0.0/8"]),
        ("[session]\nmessage_timeout = \"0s\"\n", vec![], vec!["session.message_timeout", "10ms"]),
        ("[store]\nurl = \"mysql://x\"\n", vec![], vec!["store.url", "sqlite://"]),
        ("not toml", vec![], vec!["tasklight.toml"]),
    ] {
        let arguments = ["serve", "--admin-listen", "127.0.0.1:0"];
        let (ok, _, err) = tasklight(&arguments, file, &environment);
        assert!(!ok, "{file} {environment:?} must not start");
        for name in names {
            assert!(err.contains(name), "{name:?} is missing in {err:?} for {file:?} {environment:?}");
        }
    }
}

#[test]
fn the_reference_is_what_the_program_says_of_itself() {
    let document = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/configuration.md")).expect("it is there");
    let (_, rest) = document.split_once("<!-- written by `make docs` -->\n").expect("the mark where it begins");
    let (written, _) = rest.split_once("<!-- to here -->\n").expect("the mark where it ends");
    let (ok, said, err) = tasklight(&["config", "--reference"], "", &[]);
    assert!(ok, "{err}");
    assert!(written == said, "docs/configuration.md is older than the settings: `make docs` writes its tables anew");
    let meanings = tasklight::config::Settings::reference();
    for key in tasklight::config::Settings::default().values().into_keys() {
        let meaning = &meanings[&key];
        assert!(said.contains(&format!("| `{key}` | {} |", meaning.form)) && said.contains(&meaning.text), "{key}");
        assert!(!meaning.form.is_empty() && meaning.text.ends_with('.'), "{key}: {meaning:?}");
    }
}
