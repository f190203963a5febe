//! Tokens that are no good: forged, foreign, incomplete.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};

use super::{GuardedHub, SECRET, now, signed};
use crate::services::key_pair;

/// A token of these parts, signed by nobody.
fn unsigned(header: &Value, claims: &Value, signature: &str) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    format!("{}.{}.{signature}", part(header), part(claims))
}

fn good() -> Value {
    json!({"sub": "eve", "iat": now(), "exp": now() + 3_600, "iss": "us", "aud": "hub", "tasklight": {"read": ["*"]}})
}

async fn hub() -> GuardedHub {
    GuardedHub::start_with(|settings, _| {
        settings.auth.issuer = "us".to_owned();
        settings.auth.audience = "hub".to_owned();
    })
    .await
}

async fn status_of(hub: &GuardedHub, token: &str) -> (u16, Value) {
    let (status, answer) = hub.ask(Some(token), "GET", "/v1/tasks", Value::Null).await;
    (status, answer["code"].clone())
}

#[tokio::test]
async fn forged_tokens_are_refused() {
    let hub = hub().await;
    assert_eq!(status_of(&hub, &signed(&good())).await.0, 200, "a good one is taken");
    let valid = signed(&good());
    let (head, rest) = valid.split_once('.').expect("parts");
    let (body, signature) = rest.split_once('.').expect("parts");
    let other = EncodingKey::from_secret(b"another secret of more than 32 bytes, not the hub's");
    let tampered = URL_SAFE_NO_PAD.encode(json!({"sub": "root", "exp": now() + 3_600, "iss": "us", "aud": "hub"}).to_string());
    let secret = EncodingKey::from_secret(SECRET.as_bytes());
    for (what, token) in [
        ("nothing", String::new()),
        ("no JWT", "abc".to_owned()),
        ("dots", "..".to_owned()),
        ("alg none", unsigned(&json!({"alg": "none", "typ": "JWT"}), &good(), "")),
        ("no alg", unsigned(&json!({"typ": "JWT"}), &good(), signature)),
        ("no signature", format!("{head}.{body}.")),
        ("two parts", format!("{head}.{body}")),
        ("four parts", format!("{valid}.x")),
        ("as JSON", json!({"protected": head, "payload": body, "signature": signature}).to_string()),
        ("another signature", format!("{head}.{body}.{}", &signature[1..])),
        ("other claims", format!("{head}.{tampered}.{signature}")),
        ("another secret", encode(&Header::new(Algorithm::HS256), &good(), &other).expect("it signs")),
        ("another algorithm of the same key", encode(&Header::new(Algorithm::HS512), &good(), &secret).expect("it signs")),
        ("an API key", "tlk_abc_def".to_owned()),
        ("too long", format!("{head}.{}.{signature}", "A".repeat(9_000))),
    ] {
        let (status, code) = status_of(&hub, &token).await;
        assert!(status == 401 && code != "token_missing", "{what}: {status} {code}");
    }
}

#[tokio::test]
async fn a_public_key_is_no_secret() {
    let (private, public) = key_pair(&["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"]);
    let file = public.clone();
    let hub = GuardedHub::start_with(move |settings, folder| {
        let path = folder.path().join("public.pem");
        std::fs::write(&path, &file).expect("it is written");
        settings.auth.hmac_secret_file = String::new();
        settings.auth.public_keys = serde_json::from_value(json!([path])).expect("a list");
    })
    .await;
    let key = EncodingKey::from_rsa_pem(private.as_bytes()).expect("a key");
    for algorithm in [Algorithm::RS256, Algorithm::RS384, Algorithm::RS512, Algorithm::PS256, Algorithm::PS384, Algorithm::PS512]
    {
        let token = encode(&Header::new(algorithm), &good(), &key).expect("it signs");
        assert_eq!(status_of(&hub, &token).await.0, 200, "{algorithm:?}");
    }
    for secret in [public.as_bytes(), public.trim().as_bytes(), SECRET.as_bytes()] {
        for algorithm in [Algorithm::HS256, Algorithm::HS384, Algorithm::HS512] {
            let token = encode(&Header::new(algorithm), &good(), &EncodingKey::from_secret(secret)).expect("it signs");
            assert_eq!(status_of(&hub, &token).await.0, 401, "signed with the public key as a secret");
        }
    }
}

#[tokio::test]
async fn keys_of_each_kind_are_good_for_their_own_algorithm_only() {
    type Kind<'a> = (&'a [&'a str], Algorithm, fn(&[u8]) -> jsonwebtoken::errors::Result<EncodingKey>);
    let kinds: [Kind<'_>; 3] = [
        (&["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"], Algorithm::ES256, EncodingKey::from_ec_pem),
        (&["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-384"], Algorithm::ES384, EncodingKey::from_ec_pem),
        (&["genpkey", "-algorithm", "ED25519"], Algorithm::EdDSA, EncodingKey::from_ed_pem),
    ];
    let pairs = kinds.map(|(command, algorithm, read)| (key_pair(command), algorithm, read));
    for (at, ((_, public), ..)) in pairs.iter().enumerate() {
        let file = public.clone();
        let hub = GuardedHub::start_with(move |settings, folder| {
            let path = folder.path().join("public.pem");
            std::fs::write(&path, &file).expect("it is written");
            settings.auth.hmac_secret_file = String::new();
            settings.auth.public_keys = serde_json::from_value(json!([path])).expect("a list");
        })
        .await;
        for (other, ((private, _), algorithm, read)) in pairs.iter().enumerate() {
            let token = encode(&Header::new(*algorithm), &good(), &read(private.as_bytes()).expect("a key")).expect("it signs");
            let expected = if at == other { 200 } else { 401 };
            assert_eq!(status_of(&hub, &token).await.0, expected, "{algorithm:?} where {:?} is known", pairs[at].1);
        }
    }
}

#[tokio::test]
async fn a_claim_that_is_missing_or_wrong_is_a_token_that_is_no_good() {
    let hub = hub().await;
    let changed = |name: &str, value: Value| {
        let mut claims = good();
        claims[name] = value;
        claims
    };
    for claim in ["sub", "exp", "iss", "aud"] {
        let mut claims = good();
        claims.as_object_mut().expect("an object").remove(claim);
        assert_eq!(status_of(&hub, &signed(&claims)).await, (401, json!("token_invalid")), "without {claim}");
    }
    for (name, value, expected) in [
        ("iss", json!("them"), "token_invalid"),
        ("iss", json!(["us", "them"]), ""),
        ("aud", json!("another"), "token_invalid"),
        ("aud", json!(["another", "hub"]), ""),
        ("sub", json!(""), "token_invalid"),
        ("sub", json!("a\nb"), "token_invalid"),
        ("sub", json!(7), "token_invalid"),
        ("exp", json!(now() - 60), "token_expired"),
        ("exp", json!(now() - 10), ""),
        ("exp", json!("soon"), "token_invalid"),
        ("exp", json!(1e30), "token_invalid"),
        ("nbf", json!(now() + 60), "token_invalid"),
        ("nbf", json!(now() + 10), ""),
        ("tasklight", json!({"read": ["a b"]}), "token_invalid"),
        ("tasklight", json!({"raed": ["*"]}), "token_invalid"),
        ("tasklight", json!({"read": vec!["a"; 200]}), "token_invalid"),
        ("tasklight", json!("*"), "token_invalid"),
    ] {
        let (status, code) = status_of(&hub, &signed(&changed(name, value.clone()))).await;
        let expected = if expected.is_empty() { (200, Value::Null) } else { (401, json!(expected)) };
        assert_eq!((status, code), expected, "{name}: {value}");
    }
}
