//! What viewers are shown, gone through exhaustively; `make model` runs the larger sizes, too.

use tasklight_model::delivery::{
    Broken::{self, *},
    Change::{self, *},
    Scenario, explore,
};

/// One viewer, and one node that appends.
fn scenario(nodes: u8, appends: u8, changes: &'static [Change], departures: u8) -> Scenario {
    Scenario { nodes, viewers: 1, writers: 1, appends, changes, repeats: 0, departures, broken: None }
}

fn holds(scenarios: impl IntoIterator<Item = Scenario>) {
    scenarios.into_iter().for_each(|scenario| explore(&scenario).assert_holds(&scenario));
}

fn fails(broken: Broken, scenario: Scenario) {
    let scenario = Scenario { broken: Some(broken), ..scenario };
    explore(&scenario).assert_fails(&scenario);
}

#[test]
fn a_log_that_grows_is_shown_once_and_in_order() {
    holds([scenario(1, 3, &[], 0), scenario(2, 2, &[], 0), scenario(1, 2, &[], 1)]);
}

#[test]
fn what_is_trimmed_deleted_or_restored_is_said() {
    holds([scenario(1, 2, &[Trim], 1), scenario(1, 2, &[Delete], 0), scenario(1, 2, &[Renew], 0), scenario(2, 1, &[Delete], 0)]);
}

#[test]
fn hints_that_come_twice_change_nothing() {
    holds([Scenario { repeats: 1, ..scenario(2, 1, &[], 1) }]);
}

#[test]
fn every_rule_that_is_broken_is_noticed() {
    fails(ToldBeforeCommit, scenario(1, 1, &[], 0));
    fails(HintAppliedAcrossGap, scenario(2, 3, &[], 0));
    fails(ResumeIgnoresEpoch, scenario(1, 2, &[Delete], 1));
    fails(SweepDoesNotCompare, scenario(2, 1, &[], 0));
    fails(EvictedFramesSkipped, scenario(1, 3, &[], 0));
    fails(TruncatedUnsaid, scenario(1, 2, &[Trim], 0));
    fails(FloorOverlooked, scenario(1, 2, &[Trim], 0));
    fails(AnyPageFits, scenario(1, 2, &[Delete], 0));
    fails(NobodyWoken, scenario(1, 1, &[], 0));
}

#[test]
#[ignore = "minutes: make model"]
fn larger_sizes() {
    fails(ResetWithoutAsking, scenario(2, 2, &[], 2));
    holds([scenario(2, 1, &[Delete], 1)]);
}
