//! What a token's header says of itself is never followed: not where its key is, not what the key is, and not what must be understood to check it.
//! The attacks are the known ones on JWT libraries; the rows that are signed as they should be show that it is the header that is refused.

use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use jsonwebtoken::{Algorithm, EncodingKey, crypto};
use rcgen::{CertificateParams, KeyPair, PublicKeyData};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};

use super::{GuardedHub, SECRET, now};

/// The order of P-256, beyond which no number of a signature may be (FIPS 186-5).
const ORDER: [u8; 32] = [
    0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xbc, 0xe6, 0xfa, 0xad, 0xa7, 0x17, 0x9e,
    0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
];

fn claims() -> String {
    json!({"sub": "eve", "iat": now(), "exp": now() + 3_600, "tasklight": {"read": ["*"]}}).to_string()
}

/// A token of this header, byte for byte, and this payload, encoded already, signed whatever they say.
fn token_of(header: &str, payload: &str, algorithm: Algorithm, key: &EncodingKey) -> String {
    let message = format!("{}.{payload}", URL_SAFE_NO_PAD.encode(header));
    let signature = crypto::sign(message.as_bytes(), key, algorithm).expect("it signs");
    format!("{message}.{signature}")
}

/// The same with claims that are good.
fn token(header: &str, algorithm: Algorithm, key: &EncodingKey) -> String {
    token_of(header, &URL_SAFE_NO_PAD.encode(claims()), algorithm, key)
}

fn secret() -> EncodingKey {
    EncodingKey::from_secret(SECRET.as_bytes())
}

async fn status_of(hub: &GuardedHub, token: &str) -> (u16, Value) {
    let (status, answer) = hub.ask(Some(token), "GET", "/v1/tasks", Value::Null).await;
    (status, answer["code"].clone())
}

async fn assert_refused(hub: &GuardedHub, rows: &[(&str, String)]) {
    for (what, token) in rows {
        assert_eq!(status_of(hub, token).await, (401, json!("token_invalid")), "{what}");
    }
}

/// A hub that takes what is signed by this key only.
async fn hub_of(keys: &KeyPair) -> GuardedHub {
    let public = keys.public_key_pem();
    GuardedHub::start_with(move |settings, folder| {
        let path = folder.path().join("public.pem");
        std::fs::write(&path, &public).expect("it is written");
        settings.auth.hmac_secret_file = String::new();
        settings.auth.public_keys = serde_json::from_value(json!([path])).expect("a list");
    })
    .await
}

fn pair() -> (KeyPair, EncodingKey) {
    let keys = KeyPair::generate().expect("a key of P-256");
    let private = EncodingKey::from_ec_der(keys.serialized_der());
    (keys, private)
}

fn jwk(keys: &KeyPair) -> Value {
    let (x, y) = keys.der_bytes()[1..].split_at(32);
    json!({"kty": "EC", "crv": "P-256", "x": URL_SAFE_NO_PAD.encode(x), "y": URL_SAFE_NO_PAD.encode(y)})
}

