//! A figure beside its reference, its target, and whether it was met: the rows of the table in docs/benchmarks.md.

use std::fmt;

/// What a ratio must be.
#[derive(Debug, Clone, Copy)]
pub enum Target {
    AtMost(f64),
    AtLeast(f64),
    /// It is only told.
    None,
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
}

/// The head of the table.
pub const HEAD: &str = "| | what | measured | reference in the same run | ratio | target | met |\n|---|---|---|---|---|---|---|";

impl Row {
    /// A row whose target bounds the ratio.
    pub fn new(number: &'static str, what: impl Into<String>, ratio: f64, target: Target) -> Self {
        let (measured, reference) = Default::default();
        Self { number, what: what.into(), measured, reference, ratio, target, unit: "" }
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

    /// Whether the target was met, if there is one.
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
        let Self { number, what, measured, reference, ratio, target, unit } = self;
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
