//! The files below what was named.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// How deep folders are walked into.
const DEPTH: usize = 16;

/// All files of these names, and below these folders those whose names end in `.jsonl` or `.json`; each folder in order of names. Links to
/// folders are not followed, because they may lead back.
pub(super) fn below(paths: &[PathBuf]) -> io::Result<Vec<PathBuf>> {
    ending_in(paths, &["jsonl", "json"])
}

/// The same with other endings.
pub(super) fn ending_in(paths: &[PathBuf], endings: &[&str]) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for path in paths {
        let metadata =
            fs::metadata(path).map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))?;
        if metadata.is_dir() { walk(path, DEPTH, endings, &mut files)? } else { files.push(path.clone()) }
    }
    Ok(files)
}

fn walk(folder: &Path, depth: usize, endings: &[&str], files: &mut Vec<PathBuf>) -> io::Result<()> {
    let named = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", folder.display()));
    let mut entries: Vec<_> = fs::read_dir(folder).map_err(named)?.collect::<Result<_, _>>().map_err(named)?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let kind = entry.file_type().map_err(named)?;
        let path = entry.path();
        let is_wanted = path.extension().is_some_and(|extension| endings.iter().any(|ending| extension == *ending));
        if kind.is_dir() && 0 < depth {
            walk(&path, depth - 1, endings, files)?;
        } else if kind.is_file() && is_wanted {
            files.push(path);
        }
    }
    Ok(())
}
