//! Behaviour: real sockets, real stores, real processes. One binary, so that it links once.

mod cold;
mod config;
mod harness;
mod http;
mod resume;
mod store_contract;
mod viewer;
mod wakeups;
mod writer;
