//! Differences that are planted between what happened and what is looked at, so that it is known that the oracle can find them.

use serde_json::Value;

use super::chance::Chance;

/// What is made wrong, now and then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lie {
    /// A viewer is not shown an activity.
    Skips,
    /// It is shown one twice.
    Repeats,
    /// It is shown two in the wrong order.
    Swaps,
    /// It is not told of a jump.
    Conceals,
    /// A hint carries another text than was committed.
    Forges,
    /// A receipt names another place.
    Misleads,
    /// A session that should be woken is not.
    Sleeps,
}

impl Lie {
    pub(super) const ALL: [Self; 7] =
        [Self::Skips, Self::Repeats, Self::Swaps, Self::Conceals, Self::Forges, Self::Misleads, Self::Sleeps];

    /// What the oracle says of it.
    pub(super) fn shows_as(self) -> &'static [&'static str] {
        match self {
            Self::Skips => &["was skipped", "was never shown"],
            Self::Repeats => &["again, or out of order"],
            Self::Swaps => &["was skipped"],
            Self::Conceals => &["and no word of it", "was skipped", "again, or out of order", "never told"],
            Self::Forges => &["committed is"],
            Self::Misleads => &["the receipt says"],
            Self::Sleeps => &["was never shown", "never said to hold", "never told", "is behind"],
        }
    }

    /// Changes what a client reads.
    pub(super) fn tell(self, messages: &mut Vec<Value>, chance: &mut Chance) {
        let shown: Vec<usize> = (0..messages.len()).filter(|at| messages[*at]["op"] == "activity").collect();
        let Some(at) = shown.get(chance.index(shown.len())).copied().filter(|_| chance.percent(20)) else {
            if self == Self::Conceals {
                messages.retain(|message| message["op"] != "reset" && message["op"] != "truncated");
            }
            return;
        };
        match self {
            Self::Skips => drop(messages.remove(at)),
            Self::Repeats => messages.insert(at, messages[at].clone()),
            Self::Swaps if at + 1 < messages.len() => messages.swap(at, at + 1),
            _ => {}
        }
    }
}

/// The same hint with another number in its text, if there is one.
pub(super) fn forge(payload: &bytes::Bytes) -> bytes::Bytes {
    let mut bytes = payload.to_vec();
    let name = b"\"n\":";
    if let Some(at) = bytes.windows(name.len()).position(|window| window == name)
        && let Some(digit) = bytes.get_mut(at + name.len())
    {
        *digit = if *digit == b'9' { b'8' } else { b'9' };
    }
    bytes.into()
}
