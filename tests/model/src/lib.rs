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

/// Where the numbers of states are told.
const TOLD: &str = include_str!("../../../docs/model.md");

/// A number as it is written there.
fn thousands(number: usize) -> String {
    let digits = number.to_string();
    let groups = digits.as_bytes().rchunks(3).rev().map(|group| String::from_utf8_lossy(group).into_owned());
    groups.collect::<Vec<_>>().join(",")
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
    /// Everything was gone through, every property holds, and there are so many states: one more or less is another protocol, to be looked at, and to be
    /// written down in docs/model.md.
    pub fn assert_holds(&self, what: &impl Debug, states: usize) {
        println!("{what:?}: {} states, {} steps deep, {:.1?}", self.states, self.depth, self.took);
        assert!(self.failures.is_empty(), "{what:?}: {:#?}", self.failures);
        assert_eq!(self.states, states, "{what:?}: as many states as before");
        let written = thousands(states);
        assert!(TOLD.contains(&format!(" {written} ")), "{what:?}: {written} is not in docs/model.md");
    }

    /// This property fails.
    pub fn assert_fails(&self, what: &impl Debug, property: &str) {
        let found: Vec<_> = self.failures.iter().map(|(name, steps)| (name, steps.len())).collect();
        println!("{what:?}: {found:?} after {} states", self.states);
        assert!(
            found.iter().any(|(name, _)| **name == property),
            "{what:?}: {property:?} has not noticed in {} states",
            self.states
        );
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
