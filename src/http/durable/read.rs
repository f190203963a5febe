//! Reading a stream: a page of what is there, or what comes next, waited for.

use std::{
    hash::{DefaultHasher, Hasher},
    sync::Arc,
    time::Duration,
};

use axum::{
    body::Body,
    extract::{Extension, State},
    http::{HeaderMap, Response, StatusCode, header},
};
use tokio::time::{Instant, timeout_at};

use super::{
    CLOSED, CURSOR, Found, UP_TO_DATE, live,
    offset::{self, Place},
    set,
};
use crate::{
    auth::Caller,
    http::{
        App, Phase,
        access::Known,
        activities::write_activities,
        error::Problem,
        extract::{Query, Task},
        streams::too_many_sessions,
    },
    ingest::{StreamForm, message_in},
    limits::AddressSeat,
    model::{ActivityType, Cursor, Offset, TaskId, Timestamp},
    session::access::Access,
    store::{Page, ReadAfter},
};

/// The most activities in a page, and the most bytes of their payloads; one may exceed that.
const PAGE_ACTIVITIES: usize = 1_000;
const PAGE_BYTES: usize = 1 << 20;

/// What a client is to send along when it comes again is a number that grows so often, so that what stands between does not answer it for ever.
const CURSOR_SECONDS: u64 = 20;

/// The protocol counts from here: the 9th of October 2024.
const CURSOR_EPOCH_SECONDS: u64 = 1_728_432_000;

/// How far the number is moved at most for one who has this one already.
const CURSOR_JITTER: u64 = 180;

/// `GET`: a page, or with `live` what comes next.
pub(super) async fn read(
    State(app): State<Arc<App>>,
    Task(task): Task,
    Known(caller): Known,
    seat: Option<Extension<Arc<AddressSeat>>>,
    headers: HeaderMap,
    query: Query,
) -> Result<Response<Body>, Problem> {
    let place = offset::given(&query)?;
    let live = query.one("live");
    if !matches!(live, None | Some("long-poll" | "sse")) {
        return Err(Problem::bad_request("invalid_live", "live", "live is long-poll or sse"));
    }
    let found = Found::get(&app, &task).await?;
    let Some(live) = live else { return page(&app, &task, &found, place, &headers).await };
    let Some(place) = place else {
        return Err(Problem::bad_request(
            "missing_parameter",
            "offset",
            "whoever waits says from where: offset=-1, now, or a place",
        ));
    };
    if !app.is_running() {
        return Err(Problem::stopping());
    }
    let after = offset::resolve(place, found.state, found.tail().offset)?;
    let access = access(&app, caller, seat)?;
    let collapse = next_cursor(query.one("cursor"));
    match live {
        "sse" => Ok(live::stream(app, task, found, after, access, collapse).await),
        _ => long_poll(&app, &task, found, after, access, &collapse).await,
    }
}

/// One who waits is a session as any other.
fn access(app: &App, caller: Caller, seat: Option<Extension<Arc<AddressSeat>>>) -> Result<Access, Problem> {
    let access = Access::new(app.auth.clone(), app.bounds.clone(), Some(caller), Duration::ZERO);
    Ok(access.map_err(|_| too_many_sessions(app))?.with_seat(seat.map(|Extension(seat)| seat)))
}

/// What is there.
async fn page(
    app: &App,
    task: &TaskId,
    found: &Found,
    place: Option<Place>,
    headers: &HeaderMap,
) -> Result<Response<Body>, Problem> {
    let place = place.unwrap_or(Place::Beginning);
    let after = offset::resolve(place, found.state, found.tail().offset)?;
    if place == Place::Now {
        return Ok(Part::nothing(found, after).answer(found, StatusCode::OK));
    }
    let part = Part::read(app, task, found, after).await?;
    let etag = part.etag(after);
    let known = headers.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    let status = match known.flat_map(|value| value.split(',')).any(|value| value.trim() == etag) {
        true => StatusCode::NOT_MODIFIED,
        false => StatusCode::OK,
    };
    let mut response = part.answer(found, status);
    // Not without asking: what is stored may lose a secret later (`tasklight audit`).
    set(&mut response, header::CACHE_CONTROL.as_str(), "private, no-cache");
    set(&mut response, header::ETAG.as_str(), &etag);
    Ok(response)
}

/// What comes next, waited for.
async fn long_poll(
    app: &Arc<App>,
    task: &TaskId,
    mut found: Found,
    after: Offset,
    mut access: Access,
    collapse: &str,
) -> Result<Response<Body>, Problem> {
    let until = Instant::now() + app.session.long_poll;
    let mut phase = app.phase.clone();
    let mut waiting = live::Waiting::new(app, task, &found, after);
    let _open = live::Open::new(app);
    loop {
        let part = Part::read(app, task, &found, after).await?;
        if access.check().and_then(|()| access.check_time()).is_err() {
            return Err(Problem::new(StatusCode::UNAUTHORIZED, "token_expired", "the token has ended, or was taken back"));
        }
        // The closing may have come between the two looks: then nothing comes after it that would wake anybody.
        if part.count == 0 && part.moved && found.row.closed_at.is_none() {
            found = Found::get(app, task).await?;
            if found.row.closed_at.is_some() {
                continue;
            }
        }
        let done = part.count != 0 || found.ends_at(part.through);
        let come = tokio::select! {
            come = timeout_at(until, waiting.until_more(part.through, &access)), if !done => come.ok().transpose()?.is_some(),
            _ = phase.wait_for(|phase| Phase::Draining <= *phase), if !done => false,
            () = std::future::ready(()), if done => false,
        };
        if come {
            found = Found::get(app, task).await?;
            continue;
        }
        let status = if part.count == 0 { StatusCode::NO_CONTENT } else { StatusCode::OK };
        let over = found.ends_at(part.through);
        let mut response = part.answer(&found, status);
        if !over {
            set(&mut response, CURSOR, collapse);
        }
        return Ok(response);
    }
}

