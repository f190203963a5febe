//! Attacks on the limits of connections, time, subjects and memory, over sockets spoken by hand.

pub mod wire;

use std::{net::SocketAddr, time::Duration};

use serde_json::json;
use tasklight::config::Settings;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::{Instant, sleep, timeout},
};

use self::wire::{Answer, Wire, ask, until};
use crate::harness::{PATIENCE, TestHub, message};

const SECRET: &str = "a secret of this test that has more than 32 bytes";

/// How often a limit was reached.
async fn reached(hub: &TestHub, limit: &str) -> u64 {
    let url = format!("http://{}/metrics", hub.node().admin_address());
    let text = reqwest::get(url).await.expect("an answer").text().await.expect("a text");
    let line = format!("tasklight_limits_reached_total{{limit=\"{limit}\"}} ");
    text.lines().find_map(|text| text.strip_prefix(&line)?.parse().ok()).unwrap_or_default()
}

async fn hub(change: impl FnOnce(&mut Settings)) -> TestHub {
    TestHub::start_with(change).await
}

fn list(words: &[&str]) -> tasklight::config::List {
    serde_json::from_value(json!(words)).expect("a list")
}

const WEBSOCKET: [(&str, &str); 4] = [
    ("Connection", "Upgrade"),
    ("Upgrade", "websocket"),
    ("Sec-WebSocket-Version", "13"),
    ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
];

#[tokio::test]
async fn a_full_node_says_so_and_goes_on_when_there_is_room() {
    let hub = hub(|settings| settings.http.connections = 2).await;
    let kept = [Wire::open(hub.address()).await, Wire::open(hub.address()).await];
    let refused = ask(&hub, "/v1/tasks", &[]).await;
    assert_eq!((refused.status, refused.code()), (503, json!("too_many_connections")));
    assert!(refused.retry_after().is_some(), "{}", refused.head);
    assert_eq!(reached(&hub, "connections").await, 1);
    // More at once than are told why: the others are closed, and nobody hangs.
    let silent = futures_util::future::join_all((0..200).map(|_| Wire::open(hub.address()))).await;
    timeout(PATIENCE, futures_util::future::join_all(silent.into_iter().map(Wire::ended))).await.expect("all are closed");
    drop(kept);
    until(&hub, 200, "/v1/tasks", &[]).await;
}

#[tokio::test]
async fn one_address_does_not_get_all_connections() {
    let hub = hub(|settings| settings.limits.connections_per_address = 2).await;
    let mut kept = [Wire::open(hub.address()).await, Wire::open(hub.address()).await];
    for spoofed in ["192.0.2.1", "192.0.2.2"] {
        let refused = ask(&hub, "/v1/tasks", &[("X-Forwarded-For", spoofed)]).await;
        assert_eq!((refused.status, refused.code()), (429, json!("too_many_connections_from_address")));
        assert!(refused.retry_after().is_some(), "{}", refused.head);
    }
    assert_eq!(reached(&hub, "connections_per_address").await, 2);
    assert_eq!(kept[0].ask("/v1/tasks", &[]).await.status, 200, "those who are in stay in");
    assert_eq!(hub.readiness().await.0, 200, "the operator's listener counts nobody");
    drop(kept);
    until(&hub, 200, "/v1/tasks", &[]).await;
}

#[tokio::test]
async fn behind_a_proxy_each_client_counts_and_a_spoofed_header_does_not_help() {
    let hub = hub(|settings| {
        settings.limits.connections_per_address = 1;
        settings.http.trusted_proxies = list(&["127.0.0.0/8"]);
    })
    .await;
    let stream = "/v1/tasks/t/stream";
    let mut viewer = Wire::open(hub.address()).await;
    assert_eq!(viewer.ask(stream, &[("X-Forwarded-For", "198.51.100.7")]).await.status, 200);
    for same in ["198.51.100.7", "1.2.3.4, 198.51.100.7", "1.2.3.4, 198.51.100.7, 127.0.0.9", "127.0.0.1, 198.51.100.7"] {
        let refused = ask(&hub, stream, &[("X-Forwarded-For", same)]).await;
        assert_eq!((refused.status, refused.code()), (429, json!("too_many_connections_from_address")), "{same}");
        assert!(refused.retry_after().is_some());
    }
    let two_lines = [("X-Forwarded-For", "1.2.3.4"), ("X-Forwarded-For", "198.51.100.7")];
    assert_eq!(ask(&hub, stream, &two_lines).await.status, 429);
    assert_eq!(ask(&hub, stream, &[("X-Forwarded-For", "198.51.100.8")]).await.status, 200, "another client");
    let mut six = Wire::open(hub.address()).await;
    let headers: Vec<_> = WEBSOCKET.into_iter().chain([("X-Forwarded-For", "2001:db8::1")]).collect();
    assert_eq!(six.ask("/v1/ws", &headers).await.status, 101);
    assert_eq!(ask(&hub, stream, &[("X-Forwarded-For", "2001:db8::2")]).await.status, 429, "the same /64");
    assert_eq!(ask(&hub, stream, &[("X-Forwarded-For", "2001:db8:0:1::2")]).await.status, 200);
    for _ in 0..5 {
        assert_eq!(ask(&hub, "/v1/tasks", &[]).await.status, 200, "the proxy's own requests are not counted");
    }
    drop((viewer, six));
    until(&hub, 200, stream, &[("X-Forwarded-For", "198.51.100.7")]).await;
    until(&hub, 200, stream, &[("X-Forwarded-For", "2001:db8::2")]).await;
}

