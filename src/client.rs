//! The Rust client of a hub: publish, describe, and follow a task through whatever happens to the connection.
//!
//! One HTTP client serves requests and WebSocket handshakes alike, so both see the same proxies, certificates and limits.

mod delivery;
mod error;
mod follow;
mod line;
mod message;
mod place;
mod publish;
mod publisher;
mod redis;
mod socket;
mod tasks;
mod trust;
mod watch;

use std::{fmt, str::FromStr, time::Duration};

use bytes::Bytes;
use reqwest::{Method, RequestBuilder, Response, StatusCode, Url, header, redirect};

use crate::model::{Filter, TaskId};

pub use error::{ClientError, Problem};
pub use follow::{Event, Follow, FollowError};
pub use message::Received;
pub use place::Start;
pub use publish::{ItemResult, Receipt, Refusal};
pub use publisher::Publisher;
pub use redis::RedisPublisher;
pub use tasks::{RevokeWanted, TaskDetails, TaskPage, TasksWanted};
pub use trust::TlsFiles;
pub use watch::{ListEvent, WatchTasks};

pub(crate) use delivery::{Answer as Acks, Delivery};
pub(crate) use message::Message;
pub(crate) use place::{Meaning, Place};

/// How long a connection to the hub may take to open.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// How long one request may take, with its answer. A hub whose store is busy may hold a publish for a while before it refuses it.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// How long an unused connection is kept for the next request.
const POOL_IDLE_TIMEOUT: Duration = Duration::from_secs(30);

/// The most bytes of an answer: a page of a thousand tasks, or a thousand receipts, is far below.
const ANSWER_BYTES: usize = 16 << 20;

/// A secret that grants access. It never appears in `Debug` output, and must not be printed.
#[derive(Clone)]
pub struct Token(String);

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

impl FromStr for Token {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let visible = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
        if visible { Ok(Self(text.to_owned())) } else { Err("a token is printable ASCII without spaces") }
    }
}

/// A hub and the right to use it. Cheap to clone; clones share their connections.
#[derive(Debug, Clone)]
pub struct Client {
    http: reqwest::Client,
    hub: Url,
    token: Option<Token>,
}

impl Client {
    /// A client of the hub at this URL, trusting the authorities that this machine trusts. Opens no connection yet.
    pub fn new(hub: &str, token: Option<Token>) -> Result<Self, ClientError> {
        Self::with_files(hub, token, &TlsFiles::default())
    }

    /// The same, trusting whom these files say and showing the certificate that they hold. They are read now, and not again.
    pub fn with_files(hub: &str, token: Option<Token>, files: &TlsFiles) -> Result<Self, ClientError> {
        let hub = hub_url(hub)?;
        let builder = reqwest::Client::builder()
            .user_agent(concat!("tasklight/", env!("CARGO_PKG_VERSION")))
            .http1_only()
            .connect_timeout(CONNECT_TIMEOUT)
            .pool_idle_timeout(POOL_IDLE_TIMEOUT)
            .pool_max_idle_per_host(1)
            .tcp_nodelay(true)
            .redirect(redirect::Policy::none());
        // A proxy for the outside world cannot reach this machine's own loopback.
        let builder = if is_loopback(&hub) { builder.no_proxy() } else { builder };
        let builder = files.apply(builder)?;
        let http = builder.build().map_err(|error| ClientError::Setup(error::innermost(&error)))?;
        Ok(Self { http, hub, token })
    }

    /// The hub's URL, without a slash at its end.
    pub fn hub(&self) -> &str {
        self.hub.as_str().trim_end_matches('/')
    }

    /// Where people watch this task.
    pub fn page_of(&self, task: &TaskId) -> String {
        format!("{}/tasks/{task}", self.hub())
    }

    /// Follows a task's log from `start`. Connects when it is first asked for an event.
    pub fn follow(&self, task: TaskId, start: Start, filter: Filter) -> Follow {
        Follow::new(self.clone(), task, start, filter)
    }

    /// Watches the list of tasks. Connects when it is first asked for an event.
    pub fn watch_tasks(&self) -> WatchTasks {
        WatchTasks::new(self.clone())
    }

