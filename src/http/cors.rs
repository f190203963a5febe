//! What browsers are told when a page of another origin asks (CORS, Fetch standard): the origins of `http.origins` may, and no others. Pages send
//! their token in a header, never cookies, so no credentials are allowed.

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    http::{HeaderName, HeaderValue, Method, header},
};
use tower_http::cors::{AllowOrigin, CorsLayer};

use super::{App, Origins, durable};

/// How long a browser may remember what is allowed.
const REMEMBERED: Duration = Duration::from_secs(3_600);

/// Answers what browsers ask beforehand, and lets them show the answers to the pages of the list. Without a list nothing is changed.
pub(super) fn allow(routes: Router<Arc<App>>, origins: &Origins) -> Router<Arc<App>> {
    let known: Vec<_> = origins.allowed.iter().filter_map(|origin| HeaderValue::from_str(origin).ok()).collect();
    if known.is_empty() {
        return routes;
    }
    let name = HeaderName::from_static;
    let mut sent = vec![header::AUTHORIZATION, header::CONTENT_TYPE, name("last-event-id"), name("traceparent")];
    sent.extend(durable::SENT_HEADERS.map(name));
    let mut shown = vec![header::RETRY_AFTER, header::CONTENT_DISPOSITION, header::LOCATION];
    shown.extend(durable::SHOWN_HEADERS.map(name));
    routes.layer(
        CorsLayer::new()
            .allow_origin(AllowOrigin::list(known))
            .allow_methods([Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::PATCH, Method::DELETE])
            .allow_headers(sent)
            .expose_headers(shown)
            .max_age(REMEMBERED),
    )
}
