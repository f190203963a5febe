//! Whoever comes without TLS, too slowly, too often or without reading.

use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
    time::{Instant, sleep, timeout},
};

use super::{Files, SecureHub, SecureViewer, connect, program};
use crate::harness::{PATIENCE, message};

/// What comes until the hub has closed.
async fn heard(mut socket: TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    // A hub that does not look at what was sent resets the connection.
    let _ = timeout(PATIENCE, socket.read_to_end(&mut bytes)).await.expect("it is closed");
    bytes
}

async fn said(secure: &SecureHub, bytes: &[u8]) -> TcpStream {
    let mut socket = TcpStream::connect(secure.address()).await.expect("a connection");
    socket.write_all(bytes).await.expect("it is taken");
    socket
}

/// The first bytes of what a client says to begin a handshake.
async fn client_hello() -> Vec<u8> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let (files, address) = (Files::new(), listener.local_addr().expect("an address"));
    let (heard, _) = tokio::join!(
        async {
            let (mut socket, _) = listener.accept().await.expect("it comes");
            let mut bytes = vec![0; 4_096];
            let count = socket.read(&mut bytes).await.expect("it says something");
            bytes.truncate(count);
            bytes
        },
        connect(address, &files.authority, None)
    );
    assert!(100 < heard.len());
    heard
}

#[tokio::test]
async fn http_without_tls_is_told_what_this_port_speaks() {
    let secure = SecureHub::start().await;
    let answer = heard(said(&secure, b"GET /v1/tasks HTTP/1.1\r\nHost: localhost\r\n\r\n").await).await;
    let text = String::from_utf8(answer).expect("HTTP");
    assert!(text.starts_with("HTTP/1.1 400 ") && text.contains("\"code\":\"https_required\""), "{text}");
    // What is neither ends at once, with an alert or without.
    let begun = Instant::now();
    for bytes in [&b"\0\0\0\0\0\0"[..], b"\x16\x03\x01\xff\xff", b"\x80\x2e\x01\x03\x01", b"G\0\0"] {
        let socket = said(&secure, bytes).await;
        let mut socket = socket.into_std().map(TcpStream::from_std).expect("a socket").expect("a socket");
        socket.shutdown().await.expect("it is open");
        let bytes = heard(socket).await;
        assert!(bytes.len() < 2_000, "{bytes:?}");
    }
    assert!(begun.elapsed() < Duration::from_secs(9), "nobody waits for the time of handshakes: {:?}", begun.elapsed());
    secure.counts("tasklight_tls_handshakes_total{result=\"plain\"}", 2).await;
    assert_eq!(secure.publish(None, "t", "x").await, 200);
}

#[tokio::test]
async fn nobody_is_slow_for_ever_in_a_handshake_or_after_it() {
    let short = "500ms";
    let secure = SecureHub::start_with(|settings, _| {
        settings.tls.handshake_timeout = short.parse().expect("a duration");
        settings.http.header_timeout = short.parse().expect("a duration");
    })
    .await;
    let (hello, begun) = (client_hello().await, Instant::now());
    let silent = heard(said(&secure, b"").await);
    let half = heard(said(&secure, &hello[..hello.len() / 2]).await);
    let dribbled = async {
        let mut socket = said(&secure, b"").await;
        let (mut read, mut write) = socket.split();
        let saying = async {
            for byte in &hello {
                if write.write_all(&[*byte]).await.is_err() {
                    return;
                }
                sleep(Duration::from_millis(50)).await;
            }
        };
        let mut bytes = Vec::new();
        tokio::select! {
            read = read.read_to_end(&mut bytes) => drop(read),
            () = saying => panic!("it listened to the end"),
        }
    };
    let after = async {
        let mut connection = secure.connect(None).await.expect("a handshake");
        let mut bytes = Vec::new();
        connection.read_to_end(&mut bytes).await.expect("it ends with a goodbye");
    };
    let request = async {
        let mut connection = secure.connect(None).await.expect("a handshake");
        connection.write_all(b"GET /v1/tasks HTTP/1.1\r\n").await.expect("it is taken");
        let mut bytes = Vec::new();
        connection.read_to_end(&mut bytes).await.expect("it ends with a goodbye");
    };
    let all = async { tokio::join!(silent, half, dribbled, after, request) };
    timeout(PATIENCE, all).await.expect("all are closed");
    assert!(begun.elapsed() < Duration::from_secs(8), "{:?}", begun.elapsed());
    secure.counts("tasklight_limits_reached_total{limit=\"handshake_timeout\"}", 3).await;
    secure.counts("tasklight_limits_reached_total{limit=\"header_timeout\"}", 2).await;
}

