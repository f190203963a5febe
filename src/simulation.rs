//! The whole of what nodes share, simulated from a seed: real hubs, writers, sessions and jobs over a real SQLite, with everything that decides what happens
//! next in the hands of one generator of chance. It chooses which use of the store goes first and which fails, which hint arrives when and how often, whose
//! turn it is, who dies. After every step nothing moves until the next one, so that a seed tells the same story each time.
//!
//! Whatever chance does, the promises of the design hold: `book` knows what is committed, `watcher` what a viewer may and must hear, `publisher` what was
//! acknowledged. When the world comes to rest, everybody must be at the head within a few rounds. See docs/simulation.md.

#![expect(clippy::disallowed_methods, reason = "tasks end with the runtime of their seed, and a death is that they are gone")]

mod book;
mod carrier;
mod chance;
mod lies;
mod node;
mod publisher;
mod quiet;
mod run;
mod shape;
mod steps;
mod tests;
mod trace;
mod viewer;
mod viewing;
mod watcher;
mod world;
