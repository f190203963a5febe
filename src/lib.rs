//! Tasklight: a WebSocket hub for watching tasks live.
//!
//! What a viewer sees is what is stored, in one order, with nothing missing. The modules stand in layers, each using only those below it;
//! `ARCHITECTURE.md` has the picture, the layers, and a map of the files.

#![forbid(unsafe_code)]

pub mod auth;
pub mod broker;
pub mod cli;
pub mod client;
pub mod cluster;
pub mod config;
pub mod formats;
pub mod hub;
pub mod ingest;
pub mod model;
pub mod node;
pub mod redact;
pub mod session;
pub mod store;
pub mod telemetry;
pub mod version;
pub mod writer;

pub mod metrics;

#[doc(hidden)]
pub mod fuzzing;

mod access;
mod archive;
mod backoff;
mod http;
mod jobs;
mod limits;
#[cfg(test)]
mod simulation;
mod stamp;
mod sync;
mod tls;
mod trail;
mod webhooks;
