//! Between the threads that apply what is committed and the one on which a session follows, no order loses a wake-up, a frame, or gives one twice.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use loom::{model::Builder, thread};
use tasklight_loom::stage::{Script, Shard, Stage};

/// Tries every order in which no more than so many threads are interrupted where they need not be; 0 for all orders.
fn every_order(preemptions: usize, play: impl Fn() + Send + Sync + 'static) {
    let asked = std::env::var("MODEL_PREEMPTIONS").ok().and_then(|text| text.parse().ok());
    let mut builder = Builder::new();
    let bound = asked.unwrap_or(preemptions);
    builder.preemption_bound = (bound != 0).then_some(bound);
    builder.max_branches = 100_000;
    let count = Arc::new(AtomicUsize::new(0));
    let counted = count.clone();
    let begun = std::time::Instant::now();
    builder.check(move || {
        counted.fetch_add(1, Ordering::Relaxed);
        play();
    });
    println!("{} orders in {:?}", count.load(Ordering::Relaxed), begun.elapsed());
}

#[test]
fn whoever_follows_while_frames_are_applied_gets_each_once_and_is_woken_for_the_last() {
    let script = Script::new(2, 10);
    every_order(3, move || {
        let stage = Stage::new(&script);
        let applies = {
            let stage = stage.clone();
            thread::spawn(move || (0..2).for_each(|_| stage.apply(stage.append())))
        };
        let mut shard = Shard::follow(&stage);
        shard.run(&stage, 2);
        assert_eq!(shard.seen, [1, 2]);
        applies.join().expect("it ends");
    });
}

/// How many orders there are in which a frame is applied while `follows`, and its thread is not told of it.
fn missed(follows: fn(&Stage) -> Shard) -> usize {
    let (script, missed) = (Script::new(1, 10), Arc::new(AtomicUsize::new(0)));
    let counted = missed.clone();
    every_order(3, move || {
        let stage = Stage::new(&script);
        let applies = {
            let stage = stage.clone();
            thread::spawn(move || stage.apply(stage.append()))
        };
        let mut shard = follows(&stage);
        applies.join().expect("it ends");
        shard.catch_up(&stage);
        counted.fetch_add(usize::from(shard.seen != [1]), Ordering::Relaxed);
    });
    missed.load(Ordering::Relaxed)
}

#[test]
fn whoever_looks_before_it_is_told_of_changes_may_sleep_through_one() {
    assert_eq!(missed(Shard::follow), 0);
    assert!(0 < missed(Shard::look_and_then_follow), "this is what all of this looks for");
}

#[test]
fn a_follower_from_under_whom_the_ring_is_emptied_goes_on_from_the_store() {
    let script = Script::new(3, 1);
    every_order(3, move || {
        let stage = Stage::new(&script);
        let applies = {
            let stage = stage.clone();
            thread::spawn(move || (0..3).for_each(|_| stage.apply(stage.append())))
        };
        let mut shard = Shard::follow(&stage);
        shard.run(&stage, 3);
        assert_eq!(shard.seen, [1, 2, 3]);
        applies.join().expect("it ends");
    });
}

#[test]
fn frames_that_two_threads_apply_in_any_order_come_in_order() {
    let script = Script::new(2, 10);
    every_order(2, move || {
        let stage = Stage::new(&script);
        let others: Vec<_> = (0..2)
            .map(|_| {
                let stage = stage.clone();
                thread::spawn(move || {
                    let offset = stage.append();
                    stage.apply(offset);
                })
            })
            .collect();
        let mut shard = Shard::follow(&stage);
        shard.run(&stage, 2);
        assert_eq!(shard.seen, [1, 2]);
        others.into_iter().for_each(|other| other.join().expect("it ends"));
    });
}

#[test]
fn what_no_hint_told_the_sweep_finds_while_hints_come() {
    let script = Script::new(2, 10);
    every_order(2, move || {
        let stage = Stage::new(&script);
        let hint = {
            let stage = stage.clone();
            thread::spawn(move || {
                // The hint of the first is lost.
                stage.append();
                let offset = stage.append();
                stage.apply(offset);
            })
        };
        let sweep = {
            let stage = stage.clone();
            thread::spawn(move || stage.sweep())
        };
        let mut shard = Shard::follow(&stage);
        shard.run(&stage, 2);
        assert_eq!(shard.seen, [1, 2]);
        hint.join().expect("it ends");
        sweep.join().expect("it ends");
    });
}

#[test]
fn one_who_leaves_takes_no_wake_up_from_another() {
    let script = Script::new(1, 10);
    every_order(3, move || {
        let stage = Stage::new(&script);
        let leaves = {
            let stage = stage.clone();
            let gone = Shard::follow(&stage);
            thread::spawn(move || drop(gone))
        };
        let applies = {
            let stage = stage.clone();
            thread::spawn(move || stage.apply(stage.append()))
        };
        let mut shard = Shard::follow(&stage);
        shard.run(&stage, 1);
        assert_eq!(shard.seen, [1]);
        leaves.join().expect("it ends");
        applies.join().expect("it ends");
    });
}

/// Found by `tests/model`: the follower read from before the floor, and then waited for a change that need not come.
#[test]
fn whoever_waited_for_a_task_hears_that_its_beginning_is_gone_already() {
    let script = Script::new(3, 10);
    every_order(3, move || {
        let stage = Stage::without_a_task(&script);
        let appears = {
            let stage = stage.clone();
            thread::spawn(move || {
                (0..3).for_each(|_| _ = stage.append());
                stage.found_trimmed_to(2);
            })
        };
        let mut shard = Shard::follow(&stage);
        shard.run(&stage, 3);
        // Whoever comes after it was found begins at the floor.
        assert!(shard.truncated.is_empty() || shard.truncated == [2], "{:?}", shard.truncated);
        assert_eq!(shard.seen, [2, 3]);
        appears.join().expect("it ends");
    });
}
