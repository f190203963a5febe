//! What was found, and how it is shown.

use std::io::{self, Write};

use anstyle::{AnsiColor, Style};
use serde::Serialize;

use crate::cli::terminal::safe_line;

/// The most things of a kind that are named.
const MOST_NAMED: usize = 5;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Level {
    /// As it should be.
    Ok,
    /// It could not be looked at.
    Unknown,
    /// It works, and should be seen to.
    Warning,
    /// Something is wrong.
    Error,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Finding {
    pub(super) check: &'static str,
    pub(super) level: Level,
    /// What is the case.
    pub(super) found: String,
    /// What follows from it.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub(super) meaning: &'static str,
    /// What to do about it.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub(super) advice: &'static str,
}

impl Finding {
    pub(super) fn ok(check: &'static str, found: impl Into<String>) -> Self {
        Self { check, level: Level::Ok, found: found.into(), meaning: "", advice: "" }
    }

    pub(super) fn unknown(check: &'static str, found: impl Into<String>, advice: &'static str) -> Self {
        Self { check, level: Level::Unknown, found: found.into(), meaning: "", advice }
    }

    pub(super) fn warning(check: &'static str, found: impl Into<String>, meaning: &'static str, advice: &'static str) -> Self {
        Self { check, level: Level::Warning, found: found.into(), meaning, advice }
    }

    pub(super) fn error(check: &'static str, found: impl Into<String>, meaning: &'static str, advice: &'static str) -> Self {
        Self { level: Level::Error, ..Self::warning(check, found, meaning, advice) }
    }
}

/// Names of what something is true of: how many there are, and the first few.
#[derive(Debug, Default)]
pub(super) struct Named {
    count: usize,
    first: Vec<String>,
}

impl Named {
    pub(super) fn add(&mut self, name: impl FnOnce() -> String) {
        self.count += 1;
        if self.first.len() < MOST_NAMED {
            self.first.push(name());
        }
    }

    /// The count, with the word for them and their names; nothing if there are none.
    pub(super) fn say(&self, one: &str, many: &str) -> Option<String> {
        let word = if self.count == 1 { one } else { many };
        let more = if self.first.len() < self.count { ", …" } else { "" };
        (self.count != 0).then(|| format!("{} {word}: {}{more}", self.count, self.first.join(", ")))
    }
}

/// All that was found, in the order in which it was looked at.
#[derive(Debug, Default, Serialize)]
pub(super) struct Report {
    findings: Vec<Finding>,
}

impl Report {
    pub(super) fn add(&mut self, finding: Finding) {
        self.findings.push(finding);
    }

    pub(super) fn worst(&self) -> Level {
        self.findings.iter().map(|finding| finding.level).max().unwrap_or(Level::Ok)
    }

    #[cfg(test)]
    pub(super) fn told(&self) -> Vec<(&'static str, Level)> {
        self.findings.iter().map(|finding| (finding.check, finding.level)).collect()
    }

    fn count(&self, level: Level) -> usize {
        self.findings.iter().filter(|finding| finding.level == level).count()
    }

    /// For programs: one object.
    pub(super) fn write_json(&self) -> io::Result<()> {
        let object = serde_json::json!({"worst": self.worst(), "findings": self.findings});
        let mut out = io::stdout().lock();
        writeln!(out, "{object}")
    }

    /// For people: a line for each, and under those that are not well what it means and what to do.
    pub(super) fn write_table(&self) -> io::Result<()> {
        let mut out = anstream::stdout().lock();
        self.write_to(&mut out)?;
        out.flush()
    }

    fn write_to(&self, out: &mut impl Write) -> io::Result<()> {
        let bold = Style::new().bold();
        writeln!(out, "{bold}{:7}  {:8}  FOUND{bold:#}", "LEVEL", "CHECK")?;
        for finding in &self.findings {
            let (style, word) = look(finding.level);
            writeln!(out, "{style}{word:7}{style:#}  {:8}  {}", finding.check, safe_line(&finding.found))?;
            for (mark, text) in [(" ", finding.meaning), ("→", finding.advice)] {
                if !text.is_empty() {
                    writeln!(out, "{:19}{mark} {text}", "")?;
                }
            }
        }
        let (errors, warnings, unknown) = (self.count(Level::Error), self.count(Level::Warning), self.count(Level::Unknown));
        match (errors, warnings) {
            (0, 0) => writeln!(out, "\nall is well, as far as it could be looked at ({unknown} not)"),
            _ => writeln!(out, "\n{errors} errors, {warnings} warnings, {unknown} not looked at"),
        }
    }
}

fn look(level: Level) -> (Style, &'static str) {
    match level {
        Level::Ok => (AnsiColor::Green.on_default(), "ok"),
        Level::Unknown => (Style::new().dimmed(), "unknown"),
        Level::Warning => (AnsiColor::Yellow.on_default(), "warning"),
        Level::Error => (AnsiColor::Red.on_default(), "error"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_few_and_counted() {
        let mut named = Named::default();
        assert_eq!(named.say("task", "tasks"), None);
        named.add(|| "a".to_owned());
        assert_eq!(named.say("task", "tasks").as_deref(), Some("1 task: a"));
        for n in 0..9 {
            named.add(|| n.to_string());
        }
        assert_eq!(named.say("task", "tasks").as_deref(), Some("10 tasks: a, 0, 1, 2, 3, …"));
    }

    #[test]
    fn what_is_not_well_is_explained_and_the_worst_counts() {
        let mut report = Report::default();
        assert_eq!(report.worst(), Level::Ok);
        report.add(Finding::ok("schema", "all 7 migrations"));
        report.add(Finding::unknown("redis", "CONFIG GET is not allowed", "Allow it."));
        assert_eq!(report.worst(), Level::Unknown);
        report.add(Finding::error("logs", "1 task: a\u{1b}[2Jb", "It has a hole.", "Restore it."));
        report.add(Finding::warning("clock", "2 s ahead", "Times are off.", "Use NTP."));
        assert_eq!(report.worst(), Level::Error);
        let mut out = Vec::new();
        report.write_to(&mut out).expect("memory");
        let text = anstream::adapter::strip_bytes(&out).into_vec();
        let text = String::from_utf8(text).expect("UTF-8");
        for line in [
            "ok       schema    all 7 migrations\n",
            "1 task: a␛[2Jb",
            "                     It has a hole.\n",
            "→ Restore it.\n",
            "1 errors, 1 warnings, 1 not looked at",
        ] {
            assert!(text.contains(line), "{line:?} is missing in\n{text}");
        }
    }
}
