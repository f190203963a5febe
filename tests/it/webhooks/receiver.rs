//! Somebody who is told: an HTTP server on loopback that notes what it gets and answers as it was told to.

use std::{collections::VecDeque, net::SocketAddr, sync::Arc};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode, Uri},
    response::{IntoResponse, Response},
};
use parking_lot::Mutex;
use serde_json::Value;
use tokio::{
    net::TcpListener,
    sync::mpsc,
    task::JoinHandle,
    time::{Instant, timeout},
};
use tokio_util::task::TaskTracker;

use crate::harness::PATIENCE;

/// The most requests that wait to be looked at by a test.
const ARRIVALS: usize = 1_024;

/// How a request is answered; with 200 if nothing was said.
pub enum Answer {
    Status(u16, Vec<(&'static str, String)>),
    /// Never.
    None,
}

/// A request.
#[derive(Debug)]
pub struct Arrival {
    pub at: Instant,
    pub headers: HeaderMap,
    pub path: String,
    pub text: Bytes,
}

impl Arrival {
    pub fn id(&self) -> &str {
        self.header("webhook-id")
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_else(|| panic!("{name} is missing"))
    }

    pub fn body(&self) -> Value {
        serde_json::from_slice(&self.text).expect("JSON")
    }

    /// What it is about: task, run, and what that became.
    pub fn words(&self) -> [String; 3] {
        let body = self.body();
        let text = |value: &Value| value.as_str().expect("a text").to_owned();
        let kind = text(&body["type"]);
        [
            text(&body["task"]["taskId"]),
            text(&body["invocation"]["invocationId"]),
            kind.trim_start_matches("invocation.").to_owned(),
        ]
    }
}

struct Shared {
    arrivals: mpsc::Sender<Arrival>,
    script: Mutex<VecDeque<Answer>>,
}

pub struct Receiver {
    pub address: SocketAddr,
    arrivals: mpsc::Receiver<Arrival>,
    shared: Arc<Shared>,
    server: JoinHandle<()>,
}

impl Receiver {
    pub async fn start() -> Self {
        Self::start_at("127.0.0.1:0".parse().expect("an address")).await
    }

    pub async fn start_at(address: SocketAddr) -> Self {
        let listener = TcpListener::bind(address).await.expect("it is free");
        let address = listener.local_addr().expect("it has one");
        let (sender, arrivals) = mpsc::channel(ARRIVALS);
        let shared = Arc::new(Shared { arrivals: sender, script: Mutex::default() });
        let app = Router::new().fallback(take).with_state(shared.clone());
        let server = TaskTracker::new().spawn(async move { axum::serve(listener, app).await.expect("it serves") });
        Self { address, arrivals, shared, server }
    }

    /// The next requests are answered like this.
    pub fn answers(&self, answers: impl IntoIterator<Item = Answer>) {
        self.shared.script.lock().extend(answers);
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub async fn next(&mut self) -> Arrival {
        timeout(PATIENCE, self.arrivals.recv()).await.expect("it is told in time").expect("it serves")
    }

    /// The next ones, by what they are about.
    pub async fn words(&mut self, count: usize) -> Vec<[String; 3]> {
        let mut all = Vec::new();
        for _ in 0..count {
            all.push(self.next().await.words());
        }
        all
    }

    /// That nothing has come that was not looked at.
    pub fn is_silent(&mut self) -> bool {
        self.arrivals.try_recv().is_err()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn take(State(shared): State<Arc<Shared>>, uri: Uri, headers: HeaderMap, text: Bytes) -> Response {
    let answer = shared.script.lock().pop_front();
    // The test may be over.
    let _ = shared.arrivals.send(Arrival { at: Instant::now(), headers, path: uri.to_string(), text }).await;
    match answer {
        None => StatusCode::OK.into_response(),
        Some(Answer::None) => std::future::pending().await,
        Some(Answer::Status(status, headers)) => {
            let mut response = StatusCode::from_u16(status).expect("a status").into_response();
            for (name, value) in headers {
                response.headers_mut().insert(name, value.parse().expect("a header"));
            }
            response
        }
    }
}
