//! What became of a transcript's lines: each is counted once, so that what is missing can be seen.

use std::collections::BTreeMap;

use crate::model::ActivityType;

/// The most names that are counted apart; what more there are counts as one.
const NAMES: usize = 100;

/// What those beyond that are counted as.
const OTHERS: &str = "(others)";

/// The most characters of a name.
const NAME_CHARS: usize = 80;

/// Counts of lines and of what they became.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    /// All lines.
    pub lines: u64,
    /// Lines with nothing on them.
    pub blank: u64,
    /// Lines that were no JSON and were kept as output.
    pub text: u64,
    /// Lines that were too long; head and length were kept.
    pub too_long: u64,
    /// Lines of which everything worth showing is said elsewhere, by their type.
    pub silent: BTreeMap<String, u64>,
    /// Lines of a type that is not known, or of another form than known; they were kept whole. By their type.
    pub unknown: BTreeMap<String, u64>,
    /// Lines that became activities of their own.
    pub told: u64,
    /// Activities, by type.
    pub activities: BTreeMap<&'static str, u64>,
}

impl Tally {
    /// How many lines nobody knew.
    pub fn unknown_lines(&self) -> u64 {
        self.unknown.values().sum()
    }

    /// Whether each line is accounted for exactly once.
    pub fn is_complete(&self) -> bool {
        let silent: u64 = self.silent.values().sum();
        self.lines == self.blank + self.text + self.too_long + silent + self.unknown_lines() + self.told
    }

    pub(super) fn activity(&mut self, kind: ActivityType) {
        *self.activities.entry(kind.as_str()).or_default() += 1;
    }

    pub(super) fn silent(&mut self, name: &str) {
        count(&mut self.silent, name);
    }

    pub(super) fn unknown(&mut self, name: &str) {
        count(&mut self.unknown, name);
    }
}

fn count(counts: &mut BTreeMap<String, u64>, name: &str) {
    let clean = |c: char| if c.is_control() { '\u{fffd}' } else { c };
    let name: String = name.chars().take(NAME_CHARS).map(clean).collect();
    let name = if counts.len() < NAMES || counts.contains_key(&name) { name } else { OTHERS.to_owned() };
    *counts.entry(name).or_default() += 1;
}
