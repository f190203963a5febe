//! The tool calls that have no result yet, and the last that had one.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// The most that are remembered of each; of those that were open for longest, the result will look as if nobody had called.
const MOST: usize = 1_024;

/// Open calls by their agent's own ids.
#[derive(Debug, Default)]
pub(super) struct Calls {
    names: BTreeMap<String, String>,
    order: VecDeque<String>,
    /// Those that ended, oldest first.
    ended: VecDeque<String>,
    has_ended: BTreeSet<String>,
}

impl Calls {
    /// Notes a call. Gives false if it is open already.
    pub(super) fn open(&mut self, id: &str, name: &str) -> bool {
        if self.names.insert(id.to_owned(), name.to_owned()).is_some() {
            return false;
        }
        self.order.push_back(id.to_owned());
        if MOST < self.order.len()
            && let Some(oldest) = self.order.pop_front()
        {
            self.names.remove(&oldest);
        }
        true
    }

    /// Ends a call. Gives false if it was not open.
    pub(super) fn close(&mut self, id: &str) -> bool {
        let was_open = self.names.remove(id).is_some();
        if was_open {
            self.order.retain(|open| open != id);
            self.end(id);
        }
        was_open
    }

    fn end(&mut self, id: &str) {
        if !self.has_ended.insert(id.to_owned()) {
            return;
        }
        self.ended.push_back(id.to_owned());
        if MOST < self.ended.len()
            && let Some(oldest) = self.ended.pop_front()
        {
            self.has_ended.remove(&oldest);
        }
    }

    /// Whether one of this id had its result already: its id says no longer which one is meant.
    pub(super) fn has_ended(&self, id: &str) -> bool {
        self.has_ended.contains(id)
    }

    /// Whether it is open.
    pub(super) fn is_open(&self, id: &str) -> bool {
        self.names.contains_key(id)
    }

    /// The id and name of each that is still open, in the order of their beginning.
    pub(super) fn take(&mut self) -> Vec<(String, String)> {
        let names = std::mem::take(&mut self.names);
        let order = std::mem::take(&mut self.order);
        order.into_iter().filter_map(|id| names.get(&id).cloned().map(|name| (id, name))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut calls = Calls::default();
        for number in 0..=MOST {
            assert!(calls.open(&number.to_string(), "tool"));
        }
        assert!(!calls.open("5", "tool") && !calls.close("0") && calls.close("1"));
        assert_eq!(calls.take().len(), MOST - 1);
    }
}
