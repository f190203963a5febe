//! The protocols of Tasklight, gone through exhaustively for small sizes; `docs/model.md` says what is checked and what each step is in the
//! program.

/// Files of the program, as they are.
#[allow(dead_code, unused_imports, missing_docs)]
#[path = "../../../src"]
mod program {
    pub(crate) mod cluster;
    pub(crate) mod model;
}

pub mod delivery;
pub mod ownership;

use std::{
    fmt::Debug,
    hash::{DefaultHasher, Hash, Hasher},
    time::{Duration, Instant},
};

use program::{cluster, model};
use stateright::{Checker, Model};

/// By which states are told apart where nothing else can.
fn digest(state: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    state.hash(&mut hasher);
    hasher.finish()
}

/// How many threads go through the states of one scenario.
const THREADS: usize = 2;

/// What an exploration came to.
#[derive(Debug)]
pub struct Explored {
    /// How many states there are.
    pub states: usize,
    /// How many steps the longest way to one takes, at least.
    pub depth: usize,
    /// How long that took.
    pub took: Duration,
    /// For each property that failed, the steps that lead there.
    pub failures: Vec<(&'static str, Vec<String>)>,
}

impl Explored {
    /// Everything was gone through, and every property holds; says how much that was.
    pub fn assert_holds(&self, what: &impl Debug) {
        println!("{what:?}: {} states, {} steps deep, {:.1?}", self.states, self.depth, self.took);
        assert!(self.failures.is_empty(), "{what:?}: {:#?}", self.failures);
    }

    /// A property fails.
    pub fn assert_fails(&self, what: &impl Debug) {
        let found = self.failures.first().map(|(name, steps)| (name, steps.len()));
        println!("{what:?}: {found:?} after {} states", self.states);
        assert!(found.is_some(), "{what:?}: nobody noticed in {} states", self.states);
    }

    fn of<M>(begun: Instant, checker: impl Checker<M>) -> Self
    where
        M: Model,
        M::State: Clone + PartialEq + Debug + Hash,
        M::Action: Clone + PartialEq + Debug,
    {
        let failures = checker
            .discoveries()
            .into_iter()
            .map(|(name, path)| (name, path.into_actions().iter().map(|step| format!("{step:?}")).collect()));
        Self {
            states: checker.unique_state_count(),
            depth: checker.max_depth(),
            took: begun.elapsed(),
            failures: failures.collect(),
        }
    }
}
