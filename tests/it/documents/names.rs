//! What documents name: files of this repository, and tests as proofs.

use std::{
    collections::{BTreeSet, HashMap},
    fs,
    path::{Path, PathBuf},
};

use super::documents;

/// What of ours has these endings; other people's files have them too, where [`ELSEWHERE`] says so.
const SOURCES: [&str; 8] = ["rs", "ts", "tsx", "py", "mjs", "sh", "sql", "md"];

/// What is made by a build.
const MADE: [&str; 3] = ["target", "node_modules", "dist"];

/// What is named and is no file of ours, with the document that does.
const ELSEWHERE: [(&str, &str); 3] =
    [("foo.rs", "CONTRIBUTING.md"), ("foo/child.rs", "CONTRIBUTING.md"), ("mod.rs", "CONTRIBUTING.md")];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every file and folder of the repository, as a path from its root, without what builds make.
fn everything() -> BTreeSet<String> {
    fn collect(folder: &Path, found: &mut BTreeSet<String>) {
        for entry in fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry")) {
            let (path, name) = (entry.path(), entry.file_name().to_string_lossy().into_owned());
            if MADE.contains(&name.as_str()) || name.starts_with(".venv") || name == ".git" {
                continue;
            }
            found.insert(path.strip_prefix(root()).expect("below it").to_string_lossy().into_owned());
            if entry.file_type().expect("a type").is_dir() {
                collect(&path, found);
            }
        }
    }
    let mut found = BTreeSet::new();
    collect(root(), &mut found);
    found
}

/// The words of what is written as code: between backquotes, fenced, or further in.
fn code_words(text: &str) -> BTreeSet<String> {
    let mut fenced = false;
    let mut words = BTreeSet::new();
    let mut prose = String::new();
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        } else if fenced || line.starts_with("    ") && !line.contains('`') {
            words.extend(line.split_whitespace().map(str::to_owned));
        } else {
            prose.push_str(line);
        }
        prose.push('\n');
    }
    for paragraph in prose.split("\n\n") {
        words.extend(paragraph.split('`').skip(1).step_by(2).flat_map(str::split_whitespace).map(str::to_owned));
    }
    words
}

/// `a/{b,c}` is two.
fn alternatives(word: &str) -> Vec<String> {
    let Some((before, (inside, after))) = word.split_once('{').and_then(|(before, rest)| Some((before, rest.split_once('}')?)))
    else {
        return vec![word.to_owned()];
    };
    inside.split(',').flat_map(|one| alternatives(&format!("{before}{one}{after}"))).collect()
}

/// Whether a word says a file or folder of this repository: it begins where the repository does, or ends as our sources do.
fn is_path(word: &str, tops: &BTreeSet<String>) -> bool {
    let is_plain = word.chars().all(|c| c.is_ascii_alphanumeric() || "_-./*".contains(c));
    let parts: Vec<&str> = word.split('/').collect();
    let is_made = parts.iter().any(|part| MADE.contains(part));
    let begins = 1 < parts.len() && tops.contains(parts[0]);
    let ends = Path::new(word).extension().and_then(|end| end.to_str()).is_some_and(|end| SOURCES.contains(&end));
    is_plain && !is_made && !word.starts_with(['/', '.', '*']) && (begins || ends)
}

/// Whether there is such a path: from the root, or as the end of one; sources may be named without their ending, and `*` is anything in a folder.
fn is_there(word: &str, all: &BTreeSet<String>) -> bool {
    let word = word.trim_end_matches(['/', '.']);
    let ends_with = |path: &str, end: &str| path == end || path.ends_with(&format!("/{end}"));
    let fits = |path: &str| match word.rsplit_once('/') {
        Some((folder, name)) if name.contains('*') => {
            let (before, after) = name.split_once('*').expect("one");
            path.rsplit_once('/')
                .is_some_and(|(parent, file)| ends_with(parent, folder) && file.starts_with(before) && file.ends_with(after))
        }
        _ => ends_with(path, word) || SOURCES.iter().any(|end| ends_with(path, &format!("{word}.{end}"))),
    };
    all.iter().any(|path| fits(path))
}

