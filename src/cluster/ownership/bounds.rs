//! A node holds only so much for others, whatever is announced or changes meanwhile.

use std::time::{Duration, Instant};

use super::{Act, Ownership, OwnershipOptions, Took, place::LISTENERS};
use crate::{
    cluster::{
        control::Mark,
        members::Members,
        ranking::{NodeId, first_two},
    },
    model::{Activity, ActivityType, Data, Effect, EventId, NewActivity, TaskId, Timestamp},
};

const MOST: usize = 4;

fn nodes(names: &[&str]) -> Vec<NodeId> {
    names.iter().map(|name| NodeId::from(*name)).collect()
}

/// A task for which node `a` is in this place of `a` and `b`.
fn task(place: usize) -> TaskId {
    let (me, all) = (NodeId::from("a"), nodes(&["a", "b"]));
    let mut tasks = (0..100).map(|n| format!("t{n}").parse::<TaskId>().expect("valid"));
    tasks.find(|task| first_two(task, &all)[place] == Some(&me)).expect("one in two")
}

fn activity(number: u8) -> NewActivity {
    let activity = Activity {
        event_id: EventId::from_bytes([number; 16]),
        invocation: "r".parse().expect("valid"),
        kind: ActivityType::Output,
        timestamp: Timestamp::default(),
        received_at: Timestamp::default(),
        data: Data::empty(),
    };
    NewActivity { activity, event_id_given: true, effect: Effect::SignOfLife, series: None, sealed_by: None }
}

/// Node `a` beside `b`, which never says anything; it listens to the task, and has heard all that it may hold.
fn full(task: &TaskId, now: Instant) -> Ownership {
    let options = OwnershipOptions {
        tasks: 10,
        hold_activities: MOST,
        hold_bytes: 1 << 20,
        linger: Duration::from_secs(10),
        return_within: Duration::ZERO,
    };
    let mut ownership = Ownership::new("a".into(), options);
    let members = Members { alive: nodes(&["a", "b"]), able: nodes(&["a", "b"]) };
    ownership.members(members, now);
    ownership.told(task, now);
    ownership.subscribed(task, now);
    assert_eq!(changes(&mut ownership), [true]);
    for number in 1..=MOST {
        ownership.heard(task, vec![activity(u8::try_from(number).expect("few"))], now);
    }
    ownership
}

/// What it subscribes to (true) and lets go of (false) now.
fn changes(ownership: &mut Ownership) -> Vec<bool> {
    let change = |act| match act {
        Act::Subscribe(_) => Some(true),
        Act::Unsubscribe(_) => Some(false),
        _ => None,
    };
    ownership.take_acts().into_iter().filter_map(change).collect()
}

#[test]
fn a_node_that_holds_all_it_may_lets_go_and_no_announcement_brings_it_back() {
    for place in [0, 1] {
        let (task, now) = (task(place), Instant::now());
        let mut ownership = full(&task, now);
        assert_eq!(changes(&mut ownership), [false], "place {place}");
        for seconds in 0..5 {
            let later = now + Duration::from_secs(seconds);
            ownership.announced(&task, later);
            ownership.told(&task, later);
            ownership.tick(later);
        }
        assert_eq!(changes(&mut ownership), [true; 0], "place {place}");
        assert_eq!(ownership.held_activities(), MOST);
    }
}

#[test]
fn it_goes_on_hearing_acks_and_listens_again_when_they_have_made_room() {
    for place in [0, 1] {
        let (task, now) = (task(place), Instant::now());
        let mut ownership = full(&task, now);
        let acts = ownership.take_acts();
        assert!(matches!(&acts[..], [.., Act::Unsubscribe(_), Act::HearAcks(_)]), "place {place}: {acts:?}");
        let events: Vec<_> = (1..=3).map(|number| EventId::from_bytes([number; 16])).collect();
        ownership.settled(&task, &events);
        assert_eq!(ownership.held_activities(), 1);
        // A coming owner asks the others first.
        ownership.tick(now + Duration::from_millis(2_000));
        ownership.tick(now + Duration::from_millis(2_250));
        assert_eq!(changes(&mut ownership), [true], "place {place}");
    }
}

#[test]
fn marks_of_strangers_take_up_only_so_much() {
    let (task, now) = (task(0), Instant::now());
    let mut ownership = full(&task, now);
    let listeners = |ownership: &Ownership| ownership.places[&task].listeners.len();
    for number in 0..10_000 {
        ownership.marked(&task, &Mark::Listens { from: format!("stranger-{number}").into() }, now);
    }
    assert!(listeners(&ownership) <= LISTENERS, "{}", listeners(&ownership));
    ownership.marked(&task, &Mark::Listens { from: "b".into() }, now);
    assert!(ownership.places[&task].listeners.contains_key("b"), "a member's is always remembered");
}

#[test]
fn a_node_without_a_part_in_a_busy_task_goes_although_there_is_always_something_held() {
    let (task, now) = (task(1), Instant::now());
    let mut ownership = full(&task, now);
    let events: Vec<_> = (1..=4).map(|number| EventId::from_bytes([number; 16])).collect();
    ownership.settled(&task, &events[..3]);
    ownership.tick(now + Duration::from_secs(2));
    ownership.subscribed(&task, now);
    // Two others have it now.
    let others = Members { alive: nodes(&["a", "b", "c"]), able: nodes(&["b", "c"]) };
    ownership.members(others, now);
    changes(&mut ownership);
    ownership.tick(now + Duration::from_secs(11));
    assert_eq!(changes(&mut ownership), [false], "one activity is held, and the channel is let go all the same");
    ownership.settled(&task, &events);
    ownership.tick(now + Duration::from_secs(12));
    assert!(!ownership.places.contains_key(&task), "nothing is left of it");
}

#[test]
fn a_node_that_was_full_for_a_moment_takes_up_its_tasks_although_nobody_has_noticed() {
    let (task, now) = (task(0), Instant::now());
    let mut ownership = full(&task, now);
    let late = now + Duration::from_secs(3);
    ownership.withdraw(now);
    assert_eq!(changes(&mut ownership), [false]);
    ownership.tick(late);
    // The members are the same: by the time of the next beat it is able again.
    let members = Members { alive: nodes(&["a", "b"]), able: nodes(&["a", "b"]) };
    ownership.members(members, late);
    assert!(!ownership.is_to_own(&task));
    ownership.come_back(late);
    assert!(ownership.is_to_own(&task) && changes(&mut ownership) == [true]);
}

#[test]
fn a_node_is_coming_as_long_as_it_holds_what_others_have_still_to_store_something_before() {
    let (task, now) = (task(0), Instant::now());
    let mut ownership = full(&task, now);
    assert!(ownership.is_coming() && ownership.is_busy());
    ownership.released(&task, &"b".into(), Took::Nothing, now);
    assert!(!ownership.is_coming() && ownership.owns(&task), "and now it owns it");
}
