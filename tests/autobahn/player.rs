//! Autobahn's fuzzing client, which knows RFC 6455 case by case, against a hub's own socket: the real listener, handshake, loop, meter and close, with a
//! session that says again what it hears (the feature `echo`).
//!
//!     autobahn WSTEST FOLDER [--quick]
//!
//! WSTEST is Autobahn's program, FOLDER where its reports go. `--quick` leaves out group 9, large messages and many of them. Groups 12 and 13 are
//! always left out: they are compression, which the hub does not offer. `make autobahn` finds WSTEST and runs this.

use std::{
    collections::BTreeMap,
    env, fs,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use anyhow::{Context, ensure};
use serde::Deserialize;
use serde_json::json;
use tasklight::{config::Settings, node::Node};
use tokio::{process::Command, time::timeout};

/// How many cases there are without compression, and how many of these are of group 9. A client that ends early has proved nothing.
const CASES: usize = 301;
const LARGE_CASES: usize = 54;

/// How long all of them may take; they take less than a minute and a half.
const PATIENCE: Duration = Duration::from_secs(15 * 60);

/// The hub's name in the reports.
const AGENT: &str = "tasklight";

/// What Autobahn found in a case.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Outcome {
    behavior: String,
    behavior_close: String,
}

impl Outcome {
    /// NON-STRICT is what the RFC allows and Autobahn would do otherwise, such as noticing bad UTF-8 at a frame's end; INFORMATIONAL has no right answer.
    fn is_good(&self) -> bool {
        let good = |what: &str| matches!(what, "OK" | "NON-STRICT" | "INFORMATIONAL");
        good(&self.behavior) && good(&self.behavior_close)
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    let words: Vec<String> = env::args().skip(1).collect();
    let (program, folder, is_quick) = match &words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [program, folder] => (PathBuf::from(program), PathBuf::from(folder), false),
        [program, folder, "--quick"] => (PathBuf::from(program), PathBuf::from(folder), true),
        _ => anyhow::bail!("usage: autobahn WSTEST FOLDER [--quick]"),
    };
    let store = tempfile::tempdir()?;
    let node = Node::start(&settings(store.path())?).await?;
    let ran = run(&program, &folder, node.address().port(), is_quick).await;
    node.shutdown().await;
    ran?;
    let outcomes = read(&folder)?;
    Ok(if tell(&outcomes, is_quick) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// A hub as it is by default, but for what the cases themselves go beyond: messages of 16 MiB, in tens of thousands of pieces, for minutes; and without
/// heartbeats between them.
fn settings(folder: &Path) -> anyhow::Result<Settings> {
    let mut settings = Settings { listen: "127.0.0.1:0".parse()?, admin_listen: "127.0.0.1:0".parse()?, ..Settings::default() };
    settings.store.url = format!("sqlite://{}", folder.join("log.db").display());
    let hour = || "1h".parse().map_err(|error| anyhow::anyhow!("{error}"));
    (settings.session.heartbeat, settings.session.idle_timeout, settings.session.message_timeout) = (hour()?, hour()?, hour()?);
    settings.limits.frame = "17MiB".parse().map_err(|error| anyhow::anyhow!("{error}"))?;
    (settings.limits.frames_per_second, settings.limits.fragments) = (0, 0);
    Ok(settings)
}

async fn run(program: &Path, folder: &Path, port: u16, is_quick: bool) -> anyhow::Result<()> {
    // What an earlier run has left must not count.
    if folder.exists() {
        fs::remove_dir_all(folder)?;
    }
    fs::create_dir_all(folder)?;
    let mut left_out = vec!["12.*", "13.*"];
    left_out.extend(is_quick.then_some("9.*"));
    let specification = json!({
        "outdir": folder,
        "servers": [{"agent": AGENT, "url": format!("ws://127.0.0.1:{port}/v1/echo")}],
        "cases": ["*"],
        "exclude-cases": left_out,
        "exclude-agent-cases": {},
    });
    let (file, log) = (folder.join("specification.json"), folder.join("client.log"));
    fs::write(&file, specification.to_string())?;
    let output = fs::File::create(&log)?;
    let mut client = Command::new(program)
        .args(["--mode", "fuzzingclient", "--spec"])
        .arg(&file)
        .stdout(output.try_clone()?)
        .stderr(output)
        .kill_on_drop(true)
        .spawn()
        .with_context(|| format!("{} does not start", program.display()))?;
    let status = timeout(PATIENCE, client.wait()).await.context("the client did not end in time")??;
    ensure!(status.success(), "the client failed, see {}", log.display());
    Ok(())
}

fn read(folder: &Path) -> anyhow::Result<BTreeMap<String, Outcome>> {
    let text = fs::read_to_string(folder.join("index.json")).context("the client has left no report")?;
    let mut agents: BTreeMap<String, BTreeMap<String, Outcome>> = serde_json::from_str(&text)?;
    agents.remove(AGENT).context("the report is of something else")
}

/// Prints what came of each group, and of each case that failed. Says whether all is well.
fn tell(outcomes: &BTreeMap<String, Outcome>, is_quick: bool) -> bool {
    let mut groups: BTreeMap<u32, BTreeMap<&str, usize>> = BTreeMap::new();
    for (case, outcome) in outcomes {
        let group = case.split('.').next().and_then(|group| group.parse().ok()).unwrap_or_default();
        let word = if outcome.is_good() { outcome.behavior.as_str() } else { "FAILED" };
        *groups.entry(group).or_default().entry(word).or_default() += 1;
    }
    for (group, words) in groups {
        let words: Vec<_> = words.into_iter().map(|(word, count)| format!("{count} {word}")).collect();
        println!("group {group:2}: {}", words.join(", "));
    }
    let failed: Vec<_> = outcomes.iter().filter(|(_, outcome)| !outcome.is_good()).collect();
    for (case, outcome) in &failed {
        println!("case {case} FAILED: {}, close {}", outcome.behavior, outcome.behavior_close);
    }
    let expected = if is_quick { CASES - LARGE_CASES } else { CASES };
    let is_whole = outcomes.len() == expected;
    if !is_whole {
        println!("{} cases were played, and not {expected}", outcomes.len());
    }
    println!("autobahn: {} passed, {} failed", outcomes.len() - failed.len(), failed.len());
    is_whole && failed.is_empty()
}
