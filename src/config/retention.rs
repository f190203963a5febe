//! What is kept no longer, as configured: whether it makes sense, and what the job makes of it.

use super::{ConfigError, RetentionRule, Settings};
use crate::jobs::retention::{ArchivePlace, Policy, RetentionOptions, Rule};

/// The most rules: each task is compared with them.
const MOST_RULES: usize = 100;

/// The most activities in a bite: more of them hold up a commit of SQLite.
const MOST_BITE: usize = 100_000;

impl Settings {
    /// Refuses what makes no sense of `[retention]`.
    pub(super) fn validate_retention(&self) -> Result<(), ConfigError> {
        let bad = |text: String| Err(ConfigError::BadValue(text));
        let retention = &self.retention;
        if !(1..=MOST_BITE).contains(&retention.bite) {
            return bad(format!("retention.bite must be from 1 to {MOST_BITE}"));
        }
        if !(1..=100).contains(&retention.busy_percent) {
            return bad("retention.busy_percent must be from 1 to 100".to_owned());
        }
        if MOST_RULES < retention.rules.0.len() {
            return bad(format!("retention.rules has at most {MOST_RULES} rules"));
        }
        for (rule, number) in retention.rules.0.iter().zip(1..) {
            if rule.label.is_empty() || rule.label.starts_with('=') {
                return bad(format!("retention.rules: rule {number} needs a label: a name, or name=value"));
            }
            let RetentionRule { label, max_age, max_activities, max_bytes, finished_max_age } = rule;
            if max_age.is_none() && max_activities.is_none() && max_bytes.is_none() && finished_max_age.is_none() {
                return bad(format!(
                    "retention.rules: rule {number} ({label}) says nothing: give max_age, max_activities, max_bytes or finished_max_age"
                ));
            }
        }
        self.archive_place().map(drop)
    }

    /// What retention does; nothing if nothing is ever to be removed.
    pub(crate) fn retention_options(&self) -> Result<Option<RetentionOptions>, ConfigError> {
        let retention = &self.retention;
        let base = Policy {
            max_age: Some(retention.max_age.get()).filter(|age| !age.is_zero()),
            max_activities: Some(retention.max_activities as u64).filter(|count| *count != 0),
            max_bytes: Some(retention.max_bytes.bytes() as u64).filter(|bytes| *bytes != 0),
            finished_max_age: Some(retention.finished_max_age.get()).filter(|age| !age.is_zero()),
        };
        let rule = |rule: &RetentionRule| {
            let (name, value) = match rule.label.split_once('=') {
                Some((name, value)) => (name, Some(value.to_owned())),
                None => (rule.label.as_str(), None),
            };
            // What a rule says is said, also if it says that there is no bound.
            let or = |said: Option<u64>, base| said.map_or(base, |said| Some(said).filter(|said| *said != 0));
            let or_age =
                |said: Option<super::Span>, base| said.map_or(base, |said| Some(said.get()).filter(|age| !age.is_zero()));
            let policy = Policy {
                max_age: or_age(rule.max_age, base.max_age),
                max_activities: or(rule.max_activities.map(|count| count as u64), base.max_activities),
                max_bytes: or(rule.max_bytes.map(|size| size.bytes() as u64), base.max_bytes),
                finished_max_age: or_age(rule.finished_max_age, base.finished_max_age),
            };
            Rule { name: name.to_owned(), value, policy }
        };
        let rules: Vec<Rule> = retention.rules.0.iter().map(rule).collect();
        if base.is_empty() && rules.iter().all(|rule| rule.policy.is_empty()) {
            return Ok(None);
        }
        Ok(Some(RetentionOptions {
            base,
            rules,
            bite: retention.bite as u64,
            busy_percent: u32::try_from(retention.busy_percent).unwrap_or(100),
            archive: self.archive_place()?,
        }))
    }

    fn archive_place(&self) -> Result<Option<ArchivePlace>, ConfigError> {
        let retention = &self.retention;
        if retention.archive.is_empty() {
            return Ok(None);
        }
        let place = ArchivePlace::parse(
            &retention.archive,
            &retention.archive_endpoint,
            &retention.archive_region,
            &retention.archive_credentials_file,
        );
        place.map(Some).map_err(|error| ConfigError::BadValue(format!("retention.archive = {:?}: {error}", retention.archive)))
    }
}
