//! How a session is called in logs.

use std::fmt;

/// A session's name: made by chance, so that it is another one at each node and after each start. It grants nothing.
#[derive(Debug, Clone, Copy)]
pub(super) struct Name(u64);

impl Name {
    /// A new one.
    pub(super) fn new() -> Self {
        Self(rand::random())
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}