/// The paths that a text names and that are not there.
fn lost_paths(text: &str, all: &BTreeSet<String>) -> Vec<String> {
    let tops = all.iter().filter(|path| !path.contains('/')).cloned().collect();
    let words: BTreeSet<String> = code_words(text).iter().flat_map(|word| alternatives(word)).collect();
    let trimmed = words.iter().map(|word| word.trim_matches(['"', '\'', ',', ';', ':', '(', ')']));
    trimmed.filter(|word| is_path(word, &tops) && !is_there(word, all)).map(str::to_owned).collect()
}

#[test]
fn every_path_of_the_repository_that_is_named_is_there() {
    let all = everything();
    let mut files: Vec<PathBuf> = Vec::new();
    documents(root(), &mut files);
    let mut lost = Vec::new();
    for file in &files {
        let name = file.strip_prefix(root()).expect("below it").to_string_lossy().into_owned();
        let paths = lost_paths(&fs::read_to_string(file).expect("UTF-8"), &all).into_iter();
        lost.extend(paths.map(|path| (path, name.clone())));
    }
    let known: Vec<_> = ELSEWHERE.map(|(path, document)| (path.to_owned(), document.to_owned())).to_vec();
    let (unknown, idle): (Vec<_>, Vec<_>) =
        (lost.iter().filter(|one| !known.contains(one)).collect(), known.iter().filter(|one| !lost.contains(one)).collect());
    assert!(unknown.is_empty(), "these files are not there: {unknown:#?}");
    assert!(idle.is_empty(), "these need no exception any more: {idle:?}");
}

#[test]
fn a_path_that_is_not_there_is_found() {
    let all = everything();
    let text = "`tests/it/documents.rs`, `documents.rs`, `src/hub`, `hub/log.rs`, `src/hub/*`, `docs/{model,chaos}.md`, `application/json`, `target/x.rs`\n\n    \
                bash tests/services.sh cargo\n\n`tests/it/gone.rs`, `gone.rs`, `src/gone/*`, `docs/{model,gone}.md`\n\n    bash tests/gone.sh cargo\n";
    assert_eq!(lost_paths(text, &all), ["docs/gone.md", "gone.rs", "src/gone/*", "tests/gone.sh", "tests/it/gone.rs"]);
}

/// What a document says of a test.
#[derive(Debug, PartialEq, Eq)]
enum Proof {
    /// It is there, and is run.
    Run,
    /// It is there, and left out of `make test`.
    Ignored,
    /// No such test is in the file.
    Missing,
}

/// What plays the functions of `store_contract/` against every store: a list of their names.
const CONTRACT: &str = include_str!("../store_contract.rs");

/// How a function of a file's text is run.
fn proof(file: &str, source: &str, name: &str) -> Proof {
    let Some(at) = source.find(&format!("fn {name}(")) else { return Proof::Missing };
    if file.starts_with("store_contract/") {
        let is_listed = CONTRACT.lines().any(|line| line.trim() == name);
        return if is_listed { Proof::Run } else { Proof::Missing };
    }
    // Its attributes are what stands between it and whatever ended before.
    let above = source[..at].rsplit("\n\n").next().unwrap_or_default();
    let has = |start: &str| above.lines().any(|line| line.trim_start().starts_with(start));
    match (has("#[test]") || has("#[tokio::test"), has("#[ignore")) {
        (false, _) => Proof::Missing,
        (true, true) => Proof::Ignored,
        (true, false) => Proof::Run,
    }
}

/// The tests that a document names as `file.rs` and then, within the same item, `functions_of_it`; each with how it is run.
fn named_tests(text: &str) -> Vec<(String, Proof)> {
    let mut sources: HashMap<String, String> = HashMap::new();
    let mut found = Vec::new();
    for item in text.replace("\n\n", "\n- ").split("\n- ") {
        let mut file = String::new();
        for code in item.split('`').skip(1).step_by(2) {
            if code.ends_with(".rs") {
                file = code.to_owned();
                let path = root().join("tests/it").join(code);
                sources.entry(file.clone()).or_insert_with(|| fs::read_to_string(path).unwrap_or_default());
            } else if code.contains('_') && code.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_') {
                let proof = sources.get(&file).map_or(Proof::Missing, |source| proof(&file, source, code));
                found.push((code.to_owned(), proof));
            }
        }
    }
    found
}

/// What stands between one heading of the second rank and the next.
fn section<'a>(text: &'a str, heading: &str) -> &'a str {
    let (_, rest) = text.split_once(&format!("\n## {heading}\n")).expect("the heading is there");
    rest.split("\n## ").next().unwrap_or_default()
}

