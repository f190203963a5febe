//! Waiting for what comes next in a stream, by the same followers as every viewer, and the stream of events that is made of it. A reader that takes
//! nothing is asked nothing: the body is pulled by its connection, one part at a time.

use std::{borrow::Cow, convert::Infallible, sync::Arc, time::Duration};

use axum::{
    body::{Body, Bytes},
    http::{Response, StatusCode, header},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use futures_util::{StreamExt, stream};
use serde_json::{json, value::RawValue};
use tokio::{
    sync::watch,
    time::{Instant, sleep, sleep_until},
};

use super::{DATA_ENCODING, Found, offset, read::joined, set};
use crate::{
    http::{App, Phase, error::Problem},
    hub::{Follower, Otherwise, Start, Step},
    ingest::{StreamForm, message_in},
    limits::Draw,
    model::{ActivityType, Cursor, Fields, FrameBatch, Offset, TaskId},
    session::access::Access,
};

/// How long a stream of events lasts; then its reader comes again, so that those who read the same can be answered together.
const LASTS: Duration = Duration::from_secs(60);

/// The most bytes of frames in one event; one frame may exceed it.
const EVENT_BYTES: usize = 128 * 1024;

/// A place in a log from which somebody waits.
pub(super) struct Waiting {
    app: Arc<App>,
    task: TaskId,
    follower: Follower,
}

/// What has come.
enum Come {
    /// These.
    Frames(FrameBatch),
    /// Nothing more for now.
    UpToDate,
    /// The log cannot be continued from here.
    Gone(Problem),
}

impl Waiting {
    pub(super) fn new(app: &Arc<App>, task: &TaskId, found: &Found, after: Offset) -> Self {
        let after = Some(Cursor { epoch: found.state.epoch, offset: after });
        let follower = app.hub.follow(task, Start { after, otherwise: Otherwise::Beginning }, found.filter());
        Self { app: app.clone(), task: task.clone(), follower }
    }

    /// Until there is something after `offset` that is wanted.
    pub(super) async fn until_more(&mut self, offset: Offset, access: &Access) -> Result<(), Problem> {
        loop {
            match self.next(access).await? {
                Come::Frames(batch) if batch.after(offset).is_some_and(|rest| self.wants(&rest)) => return Ok(()),
                Come::Frames(_) | Come::UpToDate => {}
                Come::Gone(problem) => return Err(problem),
            }
        }
    }

    fn wants(&self, batch: &FrameBatch) -> bool {
        batch.frames().iter().any(|frame| self.follower.filter().wants(frame.kind, &frame.invocation))
    }

    /// What comes next. A read of the store is drawn from what its reader may have, and waits for it.
    async fn next(&mut self, access: &Access) -> Result<Come, Problem> {
        loop {
            match self.follower.next(EVENT_BYTES) {
                Step::Frames(batch) => return Ok(Come::Frames(batch)),
                Step::Live(_) => return Ok(Come::UpToDate),
                Step::Begun { state: Some(_), .. } | Step::Skipped(_) => {}
                Step::Begun { state: None, .. } | Step::Deleted => return Ok(Come::Gone(Problem::no_task())),
                Step::Reset { .. } => return Ok(Come::Gone(offset::reset())),
                Step::Truncated { floor } => return Ok(Come::Gone(offset::truncated(floor))),
                Step::Read(range) => {
                    sleep(access.draw(Draw::ColdReads)).await;
                    let page = self.app.hub.read(&self.task, &range).await?;
                    self.follower.supply(page);
                }
                Step::Asleep => {
                    // A clone has seen what the follower has.
                    if self.follower.changed().changed().await.is_err() {
                        return Err(Problem::stopping());
                    }
                }
            }
        }
    }
}

/// A stream of events, as far as it has come.
struct Streaming {
    waiting: Waiting,
    found: Found,
    access: Access,
    collapse: String,
    until: Instant,
    phase: watch::Receiver<Phase>,
    /// The offset of which it was said that there is nothing more for now.
    told: Option<Offset>,
    /// How its bytes are written; of a text it is seen by what comes first.
    encoding: Option<Encoding>,
    /// Whether nothing comes any more.
    over: bool,
    _open: Open,
}

/// How bytes are written in an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Encoding {
    /// As they are, which is UTF-8.
    Plain,
    /// In base 64, whatever they are.
    Base64,
}

