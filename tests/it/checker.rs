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
    let log = Log { task: "t".into(), epoch: "e".into(), head: 20, entries: Vec::new() };
    let publication = |name: &str| Publication { task: "t".into(), invocation: name.into(), sent: Vec::new() };
    let transcript = Transcript { viewer: "v".into(), task: "t".into(), after: 0, seen: Vec::new() };
    let mut world = World { log, publications: vec![publication("a"), publication("b")], transcript };
    for offset in 1..=20_u64 {
        let event = Uuid::from_u128(offset.into());
        let (index, proof) = if offset % 2 == 1 { (0, Proof::Receipt(offset)) } else { (1, counted(None)) };
        let publication = &mut world.publications[index];
        publication.sent.push(Sent { event, proof, at_ms: 10_000 + offset, during: Some("hub killed") });
        let entry = Entry { offset, event, invocation: publication.invocation.clone(), number: publication.sent.len() as u64 };
        world.log.entries.push(entry);
        world.transcript.seen.push(Seen { epoch: "e".into(), offset, event });
    }
    world
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
    let seen = |entry: &Entry| Seen { epoch: "e".into(), offset: entry.offset, event: entry.event };
    world.transcript.seen = world.log.entries.iter().map(seen).collect();
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
    assert_eq!(found(&hole).0, [Kind::Lost, Kind::Hole, Kind::Viewer]);
    assert!(found(&hole).1.contains("offset 8"), "{hole:?}");
    let short = changed(|world| world.log.head = 21);
    assert_eq!(found(&short).0, [Kind::Hole]);
}

#[test]
fn a_repeat_is_found() {
    let repeat = changed(|world| {
        let again = Entry { offset: 21, ..world.log.entries[19].clone() };
        world.transcript.seen.push(Seen { epoch: "e".into(), offset: 21, event: again.event });
        world.log.entries.push(again);
        world.log.head = 21;
    });
    assert_eq!(found(&repeat).0, [Kind::Repeated]);
    assert!(found(&repeat).1.contains("is at offset 20, too"), "{repeat:?}");
}

#[test]
fn a_reorder_is_found() {
    let swapped = changed(|world| {
        world.log.entries.swap(9, 11);
        (world.log.entries[9].offset, world.log.entries[11].offset) = (10, 12);
        (world.transcript.seen[9].event, world.transcript.seen[11].event) = (Uuid::from_u128(12), Uuid::from_u128(10));
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
    assert_eq!(found(&elsewhere).0, [Kind::Foreign]);
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
        (world.transcript.seen[a].event, world.transcript.seen[b].event) = (second.event, first.event);
    };
    let reordered = changed(swap);
    assert_eq!(found(&reordered).0, [Kind::Reordered]);
    let late = changed(|world| {
        swap(world);
        world.publications[1].sent[2].proof = counted(Some("redis"));
    });
    assert_eq!(found(&late).0, vec![]);
    assert_eq!(late.late.into_iter().collect::<Vec<_>>(), [("redis", 1)]);
}

#[test]
fn what_nobody_published_is_found() {
    let foreign = changed(|world| {
        world.log.entries[4].event = Uuid::from_u128(99);
        world.transcript.seen[4].event = Uuid::from_u128(99);
    });
    assert_eq!(found(&foreign).0, [Kind::Lost, Kind::Foreign]);
    let renumbered = changed(|world| world.log.entries[19].number = 11);
    assert_eq!(found(&renumbered).0, [Kind::Foreign]);
}

#[test]
fn what_a_viewer_saw_otherwise_is_found() {
    let first = |change: fn(&mut Vec<Seen>)| {
        let verdict = changed(|world| change(&mut world.transcript.seen));
        assert_eq!(found(&verdict).0, [Kind::Viewer]);
        found(&verdict).1
    };
    assert!(first(|seen| drop(seen.remove(6))).contains("a gap"));
    assert!(first(|seen| seen.insert(6, seen[5].clone())).contains("a repeat"));
    assert!(first(|seen| seen.swap(6, 7)).contains("a gap"));
    assert!(first(|seen| seen[6].event = Uuid::from_u128(99)).contains("not what is stored there"));
    assert!(first(|seen| seen[6].epoch = "f".into()).contains("not what is stored there"));
    assert!(first(|seen| seen.truncate(17)).contains("never got 3 from offset 18"));
    assert!(first(|seen| seen.push(seen[19].clone())).contains("beyond the log's end"));
}
