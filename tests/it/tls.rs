//! TLS: what comes by it, what is told to whoever comes without, certificates that change, and clients' certificates.

mod attacks;
mod authority;
mod certificates;
mod clients;
mod reload;

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
};

use rustls::{
    ClientConfig, RootCertStore,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
};
use serde_json::{Value, json};
use tasklight::config::Settings;
use tempfile::TempDir;
use tokio::{net::TcpStream, time::timeout};
use tokio_rustls::{TlsConnector, client::TlsStream};

use self::authority::{Authority, Pair};
use crate::{
    harness::{PATIENCE, TestHub, message},
    viewer::Viewer,
};

/// A viewer by TLS.
type SecureViewer = Viewer<TlsStream<TcpStream>>;

/// The files of a hub that speaks TLS, and who signed its certificate.
struct Files {
    folder: TempDir,
    authority: Authority,
}

impl Files {
    fn new() -> Self {
        let files = Self { folder: TempDir::new().expect("a folder"), authority: Authority::new("Example CA") };
        files.write("ca.pem", &files.authority.pem);
        files.install(&files.authority.server());
        files
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: &str) -> String {
        let path = self.path(name);
        std::fs::write(&path, text).expect("it is written");
        path.display().to_string()
    }

    /// Puts a certificate and its key where the hub reads them.
    fn install(&self, pair: &Pair) {
        self.write("hub.pem", &pair.cert);
        self.write("hub.key", &pair.key);
    }

    /// Has a hub use them.
    fn name_in(&self, settings: &mut Settings) {
        settings.tls.cert_file = self.path("hub.pem").display().to_string();
        settings.tls.key_file = self.path("hub.key").display().to_string();
    }
}

/// A hub that speaks TLS.
struct SecureHub {
    hub: TestHub,
    files: Files,
}

impl SecureHub {
    async fn start() -> Self {
        Self::start_with(|_, _| {}).await
    }

    async fn start_with(change: impl FnOnce(&mut Settings, &Files)) -> Self {
        let files = Files::new();
        let hub = TestHub::start_with(|settings| {
            files.name_in(settings);
            change(settings, &files);
        })
        .await;
        Self { hub, files }
    }

    fn address(&self) -> SocketAddr {
        self.hub.address()
    }

    fn url(&self, path: &str) -> String {
        format!("https://localhost:{}{path}", self.address().port())
    }

    /// A client that trusts the hub's authority, and shows this certificate.
    fn client(&self, pair: Option<&Pair>) -> reqwest::Client {
        let authority = reqwest::Certificate::from_pem(self.files.authority.pem.as_bytes()).expect("a certificate");
        let builder = reqwest::Client::builder().tls_certs_only([authority]);
        let builder = match pair {
            Some(Pair { cert, key }) => {
                builder.identity(reqwest::Identity::from_pem(format!("{cert}\n{key}").as_bytes()).expect("a pair"))
            }
            None => builder,
        };
        builder.build().expect("a client")
    }

    /// A connection whose handshake is done.
    async fn connect(&self, pair: Option<&Pair>) -> std::io::Result<TlsStream<TcpStream>> {
        connect(self.address(), &self.files.authority, pair).await
    }

    async fn viewer(&self, pair: Option<&Pair>) -> SecureViewer {
        let connection = self.connect(pair).await.expect("a handshake");
        SecureViewer::over(connection, "tasklight.v1").await.expect("a session")
    }

    async fn watching(&self, pair: Option<&Pair>, task: &str) -> SecureViewer {
        let mut viewer = self.viewer(pair).await;
        viewer.say(json!({"op": "subscribe", "task": task})).await;
        viewer
    }

    async fn publish(&self, pair: Option<&Pair>, task: &str, text: &str) -> u16 {
        let url = self.url(&format!("/v1/tasks/{task}/activities"));
        let answer = self.client(pair).post(url).body(message(text).to_string()).send().await;
        answer.expect("an answer").status().as_u16()
    }

    /// The number behind this name in what the hub counts.
    async fn metric(&self, name: &str) -> i64 {
        let url = format!("http://{}/metrics", self.hub.node().admin_address());
        let text = reqwest::get(url).await.expect("an answer").text().await.expect("a text");
        text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok()).unwrap_or_default()
    }

    /// Waits until what the hub counts under this name is so much.
    async fn counts(&self, name: &str, number: i64) {
        let counted = async { while self.metric(name).await != number {} };
        timeout(PATIENCE, counted).await.unwrap_or_else(|_| panic!("{name} is not {number}"));
    }
}

/// A handshake with whoever is there, trusting this authority and showing this certificate.
async fn connect(address: SocketAddr, authority: &Authority, pair: Option<&Pair>) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(authority.pem.as_bytes()).expect("a certificate")).expect("an authority");
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots);
    let config = match pair {
        Some(pair) => {
            let chain = vec![CertificateDer::from_pem_slice(pair.cert.as_bytes()).expect("a certificate")];
            let key = PrivateKeyDer::from_pem_slice(pair.key.as_bytes()).expect("a key");
            config.with_client_auth_cert(chain, key).expect("a pair")
        }
        None => config.with_no_client_auth(),
    };
    let name = ServerName::try_from("localhost").expect("a name");
    let socket = TcpStream::connect(address).await?;
    timeout(PATIENCE, TlsConnector::from(Arc::new(config)).connect(name, socket)).await.expect("in time")
}

