//! The nodes among themselves: who is a member, who owns which task's ingest, and how a task changes hands.

mod control;
mod held;
mod members;
mod ownership;
mod ranking;

pub(crate) use control::{Control, Mark, TASKS as CONTROL_TASKS};
pub(crate) use members::{BEAT, Beat, LEAVE, Lease, Members, Since, Standing, Term};
pub(crate) use ownership::{Act, Move, Ownership, Took};

pub use ownership::OwnershipOptions;
pub use ranking::NodeId;
