//! What is looked at every few seconds: the hubs by their own `/debug/runtime` and metrics, Postgres by its tables, Redis by its own account, and what an
//! activity cost since the last look.

use std::sync::atomic::Ordering;

use anyhow::{Context, ensure};
use serde_json::Value;
use sqlx::PgConnection;
use tokio::time::Instant;

use super::{
    field::Field,
    verdict::{Bound, Series},
};
use crate::{
    server::Hub,
    services::redis_count,
    store_size::Postmaster,
    viewers::{Viewers, millis},
};

const MIB: f64 = 1_048_576.0;

/// What may rise by how much over the second half of a soak, whatever its length: a leak that matters in days is far above it after hours.
const MEMORY: Bound = Bound::Rises { share: 0.05, slack: 3.0 };
const FILES: Bound = Bound::Rises { share: 0.1, slack: 8.0 };
const THREADS: Bound = Bound::Rises { share: 0.0, slack: 3.0 };
const TASKS: Bound = Bound::Rises { share: 0.1, slack: 20.0 };
const KNOWN: Bound = Bound::Rises { share: 0.15, slack: 20.0 };
const TABLES: Bound = Bound::Rises { share: 0.08, slack: 1.0 };
const ROWS: Bound = Bound::Rises { share: 0.15, slack: 200.0 };
const BACKENDS: Bound = Bound::Rises { share: 0.0, slack: 2.0 };
const REDIS_MEMORY: Bound = Bound::Rises { share: 0.1, slack: 0.25 };
const LAG: Bound = Bound::Rises { share: 0.25, slack: 1.0 };
const COST: Bound = Bound::Rises { share: 0.15, slack: 5.0 };

/// What the hubs say of themselves that has a level: the metric, a name and its bound.
const LEVELS: [(&str, &str, Bound); 7] = [
    ("tasklight_sessions_open", "sessions", TASKS),
    ("tasklight_hub_watched_tasks", "watched tasks", KNOWN),
    ("tasklight_cluster_known_tasks", "known tasks", KNOWN),
    ("tasklight_cluster_owned_tasks", "owned tasks", KNOWN),
    ("tasklight_cluster_held_activities", "held activities", KNOWN),
    ("tasklight_writer_queue_activities", "activities in the writer's queue", KNOWN),
    ("tasklight_webhook_queue_events", "webhook events that wait", KNOWN),
];

/// The tables that are told of one by one.
const SINGLE: [&str; 3] = ["tasks", "invocations", "activities"];

/// Where everything is, and what was seen of it so far.
pub struct Sampler<'a> {
    pub hubs: &'a [Hub],
    pub viewers: &'a [Viewers],
    pub field: &'a Field,
    pub redis: redis::aio::MultiplexedConnection,
    pub database: PgConnection,
    postmaster: Postmaster,
    began: Instant,
    spent: Option<Spent>,
    pub series: Vec<Series>,
    pub looks: usize,
}

/// Processor time so far, in seconds, and the activities that it was for.
#[derive(Debug, Clone, Copy)]
struct Spent {
    hubs: f64,
    postgres: f64,
    redis: f64,
    activities: f64,
}

impl<'a> Sampler<'a> {
    pub async fn new(
        hubs: &'a [Hub],
        viewers: &'a [Viewers],
        field: &'a Field,
        redis: redis::aio::MultiplexedConnection,
        mut database: PgConnection,
    ) -> anyhow::Result<Self> {
        let postmaster = Postmaster::of(&mut database).await?;
        let (began, spent, series, looks) = (Instant::now(), None, Vec::new(), 0);
        Ok(Self { hubs, viewers, field, redis, database, postmaster, began, spent, series, looks })
    }

