//! A follower without a session: logs that change between two looks. The first two stories were found by the simulation (see docs/simulation.md).

use super::*;
use crate::{config::Settings, model::TaskId};

fn state(epoch: u32, floor: u64, head: u64) -> LogState {
    let at = |offset| Offset::new(offset).expect("small");
    LogState { epoch: Epoch::from_stored(epoch), head: at(head), floor: at(floor) }
}

fn follower(log: &Arc<Log>, after: Option<&str>) -> Follower {
    let start = Start { after: after.map(|text| text.parse().expect("a cursor")), otherwise: Otherwise::Beginning };
    let options = Settings::default().hub_options();
    let (metrics, _) = Metrics::new();
    let mut follower = Follower::new(Interest::new(log.clone()), start, Filter::default(), &options, &metrics);
    assert!(matches!(follower.next(1_000), Step::Begun { .. }));
    follower
}

fn log(state: Option<LogState>) -> Arc<Log> {
    let task: TaskId = "t".parse().expect("valid");
    let log = Arc::new(Log::new(task));
    log.replace(state);
    log
}

/// What the store says when it is asked.
fn answer(state: Option<LogState>) -> ColdPage {
    ColdPage { state, through: Offset::ZERO, batches: Vec::new() }
}

#[test]
fn who_waits_for_a_task_hears_that_its_log_was_trimmed_before_it_looked() {
    let log = log(None);
    let mut follower = follower(&log, None);
    assert!(matches!(follower.next(1_000), Step::Asleep));
    log.replace(Some(state(1, 3, 3)));
    let Step::Truncated { floor } = follower.next(1_000) else { panic!("it is told") };
    assert_eq!(floor.get(), 3);
    assert!(matches!(follower.next(1_000), Step::Read(range) if range.after.get() <= 2), "and goes on there");
}

#[test]
fn what_the_store_said_of_another_life_does_not_keep_a_viewer_waiting_for_ever() {
    for (after, said) in [
        // The task was away when the store was asked.
        ("000000ff-3", None),
        // The store knew the viewer's life, the hub did not yet; neither lasted.
        ("000000ff-3", Some(state(0xff, 1, 7))),
    ] {
        let log = log(Some(state(1, 1, 5)));
        let mut follower = follower(&log, Some(after));
        assert!(matches!(follower.next(1_000), Step::Read(_)), "the store is asked");
        follower.supply(answer(said));
        assert!(matches!(follower.next(1_000), Step::Asleep), "the hub will hear of it");
        assert!(matches!(follower.next(1_000), Step::Asleep), "and is not asked for ever");
        log.replace(Some(state(2, 1, 5)));
        assert!(matches!(follower.next(1_000), Step::Read(_)), "another life, another question: {said:?}");
        follower.supply(answer(Some(state(2, 1, 5))));
        assert!(matches!(follower.next(1_000), Step::Reset { epoch } if epoch.get() == 2));
    }
}

#[test]
fn a_life_that_the_hub_hears_of_late_is_continued_without_a_word() {
    let log = log(Some(state(1, 1, 5)));
    let mut follower = follower(&log, Some("00000002-7"));
    assert!(matches!(follower.next(1_000), Step::Read(_)));
    follower.supply(answer(Some(state(2, 1, 7))));
    assert!(matches!(follower.next(1_000), Step::Asleep));
    log.replace(Some(state(2, 1, 7)));
    assert!(matches!(follower.next(1_000), Step::Live(offset) if offset.get() == 7));
}

#[test]
fn a_cursor_ahead_of_the_hub_waits_for_it() {
    let log = log(Some(state(1, 1, 5)));
    let mut follower = follower(&log, Some("00000001-10"));
    assert!(matches!(follower.next(1_000), Step::Read(_)), "the store is asked");
    follower.supply(answer(Some(state(1, 1, 10))));
    assert!(matches!(follower.next(1_000), Step::Asleep), "until the hub knows more");
    log.replace(Some(state(1, 1, 10)));
    assert!(matches!(follower.next(1_000), Step::Live(offset) if offset.get() == 10));
}

#[test]
fn an_answer_that_the_hub_has_overtaken_is_asked_for_again() {
    let log = log(Some(state(1, 1, 5)));
    let mut follower = follower(&log, Some("00000001-10"));
    assert!(matches!(follower.next(1_000), Step::Read(_)));
    // The task is made again while the answer, which is of before, is on its way.
    log.replace(Some(state(2, 1, 3)));
    follower.supply(answer(Some(state(1, 1, 10))));
    assert!(matches!(follower.next(1_000), Step::Read(_)), "nothing may change again for long");
    follower.supply(answer(Some(state(2, 1, 3))));
    assert!(matches!(follower.next(1_000), Step::Reset { epoch } if epoch.get() == 2));
}
