//! A Postgres of one test's own, whose settings it may change.

pub use crate::services::free_address;

#[path = "../chaos/services/postgres.rs"]
pub mod postgres;
