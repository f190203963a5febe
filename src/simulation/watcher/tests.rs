//! The oracle itself: what it lets pass, and what it does not.

use super::*;
use crate::{
    model::{EventId, LogState},
    store::gated::Seen,
};

const EPOCH: u32 = 7;

fn at(offset: u64) -> Offset {
    Offset::new(offset).expect("small")
}

fn event(offset: u64) -> EventId {
    EventId::derived(offset.to_string().as_bytes())
}

fn task() -> TaskId {
    "t".parse().expect("valid")
}

fn seen(offset: u64) -> Seen {
    let kind = if offset.is_multiple_of(2) { "output" } else { "message" };
    let (invocation, data) = ("r".to_owned(), format!("{{\"n\":{offset}}}"));
    Seen { offset: at(offset), event: event(offset), invocation, kind: kind.to_owned(), data, series: None }
}

fn state(epoch: u32, floor: u64, head: u64) -> (TaskId, LogState) {
    (task(), LogState { epoch: Epoch::from_stored(epoch), head: at(head), floor: at(floor) })
}

/// A log with six activities, of which two are trimmed.
fn book() -> Book {
    let mut book = Book::default();
    book.note(&[state(EPOCH, 1, 6)], [(task(), (1..=6).map(seen).collect())].into()).expect("a log");
    book.note(&[state(EPOCH, 3, 6)], [].into()).expect("it is trimmed");
    book
}

fn cursor(epoch: u32, offset: u64) -> Cursor {
    Cursor { epoch: Epoch::from_stored(epoch), offset: at(offset) }
}

fn begun(after: u64) -> Heard {
    Heard::Subscribed { epoch: Some(Epoch::from_stored(EPOCH)), floor: 3, head: 6, after: Some(cursor(EPOCH, after)) }
}

fn shown(offset: u64) -> Heard {
    let Seen { invocation, kind, data, .. } = seen(offset);
    Heard::Activity { cursor: cursor(EPOCH, offset), offset, event: event(offset).to_string(), kind, invocation, data }
}

fn watch(after: Option<u64>, filter: Filter, story: &[Heard]) -> Result<Watcher, String> {
    let (book, mut watcher) = (book(), Watcher::new(task(), filter, Begin::Oldest));
    watcher.subscribes(after.map(|offset| cursor(EPOCH, offset)));
    story.iter().try_for_each(|heard| watcher.hears(heard, &book))?;
    Ok(watcher)
}

#[test]
fn what_is_right_passes() {
    let all = |from: u64| (from..=6).map(shown).collect::<Vec<_>>();
    for (after, story) in [
        (None, [vec![begun(2)], all(3), vec![Heard::Live(6)]].concat()),
        (Some(4), [vec![begun(4)], all(5)].concat()),
        (Some(1), [vec![begun(1), Heard::Truncated(3)], all(3)].concat()),
        (Some(60), [vec![begun(60), Heard::Reset(Epoch::from_stored(EPOCH))], all(3)].concat()),
    ] {
        let watcher = watch(after, Filter::default(), &story).expect("all is well");
        watcher.rests(&book()).expect("it has everything");
    }
}

#[test]
fn each_broken_promise_is_said() {
    let other = Heard::Activity {
        cursor: cursor(EPOCH, 3),
        offset: 3,
        event: event(3).to_string(),
        kind: "message".to_owned(),
        invocation: "r".to_owned(),
        data: "{}".to_owned(),
    };
    let epoch = Epoch::from_stored(EPOCH);
    for (after, story, said) in [
        (None, vec![shown(3)], "without a subscription"),
        (None, vec![begun(1)], "it should go on after"),
        (Some(4), vec![begun(5)], "it should go on after"),
        (None, vec![begun(2), begun(2)], "said twice"),
        (None, vec![begun(2), shown(4)], "3 was skipped"),
        (None, vec![begun(2), shown(3), shown(3)], "again, or out of order"),
        (None, vec![begun(2), shown(7)], "it is not committed"),
        (None, vec![begun(2), other], "committed is"),
        (None, vec![begun(2), Heard::Live(5)], "3 was skipped"),
        (None, vec![begun(2), Heard::Live(9)], "the head was never there"),
        (Some(6), vec![begun(6), Heard::Skipped(5)], "it was further already"),
        (Some(1), vec![begun(1), shown(3)], "2 was skipped"),
        (Some(1), vec![begun(1), Heard::Truncated(5)], "the floor was never there"),
        (Some(4), vec![begun(4), Heard::Truncated(3)], "it could be continued"),
        (Some(4), vec![begun(4), Heard::Reset(epoch)], "it could be continued"),
        (Some(60), vec![begun(60), Heard::Reset(Epoch::from_stored(8))], "a life that never was"),
        (Some(4), vec![begun(4), Heard::Deleted], "it is there"),
    ] {
        let broken = watch(after, Filter::default(), &story).expect_err(said);
        assert!(broken.contains(said), "{broken:?} for {said:?}");
    }
}

#[test]
fn who_is_not_at_the_head_does_not_rest() {
    for (story, said) in [(vec![], "never said to hold"), (vec![begun(2), shown(3)], "4 was never shown")] {
        let broken = watch(None, Filter::default(), &story).expect("so far").rests(&book()).expect_err(said);
        assert!(broken.contains(said), "{broken:?}");
    }
}

#[test]
fn a_filter_may_skip_what_it_leaves_out_and_nothing_else() {
    let outputs = Filter { types: vec!["output".parse().expect("a type")], ..Filter::default() };
    watch(None, outputs.clone(), &[begun(2), shown(4), shown(6)]).expect("all outputs");
    for (story, said) in [(vec![begun(2), shown(6)], "4 was skipped"), (vec![begun(2), shown(3)], "leaves it out")] {
        let broken = watch(None, outputs.clone(), &story).expect_err(said);
        assert!(broken.contains(said), "{broken:?}");
    }
}

#[test]
fn the_book_takes_no_hole_no_repeat_and_no_way_back() {
    for (next, rows, said) in [
        (state(EPOCH, 3, 8), vec![seen(8)], "where 7 comes next"),
        (state(EPOCH, 3, 7), vec![Seen { event: event(5), ..seen(7) }], "was committed twice"),
        (state(EPOCH, 3, 5), vec![], "goes back"),
        (state(EPOCH, 2, 6), vec![], "goes back"),
        (state(EPOCH, 3, 9), vec![seen(7)], "the head is 9"),
    ] {
        let broken = book().note(&[next], [(task(), rows)].into()).expect_err(said);
        assert!(broken.contains(said), "{broken:?}");
    }
}
