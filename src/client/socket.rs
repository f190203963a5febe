//! One WebSocket connection to a hub: opened within a time limit, subscribed to one task, and given up when nothing is heard.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use reqwest::{Method, StatusCode, Upgraded, header};
use serde::Serialize;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        self, Error, Utf8Bytes,
        handshake::{client::generate_key, derive_accept_key},
        protocol::{Role, WebSocketConfig},
    },
};

use super::{Answer, Client, ClientError, Start, error};
use crate::model::{ActivityType, Filter, TaskId};

/// The subprotocol that both sides must name.
const SUBPROTOCOL: &str = "tasklight.v1";

/// How long the handshake may take, with the connection and TLS.
const OPEN_TIMEOUT: Duration = Duration::from_secs(15);

/// How long a message of ours may take to be written.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);

/// A connection on which nothing was heard for so long is dead: hubs send a ping every 25 seconds.
const LIVENESS: Duration = Duration::from_secs(60);

/// How long a goodbye may take.
const CLOSE_GRACE: Duration = Duration::from_secs(1);

/// The buffer that the socket reads into.
const READ_BUFFER: usize = 16 * 1024;

/// We send little: a subscription, and answers to pings.
const WRITE_BUFFER: usize = 4 * 1024;

/// The most bytes that may wait to be written.
const MAX_WRITE_BUFFER: usize = 64 * 1024;

/// The most bytes of a message from the hub. An activity has 64 KiB unless the hub is configured for more.
const MESSAGE_BYTES: usize = 16 << 20;

/// What a connection had to say.
#[derive(Debug)]
pub(super) enum Heard {
    /// A message.
    Text(Utf8Bytes),
    /// The hub closed, with this code and reason.
    Closed(u16, String),
    /// The connection broke, or fell silent.
    Broken(String),
}

/// An open connection.
#[derive(Debug)]
pub(super) struct Socket {
    stream: WebSocketStream<Upgraded>,
    heard: Instant,
}

/// The message that begins a subscription.
#[derive(Serialize)]
struct Subscribe<'a> {
    op: &'static str,
    task: &'a TaskId,
    #[serde(skip_serializing_if = "Option::is_none")]
    after: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last: Option<u64>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    types: &'a [ActivityType],
    #[serde(skip_serializing_if = "Option::is_none")]
    invocation: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    series: Option<&'static str>,
}

impl Socket {
    /// Opens a connection and completes the handshake (RFC 6455 section 4.1).
    pub(super) async fn open(client: &Client) -> Result<Self, ClientError> {
        timeout(OPEN_TIMEOUT, Self::shake_hands(client)).await.unwrap_or_else(|_| {
            Err(ClientError::Unreachable { hub: client.hub().to_owned(), reason: "it did not answer in time".to_owned() })
        })
    }

    async fn shake_hands(client: &Client) -> Result<Self, ClientError> {
        let key = generate_key();
        let request = client
            .request(Method::GET, client.url(&["ws"]))
            .header(header::CONNECTION, "Upgrade")
            .header(header::UPGRADE, "websocket")
            .header(header::SEC_WEBSOCKET_VERSION, "13")
            .header(header::SEC_WEBSOCKET_KEY, &key)
            .header(header::SEC_WEBSOCKET_PROTOCOL, SUBPROTOCOL);
        let response = request.send().await.map_err(|error| client.unreachable(&error))?;
        if response.status() != StatusCode::SWITCHING_PROTOCOLS {
            return Err(client.refusal(response).await);
        }
        let is = |name: header::HeaderName, wanted: &str| {
            response.headers().get(name).is_some_and(|value| value.as_bytes() == wanted.as_bytes())
        };
        if !is(header::SEC_WEBSOCKET_ACCEPT, &derive_accept_key(key.as_bytes())) {
            return Err(ClientError::Answer("the WebSocket handshake is not answered rightly".to_owned()));
        }
        if !is(header::SEC_WEBSOCKET_PROTOCOL, SUBPROTOCOL) {
            return Err(ClientError::Answer(format!("it does not speak the subprotocol {SUBPROTOCOL}")));
        }
        let upgraded = response.upgrade().await.map_err(|error| client.unreachable(&error))?;
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BUFFER)
            .write_buffer_size(WRITE_BUFFER)
            .max_write_buffer_size(MAX_WRITE_BUFFER)
            .max_message_size(Some(MESSAGE_BYTES))
            .max_frame_size(Some(MESSAGE_BYTES));
        let stream = WebSocketStream::from_raw_socket(upgraded, Role::Client, Some(config)).await;
        Ok(Self { stream, heard: Instant::now() })
    }

    /// Asks for a task's activities. Gives false if the connection broke.
    pub(super) async fn subscribe(&mut self, task: &TaskId, start: Start, filter: &Filter) -> bool {
        let (after, last) = match start {
            Start::Beginning => (Some("start".to_owned()), None),
            Start::End => (Some("end".to_owned()), None),
            Start::Last(count) => (None, Some(count)),
            Start::After(cursor) => (Some(cursor.to_string()), None),
        };
        let message = Subscribe {
            op: "subscribe",
            task,
            after,
            last,
            types: &filter.types,
            invocation: filter.invocation.as_ref().map(|invocation| invocation.as_str()),
            series: filter.finished_series.then_some("final"),
        };
        self.say(serde_json::to_string(&message).expect("protocol messages are JSON")).await
    }

    /// Asks for the list of tasks. Gives false if the connection broke.
    pub(super) async fn subscribe_list(&mut self) -> bool {
        self.say(r#"{"op":"subscribe","list":"tasks"}"#.to_owned()).await
    }

    async fn say(&mut self, text: String) -> bool {
        matches!(timeout(WRITE_TIMEOUT, self.stream.send(tungstenite::Message::text(text))).await, Ok(Ok(())))
    }

    /// The next thing heard. Nothing is lost if the wait is given up. After anything but text the connection is of no use.
    pub(super) async fn next(&mut self) -> Heard {
        loop {
            let Ok(next) = timeout_at(self.heard + LIVENESS, self.stream.next()).await else {
                return Heard::Broken(format!("nothing was heard for {} s", LIVENESS.as_secs()));
            };
            self.heard = Instant::now();
            match next {
                Some(Ok(tungstenite::Message::Text(text))) => return Heard::Text(text),
                Some(Ok(tungstenite::Message::Close(frame))) => {
                    return frame.map_or(Heard::Broken("the hub closed the connection".to_owned()), |frame| {
                        Heard::Closed(frame.code.into(), error::printable(&frame.reason))
                    });
                }
                // Pings are answered by the next read.
                Some(Ok(_)) => {}
                Some(Err(Error::Io(error))) => return Heard::Broken(error.to_string()),
                Some(Err(error)) => return Heard::Broken(error::innermost(&error)),
                None => return Heard::Broken("the connection ended".to_owned()),
            }
        }
    }

    /// Says goodbye, briefly.
    pub(super) async fn close(mut self) {
        // Whether the hub hears it is up to the network; it notices the end of the connection anyway.
        let _ = timeout(CLOSE_GRACE, self.stream.close(None)).await;
    }
}

impl Client {
    /// What an answer other than an upgrade means.
    async fn refusal(&self, response: reqwest::Response) -> ClientError {
        match self.read(response).await {
            Ok(Answer { status, .. }) if status.is_success() => ClientError::Answer(
                "the WebSocket handshake is not answered: is there a proxy that cannot pass it on?".to_owned(),
            ),
            Ok(answer) => ClientError::Refused(answer.problem()),
            Err(error) => error,
        }
    }
}
