//! x
#![forbid(unsafe_code)]
mod backoff;
pub mod hub;
pub mod ingest;
mod metrics;
pub mod model;
pub mod store;
pub mod writer;
