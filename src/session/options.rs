//! What bounds a session.

use std::time::Duration;

use crate::limits::Rate;

/// A session's bounds.
#[derive(Debug, Clone)]
pub struct SessionOptions {
    /// The most encoded frames that wait to be written.
    pub queue_frames: usize,
    /// The most bytes of frames that wait to be written; one frame may exceed it.
    pub queue_bytes: usize,
    /// The most tasks that one socket follows.
    pub subscriptions: usize,
    /// The most bytes of a message from a client.
    pub frame_bytes: usize,
    /// How many frames a client may send.
    pub(crate) frames: Rate,
    /// In how many pieces a message may come; 0 for any number.
    pub(crate) fragments: u32,
    /// How often a client may subscribe.
    pub(crate) subscribes: Rate,
    /// A message that has not come whole for so long is given up.
    pub message_timeout: Duration,
    /// How often a ping and a heartbeat are sent, give or take a tenth.
    pub heartbeat: Duration,
    /// A client that nothing was heard of for so long is gone.
    pub idle_timeout: Duration,
    /// A client that took nothing for so long, while something waited, is too slow.
    pub write_timeout: Duration,
    /// Over how long the sessions of a stopping node are closed.
    pub drain_spread: Duration,
    /// Within how long their clients are told to come back.
    pub reconnect_window: Duration,
    /// How long a request waits for what comes next.
    pub long_poll: Duration,
}
