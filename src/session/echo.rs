//! A session that says again what it hears, so that the socket can be tested without what is said over it (`make autobahn`). Programs that people run
//! are built without it.

use std::sync::Arc;

use bytes::BytesMut;
use tokio_tungstenite::tungstenite::Message;

use super::{Session, SessionOptions, access::Access};
use crate::{
    hub::{Hub, Relay},
    metrics::Metrics,
    model::text_frame,
};

/// The first byte of a binary frame that is whole (RFC 6455 section 5.2).
const BINARY: u8 = 0x82;

impl Session {
    /// A session like any other, but that it has nothing to say of its own.
    pub(crate) fn echoing(
        hub: Hub,
        options: Arc<SessionOptions>,
        metrics: Arc<Metrics>,
        node: &str,
        access: Access,
        relay: Relay,
    ) -> Self {
        let mut session = Self::new(hub, options, metrics, node, access, relay);
        session.outbox.discard();
        session.echoes = true;
        session
    }

    /// Says a text or binary message again; gives back what is not to be said again.
    pub(super) fn echo(&mut self, message: Message) -> Option<Message> {
        match message {
            Message::Text(text) if self.echoes => self.outbox.push(text_frame(text.as_bytes()), 1),
            Message::Binary(bytes) if self.echoes => {
                let mut frame = BytesMut::from(text_frame(&bytes));
                frame[0] = BINARY;
                self.outbox.push(frame.freeze(), 1);
            }
            other => return Some(other),
        }
        None
    }
}
