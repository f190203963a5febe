//! What a node says of itself at one moment: its metrics, read as text by the rules of OpenMetrics, and whether it is ready.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use reqwest::{Client, StatusCode};
use serde::Deserialize;

/// How long a node may take to answer.
const TIMEOUT: Duration = Duration::from_secs(2);

/// The most bytes of an answer that are read.
const MOST_BYTES: usize = 4 << 20;

/// A node's metrics at a moment.
#[derive(Debug, Clone)]
pub(super) struct Scrape {
    pub at: Instant,
    /// By name, and with its labels as they are written.
    series: BTreeMap<String, f64>,
}

/// What `/readyz` says.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Readiness {
    pub ready: bool,
    #[serde(default)]
    pub degraded: bool,
    #[serde(default)]
    pub node: String,
    #[serde(default)]
    pub checks: BTreeMap<String, String>,
}

/// Asks the node at `admin` both.
pub(super) async fn ask(client: &Client, admin: &str) -> Result<(Scrape, Readiness), String> {
    let (_, metrics) = get(client, &format!("{admin}/metrics")).await?;
    let (status, readiness) = get(client, &format!("{admin}/readyz")).await?;
    let readiness = serde_json::from_str(&readiness).map_err(|_| format!("/readyz answers {status} and nothing known"))?;
    let scrape = Scrape::parse(&metrics, Instant::now());
    if scrape.series.is_empty() {
        return Err("/metrics has nothing of a hub: is this its admin_listen?".to_owned());
    }
    Ok((scrape, readiness))
}

async fn get(client: &Client, url: &str) -> Result<(StatusCode, String), String> {
    let reading = async {
        let mut response = client.get(url).send().await.map_err(|_| "does not answer".to_owned())?;
        let (status, mut body) = (response.status(), Vec::new());
        while let Some(chunk) = response.chunk().await.map_err(|_| "broke off its answer".to_owned())? {
            if MOST_BYTES < body.len() + chunk.len() {
                return Err("answers more than a hub would".to_owned());
            }
            body.extend_from_slice(&chunk);
        }
        Ok((status, String::from_utf8_lossy(&body).into_owned()))
    };
    tokio::time::timeout(TIMEOUT, reading).await.unwrap_or_else(|_| Err("does not answer in time".to_owned()))
}

impl Scrape {
    /// Reads the series of hubs; whatever else is in the text is passed over.
    pub(super) fn parse(text: &str, at: Instant) -> Self {
        let samples = text.lines().filter(|line| line.starts_with("tasklight_"));
        let series = samples.filter_map(|line| {
            // A label's value may hold a blank; behind the last brace there is none.
            let end = line.rfind('}').map_or_else(|| line.find(' '), |brace| Some(brace + 1))?;
            let value = line[end..].split_whitespace().next()?.parse().ok()?;
            Some((line[..end].to_owned(), value))
        });
        Self { at, series: series.collect() }
    }

    /// The value of a series without labels; 0 if it is not there.
    pub(super) fn value(&self, name: &str) -> f64 {
        self.series.get(name).copied().unwrap_or_default()
    }

    /// The sum of all series of this name.
    pub(super) fn sum(&self, name: &str) -> f64 {
        self.of(name).map(|(_, value)| value).sum()
    }

    /// Each value of a label and what was counted under it.
    pub(super) fn by<'a>(&'a self, name: &str, label: &str) -> impl Iterator<Item = (&'a str, f64)> {
        let start = format!("{label}=\"");
        self.of(name).filter_map(move |(labels, value)| {
            let at = labels.find(&start)? + start.len();
            Some((labels[at..].split('"').next()?, value))
        })
    }

    /// The upper bounds of a histogram's buckets and how many observations are at or below each, in order.
    pub(super) fn buckets(&self, name: &str) -> Vec<(f64, f64)> {
        let bound = |text: &str| if text == "+Inf" { Some(f64::INFINITY) } else { text.parse().ok() };
        let name = format!("{name}_bucket");
        let mut all: Vec<_> = self.by(&name, "le").filter_map(|(le, count)| Some((bound(le)?, count))).collect();
        all.sort_by(|(one, _), (other, _)| one.total_cmp(other));
        all
    }

    fn of(&self, name: &str) -> impl Iterator<Item = (&str, f64)> {
        let from = self.series.range(name.to_owned()..).take_while({
            let name = name.to_owned();
            move |(series, _)| series.starts_with(&name)
        });
        let length = name.len();
        from.map(move |(series, value)| (&series[length..], *value)).filter(|(rest, _)| rest.is_empty() || rest.starts_with('{'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
# HELP tasklight_sessions_open Sessions.
# TYPE tasklight_sessions_open gauge
tasklight_sessions_open 3
tasklight_activities_rejected_total{code=\"wrong_type\"} 2
tasklight_activities_rejected_total{code=\"a b\"} 5
tasklight_activities_rejected_totals 100
tasklight_writer_commit_seconds_sum 1.5
tasklight_writer_commit_seconds_bucket{le=\"0.1\"} 4
tasklight_writer_commit_seconds_bucket{le=\"0.01\"} 1
tasklight_writer_commit_seconds_bucket{le=\"+Inf\"} 5
other_total 7
# EOF
";

    #[test]
    fn series_are_found_by_name_and_label() {
        let scrape = Scrape::parse(TEXT, Instant::now());
        assert_eq!((scrape.value("tasklight_sessions_open"), scrape.value("tasklight_nothing")), (3., 0.));
        assert_eq!(scrape.sum("tasklight_activities_rejected_total"), 7.);
        let by: Vec<_> = scrape.by("tasklight_activities_rejected_total", "code").collect();
        assert_eq!(by, [("a b", 5.), ("wrong_type", 2.)]);
        assert_eq!(scrape.buckets("tasklight_writer_commit_seconds"), [(0.01, 1.), (0.1, 4.), (f64::INFINITY, 5.)]);
        assert_eq!(scrape.series.len(), 8, "nothing of anybody else");
    }
}