#[tokio::test]
async fn a_header_that_asks_for_what_is_not_understood_is_refused_although_the_signature_fits() {
    let hub = GuardedHub::start().await;
    let plain = r#"{"alg":"HS256","typ":"JWT","x":1}"#;
    assert_eq!(status_of(&hub, &token(plain, Algorithm::HS256, &secret())).await.0, 200, "without it the same is taken");
    let headers = [
        r#"{"alg":"HS256","crit":["x"],"x":1}"#,
        r#"{"alg":"HS256","crit":["exp"],"exp":1}"#,
        r#"{"alg":"HS256","crit":["alg"]}"#,
        r#"{"alg":"HS256","crit":[]}"#,
        r#"{"alg":"HS256","crit":null}"#,
        r#"{"alg":"HS256","crit":"x"}"#,
        r#"{"alg":"HS256","crit":["x"],"crit":null}"#,
        r#"{"alg":"HS256","\u0063rit":["x"]}"#,
        r#"{"alg":"HS256","b64":false,"crit":["b64"]}"#,
        r#"{"alg":"HS256","b64":false}"#,
    ];
    let signed = headers.map(|header| (header, token(header, Algorithm::HS256, &secret())));
    assert_refused(&hub, &signed).await;
    // RFC 7797: the claims as they are, of which the signature is good.
    let bare = token_of(r#"{"alg":"HS256","b64":false,"crit":["b64"]}"#, &claims(), Algorithm::HS256, &secret());
    assert_refused(&hub, &[("a payload that is not encoded", bare)]).await;
}

#[tokio::test]
async fn an_algorithm_is_taken_by_its_exact_name_and_once() {
    let hub = GuardedHub::start().await;
    let mut rows = Vec::new();
    for name in ["none", "None", "NONE", "nOnE", "none ", ""] {
        let message =
            format!("{}.{}", URL_SAFE_NO_PAD.encode(json!({"alg": name}).to_string()), URL_SAFE_NO_PAD.encode(claims()));
        rows.push(("none, without a signature", format!("{message}.")));
        rows.push(("none, signed", token(&json!({"alg": name}).to_string(), Algorithm::HS256, &secret())));
    }
    for header in [
        r#"{"alg":"hs256"}"#,
        r#"{"alg":"Hs256"}"#,
        r#"{"alg":"HS256 "}"#,
        r#"{"alg":["HS256"]}"#,
        r#"{"alg":null}"#,
        r#"{"typ":"JWT"}"#,
        r#"{"alg":"HS256","alg":"HS256"}"#,
        r#"{"alg":"none","alg":"HS256"}"#,
        r#"{"alg":"HS256","alg":"none"}"#,
        r#"{"alg":"HS256","kid":"a","kid":"b"}"#,
        r#"{"alg":"HS256"}{"alg":"HS256"}"#,
        r#"["HS256"]"#,
        "",
    ] {
        rows.push((header, token(header, Algorithm::HS256, &secret())));
    }
    for algorithm in [Algorithm::HS384, Algorithm::HS512] {
        rows.push(("another algorithm of the same secret", token(r#"{"alg":"HS256"}"#, algorithm, &secret())));
        rows.push(("the same, and said", token(&json!({"alg": algorithm}).to_string(), algorithm, &secret())));
    }
    assert_refused(&hub, &rows).await;
}

#[tokio::test]
async fn no_key_that_a_token_brings_or_points_to_is_used_or_fetched() {
    let place = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = place.local_addr().expect("an address");
    let url = format!("http://{address}/keys");
    let ((ours, our_key), (theirs, their_key)) = (pair(), pair());
    let certificate = CertificateParams::new(vec!["eve".to_owned()]).and_then(|form| form.self_signed(&theirs));
    let chain = json!([STANDARD.encode(certificate.expect("a certificate").der())]);
    let with_secret = GuardedHub::start().await;
    let with_key = hub_of(&ours).await;
    let known = "known to whoever reads this file, and long enough";
    std::fs::write(with_secret.folder.path().join("known"), known).expect("it is written");
    let path = with_secret.folder.path().join("known").display().to_string();
    let brought = [
        ("jwk", jwk(&theirs)),
        ("jwk", json!({"kty": "oct", "k": URL_SAFE_NO_PAD.encode(known), "alg": "HS256"})),
        ("x5c", chain),
        ("jku", json!(url)),
        ("x5u", json!(url)),
        ("kid", json!(url)),
        ("kid", json!(path)),
        ("kid", json!("/dev/null")),
        ("kid", json!("../../../../../../dev/null")),
        ("kid", json!("' UNION SELECT 'known' --")),
    ];
    for (name, value) in &brought {
        let header = |algorithm: &str| json!({"alg": algorithm, *name: value}).to_string();
        let what = format!("{name}: {value}");
        // What is in the header does no harm to a token that is signed as it should be.
        assert_eq!(status_of(&with_secret, &token(&header("HS256"), Algorithm::HS256, &secret())).await.0, 200, "{what}");
        assert_eq!(status_of(&with_key, &token(&header("ES256"), Algorithm::ES256, &our_key)).await.0, 200, "{what}");
        for hub in [&with_secret, &with_key] {
            assert_refused(hub, &[(&what, token(&header("ES256"), Algorithm::ES256, &their_key))]).await;
            for guess in [known, "", url.as_str(), path.as_str()] {
                let guessed = token(&header("HS256"), Algorithm::HS256, &EncodingKey::from_secret(guess.as_bytes()));
                assert_refused(hub, &[(&what, guessed)]).await;
            }
        }
    }
    // Nobody has connected: the first who does is this test.
    let us = TcpStream::connect(address).await.expect("it connects");
    let (_, peer) = place.accept().await.expect("somebody");
    assert_eq!(peer, us.local_addr().expect("an address"), "nothing that a token names is fetched");
}

#[tokio::test]
async fn a_signature_of_a_curve_is_two_numbers_in_range_and_nothing_else() {
    let (keys, private) = pair();
    let hub = hub_of(&keys).await;
    let valid = token(r#"{"alg":"ES256"}"#, Algorithm::ES256, &private);
    assert_eq!(status_of(&hub, &valid).await.0, 200);
    let (message, signature) = valid.rsplit_once('.').expect("parts");
    let bytes = URL_SAFE_NO_PAD.decode(signature).expect("base 64");
    let (r, s) = bytes.split_at(32);
    let (zero, one) = ([0; 32], [[0; 31].as_slice(), &[1]].concat());
    // The same numbers in DER, as in a certificate: each with a leading zero, which DER allows where the first bit is set.
    let der = [&[0x30, 70, 2, 33, 0][..], r, &[2, 33, 0], s].concat();
    let rows: Vec<(&str, Vec<u8>)> = vec![
        ("empty", vec![]),
        ("r = s = 0", [zero, zero].concat()),
        ("r = 0", [&zero[..], s].concat()),
        ("s = 0", [r, &zero].concat()),
        ("r = s = 1", [&one[..], &one].concat()),
        ("r = s = the order", [ORDER, ORDER].concat()),
        ("r = the order, s = 0", [ORDER, zero].concat()),
        ("s = the order", [r, &ORDER].concat()),
        ("the other way round", [s, r].concat()),
        ("in DER", der),
        ("one byte less", bytes[..63].to_vec()),
        ("one byte more", [&bytes[..], &[0]].concat()),
        ("twice", [&bytes[..], &bytes].concat()),
        ("zeros between", [&[0], r, &[0], s].concat()),
    ];
    let rows: Vec<_> =
        rows.into_iter().map(|(what, bytes)| (what, format!("{message}.{}", URL_SAFE_NO_PAD.encode(bytes)))).collect();
    assert_refused(&hub, &rows).await;
    for name in ["es256", "Es256", "ES256K", "ES384", "none", "EdDSA", "RS256"] {
        let header = json!({"alg": name}).to_string();
        assert_refused(&hub, &[(name, token(&header, Algorithm::ES256, &private))]).await;
    }
}

#[tokio::test]
async fn a_public_key_of_a_curve_is_no_secret() {
    let (keys, _) = pair();
    let hub = hub_of(&keys).await;
    let pem = keys.public_key_pem();
    let forms = [
        pem.as_bytes(),
        pem.trim().as_bytes(),
        &pem.replace("\r\n", "\n").into_bytes(),
        &keys.subject_public_key_info(),
        keys.der_bytes(),
        b"",
    ]
    .map(<[u8]>::to_vec);
    for form in forms {
        for algorithm in [Algorithm::HS256, Algorithm::HS384, Algorithm::HS512] {
            let header = json!({"alg": algorithm}).to_string();
            assert_refused(&hub, &[("its own name", token(&header, algorithm, &EncodingKey::from_secret(&form)))]).await;
            let header = r#"{"alg":"ES256"}"#;
            assert_refused(&hub, &[("the key's", token(header, algorithm, &EncodingKey::from_secret(&form)))]).await;
        }
    }
}