/// What a slow client says at first, and then a byte at a time.
async fn dribble(address: SocketAddr, first: &'static str, then: &'static str) {
    let begun = Instant::now();
    let mut wire = Wire::open(address).await;
    wire.say(first).await;
    let (mut read, mut write) = wire.0.split();
    let saying = async {
        for byte in then.bytes().cycle().skip(usize::from(then.is_empty())) {
            sleep(Duration::from_millis(100)).await;
            if write.write_all(&[byte]).await.is_err() {
                break;
            }
        }
    };
    let mut buffer = [0; 4_096];
    let ended = async { while read.read(&mut buffer).await.is_ok_and(|count| count != 0) {} };
    let both = async {
        tokio::select! {
            () = ended => {}
            () = saying => {}
        }
    };
    timeout(Duration::from_secs(8), both).await.unwrap_or_else(|_| panic!("still open after {first:?}"));
    assert!(begun.elapsed() < Duration::from_secs(5), "{first:?}: {:?}", begun.elapsed());
}

#[tokio::test]
async fn nobody_is_slow_for_ever_at_any_stage() {
    let hub = hub(|settings| {
        settings.http.header_timeout = "500ms".parse().expect("a duration");
        settings.http.body_timeout = "500ms".parse().expect("a duration");
    })
    .await;
    let slow = [
        ("G", "E"),
        ("GET /v1/tasks HTTP/1.1\r\nHost: localhost\r\n", "X"),
        ("GET /v1/tasks HTTP/1.1\r\nHost: localhost\r\nX-A: ", "a"),
        ("POST /v1/tasks/t/activities HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\n[", " "),
        ("POST /v1/tasks/t/activities HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n[\r\n", "0"),
    ];
    let silent = [
        "",
        "GET",
        "PRI * HT",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "GET /v1/tasks HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "\x16\x03\x01",
    ];
    let all = slow.into_iter().chain(silent.into_iter().map(|first| (first, ""))).map(|(first, then)| {
        let address = hub.address();
        async move {
            if then.is_empty() {
                let mut wire = Wire::open(address).await;
                wire.say(first).await;
                timeout(Duration::from_secs(5), wire.ended()).await.unwrap_or_else(|_| panic!("still open after {first:?}"));
            } else {
                dribble(address, first, then).await;
            }
        }
    });
    futures_util::future::join_all(all).await;
    assert!(6 <= reached(&hub, "header_timeout").await);
    assert!(2 <= reached(&hub, "body_timeout").await);
}

