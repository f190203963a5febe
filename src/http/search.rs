//! Looking for text in a task's log. One request looks at a bounded part of it and says where to go on, so that a page can show how far it is
//! and nobody can have the hub read for ever.

use std::sync::Arc;

use axum::{Json, extract::State, response::IntoResponse};
use serde::Serialize;
use serde_json::json;
use tokio::time::{Duration, Instant};

use super::{
    App,
    activities::filter,
    error::Problem,
    extract::{Query, Task},
    place,
};
use crate::{
    model::{Activity, ActivityType, Cursor, Excerpt, Filter, InvocationId, LogState, Needle, Offset, TaskId, Timestamp},
    store::{Page, ReadAfter},
};

/// The most hits in an answer, and how many when no limit is given.
const MOST_HITS: usize = 200;
const DEFAULT_HITS: usize = 50;

/// What one request looks at, at most: so many offsets, bytes of payloads, and so long. It ends with the span in which it comes to one of them.
const SEARCHED_ACTIVITIES: u64 = 20_000;
const SEARCHED_BYTES: usize = 16 << 20;
const SEARCH_TIME: Duration = Duration::from_millis(250);

/// How many offsets are looked at before the bounds are. Going back, each span is read forwards, and its hits are turned round.
const SPAN: u64 = 500;

/// The most bytes of payloads that are read at once.
const READ_BYTES: usize = 1 << 20;

/// An activity in which the text was found.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Hit {
    offset: Offset,
    cursor: Cursor,
    invocation_id: InvocationId,
    #[serde(rename = "type")]
    kind: ActivityType,
    timestamp: Timestamp,
    #[serde(flatten)]
    found: Excerpt,
}

/// A search under way.
struct Search<'a> {
    app: &'a App,
    task: &'a TaskId,
    needle: Needle,
    filter: Filter,
    limit: usize,
    state: LogState,
    hits: Vec<Hit>,
    activities: u64,
    bytes: usize,
    until: Instant,
}

/// `GET /v1/tasks/{id}/search`
pub(super) async fn search(State(app): State<Arc<App>>, Task(task): Task, query: Query) -> Result<impl IntoResponse, Problem> {
    let query = query.only(&["q", "after", "before", "limit", "type", "invocation"])?;
    let text = query.one("q").unwrap_or_default();
    let needle = Needle::new(text).map_err(|error| Problem::bad_request("invalid_search", "q", error.to_string()))?;
    let (filter, limit) = (filter(&query)?, query.limit(DEFAULT_HITS, MOST_HITS)?);
    place::one_place(&query)?;
    let states = app.store.log_states(std::slice::from_ref(&task)).await?;
    let Some((_, state)) = states.into_iter().next() else { return Err(Problem::no_task()) };
    let until = Instant::now() + SEARCH_TIME;
    let (hits, activities, bytes) = (Vec::new(), 0, 0);
    let mut search = Search { app: &app, task: &task, needle, filter, limit, state, hits, activities, bytes, until };
    let (through, next) = match query.one("after") {
        Some(after) => search.forwards(place::after(Some(after), state)?).await?,
        None => search.backwards(place::before(&query, state)?.unwrap_or(state.head.next()).min(state.head.next())).await?,
    };
    let Search { state: LogState { epoch, head, floor }, hits, .. } = search;
    let next = next.map(|offset| Cursor { epoch, offset });
    let answer = json!({"hits": hits, "head": head, "floor": floor, "epoch": epoch, "next": next, "through": through});
    Ok(([("cache-control", "no-store")], Json(answer)))
}

impl Search<'_> {
    /// Oldest first. Gives how far it looked, and where to go on.
    async fn forwards(&mut self, mut after: Offset) -> Result<(Offset, Option<Offset>), Problem> {
        while after < self.state.head && !self.is_spent() {
            let page = self.read(after, SPAN).await?;
            self.activities += page.through.get().saturating_sub(after.get());
            after = page.through;
            for (offset, activity) in &page.activities {
                self.hits.extend(self.hit(*offset, activity));
                if self.hits.len() == self.limit {
                    return Ok((*offset, (*offset < self.state.head).then_some(*offset)));
                }
            }
        }
        Ok((after, (after < self.state.head).then_some(after)))
    }

    /// Newest first, the same.
    async fn backwards(&mut self, mut before: Offset) -> Result<(Offset, Option<Offset>), Problem> {
        while self.state.floor < before && !self.is_spent() {
            let last = before.previous();
            let mut after = Offset::new(last.get().saturating_sub(SPAN)).unwrap_or_default().max(self.state.floor.previous());
            let first = after.next();
            let mut hits = Vec::new();
            while after < last {
                let page = self.read(after, last.get() - after.get()).await?;
                hits.extend(page.activities.iter().filter_map(|(offset, activity)| self.hit(*offset, activity)));
                // A log that was trimmed meanwhile may end before.
                after = page.through.max(after.next());
            }
            self.activities += before.get() - first.get();
            for hit in hits.into_iter().rev() {
                let offset = hit.offset;
                self.hits.push(hit);
                if self.hits.len() == self.limit {
                    return Ok((offset, (self.state.floor < offset).then_some(offset)));
                }
            }
            before = first;
        }
        Ok((before, (self.state.floor < before).then_some(before)))
    }

    fn is_spent(&self) -> bool {
        SEARCHED_ACTIVITIES <= self.activities || SEARCHED_BYTES <= self.bytes || self.until <= Instant::now()
    }

    /// Reads what comes after, in turn with all others who read what is old.
    async fn read(&mut self, after: Offset, window: u64) -> Result<Page, Problem> {
        let limit = usize::try_from(SPAN).unwrap_or(usize::MAX);
        let range = ReadAfter { after, limit, bytes: READ_BYTES, window, filter: self.filter.clone() };
        let page = self.app.hub.in_turn(self.app.store.read_after(self.task, &range)).await?.ok_or_else(Problem::no_task)?;
        if page.state.epoch != self.state.epoch {
            return Err(Problem::reset(page.state.epoch, page.state.head));
        }
        self.state = page.state;
        self.bytes += page.data_bytes();
        Ok(page)
    }

    fn hit(&self, offset: Offset, activity: &Activity) -> Option<Hit> {
        let found = self.needle.find(&activity.data)?;
        let cursor = Cursor { epoch: self.state.epoch, offset };
        let Activity { invocation, kind, timestamp, .. } = activity;
        Some(Hit { offset, cursor, invocation_id: invocation.clone(), kind: *kind, timestamp: *timestamp, found })
    }
}
