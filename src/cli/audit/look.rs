//! One stored row, and what of it would not be stored today.

use std::collections::BTreeMap;

use super::findings::Findings;
use crate::{
    ingest::STREAM_RUN,
    model::ActivityType,
    redact::{Carry, Redacted, Redactor},
    store::{StoredActivity, StoredKind, StoredTexts},
};

/// Looks at rows, in the order in which they were stored: secrets that were cut into pieces are found as on the way in.
pub(super) struct Look {
    redactor: Redactor,
    carry: Carry,
}

impl Look {
    pub(super) fn new(redactor: Redactor, carry: Carry) -> Self {
        Self { redactor, carry }
    }

    /// The activity without its secrets; nothing if it has none.
    pub(super) fn activity(&self, mut row: StoredActivity, findings: &mut Findings) -> Option<StoredActivity> {
        let scope = || format!("{}\n{}", row.place.task, row.invocation);
        // What clients of streams send that is no text is a piece of the same output.
        let bytes = row.kind == ActivityType::Custom && row.invocation.as_str() == STREAM_RUN;
        let output = row.kind == ActivityType::Output || bytes;
        let data = self.redactor.payload(row.data.as_bytes(), output, scope, &self.carry);
        let series = row.series.as_deref().and_then(|series| self.redactor.text(series));
        if data.is_none() && series.is_none() {
            return None;
        }
        if let Some(data) = data {
            // Secrets end between characters; if not, nothing is left rather than too much.
            row.data = String::from_utf8(self.count(data, row.task.as_str(), findings)).unwrap_or_else(|_| "{}".to_owned());
        }
        if let Some(series) = series {
            row.series = Some(self.count(series, row.task.as_str(), findings));
        }
        Some(row)
    }

    /// The row's texts without their secrets; nothing if they have none.
    pub(super) fn texts(&self, kind: StoredKind, row: &StoredTexts, findings: &mut Findings) -> Option<StoredTexts> {
        row.names.iter().for_each(|name| self.name(&row.task, name, findings));
        let mut clean = row.clone();
        for (column, text) in kind.columns().iter().zip(&mut clean.texts) {
            let Some(said) = text.as_deref() else { continue };
            let found = match *column {
                "labels" => self.labels(said),
                "usage" => self
                    .redactor
                    .json(said.as_bytes())
                    .and_then(|found| Some(Redacted { text: String::from_utf8(found.text).ok()?, rules: found.rules })),
                _ => self.redactor.text(said),
            };
            if let Some(found) = found {
                *text = Some(self.count(found, &row.task, findings));
            }
        }
        (clean != *row).then_some(clean)
    }

    /// Labels are looked at as they are on the way in: a name may say that its value is a secret.
    fn labels(&self, said: &str) -> Option<Redacted<String>> {
        let labels: BTreeMap<String, String> = serde_json::from_str(said).ok()?;
        let (mut rules, mut clean) = (Vec::new(), BTreeMap::new());
        for (name, value) in labels {
            let mut take = |found: Option<Redacted<String>>, said: String| match found {
                Some(found) => {
                    rules.extend(found.rules);
                    found.text
                }
                None => said,
            };
            let value = take(self.redactor.named(&name, &value), value);
            let name = take(self.redactor.text(&name), name);
            clean.insert(name, value);
        }
        let text = serde_json::to_string(&clean).ok()?;
        (!rules.is_empty()).then_some(Redacted { text, rules })
    }

    /// A name cannot be changed: it would be another run's, task's or producer's.
    fn name(&self, task: &str, name: &str, findings: &mut Findings) {
        if let Some(found) = self.redactor.text(name) {
            found.rules.iter().for_each(|rule| findings.stuck(self.redactor.id(*rule), task));
        }
    }

    fn count<T>(&self, found: Redacted<T>, task: &str, findings: &mut Findings) -> T {
        found.rules.iter().for_each(|rule| findings.found(self.redactor.id(*rule), task));
        found.text
    }
}
