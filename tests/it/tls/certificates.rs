//! Clients' certificates: whom they let in, what they grant, and when that ends.

use std::time::Duration;

use rustls::pki_types::{CertificateDer, pem::PemObject};
use serde_json::{Value, json};
use tasklight::config::Settings;
use tokio::time::timeout;

use super::{Authority, Files, Pair, SecureHub, SecureViewer, events};
use crate::harness::{PATIENCE, message};

const SECRET: &str = "a secret of this test that has more than 32 bytes";

const GRANTS: &str = r#"
[[client]]
subject = "agent-7"
publish = ["agent-7-*"]
read = ["agent-7-*"]

[[client]]
subject = "spiffe://ci/root"
publish = ["*"]
read = ["*"]
admin = true
"#;

/// A hub that asks for certificates so, and for tokens of those without.
async fn asking(client_auth: &str, change: impl FnOnce(&mut Settings, &Files)) -> SecureHub {
    SecureHub::start_with(|settings, files| {
        settings.tls.client_auth = client_auth.to_owned();
        settings.tls.client_ca_file = files.path("ca.pem").display().to_string();
        settings.tls.client_grants = files.write("grants.toml", GRANTS);
        settings.auth.hmac_secret = serde_json::from_value(json!(SECRET)).expect("a text");
        settings.auth.revocation_interval = "50ms".parse().expect("a duration");
        change(settings, files);
    })
    .await
}

fn token(subject: &str, grants: Value) -> String {
    let claims = json!({"sub": subject, "exp": jsonwebtoken::get_current_timestamp() + 600, "tasklight": grants});
    let key = jsonwebtoken::EncodingKey::from_secret(SECRET.as_bytes());
    jsonwebtoken::encode(&jsonwebtoken::Header::default(), &claims, &key).expect("a token")
}

/// The status and code of the answer to publishing to this task; nothing if there is none.
async fn publish(secure: &SecureHub, pair: Option<&Pair>, token: Option<&str>, task: &str) -> Option<(u16, Value)> {
    let url = secure.url(&format!("/v1/tasks/{task}/activities"));
    let request = secure.client(pair).post(url).body(message("x").to_string());
    let request = match token {
        Some(token) => request.bearer_auth(token),
        None => request,
    };
    let answer = request.send().await.ok()?;
    let status = answer.status().as_u16();
    let document: Value = answer.json().await.expect("JSON");
    Some((status, document["code"].clone()))
}

#[tokio::test]
async fn who_comes_with_what_may_do_what_it_says() {
    let stranger = Authority::new("Example CA");
    for client_auth in ["optional", "required"] {
        let secure = asking(client_auth, |_, _| {}).await;
        let authority = &secure.files.authority;
        let (agent, root, unknown) =
            (authority.client("agent-7"), authority.client_of("spiffe://ci/root"), authority.client("agent-8"));
        let forged = stranger.client("agent-7");
        let ended = authority.client_for("agent-7", Duration::ZERO);
        let ann = token("ann", json!({"publish": ["ann-*"]}));
        let code = |code: &str| json!(code);
        let without = |answer| if client_auth == "required" { None } else { Some(answer) };
        for (what, pair, token, task, expected) in [
            ("nothing", None, None, "t", without((401, code("token_missing")))),
            ("a token", None, Some(ann.as_str()), "ann-1", without((200, Value::Null))),
            ("a certificate", Some(&agent), None, "agent-7-1", Some((200, Value::Null))),
            ("a certificate, for another task", Some(&agent), None, "t", Some((403, code("forbidden")))),
            ("a certificate with a URI", Some(&root), None, "t", Some((200, Value::Null))),
            ("a certificate that grants nothing", Some(&unknown), None, "agent-7-1", Some((401, code("certificate_unknown")))),
            ("the same and a token", Some(&unknown), Some(&ann), "ann-1", Some((200, Value::Null))),
            ("a token beside a certificate", Some(&root), Some(&ann), "t", Some((403, code("forbidden")))),
            ("a bad token beside a certificate", Some(&root), Some("abc"), "t", Some((401, code("token_invalid")))),
            ("a certificate of another authority", Some(&forged), None, "agent-7-1", None),
            ("the same and a token", Some(&forged), Some(&ann), "ann-1", None),
        ] {
            assert_eq!(publish(&secure, pair, token, task).await, expected, "{client_auth}: {what}");
        }
        // Within the second of its end the handshake still takes it, and the hub does not.
        let answer = publish(&secure, Some(&ended), None, "agent-7-1").await;
        assert!(
            answer.is_none() || answer == Some((401, code("token_expired"))),
            "{client_auth}: one that has ended: {answer:?}"
        );
    }
}

#[tokio::test]
async fn a_socket_is_for_the_certificate_or_for_the_token_that_comes_first() {
    let secure = asking("optional", |_, _| {}).await;
    let (agent, unknown) = (secure.files.authority.client("agent-7"), secure.files.authority.client("agent-8"));
    assert_eq!(secure.publish(Some(&agent), "agent-7-1", "mine").await, 200);
    let mut own = secure.watching(Some(&agent), "agent-7-1").await;
    assert_eq!(own.texts(1).await, ["mine"]);
    own.say(json!({"op": "subscribe", "task": "t"})).await;
    assert_eq!(own.until("error").await.last().expect("an error")["code"], "forbidden");
    let mut late = secure.viewer(Some(&unknown)).await;
    late.say(json!({"op": "auth", "token": token("ann", json!({"read": ["agent-7-*"]}))})).await;
    late.say(json!({"op": "subscribe", "task": "agent-7-1"})).await;
    assert_eq!(late.texts(1).await, ["mine"], "a certificate without grants is none");
    own.say(json!({"op": "auth", "token": token("ann", json!({"read": ["*"]}))})).await;
    assert_eq!(own.closed().await.0, 4403, "a session is not given to somebody else");
}

