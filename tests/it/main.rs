//! Behaviour: real sockets, real stores, real processes. One binary, so that it links once.

mod client;
mod cold;
mod config;
mod harness;
mod http;
mod program;
mod publish;
mod repair;
mod resume;
mod run;
mod services;
mod store_contract;
mod tail;
mod viewer;
mod wakeups;
mod writer;
