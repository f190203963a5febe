//! The rules that are always there: the documented shapes of vendors' tokens, and of keys, tokens and logins in general.

mod clouds;
mod code;
mod general;
mod models;
mod services;

#[cfg(test)]
pub(super) mod samples;

use super::rule::{Check, Pattern, Rule};

/// Random text of a token's alphabet has more; what people write in its place has less.
const LEAST_ENTROPY: f64 = 2.5;

/// A rule as it is written down.
pub(super) struct Builtin {
    id: &'static str,
    what: &'static str,
    /// One of these is in every match.
    keywords: &'static [&'static str],
    /// How many characters of a token follow the keyword at once.
    tail: usize,
    pattern: &'static str,
    /// Whether the shape is weak: then no letter or digit may stand beside it.
    alone: bool,
    entropy: f64,
    check: Option<Check>,
}

/// A token known by what it begins with.
const fn token(
    id: &'static str,
    what: &'static str,
    keywords: &'static [&'static str],
    tail: usize,
    pattern: &'static str,
) -> Builtin {
    Builtin { id, what, keywords, tail, pattern, alone: false, entropy: LEAST_ENTROPY, check: None }
}

impl Builtin {
    const fn alone(self) -> Self {
        Self { alone: true, ..self }
    }

    const fn entropy(self, entropy: f64) -> Self {
        Self { entropy, ..self }
    }

    const fn check(self, check: Check) -> Self {
        Self { check: Some(check), ..self }
    }
}

/// All of them, the more exact ones first.
pub(super) fn builtin() -> Vec<Rule> {
    // What stands in a colour, or behind an escape that was escaped once more, has a letter before it.
    const BEFORE: &str = r"(?:\b|\x1b\[[0-9;]*m|\\[nrt])";
    const AFTER: &str = r"(?:[^A-Za-z0-9_]|\z)";
    let rule = |rule: &Builtin| {
        let pattern = if rule.alone { format!("{BEFORE}({}){AFTER}", rule.pattern) } else { rule.pattern.to_owned() };
        Rule {
            id: rule.id.to_owned(),
            what: rule.what.into(),
            keywords: rule.keywords.iter().map(|word| (*word).to_owned()).collect(),
            tail: rule.tail,
            always: false,
            regex: Pattern::known(pattern),
            group: 0,
            entropy: rule.entropy,
            check: rule.check,
            allow: Vec::new(),
        }
    };
    let all = [&code::RULES[..], &clouds::RULES, &models::RULES, &services::RULES, &general::RULES];
    all.into_iter().flatten().map(rule).collect()
}