/// A part of a stream, as its readers get it.
pub(super) struct Part {
    body: Vec<u8>,
    count: usize,
    through: Offset,
    epoch: crate::model::Epoch,
    up_to_date: bool,
    /// Whether a status of its run is in it, which may be the closing.
    moved: bool,
}

impl Part {
    fn nothing(found: &Found, at: Offset) -> Self {
        let body = if found.form().is_none_or(|form| form == StreamForm::Json) { b"[]".to_vec() } else { Vec::new() };
        Self { body, count: 0, through: at, epoch: found.state.epoch, up_to_date: true, moved: false }
    }

    /// What comes after this, as much as fits.
    async fn read(app: &App, task: &TaskId, found: &Found, after: Offset) -> Result<Self, Problem> {
        if found.ends_at(after) {
            return Ok(Self::nothing(found, found.tail().offset));
        }
        let range = ReadAfter { after, limit: PAGE_ACTIVITIES, bytes: PAGE_BYTES, window: u64::MAX, filter: found.filter() };
        let mut page = app.hub.in_turn(app.store.read_after(task, &range)).await?.ok_or_else(Problem::no_task)?;
        if page.state.epoch != found.state.epoch {
            return Err(offset::reset());
        }
        if after.next() < page.state.floor && found.state.floor <= after.next() {
            return Err(offset::truncated(page.state.floor));
        }
        let end = found.row.closed_at.unwrap_or(page.state.head);
        page.activities.retain(|(offset, _)| *offset <= end);
        let through = page.through.min(end);
        let (body, count) = written(task, found, &page);
        let moved = page.activities.iter().any(|(_, activity)| activity.kind == ActivityType::Status);
        Ok(Self { body, count, through, epoch: page.state.epoch, up_to_date: end <= through, moved })
    }

    /// Says what it is by what it holds, so that it is another one when something in it was changed.
    fn etag(&self, after: Offset) -> String {
        let mut hasher = DefaultHasher::new();
        hasher.write(&self.body);
        format!("\"{}-{after}-{}-{:016x}\"", self.epoch, self.through, hasher.finish())
    }

    fn answer(self, found: &Found, status: StatusCode) -> Response<Body> {
        let empty = status == StatusCode::NO_CONTENT || status == StatusCode::NOT_MODIFIED;
        let body = if empty { Body::empty() } else { Body::from(self.body) };
        let mut response = found.answer(status, Cursor { epoch: self.epoch, offset: self.through }, body);
        if self.up_to_date {
            set(&mut response, UP_TO_DATE, "true");
        }
        if found.ends_at(self.through) {
            set(&mut response, CLOSED, "true");
        }
        response
    }
}

/// The messages of a page, and how many they are.
fn written(task: &TaskId, found: &Found, page: &Page) -> (Vec<u8>, usize) {
    let Some(form) = found.form() else {
        let mut text = b"[".to_vec();
        write_activities(task, page, b",", &mut text);
        text.push(b']');
        return (text, page.activities.len());
    };
    let messages = page.activities.iter();
    let messages = messages.filter_map(|(_, activity)| message_in(form, activity.kind, activity.data.as_bytes()));
    joined(form, messages)
}

/// Messages as one body.
pub(super) fn joined(form: StreamForm, messages: impl Iterator<Item = Vec<u8>>) -> (Vec<u8>, usize) {
    let json = form == StreamForm::Json;
    let mut body = if json { b"[".to_vec() } else { Vec::new() };
    let mut count = 0;
    for message in messages {
        if json && count != 0 {
            body.push(b',');
        }
        body.extend_from_slice(&message);
        count += 1;
    }
    if json {
        body.push(b']');
    }
    (body, count)
}

/// The number that a client is to send along when it comes again: greater than the one that it has.
fn next_cursor(given: Option<&str>) -> String {
    let now = (Timestamp::now().as_millis() / 1_000).saturating_sub(CURSOR_EPOCH_SECONDS) / CURSOR_SECONDS;
    let given: Option<u64> = given.and_then(|text| text.parse().ok());
    let next = match given {
        Some(known) if now <= known => known.saturating_add(rand::random_range(1..=CURSOR_JITTER)),
        _ => now,
    };
    next.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_to_come_again_with_only_grows() {
        let now: u64 = next_cursor(None).parse().expect("a number");
        let next = |given: &str| next_cursor(Some(given)).parse::<u64>().expect("a number");
        assert!(now <= next("0") && now <= next("nonsense"));
        for given in [now, now + 5_000] {
            assert!((given + 1..=given + CURSOR_JITTER).contains(&next(&given.to_string())), "{given}");
        }
    }
}
