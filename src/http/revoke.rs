//! Taking tokens back: `POST /v1/admin/revoke`.

use std::{sync::Arc, time::Duration};

use axum::{
    body::Body,
    extract::State,
    http::{HeaderMap, StatusCode},
};
use serde::Deserialize;

use super::{App, access::Known, error::Problem, extract::json as json_body};
use crate::{
    auth::{MOST_REVOCATIONS, Revocation, Revoked, Subject},
    model::Timestamp,
};

/// The longest time that a revocation may be asked to be remembered for.
const LONGEST: Duration = Duration::from_secs(10 * 366 * 24 * 3_600);

/// The most characters of a token's name.
const ID_CHARS: usize = 128;

/// What is taken back.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Request {
    /// All tokens and certificates of this subject made until now, and its API keys.
    subject: Option<Subject>,
    /// The token with this `jti`, the API key with this id, or the certificate with this SHA-256 in hexadecimal digits.
    token_id: Option<String>,
    /// For how long it has to be remembered: as long as such tokens live. For ever if left out.
    for_ms: Option<u64>,
}

/// Every node knows of it within two seconds, and closes what is open.
pub(super) async fn revoke(
    State(app): State<Arc<App>>,
    Known(caller): Known,
    headers: HeaderMap,
    body: Body,
) -> Result<StatusCode, Problem> {
    if !caller.is_admin() {
        return Err(Problem::new(StatusCode::FORBIDDEN, "forbidden", "the token does not grant tokens to be revoked"));
    }
    let request: Request = json_body(&app, &headers, body).await?;
    let revoked = match (request.subject, request.token_id) {
        (Some(subject), None) => Revoked::Subject(subject),
        (None, Some(id)) if (1..=ID_CHARS).contains(&id.chars().count()) && !id.chars().any(char::is_control) => {
            Revoked::Token(id)
        }
        (None, Some(_)) => {
            return Err(Problem::bad_request("invalid_token_id", "tokenId", "tokenId is a jti or the id of an API key"));
        }
        _ => return Err(Problem::bad_request("missing_field", "subject", "name either a subject or a tokenId")),
    };
    let at = Timestamp::now();
    let life = request.for_ms.map(Duration::from_millis);
    if life.is_some_and(|life| LONGEST < life) {
        return Err(Problem::bad_request(
            "invalid_duration",
            "forMs",
            "forMs is at most ten years; left out, it is remembered for ever",
        ));
    }
    let until = life.map(|life| at.plus(life));
    let revocation = Revocation { revoked, at, until };
    if !app.store.revoke(&revocation).await? {
        let detail = format!("{MOST_REVOCATIONS} revocations are remembered already: give new ones an end (forMs)");
        return Err(Problem::new(StatusCode::CONFLICT, "too_many_revocations", detail));
    }
    app.trail.revoked(&caller, &revocation.revoked);
    app.guard.look().await?;
    Ok(StatusCode::NO_CONTENT)
}
