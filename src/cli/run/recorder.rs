//! Output on its way into the journal: when what has been read becomes an activity.
//!
//! The two streams are read apart, so their order is only known as far as one was read before the other. It is kept that far: what one
//! stream said does not wait while the other has said something later.
//!
//! Standard output may be an agent's: then its lines become activities at once, and only what is text waits.

use std::{future::pending, time::Duration};

use parking_lot::Mutex;
use tokio::time::{Instant, sleep};

use super::verdict::Heard;
use super::{
    journal::{Journal, StatusData, Stream},
    text::Assembler,
};
use crate::{
    formats::{Format, Reader, Said, Tally, Transcript, overdrawn},
    model::{Status, Timestamp},
};

/// How long finished lines wait for others, and how long an unfinished line must be quiet before it is recorded as it is.
const LATENESS: Duration = Duration::from_millis(100);

/// The longest that an unfinished line waits although it is never quiet: a progress bar is to be seen moving.
const UNFINISHED_LATENESS: Duration = Duration::from_secs(1);

/// How much later the other stream must have spoken for its words to be kept behind. Nearer than this, reading itself blurs the order, and
/// a command that alternates quickly would make an activity of each line.
const ORDER: Duration = Duration::from_millis(5);

/// How long an agent that has said how its work ended may go on in silence before that is said.
const LINGERING: Duration = Duration::from_secs(5);

/// Whose name the invocation's agent has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Naming {
    /// The one that was given, whatever is found.
    Given,
    /// That of the agent that is found, if one is.
    Found,
}

/// Records both streams of a command.
#[derive(Debug)]
pub(super) struct Recorder<'a> {
    journal: &'a Journal<'a>,
    streams: Mutex<[Waiting; 2]>,
    /// What standard output says.
    transcript: Mutex<Transcript>,
    naming: Naming,
}

/// What was read of one stream and is not recorded yet.
#[derive(Debug)]
struct Waiting {
    assembler: Assembler,
    /// When the oldest of it came; none if there is none.
    since: Option<(Instant, Timestamp)>,
    /// When the last byte came.
    heard: Instant,
    /// Whether the unfinished line is drawn over itself.
    overdrawn: bool,
}

impl<'a> Recorder<'a> {
    /// Records into this journal; standard output is read by that transcript.
    pub(super) fn new(journal: &'a Journal<'a>, transcript: Transcript, naming: Naming) -> Self {
        let waiting = || Waiting { assembler: Assembler::default(), since: None, heard: Instant::now(), overdrawn: false };
        Self { journal, streams: Mutex::new([waiting(), waiting()]), transcript: Mutex::new(transcript), naming }
    }

    /// What was heard so far of how the agent's work ended.
    pub(super) fn heard(&self) -> Heard {
        let transcript = self.transcript.lock();
        let (format, last_error) = (transcript.reader().map(Reader::format), transcript.reader().and_then(Reader::last_error));
        Heard { format, evidence: transcript.evidence(), last_error: last_error.map(str::to_owned) }
    }

    /// What became of the lines, with the agent's version, if it is an agent.
    pub(super) fn tally(&self) -> Option<(Format, Option<String>, Tally)> {
        let transcript = self.transcript.lock();
        let reader = transcript.reader()?;
        Some((reader.format(), reader.version().map(str::to_owned), reader.tally().clone()))
    }

    /// Says once, if an agent goes on in silence although it has said how its work ended, that this is what is waited for. Never ends.
    pub(super) async fn watch_for_lingering(&self) {
        let mut before = None;
        loop {
            sleep(LINGERING).await;
            let now = self.transcript.lock().reader().filter(|reader| reader.has_ended()).map(|reader| reader.tally().lines);
            if now.is_some() && now == before {
                self.journal.note("result seen, waiting for exit");
                return pending().await;
            }
            before = now;
        }
    }

    /// Takes what was read.
    pub(super) fn record(&self, stream: Stream, bytes: &[u8]) {
        match stream {
            Stream::Stderr => self.record_text(stream, bytes),
            Stream::Stdout => {
                let mut said = Vec::new();
                self.transcript.lock().push(bytes, &mut said);
                said.into_iter().for_each(|said| self.say(said));
            }
        }
    }

    fn say(&self, said: Said) {
        match said {
            Said::Text(bytes) => self.record_text(Stream::Stdout, &bytes),
            Said::Found(format) => {
                self.record_text_before();
                if self.naming == Naming::Found {
                    let (status, agent) = (Some(Status::Running), Some(format.to_string()));
                    self.journal.status(StatusData { status, agent, ..StatusData::default() });
                }
            }
            Said::Draft(draft) => {
                self.record_text_before();
                self.journal.draft(draft, Timestamp::now());
            }
        }
    }

