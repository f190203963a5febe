//! What is stored, by itself and against what was published.

use std::collections::HashMap;

use uuid::Uuid;

use super::{Entry, Kind, Log, Place, Publication, Sent, THE_END, Times, Verdict};

/// What was published, by task and invocation.
pub(super) type Published<'a> = HashMap<(&'a str, &'a str), &'a Publication>;

/// A log by itself, and against what was published. Gives the place of each event.
pub(super) fn check(log: &Log, published: &Published<'_>, times: &Times<'_>, verdict: &mut Verdict) -> HashMap<Uuid, u64> {
    let mut places = HashMap::with_capacity(log.entries.len());
    let mut last_of: HashMap<&str, &Entry> = HashMap::new();
    let mut due = 1;
    for entry in &log.entries {
        let Entry { offset, event, invocation, number } = entry;
        let place = format!("task {} offset {offset} event {event} ({invocation} number {number})", log.task);
        let here = || Place { task: log.task.clone(), offset: Some(*offset), event: Some(*event) };
        let sent = sent_as(published, log, invocation, *number);
        let at_ms = times.shown(log, *offset).or(sent.map(|sent| sent.at_ms).filter(|at| *at != 0)).unwrap_or(THE_END);
        verdict.stored += 1;
        if *offset != due {
            verdict.note(Kind::Hole, at_ms, here(), format!("{place}: the offset should be {due}"));
        }
        due = offset + 1;
        if let Some(first) = places.insert(*event, *offset) {
            verdict.note(Kind::Duplicate, at_ms, here(), format!("{place}: the event is at offset {first}, too"));
        }
        if let Some(last) = last_of.insert(invocation, entry)
            && *number <= last.number
        {
            let late = sent.and_then(|sent| sent.excused().or(sent.out_of_turn)).filter(|_| *number != last.number);
            if let Some(fault) = late {
                // No node had heard both: the links came back one by one; or one that left could not wait for the other.
                *verdict.late.entry(fault).or_default() += 1;
                last_of.insert(invocation, last);
            } else {
                let kind = if *number == last.number { Kind::Duplicate } else { Kind::Reordered };
                let when = |number| sent_as(published, log, invocation, number).map_or_else(|| "never".to_owned(), Sent::when);
                let before = format!("number {} event {} at offset {}", last.number, last.event, last.offset);
                let times = format!("confirmed {}, the other {}", when(*number), when(last.number));
                verdict.note(kind, at_ms, here(), format!("{place}: comes after {before} of the same invocation; {times}"));
            }
        }
        if sent.is_none_or(|sent| sent.event != *event) {
            verdict.note(Kind::Phantom, at_ms, here(), format!("{place}: nobody published this"));
        }
    }
    if due != log.head + 1 {
        let end = Place { task: log.task.clone(), offset: Some(log.head), event: None };
        let text = format!("task {}: the head is {}, the last activity has offset {}", log.task, log.head, due - 1);
        verdict.note(Kind::Hole, times.shown(log, log.head).unwrap_or(THE_END), end, text);
    }
    places
}

/// What was published under this number.
fn sent_as<'a>(published: &Published<'a>, log: &Log, invocation: &str, number: u64) -> Option<&'a Sent> {
    let index = usize::try_from(number).ok()?.checked_sub(1)?;
    published.get(&(&*log.task, invocation))?.sent.get(index)
}
