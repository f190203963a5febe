//! Who is refused while still sending gets to read why: nothing is reset under them.

use serde_json::json;
use tokio::{io::AsyncReadExt, time::timeout};

use crate::{
    access::{GuardedHub, token},
    harness::PATIENCE,
    limits::wire::Wire,
};

/// More than the buffers of both ends of a connection hold, so that nobody can have sent it before it was refused.
const BODY_BYTES: usize = 32 << 20;

#[tokio::test]
async fn whoever_is_refused_reads_why_although_they_are_still_sending() {
    let guarded = GuardedHub::start().await;
    let reader = format!("Authorization: Bearer {}\r\n", token("reader", json!({"read": ["*"]})));
    let publish = "POST /v1/tasks/t/activities";
    for (what, headers, status) in [
        (publish, "", 401),
        (publish, "Authorization: Bearer nonsense\r\n", 401),
        (publish, &reader, 403),
        ("POST /v1/tasks/t/activities?token=x", "", 400),
        (publish, &format!("{reader}Origin: https://example.com\r\n"), 403),
        (publish, &format!("{reader}Transfer-Encoding: chunked\r\n"), 403),
        ("POST /v1/tasks/..%2f/activities", &reader, 400),
        ("PUT /v1/tasks/t/activities", &reader, 405),
        ("POST /nothing", &reader, 404),
    ] {
        let mut wire = Wire::open(guarded.hub.address()).await;
        let is_chunked = headers.contains("chunked");
        let length = if is_chunked { String::new() } else { format!("Content-Length: {BODY_BYTES}\r\n") };
        assert!(wire.say(&format!("{what} HTTP/1.1\r\nHost: localhost\r\n{headers}{length}\r\n")).await);
        let piece = " ".repeat(1 << 20);
        let piece = if is_chunked { format!("{:x}\r\n{piece}\r\n", piece.len()) } else { piece };
        for number in 0..BODY_BYTES >> 20 {
            assert!(wire.say(&piece).await, "{what}: reset after {number} MiB");
        }
        assert!(!is_chunked || wire.say("0\r\n\r\n").await);
        assert_eq!(wire.hear().await.status, status, "{what} with {headers}");
        // It was read whole, so that the connection is good for the next one.
        assert_eq!(wire.ask("/v1/tasks/t", &[("Authorization", "Bearer x")]).await.status, 401, "{what}: the next request");
    }
}

#[tokio::test]
async fn who_asks_before_sending_is_told_at_once_and_who_never_sends_is_not_waited_for() {
    let hub = GuardedHub::start().await.hub;
    let mut asking = Wire::open(hub.address()).await;
    let head = "POST /v1/tasks/t/activities HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n";
    assert!(asking.say(&format!("{head}Expect: 100-continue\r\n\r\n")).await);
    // 100 would come first if anybody had begun to read.
    assert_eq!(asking.hear().await.status, 401, "and not 100");
    let mut silent = Wire::open(hub.address()).await;
    assert!(silent.say(&format!("{head}\r\n")).await);
    assert_eq!(silent.hear().await.status, 401);
    let ended = timeout(PATIENCE, silent.0.read(&mut [0; 16])).await.expect("it is closed");
    assert!(ended.is_ok_and(|count| count == 0), "what is left of the body is not waited for again");
}
