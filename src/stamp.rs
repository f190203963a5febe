//! Whether a file has changed since it was looked at last.

use std::{fs, path::Path, time::SystemTime};

/// What tells one state of a file from another: when it was written, and how long it is. Nothing while it is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Stamp(Option<(SystemTime, u64)>);

impl Stamp {
    /// Takes the file's state. Says whether it is another one than before; a file that was never looked at is another one.
    pub(crate) fn changes(&mut self, file: &Path) -> bool {
        let now = fs::metadata(file).ok().and_then(|data| Some((data.modified().ok()?, data.len())));
        std::mem::replace(&mut self.0, now) != now
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_new_once_and_again_when_it_changes_or_goes() {
        let folder = tempfile::TempDir::new().expect("a folder");
        let (file, mut stamp) = (folder.path().join("keys"), Stamp::default());
        assert!(!stamp.changes(&file), "it is not there");
        fs::write(&file, "a").expect("it is written");
        assert!(stamp.changes(&file) && !stamp.changes(&file));
        fs::write(&file, "ab").expect("it is written");
        assert!(stamp.changes(&file) && !stamp.changes(&file));
        fs::remove_file(&file).expect("it goes");
        assert!(stamp.changes(&file) && !stamp.changes(&file));
    }
}