/// How the tests of a path are run, as the tests' own output names them: `module::function`, `module::prefix_*`, `module::*`, or a module alone.
fn proof_of(path: &str) -> Proof {
    let read = |module: &[&str]| {
        let file = format!("{}.rs", module.join("/"));
        let source = fs::read_to_string(root().join("tests/it").join(&file))
            .or_else(|_| fs::read_to_string(root().join("src").join(&file)));
        source.ok().map(|source| (file, source))
    };
    let parts: Vec<&str> = path.split("::").collect();
    let (name, module) = parts.split_last().expect("one at least");
    let whole = read(&parts).map(|found| (found, "*"));
    let Some(((file, source), name)) = whole.or_else(|| read(module).map(|found| (found, *name))) else { return Proof::Missing };
    let functions = source.split("fn ").skip(1).filter_map(|rest| rest.split_once('(')).map(|(function, _)| function);
    let fits = |function: &str| name.strip_suffix('*').map_or(function == name, |start| function.starts_with(start));
    let proofs: Vec<Proof> =
        functions.filter(|function| fits(function)).map(|function| proof(&file, &source, function)).collect();
    [Proof::Run, Proof::Ignored].into_iter().find(|proof| proofs.contains(proof)).unwrap_or(Proof::Missing)
}

/// The paths of tests in the last cells of a document's tables.
fn proofs_of_rows(text: &str) -> Vec<(String, Proof)> {
    let cells = text
        .lines()
        .filter(|line| line.starts_with('|'))
        .filter_map(|line| line.trim_end_matches([' ', '|']).rsplit(" | ").next());
    let codes = cells.flat_map(|cell| cell.split('`').skip(1).step_by(2));
    let is_path = |code: &&str| code.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "_:*".contains(c));
    codes.filter(is_path).map(|code| (code.to_owned(), proof_of(code))).collect()
}

#[test]
fn every_test_that_is_named_against_an_attack_is_there_and_is_run() {
    let named = proofs_of_rows(section(include_str!("../../../docs/security.md"), "What is attacked, and where the test is"));
    assert!(30 < named.len(), "{}", named.len());
    let gone: Vec<_> = named.iter().filter(|(_, proof)| *proof != Proof::Run).collect();
    assert!(gone.is_empty(), "these are not there, or are not run: {gone:?}");
    let text = "| a | `documents::names::*`, `documents::every_link_*`, `documents::gone`, `gone::*`, `auth::pattern`, `documents::names::section` |";
    let proofs: Vec<bool> = proofs_of_rows(text).iter().map(|(_, proof)| *proof == Proof::Run).collect();
    assert_eq!(proofs, [true, true, false, false, true, false]);
}

#[test]
fn every_test_that_is_named_as_a_proof_is_there_and_is_run() {
    let named = named_tests(section(include_str!("../../../docs/reliability.md"), "Promise by promise"));
    assert!(60 < named.len(), "{}", named.len());
    let gone: Vec<_> = named.iter().filter(|(_, proof)| *proof != Proof::Run).collect();
    assert!(gone.is_empty(), "these are not there, or are not run: {gone:?}");
}

#[test]
fn a_proof_that_is_missing_or_left_out_is_found() {
    let text = "- `documents.rs`: `every_link_leads_somewhere`, `no_test_has_this_name`, `gone_too`, `named_tests`\n- `every_link_leads_somewhere`";
    let proofs: Vec<Proof> = named_tests(text).into_iter().map(|(_, proof)| proof).collect();
    assert_eq!(proofs, [Proof::Run, Proof::Missing, Proof::Missing, Proof::Missing, Proof::Missing]);
    let contract =
        "pub async fn a_refused_item_does_not_hurt_its_neighbours(f: Fixture) {}\n\npub async fn not_listed(f: Fixture) {}\n";
    let listed = ["a_refused_item_does_not_hurt_its_neighbours", "not_listed"];
    assert_eq!(listed.map(|name| proof("store_contract/logs.rs", contract, name)), [Proof::Run, Proof::Missing]);
    let source = "#[test]\nfn runs() {}\n\n#[tokio::test(start_paused = true)]\n#[ignore = \"minutes\"]\nasync fn waits() {}\n\nfn helper() {}\n";
    assert_eq!(
        ["runs", "waits", "helper", "gone"].map(|name| proof("a.rs", source, name)),
        [Proof::Run, Proof::Ignored, Proof::Missing, Proof::Missing]
    );
}
