//! Tokens that were taken back before their time.

use std::collections::{HashMap, HashSet};

use serde::{Deserialize, Serialize};

use super::caller::{Caller, Subject};
use crate::model::Timestamp;

/// The most revocations that are kept.
pub(crate) const MOST_REVOCATIONS: usize = 100_000;

/// What is taken back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Revoked {
    /// Every token and certificate of this subject that was made until then, and its API keys.
    Subject(Subject),
    /// The token with this `jti`, the API key with this id, or the certificate with this SHA-256.
    Token(String),
}

/// Something that was taken back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Revocation {
    /// What.
    pub revoked: Revoked,
    /// When: what was made later is good.
    pub at: Timestamp,
    /// Until when it has to be remembered; for ever if nothing is said.
    pub until: Option<Timestamp>,
}

/// Everything that was taken back.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Revocations {
    subjects: HashMap<Subject, Timestamp>,
    tokens: HashSet<String>,
}

impl FromIterator<Revocation> for Revocations {
    fn from_iter<I: IntoIterator<Item = Revocation>>(revocations: I) -> Self {
        let mut all = Self::default();
        for Revocation { revoked, at, .. } in revocations {
            match revoked {
                Revoked::Subject(subject) => {
                    let known = all.subjects.entry(subject).or_insert(at);
                    *known = at.max(*known);
                }
                Revoked::Token(id) => drop(all.tokens.insert(id)),
            }
        }
        all
    }
}

impl Revocations {
    /// Whether the caller's token is among them. One that does not say when it was made counts as made before.
    pub(super) fn has(&self, caller: &Caller) -> bool {
        let by_id = caller.id().is_some_and(|id| self.tokens.contains(id));
        let made = caller.issued().unwrap_or_default();
        by_id || self.subjects.get(caller.subject()).is_some_and(|at| made <= *at)
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::caller::{Grants, Means},
        *,
    };

    fn caller(subject: &str, id: Option<&str>, issued: Option<u64>) -> Caller {
        let caller = Caller::new(subject.parse().expect("a subject"), Grants::all(), Means::Token);
        caller.of_token(id.map(str::to_owned), issued.and_then(Timestamp::from_millis), None)
    }

    #[test]
    fn what_was_made_later_is_good() {
        let at = Timestamp::from_millis(5_000).expect("a time");
        let subject = |name: &str| Revoked::Subject(name.parse().expect("a subject"));
        let revoked = [subject("ann"), Revoked::Token("t1".to_owned())];
        let all: Revocations = revoked.into_iter().map(|revoked| Revocation { revoked, at, until: None }).collect();
        for (caller, expected) in [
            (caller("ann", None, Some(4_000)), true),
            (caller("ann", None, Some(5_000)), true),
            (caller("ann", None, Some(6_000)), false),
            (caller("ann", None, None), true),
            (caller("ben", None, Some(1)), false),
            (caller("ben", Some("t1"), Some(9_000)), true),
            (caller("ben", Some("t2"), Some(9_000)), false),
        ] {
            assert_eq!(all.has(&caller), expected, "{caller:?}");
        }
    }
}
