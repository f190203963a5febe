//! What the command does, as activities in the outbox; and what could not be kept, as an activity too.

use bytes::Bytes;
use parking_lot::Mutex;
use serde::Serialize;
use serde_json::value::RawValue;

use super::outbox::{Keep, Outbox};
use crate::{
    cli::{
        redact_args::Scrubber,
        terminal::{Colours, safe},
    },
    formats::{Draft, fit, without_sequences},
    model::{ActivityType, EventId, InvocationId, Status, Timestamp},
};

/// The most characters of the invocation's title; a command line may have millions.
const TITLE_CHARS: usize = 1_000;

/// Where output comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

impl Stream {
    fn name(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
        }
    }
}

/// The fields of a `status` activity.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct StatusData {
    pub status: Option<Status>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Output that was dropped since the last activity that was kept.
#[derive(Debug, Default)]
struct Gap {
    pieces: u64,
    bytes: u64,
}

/// Writes one invocation's activities.
#[derive(Debug)]
pub(super) struct Journal<'a> {
    outbox: &'a Outbox,
    invocation: InvocationId,
    scrubber: Scrubber,
    gap: Mutex<Gap>,
    dropped: Mutex<Gap>,
}

impl<'a> Journal<'a> {
    /// What is written has no secrets that `scrubber` finds: not in memory, on disk, or on its way.
    pub(super) fn new(outbox: &'a Outbox, invocation: InvocationId, scrubber: Scrubber) -> Self {
        Self { outbox, invocation, scrubber, gap: Mutex::default(), dropped: Mutex::default() }
    }

    /// Output of the command. It is dropped when there is no room; the first time, that is said on standard error.
    pub(super) fn output(&self, stream: Stream, text: &str, timestamp: Timestamp) {
        #[derive(Serialize)]
        struct Output<'a> {
            stream: Stream,
            text: &'a str,
        }
        let scrubbed = self.scrubber.piece(stream.name(), text);
        let text = scrubbed.as_deref().unwrap_or(text);
        let activity = self.encode(ActivityType::Output, EventId::generate(), timestamp, &Output { stream, text });
        self.push(activity, text.len());
    }

    /// What a line that is drawn over itself shows by now. It is dropped when there is no room: the next one says more.
    pub(super) fn drawn(&self, stream: Stream, state: &str, timestamp: Timestamp) {
        #[derive(Serialize)]
        struct Progress<'a> {
            #[serde(skip_serializing_if = "Option::is_none")]
            percent: Option<f64>,
            stream: Stream,
            #[serde(skip_serializing_if = "Option::is_none")]
            text: Option<&'a str>,
        }
        let text = self.scrubber.text(safe(&without_sequences(state), Colours::Removed).trim().to_owned());
        let is_bare = text.strip_suffix('%').is_some_and(|number| number.parse::<f64>().is_ok());
        let progress = Progress { percent: percent(&text), stream, text: (!is_bare).then_some(&text) };
        let activity = self.encode(ActivityType::Progress, EventId::generate(), timestamp, &progress);
        if self.gap.lock().pieces == 0 {
            self.outbox.push(activity, Keep::IfRoom);
        }
    }

    /// Words of ours about how it goes. They are dropped when there is no room.
    pub(super) fn note(&self, text: &str) {
        #[derive(Serialize)]
        struct Progress<'a> {
            text: &'a str,
        }
        let activity = self.encode(ActivityType::Progress, EventId::generate(), Timestamp::now(), &Progress { text });
        self.outbox.push(activity, Keep::IfRoom);
    }

    /// An activity that an agent's format tells of, with an id made from its place. It is dropped as output is.
    pub(super) fn draft(&self, draft: Draft, timestamp: Timestamp) {
        let event_id = draft.event_id(&self.invocation);
        let Draft { kind, mut data, time, .. } = draft;
        if let Some(time) = time {
            data.insert("sourceTimestamp".to_owned(), time.as_millis().into());
        }
        let text = serde_json::to_string(&data).expect("a map of JSON");
        let scrubbed = self.scrubber.payload(&text, kind == ActivityType::Output, self.invocation.as_str());
        // Cut after secrets are taken out: half a secret is not known for one.
        let text = fit(scrubbed.unwrap_or(text));
        let bytes = text.len();
        let data = RawValue::from_string(text).expect("it is JSON still");
        let activity = self.encode(kind, event_id, timestamp, &data);
        self.push(activity, bytes);
    }

    /// Adds what may be dropped, and notes it if it was.
    fn push(&self, activity: Bytes, bytes: usize) {
        self.close_gap(activity.len());
        let gap_open = 0 < self.gap.lock().pieces;
        if !gap_open && self.outbox.push(activity, Keep::IfRoom) {
            return;
        }
        let mut gap = self.gap.lock();
        *gap = Gap { pieces: gap.pieces + 1, bytes: gap.bytes + bytes as u64 };
        let mut dropped = self.dropped.lock();
        if dropped.pieces == 0 {
            eprintln!("tasklight: there is no more room for output that waits for the hub: the newest is dropped");
        }
        *dropped = Gap { pieces: dropped.pieces + 1, bytes: dropped.bytes + bytes as u64 };
    }

    /// The invocation's status. It is always kept.
    pub(super) fn status(&self, data: StatusData) {
        self.say_gap();
        let [agent, title, reason] = [data.agent, data.title, data.reason].map(|text| text.map(|text| self.scrubber.text(text)));
        let title = title.map(|title| match title.char_indices().nth(TITLE_CHARS) {
            Some((end, _)) => format!("{}…", &title[..end]),
            None => title,
        });
        let data = StatusData { agent, title, reason, ..data };
        // The same status of the same invocation has the same id: a transcript that is sent again moves nothing again.
        let words = serde_json::to_string(&data).expect("statuses are JSON");
        let id = EventId::derived(format!("{}\nstatus\n{words}", self.invocation).as_bytes());
        self.outbox.push(self.encode(ActivityType::Status, id, Timestamp::now(), &data), Keep::Always);
    }

    /// That the invocation is alive; to be sent by itself.
    pub(super) fn heartbeat(&self) -> Bytes {
        let text = serde_json::json!({"invocationId": self.invocation, "type": "heartbeat"});
        text.to_string().into()
    }

    /// How many bytes of output were dropped.
    pub(super) fn dropped_bytes(&self) -> u64 {
        self.dropped.lock().bytes
    }

    /// Once there is room again, says what is missing before anything else is kept.
    fn close_gap(&self, size: usize) {
        const NOTE: usize = 1_024;
        if 0 < self.gap.lock().pieces && self.outbox.has_ease(size + NOTE) {
            self.say_gap();
        }
    }

    fn say_gap(&self) {
        #[derive(Serialize)]
        struct Error {
            code: &'static str,
            message: String,
        }
        let Gap { pieces, bytes } = std::mem::take(&mut *self.gap.lock());
        if pieces == 0 {
            return;
        }
        let message = format!(
            "{bytes} bytes of output are missing here: the hub was away for so long that there was no more room to keep them"
        );
        let error = Error { code: "output_dropped", message };
        self.outbox.push(self.encode(ActivityType::Error, EventId::generate(), Timestamp::now(), &error), Keep::Always);
    }

    fn encode(&self, kind: ActivityType, event_id: EventId, timestamp: Timestamp, data: &impl Serialize) -> Bytes {
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct Activity<'a, D> {
            invocation_id: &'a InvocationId,
            #[serde(rename = "type")]
            kind: ActivityType,
            event_id: EventId,
            timestamp: Timestamp,
            data: &'a D,
        }
        let activity = Activity { invocation_id: &self.invocation, kind, event_id, timestamp, data };
        serde_json::to_vec(&activity).expect("activities are JSON").into()
    }
}

