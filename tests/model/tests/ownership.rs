//! What becomes of what agents publish over Redis, gone through exhaustively; `make model` runs the larger sizes, too.

use tasklight_model::ownership::{
    Broken::{self, *},
    Fault::{self, *},
    KEPT, ONCE, ORDER, Scenario, explore, look_for,
};

/// Whether what is published has an `eventId`.
const GIVEN: bool = true;
const ANONYMOUS: bool = false;

/// One of each kind, so that their order among each other is seen.
const MIXED: &[bool] = &[GIVEN, ANONYMOUS, GIVEN];

fn scenario(nodes: u8, faults: &'static [Fault], says: &'static [bool]) -> Scenario {
    Scenario { nodes, faults, says, seconds: 0, broken: None }
}

fn holds<const COUNT: usize>(scenarios: [(Scenario, usize); COUNT]) {
    scenarios.into_iter().for_each(|(scenario, states)| explore(&scenario).assert_holds(&scenario, states));
}

/// This property notices that this is broken.
fn fails(broken: Broken, property: &'static str, scenario: Scenario) {
    let scenario = Scenario { broken: Some(broken), ..scenario };
    look_for(&scenario, property).assert_fails(&scenario, property);
}

#[test]
fn what_was_counted_survives_the_death_of_a_node_and_is_appended_once() {
    holds([
        (scenario(2, &[], MIXED), 217),
        (scenario(2, &[Kill], MIXED), 1_186),
        (scenario(3, &[Kill], &[GIVEN]), 1_883),
        (Scenario { seconds: 2, ..scenario(2, &[Kill], &[GIVEN, ANONYMOUS]) }, 1_594),
    ]);
}

#[test]
fn a_node_whose_membership_lapses_repeats_nothing() {
    holds([
        (scenario(2, &[Lapse], MIXED), 13_315),
        (scenario(2, &[Lapse, Kill], &[GIVEN, ANONYMOUS]), 4_344),
        (Scenario { seconds: 2, ..scenario(2, &[Lapse], &[GIVEN, ANONYMOUS]) }, 13_044),
    ]);
}

#[test]
fn a_planned_handover_keeps_the_order() {
    holds([
        (scenario(2, &[Leave], MIXED), 110_424),
        (Scenario { seconds: 1, ..scenario(2, &[Leave], &[GIVEN]) }, 7_000),
        (scenario(1, &[Join], &[GIVEN, ANONYMOUS]), 9_637),
        (scenario(2, &[Join], &[GIVEN]), 118_729),
        (scenario(2, &[Join], &[ANONYMOUS]), 68_130),
    ]);
}

#[test]
fn every_rule_that_is_broken_is_noticed() {
    fails(StandbyForgetsAtOnce, KEPT, scenario(2, &[Kill], &[GIVEN]));
    fails(StandbyTakesAnonymous, ONCE, scenario(2, &[Kill], &[ANONYMOUS]));
    fails(StoreIgnoresEventId, ONCE, scenario(2, &[Kill], &[GIVEN]));
    fails(AckBeforeCommit, KEPT, scenario(2, &[Kill], &[GIVEN]));
    fails(ReleasedBeforeStored, ORDER, scenario(2, &[Leave], MIXED));
    fails(MarkBesideTheChannel, ONCE, scenario(2, &[Leave], &[ANONYMOUS]));
    fails(ReadyBeforeSubscribed, KEPT, scenario(2, &[Join], &[ANONYMOUS]));
    fails(LeaseNotChecked, ONCE, scenario(2, &[Lapse], &[ANONYMOUS]));
    fails(LeaseOutlivesLapse, ONCE, scenario(2, &[Lapse], &[ANONYMOUS]));
    fails(LeavesHolding, ORDER, scenario(2, &[Leave], MIXED));
}

#[test]
#[ignore = "minutes: make model"]
fn larger_sizes() {
    holds([
        (scenario(3, &[Lapse], &[GIVEN]), 57_591),
        (scenario(2, &[Lapse, Lapse], &[GIVEN]), 104_291),
        (scenario(2, &[Join], &[GIVEN, ANONYMOUS]), 1_531_529),
    ]);
}