#[tokio::test]
async fn where_there_is_no_room_no_hands_are_shaken() {
    let secure = SecureHub::start_with(|settings, _| settings.http.connections = 1).await;
    let kept = secure.connect(None).await.expect("a handshake");
    let hello = client_hello().await;
    for _ in 0..3 {
        assert_eq!(heard(said(&secure, &hello).await).await, b"", "not a word, which would take a handshake");
    }
    secure.counts("tasklight_limits_reached_total{limit=\"connections\"}", 3).await;
    secure.counts("tasklight_tls_handshakes_total{result=\"done\"}", 1).await;
    drop(kept);
    let again = async { while secure.connect(None).await.is_err() {} };
    timeout(PATIENCE, again).await.expect("there is room again");
}

/// A log of this many long activities, far more than sockets hold.
const LONG: usize = 400;

async fn with_a_long_log(secure: SecureHub) -> SecureHub {
    let body: Vec<Value> = (0..LONG).map(|_| message(&"x".repeat(30_000))).collect();
    for part in body.chunks(100) {
        let request = secure.client(None).post(secure.url("/v1/tasks/t/activities")).body(json!(part).to_string());
        assert_eq!(request.send().await.expect("an answer").status(), 200);
    }
    secure
}

#[tokio::test]
async fn a_viewer_that_takes_nothing_is_dropped_on_time() {
    let short = |settings: &mut tasklight::config::Settings, _: &Files| {
        settings.session.write_timeout = "1s".parse().expect("a duration");
    };
    let secure = with_a_long_log(SecureHub::start_with(short).await).await;
    let stuck = secure.watching(None, "t").await;
    secure.counts("tasklight_limits_reached_total{limit=\"write_timeout\"}", 1).await;
    secure.counts("tasklight_sessions_open", 0).await;
    drop(stuck);
}

#[tokio::test]
async fn a_viewer_that_is_behind_all_the_time_gets_everything_in_order() {
    let secure = with_a_long_log(SecureHub::start().await).await;
    let mut slow = secure.watching(None, "t").await;
    for number in 1..=LONG {
        sleep(Duration::from_millis(5)).await;
        assert_eq!(slow.activities(1).await[0]["offset"], number);
    }
}

/// Of a process, in KiB.
fn peak_memory(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).expect("VmHWM");
    line.split_whitespace().nth(1).and_then(|number| number.parse().ok()).expect("a number")
}

#[tokio::test]
async fn many_who_do_not_read_a_long_log_cost_their_bounds_and_no_more() {
    const VIEWERS: u64 = 20;
    const BATCHES: usize = 6;
    const ACTIVITIES: usize = BATCHES * 100;
    // Without bounds each of them would hold what is left of the log. Its queue, a page and what is encrypted for it are some 600 KiB; the rest
    // is what an allocator and another reader make of it.
    const EACH_KIB: u64 = (ACTIVITIES as u64) * 30_000 / 1_024 / 10;
    let (files, folder) = (Files::new(), TempDir::new().expect("a folder"));
    let mut hub = program(folder.path())
        .args(["serve", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"])
        .env("TASKLIGHT__TLS__CERT_FILE", files.path("hub.pem"))
        .env("TASKLIGHT__TLS__KEY_FILE", files.path("hub.key"))
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::null())
        .spawn()
        .expect("the hub starts");
    let mut lines = BufReader::new(hub.stdout.take().expect("piped")).lines();
    let line = lines.next_line().await.expect("UTF-8").expect("it says where it listens");
    let address = line.split("https://").nth(1).expect("by TLS").trim_end_matches('/').parse().expect("an address");
    let authority = reqwest::Certificate::from_pem(files.authority.pem.as_bytes()).expect("a certificate");
    let client = reqwest::Client::builder().tls_certs_only([authority]).build().expect("a client");
    let body = json!((0..100).map(|_| message(&"x".repeat(30_000))).collect::<Vec<_>>()).to_string();
    for _ in 0..BATCHES {
        let url = format!("https://{address}/v1/tasks/t/activities");
        assert_eq!(client.post(url).body(body.clone()).send().await.expect("an answer").status(), 200);
    }
    let mut reader = watching(address, &files).await;
    assert_eq!(reader.activities(ACTIVITIES).await.len(), ACTIVITIES);
    let before = peak_memory(hub.id().expect("it runs"));
    let mut viewers = Vec::new();
    for _ in 0..VIEWERS {
        viewers.push(watching(address, &files).await);
    }
    // Each has had as much as the socket takes once another one, who came later, has had everything.
    let mut reader = watching(address, &files).await;
    assert_eq!(reader.activities(ACTIVITIES).await.len(), ACTIVITIES);
    let growth = peak_memory(hub.id().expect("it runs")) - before;
    assert!(growth < VIEWERS * EACH_KIB, "the hub grew by {growth} KiB");
    let last = viewers[0].activities(ACTIVITIES).await;
    assert_eq!(last.last().expect("all")["offset"], ACTIVITIES, "whoever reads in the end gets everything");
}

async fn watching(address: std::net::SocketAddr, files: &Files) -> SecureViewer {
    let connection = connect(address, &files.authority, None).await.expect("a handshake");
    let mut viewer = SecureViewer::over(connection, "tasklight.v1").await.expect("a session");
    viewer.say(json!({"op": "subscribe", "task": "t"})).await;
    viewer
}
