//! How much of which task is kept. Pure.

use std::{collections::BTreeMap, time::Duration};

/// How much of a task is kept; what is not said is kept for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Policy {
    /// Activities that were taken longer ago go.
    pub max_age: Option<Duration>,
    /// So many activities stay, the newest.
    pub max_activities: Option<u64>,
    /// So many bytes of payloads stay, of the newest activities.
    pub max_bytes: Option<u64>,
    /// The whole task goes so long after its last activity, if none of its runs is open.
    pub finished_max_age: Option<Duration>,
}

impl Policy {
    /// Whether everything is kept for ever.
    pub(crate) fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// What holds for tasks with a label.
#[derive(Debug, Clone)]
pub(crate) struct Rule {
    /// The label's name.
    pub name: String,
    /// The label's value; any if nothing is said.
    pub value: Option<String>,
    /// How much of them is kept.
    pub policy: Policy,
}

impl Rule {
    fn fits(&self, labels: &BTreeMap<String, String>) -> bool {
        labels.get(&self.name).is_some_and(|value| self.value.as_ref().is_none_or(|wanted| wanted == value))
    }

    /// The rule's label, as configured.
    pub(crate) fn label(&self) -> String {
        match &self.value {
            Some(value) => format!("{}={value}", self.name),
            None => self.name.clone(),
        }
    }
}

/// The first rule that fits, if one does.
pub(crate) fn fitting<'a>(rules: &'a [Rule], labels: &BTreeMap<String, String>) -> Option<&'a Rule> {
    rules.iter().find(|rule| rule.fits(labels))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_rule_that_fits_counts() {
        let rule = |name: &str, value: Option<&str>, count| Rule {
            name: name.to_owned(),
            value: value.map(str::to_owned),
            policy: Policy { max_activities: Some(count), ..Policy::default() },
        };
        let rules = [rule("kind", Some("ci"), 1), rule("kind", None, 2), rule("keep", Some(""), 3)];
        for (labels, expected) in [
            (&[("kind", "ci"), ("keep", "")][..], Some(1)),
            (&[("kind", "agent")], Some(2)),
            (&[("keep", "")], Some(3)),
            (&[("keep", "x")], None),
            (&[], None),
        ] {
            let labels = labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
            let found = fitting(&rules, &labels).and_then(|rule| rule.policy.max_activities);
            assert_eq!(found, expected, "{labels:?}");
        }
    }
}
