//! What is known about one place of one log: what publishers were told, what is stored around it, and what each viewer saw there.

use std::fmt::Write;

use super::{Log, Place, Publication, Transcript};

/// How many offsets are shown before and after it.
const AROUND: u64 = 3;

/// The most deliveries shown of each viewer.
const DELIVERIES: usize = 16;

/// The history of a place, in lines.
pub(super) fn of(place: &Place, logs: &[Log], publications: &[Publication], transcripts: &[Transcript]) -> String {
    let mut text = String::new();
    // Writing to a string does not fail.
    let mut line = |words: String| {
        let _ = writeln!(text, "  {words}");
    };
    let log = logs.iter().find(|log| log.task == place.task);
    for publication in publications.iter().filter(|publication| publication.task == place.task) {
        for (sent, number) in publication.sent.iter().zip(1_u64..) {
            if Some(sent.event) == place.event {
                let (invocation, event) = (&publication.invocation, sent.event);
                line(format!("published as {invocation} number {number} event {event}: {:?}, told {}", sent.proof, sent.when()));
            }
        }
    }
    let entries = log.map_or(&[][..], |log| &log.entries);
    let stored = entries.iter().find(|entry| Some(entry.event) == place.event).map(|entry| entry.offset);
    let Some(middle) = place.offset.or(stored) else {
        line(format!("not stored in {}, whose head is {}", place.task, log.map_or(0, |log| log.head)));
        return text;
    };
    let near = |offset: u64| middle.saturating_sub(AROUND) <= offset && offset <= middle + AROUND;
    for entry in entries.iter().filter(|entry| near(entry.offset)) {
        let epoch = log.map_or("", |log| &log.epoch);
        line(format!("stored {epoch}-{} event {} {} number {}", entry.offset, entry.event, entry.invocation, entry.number));
    }
    for transcript in transcripts.iter().filter(|transcript| transcript.task == place.task) {
        let around = transcript.seen.iter().filter(|seen| near(seen.offset)).take(DELIVERIES);
        let seen: Vec<_> = around
            .map(|seen| {
                let told = if seen.told { "told to start over, " } else { "" };
                format!(
                    "{told}{}-{} {} number {} (connection {})",
                    seen.epoch, seen.offset, seen.event, seen.number, seen.connection
                )
            })
            .collect();
        let end = transcript.seen.last().map_or_else(|| "nothing".to_owned(), |last| format!("{}-{}", last.epoch, last.offset));
        line(format!("viewer {} saw {}; its last is {end}", transcript.viewer, seen.join(", ")));
    }
    text
}