    /// The address of a resource below `/v1`.
    fn url(&self, segments: &[&str]) -> Url {
        let mut url = self.hub.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().push("v1").extend(segments);
        }
        url
    }

    fn request(&self, method: Method, url: Url) -> RequestBuilder {
        let request = self.http.request(method, url);
        match &self.token {
            Some(token) => request.bearer_auth(&token.0),
            None => request,
        }
    }

    /// Sends a request and reads its whole answer, both within their bounds.
    async fn send(&self, request: RequestBuilder) -> Result<Answer, ClientError> {
        let response = request.timeout(REQUEST_TIMEOUT).send().await.map_err(|error| self.unreachable(&error))?;
        self.read(response).await
    }

    async fn read(&self, mut response: Response) -> Result<Answer, ClientError> {
        let (status, retry_after, location) = (response.status(), error::retry_after(&response), location(&response));
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| self.unreachable(&error))? {
            if ANSWER_BYTES < body.len() + chunk.len() {
                return Err(ClientError::Answer(format!("it is longer than {ANSWER_BYTES} bytes")));
            }
            body.extend_from_slice(&chunk);
        }
        match location {
            Some(location) => Err(ClientError::Redirected { hub: self.hub().to_owned(), location }),
            None => Ok(Answer { status, retry_after, body: body.into() }),
        }
    }

    fn unreachable(&self, error: &reqwest::Error) -> ClientError {
        let reason = match error.is_timeout() {
            true => "it did not answer in time".to_owned(),
            false => error::innermost(error),
        };
        ClientError::Unreachable { hub: self.hub().to_owned(), reason }
    }
}

/// A hub's answer, read whole.
struct Answer {
    status: StatusCode,
    retry_after: Option<Duration>,
    body: Bytes,
}

impl Answer {
    /// The answer, unless it is a problem.
    fn success(self) -> Result<Bytes, ClientError> {
        if self.status.is_success() { Ok(self.body) } else { Err(ClientError::Refused(self.problem())) }
    }

    fn problem(&self) -> Problem {
        Problem::read(self.status, self.retry_after, &self.body)
    }
}

/// Where a redirect points. It is not followed: the token is for the hub that was named, and a redirected POST becomes a GET.
fn location(response: &Response) -> Option<String> {
    let location = response.headers().get(header::LOCATION).filter(|_| response.status().is_redirection())?;
    location.to_str().ok().map(error::printable)
}

fn hub_url(text: &str) -> Result<Url, ClientError> {
    let bad = |reason: &str| ClientError::Setup(format!("hub: {reason}, such as http://127.0.0.1:8080"));
    let url = Url::parse(text).map_err(|error| bad(&format!("{error}; it must be a URL")))?;
    if !matches!(url.scheme(), "http" | "https") || url.cannot_be_a_base() {
        return Err(bad("it must be an http or https URL"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(bad("it must not hold a user or password (access is by token)"));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(bad("it must be a URL without '?' and '#'"));
    }
    Ok(url)
}

fn is_loopback(url: &Url) -> bool {
    let name = url.host_str().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    name == "localhost" || name.ends_with(".localhost") || name.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hub_may_live_below_a_path() {
        for (hub, url) in [
            ("http://127.0.0.1:8080", "http://127.0.0.1:8080/v1/tasks/t"),
            ("https://ci.example/tasklight/", "https://ci.example/tasklight/v1/tasks/t"),
        ] {
            let client = Client::new(hub, None).expect(hub);
            assert_eq!(client.url(&["tasks", "t"]).as_str(), url);
            assert_eq!(client.hub(), hub.trim_end_matches('/'));
        }
    }

    #[test]
    fn a_hub_that_is_no_plain_http_url_is_refused_with_its_name() {
        for hub in ["", "localhost:8080", "ftp://h", "http://u:secret@h", "http://h/?a=b"] {
            let error = Client::new(hub, None).expect_err(hub).to_string();
            assert!(error.starts_with("hub: ") && !error.contains("secret"), "{error}");
        }
    }

    #[test]
    fn a_token_is_not_shown() {
        let token: Token = "hunter2".parse().expect("a token");
        assert_eq!(format!("{token:?}"), "[redacted]");
        assert!("a b".parse::<Token>().is_err() && "".parse::<Token>().is_err());
    }
}
