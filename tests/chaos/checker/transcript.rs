//! What viewers saw, against the log and against each other.

use std::{
    cmp::Ordering,
    collections::{BTreeMap, HashMap},
};

use uuid::Uuid;

use super::{Kind, Log, Place, Seen, THE_END, Times, Transcript, Verdict};

/// What was seen in a life that the log has left: by task, epoch and offset.
type Former<'a> = BTreeMap<(&'a str, &'a str, u64), (&'a Seen, &'a str)>;

/// Each transcript against the log from where it began: the same, to the head, once. Only its first difference is noted.
pub(super) fn check_all(
    logs: &[Log],
    places: &HashMap<&str, HashMap<Uuid, u64>>,
    times: &Times<'_>,
    transcripts: &[Transcript],
    verdict: &mut Verdict,
) {
    let (empty, nowhere) = (Log::default(), HashMap::new());
    let mut former = Former::new();
    for transcript in transcripts {
        let log = logs.iter().find(|log| log.task == transcript.task).unwrap_or(&empty);
        let places = places.get(&*transcript.task).unwrap_or(&nowhere);
        verdict.deliveries += transcript.seen.len() as u64;
        if let Some(Wrong { kind, at_ms, offset, event, text }) = check(transcript, log, places, times, &mut former) {
            let Transcript { viewer, task, .. } = transcript;
            let place = Place { task: task.clone(), offset: Some(offset), event };
            verdict.note(kind, at_ms, place, format!("viewer {viewer} task {task}: {text}"));
        }
    }
}

/// What is wrong, when that was to be seen, where, and with which event.
struct Wrong {
    kind: Kind,
    at_ms: u64,
    offset: u64,
    event: Option<Uuid>,
    text: String,
}

fn check<'a>(
    transcript: &'a Transcript,
    log: &Log,
    places: &HashMap<Uuid, u64>,
    times: &Times<'_>,
    former: &mut Former<'a>,
) -> Option<Wrong> {
    // Before the first delivery it stands where it began.
    let mut last: Option<&Seen> = None;
    for (index, got) in transcript.seen.iter().enumerate() {
        let wrong = order(got, last, transcript.after).or_else(|| {
            if *got.epoch == *log.epoch {
                return content(got, log, places);
            }
            if !log.former.iter().any(|epoch| **epoch == *got.epoch) {
                return Some((Kind::Untold, format!("of a life that the log never had; it has {}", log.epoch)));
            }
            let (before, viewer) = former.entry((&transcript.task, &got.epoch, got.offset)).or_insert((got, &transcript.viewer));
            let same = (before.event, before.number) == (got.event, got.number);
            let text = || format!("viewer {viewer} saw event {} number {} under the same cursor", before.event, before.number);
            (!same).then(|| (Kind::Diverging, text()))
        });
        if let Some((kind, text)) = wrong {
            let Seen { epoch, offset, event, number, at_ms, .. } = got;
            let text = format!("delivery {} is {epoch}-{offset} event {event} number {number}, {text}", index + 1);
            return Some(Wrong { kind, at_ms: *at_ms, offset: *offset, event: Some(*event), text });
        }
        last = Some(got);
    }
    let (epoch, offset) = last.map_or((&*log.epoch, transcript.after), |last| (&*last.epoch, last.offset));
    if epoch == log.epoch && log.head <= offset {
        return None;
    }
    let missing = if epoch == log.epoch { offset + 1 } else { 1 };
    let at_ms = times.shown(log, missing).unwrap_or(THE_END);
    let text = format!("never got {} after {epoch}-{offset}, the last that came", log.head.saturating_sub(offset));
    Some(Wrong { kind: Kind::Behind, at_ms, offset, event: None, text })
}

/// Whether a delivery is what the log has at its place.
fn content(got: &Seen, log: &Log, places: &HashMap<Uuid, u64>) -> Option<(Kind, String)> {
    let stored = log.entries.binary_search_by_key(&got.offset, |entry| entry.offset).ok().map(|index| &log.entries[index]);
    let Some(stored) = stored else {
        return Some((Kind::Phantom, format!("which is beyond the log's end ({})", log.head)));
    };
    let event = stored.event;
    if event == got.event {
        let text = || format!("which the log has as number {}", stored.number);
        return (stored.number != got.number).then(|| (Kind::Phantom, text()));
    }
    Some(match places.get(&got.event) {
        Some(place) => (Kind::Diverging, format!("where the log and the others have event {event}; this one is at {place}")),
        None => (Kind::Phantom, format!("which is not stored; the log has event {event} there")),
    })
}

/// Whether a delivery may come after this one.
fn order(got: &Seen, last: Option<&Seen>, after: u64) -> Option<(Kind, String)> {
    let due = match last {
        Some(last) if last.epoch != got.epoch && !got.told => {
            return Some((Kind::Untold, format!("after {}-{} and without a word", last.epoch, last.offset)));
        }
        Some(last) if last.epoch != got.epoch => 1,
        Some(last) => last.offset + 1,
        None => after + 1,
    };
    let again = |last: &Seen| format!("again, after {} of connection {}", last.offset, last.connection);
    match (got.offset.cmp(&due), last) {
        (Ordering::Equal, _) => None,
        (Ordering::Greater, _) => Some((Kind::Skipped, format!("where {due} was due"))),
        (Ordering::Less, Some(last)) if last.connection != got.connection => Some((Kind::NonMonotonic, again(last))),
        (Ordering::Less, Some(last)) if last.offset == got.offset => Some((Kind::Duplicate, again(last))),
        (Ordering::Less, _) => Some((Kind::Reordered, format!("where {due} was due"))),
    }
}