/// The events of a stream until it ends in order, by their names.
async fn events(mut answer: reqwest::Response) -> Vec<String> {
    let mut text = String::new();
    while let Some(bytes) = timeout(PATIENCE, answer.chunk()).await.expect("it goes on").expect("it ends in order") {
        text.push_str(std::str::from_utf8(&bytes).expect("UTF-8"));
    }
    text.lines().filter_map(|line| line.strip_prefix("event: ")).map(str::to_owned).collect()
}

/// The hub's program with these variables beside its own folder, and what it says first.
fn program(folder: &Path) -> tokio::process::Command {
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_tasklight"));
    command.current_dir(folder).kill_on_drop(true);
    command
}

#[tokio::test]
async fn answers_sockets_and_streams_come_by_tls_and_are_drained_in_order() {
    let mut secure = SecureHub::start().await;
    let mut viewer = secure.watching(None, "t").await;
    let stream = secure.client(None).get(secure.url("/v1/tasks/t/stream")).send().await.expect("a stream");
    assert_eq!(stream.status(), 200);
    assert_eq!(secure.publish(None, "t", "first").await, 200);
    assert_eq!(secure.publish(None, "t", &"x".repeat(60_000)).await, 200);
    let texts = viewer.texts(2).await;
    assert_eq!((texts[0].as_str(), texts[1].len()), ("first", 60_000));
    let (stopped, events) = tokio::join!(secure.hub.stop(), events(stream));
    assert!(stopped, "it stops by itself");
    let told = viewer.until("drain").await;
    assert!(told.last().is_some_and(|drain| drain["cursors"]["t"].is_string()), "{told:?}");
    assert_eq!(viewer.closed().await.0, 1012);
    assert_eq!(events.last().map(String::as_str), Some("drain"), "{events:?}");
}

#[tokio::test]
async fn a_stop_does_not_wait_for_handshakes() {
    let mut secure = SecureHub::start().await;
    let silent = TcpStream::connect(secure.address()).await.expect("a connection");
    // Served after it, so it was accepted.
    assert_eq!(secure.publish(None, "t", "x").await, 200);
    let begun = std::time::Instant::now();
    assert!(secure.hub.stop().await);
    assert!(begun.elapsed() < std::time::Duration::from_secs(8), "{:?}", begun.elapsed());
    drop(silent);
}

#[tokio::test]
async fn only_pages_that_came_by_tls_are_the_hubs_own() {
    let secure = SecureHub::start_with(|settings, _| settings.tls.hsts = "30days".parse().expect("a duration")).await;
    let authority = format!("localhost:{}", secure.address().port());
    for (origin, status) in [(format!("https://{authority}"), 200), (format!("http://{authority}"), 403)] {
        let request = secure.client(None).get(secure.url("/v1/tasks")).header("origin", &origin);
        let answer = request.send().await.expect("an answer");
        assert_eq!(answer.status().as_u16(), status, "{origin}");
        assert_eq!(answer.headers()["strict-transport-security"], "max-age=2592000", "{origin}");
    }
    let plain = SecureHub::start().await;
    let answer = plain.client(None).get(plain.url("/")).send().await.expect("an answer");
    assert!(!answer.headers().contains_key("strict-transport-security"), "unless it is asked for");
}

#[tokio::test]
async fn the_operators_listener_is_plain_and_nothing_of_it_is_on_the_public_one() {
    let secure = SecureHub::start().await;
    let admin = format!("http://{}", secure.hub.node().admin_address());
    let runtime = reqwest::get(format!("{admin}/debug/runtime?seconds=1")).await.expect("an answer");
    let runtime: Value = runtime.json().await.expect("JSON");
    assert!(runtime["measuredMs"].as_u64().is_some_and(|millis| 1_000 <= millis), "{runtime}");
    let names: Vec<_> = runtime["runtimes"].as_array().expect("runtimes").iter().map(|runtime| &runtime["name"]).collect();
    assert_eq!(names[..2], [&json!("tasklight"), &json!("shard-0")]);
    assert!(runtime["threads"].as_array().is_some_and(|threads| !threads.is_empty()), "{runtime}");
    assert!(runtime["memory"]["residentBytes"].as_u64().is_some_and(|bytes| 0 < bytes), "{runtime}");
    let answer = reqwest::get(format!("{admin}/debug/runtime?seconds=61")).await.expect("an answer");
    assert_eq!(answer.status(), 400);
    for path in ["/metrics", "/healthz", "/readyz", "/debug/runtime"] {
        assert_eq!(reqwest::get(format!("{admin}{path}")).await.expect("an answer").status(), 200, "{path}");
        assert_eq!(secure.client(None).get(secure.url(path)).send().await.expect("an answer").status(), 404, "{path}");
    }
}
