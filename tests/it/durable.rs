//! Tasks' logs by the protocol of Durable Streams. Its own tests are in tests/clients; here is what they cannot know of: that what is written is in
//! the log that everyone sees, without secrets and by grants, and that what waits ends with the node.

mod waiting;

use reqwest::{Client, Method, RequestBuilder, Response};
use serde_json::{Value, json};
use tasklight::model::Offset;
use tokio::time::timeout;

use crate::{
    access::{GuardedHub, token},
    harness::{HubProcess, PATIENCE, TestHub, message},
};

const TEXT: (&str, &str) = ("content-type", "text/plain");
const JSON: (&str, &str) = ("content-type", "application/json");

/// An AWS access key's form, which every hub knows.
const KEY: &str = "AKIAIOSFODNN7QRSTUVW";

fn request(
    hub: &TestHub,
    method: Method,
    path: &str,
    headers: &[(&str, &str)],
    body: impl Into<reqwest::Body>,
) -> RequestBuilder {
    let request = Client::new().request(method, hub.url(&format!("/v1/ds/{path}"))).body(body);
    headers.iter().fold(request, |request, (name, value)| request.header(*name, *value))
}

async fn ask(hub: &TestHub, method: Method, path: &str, headers: &[(&str, &str)], body: impl Into<reqwest::Body>) -> Response {
    request(hub, method, path, headers, body).send().await.expect("an answer")
}

async fn put(hub: &TestHub, path: &str, kind: (&str, &str), body: &'static str) {
    let answer = ask(hub, Method::PUT, path, &[kind], body).await;
    assert_eq!(answer.status(), 201);
}

async fn read(hub: &TestHub, path: &str) -> String {
    let answer = ask(hub, Method::GET, path, &[], "").await;
    assert_eq!(answer.status(), 200);
    answer.text().await.expect("a body")
}

fn header(answer: &Response, name: &str) -> String {
    answer.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned()
}

fn producer(epoch: &'static str, seq: &'static str) -> Vec<(&'static str, &'static str)> {
    vec![JSON, ("producer-id", "p"), ("producer-epoch", epoch), ("producer-seq", seq)]
}

async fn code(answer: Response) -> (u16, Value) {
    let status = answer.status().as_u16();
    let problem: Value = serde_json::from_str(&answer.text().await.expect("a body")).expect("a problem document");
    (status, problem["code"].clone())
}

#[tokio::test]
async fn a_log_of_agents_is_a_stream_of_its_activities() {
    let hub = TestHub::start().await;
    hub.publish("t", &["one", "two"]).await;
    let batch = json!([message("three"), message("four")]).to_string();
    let answer = ask(&hub, Method::POST, "t", &producer("0", "0"), batch.clone()).await;
    assert_eq!((answer.status().as_u16(), header(&answer, "producer-seq")), (200, "0".to_owned()));
    let again = ask(&hub, Method::POST, "t", &producer("0", "0"), batch.clone()).await;
    assert_eq!(again.status(), 204, "it is stored already");
    let gap = ask(&hub, Method::POST, "t", &producer("0", "2"), batch.clone()).await;
    assert_eq!(code(gap).await, (409, json!("producer_seq_gap")));
    let read: Value = serde_json::from_str(&read(&hub, "t").await).expect("JSON");
    assert_eq!(read.as_array().expect("an array"), &hub.log("t").await);
    assert_eq!(read.as_array().map(Vec::len), Some(4));
    // All of a request or nothing, also where an activity is none.
    let half = json!([message("five"), {"invocationId": "r", "type": "nonsense"}]).to_string();
    assert_eq!(code(ask(&hub, Method::POST, "t", &[JSON], half).await).await, (400, json!("unknown_type")));
    let refused = json!([message("five"), {"invocationId": "r", "type": "status", "data": {"status": "pending"}}]).to_string();
    assert_eq!(code(ask(&hub, Method::POST, "t", &[JSON], refused).await).await, (409, json!("status_transition")));
    assert_eq!(hub.log("t").await.len(), 4);
    let closing = ask(&hub, Method::POST, "t", &[("stream-closed", "true")], "").await;
    assert_eq!(code(closing).await, (409, json!("stream_not_closable")));
    assert_eq!(ask(&hub, Method::PUT, "t", &[JSON], "").await.status(), 200, "it is there, and of this kind");
    assert_eq!(ask(&hub, Method::PUT, "t", &[TEXT], "").await.status(), 409);
}

