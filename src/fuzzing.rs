//! Every parser that takes bytes from outside, as a function of bytes, with what must hold whatever they are: no panic, no hang, and what was taken
//! is what the rest of the program trusts it to be. `fuzz/` feeds them by chance, `tests/it/fuzz_seeds.rs` with the seeds that are kept.
//! Not part of the API.

mod answers;
mod frames;
mod streams;

use std::path::Path;

use bytes::Bytes;
use futures_util::FutureExt;
use serde_json::{Value, value::RawValue};

use crate::{
    auth::{self, Auth, AuthOptions, Expected, Pattern},
    broker::{Envelope, EnvelopeKey, Hint, Names, RedisAddress, Signed},
    cluster::{Control, Mark},
    config::Settings,
    formats::{Choice, Format, Framer, Said, SessionReader, Transcript, format_of_line, session_head, without_sequences},
    ingest::{
        Body, HookPlace, IngestLimits, Item, Redaction, envelope_keys_in, event_id_of, events_in, read_body, read_claude_hook,
        shape_of,
    },
    model::{Cursor, EventId, InvocationId, TaskId, Timestamp},
    redact::Redactor,
    session::protocol::ClientMessage,
};

/// A parser under test.
pub type Target = Box<dyn FnMut(&[u8])>;

/// All of them by name.
pub const TARGETS: [&str; 16] = [
    "activities",
    "answers",
    "config",
    "control",
    "cursors",
    "formats",
    "frames",
    "hints",
    "hooks",
    "keys",
    "messages",
    "rules",
    "sessions",
    "signed",
    "streams",
    "tokens",
];

/// The parser of this name, made ready.
pub fn target(name: &str) -> Option<Target> {
    Some(match name {
        "activities" => activities(),
        "answers" => Box::new(answers::answers),
        "config" => Box::new(config),
        "control" => Box::new(control),
        "cursors" => Box::new(cursors),
        "formats" => Box::new(formats),
        "frames" => Box::new(frames::frames),
        "hints" => Box::new(hints),
        "hooks" => Box::new(hooks),
        "keys" => Box::new(keys),
        "messages" => Box::new(messages),
        "rules" => Box::new(rules),
        "sessions" => Box::new(sessions),
        "signed" => Box::new(signed),
        "streams" => streams::streams(),
        "tokens" => tokens(),
        _ => return None,
    })
}

fn task() -> TaskId {
    "build-42".parse().expect("it is an id")
}

fn limits() -> IngestLimits {
    Settings::default().ingest_limits()
}

