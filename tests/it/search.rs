//! Looking for text in a task, and beginning to read it at an offset or at a time.

use serde_json::{Value, json};
use tasklight::model::Offset;

use crate::harness::{TestHub, message};

/// Everything that a search finds, page by page: the offsets, in the order in which they came, and how far each page looked.
async fn found(hub: &TestHub, parameters: &str, way: &str) -> (Vec<u64>, Vec<u64>) {
    let (mut offsets, mut looked, mut place) = (Vec::new(), Vec::new(), String::new());
    loop {
        let (status, page) = hub.get(&format!("/v1/tasks/t/search?{parameters}{place}")).await;
        assert_eq!(status, 200, "{page}");
        offsets.extend(page["hits"].as_array().expect("hits").iter().filter_map(|hit| hit["offset"].as_u64()));
        looked.push(page["through"].as_u64().expect("through"));
        match page["next"].as_str() {
            Some(next) => place = format!("&{way}={next}"),
            None => return (offsets, looked),
        }
    }
}

#[tokio::test]
async fn a_search_finds_what_payloads_say_in_either_direction() {
    let hub = TestHub::start().await;
    hub.publish("t", &["The Needle", "hay", "a needle again", "needles"]).await;
    let call = json!({"invocationId": "other", "type": "tool_call", "data": {"needle": "x", "n": 3.25, "input": {"command": "find needle"}}});
    hub.post("t", call).await;
    let (_, page) = hub.get("/v1/tasks/t/search?q=needle").await;
    let hits = page["hits"].as_array().expect("hits");
    assert_eq!((hits.len(), &page["next"], &page["through"], &page["head"]), (4, &Value::Null, &json!(1), &json!(5)));
    let log = hub.log("t").await;
    let expected = json!({
        "offset": 5, "cursor": log[4]["cursor"], "invocationId": "other", "type": "tool_call", "timestamp": log[4]["timestamp"],
        "excerpt": "find needle", "at": [5, 6]
    });
    assert_eq!(hits[0], expected);
    for (parameters, way, offsets) in [
        ("q=needle", "before", vec![5, 4, 3, 1]),
        ("q=NEEDLE&limit=1", "before", vec![5, 4, 3, 1]),
        ("q=needle&after=start", "after", vec![1, 3, 4, 5]),
        ("q=needle&limit=2&after=start", "after", vec![1, 3, 4, 5]),
        ("q=needle&type=message", "before", vec![4, 3, 1]),
        ("q=needle&invocation=other", "before", vec![5]),
        ("q=needle&type=tool_call,error&after=start", "after", vec![5]),
        ("q=3.25", "before", vec![5]),
        ("q=command", "before", vec![]),
        ("q=needle&after=end", "after", vec![]),
    ] {
        assert_eq!(found(&hub, parameters, way).await.0, offsets, "{parameters}");
    }
    let third = log[2]["cursor"].as_str().expect("a cursor");
    assert_eq!(found(&hub, &format!("q=needle&before={third}"), "before").await.0, [1]);
    hub.node().store().trim(&"t".parse().expect("valid"), Offset::new(3).expect("small")).await.expect("it trims");
    assert_eq!(found(&hub, "q=needle", "before").await.0, [5, 4, 3]);
}

#[tokio::test]
async fn a_search_looks_at_a_bounded_part_and_says_where_to_go_on() {
    let hub = TestHub::start().await;
    hub.publish("t", &["needle at the beginning"]).await;
    for _ in 0..23 {
        let (status, _) = hub.post("t", vec![message("hay"); 1_000].into()).await;
        assert_eq!(status, 200);
    }
    hub.publish("t", &["needle at the end"]).await;
    let head = 23_002;
    let (offsets, looked) = found(&hub, "q=needle", "before").await;
    assert_eq!((offsets, looked.last()), (vec![head, 1], Some(&1)));
    let spans: Vec<_> = std::iter::once(head + 1).chain(looked.iter().copied()).collect();
    assert!(spans.windows(2).all(|pair| pair[1] < pair[0] && pair[0] - pair[1] <= 20_000), "{spans:?}");
    let (offsets, looked) = found(&hub, "q=needle&after=start", "after").await;
    assert_eq!((offsets, looked.last()), (vec![1, head], Some(&head)));
    let spans: Vec<_> = std::iter::once(0).chain(looked.iter().copied()).collect();
    assert!(spans.windows(2).all(|pair| pair[0] < pair[1] && pair[1] - pair[0] <= 20_000), "{spans:?}");
}

