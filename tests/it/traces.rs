//! Traces as a collector gets them: one publish, seen on another node, is one trace from end to end. The collector is real HTTP and real
//! protobuf on loopback, and shares no code with what sends.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use axum::{Router, body::Bytes, extract::State, http::StatusCode, routing::post};
use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    common::v1::{KeyValue, any_value},
    trace::v1::Span,
};
use prost::Message;
use serde_json::json;
use tokio::{net::TcpListener, sync::watch, task::JoinHandle, time::timeout};

use crate::{
    cluster::{Cluster, numbered},
    harness::{PATIENCE, TestHub, message},
    services::redis_url,
    viewer::{Stream, Viewer},
};

/// Somebody who takes spans, from any number of hubs.
pub struct Collector {
    address: SocketAddr,
    inner: Arc<Inner>,
    serving: JoinHandle<()>,
}

#[derive(Default)]
struct Inner {
    /// Each span, and the node that sent it.
    spans: Mutex<Vec<(String, Span)>>,
    /// Every request, as it came.
    raw: Mutex<Vec<u8>>,
    arrived: watch::Sender<usize>,
}

fn text(attributes: &[KeyValue], key: &str) -> Option<String> {
    let attribute = attributes.iter().find(|attribute| attribute.key == key)?;
    match attribute.value.as_ref()?.value.as_ref()? {
        any_value::Value::StringValue(text) => Some(text.clone()),
        any_value::Value::IntValue(number) => Some(number.to_string()),
        _ => None,
    }
}

async fn take(State(inner): State<Arc<Inner>>, body: Bytes) -> StatusCode {
    let Ok(request) = ExportTraceServiceRequest::decode(body.clone()) else { return StatusCode::BAD_REQUEST };
    inner.raw.lock().expect("nobody panics").extend_from_slice(&body);
    let mut spans = inner.spans.lock().expect("nobody panics");
    for resource in request.resource_spans {
        let attributes = resource.resource.map(|resource| resource.attributes).unwrap_or_default();
        assert_eq!(text(&attributes, "service.name").as_deref(), Some("tasklight"));
        let node = text(&attributes, "service.instance.id").expect("a node says which it is");
        let new = resource.scope_spans.into_iter().flat_map(|scope| scope.spans);
        spans.extend(new.map(|span| (node.clone(), span)));
    }
    inner.arrived.send_replace(spans.len());
    StatusCode::OK
}

impl Collector {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let (address, inner) = (listener.local_addr().expect("an address"), Arc::<Inner>::default());
        let routes = Router::new().route("/v1/traces", post(take)).with_state(inner.clone());
        #[expect(clippy::disallowed_methods, reason = "it is no part of a node, and ends with this")]
        let serving = tokio::spawn(async move { axum_server(listener, routes).await });
        Self { address, inner, serving }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Everything that came, byte by byte.
    pub fn raw(&self) -> Vec<u8> {
        self.inner.raw.lock().expect("nobody panics").clone()
    }

    /// All spans that came, once there are so many.
    pub async fn spans(&self, count: usize) -> Vec<(String, Span)> {
        let mut arrived = self.inner.arrived.subscribe();
        let all = arrived.wait_for(|arrived| count <= *arrived);
        let names =
            || self.inner.spans.lock().expect("nobody panics").iter().map(|(_, span)| span.name.clone()).collect::<Vec<_>>();
        let came = timeout(PATIENCE, all).await.map(|found| found.is_ok());
        assert_eq!(came, Ok(true), "{count} spans, of which came {:?}", names());
        self.inner.spans.lock().expect("nobody panics").clone()
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// Serves HTTP/1.1, one connection after the other at the same time.
async fn axum_server(listener: TcpListener, routes: Router) {
    let mut connections = tokio::task::JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let service = hyper_util::service::TowerToHyperService::new(routes.clone());
        let io = hyper_util::rt::TokioIo::new(stream);
        connections.spawn(async move {
            // A client that goes is nobody's fault.
            let _ = hyper::server::conn::http1::Builder::new().serve_connection(io, service).await;
        });
    }
}

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const PARENT: &str = "b7ad6b7169203331";

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The spans of a trace by name, each with the node that sent it.
fn of_trace<'a>(spans: &'a [(String, Span)], trace: &str) -> BTreeMap<&'a str, Vec<(&'a str, &'a Span)>> {
    let mut by_name = BTreeMap::<_, Vec<_>>::new();
    for (node, span) in spans.iter().filter(|(_, span)| hex(&span.trace_id) == trace) {
        by_name.entry(span.name.as_str()).or_default().push((node.as_str(), span));
    }
    by_name
}

async fn publish_traced(hub: &TestHub, task: &str, traceparent: &str) -> u16 {
    let request =
        reqwest::Client::new().post(hub.url(&format!("/v1/tasks/{task}/activities"))).header("traceparent", traceparent);
    request.body(json!([message("x")]).to_string()).send().await.expect("an answer").status().as_u16()
}

