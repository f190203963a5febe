//! The chaos test's checker finds what it is there to find.

#[path = "../chaos/checker.rs"]
mod the_checker;

use the_checker::{Entry, Kind, Log, Proof, Publication, Seen, Sent, Transcript, Verdict, check};
use uuid::Uuid;

/// A log, what was published into it and what a viewer saw of it; all in order.
struct World {
    log: Log,
    publications: Vec<Publication>,
    transcript: Transcript,
}

/// Two invocations by turns, `a` with receipts and `b` counted, of ten activities each.
fn world() -> World {
    let log = Log { task: "t".into(), epoch: "e".into(), head: 20, entries: Vec::new(), former: Vec::new(), renewed_ms: 0 };
    let publication = |name: &str| Publication { task: "t".into(), invocation: name.into(), sent: Vec::new() };
    let transcript = Transcript { viewer: "v".into(), task: "t".into(), after: 0, seen: Vec::new() };
    let mut world = World { log, publications: vec![publication("a"), publication("b")], transcript };
    for offset in 1..=20_u64 {
        let event = Uuid::from_u128(offset.into());
        let (index, proof) = if offset % 2 == 1 { (0, Proof::Receipt(offset)) } else { (1, counted(None)) };
        let publication = &mut world.publications[index];
        publication.sent.push(Sent {
            event,
            proof,
            at_ms: 10_000 + offset,
            during: Some("hub killed"),
            life: None,
            out_of_turn: None,
        });
        let number = publication.sent.len() as u64;
        world.log.entries.push(Entry { offset, event, invocation: publication.invocation.clone(), number });
        // It comes back after the tenth.
        world.transcript.seen.push(Seen { connection: 1 + u32::from(10 < offset), ..seen("e", offset, event, number) });
    }
    world
}

/// A delivery over a viewer's first connection.
fn seen(epoch: &str, offset: u64, event: Uuid, number: u64) -> Seen {
    Seen { epoch: epoch.into(), offset, event, number, at_ms: 20_000 + offset, connection: 1, told: false }
}

fn counted(excused: Option<&'static str>) -> Proof {
    Proof::Counted { receivers: 2, excused }
}

/// What the checker says of a world that was changed.
fn changed(change: impl FnOnce(&mut World)) -> Verdict {
    let mut world = world();
    change(&mut world);
    check(&[world.log], &world.publications, &[world.transcript])
}

/// The kinds found, each once, and the first text.
fn found(verdict: &Verdict) -> (Vec<Kind>, String) {
    (verdict.counts.keys().copied().collect(), verdict.differences.first().map(ToString::to_string).unwrap_or_default())
}

/// Takes an entry out and closes the hole, as if it had never been stored; the viewer agrees.
fn forget(world: &mut World, offset: usize) {
    world.log.entries.remove(offset - 1);
    world.log.head -= 1;
    for (entry, offset) in world.log.entries.iter_mut().zip(1..) {
        entry.offset = offset;
    }
    for publication in &mut world.publications {
        for sent in &mut publication.sent {
            if let Proof::Receipt(offset) = &mut sent.proof {
                let entry = world.log.entries.iter().find(|entry| entry.event == sent.event);
                *offset = entry.map_or(*offset, |entry| entry.offset);
            }
        }
    }
    world.transcript.seen = world.log.entries.iter().map(|entry| seen("e", entry.offset, entry.event, entry.number)).collect();
}

/// The viewer got the content of these two deliveries the other way round.
fn swap_seen(world: &mut World, a: usize, b: usize) {
    let seen = &mut world.transcript.seen;
    let (first, second) = (seen[a].clone(), seen[b].clone());
    (seen[a].event, seen[a].number) = (second.event, second.number);
    (seen[b].event, seen[b].number) = (first.event, first.number);
}

#[test]
fn what_is_as_it_should_be_passes() {
    let verdict = changed(|_| {});
    assert_eq!(found(&verdict), (vec![], String::new()));
    assert_eq!((verdict.stored, verdict.deliveries), (20, 20));
    let late = changed(|world| {
        world.transcript.after = 5;
        drop(world.transcript.seen.drain(..5));
    });
    assert_eq!(found(&late).0, vec![]);
}

