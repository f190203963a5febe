//! What only Postgres can do wrong: many nodes at once, lost connections, locks, roles, restored and promoted databases.

use std::{future::Future, time::Instant};

use futures_util::future::join_all;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection, Row};
use tasklight::{
    model::Offset,
    store::{Append, Attempt, Store, StoreError},
};
use tokio::time::timeout;

use crate::{
    harness::PATIENCE,
    program::{finish, tasklight},
    services::{Database, postgres_database},
    store_contract::{everything, message, options, postgres, receipts, task, texts},
};

async fn connect(url: &str) -> PgConnection {
    PgConnection::connect(url).await.expect("Postgres is there")
}

async fn run(connection: &mut PgConnection, sql: &str) {
    let done = connection.execute(sqlx::raw_sql(AssertSqlSafe(sql.to_owned()))).await;
    done.unwrap_or_else(|error| panic!("{sql}: {error}"));
}

async fn count(connection: &mut PgConnection, sql: &str) -> i64 {
    sqlx::query_scalar(AssertSqlSafe(sql.to_owned())).fetch_one(connection).await.expect("a number")
}

/// Tries again what only needs time: a connection that was cut, a lock that is held.
async fn in_the_end<T, F: Future<Output = Result<T, StoreError>>>(mut what: impl FnMut() -> F) -> T {
    let tried = async {
        loop {
            match what().await {
                Ok(done) => return done,
                Err(StoreError::Unavailable(_)) => {}
                Err(error) => panic!("{error}"),
            }
        }
    };
    timeout(PATIENCE, tried).await.expect("it is done in time")
}

#[tokio::test]
async fn ten_nodes_may_start_at_once_on_an_empty_database() {
    let database = postgres_database().await;
    let options = options(database.url());
    let stores = join_all((0..10).map(|_| Store::open(&options))).await;
    let mut log = Vec::new();
    for (n, store) in stores.into_iter().enumerate() {
        let store = store.expect("each opens");
        log.push(receipts(&store, &[message("t", &n.to_string())]).await[0].cursor.offset.get());
        store.close().await;
    }
    assert_eq!(log, (1..=10).collect::<Vec<_>>(), "and all of them write one log");
}

