//! What two scrapes say together: rates between them, and quantiles of what was observed meanwhile.

use std::collections::BTreeMap;

use serde::Serialize;

use super::scrape::Scrape;

/// What `top` shows of a node, or of all.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Figures {
    pub published_per_second: f64,
    pub delivered_per_second: f64,
    pub rejected_per_second: f64,
    pub redacted_per_second: f64,
    pub queue_activities: f64,
    /// Of the queue's limit, by count or by bytes, whatever is more.
    pub queue_share: f64,
    pub commit_p50_seconds: Option<f64>,
    pub commit_p99_seconds: Option<f64>,
    pub delivery_p50_seconds: Option<f64>,
    pub delivery_p99_seconds: Option<f64>,
    pub feed_p99_seconds: Option<f64>,
    pub sessions: f64,
    pub watched_tasks: f64,
    pub owned_tasks: f64,
    pub hot_reads_per_second: f64,
    pub cold_reads_per_second: f64,
    pub memory_bytes: f64,
    /// Refusals in the last minute, by code.
    pub rejected: BTreeMap<String, f64>,
    /// Sessions closed in the last minute, by code.
    pub closed: BTreeMap<String, f64>,
    /// What quantiles are made of.
    #[serde(skip)]
    pub(super) histograms: Histograms,
}

/// How many observations came in each bucket.
#[derive(Debug, Clone, Default)]
pub(super) struct Histograms {
    commit: Vec<(f64, f64)>,
    delivery: Vec<(f64, f64)>,
    feed: Vec<(f64, f64)>,
}

const REJECTED: &str = "tasklight_activities_rejected_total";
const CLOSED: &str = "tasklight_sessions_closed_total";

impl Figures {
    /// Rates since `before`, quantiles and reasons since `longest`, levels of `now`.
    pub(super) fn between(longest: &Scrape, before: &Scrape, now: &Scrape) -> Self {
        let seconds = now.at.duration_since(before.at).as_secs_f64().max(0.001);
        let rate = |name: &str| (now.sum(name) - before.sum(name)).max(0.) / seconds;
        let since = |name: &str| less(&now.buckets(name), &longest.buckets(name));
        let reasons = |name: &str| {
            let earlier: BTreeMap<&str, f64> = longest.by(name, "code").collect();
            let more = now.by(name, "code").map(|(code, count)| (code.to_owned(), count - earlier.get(code).unwrap_or(&0.)));
            more.filter(|(_, count)| 0. < *count).collect()
        };
        let share = |what: &str| {
            now.value(&format!("tasklight_writer_queue_{what}"))
                / now.value(&format!("tasklight_writer_queue_limit_{what}")).max(1.)
        };
        let this = Self {
            published_per_second: rate("tasklight_activities_appended_total"),
            delivered_per_second: rate("tasklight_activities_delivered_total"),
            rejected_per_second: rate(REJECTED),
            redacted_per_second: rate("tasklight_secrets_redacted_total"),
            queue_activities: now.value("tasklight_writer_queue_activities"),
            queue_share: share("activities").max(share("bytes")),
            sessions: now.value("tasklight_sessions_open"),
            watched_tasks: now.value("tasklight_hub_watched_tasks"),
            owned_tasks: now.value("tasklight_cluster_owned_tasks"),
            hot_reads_per_second: rate("tasklight_hub_hot_reads_total"),
            cold_reads_per_second: rate("tasklight_hub_cold_reads_total"),
            memory_bytes: now.value("tasklight_memory_bytes"),
            rejected: reasons(REJECTED),
            closed: reasons(CLOSED),
            histograms: Histograms {
                commit: since("tasklight_writer_commit_seconds"),
                delivery: since("tasklight_session_delivery_lag_seconds"),
                feed: since("tasklight_hub_feed_lag_seconds"),
            },
            ..Self::default()
        };
        this.with_quantiles()
    }

    /// All nodes together: sums, the fullest queue, and quantiles over what all have observed.
    pub(super) fn total<'a>(nodes: impl Iterator<Item = &'a Self>) -> Self {
        let mut all = Self::default();
        for node in nodes {
            for (sum, one) in [
                (&mut all.published_per_second, node.published_per_second),
                (&mut all.delivered_per_second, node.delivered_per_second),
                (&mut all.rejected_per_second, node.rejected_per_second),
                (&mut all.redacted_per_second, node.redacted_per_second),
                (&mut all.queue_activities, node.queue_activities),
                (&mut all.sessions, node.sessions),
                (&mut all.watched_tasks, node.watched_tasks),
                (&mut all.owned_tasks, node.owned_tasks),
                (&mut all.hot_reads_per_second, node.hot_reads_per_second),
                (&mut all.cold_reads_per_second, node.cold_reads_per_second),
                (&mut all.memory_bytes, node.memory_bytes),
            ] {
                *sum += one;
            }
            all.queue_share = all.queue_share.max(node.queue_share);
            for (into, from) in [(&mut all.rejected, &node.rejected), (&mut all.closed, &node.closed)] {
                from.iter().for_each(|(code, count)| *into.entry(code.clone()).or_default() += count);
            }
            let (into, from) = (&mut all.histograms, &node.histograms);
            add(&mut into.commit, &from.commit);
            add(&mut into.delivery, &from.delivery);
            add(&mut into.feed, &from.feed);
        }
        all.with_quantiles()
    }

    fn with_quantiles(self) -> Self {
        let Histograms { commit, delivery, feed } = &self.histograms;
        Self {
            commit_p50_seconds: quantile(commit, 0.5),
            commit_p99_seconds: quantile(commit, 0.99),
            delivery_p50_seconds: quantile(delivery, 0.5),
            delivery_p99_seconds: quantile(delivery, 0.99),
            feed_p99_seconds: quantile(feed, 0.99),
            ..self
        }
    }
}

