//! Hubs as processes that are killed, or stopped, in the middle of a purge.

use std::{
    io::{BufRead, BufReader},
    net::SocketAddr,
    process::{Child, Command, Stdio},
};

use sqlx::{Connection, Executor, PgConnection};
use tasklight::store::{Attempt, LeaseName, Store};
use tempfile::TempDir;
use tokio::time::timeout;

use crate::{
    harness::PATIENCE,
    reconciler::until_metric,
    services::{free_address, postgres_database},
    store_contract::{everything, message, options, task},
};

/// How many activities there are, and how many stay.
const ALL: u64 = 6_000;
const KEPT: u64 = 100;

/// A hub that removes little at a time.
struct Hub {
    child: Child,
    admin: SocketAddr,
}

impl Hub {
    fn start(url: &str, node: &str, bite: &str, busy: &str) -> Self {
        let admin = free_address().expect("an address");
        let mut child = Command::new(env!("CARGO_BIN_EXE_tasklight"))
            .args(["serve", "--listen", "127.0.0.1:0", "--admin-listen", &admin.to_string(), "--store", url])
            .env("TASKLIGHT__NODE__ID", node)
            .env("TASKLIGHT__CLUSTER__LEASE_TIMEOUT", "500ms")
            .env("TASKLIGHT__STORE__BUSY_TIMEOUT", "20s")
            .env("TASKLIGHT__RETENTION__MAX_ACTIVITIES", KEPT.to_string())
            .env("TASKLIGHT__RETENTION__INTERVAL", "50ms")
            .env("TASKLIGHT__RETENTION__BITE", bite)
            .env("TASKLIGHT__RETENTION__BUSY_PERCENT", busy)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the hub starts");
        let stdout = BufReader::new(child.stdout.take().expect("piped"));
        stdout.lines().next().expect("the hub says where it listens").expect("UTF-8");
        Self { child, admin }
    }

    fn signal(&self, name: &str) {
        let done = Command::new("kill").args([name, &self.child.id().to_string()]).status().expect("kill");
        assert!(done.success());
    }

    /// What it says that it removed.
    async fn removed(&self) -> u64 {
        let answer = reqwest::get(format!("http://{}/metrics", self.admin)).await.expect("an answer");
        let text = answer.text().await.expect("text");
        let line = text.lines().find(|line| line.starts_with("tasklight_retention_activities_total{reason=\"max_activities\"}"));
        line.and_then(|line| line.rsplit(' ').next()?.parse().ok()).unwrap_or_default()
    }

    /// Waits until it has removed something.
    async fn until_begun(&self) {
        let begun = async { while self.removed().await == 0 {} };
        timeout(PATIENCE, begun).await.expect("it begins");
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

async fn fill(url: &str) {
    let store = Store::open(&options(url.to_owned())).await.expect("it opens");
    for _ in 0..ALL / 1_000 {
        let many: Vec<_> = (0..1_000).map(|_| message("t", "x")).collect();
        store.append(&many, Attempt::First).await.expect("it is stored");
    }
    store.close().await;
}

/// The log is whole from its floor to its head; gives the floor.
async fn whole(store: &Store) -> u64 {
    let page = store.read_after(&task("t"), &everything()).await.expect("it reads").expect("there");
    let offsets: Vec<u64> = page.activities.iter().map(|(offset, _)| offset.get()).collect();
    assert_eq!(offsets, (page.state.floor.get()..=ALL).collect::<Vec<_>>(), "no holes, and nothing below the floor");
    page.state.floor.get()
}

async fn until_done(hub: &Hub, before: u64) {
    until_metric(
        &hub.admin.to_string(),
        &format!("tasklight_retention_activities_total{{reason=\"max_activities\"}} {}", ALL - KEPT + 1 - before),
    )
    .await;
}

async fn a_purge_that_is_killed_leaves_a_whole_log(url: &str) {
    fill(url).await;
    let hub = Hub::start(url, "first", "7", "2");
    hub.until_begun().await;
    hub.signal("-KILL");
    drop(hub);
    let store = Store::open(&options(url.to_owned())).await.expect("it opens");
    let floor = whole(&store).await;
    assert!(1 < floor && floor < ALL - KEPT, "in the middle of it: {floor}");
    store.close().await;
    let hub = Hub::start(url, "second", "1000", "100");
    until_done(&hub, floor).await;
    hub.signal("-KILL");
    drop(hub);
    let store = Store::open(&options(url.to_owned())).await.expect("it opens");
    assert_eq!(whole(&store).await, ALL - KEPT + 1, "it is gone on with");
    store.close().await;
}

#[tokio::test]
async fn a_purge_that_is_killed_leaves_a_whole_log_in_sqlite() {
    let folder = TempDir::new().expect("a folder");
    a_purge_that_is_killed_leaves_a_whole_log(&format!("sqlite://{}", folder.path().join("log.db").display())).await;
}

#[tokio::test]
async fn a_purge_that_is_killed_leaves_a_whole_log_in_postgres() {
    let database = postgres_database().await;
    a_purge_that_is_killed_leaves_a_whole_log(&database.url()).await;
}

#[tokio::test]
async fn one_that_was_stopped_in_a_purge_removes_nothing_when_it_wakes() {
    let database = postgres_database().await;
    let url = database.url();
    fill(&url).await;
    // The log can be read, and nothing can be removed of it.
    let mut intruder = PgConnection::connect(&url).await.expect("Postgres");
    intruder.execute(sqlx::raw_sql("BEGIN; LOCK TABLE activities IN EXCLUSIVE MODE")).await.expect("the lock");
    let first = Hub::start(&url, "first", "5", "2");
    let waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock' \
                   AND query LIKE '%DELETE FROM activities%'";
    let removing = async {
        let mut looking = PgConnection::connect(&url).await.expect("Postgres");
        while sqlx::query_scalar::<_, i64>(waiting).fetch_one(&mut looking).await.expect("a count") == 0 {}
    };
    timeout(PATIENCE, removing).await.expect("the first one is about to remove");
    first.signal("-STOP");
    let second = Hub::start(&url, "second", "1000", "100");
    let store = Store::open(&options(url.clone())).await.expect("it opens");
    let taken_over = async {
        loop {
            let (rows, _) = store.leases().await.expect("it reads");
            if rows.iter().any(|row| row.name == LeaseName::Retention.as_str() && 1 < row.token) {
                return;
            }
        }
    };
    timeout(PATIENCE, taken_over).await.expect("the second one takes over");
    intruder.execute(sqlx::raw_sql("ROLLBACK")).await.expect("the lock goes");
    until_done(&second, 1).await;
    first.signal("-CONT");
    until_metric(&first.admin.to_string(), "tasklight_lease_held{lease=\"retention\"} 0").await;
    assert_eq!(first.removed().await, 0, "what it had asked for was refused");
    assert_eq!(whole(&store).await, ALL - KEPT + 1);
}
