//! Ids chosen by users, validated once and cheap to clone.

use std::{fmt, str::FromStr, sync::Arc};

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use uuid::Uuid;

use super::Invalid;

/// The longest task or invocation id, in characters.
const MAX_ID_CHARS: usize = 128;

/// A task's id: `[A-Za-z0-9][A-Za-z0-9._-]{0,127}`, so it is safe in URLs, channel names and logs.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TaskId(Arc<str>);

impl TaskId {
    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TaskId {
    /// The nearest task id to any text, such as a folder's name: what an id may not hold becomes `-`, and what it may not begin with goes.
    /// Nothing if nothing is left.
    pub fn nearest(text: &str) -> Option<Self> {
        let allowed = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-') { c } else { '-' };
        let id: String = text.chars().map(allowed).skip_while(|c| !c.is_ascii_alphanumeric()).take(MAX_ID_CHARS).collect();
        id.trim_end_matches('-').parse().ok()
    }
}

impl FromStr for TaskId {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let bytes = text.as_bytes();
        let starts = bytes.first().is_some_and(u8::is_ascii_alphanumeric);
        let rest = bytes.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'));
        if starts && rest && bytes.len() <= MAX_ID_CHARS {
            return Ok(Self(text.into()));
        }
        Err(Invalid::new(format!(
            "a task id is 1 to {MAX_ID_CHARS} letters, digits, '.', '_' or '-', and starts with a letter or digit"
        )))
    }
}

/// An invocation's id, unique within its task: 1 to 128 characters, none of them a control character.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InvocationId(Arc<str>);

impl InvocationId {
    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for InvocationId {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let count = text.chars().count();
        if (1..=MAX_ID_CHARS).contains(&count) && !text.chars().any(char::is_control) {
            return Ok(Self(text.into()));
        }
        Err(Invalid::new(format!("an invocation id is 1 to {MAX_ID_CHARS} characters without control characters")))
    }
}

/// An activity's idempotency key: a UUID of any version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventId(Uuid);

impl EventId {
    /// A new one, UUID version 7 (RFC 9562), so that ids made later sort later.
    pub fn generate() -> Self {
        Self(Uuid::now_v7())
    }

    /// The characters of its text form.
    pub const CHARS: usize = uuid::fmt::Hyphenated::LENGTH;

    /// Its text form, in `buffer`.
    pub fn encode<'a>(&self, buffer: &'a mut [u8; Self::CHARS]) -> &'a str {
        self.0.hyphenated().encode_lower(buffer)
    }

    /// The id that belongs to `name`, the same each time: UUID version 5 (RFC 9562) in a namespace of Tasklight's own. Whoever reads the same
    /// thing again makes the same ids, so that nothing is stored twice.
    pub fn derived(name: &[u8]) -> Self {
        const NAMESPACE: Uuid = Uuid::from_u128(0x7a5c_1197_0000_5000_8000_9e2b_41d0_c3f6);
        Self(Uuid::new_v5(&NAMESPACE, name))
    }

    /// The sixteen bytes, as stored.
    pub fn as_bytes(&self) -> &[u8; 16] {
        self.0.as_bytes()
    }

    /// The id with these sixteen bytes.
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(Uuid::from_bytes(bytes))
    }
}

impl FromStr for EventId {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        Uuid::try_parse(text)
            .map(Self)
            .map_err(|_| Invalid::new("an eventId is a UUID such as 0190c6a4-7c1e-7000-8000-5f3a9c1e0001"))
    }
}

macro_rules! text_form {
    ($($id:ty),*) => {$(
        impl fmt::Display for $id {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }

        impl Serialize for $id {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $id {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    )*};
}
text_form!(TaskId, InvocationId, EventId);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn task_ids_are_url_safe_words() {
        let longest = "a".repeat(128);
        for good in ["a", "build-42", "9.x_y-z", longest.as_str()] {
            assert_eq!(good.parse::<TaskId>().expect(good).as_str(), good);
        }
        let too_long = "a".repeat(129);
        for bad in ["", "-a", ".a", "a b", "a/b", "a:b", "a*", "a\n", "é", "..", too_long.as_str()] {
            assert!(bad.parse::<TaskId>().is_err(), "{bad:?} must be refused");
        }
    }

    #[test]
    fn any_text_has_a_nearest_task_id_or_none() {
        for (text, id) in [
            ("web", Some("web")),
            ("my app (2)", Some("my-app--2")),
            (".dotfiles", Some("dotfiles")),
            ("über", Some("ber")),
            ("...", None),
            ("", None),
        ] {
            assert_eq!(TaskId::nearest(text).as_ref().map(TaskId::as_str), id, "{text:?}");
        }
        assert_eq!(TaskId::nearest(&"a".repeat(500)).map(|id| id.as_str().len()), Some(MAX_ID_CHARS));
    }

    #[test]
    fn invocation_ids_count_characters_and_refuse_control_characters() {
        let longest = "é".repeat(128);
        for good in ["run 7", "é", longest.as_str()] {
            assert!(good.parse::<InvocationId>().is_ok(), "{good:?} must be taken");
        }
        let too_long = "é".repeat(129);
        for bad in ["", "a\nb", "\u{7f}", too_long.as_str()] {
            assert!(bad.parse::<InvocationId>().is_err(), "{bad:?} must be refused");
        }
    }
}