/// Bodies of publishers, by HTTP and over Redis: what is taken is an object on one line, within its bounds, and is taken again as it is.
fn activities() -> Target {
    let (settings, task, limits) = (Settings::default(), task(), limits());
    let redactor = settings.redactor().expect("the program's own rules are in order");
    let redaction = Redaction::new(redactor, settings.carry_limits(), Default::default());
    Box::new(move |data| {
        let bytes = Bytes::copy_from_slice(data);
        let read = |bytes: &Bytes, redaction: &Redaction| read_body(bytes, &task, Timestamp::default(), &limits, redaction);
        let Ok(body) = read(&bytes, &Redaction::off()) else { return };
        assert_eq!(body.items.len(), body.texts.len());
        check_body(&body, &limits);
        for (text, item) in body.texts.iter().zip(&body.items) {
            let _ = event_id_of(text);
            assert!(shape_of(text, &redaction).chars().all(|c| !c.is_control()), "what is kept of a refusal is one line");
            let Ok(Item::Activity(taken)) = item else { continue };
            let again = serde_json::from_slice::<&RawValue>(taken.activity.data.as_bytes()).expect("a payload is JSON");
            let once_more = format!(r#"{{"invocationId":"r","type":"custom","data":{}}}"#, again.get());
            let body = read(&once_more.into(), &Redaction::off()).expect("an object");
            let [Ok(Item::Activity(same))] = &body.items[..] else { panic!("what was taken is taken again") };
            assert_eq!((same.activity.data.as_bytes(), body.replaced), (taken.activity.data.as_bytes(), 0));
        }
        let redacted = read(&bytes, &redaction).expect("it was read without rules");
        check_body(&redacted, &limits);
        assert_eq!(redacted.items.len(), body.items.len());
    })
}

fn check_body(body: &Body, limits: &IngestLimits) {
    for item in &body.items {
        if let Ok(Item::Activity(taken)) = item {
            let data = taken.activity.data.as_bytes();
            assert!(!data.contains(&b'\n') && !data.contains(&0), "a payload is one line");
            assert!(serde_json::from_slice::<&RawValue>(data).is_ok_and(|raw| raw.get().starts_with('{')), "an object");
            assert!(data.len() <= limits.activity_bytes * 2, "a payload is bounded");
        }
    }
}

/// Configuration files: every value is checked before it is used, and shown without its secrets.
fn config(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(settings) = Settings::from_text(text) {
        assert!(!settings.values().is_empty());
        let _ = (settings.redis_options(), settings.session_options(), settings.store_options());
    }
    let _ = text.parse::<RedisAddress>();
}

/// What nodes and agents say on Redis's channels beside activities.
fn control(data: &[u8]) {
    if let Some(said) = Control::decode(data) {
        assert_eq!(Control::decode(&said.encode()), Some(said));
    }
    if let Some(mark) = Mark::decode(data) {
        assert_eq!(Mark::decode(&mark.encode()), Some(mark));
    }
    if let Ok(channel) = std::str::from_utf8(data) {
        let _ = Names::new("tasklight:").read(channel);
    }
}

/// Ids, cursors and patterns out of addresses: what is read is written as it was.
fn cursors(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(cursor) = text.parse::<Cursor>() {
        assert_eq!(cursor.to_string().parse::<Cursor>().ok(), Some(cursor));
    }
    if let Ok(task) = text.parse::<TaskId>() {
        assert_eq!(task.as_str(), text);
        assert!(Pattern::all().matches(&task) && text.parse::<Pattern>().is_ok_and(|same| same.matches(&task)));
    }
    if let Ok(invocation) = text.parse::<InvocationId>() {
        assert!(invocation.as_str() == text && !text.chars().any(char::is_control));
    }
    if let Ok(event) = text.parse::<EventId>() {
        assert_eq!(event.to_string().parse::<EventId>().ok(), Some(event));
    }
    if let Some((pattern, task)) = text.split_once(' ')
        && let (Ok(pattern), Ok(task)) = (pattern.parse::<Pattern>(), task.parse::<TaskId>())
    {
        let meaning = regex::escape(&pattern.to_string()).replace("\\*", ".*");
        let expected = regex::Regex::new(&format!("^{meaning}$")).is_ok_and(|regex| regex.is_match(task.as_str()));
        assert_eq!(pattern.matches(&task), expected);
    }
}

/// Streams of agents; the first byte chooses the format, the second how they are cut into pieces, which changes nothing.
fn formats(data: &[u8]) {
    let [format, piece, rest @ ..] = data else { return };
    let choice = match Format::ALL.get(usize::from(*format) % (Format::ALL.len() + 1)) {
        Some(format) => Choice::Known(*format),
        None => Choice::Auto,
    };
    let read = |piece: usize| {
        let mut transcript = Transcript::new(choice, "r".parse().expect("an id"));
        let mut said = Vec::new();
        for piece in rest.chunks(piece.max(1)) {
            transcript.push(piece, &mut said);
        }
        transcript.finish(&mut said);
        (joined(said), transcript.evidence())
    };
    let (whole, pieces) = (read(rest.len()), read(usize::from(*piece)));
    assert!(whole == pieces, "how a stream is cut changes nothing");
    let text = String::from_utf8_lossy(rest);
    assert!(without_sequences(&text).len() <= text.len());
}

/// Text in one piece, however it was said.
fn joined(said: Vec<Said>) -> Vec<Said> {
    let mut all: Vec<Said> = Vec::new();
    for said in said {
        match (all.last_mut(), said) {
            (Some(Said::Text(before)), Said::Text(text)) => before.extend(text),
            (_, said) => all.push(said),
        }
    }
    all
}

/// Hints of other nodes: what is understood is written as it was.
fn hints(data: &[u8]) {
    let Some(envelope) = Envelope::decode(Bytes::copy_from_slice(data)) else { return };
    let again = Envelope::decode(envelope.encode()).expect("what was understood is");
    assert_eq!(again.sender, envelope.sender);
    match (envelope.hint, again.hint) {
        (Hint::Notice(epoch, head), Hint::Notice(same, there)) => assert!(epoch == same && head == there),
        (Hint::Frames(batch), Hint::Frames(same)) => {
            assert!(batch.first() == same.first() && batch.last() == same.last() && batch.sse_all() == same.sse_all());
            assert!(batch.frames().iter().all(|frame| batch.sse(frame).len() <= data.len()));
            assert_eq!(batch.websocket_all(), same.websocket_all());
        }
        _ => panic!("a hint stays of its kind"),
    }
}

/// What agents' hooks send: what comes out is a body that a publisher could have sent.
fn hooks(data: &[u8]) {
    let place = HookPlace { task: Some(task()), invocation: None };
    let Ok(hook) = read_claude_hook(data, place) else { return };
    let body = read_body(&hook.body, &hook.task, Timestamp::default(), &limits(), &Redaction::off());
    let body = body.expect("a hook becomes a body");
    assert!(body.items.iter().all(Result::is_ok), "a hook's activities are in order");
}

/// Keys that are published, and files of keys.
fn keys(data: &[u8]) {
    let _ = auth::usable_keys(data);
    let Ok(text) = std::str::from_utf8(data) else { return };
    let _ = (auth::ApiKeys::parse(text), envelope_keys_in(text));
}

/// Messages of viewers.
fn messages(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    match ClientMessage::parse(text) {
        Ok(message) => drop(format!("{message:?}")),
        Err(fault) => assert!(!fault.message.chars().any(char::is_control) && fault.message.len() < 4_096, "{fault:?}"),
    }
}

/// Files of rules about secrets, in the form of gitleaks; what is taken is tried on the file itself.
fn rules(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Ok(redactor) = Redactor::from_text(text) else { return };
    let json = Value::from(text).to_string();
    if let Some(redacted) = redactor.json(json.as_bytes()) {
        assert!(serde_json::from_slice::<Value>(&redacted.text).is_ok(), "what is left is JSON");
    }
}

/// Agents' own files on disk.
fn sessions(data: &[u8]) {
    let Some(head) = session_head(data) else { return };
    let mut reader = SessionReader::new(&head, &"r".parse().expect("an id"));
    let (mut framer, mut number) = (Framer::default(), 0);
    let mut each = |line: crate::formats::Line<'_>| {
        number += 1;
        let _ = reader.line(number, line);
    };
    framer.push(data, &mut each);
    framer.finish(&mut each);
    let _ = (reader.finish(), reader.end());
    for line in data.split(|byte| *byte == b'\n') {
        let _ = serde_json::from_slice(line).ok().as_ref().and_then(format_of_line);
    }
}

