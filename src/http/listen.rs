//! The accept loop: HTTP/1.1 with time limits that `axum::serve` does not set, connections that become sessions, and an orderly end.

use std::{
    future::poll_fn,
    net::IpAddr,
    pin::{Pin, pin},
    sync::Arc,
    task::Poll,
    time::Duration,
};

use axum::{Router, body::Body, http::Request};
use bytes::Bytes;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    io::AsyncWriteExt,
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::ServiceExt;

use super::{
    admit::Peer,
    hand_over::{HandOver, Handed},
    refuse::{NoRoom, Refusals, refuse},
    secure::secure,
    stall::StallGuard,
};
use crate::{
    auth::Certificate,
    backoff::Backoff,
    limits::{AddressSeat, Limits, Proxies, Reached},
    session::{ending::Ending, shard::Shards, sse, websocket},
    tls::{Tls, stream::Stream},
};

/// A listener's bounds, and where its connections go once they have become sessions.
#[derive(Debug, Clone)]
pub(crate) struct ListenOptions {
    /// Where sessions live, and how they end.
    pub sessions: (Arc<Shards>, Arc<Ending>),
    /// How long a request's headers may take to arrive, from the first byte or, on a fresh connection, from its start.
    pub header_timeout: Duration,
    /// The most connections at once.
    pub connections: usize,
    /// Whose connections are counted by address, and which peers are proxies and are not; nothing if nobody's are.
    pub addresses: Option<(Arc<Limits>, Proxies)>,
    /// Counts limits that are reached.
    pub reached: Reached,
    /// A client that takes nothing for so long, while something is to be written, is dropped.
    pub write_timeout: Duration,
    /// With what hands are shaken before anything else; nothing if connections are plain.
    pub tls: Option<Arc<Tls>>,
}

/// The most headers of a request.
const MAX_HEADERS: usize = 64;

/// The most bytes of a request's head.
const MAX_HEAD_BYTES: usize = 16 * 1024;

/// How long the end of a connection that broke may take.
const GOODBYE: Duration = Duration::from_secs(1);

/// What a connection takes up as long as it is open.
struct Seats {
    _room: OwnedSemaphorePermit,
    _address: Option<AddressSeat>,
}

impl ListenOptions {
    /// Seats for a connection, or why there are none.
    fn sit(&self, room: &Arc<Semaphore>, peer: IpAddr) -> Result<Seats, NoRoom> {
        let room = room.clone().try_acquire_owned().map_err(|_| NoRoom::Node)?;
        let address = match &self.addresses {
            // Behind a proxy each request is counted.
            Some((limits, proxies)) if !proxies.has(peer) => Some(limits.addresses.sit(peer).ok_or(NoRoom::Address)?),
            _ => None,
        };
        Ok(Seats { _room: room, _address: address })
    }
}

/// Serves `routes` until `stop`; then accepts no more, ends idle connections, and lets requests finish. Connections run on `tracker`.
pub(crate) async fn serve(
    listener: TcpListener,
    routes: Router,
    options: ListenOptions,
    tracker: TaskTracker,
    stop: CancellationToken,
) {
    let room = Arc::new(Semaphore::new(options.connections));
    let refusals = Refusals::new();
    let mut backoff = Backoff::new(Duration::from_millis(5), Duration::from_secs(1));
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.cancelled() => return,
        };
        match accepted {
            Ok((stream, peer)) => {
                backoff.reset();
                match options.sit(&room, peer.ip()) {
                    Ok(seats) => {
                        let (routes, options, stop) = (routes.clone(), options.clone(), stop.clone());
                        let refusals = refusals.clone();
                        tracker.spawn(async move {
                            connection(stream, Peer(peer.ip()), routes, &options, (stop, refusals), seats).await;
                        });
                    }
                    Err(why) => {
                        options.reached.count(why.limit());
                        // Saying so by TLS would take a handshake, which costs more than what is refused.
                        let place = if options.tls.is_none() { refusals.place() } else { None };
                        place.map(|place| tracker.spawn(refuse(stream, move || why.problem(), place)));
                    }
                }
            }
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                backoff.wait().await;
            }
        }
    }
}

