//! A connection that has become a session leaves the HTTP server: its handler leaves a note here, and once the head of the response is on its
//! way the accept loop takes the socket from hyper and gives it to a shard. Nothing of the HTTP server stays behind, so an open session costs no
//! more than its socket and itself.

use std::{
    convert::Infallible,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
};

use axum::body::Body;
use bytes::Bytes;
use hyper::body::Frame;
use parking_lot::Mutex;

use crate::session::{Session, sse::SseSession};

/// What a connection becomes.
pub(super) enum Handed {
    /// A WebSocket, made once its shard is known.
    WebSocket(Box<dyn FnOnce(crate::hub::Relay) -> Session + Send>),
    /// A stream of events, in chunks or until the end of the connection.
    Sse {
        /// What is streamed.
        session: Box<SseSession>,
        /// Whether the body is in chunks.
        chunked: bool,
    },
}

/// The place for the note, one for each connection; in the extensions of its requests.
#[derive(Clone, Default)]
pub(super) struct HandOver {
    inner: Arc<Inner>,
}

#[derive(Default)]
struct Inner {
    note: Mutex<Option<Handed>>,
    /// The body of the response has been asked for more than its start: everything before has been given to the socket.
    begun: AtomicBool,
}

impl HandOver {
    /// Leaves the note.
    pub(super) fn leave(&self, handed: Handed) {
        *self.inner.note.lock() = Some(handed);
    }

    /// Takes the note.
    pub(super) fn take(&self) -> Option<Handed> {
        self.inner.note.lock().take()
    }

    /// Whether a response has begun whose rest is for the session to write.
    pub(super) fn has_begun(&self) -> bool {
        self.inner.begun.load(Ordering::Acquire)
    }

    /// A body that is `first`, and then for the session to go on with.
    pub(super) fn body(&self, first: Bytes) -> Body {
        Body::new(Beginning { first: Some(first), hand_over: self.clone() })
    }
}

struct Beginning {
    first: Option<Bytes>,
    hand_over: HandOver,
}

impl hyper::body::Body for Beginning {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match self.first.take() {
            Some(first) => Poll::Ready(Some(Ok(Frame::data(first)))),
            None => {
                // Nobody needs to be woken: the accept loop looks at this right after hyper has returned.
                self.hand_over.inner.begun.store(true, Ordering::Release);
                Poll::Pending
            }
        }
    }
}
