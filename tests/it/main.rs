//! Behaviour: real sockets, real stores, real processes. One binary, so that it links once.

mod agents;
mod audit;
mod checker;
mod client;
mod cluster;
mod cold;
mod config;
mod demo;
mod examples;
mod harness;
mod hooks;
mod http;
mod import;
mod link;
mod membership;
mod over_redis;
mod postgres;
mod postgres_away;
mod program;
#[path = "../chaos/proxy.rs"]
mod proxy;
mod pty;
mod publish;
mod redact;
mod redis_servers;
mod rejects;
mod repair;
mod resume;
mod run;
mod services;
mod stand_in;
mod store_contract;
mod tail;
mod viewer;
mod wakeups;
mod writer;