#[tokio::test]
async fn what_is_written_is_in_the_log_that_everyone_sees() {
    let hub = TestHub::start().await;
    put(&hub, "text", TEXT, "first\n").await;
    ask(&hub, Method::POST, "text", &[TEXT], "sec\u{1f600}nd").await;
    put(&hub, "json", JSON, r#"[{"b": 1.50}, null]"#).await;
    let bytes = Client::new().put(hub.url("/v1/ds/bytes")).body(vec![0, 255, b'x']).send().await.expect("an answer");
    assert_eq!(bytes.status(), 201);
    let shown = |log: Vec<Value>| {
        log.into_iter().map(|activity| (activity["type"].clone(), activity["data"].clone())).collect::<Vec<_>>()
    };
    let running = |kind: &str| (json!("status"), json!({"status": "running", "agent": "durable-streams", "title": kind}));
    let output = |text: &str| (json!("output"), json!({"stream": "stdout", "text": text}));
    let custom = |data: Value| (json!("custom"), data);
    assert_eq!(shown(hub.log("text").await), [running("text/plain"), output("first\n"), output("sec\u{1f600}nd")]);
    let messages = [custom(json!({"message": {"b": 1.5}})), custom(json!({"message": null}))];
    assert_eq!(shown(hub.log("json").await)[1..], messages);
    let (_, raw) = hub.get("/v1/tasks/json/activities?format=ndjson").await;
    assert!(raw.as_str().expect("lines").contains(r#""data":{"message":{"b": 1.50}}"#), "byte for byte");
    assert_eq!(shown(hub.log("bytes").await)[1..], [custom(json!({"bytes": "\u{100}\u{ff}x"}))]);
    assert_eq!(read(&hub, "json").await, r#"[{"b": 1.50},null]"#);
    // What others say of the task is in its log, and no part of the stream.
    hub.publish("text", &["an agent says"]).await;
    assert_eq!(read(&hub, "text").await, "first\nsec\u{1f600}nd");
    let (_, task) = hub.get("/v1/tasks/text").await;
    assert_eq!((&task["invocations"][1]["invocationId"], &task["invocations"][1]["status"]), (&json!("ds"), &json!("running")));
}

#[tokio::test]
async fn what_a_publisher_calls_a_page_or_a_script_is_neither_at_the_hubs_origin() {
    let hub = TestHub::start().await;
    for (task, kind) in
        [("html", "text/html"), ("svg", "image/svg+xml"), ("js", "text/javascript"), ("xhtml", "application/xhtml+xml")]
    {
        put(&hub, task, ("content-type", kind), "<script>alert(1)</script>").await;
        for (path, shown) in [(task.to_owned(), kind), (format!("{task}?offset=-1&live=long-poll"), kind)] {
            let answer = ask(&hub, Method::GET, &path, &[("sec-fetch-dest", "document")], "").await;
            assert_eq!(
                (answer.status().as_u16(), header(&answer, "content-type").as_str()),
                (200, shown),
                "the protocol's own: {path}"
            );
            let policies: Vec<_> = answer.headers().get_all("content-security-policy").iter().collect();
            assert_eq!(policies, ["default-src 'none'; sandbox; frame-ancestors 'none'"], "{path}");
            assert_eq!(header(&answer, "x-content-type-options"), "nosniff", "{path}");
            assert_eq!(header(&answer, "cross-origin-resource-policy"), "same-origin", "{path}");
        }
        for dest in ["script", "style", "worker", "sharedworker", "serviceworker"] {
            let answer = ask(&hub, Method::GET, task, &[("sec-fetch-dest", dest)], "").await;
            assert_eq!(code(answer).await, (403, json!("destination_forbidden")), "{task} as {dest}");
        }
    }
}

#[tokio::test]
async fn secrets_leave_whatever_form_they_come_in() {
    let hub = TestHub::start().await;
    // Where an activity ends and the next one begins, the key is cut in two.
    let long = format!("{}{KEY} end", "x ".repeat(32_699));
    for (task, kind, body) in [
        ("json", "application/json", format!(r#"{{"note":"key {KEY}"}}"#)),
        ("text", "text/plain", format!("key {KEY} end")),
        ("long", "text/plain", long),
        ("bytes", "application/octet-stream", format!("\0key {KEY} end")),
    ] {
        let answer = ask(&hub, Method::PUT, task, &[("content-type", kind)], body).await;
        assert_eq!(answer.status(), 201, "{task}");
        let read = read(&hub, task).await;
        assert!(!read.contains(&KEY[..10]) && read.contains("[redacted:"), "{task}");
        assert!(!json!(hub.log(task).await).to_string().contains(KEY), "{task}");
    }
    put(&hub, "cut", TEXT, "").await;
    for name in ["stream-seq", "producer-id", "content-type"] {
        let key = if name == "content-type" { format!("text/{KEY}") } else { KEY.to_owned() };
        let headers = [TEXT, ("producer-epoch", "0"), ("producer-seq", "0"), ("producer-id", "p"), (name, key.as_str())];
        let given: Vec<_> =
            headers.iter().enumerate().filter(|(at, (known, _))| *known != name || *at == 4).map(|(_, pair)| *pair).collect();
        assert_eq!(code(ask(&hub, Method::POST, "cut", &given, "x").await).await, (400, json!("secret_in_header")), "{name}");
    }
}

#[tokio::test]
async fn of_a_secret_that_is_cut_over_requests_nothing_is_shown_behind_the_cut() {
    let hub = TestHub::start().await;
    // The body of a private key, cut within its lines.
    let pem = "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7VJTUt9Us8cKj\n".repeat(4);
    let begun = format!("-----BEGIN PRIVATE KEY-----\n{}", &pem[..30]);
    let (going, ended) = (&pem[30..150], format!("{}-----END PRIVATE KEY-----\nend", &pem[150..]));
    for (task, kind) in [("text", "text/plain"), ("bytes", "application/octet-stream")] {
        // A NUL makes of a text what is kept as bytes: together they are one text still.
        for (way, [first, then, last]) in
            [("whole", ["", "", ""]), ("first", ["\0", "", ""]), ("last", ["", "", "\0"]), ("between", ["", "\0", ""])]
        {
            let task = format!("{task}-{way}");
            let put = ask(&hub, Method::PUT, &task, &[("content-type", kind)], format!("{first}key {}", &KEY[..10])).await;
            assert_eq!(put.status(), 201, "{task}");
            for body in [format!("{} {then}end\n", &KEY[10..]), begun.clone(), going.to_owned(), format!("{ended}{last}")] {
                assert_eq!(ask(&hub, Method::POST, &task, &[("content-type", kind)], body).await.status(), 204, "{task}");
            }
            let read = read(&hub, &task).await;
            assert!(!read.contains(&KEY[10..]), "{task}: {read}");
            assert!(!read.contains("MII") && !read.contains("END") && !read.contains(&pem[60..90]), "{task}: {read}");
            assert!(
                read.contains("end\n") && read.trim_end_matches('\0').ends_with("\nend"),
                "nothing else has gone: {task}: {read}"
            );
            assert!(!json!(hub.log(&task).await).to_string().contains(&KEY[10..]), "{task}");
        }
    }
    // Each JSON value is one by itself, as the payloads of agents are.
    put(&hub, "json", JSON, r#"["key AKIAIOSFOD"]"#).await;
    ask(&hub, Method::POST, "json", &[JSON], r#"["NN7QRSTUVW"]"#).await;
    assert_eq!(read(&hub, "json").await, r#"["key AKIAIOSFOD","NN7QRSTUVW"]"#);
}

#[tokio::test]
async fn a_producer_that_begins_again_with_what_is_stored_goes_on() {
    let hub = TestHub::start().await;
    hub.publish("t", &["before"]).await;
    let numbered = |text: &str| {
        let mut activity = message(text);
        activity["eventId"] = json!(uuid::Uuid::now_v7().to_string());
        json!([activity]).to_string()
    };
    let (last, next) = (numbered("last"), numbered("next"));
    let status =
        async |epoch, seq, body: &str| ask(&hub, Method::POST, "t", &producer(epoch, seq), body.to_owned()).await.status();
    assert_eq!(status("0", "0", &last).await, 200);
    // It was killed, does not know whether that was stored, and is another life now.
    assert_eq!(status("1", "0", &last).await, 200);
    assert_eq!(status("1", "1", &next).await, 200);
    assert_eq!(status("0", "1", &next).await, 403, "the one before it is fenced, whatever it sends");
    assert_eq!(hub.log("t").await.len(), 3, "once each");
}

#[tokio::test]
async fn an_open_stream_whose_run_was_ended_says_so_and_not_that_it_is_closed() {
    let hub = TestHub::start().await;
    put(&hub, "t", TEXT, "x").await;
    hub.post("t", json!({"invocationId": "ds", "type": "status", "data": {"status": "failed"}})).await;
    let closing = ask(&hub, Method::POST, "t", &[("stream-closed", "true")], "").await;
    assert_eq!(header(&closing, "stream-closed"), "");
    assert_eq!(code(closing).await, (409, json!("stream_run_ended")));
    assert_eq!(ask(&hub, Method::POST, "t", &[TEXT], "more").await.status(), 204, "it is open");
}

#[tokio::test]
async fn a_closed_stream_ends_where_it_was_closed() {
    let hub = TestHub::start().await;
    put(&hub, "t", TEXT, "all").await;
    let answer = ask(&hub, Method::POST, "t", &[TEXT, ("stream-closed", "true")], " of it").await;
    let tail = header(&answer, "stream-next-offset");
    // Whoever may publish may still say something in the run's name: it is in the log, and not in the stream.
    hub.post("t", json!({"invocationId": "ds", "type": "output", "data": {"stream": "stdout", "text": "late"}})).await;
    assert_eq!(read(&hub, "t").await, "all of it");
    let head = ask(&hub, Method::HEAD, "t", &[], "").await;
    assert_eq!((header(&head, "stream-next-offset"), header(&head, "stream-closed")), (tail, "true".to_owned()));
    let events = timeout(PATIENCE, async { read(&hub, "t?offset=-1&live=sse").await }).await.expect("it ends by itself");
    assert!(events.contains("all of it") && events.contains("\"streamClosed\":true") && !events.contains("late"), "{events}");
    assert_eq!(code(ask(&hub, Method::POST, "t", &[TEXT], "more").await).await, (409, json!("stream_closed")));
    let (_, task) = hub.get("/v1/tasks/t").await;
    assert_eq!(task["invocations"][0]["status"], "completed");
}

#[tokio::test]
async fn what_cannot_be_continued_is_said_to_be_gone() {
    let hub = TestHub::start().await;
    put(&hub, "t", TEXT, "one").await;
    let old = header(&ask(&hub, Method::POST, "t", &[TEXT], "two").await, "stream-next-offset");
    assert_eq!(ask(&hub, Method::DELETE, "t", &[], "").await.status(), 204);
    put(&hub, "t", TEXT, "new").await;
    for text in ["x", "y"] {
        ask(&hub, Method::POST, "t", &[TEXT], text).await;
    }
    for live in ["", "&live=long-poll", "&live=sse"] {
        let answer = ask(&hub, Method::GET, &format!("t?offset={old}{live}"), &[], "").await;
        assert_eq!(code(answer).await, (410, json!("cursor_reset")), "{live}");
    }
    let kept = header(&ask(&hub, Method::HEAD, "t", &[], "").await, "stream-next-offset");
    for text in ["a", "b", "c"] {
        ask(&hub, Method::POST, "t", &[TEXT], text).await;
    }
    hub.node().writer().trim("t".parse().expect("valid"), Offset::new(7).expect("small")).await.expect("taken").expect("trimmed");
    assert_eq!(code(ask(&hub, Method::GET, &format!("t?offset={kept}"), &[], "").await).await, (410, json!("cursor_truncated")));
    assert_eq!(read(&hub, "t?offset=-1").await, "c", "what is kept");
}

#[tokio::test]
async fn each_does_what_is_granted() {
    let hub = GuardedHub::start().await;
    let routes = [("GET", "read"), ("HEAD", "read"), ("PUT", "publish"), ("POST", "publish"), ("DELETE", "delete")];
    for (user, grants, may) in [
        ("reader", json!({"read": ["a-*"]}), vec!["read"]),
        ("publisher", json!({"publish": ["a-*"]}), vec!["publish"]),
        ("admin", json!({"publish": ["a-*"], "admin": true}), vec!["publish", "delete"]),
        ("elsewhere", json!({"read": ["b-*"], "publish": ["b-*"], "admin": true}), vec![]),
    ] {
        let token = token(user, grants);
        for (method, right) in routes {
            for address in ["/v1/ds/a-1", "/v1/stream/a-1", "/v1/ds/a-1?offset=-1&live=sse"] {
                hub.publish("a-1", "x").await;
                let (status, _) = hub.ask(Some(&token), method, address, json!(message("y"))).await;
                let granted = may.contains(&right);
                assert_eq!(status != 403, granted, "{user}: {method} {address}: {status}");
            }
        }
    }
    for (method, _) in routes {
        assert_eq!(hub.ask(None, method, "/v1/ds/a-1", Value::Null).await.0, 401, "{method}");
    }
}

#[tokio::test]
async fn what_a_producer_was_told_is_stored_survives_kill_9() {
    let folder = tempfile::TempDir::new().expect("a folder");
    let database = folder.path().join("log.db");
    let client = Client::new();
    let append = |address: std::net::SocketAddr, seq: u64| {
        let request =
            client.post(format!("http://{address}/v1/ds/t")).header("content-type", "text/plain").body(format!("{seq},"));
        request.header("producer-id", "p").header("producer-epoch", "0").header("producer-seq", seq).send()
    };
    let mut hub = HubProcess::start(&database, "127.0.0.1:0");
    let made = client.put(format!("http://{}/v1/ds/t", hub.address())).header("content-type", "text/plain").send().await;
    assert_eq!(made.expect("an answer").status(), 201);
    for round in 0..3 {
        for seq in round * 10..(round + 1) * 10 {
            assert_eq!(append(hub.address(), seq).await.expect("an answer").status(), 200);
        }
        hub.kill();
        hub = HubProcess::start(&database, "127.0.0.1:0");
        // It cannot know whether its last ones were taken, and sends them again.
        for seq in round * 10 + 5..(round + 1) * 10 {
            assert_eq!(append(hub.address(), seq).await.expect("an answer").status(), 204);
        }
    }
    let read = client.get(format!("http://{}/v1/ds/t", hub.address())).send().await.expect("an answer");
    let expected: String = (0..30).map(|seq| format!("{seq},")).collect();
    assert_eq!(read.text().await.expect("a body"), expected);
}

#[tokio::test]
async fn a_page_has_an_end_and_says_where_it_goes_on() {
    let hub = TestHub::start_with(|settings| settings.limits.publishes_per_second = 0).await;
    put(&hub, "t", JSON, "").await;
    let batch: Vec<Value> = (0..900).map(|n| json!({"n": n, "pad": "x".repeat(1_000)})).collect();
    for _ in 0..2 {
        assert_eq!(ask(&hub, Method::POST, "t", &[JSON], json!(batch).to_string()).await.status(), 204);
    }
    let (mut count, mut pages, mut at) = (0, 0, "-1".to_owned());
    loop {
        let page = ask(&hub, Method::GET, &format!("t?offset={at}"), &[], "").await;
        let (next, last) = (header(&page, "stream-next-offset"), header(&page, "stream-up-to-date") == "true");
        let items: Vec<Value> = serde_json::from_str(&page.text().await.expect("a body")).expect("JSON");
        assert!(items.iter().zip(count..).all(|(item, n)| item["n"] == json!(n % 900)), "in order");
        (count, pages) = (count + items.len(), pages + 1);
        assert!(last || at < next, "it goes on");
        at = next;
        if last {
            break;
        }
    }
    assert_eq!(count, 1_800);
    assert!((2..=4).contains(&pages), "{pages}");
}