    /// One look at everything.
    pub async fn look(&mut self) -> anyhow::Result<()> {
        let hours = self.began.elapsed().as_secs_f64() / 3_600.0;
        let mut seen = Vec::new();
        for (number, hub) in self.hubs.iter().enumerate() {
            process(number + 1, &hub.runtime().await?, &mut seen)?;
        }
        for (metric, name, bound) in LEVELS {
            let mut sum = 0.0;
            for hub in self.hubs {
                sum += hub.metric(metric).await?;
            }
            seen.push((format!("hubs: {name}"), "", bound, sum));
        }
        self.postgres(&mut seen).await?;
        self.redis(&mut seen).await?;
        self.cost(&mut seen).await?;
        for (number, viewers) in self.viewers.iter().enumerate() {
            let latency = viewers.latency();
            viewers.measure();
            if latency.is_empty() {
                // Nothing came, so there is no lag to tell of: it counts as a look at which this was not seen.
                continue;
            }
            for (name, quantile) in [("p50", 0.5), ("p99", 0.99)] {
                // A hundredth of the samples are a handful of commits: they are only told.
                let bound = if quantile < 0.9 { LAG } else { Bound::Any };
                seen.push((format!("publish to viewer at hub {}, {name}", number + 1), "ms", bound, millis(&latency, quantile)));
            }
        }
        self.looks += 1;
        for (name, unit, bound, value) in seen {
            ensure!(value.is_finite(), "{name} is no number: {value}");
            match self.series.iter_mut().find(|series| series.name == name) {
                Some(series) => series.points.push((hours, value)),
                None => self.series.push(Series { name, unit, bound, points: vec![(hours, value)] }),
            }
        }
        Ok(())
    }

    async fn postgres(&mut self, seen: &mut Vec<Seen>) -> anyhow::Result<()> {
        let tables: Vec<(String, i64, i64, i64, i64)> = sqlx::query_as(
            "SELECT relname::text, pg_table_size(relid), pg_indexes_size(relid), n_live_tup, n_dead_tup FROM pg_stat_user_tables \
             WHERE relname IN ('tasks', 'invocations', 'activities', 'transitions', 'deliveries', 'rejects', 'log_sizes', 'told_stalls') ORDER BY 1",
        )
        .fetch_all(&mut self.database)
        .await?;
        for wanted in SINGLE {
            ensure!(tables.iter().any(|(name, ..)| name == wanted), "Postgres says nothing of the table {wanted}");
        }
        let mut rest = 0.0;
        for (name, table, indexes, live, dead) in tables {
            if SINGLE.contains(&name.as_str()) {
                seen.push((format!("Postgres: table {name}"), "MiB", TABLES, table as f64 / MIB));
                seen.push((format!("Postgres: indexes of {name}"), "MiB", TABLES, indexes as f64 / MIB));
                seen.push((format!("Postgres: live rows of {name}"), "", ROWS, live as f64));
                seen.push((format!("Postgres: dead rows of {name}"), "", Bound::Any, dead as f64));
            } else {
                rest += (table + indexes) as f64 / MIB;
            }
        }
        seen.push(("Postgres: all other tables".to_owned(), "MiB", TABLES, rest));
        let backends: i64 = sqlx::query_scalar("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()")
            .fetch_one(&mut self.database)
            .await?;
        seen.push(("Postgres: connections".to_owned(), "", BACKENDS, backends as f64));
        Ok(())
    }

    async fn redis(&mut self, seen: &mut Vec<Seen>) -> anyhow::Result<()> {
        let figures = [
            ("used_memory:", "memory", "MiB", REDIS_MEMORY, MIB),
            ("mem_clients_normal:", "memory of clients", "MiB", REDIS_MEMORY, MIB),
            ("client_recent_max_output_buffer:", "longest output buffer", "KiB", Bound::Any, 1_024.0),
            ("connected_clients:", "clients", "", BACKENDS, 1.0),
            ("pubsub_channels:", "channels", "", KNOWN, 1.0),
            ("rejected_connections:", "connections refused", "", BACKENDS, 1.0),
        ];
        for (field, name, unit, bound, divisor) in figures {
            let value = redis_count(&mut self.redis, field).await? / divisor;
            seen.push((format!("Redis: {name}"), unit, bound, value));
        }
        Ok(())
    }

