//! Why a WebSocket session ends, and what its client is told.

use tokio_tungstenite::tungstenite::{Error, error::CapacityError};

use super::{access::Denied, meter::TooMuch};
use crate::auth::Refusal;

/// Why a session ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// The connection broke.
    Gone,
    /// The client closed.
    Closed,
    /// The client broke the WebSocket protocol itself.
    Malformed,
    /// The client sent text that is not UTF-8.
    NotUtf8,
    /// The node stops.
    Drained,
    /// The client broke the protocol too often.
    Policy,
    /// The client sent too many frames in too short a time.
    Flood,
    /// The client sent a message in too many pieces.
    Torn,
    /// The client sent a frame or message that is too long.
    TooBig,
    /// A message of the client's took too long to come.
    Dribbled,
    /// The client took nothing for too long.
    TooSlow,
    /// Nothing was heard of the client for too long.
    Silent,
    /// The token is missing, has ended, or was taken back.
    Unauthorized(Refusal),
    /// The new token is another subject's.
    OtherSubject,
    /// The subject has as many sessions as it may.
    TooManySessions,
}

impl End {
    /// The close code and reason of DESIGN section 7, and the label under which it is counted.
    pub(super) fn close(self) -> Option<(u16, &'static str, &'static str)> {
        match self {
            Self::Gone | Self::Closed => None,
            Self::Malformed => Some((1002, "the frames are not valid", "malformed")),
            Self::NotUtf8 => Some((1007, "the text is not UTF-8", "not_utf8")),
            Self::Drained => Some((1012, "the node is stopping; reconnect and continue after your cursor", "drain")),
            Self::Policy => Some((1008, "too many messages that make no sense", "policy")),
            Self::Flood => Some((1008, "too many frames in too short a time", "too_many_frames")),
            Self::Torn => Some((1009, "the message has too many fragments", "too_many_fragments")),
            Self::TooBig => Some((1009, "the message is too long", "too_big")),
            Self::Dribbled => Some((4408, "a message took too long to arrive", "message_timeout")),
            Self::TooSlow => Some((4408, "nothing could be written for too long", "too_slow")),
            Self::Silent => Some((4408, "nothing was heard for too long", "silent")),
            Self::Unauthorized(refusal) => Some((4401, refusal.reason(), refusal.code())),
            Self::OtherSubject => Some((4403, "the new token speaks for another subject", "other_subject")),
            Self::TooManySessions => Some((4429, "the subject has too many sessions open", "too_many_sessions")),
        }
    }

    /// The key of the limit that was reached, if that is why.
    pub(super) fn limit(self) -> Option<&'static str> {
        match self {
            Self::Flood => Some("frames_per_second"),
            Self::Torn => Some("fragments"),
            Self::TooBig => Some("frame"),
            Self::Dribbled => Some("message_timeout"),
            Self::TooSlow => Some("write_timeout"),
            Self::Silent => Some("idle_timeout"),
            Self::TooManySessions => Some("sessions_per_subject"),
            _ => None,
        }
    }

    /// Whether what waits for the client must not or need not be sent.
    pub(super) fn discards(self) -> bool {
        matches!(
            self,
            Self::Unauthorized(_) | Self::OtherSubject | Self::TooSlow | Self::Silent | Self::Dribbled | Self::TooManySessions
        )
    }

    /// What reading has come to.
    pub(super) fn of(error: &Error, too_much: Option<TooMuch>) -> Self {
        match (too_much, error) {
            (Some(TooMuch::Frames), _) => Self::Flood,
            (Some(TooMuch::Fragments), _) => Self::Torn,
            (None, Error::Capacity(CapacityError::MessageTooLong { .. })) => Self::TooBig,
            (None, Error::Protocol(_)) => Self::Malformed,
            (None, Error::Utf8(_)) => Self::NotUtf8,
            (None, _) => Self::Gone,
        }
    }
}

impl From<Denied> for End {
    fn from(denied: Denied) -> Self {
        match denied {
            Denied::Unauthorized(refusal) => Self::Unauthorized(refusal),
            Denied::OtherSubject => Self::OtherSubject,
            Denied::TooManySessions => Self::TooManySessions,
        }
    }
}
