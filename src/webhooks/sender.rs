//! One try: a signed request, to an address that was looked at, and what its answer means.

use std::{error::Error, net::IpAddr, sync::Arc, time::Duration};

use reqwest::{Certificate, Client, Response, StatusCode, Url, header, redirect::Policy};

use super::{
    Endpoint, RequestOptions,
    resolver::{Refused, Resolver},
};
use crate::model::Timestamp;

/// How much of an answer is read, so that the connection can be used again. What it says does not matter.
const ANSWER_BYTES: usize = 16 * 1024;

/// How long an unused connection is kept.
const POOL_IDLE: Duration = Duration::from_secs(30);

/// What became of a try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It was taken (2xx).
    Delivered,
    /// The endpoint wants nothing more, ever (410).
    Gone,
    /// It was not taken.
    Failed {
        /// Why.
        failure: Failure,
        /// How long the endpoint wants to be left alone.
        wait: Option<Duration>,
    },
}

/// Why a try failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Failure {
    /// Nothing may be sent to its address.
    Address,
    /// No connection, or none with a good certificate.
    Connect,
    /// No answer in time.
    Timeout,
    /// The connection broke.
    Broken,
    /// It said to go elsewhere, which is not done.
    Redirect,
    /// It is busy (429, 503).
    Busy,
    /// It does not know us or its own address (401, 403, 404 and the like).
    Denied,
    /// It does not want this one (other 4xx).
    Refused,
    /// It failed (other 5xx, or no status that means anything).
    Server,
}

impl Failure {
    /// All of them.
    pub(crate) const ALL: [Self; 9] = [
        Self::Address,
        Self::Connect,
        Self::Timeout,
        Self::Broken,
        Self::Redirect,
        Self::Busy,
        Self::Denied,
        Self::Refused,
        Self::Server,
    ];

    /// The word for metrics and logs.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Address => "address",
            Self::Connect => "connect",
            Self::Timeout => "timeout",
            Self::Broken => "broken",
            Self::Redirect => "redirect",
            Self::Busy => "busy",
            Self::Denied => "denied",
            Self::Refused => "refused",
            Self::Server => "server",
        }
    }

    /// As people are told.
    pub(crate) fn describe(self) -> &'static str {
        match self {
            Self::Address => "nothing may be sent to its address, which is private; webhooks.allow_private can name its network",
            Self::Connect => "there is no connection, or its certificate is not good",
            Self::Timeout => "it did not answer in time",
            Self::Broken => "the connection broke",
            Self::Redirect => "it redirects, which is not followed: give the address that it redirects to",
            Self::Busy => "it is busy, or what is behind it is away (429, 502, 503, 504)",
            Self::Denied => "it knows neither us nor this address (401, 403, 404 or the like)",
            Self::Refused => "it refuses this event (4xx)",
            Self::Server => "it failed (5xx)",
        }
    }

    /// Whether another event may fare better now: it may be this one that the endpoint cannot take.
    pub(super) fn is_of_this_event(self) -> bool {
        matches!(self, Self::Refused | Self::Server)
    }
}

/// Makes requests.
#[derive(Debug, Clone)]
pub(crate) struct Sender {
    client: Client,
    options: RequestOptions,
}

impl Sender {
    /// Reads the certificates that are named.
    pub(crate) fn new(options: RequestOptions) -> anyhow::Result<Self> {
        let mut certificates = Vec::new();
        if let Some(file) = &options.ca_file {
            let of =
                |error: &dyn std::fmt::Display| anyhow::anyhow!("webhooks.ca_file: {} cannot be used: {error}", file.display());
            let text = std::fs::read(file).map_err(|error| of(&error))?;
            certificates = Certificate::from_pem_bundle(&text).map_err(|error| of(&error))?;
            anyhow::ensure!(!certificates.is_empty(), "webhooks.ca_file: {} holds no certificate", file.display());
        }
        let client = Client::builder()
            .user_agent(concat!("tasklight/", env!("CARGO_PKG_VERSION")))
            .http1_only()
            // A redirect, or a proxy, could lead to where nothing may be sent.
            .redirect(Policy::none())
            .no_proxy()
            .referer(false)
            .retry(reqwest::retry::never())
            .dns_resolver(Arc::new(Resolver(options.allowed.clone())))
            .tls_certs_merge(certificates)
            .timeout(options.timeout)
            .connect_timeout(options.timeout)
            .pool_idle_timeout(POOL_IDLE)
            .pool_max_idle_per_host(1)
            .build()?;
        Ok(Self { client, options })
    }

