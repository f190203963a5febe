//! What a refused request has left unread. A connection that is closed while its client is still sending is reset, and the client may never see the answer
//! that it was refused with; so the rest is read and thrown away first, within bounds, whoever refused: no token, no grant, no such route.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    body::{Body, Bytes},
    http::{Request, Response, StatusCode, header},
    middleware::Next,
};
use http_body_util::{BodyExt, Limited};
use hyper::body::{Body as _, Frame, SizeHint};
use parking_lot::Mutex;
use tokio::time::timeout;

/// How much of a body that nobody wants is read and thrown away, and for how long.
const DISCARD_BYTES: usize = 64 << 20;
const DISCARD_TIME: Duration = Duration::from_secs(5);

/// Lets the client of a request that was refused finish before it is answered.
pub(super) async fn discard(request: Request<Body>, next: Next) -> Response<Body> {
    if request.body().is_end_stream() {
        return next.run(request).await;
    }
    let asks_first = request.headers().contains_key(header::EXPECT);
    let left = Arc::default();
    let request = request.map(|body| Body::new(Lent { body, has_begun: false, left: Arc::clone(&left) }));
    let response = next.run(request).await;
    let status = response.status();
    // One whose body takes too long has had its time.
    let is_refused = (status.is_client_error() || status.is_server_error()) && status != StatusCode::REQUEST_TIMEOUT;
    let left = left.lock().take();
    match left {
        // A client that asks before it sends has not begun, unless somebody has begun to read.
        Some(Left { body, has_begun }) if is_refused && (has_begun || !asks_first) => read(body).await,
        _ => {}
    }
    response
}

/// Reads the rest of a body, up to a bound. A client that is still sending then may miss its answer.
async fn read(body: Body) {
    let reading = async {
        let mut body = Limited::new(body, DISCARD_BYTES);
        while let Some(Ok(_)) = body.frame().await {}
    };
    let _ = timeout(DISCARD_TIME, reading).await;
}

/// A body that comes back when it is dropped before its end.
struct Lent {
    body: Body,
    has_begun: bool,
    left: Arc<Mutex<Option<Left>>>,
}

/// What came back.
struct Left {
    body: Body,
    has_begun: bool,
}

impl hyper::body::Body for Lent {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        self.has_begun = true;
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if !self.body.is_end_stream() {
            let body = std::mem::take(&mut self.body);
            *self.left.lock() = Some(Left { body, has_begun: self.has_begun });
        }
    }
}
