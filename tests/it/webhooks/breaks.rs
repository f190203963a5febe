//! Hubs that are killed at any moment, and what is said of it all where it can be read.

use std::{
    path::Path,
    process::{Command as Openssl, Stdio},
    time::Duration,
};

use serde_json::{Value, json};
use tasklight::store::{LeaseName, Store};
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    process::{Child, Command},
    time::timeout,
};

use super::{Answer, Receiver, SECRET, endpoint, status};
use crate::{
    harness::PATIENCE,
    program::{finish, hear, tasklight},
    services::{free_address, postgres_database, prefix, redis_url},
    store_contract::options,
};

/// A hub as a process that tells these endpoints.
struct Hub {
    child: Child,
    url: String,
}

impl Hub {
    async fn start(store: &str, endpoints: &Value, environment: &[(&str, &str)]) -> Self {
        let address = free_address().expect("a free port").to_string();
        let mut command = tasklight("", ["serve", "--listen", &address, "--admin-listen", "127.0.0.1:0", "--store", store]);
        quick(&mut command, endpoints).envs(environment.iter().copied());
        let mut child = command.spawn().expect("it starts");
        hear(&mut child, "-- make\n").await;
        Self { child, url: format!("http://{address}") }
    }

    async fn publish(&self, task: &str, body: Value) {
        let url = format!("{}/v1/tasks/{task}/activities", self.url);
        let answer = reqwest::Client::new().post(url).body(body.to_string()).send().await.expect("an answer");
        assert_eq!(answer.status(), 200);
    }

    /// `kill -9`, and waits until it is gone.
    async fn kill(&mut self) {
        self.child.kill().await.expect("it is ours");
    }
}

fn quick<'a>(command: &'a mut Command, endpoints: &Value) -> &'a mut Command {
    command.envs([
        ("TASKLIGHT__WEBHOOKS__ENDPOINT", endpoints.to_string().as_str()),
        ("TASKLIGHT__WEBHOOKS__ALLOW_HTTP", "true"),
        ("TASKLIGHT__WEBHOOKS__ALLOW_PRIVATE", "127.0.0.0/8"),
        ("TASKLIGHT__WEBHOOKS__INTERVAL", "20ms"),
        ("TASKLIGHT__WEBHOOKS__RETRY_FIRST", "20ms"),
        ("TASKLIGHT__WEBHOOKS__RETRY_MOST", "200ms"),
        ("TASKLIGHT__CLUSTER__LEASE_TIMEOUT", "1s"),
    ])
}

#[tokio::test]
async fn kill_9_between_the_commit_and_its_telling_loses_nothing_and_the_id_stays() {
    let mut receiver = Receiver::start().await;
    let endpoints = json!([endpoint("ops", &receiver.url("/"))]);
    let folder = TempDir::new().expect("a folder");
    let store = format!("sqlite://{}", folder.path().join("log.db").display());
    // Before it was handed out: somebody else has the lease.
    let opened = Store::open(&options(store.clone())).await.expect("it opens");
    let lease = opened.acquire_lease(LeaseName::Webhooks, "somebody else", Duration::from_secs(1_800)).await;
    let fence = lease.expect("it answers").expect("nobody has it").fence;
    opened.close().await;
    let mut hub = Hub::start(&store, &endpoints, &[]).await;
    hub.publish("a", json!([status("r", "running"), status("r", "failed")])).await;
    hub.kill().await;
    assert!(receiver.is_silent());
    let opened = Store::open(&options(store.clone())).await.expect("it opens");
    opened.release_lease(fence).await.expect("it answers");
    opened.close().await;
    // While it is told: the receiver has it, and does not say so.
    receiver.answers([Answer::None]);
    let mut hub = Hub::start(&store, &endpoints, &[]).await;
    let first = receiver.next().await;
    assert_eq!(first.words(), ["a", "r", "running"]);
    hub.kill().await;
    assert!(receiver.is_silent());
    let _hub = Hub::start(&store, &endpoints, &[]).await;
    let again = receiver.next().await;
    assert_eq!((again.id(), &again.text), (first.id(), &first.text), "at least once, and the same");
    assert_eq!(receiver.words(1).await, [["a", "r", "failed"]]);
}

#[tokio::test]
async fn another_node_goes_on_when_the_one_that_tells_is_killed() {
    let mut receiver = Receiver::start().await;
    let endpoints = json!([endpoint("ops", &receiver.url("/"))]);
    let (database, redis, prefix) = (postgres_database().await, redis_url(), prefix());
    let shared = [("TASKLIGHT__BROKER__URL", redis.as_str()), ("TASKLIGHT__BROKER__PREFIX", &prefix)];
    let mut teller = Hub::start(&database.url(), &endpoints, &shared).await;
    teller.publish("a", status("r", "running")).await;
    assert_eq!(receiver.words(1).await, [["a", "r", "running"]], "it has the lease");
    // Another one that has no webhooks configured notes what happens all the same.
    let other = Hub::start(&database.url(), &json!([]), &shared).await;
    receiver.answers([Answer::None]);
    other.publish("b", status("r", "failed")).await;
    let first = receiver.next().await;
    assert_eq!(first.words(), ["b", "r", "failed"]);
    let heir = Hub::start(&database.url(), &endpoints, &shared).await;
    teller.kill().await;
    other.publish("c", status("r", "lost")).await;
    let again = receiver.next().await;
    assert_eq!((again.id(), again.words()), (first.id(), first.words()));
    assert_eq!(receiver.words(1).await, [["c", "r", "lost"]]);
    heir.publish("d", status("r", "failed")).await;
    assert_eq!(receiver.words(1).await, [["d", "r", "failed"]]);
    assert!(receiver.is_silent());
}

