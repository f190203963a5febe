//! Who asks, and what they may do.

use std::{fmt, str::FromStr, sync::Arc};

use serde::{Deserialize, Serialize};

use super::pattern::{MOST_PATTERNS, Pattern};
use crate::model::{TaskId, Timestamp};

/// The most characters of a subject.
const SUBJECT_CHARS: usize = 256;

/// Whom a token speaks for: a person, an agent, a service; chosen by whoever makes the tokens. 1 to 256 characters, no control characters.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Subject(Arc<str>);

/// The text is no subject.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a subject has 1 to {SUBJECT_CHARS} characters and no control characters")]
pub struct InvalidSubject;

impl FromStr for Subject {
    type Err = InvalidSubject;

    fn from_str(text: &str) -> Result<Self, InvalidSubject> {
        let fits = (1..=SUBJECT_CHARS).contains(&text.chars().count()) && !text.chars().any(char::is_control);
        if fits { Ok(Self(text.into())) } else { Err(InvalidSubject) }
    }
}

impl TryFrom<String> for Subject {
    type Error = InvalidSubject;

    fn try_from(text: String) -> Result<Self, InvalidSubject> {
        text.parse()
    }
}

impl From<Subject> for String {
    fn from(subject: Subject) -> Self {
        subject.0.as_ref().to_owned()
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Subject {
    /// Its text, to be kept.
    pub(crate) fn shared(&self) -> Arc<str> {
        self.0.clone()
    }

    /// Its text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What a token grants. What is not granted is forbidden.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Grants {
    /// The tasks that may be seen.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub read: Vec<Pattern>,
    /// The tasks that may be published to, created and described.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub publish: Vec<Pattern>,
    /// Whether tasks that may be published to may be deleted, and tokens revoked.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub admin: bool,
}

impl Grants {
    /// Everything.
    pub fn all() -> Self {
        Self { read: vec![Pattern::all()], publish: vec![Pattern::all()], admin: true }
    }

    /// Whether there are no more patterns than a token may carry.
    pub(super) fn is_bounded(&self) -> bool {
        self.read.len() <= MOST_PATTERNS && self.publish.len() <= MOST_PATTERNS
    }

    /// Whether every task may be seen, so that nothing need be left out.
    pub(crate) fn reads_all(&self) -> bool {
        self.read.iter().any(|pattern| *pattern == Pattern::all())
    }
}

/// What may be done with a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Right {
    /// See it.
    Read,
    /// Publish to it, create and describe it.
    Publish,
    /// Delete it.
    Delete,
}

/// How a caller was recognized.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Means {
    /// Nobody is asked for a token here.
    Open,
    /// By a JWT.
    Token,
    /// By an API key.
    Key,
    /// By the certificate of its connection.
    Certificate,
    /// By the key that seals its messages over Redis.
    Envelope,
}

/// Who asks, and what they may do until when. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    inner: Arc<Inner>,
}

#[derive(Debug, PartialEq, Eq)]
struct Inner {
    subject: Subject,
    grants: Grants,
    means: Means,
    expires: Option<Timestamp>,
    issued: Option<Timestamp>,
    id: Option<String>,
}

impl Caller {
    /// Anybody, where nobody is asked for a token: may do everything.
    pub(crate) fn anybody() -> Self {
        let subject = Subject("anybody".into());
        Self::new(subject, Grants::all(), Means::Open)
    }

    /// An agent that seals what it publishes over Redis. Nothing if it has more patterns than a token may carry.
    pub(crate) fn of_envelopes(key: &str, subject: Subject, publish: Vec<Pattern>, expires: Option<Timestamp>) -> Option<Self> {
        let grants = Grants { publish, ..Grants::default() };
        let caller = |grants| Self::new(subject, grants, Means::Envelope).of_token(Some(key.to_owned()), None, expires);
        grants.is_bounded().then(|| caller(grants))
    }

    /// One who may do this.
    pub(crate) fn new(subject: Subject, grants: Grants, means: Means) -> Self {
        Self { inner: Arc::new(Inner { subject, grants, means, expires: None, issued: None, id: None }) }
    }

    /// The same, for as long and under the name that the token says.
    pub(crate) fn of_token(self, id: Option<String>, issued: Option<Timestamp>, expires: Option<Timestamp>) -> Self {
        let Inner { subject, grants, means, .. } = &*self.inner;
        let (subject, grants, means) = (subject.clone(), grants.clone(), *means);
        Self { inner: Arc::new(Inner { subject, grants, means, expires, issued, id }) }
    }

    /// Whom the token speaks for.
    pub fn subject(&self) -> &Subject {
        &self.inner.subject
    }

    /// What it grants.
    pub fn grants(&self) -> &Grants {
        &self.inner.grants
    }

    /// When it ends, if it does.
    pub fn expires(&self) -> Option<Timestamp> {
        self.inner.expires
    }

    /// When it was made, if it says so.
    pub(crate) fn issued(&self) -> Option<Timestamp> {
        self.inner.issued
    }

    /// The token's own name (`jti`), or the API key's.
    pub(crate) fn id(&self) -> Option<&str> {
        self.inner.id.as_deref()
    }

    /// How it was recognized.
    pub(crate) fn means(&self) -> Means {
        self.inner.means
    }

    /// Whether this may be done with this task. It depends on the task's name alone, never on whether there is such a task.
    pub(crate) fn may(&self, right: Right, task: &TaskId) -> bool {
        let Grants { read, publish, admin } = &self.inner.grants;
        let granted = |patterns: &[Pattern]| patterns.iter().any(|pattern| pattern.matches(task));
        match right {
            Right::Read => granted(read),
            Right::Publish => granted(publish),
            Right::Delete => *admin && granted(publish),
        }
    }

    /// The patterns of what may be seen; nothing if everything may.
    pub(crate) fn visible(&self) -> Option<Vec<Pattern>> {
        (!self.inner.grants.reads_all()).then(|| self.inner.grants.read.clone())
    }

    /// Whether tokens may be revoked.
    pub(crate) fn is_admin(&self) -> bool {
        self.inner.grants.admin
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_granted_is_forbidden() {
        let grants: Grants = serde_json::from_str(r#"{"read": ["build-*"], "publish": ["build-7"]}"#).expect("grants");
        let caller = Caller::new("ci".parse().expect("a subject"), grants, Means::Token);
        for (right, task, expected) in [
            (Right::Read, "build-1", true),
            (Right::Read, "other", false),
            (Right::Publish, "build-7", true),
            (Right::Publish, "build-1", false),
            (Right::Delete, "build-7", false),
        ] {
            assert_eq!(caller.may(right, &task.parse().expect(task)), expected, "{right:?} {task}");
        }
        assert!(!caller.is_admin());
    }

    #[test]
    fn grants_with_a_typing_mistake_grant_nothing() {
        assert!(serde_json::from_str::<Grants>(r#"{"raed": ["*"]}"#).is_err());
        assert!(serde_json::from_str::<Grants>(r#"{"read": ["a b"]}"#).is_err());
    }
}
