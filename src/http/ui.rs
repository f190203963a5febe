//! The page: files of `web/` built into the program.

use axum::{
    body::Body,
    extract::Path,
    http::{HeaderValue, Response, header},
    response::IntoResponse,
};
use rust_embed::{Embed, EmbeddedFile};

use super::error::{Problem, no_route};

#[derive(Embed)]
#[folder = "web/page"]
struct Files;

/// The API's description.
const OPENAPI: &str = include_str!("../../docs/openapi.json");

/// The page itself; which task it shows is for its script to read from the address.
pub(super) async fn page() -> Response<Body> {
    match Files::get("index.html") {
        Some(file) => answer(file),
        None => Problem::new(axum::http::StatusCode::NOT_FOUND, "no_page", "this build has no page").into_response(),
    }
}

/// A file that the page uses.
pub(super) async fn asset(Path(path): Path<String>) -> Response<Body> {
    match Files::get(&path) {
        Some(file) if path != "index.html" => answer(file),
        _ => no_route().await.into_response(),
    }
}

pub(super) async fn openapi() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json")], OPENAPI)
}

fn answer(file: EmbeddedFile) -> Response<Body> {
    let kind = HeaderValue::from_str(file.metadata.mimetype()).unwrap_or(HeaderValue::from_static("application/octet-stream"));
    let mut response = Response::new(Body::from(file.data));
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}
