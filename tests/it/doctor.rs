//! `tasklight doctor`, the program, on stores and servers in which a real fault was planted.

use std::time::Duration;

use serde_json::{Value, json};
use sqlx::{Connection, Executor, PgConnection};
use tasklight::{
    model::Timestamp,
    store::{Heartbeat, LeaseName, Store},
};
use tempfile::TempDir;

use crate::{
    harness::TestHub,
    own_server::postgres::Postgres,
    program::{finish, tasklight},
    reconciler::said,
    services::{execute_on, free_address, postgres_database, prefix, redis_url},
    stand_in::OwnRedis,
    store_contract::{Fixture, activity, message, receipts, task},
};

/// What the doctor says.
struct Told {
    code: Option<i32>,
    findings: Vec<Value>,
    text: String,
}

async fn doctor(arguments: &[&str], environment: &[(&str, &str)]) -> Told {
    let mut command = tasklight("", [&["doctor", "--json"], arguments].concat());
    let done = finish(command.envs(environment.iter().copied())).await;
    let report: Value = serde_json::from_slice(&done.stdout).unwrap_or_else(|_| panic!("{done:?}"));
    let findings = report["findings"].as_array().expect("findings").clone();
    Told { code: done.code, text: serde_json::to_string_pretty(&findings).expect("JSON"), findings }
}

impl Told {
    /// That there is such a finding, with these words in it, and advice unless all is well.
    fn has(&self, check: &str, level: &str, words: &str) {
        let is_it = |finding: &&Value| {
            finding["check"] == check
                && finding["level"] == level
                && finding["found"].as_str().is_some_and(|found| found.contains(words))
        };
        let finding = self.findings.iter().find(is_it);
        let finding = finding.unwrap_or_else(|| panic!("no {level} of {check} with {words:?} in {}", self.text));
        assert_eq!(level == "ok", finding["advice"].is_null(), "{finding}");
    }

    /// That nothing is worse than it should be but in these checks.
    fn only(&self, checks: &[&str]) {
        let bad = |finding: &&Value| finding["level"] == "warning" || finding["level"] == "error";
        let others: Vec<_> =
            self.findings.iter().filter(bad).filter(|finding| !checks.iter().any(|check| finding["check"] == *check)).collect();
        assert!(others.is_empty(), "{others:?}");
    }
}