#[tokio::test]
async fn bodies_that_are_announced_and_never_sent_keep_nobody_out() {
    let hub = hub(|settings| settings.http.body_bytes = "4MiB".parse().expect("a size")).await;
    let mut idle = Vec::new();
    for _ in 0..20 {
        let mut wire = Wire::open(hub.address()).await;
        let head = "POST /v1/tasks/t/activities HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4194304\r\n\r\n[";
        assert!(wire.say(head).await);
        idle.push(wire);
    }
    let begun = Instant::now();
    let (status, answer) = hub.post("t", message("hi")).await;
    assert_eq!(status, 200, "{answer}");
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn bodies_that_hold_all_the_room_have_others_told_to_come_back() {
    let hub = hub(|settings| {
        settings.http.body_bytes = "64KiB".parse().expect("a size");
        settings.limits.request = "64KiB".parse().expect("a size");
    })
    .await;
    let mut holder = Wire::open(hub.address()).await;
    let head = "POST /v1/tasks/t/activities HTTP/1.1\r\nHost: localhost\r\nContent-Length: 65536\r\n\r\n";
    assert!(holder.say(&format!("{head}[{}", " ".repeat(65_000))).await);
    let told = async {
        loop {
            let (status, answer) = hub.post("t", message(&"x".repeat(2_000))).await;
            if status == 503 {
                return answer["code"].clone();
            }
            assert_eq!(status, 200, "{answer}");
        }
    };
    assert_eq!(timeout(PATIENCE, told).await.expect("in time"), json!("too_many_bodies"));
    drop(holder);
    let served = async { while hub.post("t", message("hi")).await.0 != 200 {} };
    timeout(PATIENCE, served).await.expect("there is room again");
}

/// A token of this subject for everything.
fn token(subject: &str) -> String {
    let now = jsonwebtoken::get_current_timestamp();
    let claims = json!({"sub": subject, "exp": now + 600, "tasklight": {"read": ["*"], "publish": ["*"]}});
    let key = jsonwebtoken::EncodingKey::from_secret(SECRET.as_bytes());
    jsonwebtoken::encode(&jsonwebtoken::Header::default(), &claims, &key).expect("a token")
}

async fn guarded(change: impl FnOnce(&mut Settings)) -> TestHub {
    hub(|settings| {
        settings.auth.hmac_secret = serde_json::from_value(json!(SECRET)).expect("a text");
        change(settings);
    })
    .await
}

fn bearer(subject: &str) -> String {
    format!("Bearer {}", token(subject))
}

/// Publishes so many activities at once; gives the answer.
async fn publish(hub: &TestHub, bearer: &str, count: usize) -> Answer {
    let body = json!(vec![message("x"); count]).to_string();
    let mut wire = Wire::open(hub.address()).await;
    let head = format!("Host: localhost\r\nAuthorization: {bearer}\r\nContent-Length: {}\r\n", body.len());
    wire.say(&format!("POST /v1/tasks/t/activities HTTP/1.1\r\n{head}\r\n{body}")).await;
    wire.hear().await
}

#[tokio::test]
async fn a_subject_has_only_so_many_sessions() {
    let hub = guarded(|settings| settings.limits.sessions_per_subject = 2).await;
    let (ann, bob) = (bearer("ann"), bearer("bob"));
    let ws = |token| WEBSOCKET.into_iter().chain([("Authorization", token)]).collect::<Vec<_>>();
    let (mut socket, mut stream) = (Wire::open(hub.address()).await, Wire::open(hub.address()).await);
    assert_eq!(socket.ask("/v1/ws", &ws(ann.as_str())).await.status, 101);
    assert_eq!(stream.ask("/v1/tasks/t/stream", &[("Authorization", &ann)]).await.status, 200);
    for (path, headers) in [("/v1/ws", ws(ann.as_str())), ("/v1/tasks/t/stream", vec![("Authorization", ann.as_str())])] {
        let refused = ask(&hub, path, &headers).await;
        assert_eq!((refused.status, refused.code()), (429, json!("too_many_sessions")), "{path}");
        assert!(refused.retry_after().is_some());
    }
    // One whose token comes as the first message is known only then.
    let (mut late, _) =
        tokio_tungstenite::connect_async(format!("ws://{}/v1/ws", hub.address())).await.expect("it is not known yet");
    let auth = json!({"op": "auth", "token": token("ann")}).to_string();
    futures_util::SinkExt::send(&mut late, tokio_tungstenite::tungstenite::Message::text(auth)).await.expect("sent");
    let code = loop {
        match futures_util::StreamExt::next(&mut late).await.expect("it is closed with a reason") {
            Ok(tokio_tungstenite::tungstenite::Message::Close(Some(frame))) => break u16::from(frame.code),
            other => drop(other.expect("it is closed with a reason")),
        }
    };
    assert_eq!(code, 4429);
    assert_eq!(reached(&hub, "sessions_per_subject").await, 3);
    assert_eq!(ask(&hub, "/v1/tasks/t/stream", &[("Authorization", &bob)]).await.status, 200, "another subject");
    assert_eq!(ask(&hub, "/v1/tasks", &[("Authorization", &ann)]).await.status, 200, "requests are not sessions");
    drop((socket, stream));
    until(&hub, 101, "/v1/ws", &ws(ann.as_str())).await;
}

#[tokio::test]
async fn who_only_asks_for_the_head_of_a_stream_has_no_session() {
    let hub = guarded(|settings| settings.limits.sessions_per_subject = 1).await;
    let ann = bearer("ann");
    let mut asking = Wire::open(hub.address()).await;
    for _ in 0..2 {
        asking.say(&format!("HEAD /v1/tasks/t/stream HTTP/1.1\r\nHost: localhost\r\nAuthorization: {ann}\r\n\r\n")).await;
        let answer = asking.hear().await;
        assert_eq!((answer.status, answer.text.as_str()), (200, ""), "{}", answer.head);
    }
    assert_eq!(ask(&hub, "/v1/tasks/t/stream", &[("Authorization", &ann)]).await.status, 200, "there is room for one");
}

#[tokio::test]
async fn a_subject_that_publishes_too_fast_is_told_when_to_come_back() {
    let hub = guarded(|settings| settings.limits.publishes_per_second = 2).await;
    let (ann, bob) = (bearer("ann"), bearer("bob"));
    assert_eq!(publish(&hub, &ann, 30).await.status, 200, "the burst, and what came with it");
    let refused = publish(&hub, &ann, 1).await;
    assert_eq!((refused.status, refused.code()), (429, json!("too_many_publishes")));
    assert!((1..=5).contains(&refused.retry_after().expect("when")), "{}", refused.head);
    assert_eq!(publish(&hub, &bob, 1).await.status, 200, "another subject");
    assert_eq!(ask(&hub, "/v1/tasks/t", &[("Authorization", &ann)]).await.status, 200, "reading is something else");
    sleep(Duration::from_secs(refused.retry_after().expect("when"))).await;
    assert_eq!(publish(&hub, &ann, 1).await.status, 200, "it was said when");
    assert_eq!(reached(&hub, "publishes_per_second").await, 1);
}

#[tokio::test]
async fn a_subject_that_reads_too_much_is_told_and_its_viewers_wait() {
    let hub = guarded(|settings| settings.limits.cold_reads_per_second = 2).await;
    let ann = bearer("ann");
    assert_eq!(publish(&hub, &ann, 3).await.status, 200);
    let mut asked = 0;
    let refused = loop {
        asked += 1;
        let answer = ask(&hub, "/v1/tasks/t/activities?limit=1", &[("Authorization", &ann)]).await;
        if answer.status != 200 {
            break answer;
        }
        assert!(asked < 60, "nothing holds it up");
    };
    assert_eq!((refused.status, refused.code()), (429, json!("too_many_reads")));
    assert!((1..=2).contains(&refused.retry_after().expect("when")), "{}", refused.head);
    assert!((20..40).contains(&asked), "{asked}: ten seconds' worth are let through");
    let mut viewer = Wire::open(hub.address()).await;
    viewer.say(&format!("GET /v1/tasks/t/stream HTTP/1.1\r\nHost: localhost\r\nAuthorization: {ann}\r\n\r\n")).await;
    let mut text = String::new();
    let seen = async {
        while !text.contains("event: live") {
            let mut buffer = [0; 4_096];
            let count = viewer.0.read(&mut buffer).await.expect("it goes on");
            text.push_str(&String::from_utf8_lossy(&buffer[..count]));
        }
    };
    timeout(PATIENCE, seen).await.expect("it waits, and gets everything");
    assert_eq!(text.matches("\"offset\":").count(), 3 + 1, "three activities, and where it is live: {text}");
}

#[tokio::test]
async fn a_node_that_is_short_of_memory_takes_nothing_new() {
    let hub = hub(|settings| settings.limits.memory = "1MiB".parse().expect("a size")).await;
    until(&hub, 503, "/v1/tasks", &[]).await;
    for (path, headers) in [("/v1/ws", &WEBSOCKET[..]), ("/v1/tasks/t/stream", &[]), ("/v1/tasks/t/activities", &[])] {
        let refused = ask(&hub, path, headers).await;
        assert_eq!((refused.status, refused.code()), (503, json!("overloaded")), "{path}");
        assert!(refused.retry_after().is_some(), "{path}");
    }
    let (status, problem) = hub.post("t", message("hi")).await;
    assert_eq!((status, &problem["code"]), (503, &json!("overloaded")));
    assert!(5 <= reached(&hub, "memory").await);
    assert_eq!(hub.readiness().await.0, 200, "it is alive");
}

#[tokio::test]
async fn what_is_nested_too_deep_is_refused_at_once() {
    let hub = TestHub::start().await;
    for body in
        ["[".repeat(100_000), format!("{{\"invocationId\":\"r\",\"type\":\"message\",\"data\":{}", "{\"a\":".repeat(9_000))]
    {
        let begun = Instant::now();
        let response = reqwest::Client::new().post(hub.url("/v1/tasks/t/activities")).body(body).send().await.expect("an answer");
        assert!(response.status().is_client_error(), "{}", response.status());
        assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    }
}
