//! What the program knows of its own making: which files the page has, and which commit it was built from.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

const PAGE: &str = "web/dist";

/// What the program is made of, and is looked at again when it changes.
const SOURCES: [&str; 5] = ["src", "migrations", "build.rs", "Cargo.toml", "Cargo.lock"];

/// What the page is made of. Debug builds read it while they run, release builds watch what is made of it.
const PAGE_SOURCES: [&str; 2] = ["web", "sdk/typescript/src"];

fn main() {
    // Debug builds read the page while they run.
    if env::var("PROFILE").is_ok_and(|profile| profile == "release") {
        // A folder that is not there counts as changed, each time. Where it cannot be made, that is the price.
        let _ = fs::create_dir_all(PAGE);
        println!("cargo:rerun-if-changed={PAGE}");
    }
    for source in SOURCES {
        println!("cargo:rerun-if-changed={source}");
    }
    println!("cargo:rerun-if-env-changed=TASKLIGHT_COMMIT");
    println!("cargo:rustc-env=TASKLIGHT_COMMIT={}", commit());
}

/// `TASKLIGHT_COMMIT` where the sources come without their history, as in a container; else what git says. Given, it also spares whoever
/// works on the program a build after each commit.
fn commit() -> String {
    let given = env::var("TASKLIGHT_COMMIT").unwrap_or_default();
    let given = given.split_whitespace().next().unwrap_or_default();
    if !given.is_empty() {
        return given.to_owned();
    }
    commit_of_git().unwrap_or_else(|| "unknown".to_owned())
}

/// The commit, and `-dirty` if what the program is made of is not as it is there. Nothing without git or outside of our own history:
/// sources that somebody unpacked within another repository are not of that one's commit.
fn commit_of_git() -> Option<String> {
    let top = PathBuf::from(git(&["rev-parse", "--show-toplevel"])?);
    let here = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR")?);
    if top.canonicalize().ok()? != here.canonicalize().ok()? {
        return None;
    }
    watch_history();
    let commit = git(&["rev-parse", "--short=12", "HEAD"])?;
    let mut status = vec!["--no-optional-locks", "status", "--porcelain", "--untracked-files=no", "--"];
    status.extend(SOURCES.iter().chain(&PAGE_SOURCES));
    let dirty = git(&status).is_none_or(|changes| !changes.is_empty());
    Some(if dirty { format!("{commit}-dirty") } else { commit })
}

/// Has cargo look again when HEAD names another commit, and not otherwise.
fn watch_history() {
    let branch = git(&["symbolic-ref", "--quiet", "HEAD"]);
    let mut files = vec!["HEAD"];
    files.extend(branch.as_deref());
    let place = |name: &&str| git(&["rev-parse", "--git-path", name]).filter(|file| Path::new(file).exists());
    let mut found: Vec<String> = files.iter().filter_map(place).collect();
    // A branch without a file of its own is in one with all others; the log of HEAD grows with the next commit.
    if found.len() < files.len() {
        found.extend(["packed-refs", "logs/HEAD"].iter().filter_map(place));
    }
    for file in found {
        println!("cargo:rerun-if-changed={file}");
    }
}

fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned())
}
