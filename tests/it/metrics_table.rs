//! What is counted, what `docs/metrics.md` says of it, what the dashboard and the alert rules ask for, and what the runbook explains: one thing.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    process::Command,
};

use regex::Regex;
use serde_json::{Value, json};

use crate::{
    harness::TestHub,
    viewer::{Stream, Viewer},
};

const TABLE: &str = include_str!("../../docs/metrics.md");
const RUNBOOK: &str = include_str!("../../docs/runbook.md");
const ALERTS: &str = include_str!("../../helm/tasklight/files/alerts.yaml");
const DASHBOARD: &str = include_str!("../../helm/tasklight/files/dashboard.json");

/// What Prometheus itself, or whoever configures its scraping, adds to every series; and what stands for histogram buckets.
const OTHER_LABELS: [&str; 4] = ["job", "instance", "le", "namespace"];

/// A metric: its type, and the values of each of its labels. No values are an open set.
#[derive(Debug, Default, PartialEq, Eq)]
struct Metric {
    kind: String,
    labels: BTreeMap<String, BTreeSet<String>>,
}

type Metrics = BTreeMap<String, Metric>;

fn quoted(text: &str) -> Vec<String> {
    text.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// The rows of the table.
fn documented() -> Metrics {
    let mut all = Metrics::new();
    for row in TABLE.lines().filter(|line| line.starts_with("| `tasklight_")) {
        let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
        let [name, kind, labels, unit, meaning, _worry] = cells[..] else { panic!("a row has six cells: {row}") };
        assert!(!unit.is_empty() && !meaning.is_empty(), "{row}");
        let mut metric = Metric { kind: kind.to_owned(), ..Metric::default() };
        let (names, values) = labels.split_once(':').unwrap_or((labels, ""));
        for label in quoted(names) {
            // With dots behind them the values go on.
            let values = if values.ends_with('…') { Vec::new() } else { quoted(values) };
            metric.labels.insert(label, values.into_iter().collect());
        }
        let [name] = &quoted(name)[..] else { panic!("one name: {row}") };
        assert!(all.insert(name.clone(), metric).is_none(), "{name} has two rows");
    }
    all
}

/// What a scrape has: each metric by the name of its samples, or that of its histogram.
fn scraped(text: &str) -> Metrics {
    let mut all = Metrics::new();
    let mut current = String::new();
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').expect("a name and a type");
            current = match kind {
                "counter" => format!("{name}_total"),
                "info" => format!("{name}_info"),
                _ => name.to_owned(),
            };
            all.entry(current.clone()).or_default().kind = kind.to_owned();
        } else if !line.starts_with('#') {
            let metric = all.get_mut(&current).expect("a type comes first");
            let labels = line.split_once('{').and_then(|(_, rest)| rest.split_once('}')).map_or("", |(labels, _)| labels);
            for label in labels.split(',').filter(|label| !label.is_empty() && !label.starts_with("le=")) {
                let (label, value) = label.split_once('=').expect("a label has a value");
                metric.labels.entry(label.to_owned()).or_default().insert(value.trim_matches('"').to_owned());
            }
        }
    }
    all
}

async fn scrape(hub: &TestHub) -> String {
    let url = format!("http://{}/metrics", hub.node().admin_address());
    reqwest::get(url).await.expect("an answer").text().await.expect("a body")
}

#[tokio::test]
async fn the_table_has_what_a_hub_counts_and_nothing_else() {
    let hub = TestHub::start().await;
    // The label of rules is open, and has series once something happened.
    hub.post("t", json!({"invocationId": "r", "type": "message", "data": {"password": "PLANTED9zebra"}})).await;
    let (documented, scraped) = (documented(), scraped(&scrape(&hub).await));
    let names = |metrics: &Metrics| metrics.keys().cloned().collect::<Vec<_>>();
    // Webhooks count by the endpoints of the configuration, of which there are none here; their own tests look at their metrics.
    let documented: Metrics = documented.into_iter().filter(|(name, _)| !name.starts_with("tasklight_webhook_")).collect();
    assert_eq!(names(&documented), names(&scraped), "docs/metrics.md on the left, a hub on the right");
    for (name, row) in &documented {
        let there = &scraped[name];
        assert_eq!(row.kind, there.kind, "the type of {name}");
        for label in there.labels.keys() {
            assert!(row.labels.contains_key(label), "{name} has a label {label} that the table does not name");
        }
        // An open set may have no series yet.
        for (label, values) in row.labels.iter().filter(|(_, values)| !values.is_empty()) {
            assert_eq!(Some(values), there.labels.get(label), "the values of {name}'s {label}");
        }
    }
}

/// Every expression of the dashboard, and what its variables ask for.
fn expressions(value: &Value, into: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                match value {
                    Value::String(text) if matches!(name.as_str(), "expr" | "query") => into.push(text.clone()),
                    value => expressions(value, into),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| expressions(item, into)),
        _ => {}
    }
}

