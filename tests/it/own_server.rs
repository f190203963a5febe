//! A Postgres of one test's own, whose settings it may change.

pub use crate::services::free_address;

#[expect(dead_code, reason = "it is stopped the hard way elsewhere")]
#[path = "../chaos/services/postgres.rs"]
pub mod postgres;
