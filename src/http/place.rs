//! Where in a log a request begins: after a cursor, before one, at an offset, or at a time.

use super::{App, error::Problem, extract::Query};
use crate::{
    model::{Cursor, Filter, LogState, Offset, TaskId, Timestamp},
    store::ReadAfter,
};

/// The parameters that name a place; a request has at most one of them.
pub(super) const PLACES: [&str; 4] = ["after", "before", "from", "at"];

/// Refuses two places at once.
pub(super) fn one_place(query: &Query) -> Result<(), Problem> {
    let mut given = PLACES.into_iter().filter(|name| query.one(name).is_some());
    match (given.next(), given.next()) {
        (Some(first), Some(second)) => {
            let detail = format!("give either {first} or {second}");
            Err(Problem::bad_request("conflicting_parameters", second, detail))
        }
        _ => Ok(()),
    }
}

/// The offset after which the log is read: as `after`, `from` or `at` say, checked against the log.
pub(super) async fn beginning(app: &App, task: &TaskId, query: &Query, state: LogState) -> Result<Offset, Problem> {
    if let Some(from) = query.parsed::<u64>("from", "invalid_offset")? {
        // What is no longer kept is passed over; a place in the future is the end.
        let from = Offset::new(from).unwrap_or(Offset::MAX).max(state.floor);
        return Ok(from.previous().min(state.head));
    }
    if let Some(at) = query.parsed::<u64>("at", "invalid_time")? {
        return passing(app, task, state, Timestamp::from_millis(at).unwrap_or(Timestamp::MAX)).await;
    }
    after(query.one("after"), state)
}

/// The place that `after` names.
pub(super) fn after(text: Option<&str>, state: LogState) -> Result<Offset, Problem> {
    match text {
        None | Some("start") => Ok(state.floor.previous()),
        Some("end") => Ok(state.head),
        Some(text) => {
            let cursor = cursor(text, "after")?;
            if cursor.epoch != state.epoch || state.head < cursor.offset {
                return Err(Problem::reset(state.epoch, state.head));
            }
            if cursor.offset.next() < state.floor {
                return Err(Problem::truncated(state.epoch, state.floor));
            }
            Ok(cursor.offset)
        }
    }
}

/// The place that `before` names, if it is given.
pub(super) fn before(query: &Query, state: LogState) -> Result<Option<Offset>, Problem> {
    let Some(text) = query.one("before") else { return Ok(None) };
    let cursor = cursor(text, "before")?;
    if cursor.epoch != state.epoch {
        return Err(Problem::reset(state.epoch, state.head).field("before"));
    }
    Ok(Some(cursor.offset))
}

fn cursor(text: &str, name: &str) -> Result<Cursor, Problem> {
    text.parse().map_err(|error| Problem::bad_request("invalid_cursor", name, format!("{error}")))
}

/// The offset before the first whose timestamp is `at` or later, found by halving: exact where timestamps ascend, as those of one publisher do; near it
/// where several clocks disagree.
async fn passing(app: &App, task: &TaskId, state: LogState, at: Timestamp) -> Result<Offset, Problem> {
    let (mut low, mut high) = (state.floor.get(), state.head.next().get());
    while low < high {
        let middle = low + (high - low) / 2;
        let after = Offset::new(middle).unwrap_or(Offset::MAX).previous();
        let one = ReadAfter { after, limit: 1, bytes: 1, window: 1, filter: Filter::default() };
        let page = app.hub.in_turn(app.store.read_after(task, &one)).await?.ok_or_else(Problem::no_task)?;
        match page.activities.first() {
            Some((_, activity)) if at <= activity.timestamp => high = middle,
            // Earlier, or removed meanwhile.
            _ => low = middle + 1,
        }
    }
    Ok(Offset::new(low).unwrap_or(Offset::MAX).previous())
}