#[tokio::test]
async fn one_publish_is_one_trace_from_the_agent_to_viewers_on_another_node() {
    let collector = Collector::start().await;
    let cluster = Cluster::start(2, &redis_url(), |settings| {
        settings.telemetry.otlp_endpoint = collector.url();
        settings.telemetry.sample_ratio = 0.;
        settings.telemetry.export_interval = "50ms".parse().expect("a duration");
        settings.hub.resync_interval = "10m".parse().expect("a duration");
    })
    .await;
    let mut viewer = Viewer::subscribe(cluster.hubs[1].address(), "t", json!({})).await;
    viewer.until("subscribed").await;
    let mut stream = Stream::open(cluster.hubs[1].address(), "t", "", None).await.expect("a stream");
    // Once hints of the one are heard by the other: what is published until then is not traced.
    cluster.hubs[0].publish("t", &["not traced"]).await;
    viewer.activities(1).await;
    assert_eq!(publish_traced(&cluster.hubs[0], "t", &format!("00-{TRACE}-{PARENT}-00")).await, 200);
    viewer.activities(1).await;
    assert_eq!(publish_traced(&cluster.hubs[0], "t", &format!("00-{TRACE}-{PARENT}-01")).await, 200);
    viewer.activities(1).await;
    while stream.next().await.expect("it goes on").name.is_some() {}
    let spans = collector.spans(6).await;
    assert_eq!(spans.len(), 6, "nothing else was traced: {:?}", spans.iter().map(|(_, span)| &span.name).collect::<Vec<_>>());
    let mut trace = of_trace(&spans, TRACE);
    let deliveries = trace.remove("deliver").expect("delivered");
    let one = |name: &str| match trace[name][..] {
        [(node, span)] => (node.to_owned(), span.clone()),
        ref others => panic!("{} of {name}", others.len()),
    };
    let [publish, commit, told, applied] = ["publish", "commit", "feed publish", "feed apply"].map(one);
    assert_eq!(hex(&publish.1.parent_span_id), PARENT, "the agent's span is above all");
    for (name, child, parent) in
        [("commit", &commit, &publish.1), ("feed publish", &told, &commit.1), ("feed apply", &applied, &told.1)]
    {
        assert_eq!(hex(&child.1.parent_span_id), hex(&parent.span_id), "{name}");
        assert!(parent.start_time_unix_nano <= child.1.start_time_unix_nano, "{name} begins after what it follows from");
        assert_eq!(text(&child.1.attributes, "task.id").as_deref(), Some("t"), "{name}");
    }
    assert_eq!([&publish.0, &commit.0, &told.0, &applied.0], ["hub-1", "hub-1", "hub-1", "hub-2"]);
    assert_eq!(deliveries.len(), 2, "the WebSocket and the stream");
    for (node, span) in deliveries {
        assert_eq!((node, hex(&span.parent_span_id)), ("hub-2", hex(&applied.1.span_id)));
        assert!(span.start_time_unix_nano <= span.end_time_unix_nano);
    }
    assert_eq!(text(&publish.1.attributes, "http.response.status_code").as_deref(), Some("200"));
    assert_eq!(text(&commit.1.attributes, "tasklight.batch.activities").as_deref(), Some("1"));
}

#[tokio::test]
async fn what_is_refused_or_comes_over_redis_is_traced_too_and_the_last_spans_are_sent_at_the_end() {
    let collector = Collector::start().await;
    let mut cluster = Cluster::start(1, &redis_url(), |settings| {
        settings.telemetry.otlp_endpoint = collector.url();
        settings.telemetry.sample_ratio = 1.;
        settings.telemetry.export_interval = "1h".parse().expect("a duration");
    })
    .await;
    let hub = &cluster.hubs[0];
    let mut viewer = Viewer::subscribe(hub.address(), "t", json!({})).await;
    let (status, _) = hub.post("t", json!({"invocationId": "r", "type": "nonsense"})).await;
    assert_eq!(status, 400);
    cluster.heard_by("t", 1).await;
    cluster.publish("t", &numbered(1)).await;
    viewer.activities(1).await;
    assert!(cluster.hubs.remove(0).stop().await, "it stops by itself");
    let spans = collector.spans(1).await;
    let roots: Vec<_> = spans.iter().filter(|(_, span)| span.name == "publish").map(|(_, span)| span).collect();
    let refused = roots.iter().find(|span| text(&span.attributes, "http.response.status_code").is_some()).expect("the request");
    assert_eq!(text(&refused.attributes, "http.response.status_code").as_deref(), Some("400"));
    let over_redis = roots.iter().find(|span| text(&span.attributes, "http.route").is_none()).expect("the message");
    assert!(over_redis.parent_span_id.is_empty());
    let trace = of_trace(&spans, &hex(&over_redis.trace_id)).keys().copied().map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(trace, ["commit", "deliver", "feed publish", "publish"]);
}

#[tokio::test]
async fn a_collector_that_is_away_costs_spans_and_nothing_else() {
    let mut hub = TestHub::start_with(|settings| {
        settings.telemetry.otlp_endpoint = "http://127.0.0.1:1".to_owned();
        settings.telemetry.sample_ratio = 1.;
        settings.telemetry.queue_spans = 8;
        settings.telemetry.export_interval = "20ms".parse().expect("a duration");
        settings.telemetry.export_timeout = "200ms".parse().expect("a duration");
    })
    .await;
    let mut viewer = Viewer::subscribe(hub.address(), "t", json!({})).await;
    let failed = async {
        loop {
            hub.publish("t", &["x"]).await;
            viewer.activities(1).await;
            let url = format!("http://{}/metrics", hub.node().admin_address());
            let metrics = reqwest::get(url).await.expect("an answer").text().await.expect("a body");
            let line = metrics.lines().find(|line| line.starts_with(r#"tasklight_telemetry_spans_total{outcome="failed"}"#));
            if !line.expect("it is counted").ends_with(" 0") {
                return;
            }
        }
    };
    timeout(PATIENCE, failed).await.expect("it is noticed");
    assert!(hub.stop().await, "it stops by itself");
}
