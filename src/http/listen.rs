//! The accept loop: HTTP/1.1 with time limits that `axum::serve` does not set, upgrades, and an orderly end.

use std::{pin::pin, sync::Arc, time::Duration};

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::backoff::Backoff;

/// A listener's bounds.
#[derive(Debug, Clone)]
pub(crate) struct ListenOptions {
    /// How long a request's headers may take to arrive, from the first byte or, on a fresh connection, from its start.
    pub header_timeout: Duration,
    /// The most connections at once.
    pub connections: usize,
    /// A client that takes nothing for so long, while something is to be written, is dropped.
    pub write_timeout: Duration,
}

/// The most headers of a request.
const MAX_HEADERS: usize = 64;

/// The most bytes of a request's head.
const MAX_HEAD_BYTES: usize = 16 * 1024;

/// Serves `routes` until `stop`; then accepts no more, ends idle connections, and lets requests finish. Connections run on `tracker`.
pub(crate) async fn serve(
    listener: TcpListener,
    routes: Router,
    options: ListenOptions,
    tracker: TaskTracker,
    stop: CancellationToken,
) {
    let room = Arc::new(Semaphore::new(options.connections));
    let mut backoff = Backoff::new(Duration::from_millis(5), Duration::from_secs(1));
    loop {
        let Ok(permit) = room.clone().acquire_owned().await else { return };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.cancelled() => return,
        };
        match accepted {
            Ok((stream, _)) => {
                backoff.reset();
                let (routes, options, stop) = (routes.clone(), options.clone(), stop.clone());
                tracker.spawn(async move {
                    connection(stream, routes, &options, stop).await;
                    drop(permit);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                backoff.wait().await;
            }
        }
    }
}

async fn connection(stream: TcpStream, routes: Router, options: &ListenOptions, stop: CancellationToken) {
    // Small frames must not wait for the ones before them to be acknowledged.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "a connection broke before its first request");
        return;
    }
    let io = TokioIo::new(super::stall::StallGuard::new(stream, options.write_timeout));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(options.header_timeout)
        .max_headers(MAX_HEADERS)
        .max_buf_size(MAX_HEAD_BYTES)
        .serve_connection(io, TowerToHyperService::new(routes))
        .with_upgrades();
    let mut connection = pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended early");
    }
}