    /// What an activity cost since the last look.
    async fn cost(&mut self, seen: &mut Vec<Seen>) -> anyhow::Result<()> {
        let mut hubs = 0.0;
        for hub in self.hubs {
            hubs += hub.process.cpu_seconds_ever()?;
        }
        let mut now = Spent { hubs, postgres: self.postmaster.cpu_seconds()?, redis: 0.0, activities: 0.0 };
        for field in ["used_cpu_sys:", "used_cpu_user:"] {
            now.redis += redis_count(&mut self.redis, field).await?;
        }
        now.activities = self.field.counts.published.load(Ordering::Relaxed) as f64;
        // Receipts of runs are counted when they end; what the hubs appended is counted at once.
        let mut appended = 0.0;
        for hub in self.hubs {
            appended += hub.metric("tasklight_activities_appended_total").await?;
        }
        now.activities = appended.max(now.activities);
        if let Some(before) = self.spent.replace(now) {
            let activities = now.activities - before.activities;
            if activities <= 0.0 {
                return Ok(());
            }
            let each = |of: fn(&Spent) -> f64| (of(&now) - of(&before)) * 1e6 / activities;
            seen.push(("CPU per activity, hubs".to_owned(), "µs", COST, each(|s| s.hubs)));
            seen.push(("CPU per activity, Postgres".to_owned(), "µs", COST, each(|s| s.postgres)));
            seen.push(("CPU per activity, Redis".to_owned(), "µs", COST, each(|s| s.redis)));
            seen.push(("activities since the look before".to_owned(), "", Bound::Any, activities));
        }
        Ok(())
    }
}

type Seen = (String, &'static str, Bound, f64);

/// What a hub's process takes up.
fn process(number: usize, runtime: &Value, seen: &mut Vec<Seen>) -> anyhow::Result<()> {
    let missing = |what: &str| format!("hub {number} says nothing of {what}");
    let of = |pointer: &str| runtime.pointer(pointer).and_then(Value::as_f64).with_context(|| missing(pointer));
    let list = |pointer: &str| {
        let list = runtime.pointer(pointer).and_then(Value::as_array).filter(|list| !list.is_empty());
        list.with_context(|| missing(pointer))
    };
    let mut tasks = 0.0;
    for one in list("/runtimes")? {
        tasks += one["tasksAlive"].as_f64().with_context(|| missing("tasksAlive"))?;
    }
    let threads = list("/threads")?.len() as f64;
    let mut push = |name: &str, unit, bound, value| seen.push((format!("hub {number}: {name}"), unit, bound, value));
    push("resident memory", "MiB", MEMORY, of("/memory/residentBytes")? / MIB);
    push("heap and stacks", "MiB", MEMORY, of("/memory/anonymousBytes")? / MIB);
    push("files", "", FILES, of("/files/open")?);
    push("threads", "", THREADS, threads);
    push("tasks of the runtimes", "", TASKS, tasks);
    Ok(())
}

/// The figures as a table of values, one line for each look, for a plot or a spreadsheet.
pub fn csv(series: &[Series]) -> anyhow::Result<String> {
    let longest = series.iter().max_by_key(|series| series.points.len()).context("no samples")?;
    let names: Vec<_> = series.iter().map(|series| format!("\"{}\"", series.name)).collect();
    let mut text = format!("\"minutes\",{}\n", names.join(","));
    for (hours, _) in &longest.points {
        let at = |series: &Series| {
            series.points.iter().find(|point| point.0 == *hours).map_or(String::new(), |point| point.1.to_string())
        };
        let values: Vec<_> = series.iter().map(at).collect();
        text.push_str(&format!("{:.3},{}\n", hours * 60.0, values.join(",")));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn runtime() -> Value {
        json!({
            "runtimes": [{"tasksAlive": 3}, {"tasksAlive": 4}],
            "threads": [{"name": "a"}, {"name": "b"}],
            "memory": {"residentBytes": 2_097_152, "anonymousBytes": 1_048_576},
            "files": {"open": 9},
        })
    }

    #[test]
    fn what_a_process_takes_up_is_read() {
        let mut seen = Vec::new();
        process(1, &runtime(), &mut seen).unwrap();
        assert_eq!(seen.iter().map(|one| one.3).collect::<Vec<_>>(), [2.0, 1.0, 9.0, 2.0, 7.0]);
    }

    #[test]
    fn a_field_that_is_missing_is_an_error() {
        for pointer in
            ["/runtimes", "/runtimes/1/tasksAlive", "/threads", "/memory/residentBytes", "/memory/anonymousBytes", "/files/open"]
        {
            let mut without = runtime();
            *without.pointer_mut(pointer).unwrap() = Value::Null;
            assert!(process(1, &without, &mut Vec::new()).is_err(), "{pointer}");
        }
    }
}
