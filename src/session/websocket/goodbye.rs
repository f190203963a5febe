//! How a connection ends so that its client gets to read why.

use std::{future::poll_fn, io, time::Duration};

use futures_util::{SinkExt, StreamExt};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::timeout,
};
use tokio_tungstenite::tungstenite::{
    Utf8Bytes,
    protocol::{CloseFrame, frame::coding::CloseCode},
};

use super::Connection;
use crate::tls::stream::Stream;

/// How long a close frame may take to be written to a socket that is not being read.
const CLOSE_GRACE: Duration = Duration::from_secs(5);

/// The most bytes that are read from a client that has been told to go, so that it gets to read why.
const LINGER_BYTES: usize = 4 << 20;

impl Connection {
    /// Sends what is left if the socket takes it, the close frame, and waits a little for the client's.
    pub(super) async fn close(&mut self, code: u16, reason: &'static str) {
        let frame = CloseFrame { code: CloseCode::from(code), reason: Utf8Bytes::from_static(reason) };
        let goodbye = async {
            self.empty_outbox().await?;
            self.socket.close(Some(frame)).await.map_err(io::Error::other)?;
            while let Some(Ok(_)) = self.socket.next().await {}
            // If reading has failed there may be more to come, and a connection that is closed on it is reset, which takes away our reason.
            linger(&mut self.socket.get_mut().stream).await
        };
        // Whether the client hears it is up to the client.
        let _ = timeout(CLOSE_GRACE, goodbye).await;
    }

    /// The answer to the client's close frame is in the socket's buffer already.
    pub(super) async fn answer_close(&mut self) {
        self.session.discard();
        let answer = async {
            self.empty_outbox().await?;
            self.socket.flush().await.map_err(io::Error::other)?;
            self.socket.get_mut().stream.shutdown().await
        };
        // The client may be gone.
        let _ = timeout(CLOSE_GRACE, answer).await;
    }

    async fn empty_outbox(&mut self) -> io::Result<()> {
        while !self.session.outbox.is_empty() {
            poll_fn(|context| self.poll_write(context)).await?;
        }
        Ok(())
    }
}

/// Says that nothing more comes, and reads on for a while what nobody looks at.
async fn linger(stream: &mut Stream) -> io::Result<()> {
    stream.shutdown().await?;
    let (mut buffer, mut left) = (vec![0; 4_096], LINGER_BYTES);
    while left != 0 {
        match stream.read(&mut buffer).await? {
            0 => break,
            count => left = left.saturating_sub(count),
        }
    }
    Ok(())
}
