//! The WebSocket handshake (RFC 6455 section 4): checked, answered, and the connection handed to its session.

use axum::{
    body::Body,
    http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header},
};
use tokio_tungstenite::tungstenite::handshake::server::create_response_with_body;

use super::protocol::SUBPROTOCOL;

/// Why a handshake was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum HandshakeError {
    /// It is a plain request.
    #[error("this address speaks WebSocket: send an upgrade request (RFC 6455 section 4.1)")]
    NotAnUpgrade,
    /// The client does not offer our subprotocol.
    #[error("offer the subprotocol {SUBPROTOCOL} in Sec-WebSocket-Protocol")]
    Subprotocol,
    /// The request breaks RFC 6455.
    #[error("the handshake is not valid: {0}")]
    Invalid(String),
}

/// Checks the handshake. Gives the answer to send; the connection after it is the session's.
pub(crate) fn accept(request: &Request<Body>) -> Result<Response<Body>, HandshakeError> {
    if !request.headers().contains_key(header::SEC_WEBSOCKET_KEY) {
        return Err(HandshakeError::NotAnUpgrade);
    }
    let offered: Vec<&str> = offered(request.headers()).collect();
    // A client that names no subprotocol at all is a person trying things out; one that names others wants something else.
    let named = !offered.is_empty();
    if named && !offered.contains(&SUBPROTOCOL) {
        return Err(HandshakeError::Subprotocol);
    }
    let bare = bare_request(request);
    let mut response =
        create_response_with_body(&bare, Body::empty).map_err(|error| HandshakeError::Invalid(error.to_string()))?;
    debug_assert_eq!(response.status(), StatusCode::SWITCHING_PROTOCOLS);
    if named {
        response.headers_mut().insert(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(SUBPROTOCOL));
    }
    Ok(response)
}

fn offered(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    let values = headers.get_all(header::SEC_WEBSOCKET_PROTOCOL).iter();
    values
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .filter(|name| !name.is_empty())
}

/// The request without its body, as the handshake wants it.
fn bare_request(request: &Request<Body>) -> Request<()> {
    let mut bare = Request::new(());
    *bare.method_mut() = request.method().clone();
    *bare.uri_mut() = request.uri().clone();
    *bare.version_mut() = request.version();
    *bare.headers_mut() = request.headers().clone();
    bare
}
