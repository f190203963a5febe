//! What browsers are told when pages of other origins ask: those of the list may, and no others.

use reqwest::{Method, Response, header};
use serde_json::json;
use tasklight::config::List;

use crate::harness::TestHub;

const LISTED: &str = "https://dash.example.com";

fn list() -> List {
    serde_json::from_value(json!([LISTED])).expect("a list")
}

async fn ask(hub: &TestHub, method: Method, path: &str, origin: &str, wanted: Option<&str>) -> Response {
    let mut request = reqwest::Client::new().request(method, hub.url(path)).header(header::ORIGIN, origin);
    if let Some(wanted) = wanted {
        request = request.header("access-control-request-method", wanted);
        request = request.header("access-control-request-headers", "authorization,content-type");
    }
    request.send().await.expect("an answer")
}

fn value<'a>(response: &'a Response, name: &str) -> Option<&'a str> {
    response.headers().get(name).and_then(|value| value.to_str().ok())
}

#[tokio::test]
async fn pages_of_listed_origins_may_read_answers_and_others_may_not() {
    let hub = TestHub::start_with(|settings| settings.http.origins = list()).await;
    hub.publish("build", &["one"]).await;

    let asked = ask(&hub, Method::OPTIONS, "/v1/tasks/build/activities", LISTED, Some("POST")).await;
    assert_eq!((asked.status().as_u16(), value(&asked, "access-control-allow-origin")), (200, Some(LISTED)));
    let allowed = value(&asked, "access-control-allow-headers").unwrap_or_default().to_owned();
    for wanted in ["authorization", "last-event-id", "stream-seq", "producer-id", "if-none-match"] {
        assert!(allowed.contains(wanted), "{wanted}: {allowed}");
    }
    assert_eq!(value(&asked, "access-control-allow-credentials"), None, "no cookies are ever looked at");

    for path in ["/v1/tasks", "/v1/tasks/build/activities", "/v1/tasks/nowhere", "/v1/tasks/build/stream"] {
        let read = ask(&hub, Method::GET, path, LISTED, None).await;
        assert_eq!(value(&read, "access-control-allow-origin"), Some(LISTED), "{path}: {}", read.status());
        assert!(
            value(&read, "vary").is_some_and(|vary| vary.to_ascii_lowercase().contains("origin")),
            "caches must tell them apart"
        );
    }
    for origin in ["https://evil.io", "null", "http://dash.example.com", "https://dash.example.com.evil.io"] {
        let asked = ask(&hub, Method::OPTIONS, "/v1/tasks/build/activities", origin, Some("POST")).await;
        assert_eq!(value(&asked, "access-control-allow-origin"), None, "{origin}");
        let read = ask(&hub, Method::GET, "/v1/tasks", origin, None).await;
        assert_eq!((read.status().as_u16(), value(&read, "access-control-allow-origin")), (403, None), "{origin}");
    }
}

#[tokio::test]
async fn a_page_of_a_listed_origin_reads_why_it_was_refused() {
    let hub = crate::access::GuardedHub::start_with(|settings, _| {
        settings.http.origins = list();
    })
    .await;
    let refused = ask(&hub.hub, Method::GET, "/v1/tasks", LISTED, None).await;
    assert_eq!((refused.status().as_u16(), value(&refused, "access-control-allow-origin")), (401, Some(LISTED)));
    let asked = ask(&hub.hub, Method::OPTIONS, "/v1/tasks", LISTED, Some("GET")).await;
    assert_eq!(asked.status().as_u16(), 200, "a browser asks beforehand without a token");
}

#[tokio::test]
async fn without_a_list_nothing_is_allowed() {
    let hub = TestHub::start().await;
    let asked = ask(&hub, Method::OPTIONS, "/v1/tasks", LISTED, Some("GET")).await;
    assert_eq!((asked.status().as_u16(), value(&asked, "access-control-allow-origin")), (403, None));
    let own = ask(&hub, Method::GET, "/v1/tasks", hub.url("").as_str(), None).await;
    assert_eq!((own.status().as_u16(), value(&own, "access-control-allow-origin")), (200, None));
}