#[tokio::test]
async fn no_secret_is_in_any_log() {
    let receiver = Receiver::start().await;
    receiver.answers([
        Answer::Status(500, Vec::new()),
        Answer::Status(302, vec![("location", "http://hunter4.example/".to_owned())]),
    ]);
    let away = free_address().expect("a free port");
    let endpoints = json!([
        endpoint("ops", &receiver.url("/hunter2?key=hunter3")),
        endpoint("away", &format!("http://{away}/hunter2?key=hunter3")),
        endpoint("private", "http://10.0.0.1/hunter2?key=hunter3"),
    ]);
    let folder = TempDir::new().expect("a folder");
    let store = format!("sqlite://{}", folder.path().join("log.db").display());
    let log = folder.path().join("log.txt");
    let address = free_address().expect("a free port").to_string();
    let mut command = tasklight("", ["serve", "--listen", &address, "--admin-listen", "127.0.0.1:0", "--store", &store]);
    let to = std::fs::File::create(&log).expect("a file");
    quick(&mut command, &endpoints).env("TASKLIGHT__LOG__LEVEL", "tasklight=trace,debug").stderr(to);
    let mut child = command.spawn().expect("it starts");
    hear(&mut child, "-- make\n").await;
    let hub = Hub { child, url: format!("http://{address}") };
    let mut receiver = receiver;
    hub.publish("t", status("r", "failed")).await;
    for _ in 0..3 {
        receiver.next().await;
    }
    // Each of them has been said to be in trouble.
    let said = async {
        loop {
            let text = std::fs::read_to_string(&log).expect("a file");
            if ["ops", "away", "private"].iter().all(|name| text.contains(name)) && text.contains("\"address\"") {
                return text;
            }
            tokio::task::yield_now().await;
        }
    };
    let text = timeout(PATIENCE, said).await.expect("it is said");
    let secret = SECRET.trim_start_matches("whsec_");
    for word in ["hunter2", "hunter3", "hunter4", secret] {
        let line = text.lines().find(|line| line.contains(word));
        assert_eq!(line, None, "{word}");
    }
}

/// A certificate for 127.0.0.1 and the authority that signed it, in this folder.
fn certificates(folder: &Path) {
    let run = |arguments: &[&str]| {
        let done = Openssl::new("openssl").args(arguments).current_dir(folder).stderr(Stdio::null()).status();
        assert!(done.expect("openssl is installed").success(), "{arguments:?}");
    };
    std::fs::write(folder.join("leaf.ext"), "subjectAltName=IP:127.0.0.1\nbasicConstraints=CA:FALSE\n").expect("a file");
    let key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
    run(&[&["req", "-x509", "-days", "2", "-subj", "/CN=ours", "-keyout", "ca.key", "-out", "ca.pem"], &key[..]].concat());
    run(&[&["req", "-subj", "/CN=leaf", "-keyout", "leaf.key", "-out", "leaf.csr"], &key[..]].concat());
    run(&[
        "x509",
        "-req",
        "-days",
        "2",
        "-in",
        "leaf.csr",
        "-CA",
        "ca.pem",
        "-CAkey",
        "ca.key",
        "-CAcreateserial",
        "-extfile",
        "leaf.ext",
        "-out",
        "leaf.pem",
    ]);
}

#[tokio::test]
async fn a_test_event_goes_over_tls_to_whom_the_certificate_is_good() {
    let folder = TempDir::new().expect("a folder");
    certificates(folder.path());
    let port = free_address().expect("a free port").port().to_string();
    let mut server = Command::new("openssl");
    server.args(["s_server", "-accept", &format!("127.0.0.1:{port}"), "-cert", "leaf.pem", "-key", "leaf.key", "-quiet"]);
    server.current_dir(folder.path()).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true);
    let mut server = server.spawn().expect("openssl is installed");
    let endpoints = json!([endpoint("ops", &format!("https://127.0.0.1:{port}/hook"))]);
    let authority = folder.path().join("ca.pem");
    let send = async |with_authority: bool| {
        let mut command = tasklight("", ["webhooks", "test", "ops"]);
        quick(&mut command, &endpoints).env("TASKLIGHT__WEBHOOKS__ALLOW_HTTP", "false");
        if with_authority {
            command.env("TASKLIGHT__WEBHOOKS__CA_FILE", &authority);
        }
        finish(&mut command).await
    };
    let listens = async { while tokio::net::TcpStream::connect(format!("127.0.0.1:{port}")).await.is_err() {} };
    timeout(PATIENCE, listens).await.expect("it listens");
    let unknown = send(false).await;
    assert_eq!(unknown.code, Some(1), "{unknown:?}");
    assert!(unknown.out().contains("certificate"), "{unknown:?}");
    let (mut says, mut heard) =
        (server.stdin.take().expect("piped"), BufReader::new(server.stdout.take().expect("piped")).lines());
    let answering = async {
        let mut head = Vec::new();
        loop {
            let line = heard.next_line().await.expect("UTF-8").expect("a request");
            if line.is_empty() {
                says.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await.expect("it listens");
                says.flush().await.expect("it listens");
                return head;
            }
            head.push(line.to_lowercase());
        }
    };
    let (known, head) = tokio::join!(send(true), timeout(PATIENCE, answering));
    let head = head.expect("a request");
    assert_eq!((known.code, known.out().as_str()), (Some(0), "ops  took it\n"), "{known:?}");
    assert!(
        head.iter().any(|line| line == "post /hook http/1.1")
            && head.iter().any(|line| line.starts_with("webhook-signature: v1,"))
    );
}
