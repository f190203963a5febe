//! How places in a log are written for Durable Streams' clients, who may compare them as texts: `<epoch>-<offset>` with all sixteen digits.

use super::super::{error::Problem, extract::Query};
use crate::model::{Cursor, LogState, Offset};

/// How many digits an offset has.
const DIGITS: usize = 16;

/// Where a request wants to begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// With the oldest that is kept.
    Beginning,
    /// With what comes next.
    Now,
    /// After this.
    After(Cursor),
}

/// A place as it is written.
pub(super) fn written(cursor: Cursor) -> String {
    format!("{}-{:016}", cursor.epoch, cursor.offset.get())
}

/// The place that `offset` names, if it is given.
pub(super) fn given(query: &Query) -> Result<Option<Place>, Problem> {
    let mut values = query.given("offset");
    let (first, second) = (values.next(), values.next());
    match (first, second) {
        (None, _) => Ok(None),
        (Some(text), None) => place(text).map(Some).ok_or_else(|| invalid("offset is -1, now, or what an answer gave")),
        (Some(_), Some(_)) => Err(invalid("offset is given once")),
    }
}

fn invalid(detail: &str) -> Problem {
    Problem::bad_request("invalid_offset", "offset", detail)
}

/// Strict: exactly what [`written`] writes, or one of the two words.
fn place(text: &str) -> Option<Place> {
    match text {
        "-1" => return Some(Place::Beginning),
        "now" => return Some(Place::Now),
        _ => {}
    }
    let (epoch, offset) = text.split_once('-')?;
    let whole = offset.len() == DIGITS && offset.bytes().all(|byte| byte.is_ascii_digit());
    let offset = Offset::new(offset.parse().ok().filter(|_| whole)?)?;
    Some(Place::After(Cursor { epoch: epoch.parse().ok()?, offset }))
}

/// The offset after which the log is read. What cannot be continued is gone, and said to be.
pub(super) fn resolve(place: Place, state: LogState, tail: Offset) -> Result<Offset, Problem> {
    match place {
        Place::Beginning => Ok(state.floor.previous().min(tail)),
        Place::Now => Ok(tail),
        Place::After(cursor) if cursor.epoch != state.epoch || state.head < cursor.offset => Err(reset()),
        Place::After(cursor) if cursor.offset.next() < state.floor => Err(truncated(state.floor)),
        Place::After(cursor) => Ok(cursor.offset),
    }
}

/// The offset is of another life of the log.
pub(super) fn reset() -> Problem {
    let detail = "the log cannot continue after this offset: it was deleted and made again, or restored; read it with offset=-1";
    Problem::new(axum::http::StatusCode::GONE, "cursor_reset", detail).field("offset")
}

/// What comes after the offset is no longer kept.
pub(super) fn truncated(floor: Offset) -> Problem {
    let detail = format!("activities below offset {floor} are no longer kept: continue with offset=-1");
    Problem::new(axum::http::StatusCode::GONE, "cursor_truncated", detail).field("offset").with("floor", floor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_in_the_order_of_their_texts_and_read_back() {
        let at = |offset| Cursor { epoch: "5f3a9c1e".parse().expect("an epoch"), offset: Offset::new(offset).expect("small") };
        let offsets = [0, 1, 9, 10, 99, 100, 1 << 40, Offset::MAX.get()];
        let texts: Vec<String> = offsets.iter().map(|offset| written(at(*offset))).collect();
        assert!(texts.is_sorted(), "{texts:?}");
        for (offset, text) in offsets.into_iter().zip(&texts) {
            assert_eq!(place(text), Some(Place::After(at(offset))));
        }
    }

    #[test]
    fn anything_else_is_no_place() {
        let wrong = ["", "0", "-2", "now ", "start", "5f3a9c1e-17", "5f3a9c1e-00000000000000017", "5F3A9C1E-0000000000000017"];
        for text in wrong.into_iter().chain([
            "../x",
            "5f3a9c1e-000000000000001,",
            "5f3a9c1e_0000000000000017",
            "5f3a9c1e-9999999999999999",
        ]) {
            assert_eq!(place(text), None, "{text}");
        }
    }
}
