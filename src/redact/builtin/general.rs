//! Keys, tokens and logins of no vendor in particular.

use super::{Builtin, token};
use crate::redact::{decode, values};

/// From its first line to its last, or as far as it goes. Line breaks may be escaped, however often. Where code or prose only names the
/// first line, nothing of a key follows.
const PRIVATE_KEY: &str = concat!(
    r"-----BEGIN [A-Z0-9 ]{0,32}PRIVATE KEY(?: BLOCK)?-----(?:\s|\\+[nr])*(?:[A-Za-z-]{2,32}: [^\n\\]{0,128}(?:\s|\\+[nr])+){0,8}",
    r"[A-Za-z0-9+/=]{16,}(?:[ \t]+[A-Za-z0-9+/=]{40,}|(?:[ \t]*(?:[\r\n]|\\+[nr]))+[ \t]*[A-Za-z0-9+/=]{1,100})*",
    r"(?:(?:\s|\\+[nr])*-----END [A-Z0-9 ]{0,32}KEY(?: BLOCK)?-----)?",
);

pub(super) const RULES: [Builtin; 8] = [
    token("private-key", "a private key in PEM, or what of it is there", &["PRIVATE KEY"], 0, PRIVATE_KEY).entropy(0.0),
    token(
        "jwt",
        "a JSON web token, whose header names an algorithm",
        &["eyJ"],
        8,
        r"eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{4,}(?:\.[A-Za-z0-9_-]*){1,3}",
    )
    .check(is_jwt),
    token(
        "url-password",
        "the password in a URL, between the user and the host",
        &["://"],
        0,
        r#"://[^\s/?#:@"'<>\\\[\]]{0,256}:([^\s/?#"'<>\\]{1,256})@"#,
    )
    .entropy(0.0)
    .check(is_password),
    token("bearer", "a token behind the word Bearer", &["bearer "], 0, r"(?i)\bbearer\s{1,4}([A-Za-z0-9._~+/=-]{12,})")
        .check(is_token),
    token("basic-auth", "a user and password behind the word Basic, in base 64", &["basic "], 0, r"(?i)\bbasic\s{1,4}([a-z0-9+/]{8,}={0,2})")
        .entropy(0.0)
        .check(is_login),
    token(
        "user-flag",
        "the password in `-u user:password`",
        &["-u ", "--user ", "--user=", "--proxy-user "],
        0,
        r#"(?:^|\s)(?:-u|--user|--proxy-user)[ =]{1,4}["']?[A-Za-z0-9._@%+-]{1,128}:([^\s"'`:/$\\][^\s"'`\\]{2,255})"#,
    )
    .entropy(0.0)
    .check(is_password),
    token(
        "url-parameter",
        "a signature, key or code in the query of a URL",
        &["sig=", "signature=", "credential=", "key=", "code=", "sas=", "auth="],
        16,
        r"(?i)[?&;](?:sig|signature|x-amz-signature|x-goog-signature|x-amz-credential|key|code|sas|auth|api_?key)=([a-z0-9%+/_.~-]{16,1024}={0,2})",
    )
    .entropy(3.0),
    token(
        "slack-webhook",
        "an address that posts to Slack",
        &["hooks.slack.com"],
        0,
        r"hooks\.slack\.com/(?:services|workflows|triggers)/([A-Za-z0-9+/]{40,64})",
    ),
];

fn is_jwt(token: &[u8]) -> bool {
    let header = token.split(|byte| *byte == b'.').next().and_then(decode::base64);
    let fields: Option<serde_json::Map<String, serde_json::Value>> = header.and_then(|text| serde_json::from_slice(&text).ok());
    fields.is_some_and(|fields| fields.contains_key("alg") || fields.contains_key("enc"))
}

fn is_password(password: &[u8]) -> bool {
    !values::is_placeholder(password) && !password.iter().all(u8::is_ascii_digit)
}

/// A token, and not the next word of a sentence.
fn is_token(token: &[u8]) -> bool {
    token.iter().any(u8::is_ascii_digit) && !values::is_placeholder(token) && !values::is_code(token)
}

fn is_login(token: &[u8]) -> bool {
    decode::base64(token)
        .is_some_and(|text| text.contains(&b':') && std::str::from_utf8(&text).is_ok_and(|text| !text.contains(char::is_control)))
}
