//! What the threads of a hub meet at: the locks, flags and bells of a log, its audience and its followers.
//!
//! They are named here and nowhere else, so that `tests/loom` can take the very files that use them and put others in their place, with which every
//! order in which threads may touch them is tried.

pub(crate) use std::sync::atomic::AtomicBool;

pub(crate) use parking_lot::Mutex;
pub(crate) use tokio::sync::{Notify, watch};
