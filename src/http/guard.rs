//! What every answer carries, so that a browser trusts it with no more than it needs.

use std::sync::Arc;

use axum::{
    body::Body,
    extract::State,
    http::{HeaderName, HeaderValue, Request, Response, header::STRICT_TRANSPORT_SECURITY},
    middleware::Next,
};

use super::App;

/// Scripts, styles, workers and connections from the hub itself only; nothing inline; no framing.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
                                       connect-src 'self'; font-src 'self'; worker-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'none'; \
                                       frame-ancestors 'none'";

/// Adds the headers.
pub(super) async fn headers(State(app): State<Arc<App>>, request: Request<Body>, next: Next) -> Response<Body> {
    let mut response = next.run(request).await;
    for (name, value) in [
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "no-referrer"),
        ("content-security-policy", CONTENT_SECURITY_POLICY),
        ("cross-origin-resource-policy", "same-origin"),
    ] {
        response.headers_mut().insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    if let Some(value) = &app.strict_transport {
        response.headers_mut().insert(STRICT_TRANSPORT_SECURITY, value.clone());
    }
    response
}
