//! Which program this is.

/// The commit it was built from, with `-dirty` if its sources had been changed since; `unknown` if nobody knows.
pub const COMMIT: &str = env!("TASKLIGHT_COMMIT");

/// The version of the package.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Both, as `--version` says them.
pub(crate) const FULL: &str = concat!(env!("CARGO_PKG_VERSION"), " (", env!("TASKLIGHT_COMMIT"), ")");