    /// Records what waits and came before something that does not wait.
    fn record_text_before(&self) {
        let mut streams = self.streams.lock();
        self.pass_first(&mut streams[Stream::Stderr as usize], Stream::Stdout, Instant::now().checked_sub(ORDER));
        let waiting = &mut streams[Stream::Stdout as usize];
        let text = waiting.assembler.take_all();
        self.write(waiting, Stream::Stdout, text);
    }

    fn record_text(&self, stream: Stream, bytes: &[u8]) {
        let now = Instant::now();
        let mut streams = self.streams.lock();
        self.pass_first(&mut streams[other(stream) as usize], stream, now.checked_sub(ORDER));
        let waiting = &mut streams[stream as usize];
        waiting.heard = now;
        waiting.since.get_or_insert_with(|| (now, Timestamp::now()));
        let mut full = Vec::new();
        waiting.assembler.push(bytes, &mut full);
        self.write(waiting, stream, full);
    }

    /// When text of this stream will have waited long enough.
    pub(super) fn due(&self, stream: Stream) -> Option<Instant> {
        let waiting = &self.streams.lock()[stream as usize];
        let (since, _) = waiting.since?;
        if waiting.assembler.has_lines() {
            return Some(since + LATENESS);
        }
        if !waiting.assembler.has_unfinished() {
            return None;
        }
        let moving = since + UNFINISHED_LATENESS;
        Some(if waiting.overdrawn { moving } else { moving.min(waiting.heard + LATENESS) })
    }

    /// Records what has waited long enough.
    pub(super) fn flush_due(&self, stream: Stream) {
        let now = Instant::now();
        let mut streams = self.streams.lock();
        let Some((since, _)) = streams[stream as usize].since else { return };
        self.pass_first(&mut streams[other(stream) as usize], stream, Some(since));
        let waiting = &mut streams[stream as usize];
        let quiet = waiting.heard + LATENESS <= now || since + UNFINISHED_LATENESS <= now;
        let text = if quiet { waiting.assembler.take_all() } else { waiting.assembler.take_lines() };
        let Some(mut text) = text else { return };
        let line = text.rfind('\n').map_or(0, |at| at + 1);
        let Some(state) = overdrawn(&text[line..]).map(str::to_owned) else { return self.write(waiting, stream, [text]) };
        text.truncate(line);
        self.write(waiting, stream, (!text.is_empty()).then_some(text));
        self.journal.drawn(stream, &state, Timestamp::now());
        (waiting.overdrawn, waiting.since) = (true, None);
    }

    /// The stream has ended: records all that is left of it.
    pub(super) fn finish(&self, stream: Stream) {
        if stream == Stream::Stdout {
            let mut said = Vec::new();
            self.transcript.lock().finish(&mut said);
            said.into_iter().for_each(|said| self.say(said));
        }
        let mut streams = self.streams.lock();
        let since = streams[stream as usize].since.map(|(since, _)| since);
        self.pass_first(&mut streams[other(stream) as usize], stream, since);
        let waiting = &mut streams[stream as usize];
        let mut full = Vec::new();
        waiting.assembler.finish(&mut full);
        self.write(waiting, stream, full);
    }

    /// Records the lines that the other stream finished, if they came before what is about to be recorded of this one.
    fn pass_first(&self, others: &mut Waiting, stream: Stream, before: Option<Instant>) {
        let older = others.since.zip(before).is_some_and(|((since, _), before)| since <= before);
        if older && others.assembler.has_lines() {
            let lines = others.assembler.take_lines();
            self.write(others, other(stream), lines);
        }
    }

    fn write(&self, waiting: &mut Waiting, stream: Stream, pieces: impl IntoIterator<Item = String>) {
        let mut timestamp = waiting.since.map_or_else(Timestamp::now, |(_, timestamp)| timestamp);
        for piece in pieces {
            let piece = if waiting.overdrawn { waiting.last_state(&piece) } else { &piece };
            self.journal.output(stream, piece, timestamp);
            timestamp = Timestamp::now();
            waiting.since = Some((waiting.heard, timestamp));
        }
        if !waiting.assembler.has_lines() && !waiting.assembler.has_unfinished() {
            waiting.since = None;
        }
    }
}

impl Waiting {
    /// What is left to record of a line that was drawn over itself, now that it ends: how it stands at last, and what follows it.
    fn last_state<'a>(&mut self, piece: &'a str) -> &'a str {
        let Some(end) = piece.find('\n') else { return piece };
        self.overdrawn = false;
        let line = piece[..end].trim_end_matches('\r');
        &piece[line.rfind('\r').map_or(0, |at| at + 1)..]
    }
}

fn other(stream: Stream) -> Stream {
    match stream {
        Stream::Stdout => Stream::Stderr,
        Stream::Stderr => Stream::Stdout,
    }
}