/// Signed envelopes: what is read has a form that is written again, and nothing that chance makes is signed.
fn signed(data: &[u8]) {
    let key: EnvelopeKey = "tle_a7_000102030405060708090a0b0c0d0e0f".parse().expect("a key");
    let channel = "tasklight:task:build-42";
    let _ = events_in(&Bytes::copy_from_slice(data), 1_000);
    let Some(signed) = Signed::read(data) else { return };
    let sealed = key.seal(channel, signed.at, &signed.body);
    let again = Signed::read(&sealed).expect("what is sealed can be read");
    assert!(Signed::is_claimed(&sealed) && again.is_by(&key, channel) && again.body == signed.body);
    assert!(!signed.is_by(&key, "tasklight:task:other"), "it is of one channel");
    let claimed = Signed::is_claimed(data);
    assert!(claimed || data.contains(&b'\\'), "an envelope is seen to be one, unless its name is written in escapes");
}

/// Tokens and API keys: none that chance makes is let in.
fn tokens() -> Target {
    let secret = (b"0123456789abcdef0123456789abcdef".to_vec(), "HS256".to_owned());
    let options = AuthOptions { secret: Some(secret), expected: Expected::default(), ..AuthOptions::default() };
    let auth = Auth::new(options).expect("the options are in order");
    Box::new(move |data| {
        let Ok(text) = std::str::from_utf8(data) else { return };
        if let Ok(caller) = auth.check(Some(text)).now_or_never().expect("nothing has to be fetched") {
            // The only one whose token among the seeds is signed.
            assert_eq!(caller.subject().as_str(), "me");
        }
    })
}

/// Where the seeds of a parser are kept.
pub fn seeds(root: &Path, name: &str) -> std::path::PathBuf {
    root.join("fuzz/seeds").join(name)
}