/// The last number before a `%` in it.
fn percent(text: &str) -> Option<f64> {
    let before = &text[..text.rfind('%')?];
    let start = before.rfind(|c: char| !c.is_ascii_digit() && c != '.').map_or(0, |at| at + 1);
    before.get(start..)?.parse().ok().filter(|percent| (0.0..=100.0).contains(percent))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::run::text::{Assembler, PIECE_JSON_BYTES};
    use serde_json::Value;

    fn drain(outbox: &Outbox) -> Vec<Value> {
        std::iter::from_fn(|| outbox.pop()).map(|text| serde_json::from_slice(&text).expect("JSON")).collect()
    }

    #[test]
    fn an_activity_stays_below_48_kib_whatever_must_be_escaped() {
        let outbox = Outbox::new(0);
        let journal = Journal::new(&outbox, "\"\\é😀".repeat(32).parse().expect("128 characters"), Scrubber::new(None));
        for byte in [0u8, b'"', b'\n', b'a', 0xff, 0x7f] {
            let (mut assembler, mut pieces) = (Assembler::default(), Vec::new());
            assembler.push(&vec![byte; 2 * PIECE_JSON_BYTES], &mut pieces);
            for piece in &pieces {
                journal.output(Stream::Stderr, piece, Timestamp::MAX);
            }
            assert!(!pieces.is_empty());
            while let Some(activity) = outbox.pop() {
                assert!(activity.len() <= 48 * 1024, "{} bytes of {byte}", activity.len());
            }
        }
    }

    #[test]
    fn a_bar_is_its_words_and_its_percentage() {
        let outbox = Outbox::new(0);
        let journal = Journal::new(&outbox, "r".parse().expect("valid"), Scrubber::new(None));
        for state in ["\u{1b}[K\u{1b}[32m 40%\u{1b}[0m", "\u{1b}[2Klinking 7.5% "] {
            journal.drawn(Stream::Stdout, state, Timestamp::now());
        }
        let shown: Vec<_> = drain(&outbox).iter().map(|activity| activity["data"].clone()).collect();
        let [bar, words] = shown.as_slice() else { panic!("{shown:?}") };
        assert_eq!((bar["percent"].as_f64(), bar.get("text")), (Some(40.0), None));
        assert_eq!((words["percent"].as_f64(), words["text"].as_str()), (Some(7.5), Some("linking 7.5%")));
    }

    #[test]
    fn what_is_dropped_is_said_in_its_place() {
        let outbox = Outbox::new(45_000);
        let journal = Journal::new(&outbox, "r".parse().expect("valid"), Scrubber::new(None));
        let text = "x".repeat(40_000);
        let mut kept = 0;
        while journal.dropped_bytes() == 0 {
            journal.output(Stream::Stdout, &text, Timestamp::now());
            kept += 1;
        }
        journal.output(Stream::Stdout, "small, but there is a gap before it", Timestamp::now());
        let first = drain(&outbox);
        assert_eq!(first.len(), kept - 1);
        journal.output(Stream::Stdout, "after", Timestamp::now());
        journal.status(StatusData { status: Some(Status::Completed), ..StatusData::default() });
        let rest = drain(&outbox);
        let kinds: Vec<_> = rest.iter().map(|activity| activity["type"].as_str().unwrap_or_default()).collect();
        assert_eq!(kinds, ["error", "output", "status"]);
        assert!(rest[0]["data"]["message"].as_str().is_some_and(|text| text.starts_with("40035 bytes")), "{}", rest[0]);
    }
}
