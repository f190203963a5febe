//! ARCHITECTURE.md is true: modules use only those below them, and its map names every file of `src`, and nothing that is not there.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

/// What a name in the map may be without.
const ENDINGS: [&str; 5] = ["", ".rs", ".ts", ".py", ".mjs"];

/// Folders of ours that hold others' files, or made ones.
const FOREIGN: [&str; 6] = ["target", "node_modules", "dist", ".git", "data", "__pycache__"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn architecture() -> String {
    fs::read_to_string(root().join("ARCHITECTURE.md")).expect("it is there")
}

/// A chapter of the document.
fn chapter<'a>(text: &'a str, title: &str) -> &'a str {
    let (_, rest) = text.split_once(&format!("\n## {title}\n")).expect("the chapter is there");
    rest.split("\n## ").next().unwrap_or(rest)
}

/// The files below a folder, and the folders, as paths from the root.
fn below(folder: &str) -> BTreeSet<String> {
    let (mut found, mut waiting) = (BTreeSet::new(), vec![PathBuf::from(folder)]);
    while let Some(folder) = waiting.pop() {
        for entry in fs::read_dir(root().join(&folder)).expect("a folder").map(|entry| entry.expect("an entry")) {
            let (name, is_folder) = (entry.file_name(), entry.file_type().expect("a type").is_dir());
            if is_folder && FOREIGN.iter().any(|foreign| name == *foreign) {
                continue;
            }
            let path = folder.join(name);
            found.insert(path.to_str().expect("UTF-8").to_owned());
            if is_folder {
                waiting.push(path);
            }
        }
    }
    found
}

/// The rows of the layer table, the uppermost first.
fn layers(text: &str) -> BTreeMap<String, usize> {
    let block: Vec<&str> = chapter(text, "Layers").lines().filter_map(|line| line.strip_prefix("    ")).collect();
    let rows = block.join(" ");
    let named = rows.split('→').enumerate();
    named.flat_map(|(row, names)| names.split(',').map(move |name| (name.trim().to_owned(), row))).collect()
}

/// The text without comments, and without its own tests, which come last.
fn code(text: &str) -> String {
    let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

/// The modules of this crate that a text names: `crate::a::…`, and each of `crate::{a::…, b}`.
fn used(text: &str) -> BTreeSet<String> {
    let paths = text.split("crate::").skip(1).flat_map(|rest| match rest.strip_prefix('{') {
        Some(list) => items(list),
        None => vec![rest],
    });
    let name = |path: &str| path.trim_start().chars().take_while(|c| c.is_ascii_lowercase() || *c == '_').collect::<String>();
    paths.map(name).filter(|name| !name.is_empty()).collect()
}

/// The items of a list in braces, of which the first is open already.
fn items(list: &str) -> Vec<&str> {
    let (mut found, mut start, mut depth) = (Vec::new(), 0, 0);
    for (at, c) in list.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth != 0 => depth -= 1,
            ',' | '}' if depth == 0 => {
                found.push(&list[start..at]);
                start = at + 1;
            }
            _ => {}
        }
        // The brace that ends the list is the last thing that was taken.
        if c == '}' && start == at + 1 {
            break;
        }
    }
    found
}

/// The module of a file of `src`, if it is one of the layers' and no test.
fn module(path: &str) -> Option<String> {
    let is_test = ["/tests.rs", "/by_hand.rs", "/gated.rs"].iter().any(|end| path.ends_with(end))
        || ["src/simulation", "src/cluster/ownership/simulation"].iter().any(|start| path.starts_with(start));
    let name = path.strip_prefix("src/")?.split('/').next()?.trim_end_matches(".rs");
    (path.ends_with(".rs") && !is_test && !matches!(name, "lib" | "main")).then(|| name.to_owned())
}

