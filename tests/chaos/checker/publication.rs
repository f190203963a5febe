//! What publishers were promised, against what is stored.

use std::collections::HashMap;

use uuid::Uuid;

use super::{Kind, Log, Place, Proof, Publication, Sent, Verdict};

/// What a publisher was promised against the places of events in the log.
pub(super) fn check(publication: &Publication, log: Option<&Log>, places: &HashMap<Uuid, u64>, verdict: &mut Verdict) {
    let Publication { task, invocation, .. } = publication;
    for (sent, number) in publication.sent.iter().zip(1_u64..) {
        let name = format!("task {task} {invocation} number {number} event {}", sent.event);
        let place = places.get(&sent.event);
        let mut note = |kind, offset: Option<u64>, text: String| {
            let there = Place { task: task.clone(), offset, event: Some(sent.event) };
            verdict.note(kind, sent.at_ms, there, format!("{name}: {text}"));
        };
        if let Some(wrong) = sent.life.as_deref().and_then(|life| wrong_life(life, sent, log)) {
            note(Kind::Phantom, None, wrong);
        }
        match (&sent.proof, place) {
            (Proof::None, _) | (Proof::Ack | Proof::Counted { .. }, Some(_)) => {}
            (Proof::Receipt(offset), Some(place)) if offset == place => {}
            (Proof::Receipt(offset), Some(place)) => {
                note(Kind::Phantom, Some(*place), format!("the receipt says offset {offset}, the log has it at {place}"));
            }
            (Proof::Receipt(offset), None) => {
                note(Kind::Lost, Some(*offset), format!("not in the log, but there is a receipt for offset {offset}"));
            }
            (Proof::Ack, None) => note(Kind::Lost, None, format!("not in the log, but it was acked {}", sent.when())),
            (Proof::Counted { excused: Some(fault), .. }, None) => {
                *verdict.excused.entry(fault).or_default() += 1;
            }
            (Proof::Counted { receivers, excused: None }, None) => {
                let counted = format!("PUBLISH counted {receivers} receivers {}", sent.when());
                note(Kind::Lost, None, format!("not in the log, but {counted}"));
            }
        }
    }
}

/// What is wrong with the life that a receipt names.
fn wrong_life(life: &str, sent: &Sent, log: Option<&Log>) -> Option<String> {
    let log = log?;
    if life == log.epoch {
        return None;
    }
    if !log.former.iter().any(|epoch| epoch == life) {
        return Some(format!("the receipt is of life {life}, which the log never had"));
    }
    let left = log.renewed_ms < sent.at_ms;
    left.then(|| format!("the receipt, given {}, is of life {life}, which the log had left", sent.when()))
}
