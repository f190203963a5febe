//! Files that are wrong at the start, and files that change.

use serde_json::json;
use tasklight::{config::Settings, node::Node};

use super::{Authority, Files, SecureHub, connect};
use crate::harness::message;

/// How often the hub looks, so that a test need not wait for long.
const SOON: &str = "50ms";

#[tokio::test]
async fn a_file_that_is_no_good_stops_the_start_by_its_name() {
    let (files, other) = (Files::new(), Files::new());
    let good = |settings: &mut Settings| {
        files.name_in(settings);
        settings.tls.client_auth = "required".to_owned();
        settings.tls.client_ca_file = files.path("ca.pem").display().to_string();
    };
    let text = |name: &str, text: &str| files.write(name, text);
    let cut = std::fs::read_to_string(files.path("hub.pem")).expect("it is there").replace("MII", "MIX");
    for (key, file, what) in [
        ("tls.cert_file", "/nowhere/hub.pem".to_owned(), "cannot be read"),
        ("tls.cert_file", text("empty", ""), "no certificate"),
        ("tls.cert_file", files.path("hub.key").display().to_string(), "no certificate"),
        ("tls.cert_file", text("cut", &cut), "X.509"),
        ("tls.cert_file", text("long", &"x".repeat(2 << 20)), "more than"),
        ("tls.key_file", "/nowhere/hub.key".to_owned(), "cannot be read"),
        ("tls.key_file", files.path("hub.pem").display().to_string(), "no private key"),
        ("tls.key_file", other.path("hub.key").display().to_string(), "not the key of the certificate"),
        ("tls.client_ca_file", "/nowhere/ca.pem".to_owned(), "cannot be read"),
        ("tls.client_ca_file", text("none", "x"), "no certificate"),
        ("tls.client_grants", "/nowhere/grants.toml".to_owned(), "cannot be read"),
        ("tls.client_grants", text("grants", "[[client]]\nsubject = 7\n"), "string"),
    ] {
        let mut settings = Settings {
            listen: "127.0.0.1:0".parse().expect("an address"),
            admin_listen: "127.0.0.1:0".parse().expect("an address"),
            ..Settings::default()
        };
        settings.store.url = format!("sqlite://{}", files.path("log.db").display());
        good(&mut settings);
        match key {
            "tls.cert_file" => settings.tls.cert_file = file.clone(),
            "tls.key_file" => settings.tls.key_file = file.clone(),
            "tls.client_ca_file" => settings.tls.client_ca_file = file.clone(),
            _ => settings.tls.client_grants = file.clone(),
        }
        let error = format!("{:#}", Node::start(&settings).await.expect_err("it does not start"));
        assert!(error.contains(&format!("{key} = {file}: ")) && error.contains(what), "{error}");
        assert!(!error.contains("PRIVATE KEY"), "{error}");
    }
}

#[tokio::test]
async fn a_new_certificate_is_for_new_connections_and_one_that_is_no_good_changes_nothing() {
    let secure = SecureHub::start_with(|settings, _| settings.tls.reload_interval = SOON.parse().expect("a duration")).await;
    let mut old = secure.watching(None, "t").await;
    let expires = secure.metric("tasklight_tls_certificate_expires_seconds").await;
    assert!(0 < expires, "{expires}");
    // What was read at the start may have been read again once.
    let renewed = Authority::new("Another CA");
    secure.files.install(&renewed.server());
    let news = async { while connect(secure.address(), &renewed, None).await.is_err() {} };
    tokio::time::timeout(crate::harness::PATIENCE, news).await.expect("the new certificate is shown");
    assert!(secure.connect(None).await.is_err(), "and the old one is not");

    secure.files.write("hub.pem", "-----BEGIN CERTIFICATE-----\nnonsense\n-----END CERTIFICATE-----\n");
    secure.counts("tasklight_tls_reload_failures_total", 1).await;
    // It is tried again and again, and said once.
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    assert_eq!(secure.metric("tasklight_tls_reload_failures_total").await, 1);
    connect(secure.address(), &renewed, None).await.expect("what was good before is shown still");

    // The key that comes after its certificate.
    let last = renewed.server();
    let reloads = secure.metric("tasklight_tls_reloads_total").await;
    secure.files.write("hub.pem", &last.cert);
    secure.counts("tasklight_tls_reload_failures_total", 2).await;
    secure.files.write("hub.key", &last.key);
    secure.counts("tasklight_tls_reloads_total", reloads + 1).await;

    let authority = reqwest::Certificate::from_pem(renewed.pem.as_bytes()).expect("a certificate");
    let client = reqwest::Client::builder().tls_certs_only([authority]).build().expect("a client");
    let url = secure.url("/v1/tasks/t/activities");
    assert_eq!(client.post(url).body(json!([message("x")]).to_string()).send().await.expect("an answer").status(), 200);
    assert_eq!(old.texts(1).await, ["x"], "who came by the first certificate stays");
}
