//! A figure beside its reference, its target, and whether it was met: the rows of the table in docs/benchmarks.md.

use std::fmt;

use anyhow::ensure;

/// What a ratio must be.
#[derive(Debug, Clone, Copy)]
pub enum Target {
    AtMost(f64),
    AtLeast(f64),
    /// It is only told.
    None,
}

/// What it means if a target is missed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Missed {
    /// It was too slow or took too much, which the machine may be to blame for: it is told.
    Told,
    /// Something was lost, or somebody: the run has failed.
    Fails,
}

/// One row of the table.
#[derive(Debug, Clone)]
pub struct Row {
    /// The row of the targets' table that it belongs to.
    pub number: &'static str,
    pub what: String,
    pub measured: String,
    pub reference: String,
    /// Measured by reference, or whatever the target bounds.
    pub ratio: f64,
    pub target: Target,
    /// The unit of what the target bounds, if it is not a ratio.
    pub unit: &'static str,
    missed: Missed,
}

/// The head of the table.
pub const HEAD: &str = "| | what | measured | reference in the same run | ratio | target | met |\n|---|---|---|---|---|---|---|";

impl Row {
    /// A row whose target bounds the ratio.
    pub fn new(number: &'static str, what: impl Into<String>, ratio: f64, target: Target) -> Self {
        let (measured, reference) = Default::default();
        Self { number, what: what.into(), measured, reference, ratio, target, unit: "", missed: Missed::Told }
    }

    pub fn measured(mut self, text: impl Into<String>) -> Self {
        self.measured = text.into();
        self
    }

    pub fn reference(mut self, text: impl Into<String>) -> Self {
        self.reference = text.into();
        self
    }

    /// What the target bounds is no ratio but a figure with this unit.
    pub fn unit(mut self, unit: &'static str) -> Self {
        self.unit = unit;
        self
    }

    /// The target is no aim: the run fails if it is missed.
    pub fn required(mut self) -> Self {
        self.missed = Missed::Fails;
        self
    }

    /// Whether the target was met, if there is one; a figure that is no number meets none.
    fn met(&self) -> Option<bool> {
        match self.target {
            Target::AtMost(limit) => Some(self.ratio <= limit),
            Target::AtLeast(limit) => Some(limit <= self.ratio),
            Target::None => None,
        }
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { number, what, measured, reference, ratio, target, unit, missed: _ } = self;
        let ratio = if unit.is_empty() && ratio.is_finite() { format!("{ratio:.2}") } else { String::new() };
        let target = match target {
            Target::AtMost(limit) => format!("≤ {limit}{unit}"),
            Target::AtLeast(limit) => format!("≥ {limit}{unit}"),
            Target::None => String::new(),
        };
        let met = match self.met() {
            Some(true) => "yes",
            Some(false) => "**no**",
            None => "",
        };
        write!(f, "| {number} | {what} | {measured} | {reference} | {ratio} | {target} | {met} |")
    }
}

/// Prints rows as a table of their own.
pub fn print(rows: &[Row]) {
    println!("{HEAD}");
    for row in rows {
        println!("{row}");
    }
    println!();
}

/// Tells of the aims that were missed, and fails if anything was that is required.
pub fn conclude(rows: &[Row]) -> anyhow::Result<()> {
    let missed = |kind: Missed| {
        let missed = rows.iter().filter(|row| row.missed == kind && row.met() == Some(false));
        missed.map(|row| format!("{} ({})", row.what, row.measured)).collect::<Vec<_>>()
    };
    let aims = missed(Missed::Told);
    if !aims.is_empty() {
        println!("aims missed: {}", aims.join("; "));
    }
    let failed = missed(Missed::Fails);
    ensure!(failed.is_empty(), "required and missed: {}", failed.join("; "));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_required_and_missed_fails_and_is_named() {
        for share in [99.99, f64::NAN] {
            let rows = [
                Row::new("11", "share delivered", share, Target::AtLeast(100.0)).measured("9,999 of 10,000").required(),
                Row::new("12", "never back", 0.0, Target::AtMost(0.0)).required(),
            ];
            let failed = conclude(&rows).expect_err("one is missed").to_string();
            assert_eq!(failed, "required and missed: share delivered (9,999 of 10,000)");
        }
    }

    #[test]
    fn an_aim_that_is_missed_is_no_failure() {
        let rows = [
            Row::new("11", "p99", 1.4, Target::AtMost(1.0)).unit(" s"),
            Row::new("11", "share delivered", 100.0, Target::AtLeast(100.0)).required(),
            Row::new("11", "told", f64::NAN, Target::None).required(),
        ];
        conclude(&rows).expect("nothing that is required is missed");
        assert!(rows[0].to_string().ends_with("| ≤ 1 s | **no** |"));
    }
}