    /// Sends an event once.
    pub(crate) async fn send(&self, endpoint: &Endpoint, id: &str, body: &str) -> Outcome {
        let failed = |failure| Outcome::Failed { failure, wait: None };
        // Names are looked at where they are looked up.
        if literal(&endpoint.url).is_some_and(|address| !self.options.allowed.allows(address)) {
            return failed(Failure::Address);
        }
        let seconds = Timestamp::now().as_millis() / 1_000;
        let request = self
            .client
            .post(endpoint.url.clone())
            .header(header::CONTENT_TYPE, "application/json")
            .header("webhook-id", id)
            .header("webhook-timestamp", seconds)
            .header("webhook-signature", endpoint.secrets.sign(id, seconds, body))
            .body(body.to_owned());
        match request.send().await {
            Ok(answer) => {
                let outcome = self.meaning(&answer);
                read_some(answer).await;
                outcome
            }
            Err(error) => failed(failure(&error)),
        }
    }

    fn meaning(&self, answer: &Response) -> Outcome {
        let seconds = || answer.headers().get(header::RETRY_AFTER)?.to_str().ok()?.trim().parse().ok();
        let wait = || seconds().map(|seconds| Duration::from_secs(seconds).min(self.options.longest_wait));
        let failed = |failure| Outcome::Failed { failure, wait: None };
        match answer.status() {
            status if status.is_success() => Outcome::Delivered,
            StatusCode::GONE => Outcome::Gone,
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
                Outcome::Failed { failure: Failure::Busy, wait: wait() }
            }
            StatusCode::UNAUTHORIZED
            | StatusCode::PAYMENT_REQUIRED
            | StatusCode::FORBIDDEN
            | StatusCode::NOT_FOUND
            | StatusCode::METHOD_NOT_ALLOWED
            | StatusCode::PROXY_AUTHENTICATION_REQUIRED
            | StatusCode::REQUEST_TIMEOUT => failed(Failure::Denied),
            StatusCode::BAD_GATEWAY | StatusCode::GATEWAY_TIMEOUT => failed(Failure::Busy),
            status if status.is_redirection() => failed(Failure::Redirect),
            status if status.is_client_error() => failed(Failure::Refused),
            _ => failed(Failure::Server),
        }
    }
}

/// The address that a URL names itself, however it is written there.
fn literal(url: &Url) -> Option<IpAddr> {
    // The parser has already read forms such as 0x7f.1 and 2130706433.
    url.host_str().and_then(|host| host.trim_matches(['[', ']']).parse().ok())
}

/// Reads a little of an answer, within the request's time.
async fn read_some(mut answer: Response) {
    let mut read = 0;
    while let Ok(Some(piece)) = answer.chunk().await {
        read += piece.len();
        if ANSWER_BYTES < read {
            return;
        }
    }
}

fn failure(error: &reqwest::Error) -> Failure {
    let mut cause: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(this) = cause {
        if this.is::<Refused>() {
            return Failure::Address;
        }
        cause = this.source();
    }
    if error.is_timeout() {
        Failure::Timeout
    } else if error.is_connect() {
        Failure::Connect
    } else {
        Failure::Broken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_in_a_url_is_found_however_it_is_written() {
        for (url, address) in [
            ("https://127.0.0.1/x", Some("127.0.0.1")),
            ("https://2130706433/", Some("127.0.0.1")),
            ("https://0x7f.1/", Some("127.0.0.1")),
            ("https://0177.0.0.1/", Some("127.0.0.1")),
            ("https://127.1/", Some("127.0.0.1")),
            ("https://[::1]:8443/", Some("::1")),
            ("https://[::ffff:169.254.169.254]/", Some("::ffff:169.254.169.254")),
            ("https://１２７.0.0.1/", Some("127.0.0.1")),
            ("https://localhost/", None),
            ("https://hooks.example/", None),
        ] {
            let found = literal(&url.parse().expect(url));
            assert_eq!(found, address.map(|address| address.parse().expect("an address")), "{url}");
        }
    }
}
