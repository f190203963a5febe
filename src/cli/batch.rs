//! How much goes into one request.

use crate::client::ClientError;

/// The most activities in a request, and the most bytes of them. Hubs take a thousand and 4 MiB unless they are told otherwise.
const ACTIVITIES: usize = 500;
const BYTES: usize = 1 << 20;

/// The bounds of a request, as far as the hub is known to take them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BatchLimits {
    /// The most activities.
    pub activities: usize,
    /// The most bytes; one activity may exceed it.
    pub bytes: usize,
}

impl Default for BatchLimits {
    fn default() -> Self {
        Self { activities: ACTIVITIES, bytes: BYTES }
    }
}

impl BatchLimits {
    /// Whether one more of this size fits beside so many of so many bytes.
    pub(crate) fn fits(&self, count: usize, bytes: usize, more: usize) -> bool {
        count == 0 || (count < self.activities && bytes + more <= self.bytes)
    }

    /// Whether the hub refused a request of so many activities for its size; then smaller ones are made from now on.
    pub(crate) fn shrink_for(&mut self, error: &ClientError, count: usize) -> bool {
        let too_large = matches!(error, ClientError::Refused(problem) if problem.status == 413);
        if !too_large || count <= 1 {
            return false;
        }
        self.activities = (count / 2).max(1);
        self.bytes = (self.bytes / 2).max(1);
        true
    }
}
