//! What viewers are shown, gone through exhaustively; `make model` runs the larger sizes, too.

use tasklight_model::delivery::{
    Broken::{self, *},
    COMMITTED,
    Change::{self, *},
    HEAD, ORDER, Scenario, explore, look_for,
};

/// One viewer, and one node that appends.
fn scenario(nodes: u8, appends: u8, changes: &'static [Change], departures: u8) -> Scenario {
    Scenario { nodes, viewers: 1, writers: 1, appends, changes, repeats: 0, departures, broken: None }
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
fn a_log_that_grows_is_shown_once_and_in_order() {
    holds([(scenario(1, 3, &[], 0), 63_368), (scenario(2, 2, &[], 0), 25_355), (scenario(1, 2, &[], 1), 24_828)]);
}

#[test]
fn what_is_trimmed_deleted_or_restored_is_said() {
    holds([
        (scenario(1, 2, &[Trim], 1), 183_369),
        (scenario(1, 2, &[Delete], 0), 80_665),
        (scenario(1, 2, &[Renew], 0), 122_744),
        (scenario(2, 1, &[Delete], 0), 8_761),
    ]);
}

#[test]
fn hints_that_come_twice_change_nothing() {
    holds([(Scenario { repeats: 1, ..scenario(2, 1, &[], 1) }, 108_753)]);
}

#[test]
fn every_rule_that_is_broken_is_noticed() {
    fails(ToldBeforeCommit, COMMITTED, scenario(1, 1, &[], 0));
    fails(HintAppliedAcrossGap, ORDER, scenario(2, 3, &[], 0));
    fails(ResumeIgnoresEpoch, ORDER, scenario(1, 2, &[Delete], 1));
    fails(SweepDoesNotCompare, HEAD, scenario(2, 1, &[], 0));
    fails(EvictedFramesSkipped, ORDER, scenario(1, 3, &[], 0));
    fails(TruncatedUnsaid, HEAD, scenario(1, 2, &[Trim], 0));
    fails(FloorOverlooked, HEAD, scenario(1, 2, &[Trim], 0));
    fails(AnyPageFits, ORDER, scenario(1, 2, &[Delete], 0));
    fails(NobodyWoken, HEAD, scenario(1, 1, &[], 0));
}

#[test]
#[ignore = "minutes: make model"]
fn larger_sizes() {
    fails(ResetWithoutAsking, ORDER, scenario(2, 2, &[], 2));
    holds([(scenario(2, 1, &[Delete], 1), 691_641)]);
}