#[tokio::test]
async fn a_page_with_a_filter_looks_at_a_bounded_part_and_says_where_to_go_on() {
    let hub = TestHub::start().await;
    let error = || json!({"invocationId": "other", "type": "error", "data": {"message": "no"}});
    hub.post("t", error()).await;
    for _ in 0..20 {
        let (status, _) = hub.post("t", vec![message("hay"); 1_000].into()).await;
        assert_eq!(status, 200);
    }
    hub.post("t", error()).await;
    let (_, task) = hub.get("/v1/tasks/t").await;
    let end = format!("before={}-20003", task["epoch"].as_str().expect("an epoch"));
    for (parameters, way, all) in [("after=start", "after", [1, 20_002]), (&end, "before", [20_002, 1])] {
        let (mut offsets, mut pages, mut place) = (Vec::new(), 0, parameters.to_owned());
        loop {
            let (status, page) = hub.get(&format!("/v1/tasks/t/activities?type=error&{place}")).await;
            assert_eq!(status, 200, "{page}");
            offsets.extend(page["activities"].as_array().expect("a page").iter().filter_map(|one| one["offset"].as_u64()));
            pages += 1;
            match page["next"].as_str() {
                Some(next) => place = format!("{way}={next}"),
                None => break,
            }
        }
        assert_eq!((offsets, pages), (all.to_vec(), 2), "{parameters}");
    }
}

#[tokio::test]
async fn a_search_that_cannot_be_made_says_why() {
    let hub = TestHub::start().await;
    let cursors = hub.publish("t", &["1", "2", "3"]).await;
    let other = format!("00000000-{}", 2);
    let long = "x".repeat(257);
    hub.node().store().trim(&"t".parse().expect("valid"), Offset::new(3).expect("small")).await.expect("it trims");
    for (path, status, code) in [
        ("t/search".to_owned(), 400, "invalid_search"),
        (format!("t/search?q={long}"), 400, "invalid_search"),
        (format!("t/search?q=x&after={}&before={}", cursors[0], cursors[1]), 400, "conflicting_parameters"),
        ("t/search?q=x&after=nonsense".to_owned(), 400, "invalid_cursor"),
        ("t/search?q=x&limit=201".to_owned(), 400, "invalid_limit"),
        ("t/search?q=x&sort=up".to_owned(), 400, "unknown_parameter"),
        (format!("t/search?q=x&before={other}"), 409, "cursor_reset"),
        (format!("t/search?q=x&after={}", cursors[0]), 410, "cursor_truncated"),
        ("nowhere/search?q=x".to_owned(), 404, "task_not_found"),
    ] {
        let (got, problem) = hub.get(&format!("/v1/tasks/{path}")).await;
        assert_eq!((got, &problem["code"]), (status, &json!(code)), "{path}: {problem}");
    }
}

/// A log of ten, the nth of them at n seconds, every third of another type.
async fn timed() -> TestHub {
    let hub = TestHub::start().await;
    let activities: Vec<_> = (1..=10)
        .map(|n| {
            let kind = if n % 3 == 0 { "error" } else { "message" };
            json!({"invocationId": "r", "type": kind, "timestamp": n * 1_000, "data": {"text": "x"}})
        })
        .collect();
    assert_eq!(hub.post("t", activities.into()).await.0, 200);
    hub
}

