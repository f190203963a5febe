//! The documents lead where they say: every relative link of every Markdown file names a file that is there and, with `#`, a heading in it; and
//! what they name as a file of this repository or as a test is there ([`names`]).

mod names;

use std::{
    collections::{HashMap, HashSet},
    fs,
    path::{Path, PathBuf},
};

/// Folders whose files are not ours to write, or, in `src`, become documents elsewhere.
const FOREIGN: [&str; 7] = ["target", "node_modules", "dist", "data", "fixtures", ".git", "src"];

fn documents(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry")) {
        let (path, name) = (entry.path(), entry.file_name());
        let foreign = FOREIGN.iter().any(|foreign| name == *foreign) || name.to_string_lossy().starts_with(".venv");
        if entry.file_type().expect("a type").is_dir() && !foreign {
            documents(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "md") {
            found.push(path);
        }
    }
}

/// The text without what is code, in which brackets mean something else.
fn prose(text: &str) -> String {
    let mut fenced = false;
    let mut kept = String::new();
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        } else if !fenced && !line.starts_with("    ") {
            kept.extend(line.split('`').step_by(2));
        }
        kept.push('\n');
    }
    kept
}

/// The targets of `[…](target)`.
fn links(text: &str) -> Vec<String> {
    let targets = text.split("](").skip(1).filter_map(|rest| rest.split_once(')'));
    targets.map(|(target, _)| target.split_whitespace().next().unwrap_or_default().to_owned()).collect()
}

/// How a heading is named in an address: lower case, spaces as dashes, no punctuation.
fn anchor(heading: &str) -> String {
    let words = heading.trim().chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    words.flat_map(char::to_lowercase).map(|c| if c == ' ' { '-' } else { c }).collect()
}

fn anchors(text: &str) -> HashSet<String> {
    let mut fenced = false;
    let headings = text.lines().filter(|line| {
        fenced ^= line.trim_start().starts_with("```");
        !fenced && line.starts_with('#')
    });
    let mut seen: HashMap<String, usize> = HashMap::new();
    headings
        .map(|line| {
            let name = anchor(line.trim_start_matches('#'));
            let count = seen.entry(name.clone()).or_default();
            *count += 1;
            if *count == 1 { name } else { format!("{name}-{}", *count - 1) }
        })
        .collect()
}

/// What is wrong with a document's links.
fn broken(path: &Path) -> Vec<String> {
    let text = fs::read_to_string(path).expect("UTF-8");
    let wrong = |target: &String| {
        if target.contains("://") || target.starts_with("mailto:") || target.is_empty() {
            return false;
        }
        let (file, heading) = target.split_once('#').map_or((target.as_str(), None), |(file, heading)| (file, Some(heading)));
        let file = if file.is_empty() { path.to_owned() } else { path.parent().expect("a folder").join(file) };
        match heading {
            None => !file.exists(),
            Some(heading) => !fs::read_to_string(&file).is_ok_and(|text| anchors(&text).contains(heading)),
        }
    };
    links(&prose(&text)).into_iter().filter(wrong).map(|target| format!("{}: {target}", path.display())).collect()
}

#[test]
fn every_link_leads_somewhere() {
    let mut all = Vec::new();
    documents(Path::new(env!("CARGO_MANIFEST_DIR")), &mut all);
    assert!(all.iter().any(|path| path.ends_with("README.md")) && 15 < all.len(), "{all:?}");
    let broken: Vec<String> = all.iter().flat_map(|path| broken(path)).collect();
    assert!(broken.is_empty(), "these lead nowhere:\n{}", broken.join("\n"));
}

#[test]
fn a_link_that_leads_nowhere_is_found() {
    let folder = tempfile::TempDir::new().expect("a folder");
    let path = folder.path().join("a.md");
    let text = "# One, two\n## `b`\n[x](#one-two) [y](#b) [z](a.md#one-two) [w](https://example.com)\n`[c](code.md)`\n\n    [d](code.md)\n\n[e](gone.md) [f](#three) [g](a.md#c \"words\")\n";
    fs::write(&path, text).expect("it is written");
    let found: Vec<String> = broken(&path).iter().map(|line| line.rsplit(": ").next().unwrap_or_default().to_owned()).collect();
    assert_eq!(found, ["gone.md", "#three", "a.md#c"]);
}
