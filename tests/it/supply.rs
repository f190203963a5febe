//! What comes from outside is under licences that we know, from where everything comes from, once unless there is a reason, and without what deny.toml
//! forbids; and nothing of ours is `unsafe`. `make audit` holds all of deny.toml against it with cargo-deny, and looks for advisories; this needs no
//! tool and no network, and sees what is built on this system.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value as Json;
use toml::Value;

/// What Cargo.lock says of a package from crates.io.
const CRATES_IO: &str = "registry+https://github.com/rust-lang/crates.io-index";

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn toml(path: &str) -> Value {
    toml::from_str(&read(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The texts of a list; of a list of tables their `crate`.
fn words(list: &Value) -> BTreeSet<String> {
    let word = |item: &Value| item.get("crate").unwrap_or(item).as_str().expect("a text").to_owned();
    list.as_array().expect("a list").iter().map(word).collect()
}

/// A package of the build.
struct Package {
    name: String,
    version: String,
    /// What cargo says of it beside its name: a path, or where else it is from.
    from: Option<String>,
    licence: String,
}

/// Everything that is built here, for the program, for building it and for testing it.
fn packages() -> Vec<Package> {
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--locked", "--offline", "--workspace", "--all-features", "--edges", "normal,build,dev"])
        .args(["--prefix", "none", "--no-dedupe", "--format", "{p}|{l}"])
        .current_dir(root())
        .output()
        .expect("cargo is there");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    let lines: BTreeSet<&str> = text.lines().filter(|line| line.contains('|')).collect();
    let package = |line: &str| {
        let (package, licence) = line.split_once('|').expect("both");
        let mut parts = package.split(' ').filter(|part| *part != "(proc-macro)");
        let (name, version) = (parts.next().expect("a name"), parts.next().expect("a version"));
        let from = parts.next().map(|from| from.trim_matches(['(', ')']).to_owned());
        let version = version.trim_start_matches('v').to_owned();
        Package { name: name.to_owned(), version, from, licence: licence.to_owned() }
    };
    lines.into_iter().map(package).collect()
}

/// Whether a licence expression (SPDX, or the older form with `/` for or) can be met with these licences.
fn is_met(expression: &str, allowed: &BTreeSet<String>) -> bool {
    let spaced = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let mut words = spaced.split_whitespace().peekable();
    let met = either(&mut words, allowed);
    met && words.next().is_none()
}

type Words<'a> = std::iter::Peekable<std::str::SplitWhitespace<'a>>;

fn either(words: &mut Words<'_>, allowed: &BTreeSet<String>) -> bool {
    let mut met = both(words, allowed);
    while words.next_if_eq(&"OR").is_some() {
        met |= both(words, allowed);
    }
    met
}

fn both(words: &mut Words<'_>, allowed: &BTreeSet<String>) -> bool {
    let mut met = one(words, allowed);
    while words.next_if_eq(&"AND").is_some() {
        met &= one(words, allowed);
    }
    met
}

fn one(words: &mut Words<'_>, allowed: &BTreeSet<String>) -> bool {
    if words.next_if_eq(&"(").is_some() {
        let met = either(words, allowed);
        return words.next() == Some(")") && met;
    }
    let Some(word) = words.next() else { return false };
    // An exception makes another licence of it, which would have to be allowed as such.
    let has_exception = words.next_if_eq(&"WITH").is_some() && words.next().is_some();
    allowed.contains(word) && !has_exception
}

#[test]
fn licences_are_read_as_they_are_written() {
    let allowed = BTreeSet::from(["MIT", "ISC"].map(str::to_owned));
    for (expression, met) in [
        ("MIT", true),
        ("GPL-3.0", false),
        ("GPL-3.0 OR MIT", true),
        ("Unlicense/MIT", true),
        ("GPL-3.0 AND MIT", false),
        ("ISC AND (GPL-3.0 OR MIT)", true),
        ("ISC AND (GPL-3.0 OR Zlib)", false),
        ("GPL-3.0 OR ISC AND MIT", true),
        ("(MIT", false),
        ("MIT)", false),
        ("MIT WITH some-exception", false),
        ("MIT WITH some-exception OR ISC", true),
        ("", false),
    ] {
        assert_eq!(is_met(expression, &allowed), met, "{expression}");
    }
}

#[test]
fn every_crate_is_licensed_to_us_from_crates_io_and_there_once() {
    let deny = toml("deny.toml");
    let (allowed, skipped) = (words(&deny["licenses"]["allow"]), words(&deny["bans"]["skip"]));
    let forbidden = words(&deny["bans"]["deny"]);
    let mut versions: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let packages = packages();
    assert!(200 < packages.len(), "only {} packages were found", packages.len());
    for Package { name, version, from, licence } in packages {
        assert!(is_met(&licence, &allowed), "{name} {version} is under {licence}: see licenses.allow in deny.toml");
        assert!(!forbidden.contains(&name), "{name}: see bans.deny in deny.toml");
        let is_ours = from.as_ref().is_some_and(|from| Path::new(from).starts_with(root()));
        assert!(from.is_none() || is_ours, "{name} is from {from:?}, and not from crates.io");
        versions.entry(name).or_default().insert(version);
    }
    for (name, versions) in versions.iter().filter(|(_, versions)| 1 < versions.len()) {
        let mut known = versions.iter().filter(|version| skipped.contains(&format!("{name}@{version}")));
        let others = versions.len() - known.by_ref().count();
        assert_eq!(others, 1, "{name} is there as {versions:?}: see bans.skip in deny.toml");
    }
    for skip in &skipped {
        let (name, version) = skip.split_once('@').expect("a name and a version");
        let is_there = versions.get(name).is_some_and(|versions| 1 < versions.len() && versions.contains(version));
        assert!(is_there, "{skip} is not there twice any more: take it out of bans.skip in deny.toml");
    }
    let lock = toml("Cargo.lock");
    for package in lock["package"].as_array().expect("packages") {
        let from = package.get("source").map(|source| source.as_str().expect("a text"));
        assert!(from.is_none_or(|from| from == CRATES_IO), "{}: {from:?}", package["name"]);
    }
}

#[test]
fn no_dependency_is_of_any_version_and_all_of_ours_is_safe() {
    for manifest in ["Cargo.toml", "loadtest/Cargo.toml", "tests/model/Cargo.toml", "tests/loom/Cargo.toml"] {
        let read = toml(manifest);
        assert_eq!(read["lints"]["rust"]["unsafe_code"].as_str(), Some("forbid"), "{manifest}");
        for table in ["dependencies", "dev-dependencies", "build-dependencies"] {
            for (name, wanted) in read.get(table).and_then(Value::as_table).into_iter().flatten() {
                let version = wanted.as_str().or_else(|| wanted.get("version")?.as_str());
                let is_here = wanted.get("path").is_some();
                assert!(is_here || version.is_some_and(|version| !version.contains('*')), "{manifest}: {name}");
            }
        }
    }
    let sources = ["src", "tests", "benches", "loadtest/src", "fuzz/fuzz_targets"].map(|folder| root().join(folder));
    let files = sources.into_iter().flat_map(rust_files).chain([root().join("build.rs")]);
    // In two pieces, or it would find itself. The lint does not see what another crate's macro is given.
    let word = ["un", "safe"].concat();
    for file in files {
        let text = read(&file);
        let line =
            text.lines().find(|line| [" {", " fn", " impl", "("].iter().any(|after| line.contains(&format!("{word}{after}"))));
        assert!(line.is_none(), "{}: {line:?}", file.display());
    }
}

fn rust_files(folder: PathBuf) -> Vec<PathBuf> {
    let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let paths = entries.map(|entry| entry.expect("it can be listed").path());
    paths
        .flat_map(|path| if path.is_dir() { rust_files(path) } else { vec![path] })
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .collect()
}

#[test]
fn what_the_page_and_the_package_ship_is_licensed_to_us() {
    let allowed = words(&toml("deny.toml")["licenses"]["allow"]);
    for lock in ["web/package-lock.json", "sdk/typescript/package-lock.json"] {
        let read: Json = serde_json::from_str(&read(lock)).expect("JSON");
        let packages = read["packages"].as_object().expect("packages");
        for (name, package) in packages.iter().filter(|(name, _)| !name.is_empty()) {
            let (from, is_link) = (&package["resolved"], package["link"] == true);
            assert!(is_link || from.is_null(), "{lock}: {name} is from {from}, not from wherever packages come from");
            if package["dev"] == true || is_link || !name.contains("node_modules/") {
                continue;
            }
            let licence = package["license"].as_str().unwrap_or_default();
            assert!(is_met(licence, &allowed), "{lock}: {name} is under {licence:?}");
        }
    }
}