async fn offsets(hub: &TestHub, parameters: &str) -> (Vec<u64>, Value) {
    let (status, page) = hub.get(&format!("/v1/tasks/t/activities?{parameters}")).await;
    assert_eq!(status, 200, "{page}");
    let offsets = page["activities"].as_array().expect("activities").iter().filter_map(|one| one["offset"].as_u64());
    (offsets.collect(), page)
}

#[tokio::test]
async fn a_page_begins_at_an_offset_or_at_a_time() {
    let hub = timed().await;
    for (parameters, expected) in [
        ("from=5&limit=3", vec![5, 6, 7]),
        ("from=10", vec![10]),
        ("from=11", vec![]),
        ("from=9007199254740991", vec![]),
        ("from=0&limit=2", vec![1, 2]),
        ("from=4&type=error", vec![6, 9]),
        ("at=0&limit=2", vec![1, 2]),
        ("at=4000&limit=2", vec![4, 5]),
        ("at=4001&limit=2", vec![5, 6]),
        ("at=10000", vec![10]),
        ("at=10001", vec![]),
        ("at=18446744073709551615", vec![]),
        ("at=5000&type=error", vec![6, 9]),
    ] {
        assert_eq!(offsets(&hub, parameters).await.0, expected, "{parameters}");
    }
    let (_, page) = offsets(&hub, "at=4000&limit=2").await;
    let next = page["next"].as_str().expect("there is more");
    assert_eq!(offsets(&hub, &format!("after={next}&limit=2")).await.0, [6, 7], "on from there");
    let first = page["activities"][0]["cursor"].as_str().expect("a cursor");
    assert_eq!(offsets(&hub, &format!("before={first}&limit=2")).await.0, [2, 3], "back from there");
    hub.node().store().trim(&"t".parse().expect("valid"), Offset::new(7).expect("small")).await.expect("it trims");
    for parameters in ["from=2&limit=2", "at=3000&limit=2"] {
        let (offsets, page) = offsets(&hub, parameters).await;
        assert_eq!((offsets, &page["floor"]), (vec![7, 8], &json!(7)), "{parameters}: what is kept begins there");
    }
    for (parameters, code) in [
        ("from=x", "invalid_offset"),
        ("from=-1", "invalid_offset"),
        ("at=yesterday", "invalid_time"),
        ("at=1&from=1", "conflicting_parameters"),
        ("after=start&at=1", "conflicting_parameters"),
        ("format=csv", "invalid_format"),
    ] {
        let (status, problem) = hub.get(&format!("/v1/tasks/t/activities?{parameters}")).await;
        assert_eq!((status, &problem["code"]), (400, &json!(code)), "{parameters}");
    }
}

#[tokio::test]
async fn a_plain_link_downloads_a_log() {
    let hub = timed().await;
    let client = reqwest::Client::new();
    for (parameters, count) in [("format=ndjson", 10), ("format=ndjson&from=8", 3), ("format=ndjson&type=error&at=4000", 2)] {
        let answer = client.get(hub.url(&format!("/v1/tasks/t/activities?{parameters}"))).send().await.expect("an answer");
        let header = |name: &str| answer.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
        assert_eq!(header("content-type"), "application/x-ndjson");
        assert_eq!(header("content-disposition"), "attachment; filename=\"t.ndjson\"");
        let text = answer.text().await.expect("a body");
        let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
        assert_eq!((lines.len(), lines.last().map(|line| &line["taskId"])), (count, Some(&json!("t"))), "{parameters}");
    }
    let accepting = client.get(hub.url("/v1/tasks/t/activities")).header("accept", "application/x-ndjson").send().await;
    assert!(accepting.expect("an answer").headers().get("content-disposition").is_none(), "a program asked");
    let (status, problem) = hub.get("/v1/tasks/t/activities?format=ndjson&before=00000000-3").await;
    assert_eq!((status, &problem["code"]), (400, &json!("conflicting_parameters")));
}