#[test]
fn a_hole_is_found() {
    let hole = changed(|world| drop(world.log.entries.remove(6)));
    assert_eq!(found(&hole).0, [Kind::Lost, Kind::Hole, Kind::Phantom]);
    // In the order of time: the receipt was given before anybody was shown what comes after the hole.
    assert!(found(&hole).1.contains("receipt for offset 7"), "{hole:?}");
    assert!(hole.differences[2].text.contains("offset 8"), "{hole:?}");
    let short = changed(|world| world.log.head = 21);
    assert_eq!(found(&short).0, [Kind::Hole, Kind::Behind]);
}

#[test]
fn a_duplicate_is_found() {
    let repeat = changed(|world| {
        let again = Entry { offset: 21, ..world.log.entries[19].clone() };
        world.transcript.seen.push(Seen { connection: 2, ..seen("e", 21, again.event, again.number) });
        world.log.entries.push(again);
        world.log.head = 21;
    });
    assert_eq!(found(&repeat).0, [Kind::Duplicate]);
    assert!(found(&repeat).1.contains("is at offset 20, too"), "{repeat:?}");
}

#[test]
fn a_reorder_is_found() {
    let swapped = changed(|world| {
        world.log.entries.swap(9, 11);
        (world.log.entries[9].offset, world.log.entries[11].offset) = (10, 12);
        swap_seen(world, 9, 11);
    });
    assert_eq!(found(&swapped).0, [Kind::Reordered]);
    assert!(
        found(&swapped).1.contains("comes after number 6 event 00000000-0000-0000-0000-00000000000c at offset 10"),
        "{swapped:?}"
    );
}

#[test]
fn what_was_promised_and_is_not_there_is_found() {
    let receipt = changed(|world| forget(world, 7));
    assert_eq!(found(&receipt).0, [Kind::Lost]);
    assert!(found(&receipt).1.contains("receipt for offset 7"), "{receipt:?}");
    let ack = changed(|world| {
        world.publications[0].sent[3].proof = Proof::Ack;
        forget(world, 7);
    });
    assert!(found(&ack).1.contains("was acked"), "{ack:?}");
    let publish = changed(|world| forget(world, 8));
    assert!(found(&publish).1.contains("counted 2 receivers at 10.008 s (hub killed)"), "{publish:?}");
}

#[test]
fn a_receipt_must_name_the_place() {
    let elsewhere = changed(|world| world.publications[0].sent[3].proof = Proof::Receipt(9));
    assert_eq!(found(&elsewhere).0, [Kind::Phantom]);
}

#[test]
fn what_is_excused_or_was_never_confirmed_may_be_missing() {
    let excused = changed(|world| {
        world.publications[1].sent[3].proof = counted(Some("redis"));
        forget(world, 8);
    });
    assert_eq!(found(&excused).0, vec![]);
    assert_eq!(excused.excused.into_iter().collect::<Vec<_>>(), [("redis", 1)]);
    let unknown = changed(|world| {
        world.publications[1].sent[3].proof = Proof::None;
        forget(world, 8);
    });
    assert_eq!(found(&unknown).0, vec![]);
}

#[test]
fn only_what_was_sent_into_a_failing_redis_without_acks_may_come_late() {
    let swap = |world: &mut World| {
        let (a, b) = (5, 7);
        let (first, second) = (world.log.entries[a].clone(), world.log.entries[b].clone());
        (world.log.entries[a].event, world.log.entries[a].number) = (second.event, second.number);
        (world.log.entries[b].event, world.log.entries[b].number) = (first.event, first.number);
        swap_seen(world, a, b);
    };
    let reordered = changed(swap);
    assert_eq!(found(&reordered).0, [Kind::Reordered]);
    let late = changed(|world| {
        swap(world);
        world.publications[1].sent[2].proof = counted(Some("redis"));
    });
    assert_eq!(found(&late).0, vec![]);
    assert_eq!(late.late.into_iter().collect::<Vec<_>>(), [("redis", 1)]);
    let out_of_turn = changed(|world| {
        swap(world);
        world.publications[1].sent[2].out_of_turn = Some("a node left");
    });
    assert_eq!(found(&out_of_turn).0, vec![]);
    assert_eq!(out_of_turn.late.into_iter().collect::<Vec<_>>(), [("a node left", 1)]);
    let lost = changed(|world| {
        forget(world, 8);
        world.publications[1].sent[3].proof = counted(None);
        world.publications[1].sent[3].out_of_turn = Some("a node left");
    });
    assert_eq!(found(&lost).0, [Kind::Lost], "and not be lost");
}

