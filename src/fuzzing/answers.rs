//! What hubs say to clients, which is not to be trusted either: whose hub it is, and what agents have said, is for others to decide.

use bytes::Bytes;
use reqwest::StatusCode;
use serde_json::{Value, value::RawValue};
use tokio_tungstenite::tungstenite::Utf8Bytes;

use crate::{
    cli::tail::Render,
    client::{Acks, Delivery, ItemResult, Meaning, Message, Place, Problem, Received, Refusal, Start},
    model::{Cursor, Offset},
};

/// What is waited for on the ack channel.
const PUBLISHED: &[u8] = br#"{"eventId":"0190c6a4-7c1e-7000-8000-5f3a9c1e0001","invocationId":"r","type":"message","data":{}}"#;

/// Each line is a message on one connection; all of it an ack over Redis, and a problem document.
pub(super) fn answers(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(data) {
        connection(text);
    }
    acks(data);
    let problem = Problem::read(StatusCode::BAD_REQUEST, None, data);
    assert!(is_plain(&problem.to_string()), "{problem:?}");
}

fn connection(text: &str) {
    let task = super::task();
    let mut place = Place::new(Start::Beginning, true);
    let mut render = Render::new(true, false);
    let mut shown = Vec::new();
    let mut last: Option<Cursor> = None;
    for line in text.lines() {
        let message = match Message::read(Utf8Bytes::from(line), &task) {
            Ok(message) => message,
            Err(words) => {
                assert!(is_plain(&words), "{words:?}");
                continue;
            }
        };
        let meaning = place.hear(&message);
        match &message {
            Message::Activity(received) => {
                check(received, line);
                if meaning == Meaning::News {
                    let is_next =
                        last.is_none_or(|last| last.epoch == received.cursor.epoch && last.offset < received.cursor.offset);
                    assert!(is_next && place.cursor() == Some(received.cursor), "{last:?}, then {received:?}");
                }
                render.activity(&mut shown, received).expect("memory takes it");
            }
            Message::Unsubscribed { reason } => assert!(is_plain(reason), "{reason:?}"),
            Message::Error { code, message } => assert!(is_plain(code) && is_plain(message), "{code:?} {message:?}"),
            Message::Reset { epoch } => assert_eq!(place.cursor(), Some(Cursor { epoch: *epoch, offset: Offset::ZERO })),
            _ => {}
        }
        last = place.cursor();
    }
    render.end_line(&mut shown).expect("memory takes it");
    let shown = String::from_utf8(shown).expect("what is shown is text");
    assert!(shown.chars().all(|c| matches!(c, '\n' | '\t') || !c.is_control()), "nothing steers the terminal: {shown:?}");
}

/// What is given on is the hub's own bytes.
fn check(received: &Received, line: &str) {
    assert!(serde_json::from_str::<&RawValue>(received.data()).is_ok() && line.contains(received.data()));
    let whole = format!("{{{}", received.json_after_brace());
    assert!(serde_json::from_str::<&RawValue>(&whole).is_ok_and(|raw| raw.get().starts_with('{')), "{whole}");
    let _ = received.field::<Value>("text");
}

fn acks(data: &[u8]) {
    let Some(acks) = Acks::read(data) else { return };
    let mut delivery = Delivery::new(&[Bytes::from_static(PUBLISHED)]);
    let answered = delivery.answered(acks);
    let results = delivery.results();
    assert!(answered <= 1 && results.len() == answered, "one was sent, and {answered} were answered");
    for result in results {
        if let ItemResult::Refused(Refusal { code, field, message }) = result {
            assert!([Some(code), field, Some(message)].iter().flatten().all(|words| is_plain(words)));
        }
    }
}

/// Whether a terminal only shows it.
fn is_plain(words: &str) -> bool {
    !words.chars().any(char::is_control)
}