impl Encoding {
    /// The plainest one that loses nothing.
    fn of(body: &[u8]) -> Self {
        if std::str::from_utf8(body).is_ok() { Self::Plain } else { Self::Base64 }
    }
}

/// Counts an open session.
pub(super) struct Open(Arc<App>);

impl Open {
    pub(super) fn new(app: &Arc<App>) -> Self {
        app.metrics.sessions.inc();
        Self(app.clone())
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.metrics.sessions.dec();
    }
}

/// The answer to `live=sse`. Its head says how bytes are written. What a publisher calls a text need not be UTF-8, and an event can hold nothing else: so
/// the head of a text waits for what comes first, which is there at once, if only to say that there is nothing for now.
pub(super) async fn stream(
    app: Arc<App>,
    task: TaskId,
    found: Found,
    after: Offset,
    access: Access,
    collapse: String,
) -> Response<Body> {
    let encoding = match found.form() {
        Some(StreamForm::Bytes) => Some(Encoding::Base64),
        Some(StreamForm::Text) => None,
        Some(StreamForm::Json) | None => Some(Encoding::Plain),
    };
    let at = Cursor { epoch: found.state.epoch, offset: after };
    let mut response = found.answer(StatusCode::OK, at, Body::empty());
    let mut streaming = Streaming {
        waiting: Waiting::new(&app, &task, &found, after),
        found,
        access,
        collapse,
        until: Instant::now() + LASTS,
        phase: app.phase.clone(),
        told: None,
        encoding,
        over: false,
        _open: Open::new(&app),
    };
    let first = if encoding.is_none() { streaming.next().await } else { None };
    let encoding = streaming.encoding;
    let rest = stream::unfold(streaming, |mut streaming| async move {
        let part = streaming.next().await?;
        Some((part, streaming))
    });
    *response.body_mut() = Body::from_stream(stream::iter(first).chain(rest).map(Ok::<_, Infallible>));
    set(&mut response, header::CONTENT_TYPE.as_str(), "text/event-stream");
    set(&mut response, header::CACHE_CONTROL.as_str(), "no-cache, no-store");
    set(&mut response, "x-accel-buffering", "no");
    if encoding == Some(Encoding::Base64) {
        set(&mut response, DATA_ENCODING, "base64");
    }
    response
}

impl Streaming {
    /// The next part of the body; nothing once it has ended.
    async fn next(&mut self) -> Option<Bytes> {
        let part = self.part().await;
        self.over |= part.is_none();
        part
    }

    async fn part(&mut self) -> Option<Bytes> {
        while !self.over {
            let spread = self.waiting.app.session.drain_spread;
            let come = tokio::select! {
                come = self.waiting.next(&self.access) => come,
                () = sleep_until(self.access.due().map_or(self.until, |due| due.min(self.until))) => return None,
                () = leave(&mut self.phase, spread) => return None,
            };
            if self.access.check().is_err() || self.access.check_time().is_err() {
                return None;
            }
            match come {
                Ok(Come::Frames(batch)) => {
                    if let Some(part) = self.events(&batch).await {
                        return Some(part);
                    }
                }
                Ok(Come::UpToDate) => {
                    if let Some(part) = self.up_to_date().await {
                        return Some(part);
                    }
                }
                Ok(Come::Gone(_)) | Err(_) => return None,
            }
        }
        None
    }

