//! What was found: how much by which rule in which task, and never what.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{self, Write},
};

/// The most pairs of a rule and a task that are counted apart; what more there are counts for all other tasks together.
const PAIRS: usize = 10_000;

/// What stands for those.
const OTHERS: &str = "(other tasks)";

/// Counts.
#[derive(Debug, Default)]
pub(super) struct Findings {
    counts: BTreeMap<(String, String), u64>,
    /// Rules and tasks of ids that hold a secret.
    stuck: BTreeSet<(String, String)>,
}

impl Findings {
    pub(super) fn found(&mut self, rule: &str, task: &str) {
        let key = (rule.to_owned(), task.to_owned());
        let key = if self.counts.len() < PAIRS || self.counts.contains_key(&key) { key } else { (key.0, OTHERS.to_owned()) };
        *self.counts.entry(key).or_default() += 1;
    }

    pub(super) fn stuck(&mut self, rule: &str, task: &str) {
        if self.stuck.len() < PAIRS {
            self.stuck.insert((rule.to_owned(), task.to_owned()));
        }
    }

    pub(super) fn count(&self) -> u64 {
        self.counts.values().sum()
    }

    /// Says it. Gives whether anything is left as it was.
    pub(super) fn tell(&self, cleaned: bool) -> io::Result<bool> {
        let mut out = io::stdout().lock();
        for ((rule, task), count) in &self.counts {
            writeln!(out, "{count:>8}  {rule}  {task}")?;
        }
        for (rule, task) in &self.stuck {
            writeln!(
                out,
                "      id  {rule}  {task}: an id of the task or of one of its runs, or a name that clients of its stream gave, looks like a secret and cannot be changed; delete the task if it is one"
            )?;
        }
        let tasks: BTreeSet<&str> = self.counts.keys().map(|(_, task)| task.as_str()).collect();
        let (count, tasks) = (self.count(), tasks.len());
        match (count, cleaned) {
            (0, _) => writeln!(out, "no secrets found")?,
            (_, true) => writeln!(out, "{count} secrets in {tasks} tasks were replaced")?,
            (_, false) => writeln!(out, "{count} secrets in {tasks} tasks; nothing was changed: --clean replaces them")?,
        }
        Ok(!self.stuck.is_empty() || (0 < count && !cleaned))
    }
}