async fn connection(
    stream: TcpStream,
    peer: Peer,
    routes: Router,
    options: &ListenOptions,
    (stop, refusals): (CancellationToken, Refusals),
    seats: Seats,
) {
    // Small frames must not wait for the ones before them to be acknowledged.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "a connection broke before its first request");
        return;
    }
    let (stream, certificate) = match &options.tls {
        None => (Stream::Plain(stream), None),
        // In a box of its own, so that a connection has no room for its handshake all its life.
        Some(tls) => match Box::pin(secure(stream, tls, &options.reached, &refusals, &stop)).await {
            Some(secured) => secured,
            None => return,
        },
    };
    match talk(stream, (peer, certificate), routes, options, stop).await {
        Ok(Some((stream, early, handed))) => become_session(stream, early, handed, options, seats),
        Ok(None) => {}
        Err(error) => {
            if error.is_timeout() {
                options.reached.count("header_timeout");
            }
            tracing::debug!(%error, "a connection ended early");
        }
    }
}

/// Serves requests until the connection ends, or until it becomes a session: then gives it with what the client has sent already.
async fn talk(
    stream: Stream,
    (peer, certificate): (Peer, Option<Arc<Certificate>>),
    routes: Router,
    options: &ListenOptions,
    stop: CancellationToken,
) -> Result<Option<(Stream, Bytes, Handed)>, hyper::Error> {
    let hand_over = HandOver::default();
    let note = hand_over.clone();
    let service = service_fn(move |request: Request<Incoming>| {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(note.clone());
        request.extensions_mut().insert(peer);
        if let Some(certificate) = &certificate {
            request.extensions_mut().insert(certificate.clone());
        }
        let answer: Pin<Box<dyn Future<Output = _> + Send>> = Box::pin(routes.clone().oneshot(request));
        answer
    });
    let stream = StallGuard::new(stream, options.write_timeout);
    let blocked = stream.blocked();
    let mut connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(options.header_timeout)
        .max_headers(MAX_HEADERS)
        .max_buf_size(MAX_HEAD_BYTES)
        .serve_connection(TokioIo::new(stream), service);
    let mut stopping = pin!(stop.cancelled());
    let mut is_stopping = false;
    let ended = poll_fn(|context| {
        let ended = connection.poll_without_shutdown(context);
        // hyper has tried to write all it had; unless the socket was full, it is on its way.
        if ended.is_pending() && hand_over.has_begun() && !blocked.is_raised() {
            return Poll::Ready(Ok(()));
        }
        if ended.is_pending() && !is_stopping && stopping.as_mut().poll(context).is_ready() {
            is_stopping = true;
            Pin::new(&mut connection).graceful_shutdown();
            context.waker().wake_by_ref();
        }
        ended
    })
    .await;
    let parts = connection.into_parts();
    let mut stream = parts.io.into_inner();
    if let Err(error) = ended {
        // By TLS, an end without a goodbye could be anybody's doing. Whether it is heard is up to the client.
        let _ = timeout(GOODBYE, stream.shutdown()).await;
        return Err(error);
    }
    match hand_over.take() {
        Some(handed) => Ok(Some((stream.into_inner(), parts.read_buf, handed))),
        None => {
            // The other side may have gone first.
            let _ = stream.shutdown().await;
            Ok(None)
        }
    }
}

fn become_session(stream: Stream, early: Bytes, handed: Handed, options: &ListenOptions, seats: Seats) {
    let stream = match stream.park() {
        Ok(stream) => stream,
        Err(error) => {
            tracing::warn!(%error, "a connection could not be handed over");
            return;
        }
    };
    // The server's buffer goes; what is in it, if anything, is little.
    let early = early.to_vec();
    let (shards, ending) = &options.sessions;
    let ending = ending.clone();
    match handed {
        Handed::WebSocket(session) => shards.serve(stream, move |stream, relay| async move {
            websocket::serve(stream, early, session(relay), ending).await;
            drop(seats);
        }),
        Handed::Sse { session, chunked } => shards.serve(stream, move |stream, relay| async move {
            sse::serve(stream, *session, relay, chunked).await;
            drop(seats);
        }),
    }
}
