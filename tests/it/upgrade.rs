//! A new release on what an older one left, and beside it: migrations only go forward, only add, and leave what the older release writes valid.
//! `make test-upgrade` does the same with the programs of both releases.

use std::{collections::BTreeMap, fs, path::Path};

use sqlx::{
    Connection, Executor, PgConnection, SqliteConnection,
    migrate::{Migration, Migrator},
    sqlite::SqliteConnectOptions,
};
use tasklight::store::Store;
use tempfile::TempDir;

use crate::{
    services::postgres_database,
    store_contract::{everything, message, options, receipts, task, texts},
};

/// The migrations of a database, and the same without the last one.
async fn migrations(kind: &str) -> (Vec<Migration>, Migrator) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations").join(kind);
    let all: Vec<Migration> = Migrator::new(folder).await.expect("migrations").iter().cloned().collect();
    let older = all[..all.len() - 1].to_vec();
    (all, Migrator::with_migrations(older))
}

/// Statements without comments, in capitals, each on one line.
fn statements(sql: &str) -> Vec<String> {
    let code: Vec<&str> = sql.lines().map(|line| line.split("--").next().unwrap_or_default()).collect();
    let code = code.join(" ").to_uppercase();
    code.split(';').map(|statement| statement.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
}

/// Why a release that does not know this statement could not go on beside it.
fn breaks(statement: &str) -> Option<&'static str> {
    let has = |words: &str| statement.contains(words);
    if has("DROP ") && !has("DROP INDEX") {
        return Some("the older release may still use it");
    }
    if has("RENAME") || has("SET NOT NULL") || has("TRUNCATE") || (has("ALTER COLUMN") && has(" TYPE ")) {
        return Some("the older release knows it as it was");
    }
    let adds_needed =
        statement.split(',').any(|part| part.contains("ADD COLUMN") && part.contains("NOT NULL") && !part.contains("DEFAULT"));
    adds_needed.then_some("the older release does not fill it")
}

#[tokio::test]
async fn migrations_leave_the_older_release_what_it_uses() {
    let mut versions: BTreeMap<&str, Vec<i64>> = BTreeMap::new();
    for kind in ["postgres", "sqlite"] {
        let (all, _) = migrations(kind).await;
        for migration in all.iter().skip(1) {
            for statement in statements(migration.sql.as_str()) {
                assert_eq!(breaks(&statement), None, "migrations/{kind}/{}: {statement}", migration.version);
            }
        }
        versions.insert(kind, all.iter().map(|migration| migration.version).collect());
        let files = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations").join(kind)).expect("a folder").count();
        assert_eq!(files, versions[kind].len(), "each has a number of its own");
    }
}

#[test]
fn what_would_break_it_is_found() {
    for sql in [
        "ALTER TABLE tasks DROP COLUMN title;",
        "DROP TABLE rejects",
        "alter table tasks rename column title to name",
        "ALTER TABLE tasks ADD COLUMN owner TEXT NOT NULL",
        "ALTER TABLE tasks ALTER COLUMN head TYPE int",
        "ALTER TABLE tasks ALTER COLUMN title SET NOT NULL",
    ] {
        assert!(statements(sql).iter().any(|statement| breaks(statement).is_some()), "{sql}");
    }
    for sql in
        ["-- DROP TABLE x\nCREATE TABLE y (z INT NOT NULL);", "ALTER TABLE t ADD COLUMN n INT NOT NULL DEFAULT 0", "DROP INDEX i"]
    {
        assert!(statements(sql).iter().all(|statement| breaks(statement).is_none()), "{sql}");
    }
}

/// A task of two activities, with the statements and columns of the first release.
const OLDER: &str = "INSERT INTO tasks (id, name, epoch, head, created_at, last_activity_at, status, running) OVERRIDING SYSTEM VALUE \
                       VALUES (ID, 'NAME', 7, 2, 1, 2, 'running', 1); \
                     INSERT INTO invocations (id, task, name, status, created_at, started_at, last_activity_at) \
                       VALUES (-ID, ID, 'r', 'running', 1, 1, 2); \
                     INSERT INTO activities (task, \"offset\", invocation, event_id, type, timestamp, received_at, data) VALUES \
                       (ID, 1, -ID, UUID1, 'message', 1, 1, '{\"text\":\"1\"}'), (ID, 2, -ID, UUID2, 'message', 2, 2, '{\"text\":\"2\"}')";

fn older(id: u32, name: &str, event: impl Fn(u32) -> String) -> String {
    let sql = OLDER.replace("-ID", &format!("-{id}")).replace("(ID,", &format!("({id},")).replace(" ID,", &format!(" {id},"));
    sql.replace("NAME", name).replace("UUID1", &event(1)).replace("UUID2", &event(2))
}

/// What an older release left is there as it was and goes on; so does what it writes after the new one has come.
async fn goes_on(store: &Store, before: &str, after: &str) {
    for id in [before, after] {
        let read = texts(store, id, &everything()).await;
        assert_eq!(read, [(1, r#"{"text":"1"}"#.to_owned()), (2, r#"{"text":"2"}"#.to_owned())], "{id}");
        let state = store.log_states(&[task(id)]).await.expect("it reads")[0].1;
        assert_eq!((state.head.get(), state.floor.get()), (2, 1));
        let receipt = receipts(store, &[message(id, "3")]).await[0];
        assert_eq!((receipt.cursor.offset.get(), receipt.cursor.epoch), (3, state.epoch), "{id}: the same life goes on");
    }
}

#[tokio::test]
async fn postgres_goes_on_from_the_level_before() {
    let database = postgres_database().await;
    let mut server = PgConnection::connect(&database.url()).await.expect("Postgres is there");
    let (_, before) = migrations("postgres").await;
    before.run(&mut server).await.expect("the older schema");
    let event = |id: u32| move |n: u32| format!("'00000000-0000-4000-8000-{id:06}{n:06}'::uuid");
    server.execute(sqlx::AssertSqlSafe(older(1, "before", event(1)))).await.expect("it writes");
    let store = Store::open(&options(database.url())).await.expect("it brings the schema up to date");
    server.execute(sqlx::AssertSqlSafe(older(2, "after", event(2)))).await.expect("the older release writes on");
    goes_on(&store, "before", "after").await;
    store.close().await;
}

#[tokio::test]
async fn sqlite_goes_on_from_the_level_before() {
    let folder = TempDir::new().expect("a folder");
    let path = folder.path().join("log.db");
    let mut file = SqliteConnection::connect_with(&SqliteConnectOptions::new().filename(&path).create_if_missing(true))
        .await
        .expect("it opens");
    let (_, before) = migrations("sqlite").await;
    before.run(&mut file).await.expect("the older schema");
    let event = |id: u32| move |n: u32| format!("x'{id:016}{n:016}'");
    let sql = |id, name| older(id, name, event(id)).replace("OVERRIDING SYSTEM VALUE ", "");
    file.execute(sqlx::AssertSqlSafe(sql(1, "before"))).await.expect("it writes");
    file.close().await.expect("it closes");
    let options = options(format!("sqlite://{}", path.display()));
    Store::open(&options).await.expect("it brings the schema up to date").close().await;
    // An older release that is started again, because the new one did not please.
    let mut file = SqliteConnection::connect_with(&SqliteConnectOptions::new().filename(&path)).await.expect("it opens");
    file.execute(sqlx::AssertSqlSafe(sql(2, "after"))).await.expect("it writes on");
    file.close().await.expect("it closes");
    let store = Store::open(&options).await.expect("it opens");
    goes_on(&store, "before", "after").await;
    store.close().await;
}
