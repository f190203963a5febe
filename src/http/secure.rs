//! The handshake before a connection's first request, where the hub speaks TLS.

use std::sync::Arc;

use axum::http::StatusCode;
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

use super::{
    error::Problem,
    refuse::{Refusals, refuse},
};
use crate::{
    auth::Certificate,
    limits::Reached,
    tls::{Failed, Tls, stream::Stream},
};

/// Shakes hands. Gives the connection and the client's certificate; nothing if it is over, or the node stops meanwhile.
pub(super) async fn secure(
    socket: TcpStream,
    tls: &Tls,
    reached: &Reached,
    refusals: &Refusals,
    stop: &CancellationToken,
) -> Option<(Stream, Option<Arc<Certificate>>)> {
    let shaken = tokio::select! {
        shaken = tls.accept(socket) => shaken,
        // Nothing was asked yet, so nothing is owed.
        () = stop.cancelled() => return None,
    };
    match shaken {
        Ok((stream, certificate)) => return Some((stream, certificate.map(Arc::new))),
        Err(Failed::Slow) => reached.count("handshake_timeout"),
        Err(Failed::Plain(socket)) => {
            if let Some(place) = refusals.place() {
                refuse(socket, plain, place).await;
            }
        }
        Err(Failed::Broken(error)) => tracing::debug!(%error, "a handshake failed"),
    }
    None
}

fn plain() -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, "https_required", "this port speaks HTTPS: use https:// or wss:// in the address")
}