    /// What has come as an event, with where it goes on; nothing if there is nothing for this reader, or if it is over: then it comes again from where
    /// it was told last.
    async fn events(&mut self, batch: &FrameBatch) -> Option<Bytes> {
        let filter = self.waiting.follower.filter();
        let wanted: Vec<_> = batch.frames().iter().filter(|frame| filter.wants(frame.kind, &frame.invocation)).collect();
        // Only a move of the run may be the end.
        if self.found.form().is_some() && wanted.iter().any(|frame| frame.kind == ActivityType::Status) {
            // Without knowing it, what has come cannot be passed on; and the follower is behind it already.
            self.over = !self.look_again().await;
            if self.over {
                return None;
            }
        }
        let end = self.found.row.closed_at;
        let texts = wanted.into_iter().filter(|frame| end.is_none_or(|end| frame.offset <= end)).map(|frame| {
            let mut json = Vec::new();
            batch.write_json(frame, &mut json);
            (frame.kind, json)
        });
        let (body, count) = match self.found.form() {
            Some(form) => joined(form, texts.filter_map(|(kind, json)| message_of(form, kind, &json))),
            None => joined(StreamForm::Json, texts.map(|(_, json)| json)),
        };
        let at = self.waiting.follower.cursor()?;
        let closed = self.found.ends_at(at.offset);
        if count == 0 && !closed {
            return None;
        }
        let encoding = *self.encoding.get_or_insert(Encoding::of(&body));
        if encoding == Encoding::Plain && Encoding::of(&body) != Encoding::Plain {
            // It was said that it is text. By the next answer it comes first, and is said to be none.
            self.over = true;
            return None;
        }
        self.waiting.app.metrics.delivered.inc_by(count as u64);
        let mut text = if count == 0 { Vec::new() } else { data(encoding, &body) };
        text.extend_from_slice(&self.control(at));
        Some(text.into())
    }

    async fn up_to_date(&mut self) -> Option<Bytes> {
        let at = self.waiting.follower.cursor()?;
        if self.told == Some(at.offset) {
            return None;
        }
        self.encoding.get_or_insert(Encoding::Plain);
        Some(self.control(at).into())
    }

    /// Finds out whether it is closed by now, if that can be found out.
    async fn look_again(&mut self) -> bool {
        let found = Found::get(&self.waiting.app, &self.waiting.task).await;
        found.map(|found| self.found = found).is_ok()
    }

    /// Where it goes on, or that it does not.
    fn control(&mut self, at: Cursor) -> Vec<u8> {
        let said = if self.found.ends_at(at.offset) {
            self.over = true;
            json!({"streamNextOffset": offset::written(self.found.tail()), "streamClosed": true})
        } else if self.waiting.follower.head() <= at.offset {
            self.told = Some(at.offset);
            json!({"streamNextOffset": offset::written(at), "streamCursor": self.collapse, "upToDate": true})
        } else {
            json!({"streamNextOffset": offset::written(at), "streamCursor": self.collapse})
        };
        format!("event: control\ndata:{said}\n\n").into_bytes()
    }
}

/// Until the node stops, and a part of the time over which its readers leave.
async fn leave(phase: &mut watch::Receiver<Phase>, spread: Duration) {
    // Without a node there is nobody to wait for either.
    let _ = phase.wait_for(|phase| Phase::Draining <= *phase).await;
    sleep(spread.mul_f64(rand::random())).await;
}

/// The message of an activity as viewers get it.
fn message_of(form: StreamForm, kind: ActivityType, json: &[u8]) -> Option<Vec<u8>> {
    let Fields(fields) = serde_json::from_slice(json).ok()?;
    let data: &RawValue = fields.iter().find(|(name, _)| name == "data").map(|(_, value)| *value)?;
    message_in(form, kind, data.get().as_bytes())
}

/// An event with these bytes, each of its lines in a line of its own.
fn data(encoding: Encoding, body: &[u8]) -> Vec<u8> {
    let text = match encoding {
        Encoding::Base64 => Cow::Owned(STANDARD.encode(body)),
        Encoding::Plain => String::from_utf8_lossy(body),
    };
    let mut event = b"event: data\n".to_vec();
    for line in text.replace("\r\n", "\n").split(['\n', '\r']) {
        // A parser takes one space away that follows the colon.
        event.extend_from_slice(if line.starts_with(' ') { b"data: " } else { b"data:" });
        event.extend_from_slice(line.as_bytes());
        event.push(b'\n');
    }
    event.push(b'\n');
    event
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_breaks_out_of_its_event() {
        let text = |encoding, body: &[u8]| String::from_utf8(data(encoding, body)).expect("UTF-8");
        for (body, expected) in [
            (b"a\nb".as_slice(), "event: data\ndata:a\ndata:b\n\n"),
            (b"a\r\nb\r c", "event: data\ndata:a\ndata:b\ndata:  c\n\n"),
            (b"\n\nevent: control\n", "event: data\ndata:\ndata:\ndata:event: control\ndata:\n\n"),
        ] {
            assert_eq!(text(Encoding::Plain, body), expected);
        }
        assert_eq!(text(Encoding::Base64, &[0, 10, 255]), "event: data\ndata:AAr/\n\n");
    }
}
