//! How long is waited, and what a return costs.

use super::*;

#[test]
fn waits_are_below_a_bound_that_doubles_or_as_short_as_it_gets() {
    let (first, most) = (Duration::from_millis(250), Duration::from_secs(5));
    for (failures, bound) in [(0, 250), (1, 500), (4, 4_000), (5, 5_000), (200, 5_000)] {
        assert!(Patience::Jitter { first, most }.wait(failures) <= Duration::from_millis(bound));
    }
    let none = Patience::None { again: first };
    assert_eq!([none.wait(0), none.wait(7)], [Duration::ZERO, first]);
}

/// A viewer that was live and has been away, and now tries to come back.
fn away() -> Viewer {
    let patience = Patience::None { again: Duration::ZERO };
    let (task, epoch, come) = ("load".to_owned(), String::new(), Duration::ZERO);
    let mut viewer = Viewer::new(0, &Habits { task, epoch, seen: 0, come, cuts: None, patience, scattered: false });
    (viewer.ended, viewer.tried) = (Some(1), Some(1_000_000));
    viewer
}

#[test]
fn a_return_begins_with_its_first_try() {
    let (mut viewer, mut tally) = (away(), Tally::new());
    // The second try got the subscription through.
    viewer.has_all(9_000_000, 8_000_000, &mut tally);
    assert_eq!((tally.returns, tally.cut_again, viewer.tried), (1, 0, None));
    assert!(8_000_000 <= tally.replay.max() && tally.resume.max() < 1_100_000, "{tally:?}");
}

#[test]
fn a_return_that_is_cut_again_counts_and_is_told_apart() {
    let (mut viewer, mut tally) = (away(), Tally::new());
    viewer.cut(16_000_000, &mut tally);
    assert_eq!((tally.returns, tally.cut_again, viewer.tried), (0, 1, None));
    assert!(15_000_000 <= tally.replay.max(), "{tally:?}");
    // Who was live, or has never been, has no return that could be cut.
    viewer.cut(17_000_000, &mut tally);
    (viewer.ended, viewer.tried) = (None, Some(1));
    viewer.cut(18_000_000, &mut tally);
    assert_eq!(tally.cut_again, 1);
}

#[test]
fn when_to_come_back_is_read_from_what_a_server_says_that_stops() {
    assert_eq!(reconnect_after(br#"{"op":"drain","reconnectAfterMs":1234}"#), Some(Duration::from_millis(1_234)));
    assert_eq!(reconnect_after(br#"{"op":"pong"}"#), None);
}
