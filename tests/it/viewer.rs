//! Viewers as tests see them: over WebSocket and over SSE, written against the protocol and sharing no code with the hub.

use std::net::SocketAddr;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::timeout,
};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, client_async, connect_async,
    tungstenite::{Message, client::IntoClientRequest},
};

use crate::harness::PATIENCE;

/// One WebSocket session.
pub struct Viewer<S = MaybeTlsStream<TcpStream>> {
    socket: WebSocketStream<S>,
}

impl Viewer {
    /// Connects and takes the hello.
    pub async fn connect(address: SocketAddr) -> Self {
        Self::connect_as(address, "tasklight.v1").await
    }

    /// As [`Viewer::connect`], offering these subprotocols.
    pub async fn connect_as(address: SocketAddr, protocols: &str) -> Self {
        let mut request = format!("ws://{address}/v1/ws").into_client_request().expect("a request");
        request.headers_mut().insert("sec-websocket-protocol", protocols.parse().expect("a header"));
        let (socket, _) = timeout(PATIENCE, connect_async(request)).await.expect("in time").expect("a session");
        let mut viewer = Self { socket };
        assert_eq!(viewer.next().await["op"], "hello");
        viewer
    }

    /// Connects and subscribes to a task with these further fields.
    pub async fn subscribe(address: SocketAddr, task: &str, more: Value) -> Self {
        let mut viewer = Self::connect(address).await;
        let mut message = json!({"op": "subscribe", "task": task});
        message.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        viewer.say(message).await;
        viewer
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Viewer<S> {
    /// A session over a connection that is there, offering these subprotocols. Takes the hello.
    pub async fn over(connection: S, protocols: &str) -> Result<Self, tokio_tungstenite::tungstenite::Error> {
        let mut request = "wss://localhost/v1/ws".into_client_request().expect("a request");
        request.headers_mut().insert("sec-websocket-protocol", protocols.parse().expect("a header"));
        let (socket, _) = timeout(PATIENCE, client_async(request, connection)).await.expect("in time")?;
        let mut viewer = Self { socket };
        assert_eq!(viewer.next().await["op"], "hello");
        Ok(viewer)
    }

    pub async fn say(&mut self, message: Value) {
        self.socket.send(Message::text(message.to_string())).await.expect("the session takes it");
    }

    /// The next message, or nothing if the session ended.
    pub async fn try_next(&mut self) -> Option<Value> {
        loop {
            match timeout(PATIENCE, self.socket.next()).await.expect("something comes in time") {
                Some(Ok(Message::Text(text))) => return Some(serde_json::from_str(&text).expect("JSON")),
                Some(Ok(Message::Close(_)) | Err(_)) | None => return None,
                Some(Ok(_)) => {}
            }
        }
    }

    /// The code and reason of the close frame that comes; messages before it are passed over.
    pub async fn closed(&mut self) -> (u16, String) {
        loop {
            match timeout(PATIENCE, self.socket.next()).await.expect("something comes in time") {
                Some(Ok(Message::Close(Some(frame)))) => return (frame.code.into(), frame.reason.to_string()),
                Some(Ok(Message::Close(None)) | Err(_)) | None => panic!("it ended without a reason"),
                Some(Ok(_)) => {}
            }
        }
    }

    pub async fn next(&mut self) -> Value {
        self.try_next().await.expect("the session goes on")
    }

    /// Everything up to and including the first message with this `op`.
    pub async fn until(&mut self, op: &str) -> Vec<Value> {
        let mut seen = Vec::new();
        let found = async {
            loop {
                seen.push(self.next().await);
                if seen.last().is_some_and(|message| message["op"] == op) {
                    return;
                }
            }
        };
        timeout(PATIENCE, found).await.expect("it comes in time");
        seen
    }

    /// The next `count` activities; anything else in between is passed over.
    pub async fn activities(&mut self, count: usize) -> Vec<Value> {
        let mut activities = Vec::with_capacity(count);
        let all = async {
            while activities.len() < count {
                let message = self.next().await;
                if message["op"] == "activity" {
                    activities.push(message);
                }
            }
        };
        timeout(PATIENCE, all).await.expect("they come in time");
        activities
    }

    /// The texts of the next `count` activities.
    pub async fn texts(&mut self, count: usize) -> Vec<String> {
        let activities = self.activities(count).await;
        activities.iter().map(|activity| activity["data"]["text"].as_str().expect("a text").to_owned()).collect()
    }
}

/// One event of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    pub id: Option<String>,
    pub name: Option<String>,
    pub data: String,
}

/// One SSE session.
pub struct Stream {
    response: reqwest::Response,
    buffer: String,
}

impl Stream {
    /// Opens the stream of a task, with a query such as `?last=1` and, as browsers do when they reconnect, a last event id.
    pub async fn open(address: SocketAddr, task: &str, query: &str, last_event_id: Option<&str>) -> Option<Self> {
        let mut request = reqwest::Client::new().get(format!("http://{address}/v1/tasks/{task}/stream{query}"));
        if let Some(id) = last_event_id {
            request = request.header("last-event-id", id);
        }
        let response = request.send().await.ok()?;
        assert_eq!(response.status(), 200);
        Some(Self { response, buffer: String::new() })
    }

    /// The next event, or nothing if the stream ended. Comments and `retry` alone are passed over.
    pub async fn next(&mut self) -> Option<Event> {
        loop {
            while let Some(end) = self.buffer.find("\n\n") {
                let block: String = self.buffer.drain(..end + 2).collect();
                if let Some(event) = parse(&block) {
                    return Some(event);
                }
            }
            let chunk = timeout(PATIENCE, self.response.chunk()).await.expect("something comes in time").ok()??;
            self.buffer.push_str(std::str::from_utf8(&chunk).expect("chunks end between events"));
        }
    }
}

fn parse(block: &str) -> Option<Event> {
    let field = |name: &str| block.lines().find_map(|line| line.strip_prefix(name)).map(str::to_owned);
    Some(Event { id: field("id: "), name: field("event: "), data: field("data: ")? })
}
