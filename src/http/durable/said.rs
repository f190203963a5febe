//! What the headers of a request say, each within its bounds and without secrets, because they are stored.

use axum::http::{HeaderMap, header};

use super::{CLOSED, EXPIRY, FORKED_FROM, PRODUCER, SEQ};
use crate::{
    http::{App, error::Problem},
    model::Offset,
    store::Producer,
};

/// The most characters of a content type, a producer's name and a `Stream-Seq`.
const CHARS: usize = 256;

/// The value of a header, if it is given.
fn text<'a>(headers: &'a HeaderMap, name: &str) -> Result<Option<&'a str>, Problem> {
    let Some(value) = headers.get(name) else { return Ok(None) };
    let text = value.to_str().ok().map(str::trim).filter(|text| text.len() <= CHARS);
    text.map(Some).ok_or_else(|| {
        Problem::bad_request("invalid_header", name, format!("{name} has at most {CHARS} characters, all of them ASCII"))
    })
}

/// The same of what is stored: it must not hold a secret, because it is not changed.
fn stored(app: &App, headers: &HeaderMap, name: &str) -> Result<Option<String>, Problem> {
    let Some(text) = text(headers, name)? else { return Ok(None) };
    if text.is_empty() {
        return Err(Problem::bad_request("invalid_header", name, format!("{name} is empty")));
    }
    if app.redaction.text(text.to_owned()) != text {
        let detail = format!("{name} looks like a secret, and it is stored: choose another one");
        return Err(Problem::bad_request("secret_in_header", name, detail));
    }
    Ok(Some(text.to_owned()))
}

/// `Content-Type`, if it is given.
pub(super) fn content_type(app: &App, headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let Some(given) = stored(app, headers, header::CONTENT_TYPE.as_str())? else { return Ok(None) };
    let named =
        |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$&^_.+-".contains(&byte));
    let whole = essence(&given).split_once('/').is_some_and(|(kind, sub)| named(kind) && named(sub));
    if !whole {
        return Err(Problem::bad_request("invalid_content_type", "content-type", "content-type is such as text/plain"));
    }
    Ok(Some(given))
}

/// A content type without its parameters, in lower case: what of it is compared.
pub(super) fn essence(content_type: &str) -> String {
    content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

/// Whether nothing is to come after this.
pub(super) fn closes(headers: &HeaderMap) -> bool {
    headers.get(CLOSED).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"true"))
}

/// `Stream-Seq`, if it is given.
pub(super) fn seq(app: &App, headers: &HeaderMap) -> Result<Option<String>, Problem> {
    stored(app, headers, SEQ)
}

/// Who writes, if it says so: with all three headers, or none.
pub(super) fn producer(app: &App, headers: &HeaderMap) -> Result<Option<Producer>, Problem> {
    let given = PRODUCER.map(|name| headers.contains_key(name));
    if given == [false; 3] {
        return Ok(None);
    }
    if let Some(missing) = PRODUCER.into_iter().zip(given).find(|(_, given)| !given) {
        let detail = format!("{} go together", PRODUCER.join(", "));
        return Err(Problem::bad_request("missing_header", missing.0, detail));
    }
    let [name, epoch, seq] = PRODUCER;
    let Some(name) = stored(app, headers, name)? else { return Ok(None) };
    Ok(Some(Producer { name, epoch: number(headers, epoch)?, seq: number(headers, seq)? }))
}

fn number(headers: &HeaderMap, name: &str) -> Result<u64, Problem> {
    let text = text(headers, name)?.unwrap_or_default();
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let number = text.parse().ok().filter(|number| digits && *number <= Offset::MAX.get());
    number.ok_or_else(|| Problem::bad_request("invalid_header", name, format!("{name} is a number from 0 to 2^53 - 1")))
}

/// Refuses what is asked for and not offered, so that nobody takes it for granted.
pub(super) fn refuse_unoffered(headers: &HeaderMap) -> Result<(), Problem> {
    let unoffered = |name: &'static str, code, detail: &str| {
        let problem = || Problem::new(axum::http::StatusCode::NOT_IMPLEMENTED, code, detail).field(name);
        if headers.contains_key(name) { Err(problem()) } else { Ok(()) }
    };
    for name in EXPIRY {
        unoffered(name, "expiry_not_offered", "how long a log is kept is its operator's to say (retention), not its writer's")?;
    }
    unoffered(FORKED_FROM, "forks_not_offered", "a log is of one task: forks are not offered")
}
