//! Who asks: the token out of a request, and what it grants for what is asked.
//!
//! Every route under `/v1` is asked for a token before anything else is looked at, and every task in a path is checked where it is read from the
//! path ([`super::extract::Task`]): a new route is closed until it says otherwise. The answer depends on the task's name alone, so that a task that is not there
//! and one that may not be seen look the same.

use std::sync::Arc;

use axum::{
    body::Body,
    extract::{FromRequestParts, State},
    http::{HeaderMap, Method, Request, Response, StatusCode, header, request::Parts},
    middleware::Next,
    response::IntoResponse,
};

use super::{App, error::Problem};
use crate::{
    auth::{Caller, Certificate, Refusal, Right},
    model::TaskId,
};

/// Where a browser puts a token that it cannot put into a header: a subprotocol of the WebSocket handshake.
const BEARER_PROTOCOL: &str = "bearer.";

/// The routes under `/v1` that may be asked for without a token, because it comes later.
const OPEN_ROUTES: [&str; 1] = ["/v1/ws"];

/// Lets requests with a good token through, and notes whose it is.
pub(super) async fn authenticate(State(app): State<Arc<App>>, mut request: Request<Body>, next: Next) -> Response<Body> {
    let path = request.uri().path();
    if !path.starts_with("/v1/") {
        return next.run(request).await;
    }
    let is_open = OPEN_ROUTES.contains(&path);
    let checked = match shown(request.headers(), request.uri().query().unwrap_or_default()) {
        Ok(shown) => caller(&app, shown, request.extensions().get::<Arc<Certificate>>().cloned()).await,
        Err(problem) => Err(Failed::Problem(problem)),
    };
    match checked {
        Ok(caller) => {
            request.extensions_mut().insert(caller);
            next.run(request).await
        }
        Err(Failed::Refused(Refusal::Missing | Refusal::NoGrants)) if is_open => next.run(request).await,
        Err(Failed::Refused(refusal)) => unauthorized(refusal).into_response(),
        Err(Failed::Problem(problem)) => problem.into_response(),
    }
}

/// What a request shows of whom it comes from.
enum Shown {
    Ticket(String),
    Token(Option<String>),
}

fn shown(headers: &HeaderMap, query: &str) -> Result<Shown, Problem> {
    if let Some(name) = token_in_url(query) {
        let detail =
            "a token in an address ends up in logs: send it in the Authorization header, or ask for a ticket (POST /v1/tickets)";
        return Err(Problem::bad_request("token_in_url", name, detail));
    }
    Ok(match parameter(query, "ticket") {
        Some(ticket) => Shown::Ticket(ticket.to_owned()),
        None => Shown::Token(token(headers)),
    })
}

enum Failed {
    Refused(Refusal),
    Problem(Problem),
}

/// A token says more than the certificate of the connection: it counts where both are shown.
async fn caller(app: &App, shown: Shown, certificate: Option<Arc<Certificate>>) -> Result<Caller, Failed> {
    match (shown, certificate) {
        (Shown::Token(None), Some(certificate)) => app.auth.check_certificate(&certificate).map_err(Failed::Refused),
        (Shown::Token(token), _) => app.auth.check(token.as_deref()).await.map_err(Failed::Refused),
        (Shown::Ticket(ticket), _) => match app.tickets.take(&ticket).await {
            Ok(Some(caller)) => app.auth.still_good(&caller).map(|()| caller).map_err(Failed::Refused),
            Ok(None) => Err(Failed::Refused(Refusal::Invalid("the ticket is not known, was used, or is over"))),
            Err(error) => Err(Failed::Problem(error.into())),
        },
    }
}

fn token_in_url(query: &str) -> Option<&'static str> {
    ["token", "access_token"].into_iter().find(|name| parameter(query, name).is_some())
}

