//! What became of each activity, for a person or for a script.

use std::io::{self, Write};

use serde_json::json;

use crate::{
    client::{ItemResult, Receipt, Refusal},
    model::{Offset, TaskId},
};

/// Counts results, and says those that matter.
#[derive(Debug)]
pub(super) struct Report {
    json: bool,
    stored: u64,
    duplicates: u64,
    heartbeats: u64,
    refused: u64,
    offsets: Option<(Offset, Offset)>,
}

impl Report {
    /// With `json`, each result is a line on standard output; else there is a summary at the end.
    pub(super) fn new(json: bool) -> Self {
        Self { json, stored: 0, duplicates: 0, heartbeats: 0, refused: 0, offsets: None }
    }

    /// How many activities were refused.
    pub(super) fn refused(&self) -> u64 {
        self.refused
    }

    /// Takes the result of the activity on this line. Whether anybody reads the results does not change what is sent, so failing to print
    /// is no failure.
    pub(super) fn take(&mut self, line: u64, result: &ItemResult) {
        let fields = match result {
            ItemResult::Stored(receipt) => {
                self.stored += u64::from(!receipt.duplicate);
                self.duplicates += u64::from(receipt.duplicate);
                let (first, last) = self.offsets.unwrap_or((receipt.offset, receipt.offset));
                self.offsets = Some((first.min(receipt.offset), last.max(receipt.offset)));
                let Receipt { event_id, offset, cursor, duplicate } = receipt;
                format!(r#""eventId":"{event_id}","offset":{offset},"cursor":"{cursor}","duplicate":{duplicate}"#)
            }
            ItemResult::Acknowledged(event_id) => {
                self.stored += 1;
                format!(r#""eventId":"{event_id}""#)
            }
            ItemResult::Heartbeat => {
                self.heartbeats += 1;
                r#""heartbeat":true"#.to_owned()
            }
            ItemResult::Refused(refusal) => {
                self.refused += 1;
                eprintln!("tasklight: line {line} was refused: {refusal}");
                let Refusal { code, field, message } = refusal;
                format!(r#""error":{}"#, json!({"code": code, "field": field, "message": message}))
            }
        };
        if self.json {
            let _ = writeln!(io::stdout(), r#"{{"line":{line},{fields}}}"#);
        }
    }

    /// One line about everything.
    pub(super) fn summary(&self, task: &TaskId) -> io::Result<()> {
        if self.json { Ok(()) } else { writeln!(io::stdout(), "{}", self.words(task)) }
    }

    fn words(&self, task: &TaskId) -> String {
        let mut words = match self.stored {
            1 => format!("published 1 activity to {task}"),
            count => format!("published {count} activities to {task}"),
        };
        match self.offsets {
            Some((first, last)) if first == last => words.push_str(&format!(" (offset {first})")),
            Some((first, last)) => words.push_str(&format!(" (offsets {first} to {last})")),
            None => {}
        }
        let beats = if self.heartbeats == 1 { "heartbeat" } else { "heartbeats" };
        for (count, what) in [(self.duplicates, "stored before"), (self.heartbeats, beats), (self.refused, "refused")] {
            if 0 < count {
                words.push_str(&format!(", {count} {what}"));
            }
        }
        words
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_counts_everything() {
        let task: TaskId = "t".parse().expect("valid");
        let mut report = Report::new(false);
        assert_eq!(report.words(&task), "published 0 activities to t");
        for (offset, duplicate) in [(4, false), (2, true)] {
            let event_id = crate::model::EventId::generate();
            let cursor: crate::model::Cursor = format!("00000000-{offset}").parse().expect("valid");
            let receipt = Receipt { event_id, offset: cursor.offset, cursor, duplicate };
            report.take(1, &ItemResult::Stored(receipt));
        }
        report.take(3, &ItemResult::Heartbeat);
        assert_eq!(report.words(&task), "published 1 activity to t (offsets 2 to 4), 1 stored before, 1 heartbeat");
    }
}
