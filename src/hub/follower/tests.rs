//! A follower whose hub and whose store do not say the same.

use std::sync::Arc;

use super::*;
use crate::config::Settings;

fn offset(number: u64) -> Offset {
    Offset::new(number).expect("small")
}

fn standing(epoch: u32, head: u64) -> LogState {
    LogState { epoch: Epoch::from_stored(epoch), head: offset(head), floor: offset(1) }
}

/// A log that stands here as far as the hub knows, and a follower with this cursor that has begun.
fn follower(state: LogState, after: (u32, u64)) -> (Arc<Log>, Follower) {
    let log = Arc::new(Log::new("t".parse().expect("valid")));
    let generation = log.begin_load();
    log.loaded(generation, Some(state));
    let cursor = Cursor { epoch: Epoch::from_stored(after.0), offset: offset(after.1) };
    let start = Start { after: Some(cursor), otherwise: Otherwise::Beginning };
    let (options, (metrics, _)) = (Settings::default().hub_options(), Metrics::new());
    let mut follower = Follower::new(Interest::new(log.clone()), start, Filter::default(), &options, &metrics);
    assert!(matches!(follower.next(1), Step::Begun { .. }));
    (log, follower)
}

/// The store is asked, and says this.
fn asked(follower: &mut Follower, state: Option<LogState>) {
    assert!(matches!(follower.next(1), Step::Read(_)), "the store is asked");
    follower.supply(ColdPage { state, through: Offset::ZERO, batches: Vec::new() });
}

#[test]
fn a_cursor_ahead_of_the_hub_waits_for_it() {
    let (log, mut follower) = follower(standing(1, 5), (1, 10));
    asked(&mut follower, Some(standing(1, 10)));
    assert!(matches!(follower.next(1), Step::Asleep));
    assert!(matches!(follower.next(1), Step::Asleep), "until the hub knows more");
    log.replace(Some(standing(1, 10)));
    assert!(matches!(follower.next(1), Step::Live(at) if at == offset(10)));
}

#[test]
fn a_log_that_begins_another_life_while_the_hub_is_waited_for_is_said() {
    for says in [Some(standing(1, 10)), None] {
        let (log, mut follower) = follower(standing(1, 5), (1, 10));
        asked(&mut follower, says);
        assert!(matches!(follower.next(1), Step::Asleep));
        // Deleted and made again at another node: this one never saw it gone.
        log.replace(Some(standing(2, 3)));
        asked(&mut follower, Some(standing(2, 3)));
        assert!(matches!(follower.next(1), Step::Reset { epoch } if epoch == Epoch::from_stored(2)), "{says:?}");
    }
}