/// The value of a parameter whose values need no decoding.
fn parameter<'a>(query: &'a str, name: &str) -> Option<&'a str> {
    query.split('&').filter_map(|pair| pair.split_once('=')).find(|(known, _)| *known == name).map(|(_, value)| value)
}

/// The token of a request: from `Authorization`, or from a subprotocol `bearer.TOKEN`.
fn token(headers: &HeaderMap) -> Option<String> {
    if let Some(value) = headers.get(header::AUTHORIZATION) {
        let text = value.to_str().unwrap_or_default();
        let (scheme, token) = text.split_once(' ').unwrap_or_default();
        // Something else than a bearer token is a token that is no good, rather than none.
        return Some(if scheme.eq_ignore_ascii_case("bearer") { token.trim().to_owned() } else { String::new() });
    }
    let offered = headers.get_all(header::SEC_WEBSOCKET_PROTOCOL).iter().filter_map(|value| value.to_str().ok());
    let mut names = offered.flat_map(|value| value.split(',')).map(str::trim);
    names.find_map(|name| name.strip_prefix(BEARER_PROTOCOL)).map(str::to_owned)
}

/// The answer to one who is not let in.
fn unauthorized(refusal: Refusal) -> Problem {
    let status = if refusal == Refusal::Unavailable { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::UNAUTHORIZED };
    Problem::new(status, refusal.code(), refusal.to_string())
}

/// Whoever asks. A route without anybody to ask is a mistake, and closed.
pub(super) struct Known(pub Caller);

impl<S: Send + Sync> FromRequestParts<S> for Known {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        parts.extensions.get::<Caller>().cloned().map(Self).ok_or_else(|| unauthorized(Refusal::Missing))
    }
}

/// Checks what a request wants with a task: to see it, to publish to it, or to delete it, as its method says.
pub(super) fn check_task(parts: &Parts, task: &TaskId) -> Result<(), Problem> {
    let caller = parts.extensions.get::<Caller>().ok_or_else(|| unauthorized(Refusal::Missing))?;
    let right = match parts.method {
        Method::GET | Method::HEAD => Right::Read,
        Method::DELETE => Right::Delete,
        _ => Right::Publish,
    };
    granted(caller, right, task)
}

/// A problem unless the caller may do this with the task.
pub(super) fn granted(caller: &Caller, right: Right, task: &TaskId) -> Result<(), Problem> {
    if caller.may(right, task) {
        return Ok(());
    }
    let what = match right {
        Right::Read => "read",
        Right::Publish => "published to",
        Right::Delete => "deleted",
    };
    Err(Problem::new(StatusCode::FORBIDDEN, "forbidden", format!("the token does not grant this task to be {what}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, value.parse().expect("a header"));
        }
        headers
    }

    #[test]
    fn the_token_is_where_the_standards_put_it() {
        for (given, expected) in [
            (headers(&[]), None),
            (headers(&[("authorization", "Bearer abc")]), Some("abc")),
            (headers(&[("authorization", "bearer  abc ")]), Some("abc")),
            (headers(&[("authorization", "Basic abc")]), Some("")),
            (headers(&[("authorization", "abc")]), Some("")),
            (headers(&[("sec-websocket-protocol", "tasklight.v1, bearer.abc")]), Some("abc")),
            (headers(&[("sec-websocket-protocol", "tasklight.v1"), ("sec-websocket-protocol", "bearer.abc")]), Some("abc")),
            (headers(&[("sec-websocket-protocol", "tasklight.v1")]), None),
            (headers(&[("cookie", "token=abc")]), None),
        ] {
            assert_eq!(token(&given).as_deref(), expected, "{given:?}");
        }
    }

    #[test]
    fn a_token_in_an_address_is_seen() {
        assert_eq!(token_in_url("after=start&token=abc"), Some("token"));
        assert_eq!(token_in_url("access_token=abc"), Some("access_token"));
        assert_eq!(token_in_url("mytoken=abc&ticket=x"), None);
    }
}