#[test]
fn what_nobody_published_is_found() {
    let foreign = changed(|world| {
        world.log.entries[4].event = Uuid::from_u128(99);
        world.transcript.seen[4].event = Uuid::from_u128(99);
    });
    assert_eq!(found(&foreign).0, [Kind::Lost, Kind::Phantom]);
    let renumbered = changed(|world| {
        world.log.entries[19].number = 11;
        world.transcript.seen[19].number = 11;
    });
    assert_eq!(found(&renumbered).0, [Kind::Phantom]);
}

#[test]
fn what_a_viewer_saw_otherwise_is_found_by_name() {
    let first = |kind: Kind, change: fn(&mut Vec<Seen>)| {
        let verdict = changed(|world| change(&mut world.transcript.seen));
        assert_eq!(found(&verdict).0, [kind]);
        found(&verdict).1
    };
    assert!(first(Kind::Skipped, |seen| drop(seen.remove(6))).contains("delivery 7 is e-8"));
    assert!(first(Kind::Duplicate, |seen| seen.insert(6, seen[5].clone())).contains("again, after 6"));
    assert!(first(Kind::Reordered, |seen| seen.insert(7, seen[3].clone())).contains("where 8 was due"));
    assert!(first(Kind::Skipped, |seen| seen.swap(6, 7)).contains("where 7 was due"));
    let back = first(Kind::NonMonotonic, |seen| seen.insert(10, Seen { connection: 2, ..seen[8].clone() }));
    assert!(back.contains("again, after 10 of connection 1"), "{back}");
    assert!(first(Kind::Diverging, |seen| seen[6].event = Uuid::from_u128(9)).contains("where the log and the others have"));
    assert!(first(Kind::Phantom, |seen| seen[6].event = Uuid::from_u128(99)).contains("which is not stored"));
    assert!(first(Kind::Untold, |seen| seen[6].epoch = "f".into()).contains("after e-6 and without a word"));
    assert!(first(Kind::Behind, |seen| seen.truncate(17)).contains("never got 3 after e-17"));
    let content = first(Kind::Phantom, |seen| seen[6].number = 5);
    assert!(content.contains("number 5, which the log has as number 4"), "{content}");
    let beyond = first(Kind::Phantom, |seen| seen.push(Seen { offset: 21, ..seen[19].clone() }));
    assert!(beyond.contains("beyond the log's end (20)"), "{beyond}");
}

/// A viewer that saw three activities of a former life, `f`, and was told that the log starts over.
fn restored(world: &mut World) {
    world.log.former = vec!["f".into()];
    world.log.renewed_ms = 15_000;
    let former = (1..=3).map(|offset| seen("f", offset, Uuid::from_u128(100 + u128::from(offset)), offset));
    world.transcript.seen[0].told = true;
    world.transcript.seen.splice(0..0, former);
}

#[test]
fn a_viewer_that_was_told_starts_over_in_another_life() {
    assert_eq!(found(&changed(restored)).0, vec![]);
    let unknown = changed(|world| {
        restored(world);
        world.log.former.clear();
    });
    assert_eq!(found(&unknown).0, [Kind::Untold]);
    let untold = changed(|world| {
        restored(world);
        world.transcript.seen[3].told = false;
    });
    assert_eq!(found(&untold).0, [Kind::Untold]);
    let midway = changed(|world| {
        restored(world);
        drop(world.transcript.seen.remove(3));
        world.transcript.seen[3].told = true;
    });
    assert_eq!(found(&midway).0, [Kind::Skipped]);
}

/// What is found if a receipt names this life and was given then; the log left life `f` by 15 s.
fn receipt_of(life: &str, at_ms: u64) -> (Vec<Kind>, String) {
    found(&changed(|world| {
        restored(world);
        let sent = &mut world.publications[0].sent[3];
        (sent.life, sent.at_ms) = (Some(life.into()), at_ms);
    }))
}

#[test]
fn a_receipt_of_a_life_that_never_was_is_found() {
    assert_eq!((receipt_of("e", 10_007).0, receipt_of("f", 10_007).0), (vec![], vec![]));
    let (kinds, text) = receipt_of("g", 10_007);
    assert_eq!(kinds, [Kind::Phantom]);
    assert!(text.contains("is of life g, which the log never had"), "{text}");
}

