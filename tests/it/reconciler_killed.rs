//! Hubs as processes, one of which reconciles: it is killed, or stopped in the middle of writing and wakes up too late.

use std::{
    io::{BufRead, BufReader},
    net::SocketAddr,
    process::{Child, Command, Stdio},
    time::Duration,
};

use sqlx::{Connection, Executor, PgConnection};
use tasklight::{
    config::Settings,
    store::{LeaseRow, Store},
};
use tokio::time::timeout;

use crate::{
    harness::PATIENCE,
    reconciler::{said, until_held, until_metric},
    services::{Database, execute_on, free_address, postgres_database},
    store_contract::{everything, options, texts},
};

/// A hub on the shared database.
struct Hub {
    child: Child,
    admin: SocketAddr,
}

impl Hub {
    fn start(database: &Database, node: &str) -> Self {
        let admin = free_address().expect("an address");
        let mut child = Command::new(env!("CARGO_BIN_EXE_tasklight"))
            .args(["serve", "--listen", "127.0.0.1:0", "--admin-listen", &admin.to_string(), "--store", &database.url()])
            .env("TASKLIGHT__NODE__ID", node)
            .env("TASKLIGHT__RECONCILER__INTERVAL", "50ms")
            .env("TASKLIGHT__CLUSTER__LEASE_TIMEOUT", "1s")
            .env("TASKLIGHT__STORE__BUSY_TIMEOUT", "500ms")
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

    async fn until_metric(&self, line: &str) {
        until_metric(&self.admin.to_string(), line).await;
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn held_by(node: &'static str) -> impl Fn(&LeaseRow) -> bool {
    move |row| row.holder.as_deref().is_some_and(|holder| holder.starts_with(node))
}

/// Two hubs, the first of which reconciles; the store as a test sees it; and a run that has been silent for 31 minutes, which nobody may say yet.
async fn two_hubs() -> (Database, Hub, Hub, Store) {
    let database = postgres_database().await;
    let first = Hub::start(&database, "first");
    let store = Store::open(&options(database.url())).await.expect("it opens");
    until_held(&store, held_by("first#")).await;
    let second = Hub::start(&database, "second");
    said(&store, "r", 31, "message", r#"{"text":"and then"}"#).await;
    (database, first, second, store)
}

async fn until_lost(store: &Store) {
    let lost = async {
        while texts(store, "t", &everything()).await.len() < 2 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(PATIENCE, lost).await.expect("it is lost");
}

#[tokio::test]
async fn another_hub_goes_on_when_the_one_that_reconciles_is_killed() {
    let (database, first, second, store) = two_hubs().await;
    drop(first);
    let held = until_held(&store, held_by("second#")).await;
    assert_eq!(held.token, 2);
    let (_, now) = store.leases().await.expect("it reads");
    assert!(held.since < now, "nobody was without: the time that a hub has listened goes on");
    execute_on(&database.url(), "UPDATE leases SET since = 1").await;
    until_lost(&store).await;
    second.until_metric("tasklight_runs_reconciled_total{outcome=\"lost\"} 1").await;
    second.until_metric("tasklight_lease_held{lease=\"reconciler\"} 1").await;
    assert_eq!(texts(&store, "t", &everything()).await.len(), 2);
}

#[tokio::test]
async fn one_that_stops_in_order_gives_the_lease_back_at_once() {
    let (_database, mut first, _second, store) = two_hubs().await;
    first.signal("-TERM");
    assert!(first.child.wait().expect("it ends").success());
    let held = until_held(&store, held_by("second#")).await;
    assert_eq!(held.token, 2);
}

#[tokio::test]
async fn one_that_wakes_up_in_the_middle_of_writing_when_its_time_is_over_writes_nothing() {
    let (database, first, second, store) = two_hubs().await;
    let mut intruder = PgConnection::connect(&database.url()).await.expect("Postgres");
    // Logs can be read, and nothing can be written to them.
    intruder.execute(sqlx::raw_sql("BEGIN; LOCK TABLE activities IN EXCLUSIVE MODE")).await.expect("the lock");
    execute_on(&database.url(), "UPDATE leases SET since = 1").await;
    let waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock' \
                   AND query LIKE 'WITH %touched AS (%'";
    let writing = async {
        let mut looking = PgConnection::connect(&database.url()).await.expect("Postgres");
        while sqlx::query_scalar::<_, i64>(waiting).fetch_one(&mut looking).await.expect("a count") == 0 {}
    };
    timeout(PATIENCE, writing).await.expect("the first one is about to write that the run is lost");
    first.signal("-STOP");
    let held = until_held(&store, held_by("second#")).await;
    first.signal("-CONT");
    first.until_metric("tasklight_runs_reconciled_total{outcome=\"fenced\"} 1").await;
    first.until_metric("tasklight_lease_held{lease=\"reconciler\"} 0").await;
    assert_eq!(texts(&store, "t", &everything()).await.len(), 1, "nothing is written yet");
    intruder.execute(sqlx::raw_sql("ROLLBACK")).await.expect("the lock goes");
    until_lost(&store).await;
    second.until_metric("tasklight_runs_reconciled_total{outcome=\"lost\"} 1").await;
    first.until_metric("tasklight_runs_reconciled_total{outcome=\"lost\"} 0").await;
    let (rows, _) = store.leases().await.expect("it reads");
    assert_eq!(rows[0].token, held.token, "it stays with the second");
    assert_eq!(texts(&store, "t", &everything()).await.len(), 2);
}

/// What would make a lease or its checks useless is refused at the start.
#[test]
fn impatience_is_refused() {
    let bad = |text: &str| {
        let folder = tempfile::TempDir::new().expect("a folder");
        let file = folder.path().join("tasklight.toml");
        std::fs::write(&file, text).expect("a file");
        let sources = tasklight::config::Sources { file: Some(file), flags: Vec::new() };
        Settings::load(&sources).err().map(|error| error.to_string())
    };
    for (text, key) in [
        ("[reconciler]\norphan_after = \"40s\"\n", "reconciler.orphan_after"),
        ("[reconciler]\npending_orphan_after = \"1s\"\n", "reconciler.pending_orphan_after"),
        ("[reconciler]\ninterval = \"0s\"\n", "reconciler.interval"),
        ("[cluster]\nlease_timeout = \"11m\"\n", "cluster.lease_timeout"),
    ] {
        let error = bad(text).unwrap_or_else(|| panic!("{text} must be refused"));
        assert!(error.contains(key), "{error}");
    }
    assert_eq!(bad("[reconciler]\norphan_after = \"0s\"\npending_orphan_after = \"0s\"\n"), None);
}
