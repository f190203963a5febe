//! JWTs (RFC 7519, RFC 8725): signature, claims, grants.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Validation, decode, decode_header, errors::ErrorKind};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{
    Refusal,
    caller::{Caller, Grants, Means, Subject},
    key::VerifyingKey,
};
use crate::model::Timestamp;

/// The longest token, in bytes.
pub(super) const LONGEST: usize = 8 * 1024;

/// The most characters of a token's own name.
const ID_CHARS: usize = 128;

/// What a header may have that changes how the rest is to be read: extensions that must be understood (RFC 7515 section 4.1.11), and a payload that
/// is not encoded (RFC 7797). None is understood here, so whatever they say a token with them is refused, also where a signature fits.
const NOT_UNDERSTOOD: [&str; 2] = ["crit", "b64"];

/// What the claims must be.
#[derive(Debug, Clone, Default)]
pub(crate) struct Expected {
    /// `iss`, if any is asked for.
    pub issuer: Option<String>,
    /// `aud`, if any is asked for.
    pub audience: Option<String>,
    /// How much clocks may differ.
    pub leeway_seconds: u64,
}

/// What is read of the claims; there may be others.
#[derive(Deserialize)]
struct Claims {
    sub: Subject,
    exp: u64,
    iat: Option<u64>,
    jti: Option<String>,
    #[serde(default)]
    tasklight: Grants,
}

/// The id of the key that the token says it was signed with; nothing else of the header is believed or followed. Refuses a header that asks for
/// what is not understood.
pub(super) fn key_id(token: &str) -> Result<Option<String>, Refusal> {
    let header = decode_header(token).map_err(|_| NO_JWT)?;
    let text = token.split_once('.').and_then(|(header, _)| URL_SAFE_NO_PAD.decode(header).ok()).ok_or(NO_JWT)?;
    // By name and not by value, for which `null` would be as good as nothing.
    let members: Map<String, Value> = serde_json::from_slice(&text).map_err(|_| NO_JWT)?;
    if NOT_UNDERSTOOD.iter().any(|name| members.contains_key(*name)) {
        return Err(Refusal::Invalid("its header has crit or b64, and this hub understands no extension"));
    }
    Ok(header.kid)
}

const NO_JWT: Refusal = Refusal::Invalid("it is no JWT");

/// Whom the token speaks for, if one of the keys has signed it and its claims hold.
pub(super) fn verify(token: &str, keys: &[VerifyingKey], expected: &Expected) -> Result<Caller, Refusal> {
    let mut refusal = Refusal::Invalid("no key of this hub has signed it");
    for key in keys {
        match verify_by(token, key, expected) {
            Err(Refusal::Invalid(what)) if what == WRONG_KEY => {}
            Err(other) => refusal = other,
            Ok(caller) => return Ok(caller),
        }
    }
    Err(refusal)
}

/// The signature is another key's.
const WRONG_KEY: &str = "the signature does not fit";

fn verify_by(token: &str, key: &VerifyingKey, expected: &Expected) -> Result<Caller, Refusal> {
    let mut validation = Validation::new(key.algorithms.first().copied().unwrap_or_default());
    validation.algorithms.clone_from(&key.algorithms);
    validation.leeway = expected.leeway_seconds;
    validation.validate_nbf = true;
    let mut required = vec!["exp", "sub"];
    match &expected.issuer {
        Some(issuer) => {
            validation.set_issuer(&[issuer]);
            required.push("iss");
        }
        None => validation.iss = None,
    }
    match &expected.audience {
        Some(audience) => {
            validation.set_audience(&[audience]);
            required.push("aud");
        }
        None => validation.validate_aud = false,
    }
    validation.set_required_spec_claims(&required);
    let claims = decode::<Claims>(token, &key.key, &validation).map_err(|error| refusal(error.kind()))?.claims;
    if !claims.tasklight.is_bounded() {
        return Err(Refusal::Invalid("its claim tasklight has too many patterns"));
    }
    if claims.jti.as_ref().is_some_and(|id| ID_CHARS < id.chars().count()) {
        return Err(Refusal::Invalid("its claim jti is too long"));
    }
    let expires = millis(claims.exp).ok_or(Refusal::Invalid("its claim exp is out of bounds"))?;
    let issued = claims.iat.and_then(millis);
    Ok(Caller::new(claims.sub, claims.tasklight, Means::Token).of_token(claims.jti, issued, Some(expires)))
}

fn millis(seconds: u64) -> Option<Timestamp> {
    Timestamp::from_millis(seconds.checked_mul(1_000)?)
}

/// What is said of it. Never the token, and nothing that helps to guess one.
fn refusal(kind: &ErrorKind) -> Refusal {
    Refusal::Invalid(match kind {
        ErrorKind::ExpiredSignature => return Refusal::Expired,
        ErrorKind::ImmatureSignature => "its claim nbf is in the future",
        ErrorKind::InvalidIssuer => "its claim iss is not auth.issuer",
        ErrorKind::InvalidAudience => "its claim aud is not auth.audience",
        ErrorKind::MissingRequiredClaim(claim) => match claim.as_str() {
            "exp" => "its claim exp is missing",
            "sub" => "its claim sub is missing",
            "iss" => "its claim iss is missing",
            _ => "its claim aud is missing",
        },
        // Base 64 that ends differently, another algorithm, another key: all the same from outside.
        ErrorKind::InvalidSignature | ErrorKind::InvalidAlgorithm => WRONG_KEY,
        ErrorKind::Json(_) | ErrorKind::InvalidClaimFormat(_) => {
            "a claim is not of its form: sub a text, exp a number, tasklight {\"read\": [...], \"publish\": [...]}"
        }
        _ => "it is no JWT that this hub can read",
    })
}