#[tokio::test]
async fn nodes_that_write_the_same_tasks_in_any_order_make_logs_without_holes() {
    const ROUNDS: u64 = 8;
    let f = postgres().await;
    let others = join_all((0..2).map(|_| Store::open(&f.options))).await;
    let stores: Vec<_> =
        std::iter::once(f.store.clone()).chain(others.into_iter().map(|store| store.expect("it opens"))).collect();
    for fresh in 0..40 {
        let names: Vec<_> = (0..6).map(|n| format!("t{fresh}-{n}")).collect();
        let writers = stores.iter().enumerate().map(|(node, store)| {
            let names = &names;
            async move {
                for round in 0..ROUNDS {
                    // Each node names them in another order, and makes them at the same time as the others.
                    let mut batch: Vec<Append> = names.iter().map(|name| message(name, &format!("{node}-{round}"))).collect();
                    batch.rotate_left((node * 2 + fresh) % names.len());
                    if node == 1 {
                        batch.reverse();
                    }
                    store.append(&batch, Attempt::First).await.expect("neither a deadlock nor an offset given twice");
                }
            }
        });
        join_all(writers).await;
        for name in &names {
            let log = texts(&f.store, name, &everything()).await;
            let offsets: Vec<_> = log.iter().map(|(offset, _)| *offset).collect();
            assert_eq!(offsets, (1..=3 * ROUNDS).collect::<Vec<_>>(), "{name}");
            for node in 0..3 {
                let mine: Vec<_> =
                    log.iter().filter(|(_, text)| text.contains(&format!("\"{node}-"))).map(|(_, text)| text.clone()).collect();
                let expected: Vec<_> = (0..ROUNDS).map(|round| format!(r#"{{"text":"{node}-{round}"}}"#)).collect();
                assert_eq!(mine, expected, "{name}: each node's in its order");
            }
        }
    }
}

#[tokio::test]
async fn what_a_cut_connection_leaves_unknown_is_stored_once() {
    let f = postgres().await;
    let mut intruder = connect(&f.options.url).await;
    let cut = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity \
               WHERE application_name = 'tasklight' AND datname = current_database()";
    for round in 0..30 {
        let batch = [message("t", &round.to_string())];
        let mut attempt = Attempt::First;
        let appending = in_the_end(|| {
            let attempt = std::mem::replace(&mut attempt, Attempt::Again);
            let (store, batch) = (&f.store, &batch);
            async move { store.append(batch, attempt).await }
        });
        let (appended, _) = tokio::join!(appending, count(&mut intruder, cut));
        let receipt = appended.results[0].as_ref().expect("a receipt");
        assert_eq!(receipt.cursor.offset.get(), round + 1);
    }
    let log = in_the_end(|| async { f.store.read_after(&task("t"), &everything()).await }).await.expect("the task");
    assert_eq!(log.activities.len(), 30, "each once");
}

#[tokio::test]
async fn a_held_lock_costs_a_bounded_time_and_passes() {
    let f = postgres().await;
    receipts(&f.store, &[message("t", "before")]).await;
    let mut intruder = connect(&f.options.url).await;
    run(&mut intruder, "BEGIN; SELECT 1 FROM tasks WHERE name = 't' FOR UPDATE").await;
    let began = Instant::now();
    let refused = f.store.append(&[message("t", "during")], Attempt::First).await;
    assert!(matches!(refused, Err(StoreError::Unavailable(_))), "{refused:?}");
    assert!(began.elapsed() < PATIENCE, "busy_timeout bounds it");
    receipts(&f.store, &[message("other", "other tasks go on")]).await;
    run(&mut intruder, "ROLLBACK").await;
    receipts(&f.store, &[message("t", "after")]).await;
    assert_eq!(texts(&f.store, "t", &everything()).await.len(), 2);
}

#[tokio::test]
async fn a_deadlock_with_somebody_elses_locks_is_tried_again() {
    let database = postgres_database().await;
    let mut patient = options(database.url());
    patient.busy_timeout = PATIENCE;
    let store = Store::open(&patient).await.expect("it opens");
    receipts(&store, &[message("a", "before"), message("b", "before")]).await;
    let mut intruder = connect(&database.url()).await;
    // It is the hub's connection that looks for deadlocks, and is ended by the server.
    run(&mut intruder, "SET deadlock_timeout = '60s'; BEGIN; SELECT 1 FROM tasks WHERE name = 'b' FOR UPDATE").await;
    let mut server = connect(&database.url()).await;
    let crossed = async {
        let waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
        while count(&mut server, waiting).await == 0 {}
        run(&mut intruder, "SELECT 1 FROM tasks WHERE name = 'a' FOR UPDATE; ROLLBACK").await;
    };
    let batch = [message("a", "during"), message("b", "during")];
    let (appended, ()) = tokio::join!(store.append(&batch, Attempt::First), crossed);
    assert!(appended.expect("nobody hears of it").results.iter().all(Result::is_ok));
    assert_eq!(texts(&store, "a", &everything()).await.len(), 2);
    store.close().await;
    let deadlocks = "SELECT deadlocks::int8 FROM pg_stat_database WHERE datname = current_database()";
    let told = async {
        while count(&mut server, deadlocks).await == 0 {
            run(&mut server, "SELECT pg_stat_clear_snapshot()").await;
        }
    };
    timeout(PATIENCE, told).await.expect("there was one");
}

#[tokio::test]
async fn a_node_that_stops_in_the_middle_of_a_transaction_frees_its_tasks() {
    let f = postgres().await;
    receipts(&f.store, &[message("t", "before")]).await;
    let mut frozen = connect(&f.options.url).await;
    // As every connection of a hub is set up; the hub behind this one says nothing more.
    let limit = "SELECT setting::int8 FROM pg_settings WHERE name = 'idle_in_transaction_session_timeout'";
    assert_eq!(count(&mut frozen, limit).await, 0, "it is the hub's doing, not the server's");
    run(&mut frozen, "SET idle_in_transaction_session_timeout = '1s'; BEGIN; SELECT 1 FROM tasks FOR UPDATE").await;
    let appended = in_the_end(|| async { f.store.append(&[message("t", "after")], Attempt::Again).await }).await;
    assert_eq!(appended.results[0].as_ref().expect("a receipt").cursor.offset, Offset::new(2).expect("small"));
}

/// A role that exists on the whole server, dropped with this.
struct Role {
    name: String,
    database: Database,
}

impl Role {
    async fn create(connection: &mut PgConnection, database: Database) -> Self {
        let name = format!("role_{:016x}", rand::random::<u64>());
        run(connection, &format!("CREATE ROLE {name} LOGIN PASSWORD 'x'")).await;
        Self { name, database }
    }

    fn url(&self) -> String {
        let mut url: reqwest::Url = self.database.url().parse().expect("a URL");
        url.set_username(&self.name).expect("it takes a user");
        url.set_password(Some("x")).expect("it takes a password");
        url.into()
    }

    async fn drop(self, connection: &mut PgConnection) {
        run(connection, &format!("DROP OWNED BY {0}; DROP ROLE {0}", self.name)).await;
    }
}

#[tokio::test]
async fn a_role_that_may_not_change_tables_can_do_all_that_a_hub_does() {
    let database = postgres_database().await;
    let owner = database.url();
    let mut admin = connect(&owner).await;
    run(&mut admin, "REVOKE ALL ON SCHEMA public FROM PUBLIC").await;
    let role = Role::create(&mut admin, database).await;
    let mut hubs = options(role.url());
    hubs.migrate = false;
    let too_early = Store::open(&hubs).await.expect_err("there is nothing yet").to_string();
    assert!(too_early.contains("tasklight migrate"), "it says what to do: {too_early}");
    let migrated = finish(&mut tasklight("", ["migrate", "--store", &owner, "--grant-to", &role.name])).await;
    assert_eq!(migrated.code, Some(0), "{}", migrated.stderr);
    let store = Store::open(&hubs).await.expect("it opens");
    receipts(&store, &[message("t", "x")]).await;
    assert!(store.delete_task(&task("t")).await.expect("it may"));
    store.open_tasks(None, 10).await.expect("it may");
    store.rejects(&task("t"), 1).await.expect("it may");
    store.close().await;
    // With migrations switched on it also starts, because there is nothing to do.
    hubs.migrate = true;
    Store::open(&hubs).await.expect("it opens").close().await;
    let mut hub = connect(&role.url()).await;
    let refused = hub.execute("CREATE TABLE mine (id int)").await;
    assert!(refused.is_err(), "and it may do no more");
    hub.close().await.expect("it closes");
    role.drop(&mut admin).await;
}

#[tokio::test]
async fn a_restored_database_gives_every_log_another_life() {
    let f = postgres().await;
    let before = receipts(&f.store, &[message("t", "1")]).await[0].cursor;
    f.store.close().await;
    let restored = postgres_database().await;
    let mut server = connect(&restored.url()).await;
    let dump = tokio::process::Command::new("sh")
        .args(["-c", "pg_dump --no-owner \"$0\" | psql --quiet --set ON_ERROR_STOP=1 \"$1\"", &f.options.url, &restored.url()])
        .output()
        .await
        .expect("pg_dump and psql come with Postgres");
    assert!(dump.status.success(), "{}", String::from_utf8_lossy(&dump.stderr));
    assert_eq!(count(&mut server, "SELECT count(*) FROM activities").await, 1);
    let store = Store::open(&options(restored.url())).await.expect("it opens");
    let after = receipts(&store, &[message("t", "2")]).await[0].cursor;
    assert_eq!(after.offset.get(), 2);
    assert_ne!(after.epoch, before.epoch, "an old cursor must not be continued");
    let again = receipts(&store, &[message("t", "3")]).await[0].cursor;
    assert_eq!(again.epoch, after.epoch, "once");
    store.close().await;
    let renewed = finish(&mut tasklight("", ["migrate", "--store", &restored.url(), "--renew-epochs"])).await;
    assert_eq!(renewed.code, Some(0), "{}", renewed.stderr);
    let store = Store::open(&options(restored.url())).await.expect("it opens");
    assert_ne!(receipts(&store, &[message("t", "4")]).await[0].cursor.epoch, after.epoch, "by hand");
}

#[tokio::test]
async fn a_failover_in_the_middle_gives_every_log_another_life() {
    let f = postgres().await;
    let before = receipts(&f.store, &[message("t", "1")]).await[0].cursor;
    let mut server = connect(&f.options.url).await;
    // As the promoted standby finds it: written last on another timeline.
    run(&mut server, "UPDATE store_identity SET identity = left(identity, -1) || 'X'").await;
    let after = receipts(&f.store, &[message("t", "2"), message("t", "3")]).await;
    assert_eq!(after[0].cursor.offset.get(), 2);
    assert_ne!(after[0].cursor.epoch, before.epoch, "the running hub notices at its next append");
    assert_eq!(after[0].cursor.epoch, after[1].cursor.epoch);
}

#[tokio::test]
async fn no_read_or_append_goes_through_a_whole_log() {
    let f = postgres().await;
    receipts(&f.store, &[message("small", "x")]).await;
    let mut server = connect(&f.options.url).await;
    run(
        &mut server,
        "INSERT INTO tasks (name, epoch, created_at) SELECT 'big' || n, n, n FROM generate_series(1, 50) AS n; \
         INSERT INTO invocations (id, task, name, status, created_at, last_activity_at) SELECT -id, id, 'r', 'running', 0, 0 FROM tasks WHERE name <> 'small'; \
         INSERT INTO activities (task, \"offset\", invocation, event_id, type, timestamp, received_at, data) \
           SELECT id, n, -id, gen_random_uuid(), 'output', 0, 0, '{}' FROM tasks CROSS JOIN generate_series(1, 2000) AS n WHERE name <> 'small'; \
         UPDATE tasks SET head = 2000 WHERE name <> 'small'; \
         ANALYZE; SELECT pg_stat_reset()",
    )
    .await;
    for n in 0..20 {
        receipts(&f.store, &[message("big7", &n.to_string())]).await;
        let range = tasklight::store::ReadAfter { after: Offset::new(1_990).expect("small"), limit: 10, ..everything() };
        texts(&f.store, "big7", &range).await;
    }
    f.store.close().await;
    // The server's own count of how often a table was read from end to end; it is told when the connections have ended.
    let scans = "SELECT seq_scan::int8, seq_tup_read::int8, idx_scan::int8 FROM pg_stat_user_tables WHERE relname = 'activities'";
    let told = async {
        loop {
            let row = sqlx::query(scans).fetch_one(&mut server).await.expect("statistics");
            if 0 < row.get::<i64, _>(2) {
                return (row.get::<i64, _>(0), row.get::<i64, _>(1));
            }
            run(&mut server, "SELECT pg_stat_clear_snapshot()").await;
        }
    };
    let (scans, rows) = timeout(PATIENCE, told).await.expect("statistics come");
    assert_eq!((scans, rows), (0, 0), "activities were read from end to end");
}

#[tokio::test]
async fn an_activity_that_changes_nothing_else_writes_no_row_but_its_own() {
    let f = postgres().await;
    let mut connection = connect(&f.options.url).await;
    let first = message("t", "first");
    let at = first.activity.activity.received_at;
    receipts(&f.store, &[first]).await;
    let rows = "SELECT sum(xmin::text::int8)::int8 FROM (SELECT xmin FROM tasks UNION ALL SELECT xmin FROM invocations) AS rows";
    let before = count(&mut connection, rows).await;
    for n in 0..20 {
        let mut next = message("t", &n.to_string());
        next.activity.activity.received_at = at;
        receipts(&f.store, &[next]).await;
    }
    assert_eq!(count(&mut connection, rows).await, before, "the task's row and the run's are the same versions as before");
    assert_eq!(f.store.log_states(&[task("t")]).await.expect("it reads")[0].1.head.get(), 21);
}
