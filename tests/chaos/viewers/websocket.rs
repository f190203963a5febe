//! A viewer by WebSocket: several tasks on one socket.

use futures_util::{SinkExt, StreamExt};
use serde_json::json;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_tungstenite::{
    connect_async,
    tungstenite::{Message, client::IntoClientRequest, http::HeaderValue},
};

use super::{CONNECT_TIMEOUT, LEAVE_TIMEOUT, Left, SILENCE, Viewer};

/// Connects to any node, reads for a while and goes.
pub(super) async fn stay(viewer: &mut Viewer) -> Left {
    let Ok(mut request) = format!("ws://{}/v1/ws", viewer.run.nodes.any()).into_client_request() else {
        return Left::InVain;
    };
    request.headers_mut().insert("sec-websocket-protocol", HeaderValue::from_static("tasklight.v1"));
    let connected = timeout(CONNECT_TIMEOUT, connect_async(request)).await;
    let Ok(Ok((mut socket, _))) = connected else {
        viewer.run.figures.refused.one();
        return Left::InVain;
    };
    viewer.run.figures.connections.one();
    for (task, place) in &viewer.places {
        let after = place.cursor.as_deref().unwrap_or("start");
        let subscribe = json!({"op": "subscribe", "task": task, "after": after}).to_string();
        if socket.send(Message::text(subscribe)).await.is_err() {
            return Left::InVain;
        }
    }
    let mut until = viewer.until();
    let mut heard = Instant::now();
    loop {
        let Ok(next) = timeout_at(until.min(heard + SILENCE), socket.next()).await else {
            if heard + SILENCE <= Instant::now() {
                viewer.run.figures.silent.one();
                return Left::InVain;
            }
            // The other side may be frozen: goodbye is not waited for.
            let _ = timeout(LEAVE_TIMEOUT, socket.close(None)).await;
            return Left::Gladly;
        };
        match next {
            Some(Ok(Message::Text(text))) => {
                heard = Instant::now();
                if viewer.take(&text, |run| &run.figures.websocket) {
                    until = until.min(Instant::now() + LEAVE_TIMEOUT);
                }
                if viewer.has_all() {
                    return Left::Gladly;
                }
            }
            Some(Ok(Message::Close(_)) | Err(_)) | None => return Left::InVain,
            Some(Ok(_)) => {}
        }
    }
}
