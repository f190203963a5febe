//! What becomes of what agents publish over Redis, gone through exhaustively; `make model` runs the larger sizes, too.

use tasklight_model::ownership::{
    Broken::{self, *},
    Fault::{self, *},
    Scenario, explore,
};

/// Whether what is published has an `eventId`.
const GIVEN: bool = true;
const ANONYMOUS: bool = false;

/// One of each kind, so that their order among each other is seen.
const MIXED: &[bool] = &[GIVEN, ANONYMOUS, GIVEN];

fn scenario(nodes: u8, faults: &'static [Fault], says: &'static [bool]) -> Scenario {
    Scenario { nodes, faults, says, seconds: 0, broken: None }
}

fn holds(scenarios: impl IntoIterator<Item = Scenario>) {
    scenarios.into_iter().for_each(|scenario| explore(&scenario).assert_holds(&scenario));
}

fn fails(broken: Broken, scenario: Scenario) {
    let scenario = Scenario { broken: Some(broken), ..scenario };
    explore(&scenario).assert_fails(&scenario);
}

#[test]
fn what_was_counted_survives_the_death_of_a_node_and_is_appended_once() {
    holds([
        scenario(2, &[], MIXED),
        scenario(2, &[Kill], MIXED),
        scenario(3, &[Kill], &[GIVEN]),
        Scenario { seconds: 2, ..scenario(2, &[Kill], &[GIVEN, ANONYMOUS]) },
    ]);
}

#[test]
fn a_node_whose_membership_lapses_repeats_nothing() {
    holds([
        scenario(2, &[Lapse], MIXED),
        scenario(2, &[Lapse, Kill], &[GIVEN, ANONYMOUS]),
        Scenario { seconds: 2, ..scenario(2, &[Lapse], &[GIVEN, ANONYMOUS]) },
    ]);
}

#[test]
fn a_planned_handover_keeps_the_order() {
    holds([
        scenario(2, &[Leave], MIXED),
        Scenario { seconds: 1, ..scenario(2, &[Leave], &[GIVEN]) },
        scenario(1, &[Join], &[GIVEN, ANONYMOUS]),
        scenario(2, &[Join], &[GIVEN]),
        scenario(2, &[Join], &[ANONYMOUS]),
    ]);
}

#[test]
fn every_rule_that_is_broken_is_noticed() {
    fails(StandbyForgetsAtOnce, scenario(2, &[Kill], &[GIVEN]));
    fails(StandbyTakesAnonymous, scenario(2, &[Kill], &[ANONYMOUS]));
    fails(StoreIgnoresEventId, scenario(2, &[Kill], &[GIVEN]));
    fails(AckBeforeCommit, scenario(2, &[Kill], &[GIVEN]));
    fails(ReleasedBeforeStored, scenario(2, &[Leave], MIXED));
    fails(MarkBesideTheChannel, scenario(2, &[Leave], &[ANONYMOUS]));
    fails(ReadyBeforeSubscribed, scenario(2, &[Join], &[ANONYMOUS]));
    fails(LeaseNotChecked, scenario(2, &[Lapse], &[ANONYMOUS]));
    fails(LeaseOutlivesLapse, scenario(2, &[Lapse], &[ANONYMOUS]));
    fails(LeavesHolding, scenario(2, &[Leave], MIXED));
}

#[test]
#[ignore = "minutes: make model"]
fn larger_sizes() {
    holds([scenario(3, &[Lapse], &[GIVEN]), scenario(2, &[Lapse, Lapse], &[GIVEN]), scenario(2, &[Join], &[GIVEN, ANONYMOUS])]);
}