#[cfg(test)]
mod tests {
    use super::{
        Stream::{Stderr, Stdout},
        *,
    };
    use crate::{
        cli::{redact_args::Scrubber, run::outbox::Outbox},
        formats::Choice,
    };

    /// Performs these reads, each after a pause in milliseconds, and then the end of both streams. Gives what was recorded, with `!` before
    /// what was said on standard error.
    async fn recorded(reads: &[(u64, Stream, &str)]) -> Vec<String> {
        let outbox = Outbox::new(0);
        let journal = Journal::new(&outbox, "r".parse().expect("valid"), Scrubber::new(None));
        let transcript = Transcript::new(Choice::Auto, "r".parse().expect("valid"));
        let recorder = Recorder::new(&journal, transcript, Naming::Given);
        for (pause, stream, text) in reads {
            tokio::time::advance(Duration::from_millis(*pause)).await;
            for stream in [Stdout, Stderr] {
                if recorder.due(stream).is_some_and(|due| due <= Instant::now()) {
                    recorder.flush_due(stream);
                }
            }
            recorder.record(*stream, text.as_bytes());
        }
        recorder.finish(Stderr);
        recorder.finish(Stdout);
        let text = |bytes: bytes::Bytes| {
            let activity: serde_json::Value = serde_json::from_slice(&bytes).expect("JSON");
            let mark = match (activity["data"]["stream"].as_str(), activity["type"].as_str()) {
                (Some("stderr"), Some("output")) => "!",
                (_, Some("progress")) => "%",
                _ => "",
            };
            format!("{mark}{}", activity["data"]["text"].as_str().unwrap_or_default())
        };
        std::iter::from_fn(|| outbox.pop()).map(text).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn lines_go_together_and_unfinished_ones_wait_until_quiet() {
        let reads = [(0, Stdout, "one\ntw"), (60, Stdout, "o\nthr"), (60, Stdout, "ee\nfo"), (110, Stdout, "ur\n")];
        assert_eq!(recorded(&reads).await, ["one\ntwo\n", "three\nfo", "ur\n"]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_line_that_is_never_quiet_is_seen_growing() {
        let dots = [(50, Stdout, "."); 45];
        assert_eq!(recorded(&dots).await.iter().map(String::len).collect::<Vec<_>>(), [20, 20, 5]);
    }

    #[tokio::test(start_paused = true)]
    async fn what_one_stream_said_stays_before_what_the_other_said_later() {
        let reads = [(0, Stdout, "a\n"), (20, Stderr, "b\n"), (20, Stdout, "c\n"), (1, Stderr, "d\n"), (1, Stdout, "e\nf")];
        assert_eq!(recorded(&reads).await, ["a\n", "!b\n", "c\ne\n", "!d\n", "f"]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_line_that_is_drawn_over_itself_shows_its_last_state() {
        let mut reads = vec![(0, Stdout, "begin\n")];
        reads.extend([
            (300, Stdout, "\rat 10%"),
            (300, Stdout, "\rat 20%"),
            (300, Stdout, "\rat 30%"),
            (300, Stdout, "\rat 40%"),
        ]);
        reads.extend([(300, Stdout, "\r100%\ndone\n"), (300, Stdout, "no bar")]);
        assert_eq!(recorded(&reads).await, ["begin\n", "%at 10%", "100%\ndone\n", "no bar"]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_bar_that_is_done_at_once_is_text_like_any_other() {
        assert_eq!(recorded(&[(0, Stdout, "\r 10%\r 20%\r100%\n")]).await, ["\r 10%\r 20%\r100%\n"]);
    }

    #[tokio::test(start_paused = true)]
    async fn an_agent_that_goes_on_after_its_result_is_said_to_be_waited_for() {
        let outbox = Outbox::new(0);
        let journal = Journal::new(&outbox, "r".parse().expect("valid"), Scrubber::new(None));
        let transcript = Transcript::new(Choice::Known(Format::Claude), "r".parse().expect("valid"));
        let recorder = Recorder::new(&journal, transcript, Naming::Given);
        let watch = || tokio::time::timeout(10 * LINGERING, recorder.watch_for_lingering());
        recorder.record(Stdout, b"{\"type\":\"system\",\"subtype\":\"status\"}\n");
        watch().await.expect_err("it never ends");
        assert_eq!(outbox.pop(), None, "there was no result");
        recorder.record(Stdout, b"{\"type\":\"result\",\"subtype\":\"success\",\"is_error\":false}\n");
        let usage = outbox.pop().expect("its usage");
        watch().await.expect_err("it never ends");
        let (note, rest) = (outbox.pop().expect("a note"), outbox.pop());
        assert!(String::from_utf8_lossy(&usage).contains("usage") && rest.is_none());
        assert!(String::from_utf8_lossy(&note).contains("result seen, waiting for exit"));
    }
}
