//! What every answer carries, so that a browser trusts it with no more than it needs.

use std::sync::Arc;

use axum::{
    body::Body,
    extract::State,
    http::{
        HeaderName, HeaderValue, Request, Response,
        header::{CONTENT_SECURITY_POLICY, STRICT_TRANSPORT_SECURITY},
    },
    middleware::Next,
};

use super::App;

/// Of the page and its files, which say so themselves: scripts, styles, workers and connections from the hub only; nothing inline; no framing.
pub(super) const PAGE_POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; font-src 'self'; \
     worker-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
);

/// Of everything else. What publishers sent may come back as the HTML that they say it is: opened as a page it is of no origin, and runs nothing.
const POLICY: HeaderValue = HeaderValue::from_static("default-src 'none'; sandbox; frame-ancestors 'none'");

/// Adds the headers.
pub(super) async fn headers(State(app): State<Arc<App>>, request: Request<Body>, next: Next) -> Response<Body> {
    let mut response = next.run(request).await;
    for (name, value) in [
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "no-referrer"),
        ("cross-origin-resource-policy", "same-origin"),
    ] {
        response.headers_mut().insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    response.headers_mut().entry(CONTENT_SECURITY_POLICY).or_insert(POLICY);
    if let Some(value) = &app.strict_transport {
        response.headers_mut().insert(STRICT_TRANSPORT_SECURITY, value.clone());
    }
    response
}
