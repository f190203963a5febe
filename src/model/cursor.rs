//! Where something stands in a log: offsets, epochs, and the cursor that names both.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::Invalid;

/// An activity's place in its task's log: 1, 2, 3 … without holes. 0 stands for "before the first".
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Offset(u64);

impl Offset {
    /// Before the first activity.
    pub const ZERO: Self = Self(0);
    /// The greatest offset, 2^53 − 1: JSON numbers above it are not exact in browsers.
    pub const MAX: Self = Self((1 << 53) - 1);

    /// `value` as an offset, or nothing above [`Offset::MAX`].
    pub fn new(value: u64) -> Option<Self> {
        (value <= Self::MAX.0).then_some(Self(value))
    }

    /// The offset as a number.
    pub fn get(self) -> u64 {
        self.0
    }

    /// The offset `count` further on, at most [`Offset::MAX`].
    pub fn plus(self, count: u64) -> Self {
        Self(self.0.saturating_add(count).min(Self::MAX.0))
    }

    /// The next offset.
    pub fn next(self) -> Self {
        self.plus(1)
    }

    /// The offset before this one; 0 stays 0.
    pub fn previous(self) -> Self {
        Self(self.0.saturating_sub(1))
    }
}

impl fmt::Display for Offset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// The life of a log, written as eight hexadecimal digits. Two epochs are only ever compared for equality.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Epoch(u32);

impl Epoch {
    /// A new, random one.
    pub fn generate() -> Self {
        Self(rand::random())
    }

    /// The epoch as stored.
    pub fn get(self) -> u32 {
        self.0
    }

    /// The epoch that was stored as `value`.
    pub fn from_stored(value: u32) -> Self {
        Self(value)
    }
}

impl FromStr for Epoch {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let hex = text.len() == 8 && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        let value = u32::from_str_radix(text, 16).ok().filter(|_| hex);
        value.map(Self).ok_or_else(|| Invalid::new("an epoch is eight hexadecimal digits"))
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", self.0)
    }
}

/// A viewer's place in a log: it has everything up to and including `offset` of this epoch. Written `<epoch>-<offset>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Cursor {
    /// Which life of the log.
    pub epoch: Epoch,
    /// The last offset seen; 0 before the first.
    pub offset: Offset,
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.epoch, self.offset)
    }
}

impl FromStr for Cursor {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        parse(text).ok_or_else(|| {
            Invalid::new("a cursor is what the hub gave, such as 5f3a9c1e-17; 'start' and 'end' are words of their own")
        })
    }
}

/// Strict: exactly what [`Cursor`]'s `Display` writes.
fn parse(text: &str) -> Option<Cursor> {
    let (epoch, offset) = text.split_once('-')?;
    let decimal = (1..=16).contains(&offset.len())
        && offset.bytes().all(|b| b.is_ascii_digit())
        && (offset == "0" || !offset.starts_with('0'));
    if !decimal {
        return None;
    }
    Some(Cursor { epoch: epoch.parse().ok()?, offset: Offset::new(offset.parse().ok()?)? })
}

macro_rules! text_form {
    ($($name:ty),*) => {$(
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    )*};
}
text_form!(Epoch, Cursor);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_reads_back_what_it_writes() {
        for (epoch, offset) in [(0, 0), (0x5f3a_9c1e, 17), (u32::MAX, Offset::MAX.get())] {
            let cursor = Cursor { epoch: Epoch(epoch), offset: Offset(offset) };
            assert_eq!(cursor.to_string().parse(), Ok(cursor));
        }
    }

    #[test]
    fn a_cursor_of_any_other_form_is_refused() {
        let bad = ["", "-", "5f3a9c1e", "5f3a9c1e-", "5F3A9C1E-1", "5f3a9c1e-01", "5f3a9c1e--1", "5f3a9c1e-+1", "f3a9c1e-1"];
        for text in bad.into_iter().chain(["5f3a9c1e-9007199254740992", "5f3a9c1e-1\n", " 5f3a9c1e-1", "5f3a9c1e-1-1"]) {
            assert!(text.parse::<Cursor>().is_err(), "{text:?} must be refused");
        }
    }
}
