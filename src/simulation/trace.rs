//! Everything that happened, in words and as one number.

use std::hash::{DefaultHasher, Hash, Hasher};

/// What happened so far.
#[derive(Debug, Default)]
pub(super) struct Trace {
    hasher: DefaultHasher,
    pub(super) lines: Vec<String>,
}

impl Trace {
    /// This happened.
    pub(super) fn note(&mut self, words: impl FnOnce() -> String) {
        let words = words();
        words.hash(&mut self.hasher);
        self.lines.push(words);
    }

    /// The same if and only if the same things happened.
    pub(super) fn hash(&self) -> u64 {
        self.hasher.finish()
    }
}
