//! How many files and sockets the process may have open: as many as it is allowed to, because each viewer is one.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// What a hub has open beside its connections: the store's, Redis's, logs and listeners.
const SPARE: u64 = 256;

/// Raises the limit to what the system allows, and says so if that is less than `connections` need.
pub(crate) fn raise(connections: usize) {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    let now = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => limit.maximum,
        Err(error) => {
            tracing::debug!(%error, "the limit of open files cannot be raised");
            limit.current
        }
    };
    let needed = u64::try_from(connections).unwrap_or(u64::MAX).saturating_add(SPARE);
    // No number means no limit.
    if now.is_some_and(|now| now < needed) {
        tracing::warn!(
            limit = now,
            needed,
            "fewer files may be open than http.connections needs: raise the limit (ulimit -n, LimitNOFILE=) or lower the key"
        );
    }
}