/// Fails unless every metric that `text` names is in the table, and so is every label and value that it asks for.
fn exists(whose: &str, text: &str, documented: &Metrics) -> BTreeSet<String> {
    let names = Regex::new(r"tasklight_[a-z0-9_]+").expect("a pattern");
    let selectors = Regex::new(r"(tasklight_[a-z0-9_]+)\{([^}]*)\}").expect("a pattern");
    let matcher = Regex::new(r#"([a-z_]+) *(=~|!~|!=|=) *"([^"]*)""#).expect("a pattern");
    let metric_of = |name: &str| {
        let histogram = ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end));
        let histogram = histogram.filter(|base| documented.get(*base).is_some_and(|metric| metric.kind == "histogram"));
        let name = histogram.unwrap_or(name);
        let metric = documented.get(name).unwrap_or_else(|| panic!("{whose} asks for {name}, which nobody counts: {text}"));
        assert!(metric.kind != "histogram" || histogram.is_some(), "{whose}: {name} is a histogram: {text}");
        (name.to_owned(), metric)
    };
    for captures in selectors.captures_iter(text) {
        let (name, metric) = metric_of(&captures[1]);
        for part in matcher.captures_iter(&captures[2]) {
            let (label, sign, value) = (&part[1], &part[2], &part[3]);
            let Some(values) = metric.labels.get(label) else {
                assert!(OTHER_LABELS.contains(&label), "{whose}: {name} has no label {label}");
                continue;
            };
            let known = values.is_empty() || !matches!(sign, "=" | "!=") || values.contains(value);
            assert!(known, "{whose}: {name} has no {label} {value:?}");
        }
    }
    names.find_iter(text).map(|found| metric_of(found.as_str()).0).collect()
}

#[test]
fn the_dashboard_and_the_alerts_ask_for_what_is_counted() {
    let documented = documented();
    let dashboard: Value = serde_json::from_str(DASHBOARD).expect("the dashboard is JSON");
    let mut asked = Vec::new();
    expressions(&dashboard, &mut asked);
    let shown: BTreeSet<String> = asked.iter().flat_map(|text| exists("the dashboard", text, &documented)).collect();
    assert!(30 < shown.len(), "the dashboard shows most of them: {shown:?}");
    let panels = dashboard["panels"].as_array().expect("panels");
    let mut ids: Vec<_> = panels.iter().map(|panel| panel["id"].as_u64().expect("an id")).collect();
    ids.dedup();
    assert_eq!(ids.len(), panels.len(), "each panel has an id of its own");
    let rules: String =
        ALERTS.lines().filter(|line| !line.trim_start().starts_with('#')).map(|line| format!("{line}\n")).collect();
    assert!(10 < exists("an alert rule", &rules, &documented).len());
}

#[test]
fn every_alert_is_in_the_runbook_and_the_other_way_round() {
    let mut alerts = BTreeSet::new();
    for rule in ALERTS.split("- alert: ").skip(1) {
        let name = rule.lines().next().expect("a name");
        for needed in ["severity: ", "summary: ", &format!("runbook: docs/runbook.md#{}\n", name.to_lowercase())] {
            assert!(rule.contains(needed), "{name} has no {needed:?}");
        }
        assert!(rule.contains("severity: critical") || rule.contains("severity: warning"), "{name}");
        assert!(alerts.insert(name), "{name} is there twice");
    }
    let explained: BTreeSet<&str> = RUNBOOK.lines().filter_map(|line| line.strip_prefix("## Tasklight")).collect();
    let alerts: BTreeSet<&str> = alerts.iter().filter_map(|name| name.strip_prefix("Tasklight")).collect();
    assert_eq!(alerts, explained, "alerts.yaml on the left, docs/runbook.md on the right");
}

#[test]
fn promtool_finds_the_rules_good_and_plays_their_tests() {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/alerts/check.sh");
    let output = Command::new("bash").arg(script).output().expect("bash is there");
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}");
}

#[tokio::test]
async fn each_stage_counts_what_happens() {
    let mut hub = TestHub::start_with(|settings| settings.session.shards = 1).await;
    let mut viewer = Viewer::subscribe(hub.address(), "t", json!({})).await;
    viewer.until("subscribed").await;
    let cursors = hub.publish("t", &["a", "b"]).await;
    viewer.activities(2).await;
    hub.send("POST", "/v1/tasks/t/activities", json!([])).await;
    // Reset: another life; recovered; and one whose cursor is not looked at, because it has none.
    let other = format!("00000000-{}", 1);
    for after in [&other, &cursors[0]] {
        let mut stream = Stream::open(hub.address(), "t", &format!("?after={after}"), None).await.expect("a stream");
        while stream.next().await.expect("it goes on").name.as_deref() != Some("live") {}
    }
    let text = scrape(&hub).await;
    for line in [
        r#"tasklight_activities_accepted_total{via="http"} 2"#,
        "tasklight_activities_appended_total 2",
        "tasklight_writer_queue_bytes 0",
        "tasklight_writer_queue_limit_activities 50000",
        "tasklight_store_healthy 1",
        "tasklight_hub_watched_tasks 1",
        "tasklight_broker_configured 0",
        r#"tasklight_hub_resumes_total{outcome="recovered"} 1"#,
        r#"tasklight_hub_resumes_total{outcome="reset"} 1"#,
        r#"tasklight_hub_resumes_total{outcome="truncated"} 0"#,
        // The very first of a thread's is looked at.
        "tasklight_session_delivery_lag_seconds_count 1",
    ] {
        assert!(text.lines().any(|there| there == line), "{line} is missing in\n{text}");
    }
    let hot = text.lines().find(|line| line.starts_with(r#"tasklight_hub_hot_reads_total{shard="0"}"#)).expect("a thread");
    assert!(!hot.ends_with(" 0"), "{hot}");
    let closed = |text: &str, code: &str| text.contains(&format!("tasklight_sessions_closed_total{{code=\"{code}\"}} 1"));
    assert!(!closed(&text, "policy"), "nobody was closed yet");
    let mut rude = Viewer::connect(hub.address()).await;
    for _ in 0..16 {
        rude.say(json!("nonsense")).await;
    }
    assert_eq!(rude.closed().await.0, 1008);
    assert!(closed(&scrape(&hub).await, "policy"));
    assert!(hub.stop().await, "it stops by itself");
}