fn less(now: &[(f64, f64)], before: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let earlier = |index: usize| before.get(index).map_or(0., |(_, count)| *count);
    now.iter().enumerate().map(|(index, (bound, count))| (*bound, (count - earlier(index)).max(0.))).collect()
}

/// Hubs of one release have the same buckets; those of another one are left out.
fn add(into: &mut Vec<(f64, f64)>, from: &[(f64, f64)]) {
    if into.is_empty() {
        into.extend_from_slice(from);
    } else if into.len() == from.len() {
        into.iter_mut().zip(from).for_each(|((_, sum), (_, count))| *sum += count);
    }
}

/// The quantile of what is counted in cumulative buckets, on a straight line within its bucket as Prometheus does it; the last finite bound if it is
/// beyond. Nothing if nothing was observed.
fn quantile(buckets: &[(f64, f64)], wanted: f64) -> Option<f64> {
    let all = buckets.last().map(|(_, count)| *count).filter(|count| 0. < *count)?;
    let rank = wanted * all;
    let index = buckets.iter().position(|(_, count)| rank <= *count)?;
    let (bound, count) = buckets[index];
    let (low, below) = index.checked_sub(1).map_or((0., 0.), |index| buckets[index]);
    if bound.is_infinite() {
        return Some(low);
    }
    Some(low + (bound - low) * ((rank - below) / (count - below).max(f64::MIN_POSITIVE)))
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    #[test]
    fn quantiles_are_those_of_prometheus() {
        let buckets = [(0.1, 10.), (1., 90.), (3., 100.), (f64::INFINITY, 100.)];
        for (wanted, expected) in [(0.05, 0.05), (0.1, 0.1), (0.5, 0.55), (0.9, 1.), (0.95, 2.), (1., 3.)] {
            let found = quantile(&buckets, wanted).expect("there are some");
            assert!((found - expected).abs() < 1e-9, "{wanted}: {found} {expected}");
        }
        assert_eq!(quantile(&[(0.1, 0.), (f64::INFINITY, 5.)], 0.5), Some(0.1), "beyond what is told apart");
        assert_eq!((quantile(&[(0.1, 0.), (f64::INFINITY, 0.)], 0.5), quantile(&[], 0.5)), (None, None));
    }

    #[test]
    fn nodes_are_added_up() {
        let start = Instant::now();
        let scrape = |seconds: u64, appended: u64, fast: u64, all: u64| {
            let text = format!(
                "tasklight_activities_appended_total {appended}\ntasklight_activities_rejected_total{{code=\"x\"}} {all}\n\
                 tasklight_writer_queue_bytes 25\ntasklight_writer_queue_limit_bytes 100\ntasklight_sessions_open 4\n\
                 tasklight_writer_commit_seconds_bucket{{le=\"1\"}} {fast}\ntasklight_writer_commit_seconds_bucket{{le=\"3\"}} {all}\n\
                 tasklight_writer_commit_seconds_bucket{{le=\"+Inf\"}} {all}\n"
            );
            Scrape::parse(&text, start + Duration::from_secs(seconds))
        };
        let (oldest, before, now) = (scrape(0, 0, 0, 0), scrape(8, 500, 5, 5), scrape(10, 600, 10, 10));
        let one = Figures::between(&oldest, &before, &now);
        assert_eq!((one.published_per_second, one.queue_share, one.commit_p50_seconds), (50., 0.25, Some(0.5)));
        assert_eq!(one.rejected, BTreeMap::from([("x".to_owned(), 10.)]));
        let slow = Figures::between(&oldest, &before, &scrape(10, 500, 0, 30));
        let all = Figures::total([&one, &slow].into_iter());
        assert_eq!((all.published_per_second, all.sessions, all.queue_share, all.rejected["x"]), (50., 8., 0.25, 40.));
        assert_eq!(all.commit_p50_seconds, Some(1. + 2. * (20. - 10.) / 30.), "over all that both have observed");
        let again = Figures::between(&now, &now, &oldest);
        assert_eq!(again.published_per_second, 0., "a node that was started again does not count backwards");
    }
}