#[test]
fn a_receipt_of_a_life_that_the_log_had_left_is_found() {
    assert_eq!((receipt_of("f", 15_000).0, receipt_of("e", 15_001).0), (vec![], vec![]));
    let (kinds, text) = receipt_of("f", 15_001);
    assert_eq!(kinds, [Kind::Phantom]);
    assert!(text.contains("given at 15.001 s (hub killed), is of life f, which the log had left"), "{text}");
}

#[test]
fn two_viewers_who_saw_something_else_under_a_cursor_that_is_gone_are_found() {
    let mut world = world();
    restored(&mut world);
    let mut other = world.transcript.clone();
    other.viewer = "other".into();
    let same = check(&[world.log.clone()], &world.publications, &[world.transcript.clone(), other.clone()]);
    assert_eq!(found(&same).0, vec![]);
    let other_numbers = other.clone();
    other.seen[1].event = Uuid::from_u128(99);
    let diverging = check(&[world.log.clone()], &world.publications, &[world.transcript.clone(), other]);
    assert_eq!(found(&diverging).0, [Kind::Diverging]);
    assert!(found(&diverging).1.contains("viewer v saw event"), "{diverging:?}");
    let mut renumbered = other_numbers;
    renumbered.seen[1].number = 9;
    let diverging = check(&[world.log], &world.publications, &[world.transcript, renumbered]);
    assert!(found(&diverging).1.contains("number 9, viewer v saw event"), "{diverging:?}");
}

#[test]
fn the_first_difference_comes_with_its_history() {
    let skipped = changed(|world| drop(world.transcript.seen.remove(6)));
    let history = &skipped.history;
    for known in [
        "published as b number 4 event 00000000-0000-0000-0000-000000000008: Counted { receivers: 2, excused: None }, told at 10.008 s (hub killed)",
        "stored e-7 event 00000000-0000-0000-0000-000000000007 a number 4",
        "stored e-11 ",
        "viewer v saw e-5 00000000-0000-0000-0000-000000000005 number 3 (connection 1), e-6 ",
        "e-11 00000000-0000-0000-0000-00000000000b number 6 (connection 2); its last is e-20",
    ] {
        assert!(history.contains(known), "{known} is not in\n{history}");
    }
    assert!(!history.contains("stored e-12 ") && !history.contains("saw e-7"), "{history}");
    assert_eq!(changed(|_| {}).history, "");
}

#[test]
fn the_first_difference_is_the_first_by_time() {
    // A viewer that comes last in the scan saw something foreign before a promise was broken that the scan comes to first.
    let seen_first = changed(|world| {
        world.publications[0].sent[3] = Sent { at_ms: 30_000, ..world.publications[0].sent[3].clone() };
        forget(world, 7);
        world.transcript.seen[2].event = Uuid::from_u128(99);
        world.transcript.seen[2].at_ms = 25_000;
    });
    let kinds: Vec<Kind> = seen_first.differences.iter().map(|difference| difference.kind).collect();
    assert_eq!(kinds, [Kind::Phantom, Kind::Lost]);
    assert!(seen_first.differences[0].to_string().starts_with("phantom, at 25.000 s: viewer v "), "{seen_first:?}");
    assert!(seen_first.history.contains("stored e-3 ") && !seen_first.history.contains("stored e-7 "), "{}", seen_first.history);
    // The earliest are told, however many there are; what nobody saw comes last.
    let many = changed(|world| {
        world.log.head = 21;
        for sent in world.publications.iter_mut().flat_map(|publication| &mut publication.sent) {
            sent.proof = Proof::Receipt(99);
            sent.at_ms = 50_000 - sent.at_ms;
        }
    });
    let times: Vec<u64> = many.differences.iter().map(|difference| difference.at_ms).collect();
    assert_eq!(times, (39_980..40_000).collect::<Vec<_>>());
    assert_eq!(many.counts[&Kind::Phantom], 20);
    let silent = changed(|world| world.log.head = 21);
    assert!(silent.differences[1].to_string().starts_with("never at the head, seen by nobody while it ran: "), "{silent:?}");
}

#[test]
fn every_kind_has_a_name_of_its_own() {
    let names: std::collections::BTreeSet<_> = Kind::ALL.into_iter().map(Kind::name).collect();
    assert_eq!(names.len(), Kind::ALL.len());
}
