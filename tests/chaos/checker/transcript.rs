//! What viewers saw, against the log and against each other.

use std::{
    cmp::Ordering,
    collections::{BTreeMap, HashMap},
};

use uuid::Uuid;

use super::{Kind, Log, Place, Seen, Transcript, Verdict};

/// What was seen in a life that the log has left: by task, epoch and offset.
type Former<'a> = BTreeMap<(&'a str, &'a str, u64), (Uuid, &'a str)>;

/// Each transcript against the log from where it began: the same, to the head, once. Only its first difference is noted.
pub(super) fn check_all(
    logs: &[Log],
    places: &HashMap<&str, HashMap<Uuid, u64>>,
    transcripts: &[Transcript],
    verdict: &mut Verdict,
) {
    let (empty, nowhere) = (Log::default(), HashMap::new());
    let mut former = Former::new();
    for transcript in transcripts {
        let log = logs.iter().find(|log| log.task == transcript.task).unwrap_or(&empty);
        let places = places.get(&*transcript.task).unwrap_or(&nowhere);
        verdict.deliveries += transcript.seen.len() as u64;
        if let Some((kind, offset, event, text)) = check(transcript, log, places, &mut former) {
            let Transcript { viewer, task, .. } = transcript;
            let place = Place { task: task.clone(), offset: Some(offset), event };
            verdict.note(kind, place, format!("viewer {viewer} task {task}: {text}"));
        }
    }
}

/// What is wrong, where, with which event.
type Wrong = (Kind, u64, Option<Uuid>, String);

fn check<'a>(transcript: &'a Transcript, log: &Log, places: &HashMap<Uuid, u64>, former: &mut Former<'a>) -> Option<Wrong> {
    // Before the first delivery it stands where it began.
    let mut last: Option<&Seen> = None;
    for (index, got) in transcript.seen.iter().enumerate() {
        let what = format!("delivery {} is {}-{} event {}", index + 1, got.epoch, got.offset, got.event);
        let wrong = |kind, text: String| Some((kind, got.offset, Some(got.event), format!("{what}, {text}")));
        if let Some((kind, text)) = order(got, last, transcript.after) {
            return wrong(kind, text);
        }
        last = Some(got);
        if *got.epoch != *log.epoch {
            if !log.former.iter().any(|epoch| **epoch == *got.epoch) {
                return wrong(Kind::Untold, format!("of a life that the log never had; it has {}", log.epoch));
            }
            let (event, viewer) =
                former.entry((&transcript.task, &got.epoch, got.offset)).or_insert((got.event, &transcript.viewer));
            if *event != got.event {
                return wrong(Kind::Diverging, format!("viewer {viewer} saw event {event} under the same cursor"));
            }
            continue;
        }
        let stored = log.entries.binary_search_by_key(&got.offset, |entry| entry.offset).ok();
        match (stored.map(|index| log.entries[index].event), places.get(&got.event)) {
            (Some(event), _) if event == got.event => {}
            (Some(event), Some(place)) => {
                return wrong(
                    Kind::Diverging,
                    format!("where the log and the others have event {event}; this one is at {place}"),
                );
            }
            (Some(event), None) => return wrong(Kind::Phantom, format!("which is not stored; the log has event {event} there")),
            (None, _) => return wrong(Kind::Phantom, format!("which is beyond the log's end ({})", log.head)),
        }
    }
    let (epoch, offset) = last.map_or((&*log.epoch, transcript.after), |last| (&*last.epoch, last.offset));
    let behind = format!("never got {} after {epoch}-{offset}, the last that came", log.head.saturating_sub(offset));
    (epoch != log.epoch || offset < log.head).then_some((Kind::Behind, offset, None, behind))
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
