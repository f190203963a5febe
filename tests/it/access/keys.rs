//! Keys from elsewhere: published ones, and API keys in a file.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use axum::{Router, http::StatusCode, routing::get};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{
    Algorithm, EncodingKey, Header, encode,
    jwk::{Jwk, JwkSet},
};
use serde_json::{Value, json};
use tokio::{net::TcpListener, task::JoinSet};

use super::{GuardedHub, now, token};
use crate::{harness::PATIENCE, program::tasklight, services::key_pair, viewer::Viewer};

/// A place where keys are published, which counts who comes.
struct Publisher {
    address: SocketAddr,
    fetches: Arc<AtomicUsize>,
    down: Arc<AtomicBool>,
    _server: JoinSet<()>,
}

impl Publisher {
    async fn start(body: String) -> Self {
        let (fetches, down) = (Arc::<AtomicUsize>::default(), Arc::<AtomicBool>::default());
        let (count, is_down) = (fetches.clone(), down.clone());
        let answer = move || {
            count.fetch_add(1, Ordering::SeqCst);
            let status = if is_down.load(Ordering::SeqCst) { StatusCode::INTERNAL_SERVER_ERROR } else { StatusCode::OK };
            let body = body.clone();
            async move { (status, body) }
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let mut server = JoinSet::new();
        server.spawn(async move { axum::serve(listener, Router::new().route("/keys", get(answer))).await.expect("it serves") });
        Self { address, fetches, down, _server: server }
    }

    async fn hub(&self, cooldown: &str, refresh: &str) -> GuardedHub {
        let (cooldown, refresh) = (cooldown.parse().expect("a duration"), refresh.parse().expect("a duration"));
        GuardedHub::start_with(|settings, _| {
            settings.auth.hmac_secret_file = String::new();
            settings.auth.jwks_url = format!("http://{}/keys", self.address);
            (settings.auth.jwks_cooldown, settings.auth.jwks_refresh) = (cooldown, refresh);
        })
        .await
    }

    fn fetches(&self) -> usize {
        self.fetches.load(Ordering::SeqCst)
    }
}

struct Signer {
    key: EncodingKey,
    set: String,
}

fn signer() -> Signer {
    let (private, _) = key_pair(&["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"]);
    let key = EncodingKey::from_rsa_pem(private.as_bytes()).expect("a key");
    let mut jwk = Jwk::from_encoding_key(&key, Algorithm::RS256).expect("a key");
    jwk.common.key_id = Some("k1".to_owned());
    let mut set = serde_json::to_value(JwkSet { keys: vec![jwk] }).expect("JSON");
    // What a set may hold beside: keys for other purposes, and a secret that should never be there.
    let secret = URL_SAFE_NO_PAD.encode("a secret that is in a public place, where it can't be one");
    set["keys"].as_array_mut().expect("keys").extend([
        json!({"kty": "oct", "kid": "shared", "alg": "HS256", "k": secret}),
        json!({"kty": "EC", "crv": "P-521", "kid": "p521", "x": "AA", "y": "AA"}),
    ]);
    Signer { key, set: set.to_string() }
}

fn by(signer: &EncodingKey, kid: Option<&str>, algorithm: Algorithm) -> String {
    let mut header = Header::new(algorithm);
    header.kid = kid.map(str::to_owned);
    encode(&header, &json!({"sub": "eve", "exp": now() + 3_600, "tasklight": {"read": ["*"]}}), signer).expect("it signs")
}

async fn status(hub: &GuardedHub, token: &str) -> u16 {
    hub.ask(Some(token), "GET", "/v1/tasks", Value::Null).await.0
}

#[tokio::test]
async fn published_keys_are_fetched_once_for_all_who_wait() {
    let signer = signer();
    let place = Publisher::start(signer.set).await;
    let hub = Arc::new(place.hub("1h", "1h").await);
    assert_eq!(place.fetches(), 0, "not before somebody comes");
    let mut asked = JoinSet::new();
    for _ in 0..20 {
        let (hub, token) = (hub.clone(), by(&signer.key, Some("k1"), Algorithm::RS256));
        asked.spawn(async move { status(&hub, &token).await });
    }
    assert!(asked.join_all().await.into_iter().all(|status| status == 200));
    assert_eq!(place.fetches(), 1);
    assert_eq!(status(&hub, &by(&signer.key, None, Algorithm::RS256)).await, 200, "a token need not name its key");
    let shared = EncodingKey::from_secret(b"a secret that is in a public place, where it can't be one");
    assert_eq!(status(&hub, &by(&shared, Some("shared"), Algorithm::HS256)).await, 401, "a published secret is none");
    assert_eq!(status(&hub, &by(&signer.key, Some("k1"), Algorithm::PS256)).await, 401, "the key says RS256");
    for number in 0..1_000 {
        assert_eq!(status(&hub, &by(&signer.key, Some(&format!("random-{number}")), Algorithm::RS256)).await, 401);
    }
    assert_eq!(place.fetches(), 1, "unknown names are no reason to fetch again and again");
}

#[tokio::test]
async fn known_keys_stay_good_while_they_cannot_be_fetched() {
    let signer = signer();
    let place = Publisher::start(signer.set).await;
    let hub = place.hub("10ms", "20ms").await;
    let token = by(&signer.key, Some("k1"), Algorithm::RS256);
    assert_eq!(status(&hub, &token).await, 200);
    place.down.store(true, Ordering::SeqCst);
    let before = place.fetches();
    let tried_again = async {
        while place.fetches() <= before + 2 {
            assert_eq!(status(&hub, &token).await, 200)
        }
    };
    tokio::time::timeout(PATIENCE, tried_again).await.expect("it is tried again");
}

#[tokio::test]
async fn keys_that_cannot_be_fetched_are_a_reason_to_try_again() {
    let signer = signer();
    for body in [String::new(), "[]".to_owned(), format!("{{\"keys\": [], \"x\": \"{}\"}}", "x".repeat(1 << 20))] {
        let place = Publisher::start(body).await;
        let hub = place.hub("1h", "1h").await;
        let (status, answer) =
            hub.ask(Some(&by(&signer.key, Some("k1"), Algorithm::RS256)), "GET", "/v1/tasks", Value::Null).await;
        assert_eq!((status, &answer["code"]), (503, &json!("keys_unavailable")));
    }
}

#[tokio::test]
async fn an_api_key_is_good_until_it_is_taken_out_of_its_file() {
    let hub = GuardedHub::start_with(|settings, folder| {
        let path = folder.path().join("keys.toml");
        std::fs::write(&path, "").expect("it is written");
        settings.auth.key_file = path.display().to_string();
        settings.auth.revocation_interval = "50ms".parse().expect("a duration");
    })
    .await;
    hub.publish("agent-7-a", "x").await;
    let file = hub.folder.path().join("keys.toml");
    let arguments = ["token", "key", "--subject", "agent-7", "--publish", "agent-7-*", "--read", "agent-7-*", "--file"];
    let made = tasklight("http://unused", arguments).arg(&file).output().await.expect("it runs");
    let key = String::from_utf8(made.stdout).expect("a key").trim().to_owned();
    let text = std::fs::read_to_string(&file).expect("it is there");
    assert!(!text.contains(key.rsplit('_').next().expect("parts")), "the file has its hash only");
    let taken = async { while status(&hub, &key).await != 200 {} };
    tokio::time::timeout(PATIENCE, taken).await.expect("the file is read again");
    let body = json!({"invocationId": "r", "type": "message", "data": {"text": "by key"}});
    assert_eq!(hub.ask(Some(&key), "POST", "/v1/tasks/agent-7-a/activities", body.clone()).await.0, 200);
    assert_eq!(hub.ask(Some(&key), "POST", "/v1/tasks/agent-8-a/activities", body).await.0, 403);
    let mut viewer = Viewer::connect_as(hub.hub.address(), &format!("tasklight.v1, bearer.{key}")).await;
    viewer.say(json!({"op": "subscribe", "task": "agent-7-a"})).await;
    assert_eq!(viewer.texts(2).await, ["x", "by key"]);
    std::fs::write(&file, "").expect("it is written");
    assert_eq!(viewer.closed().await.0, 4401, "open sessions end with their key");
    assert_eq!(status(&hub, &key).await, 401);
    assert_eq!(status(&hub, &token("eve", json!({"read": ["*"]}))).await, 200, "tokens are another matter");
}
