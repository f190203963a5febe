//! What access control keeps in the store: tokens that were taken back, and tickets.

mod guard;
mod tickets;

pub(crate) use guard::Guard;
pub(crate) use tickets::Tickets;
