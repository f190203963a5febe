//! What the process is doing, for whoever operates it: `/debug/runtime` on the operator's listener. It reads what the kernel and the runtime count
//! anyway, so asking costs nothing when nobody asks. Stacks are for a profiler outside of the process (docs/tls.md says why and which).

use std::{collections::BTreeMap, fs, sync::Arc, time::Duration};

use axum::{Json, extract::State};
use rustix::{param::clock_ticks_per_second, process::Resource};
use serde_json::{Value, json};
use tokio::{
    runtime::RuntimeMetrics,
    time::{Instant, sleep},
};

use super::{App, error::Problem, extract::Query};

/// The longest time that is measured over.
const MOST_SECONDS: u64 = 60;

/// The most threads that are told of: a node has a dozen, and a runtime at most 512 that block.
const MOST_THREADS: usize = 1_024;

/// `GET /debug/runtime?seconds=5`: memory, files, and how busy each thread and each worker of a runtime was in that time; since their start without it.
pub(super) async fn runtime(State(app): State<Arc<App>>, query: Query) -> Result<Json<Value>, Problem> {
    let query = query.only(&["seconds"])?;
    let seconds = query.parsed::<u64>("seconds", "invalid_seconds")?.unwrap_or(0);
    if MOST_SECONDS < seconds {
        let detail = format!("seconds is a number from 0 to {MOST_SECONDS}");
        return Err(Problem::bad_request("invalid_seconds", "seconds", detail));
    }
    let (begun, threads) = (Instant::now(), if seconds == 0 { BTreeMap::new() } else { threads() });
    let busy: Vec<_> = app.runtimes.iter().map(|(_, metrics)| if seconds == 0 { Vec::new() } else { busy(metrics) }).collect();
    sleep(Duration::from_secs(seconds)).await;
    let took = (seconds != 0).then(|| begun.elapsed());
    let runtimes = app.runtimes.iter().zip(&busy).map(|((name, metrics), before)| told(name, metrics, before));
    Ok(Json(json!({
        "node": app.node,
        "measuredMs": took.map(millis),
        "runtimes": runtimes.collect::<Vec<_>>(),
        "threads": used(&threads),
        "memory": memory(),
        "files": files(),
    })))
}

/// A runtime, with how long its workers were busy since `before`, or since their start.
fn told(name: &str, metrics: &RuntimeMetrics, before: &[Duration]) -> Value {
    let then = |worker: usize| before.get(worker).copied().unwrap_or_default();
    let busy = busy(metrics).into_iter().enumerate();
    json!({
        "name": name,
        "workers": metrics.num_workers(),
        "tasksAlive": metrics.num_alive_tasks(),
        "tasksQueued": metrics.global_queue_depth(),
        "busyMs": busy.map(|(worker, now)| millis(now.saturating_sub(then(worker)))).collect::<Vec<_>>(),
    })
}

fn busy(metrics: &RuntimeMetrics) -> Vec<Duration> {
    (0..metrics.num_workers()).map(|worker| metrics.worker_total_busy_duration(worker)).collect()
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// A thread's name, and the ticks that it computed for in its own code and in the kernel's.
type Thread = (String, [u64; 2]);

/// All threads of the process by their ids; none where the kernel does not say.
fn threads() -> BTreeMap<u64, Thread> {
    let tasks = fs::read_dir("/proc/self/task").into_iter().flatten().flatten().take(MOST_THREADS);
    let thread = |task: fs::DirEntry| {
        let stat = fs::read_to_string(task.path().join("stat")).ok()?;
        Some((task.file_name().to_str()?.parse().ok()?, thread(&stat)?))
    };
    tasks.filter_map(thread).collect()
}

/// The line of `stat`: a number, the name in parentheses, in which anything may be, and numbers, of which the 12th and 13th are wanted.
fn thread(stat: &str) -> Option<Thread> {
    let (before, after) = stat.rsplit_once(") ")?;
    let name = before.split_once('(')?.1.to_owned();
    let mut ticks = after.split_ascii_whitespace().skip(11).map(str::parse);
    Some((name, [ticks.next()?.ok()?, ticks.next()?.ok()?]))
}

/// What each thread computed since `before`, or since its start, the busiest first.
fn used(before: &BTreeMap<u64, Thread>) -> Vec<Value> {
    let per_second = clock_ticks_per_second().max(1);
    let mut all: Vec<_> = threads().into_iter().collect();
    for (id, (_, ticks)) in &mut all {
        let [user, system] = before.get(id).map_or([0, 0], |(_, ticks)| *ticks);
        *ticks = [ticks[0].saturating_sub(user), ticks[1].saturating_sub(system)];
    }
    all.sort_by_key(|(_, (_, [user, system]))| std::cmp::Reverse(user + system));
    let told = |(id, (name, [user, system])): (u64, Thread)| {
        let [user, system] = [user, system].map(|ticks| ticks * 1_000 / per_second);
        json!({"id": id, "name": name, "userMs": user, "systemMs": system})
    };
    all.into_iter().map(told).collect()
}

/// The kernel's sums of what the process has in memory, in bytes.
fn memory() -> Value {
    let text = fs::read_to_string("/proc/self/smaps_rollup").unwrap_or_default();
    let field = |name: &str| {
        let rest = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
        rest.trim().strip_suffix(" kB")?.parse::<u64>().ok().map(|kib| kib * 1_024)
    };
    json!({
        "residentBytes": field("Rss"),
        "proportionalBytes": field("Pss"),
        "privateDirtyBytes": field("Private_Dirty"),
        "anonymousBytes": field("Anonymous"),
        "swappedBytes": field("Swap"),
    })
}

/// How many files and sockets are open, and how many may be.
fn files() -> Value {
    // The one that it is read with does not count.
    let open = fs::read_dir("/proc/self/fd").ok().map(|entries| entries.count().saturating_sub(1));
    json!({"open": open, "most": rustix::process::getrlimit(Resource::Nofile).current})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_may_be_called_anything() {
        let stat = "7 (a) b (c) S 1 1 1 0 -1 4194304 10 0 0 0 125 25 0 0 20 0 1 0 100";
        assert_eq!(thread(stat), Some(("a) b (c".to_owned(), [125, 25])));
        assert_eq!(thread("7 (a"), None);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn the_kernel_says_what_this_process_takes_up() {
        assert!(threads().values().any(|(name, _)| !name.is_empty()));
        assert!(memory()["residentBytes"].as_u64().is_some_and(|bytes| 1 << 20 < bytes));
        assert!(files()["open"].as_u64().is_some_and(|open| 2 < open), "{}", files());
    }
}