#[tokio::test]
async fn a_ticket_is_as_good_as_its_certificate() {
    let secure = asking("optional", |_, _| {}).await;
    let agent = secure.files.authority.client("agent-7");
    let answer = secure.client(Some(&agent)).post(secure.url("/v1/tickets")).send().await.expect("an answer");
    let ticket: Value = answer.json().await.expect("JSON");
    let url = |task: &str| secure.url(&format!("/v1/tasks/{task}/stream?ticket={}", ticket["ticket"].as_str().expect("one")));
    let stream = secure.client(None).get(url("agent-7-1")).send().await.expect("an answer");
    assert_eq!(stream.status(), 200);
    let again = secure.client(None).get(url("agent-7-1")).send().await.expect("an answer");
    assert_eq!(again.status(), 401);
}

/// A certificate's SHA-256 in hexadecimal digits.
fn fingerprint(pair: &Pair) -> String {
    let der = CertificateDer::from_pem_slice(pair.cert.as_bytes()).expect("a certificate");
    let hash = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &der);
    hash.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Has an operator take something back.
async fn revoke(secure: &SecureHub, what: Value) {
    let root = secure.files.authority.client_of("spiffe://ci/root");
    let request = secure.client(Some(&root)).post(secure.url("/v1/admin/revoke")).body(what.to_string());
    assert_eq!(request.send().await.expect("an answer").status(), 204);
}

#[tokio::test]
async fn what_is_revoked_is_over_for_certificates_that_were_made_before() {
    let secure = asking("required", |_, _| {}).await;
    let authority = &secure.files.authority;
    let [first, second] = [(); 2].map(|()| authority.client("agent-7"));
    let mut open = secure.watching(Some(&second), "agent-7-1").await;
    open.until("subscribed").await;
    revoke(&secure, json!({"tokenId": fingerprint(&first)})).await;
    assert_eq!(publish(&secure, Some(&first), None, "agent-7-1").await, Some((401, json!("token_revoked"))));
    assert_eq!(publish(&secure, Some(&second), None, "agent-7-1").await, Some((200, Value::Null)), "another one of hers");
    revoke(&secure, json!({"subject": "agent-7"})).await;
    assert_eq!(open.closed().await.0, 4401);
    assert_eq!(publish(&secure, Some(&second), None, "agent-7-1").await, Some((401, json!("token_revoked"))));
}

#[tokio::test]
async fn grants_that_change_hold_at_once_and_end_sessions_that_had_others() {
    let secure = asking("required", |_, _| {}).await;
    let agent = secure.files.authority.client("agent-7");
    let root = secure.files.authority.client_of("spiffe://ci/root");
    let mut open = secure.watching(Some(&agent), "agent-7-1").await;
    let mut same = secure.watching(Some(&root), "agent-7-1").await;
    open.until("subscribed").await;
    secure.files.write("grants.toml", &GRANTS.replace("read = [\"agent-7-*\"]", "read = []"));
    assert_eq!(open.closed().await.0, 4401);
    assert_eq!(publish(&secure, Some(&agent), None, "agent-7-1").await, Some((200, Value::Null)));
    same.until("activity").await;
    // One that makes no sense changes nothing.
    secure.files.write("grants.toml", "[[client]]\n");
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(publish(&secure, Some(&agent), None, "agent-7-1").await, Some((200, Value::Null)));
    secure.files.write("grants.toml", "[[client]]\nsubject = \"*\"\nread = [\"*\"]\n");
    let forbidden = async { while publish(&secure, Some(&agent), None, "agent-7-1").await != Some((403, json!("forbidden"))) {} };
    timeout(PATIENCE, forbidden).await.expect("it is taken back");
}

#[tokio::test]
async fn sessions_and_connections_end_with_the_certificate() {
    let secure = asking("required", |_, _| {}).await;
    let short = secure.files.authority.client_for("agent-7", Duration::from_secs(4));
    let client = secure.client(Some(&short));
    let url = secure.url("/v1/tasks/agent-7-1/activities");
    let mut viewer: SecureViewer = secure.watching(Some(&short), "agent-7-1").await;
    let stream = client.get(secure.url("/v1/tasks/agent-7-1/stream")).send().await.expect("a stream");
    assert_eq!(client.post(&url).body(message("x").to_string()).send().await.expect("an answer").status(), 200);
    assert_eq!(viewer.texts(1).await, ["x"]);
    assert_eq!(viewer.closed().await.0, 4401);
    assert!(events(stream).await.iter().any(|name| name == "live"));
    // Over the connection that is open still, or not at all.
    if let Ok(answer) = client.post(&url).body(message("x").to_string()).send().await {
        assert_eq!(answer.json::<Value>().await.expect("JSON")["code"], "token_expired");
    }
}

#[tokio::test]
async fn a_hub_that_lets_only_certificates_in_asks_nothing_more_unless_it_is_told_to() {
    let secure = SecureHub::start_with(|settings, files| {
        settings.tls.client_auth = "required".to_owned();
        settings.tls.client_ca_file = files.path("ca.pem").display().to_string();
    })
    .await;
    assert_eq!(publish(&secure, None, None, "t").await, None);
    let anybody = secure.files.authority.client("anybody-at-all");
    assert_eq!(publish(&secure, Some(&anybody), None, "t").await, Some((200, Value::Null)));
}