#[test]
fn modules_use_only_those_below_them() {
    let layers = layers(&architecture());
    let mut wrong = Vec::new();
    for path in below("src") {
        let Some(name) = module(&path) else { continue };
        let Some(row) = layers.get(&name) else {
            wrong.push(format!("{path}: {name} is in no layer"));
            continue;
        };
        let text = fs::read_to_string(root().join(&path)).expect("UTF-8");
        let above = used(&code(&text)).into_iter().filter(|used| *used != name && layers.get(used).is_some_and(|of| of <= row));
        wrong.extend(above.map(|used| format!("{path}: {name} uses {used}, which is not below it")));
    }
    assert!(wrong.is_empty(), "against the layers of ARCHITECTURE.md:\n{}", wrong.join("\n"));
    assert!(layers.values().max() > Some(&10), "the table was read: {layers:?}");
}

#[test]
fn what_a_text_uses_is_read() {
    let text = "use crate::{\n    a::{b, c},\n    d::e,\n    f,\n};\nuse crate::g::{h, i};\nlet x = crate::j::k(crate::l);";
    assert_eq!(used(text).into_iter().collect::<Vec<_>>(), ["a", "d", "f", "g", "j", "l"]);
    assert_eq!(code("use crate::a;\n/// [`crate::b`]\n#[cfg(test)]\nmod tests {\n    use crate::c;"), "use crate::a;");
}

/// Whether `name`, in which a `*` stands for anything within a folder, is this path.
fn is(name: &str, path: &str) -> bool {
    match name.split_once('*') {
        None => name == path,
        Some((start, end)) => {
            let middle = path.strip_prefix(start).and_then(|rest| rest.strip_suffix(end));
            middle.is_some_and(|middle| !middle.contains('/'))
        }
    }
}

/// The paths that the map's first column names, and the names that are no paths. A name in a list goes on in the folder of the one before it.
fn named(map: &str, paths: &BTreeSet<String>) -> (BTreeSet<String>, Vec<String>) {
    let (mut found, mut missing) = (BTreeSet::new(), Vec::new());
    for line in map.lines().filter_map(|line| line.strip_prefix("| `")) {
        let column = line.split(" | ").next().unwrap_or_default();
        let mut folder = String::new();
        for name in column.split('`').step_by(2).flat_map(|span| span.split(',')).map(str::trim) {
            let places = [format!("{folder}/{name}"), name.to_owned(), format!("src/{name}")];
            let of = |place: &String| -> Vec<String> {
                let is_it = |path: &&String| ENDINGS.iter().any(|ending| is(&format!("{place}{ending}"), path));
                paths.iter().filter(is_it).cloned().collect()
            };
            match places.iter().map(|place| (place, of(place))).find(|(_, matching)| !matching.is_empty()) {
                Some((place, matching)) => {
                    place.rsplit_once('/').unwrap_or_default().0.clone_into(&mut folder);
                    found.extend(matching);
                }
                None => missing.push(name.to_owned()),
            }
        }
    }
    (found, missing)
}

#[test]
fn the_map_names_every_file_of_src_and_nothing_that_is_not_there() {
    let (text, paths) = (architecture(), below(""));
    let (found, missing) = named(chapter(&text, "Where things are"), &paths);
    assert!(missing.is_empty(), "the map names what is not there: {missing:?}");
    let is_named =
        |path: &String| Path::new(path).ancestors().filter_map(Path::to_str).any(|place| place != "src" && found.contains(place));
    let files = paths.iter().filter(|path| path.starts_with("src/") && path.ends_with(".rs") && !path.ends_with("/tests.rs"));
    let unnamed: Vec<_> = files.filter(|path| !is_named(path)).collect();
    assert!(unnamed.is_empty(), "a newcomer cannot find these in the map: {unnamed:?}");
}

#[test]
fn names_in_lists_go_on_in_the_same_folder() {
    let paths: BTreeSet<_> = ["src/a", "src/a.rs", "src/a/b.rs", "src/a/c.rs", "src/d_x.rs"].map(str::to_owned).into();
    let map = "| file | what |\n|---|---|\n| `src/a/b, c`, `a.rs` | `e` |\n| `d_*`, `f` | `g` |\n";
    let (found, missing) = named(map, &paths);
    assert_eq!(found.into_iter().collect::<Vec<_>>(), ["src/a.rs", "src/a/b.rs", "src/a/c.rs", "src/d_x.rs"]);
    assert_eq!(missing, ["f"]);
}