/// A store as hubs leave it: a task of four activities and a reconciler that has its lease.
async fn in_use(f: Fixture) -> Fixture {
    let batch: Vec<_> = (1..=4).map(|n| message("t", &n.to_string())).collect();
    receipts(&f.store, &batch).await;
    receipts(&f.store, &[activity("t", r#"{"invocationId":"done","type":"status","data":{"status":"completed"}}"#)]).await;
    let lease = f.store.acquire_lease(LeaseName::Reconciler, "hub-1#1", Duration::from_secs(30)).await;
    assert!(lease.expect("it answers").is_some());
    f
}

async fn examine(f: &Fixture) -> Told {
    doctor(&["--store", &f.options.url], &[]).await
}

async fn plant(f: &Fixture, fault: &str) {
    execute_on(&f.options.url, fault).await;
}

async fn a_store_that_is_well_is_said_to_be(f: Fixture) {
    for arguments in [vec!["--store", &f.options.url], vec!["--full", "--store", &f.options.url]] {
        let told = doctor(&arguments, &[]).await;
        assert_eq!(told.code, Some(0), "{}", told.text);
        told.has("schema", "ok", "migrations");
        told.has("logs", "ok", "1 tasks agree");
        told.has("runs", "ok", "1 runs");
        told.has("leases", "ok", "held by hub-1#1");
        told.has("redis", "ok", "none");
    }
    let shown = finish(&mut tasklight("", ["doctor", "--store", &f.options.url])).await;
    assert!(shown.code == Some(0) && shown.out().contains("all is well"), "{shown:?}");
    assert!(!shown.out().contains('\u{1b}'), "colours are for terminals");
    receipts(&f.store, &[message("t", "nothing was taken from whoever has it open")]).await;
}

async fn a_log_whose_end_is_gone(f: Fixture) {
    plant(&f, "UPDATE tasks SET head = 5; DELETE FROM activities WHERE \"offset\" = 5").await;
    let told = examine(&f).await;
    assert_eq!(told.code, Some(2));
    told.has("logs", "error", "before its head: t (4 of 5)");
    told.only(&["logs"]);
}

async fn a_log_with_a_hole(f: Fixture) {
    plant(&f, "DELETE FROM activities WHERE \"offset\" = 2").await;
    let told = examine(&f).await;
    assert_eq!(told.code, Some(2));
    told.has("logs", "error", "with holes: t (4 of 5)");
    told.only(&["logs"]);
}

async fn activities_below_the_floor(f: Fixture) {
    plant(&f, "UPDATE tasks SET head = 5, floor = 3").await;
    let told = examine(&f).await;
    assert_eq!(told.code, Some(1));
    told.has("logs", "warning", "below its floor: t");
    told.only(&["logs"]);
}

async fn runs_that_are_miscounted(f: Fixture) {
    plant(&f, "UPDATE tasks SET running = 7").await;
    let told = examine(&f).await;
    assert_eq!(told.code, Some(2));
    told.has("logs", "error", "miscounts its runs: t");
    told.only(&["logs"]);
}

async fn a_row_that_did_not_grow_with_its_log(f: Fixture) {
    plant(&f, "UPDATE tasks SET last_activity_at = last_activity_at - 60000").await;
    let told = examine(&f).await;
    assert_eq!(told.code, Some(1));
    told.has("logs", "warning", "grew without its row: t");
}

async fn a_run_that_ended_and_is_said_to_run(f: Fixture) {
    plant(&f, "UPDATE invocations SET status = 'running' WHERE name = 'done'; UPDATE tasks SET running = 2, completed = 0").await;
    let told = examine(&f).await;
    assert_eq!(told.code, Some(2));
    told.has("runs", "error", "1 run that ended and is said to run: done of t");
    told.only(&["runs"]);
}

async fn a_silent_run_that_nobody_says_is_lost(f: Fixture) {
    said(&f.store, "silent", 40, "message", "{}").await;
    said(&f.store, "beats", 40, "message", "{}").await;
    let beat = Heartbeat { task: task("t"), invocation: "beats".parse().expect("valid"), at: Timestamp::now() };
    f.store.heartbeats(&[beat]).await.expect("it is noted");
    let told = examine(&f).await;
    assert_eq!(told.code, Some(0), "hubs have only begun to listen: {}", told.text);
    told.has("runs", "ok", "stalled: 2 no activity");
    plant(&f, "UPDATE leases SET since = 1").await;
    let told = examine(&f).await;
    assert_eq!(told.code, Some(2));
    told.has("runs", "error", "1 silent run that is not lost: silent of t");
}

async fn a_run_that_was_recorded_afterwards_and_never_ends(f: Fixture) {
    receipts(
        &f.store,
        &[activity("t", r#"{"invocationId":"old","type":"status","data":{"status":"running","backfilled":true}}"#)],
    )
    .await;
    let told = examine(&f).await;
    assert_eq!(told.code, Some(1));
    told.has("runs", "warning", "1 runs that were recorded afterwards");
}

async fn a_lease_that_nobody_has(f: Fixture) {
    plant(&f, "UPDATE leases SET expires_at = 1000").await;
    let told = examine(&f).await;
    assert_eq!(told.code, Some(1));
    told.has("leases", "warning", "nobody has had it for");
    plant(&f, "DELETE FROM leases").await;
    examine(&f).await.has("leases", "warning", "nobody has ever had");
}

async fn a_schema_that_is_not_ours(f: Fixture) {
    let newest = "(SELECT max(version) FROM _sqlx_migrations)";
    plant(&f, &format!("INSERT INTO _sqlx_migrations SELECT 9999, 'later', installed_on, success, checksum, execution_time FROM _sqlx_migrations WHERE version = {newest}")).await;
    let told = examine(&f).await;
    assert_eq!(told.code, Some(1));
    told.has("schema", "warning", "9999");
    told.has("logs", "ok", "agree");
    plant(&f, "DELETE FROM _sqlx_migrations WHERE version >= 7").await;
    let told = examine(&f).await;
    assert_eq!(told.code, Some(2));
    told.has("schema", "error", "0007");
    plant(&f, "UPDATE _sqlx_migrations SET success = false WHERE version = 6").await;
    examine(&f).await.has("schema", "error", "did not come to their end: 0006");
    plant(&f, "DROP TABLE _sqlx_migrations").await;
    examine(&f).await.has("schema", "error", "missing: 0001, 0002");
}

/// Each of these on both stores.
macro_rules! on_both_stores {
    ($($name:ident),+ $(,)?) => {
        mod on_sqlite {
            $(#[tokio::test]
            async fn $name() {
                super::$name(super::in_use(crate::store_contract::sqlite().await).await).await;
            })+
        }
        mod on_postgres {
            $(#[tokio::test]
            async fn $name() {
                super::$name(super::in_use(crate::store_contract::postgres().await).await).await;
            })+
        }
    };
}

on_both_stores!(
    a_store_that_is_well_is_said_to_be,
    a_log_whose_end_is_gone,
    a_log_with_a_hole,
    activities_below_the_floor,
    runs_that_are_miscounted,
    a_row_that_did_not_grow_with_its_log,
    a_run_that_ended_and_is_said_to_run,
    a_silent_run_that_nobody_says_is_lost,
    a_run_that_was_recorded_afterwards_and_never_ends,
    a_lease_that_nobody_has,
    a_schema_that_is_not_ours,
);

#[tokio::test]
async fn a_file_that_is_damaged() {
    let f = in_use(crate::store_contract::sqlite().await).await;
    let many: Vec<_> = (0..2_000).map(|n| message("t", &format!("{n} {}", "x".repeat(200)))).collect();
    receipts(&f.store, &many).await;
    f.store.close().await;
    let path = f.options.url.trim_start_matches("sqlite://").to_owned();
    let mut bytes = std::fs::read(&path).expect("the file");
    // A page in the middle, which is full of activities.
    let page = bytes.len() / 8_192 * 4_096;
    bytes[page..page + 4_096].fill(0xa5);
    std::fs::write(&path, bytes).expect("it is damaged");
    let told = examine(&f).await;
    assert_eq!(told.code, Some(2), "{}", told.text);
    told.has("sqlite", "error", "the file is damaged");
}

#[tokio::test]
async fn a_store_that_is_not_there() {
    let nowhere = format!("postgres://me:hunter2@{}/db", free_address().expect("an address"));
    for store in ["sqlite:///no/such/folder/log.db", nowhere.as_str()] {
        let told = doctor(&["--store", store], &[]).await;
        assert_eq!(told.code, Some(2), "{}", told.text);
        told.has("store", "error", "cannot be opened");
        assert!(!told.text.contains("hunter2"), "{}", told.text);
    }
}

#[tokio::test]
async fn a_postgres_that_is_set_badly() {
    let folder = TempDir::new().expect("a folder");
    let server = Postgres::start(folder.path()).await.expect("a Postgres");
    let url = server.url();
    Store::open(&crate::store_contract::options(url.clone())).await.expect("it opens").close().await;
    let told = doctor(&["--store", &url], &[]).await;
    told.has("postgres", "ok", "synchronous_commit on");
    told.has("clock", "ok", "Postgres's clock agrees");
    let mut admin = PgConnection::connect(&url).await.expect("it is there");
    for setting in ["autovacuum", "full_page_writes"] {
        let sql = sqlx::AssertSqlSafe(format!("ALTER SYSTEM SET {setting} = off"));
        admin.execute(sqlx::raw_sql(sql)).await.expect("it is set");
    }
    admin.execute("SELECT pg_reload_conf()").await.expect("it is read");
    let heard = async {
        while sqlx::query_scalar::<_, String>("SHOW autovacuum").fetch_one(&mut admin).await.expect("it answers") == "on" {}
    };
    tokio::time::timeout(crate::harness::PATIENCE, heard).await.expect("it is in force");
    let told = doctor(&["--store", &url], &[("TASKLIGHT__STORE__READERS", "500")]).await;
    assert_eq!(told.code, Some(2));
    told.has("postgres", "warning", "autovacuum is off");
    told.has("postgres", "error", "full_page_writes is off");
    told.has("postgres", "error", "1 hubs may want 502 connections");
}

#[tokio::test]
async fn a_redis_that_is_set_badly_or_may_not_be_looked_at() {
    let f = in_use(crate::store_contract::sqlite().await).await;
    let redis = OwnRedis::start().await;
    let url = redis.url();
    let told = doctor(&["--store", &f.options.url, "--broker", &url], &[]).await;
    told.has("redis", "ok", "1 servers");
    told.has("clock", "ok", "Redis's clock agrees");
    told.has("members", "warning", "counts no hubs");
    told.has("leases", "warning", "which is no member");
    let client = redis::Client::open(url.clone()).expect("a URL");
    let mut admin = client.get_multiplexed_async_connection().await.expect("Redis is there");
    for (name, value) in [
        ("client-output-buffer-limit", "pubsub 1048576 524288 60"),
        ("timeout", "300"),
        ("maxmemory", "100mb"),
        ("maxmemory-policy", "allkeys-lru"),
    ] {
        let () = redis::cmd("CONFIG").arg("SET").arg(name).arg(value).query_async(&mut admin).await.expect("it is set");
    }
    let told = doctor(&["--store", &f.options.url, "--broker", &url], &[]).await;
    for words in ["pubsub is 1048576 524288 60", "timeout is 300", "maxmemory-policy is allkeys-lru"] {
        told.has("redis", "warning", words);
    }
    let rules = ["on", "nopass", "~*", "&*", "+evalsha", "+script|load", "+ping", "+hgetall", "+time"];
    let () = redis::cmd("ACL").arg("SETUSER").arg("hub").arg(&rules).query_async(&mut admin).await.expect("a user");
    let as_hub = url.replace("redis://", "redis://hub:any@");
    let told = doctor(&["--store", &f.options.url, "--broker", &as_hub], &[]).await;
    told.has("redis", "unknown", "may not be looked at");
    told.has("members", "warning", "counts no hubs");
    let nobody = format!("redis://{}", free_address().expect("an address"));
    let told = doctor(&["--store", &f.options.url, "--broker", &nobody], &[]).await;
    assert_eq!(told.code, Some(2));
    told.has("redis", "error", "cannot be reached");
}

#[tokio::test]
async fn hubs_at_work_are_counted_and_asked() {
    let (database, prefix) = (postgres_database().await, prefix());
    let hub = TestHub::start_with(|settings| {
        settings.node.id = "hub-7".to_owned();
        settings.store.url = database.url();
        settings.broker.url = redis_url();
        settings.broker.prefix = prefix.clone();
    })
    .await;
    hub.member().await;
    crate::reconciler::until_held(hub.node().store(), |_| true).await;
    let admin = format!("http://{}", hub.node().admin_address());
    let environment = [("TASKLIGHT__BROKER__PREFIX", prefix.as_str())];
    let (store, broker) = (database.url(), redis_url());
    let arguments = ["--store", &store, "--broker", &broker, "--admin", &admin];
    let told = doctor(&arguments, &environment).await;
    told.has("members", "ok", "1 hubs: hub-7#");
    told.has("leases", "ok", "reconciler: held by hub-7#");
    told.has("hub", "ok", "hub-7 is ready");
    told.has("logs", "ok", "0 tasks");
    let nobody = format!("http://{}", free_address().expect("an address"));
    let told = doctor(&[&arguments[..4], &["--admin", &nobody]].concat(), &environment).await;
    assert_eq!(told.code, Some(2));
    told.has("hub", "error", "does not answer");
    assert_eq!(hub.post("t", json!({"invocationId": "r", "type": "message"})).await.0, 200, "and it goes on");
}
