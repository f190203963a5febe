//! A backup put back while viewers are attached: they are told to start over, and never shown something else under an offset that they have seen.

use std::path::Path;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use sqlx::{Connection, Executor, PgConnection, SqliteConnection, sqlite::SqliteConnectOptions};
use tasklight::store::Store;
use tempfile::TempDir;
use tokio::time::timeout;

use crate::{
    harness::{HubProcess, PATIENCE, TestHub},
    services::{postgres_database, prefix, redis_url},
    store_contract::{activity, message, options, receipts},
    viewer::{Stream, Viewer},
};

/// Runs one of the programs that come with Postgres.
async fn postgres_tool(program: &str, arguments: &[&str]) {
    let done = tokio::process::Command::new(program).args(arguments).output().await;
    let done = done.expect("pg_dump and pg_restore come with Postgres");
    assert!(done.status.success(), "{program}: {}", String::from_utf8_lossy(&done.stderr));
}

async fn dump(url: &str, file: &Path) {
    postgres_tool("pg_dump", &["--format=custom", "--file", &file.display().to_string(), url]).await;
}

/// Into the same database, all at once, as docs/operations.md says.
async fn restore(url: &str, file: &Path) {
    let file = file.display().to_string();
    postgres_tool("pg_restore", &["--clean", "--if-exists", "--no-owner", "--single-transaction", "--dbname", url, &file]).await;
}

/// What a viewer is told from now on, up to the activity at this offset; the log as it has it after that.
#[derive(Debug, Default)]
struct Told {
    epochs: Vec<String>,
    texts: Vec<String>,
}

impl Told {
    /// Takes a message; says whether the log has so many activities.
    fn take(&mut self, message: &Value, count: usize) -> bool {
        match message["op"].as_str().expect("an op") {
            "reset" => {
                self.epochs.push(message["epoch"].as_str().expect("an epoch").to_owned());
                self.texts.clear();
            }
            "activity" => {
                self.texts.push(message["data"]["text"].as_str().expect("a text").to_owned());
                assert_eq!(message["offset"], self.texts.len(), "no holes: {message}");
                let epoch = message["cursor"].as_str().and_then(|cursor| cursor.split('-').next());
                assert!(
                    self.epochs.last().is_none_or(|known| Some(known.as_str()) == epoch),
                    "of the life that was told: {message}"
                );
            }
            _ => {}
        }
        self.texts.len() == count
    }

    async fn socket(&mut self, viewer: &mut Viewer, count: usize) {
        timeout(PATIENCE, async { while !self.take(&viewer.next().await, count) {} }).await.expect("it comes in time");
    }

    async fn stream(&mut self, stream: &mut Stream, count: usize) {
        let all = async {
            loop {
                let event = stream.next().await.expect("the stream goes on");
                if self.take(&serde_json::from_str(&event.data).expect("JSON"), count) {
                    return;
                }
            }
        };
        timeout(PATIENCE, all).await.expect("it comes in time");
    }
}

#[tokio::test]
async fn viewers_of_two_hubs_are_told_that_postgres_was_restored_under_them() {
    let (database, prefix, folder) = (postgres_database().await, prefix(), TempDir::new().expect("a folder"));
    let start = || {
        TestHub::start_with(|settings| {
            settings.store.url = database.url();
            settings.broker.url = redis_url();
            settings.broker.prefix = prefix.clone();
            settings.hub.resync_interval = "200ms".parse().expect("a duration");
        })
    };
    let (one, two) = (start().await, start().await);
    one.member().await;
    two.member().await;
    one.publish("t", &["1", "2", "3"]).await;
    let file = folder.path().join("backup");
    dump(&database.url(), &file).await;
    let lost = one.publish("t", &["lost", "lost too"]).await;
    let mut socket = Viewer::subscribe(one.address(), "t", json!({})).await;
    let mut stream = Stream::open(two.address(), "t", "", None).await.expect("a stream");
    let (mut by_socket, mut by_stream) = (Told::default(), Told::default());
    by_socket.socket(&mut socket, 5).await;
    by_stream.stream(&mut stream, 5).await;

    restore(&database.url(), &file).await;

    // Nobody publishes: they are told all the same.
    by_socket.socket(&mut socket, 3).await;
    by_stream.stream(&mut stream, 3).await;
    for told in [&by_socket, &by_stream] {
        assert_eq!(told.texts, ["1", "2", "3"]);
        assert!(!told.epochs.is_empty() && !lost[0].starts_with(&told.epochs[told.epochs.len() - 1]), "{told:?} after {lost:?}");
    }
    let new = two.publish("t", &["new"]).await;
    assert!(new[0].ends_with("-4") && new[0] != lost[0], "the same offset in another life: {new:?}, {lost:?}");
    by_socket.socket(&mut socket, 4).await;
    by_stream.stream(&mut stream, 4).await;
    assert_eq!((by_socket.texts[3].as_str(), by_stream.texts[3].as_str()), ("new", "new"));
    assert_eq!(by_socket.epochs.last(), by_stream.epochs.last());
    // Who was away meanwhile and comes back with what it saw.
    let mut late = Viewer::subscribe(two.address(), "t", json!({"after": lost[0]})).await;
    let seen = late.until("live").await;
    assert_eq!(seen[1]["op"], "reset", "{seen:?}");
}

#[tokio::test]
async fn nothing_is_appended_to_a_restored_log_in_its_old_life() {
    for only_rows in [false, true] {
        let (database, folder) = (postgres_database().await, TempDir::new().expect("a folder"));
        let store = Store::open(&options(database.url())).await.expect("it opens");
        receipts(&store, &[message("t", "1")]).await;
        let file = folder.path().join("backup");
        dump(&database.url(), &file).await;
        // A run that the backup does not know, so that its key is given out again.
        let lost = receipts(&store, &[message("t", "2"), activity("t", r#"{"invocationId":"s","type":"message"}"#)]).await;
        if only_rows {
            let mut server = PgConnection::connect(&database.url()).await.expect("Postgres is there");
            let empty = "TRUNCATE store_identity, tasks, invocations, activities, rejects, revocations, tickets CASCADE";
            server.execute(sqlx::raw_sql(empty)).await.expect("it is emptied");
            // Nothing but rows of our tables: the list of migrations is there.
            let url = database.url();
            let backup = file.display().to_string();
            let tables = ["store_identity", "tasks", "invocations", "activities"];
            for table in tables {
                postgres_tool("pg_restore", &["--data-only", "--table", table, "--dbname", &url, &backup]).await;
            }
        } else {
            restore(&database.url(), &file).await;
        }
        let other = Store::open(&options(database.url())).await.expect("it opens");
        receipts(&other, &[activity("t", r#"{"invocationId":"of another hub","type":"message"}"#)]).await;
        // The first one's connections may have lost their tables under them: it makes new ones, as it does when the server was restarted.
        let again = [message("t", "3"), activity("t", r#"{"invocationId":"u","type":"message"}"#)];
        let mut tries = 0;
        let new = loop {
            match store.append(&again, tasklight::store::Attempt::First).await {
                Ok(appended) => break appended.results,
                Err(error) => {
                    tries += 1;
                    assert!(tries < 5, "{error}");
                }
            }
        };
        let new: Vec<_> = new.into_iter().map(|result| result.expect("a receipt")).collect();
        assert_eq!((new[0].cursor.offset.get(), new[1].cursor.offset.get()), (3, 4));
        assert_ne!(new[0].cursor.epoch, lost[0].cursor.epoch, "only rows: {only_rows}");
        store.settle().await.expect("it is as it was");
        assert_eq!(receipts(&store, &[message("t", "4")]).await[0].cursor.epoch, new[0].cursor.epoch, "once");
        store.close().await;
        other.close().await;
    }
}

#[tokio::test]
async fn cleaning_what_is_stored_is_no_restore() {
    let database = postgres_database().await;
    let store = Store::open(&options(database.url())).await.expect("it opens");
    let before = receipts(&store, &[message("t", "1")]).await[0].cursor.epoch;
    let mut server = PgConnection::connect(&database.url()).await.expect("Postgres is there");
    server.execute("VACUUM (FULL, FREEZE) store_identity").await.expect("it is written anew");
    store.settle().await.expect("it looks");
    assert_eq!(receipts(&store, &[message("t", "2")]).await[0].cursor.epoch, before);
    store.close().await;
}

/// A copy of the database as `.backup` makes it.
async fn copy(database: &Path, to: &Path) {
    let mut connection = SqliteConnection::connect_with(&SqliteConnectOptions::new().filename(database)).await.expect("it opens");
    sqlx::query("VACUUM INTO ?").bind(to.display().to_string()).execute(&mut connection).await.expect("it is copied");
    connection.close().await.expect("it closes");
}

fn stop(hub: HubProcess) {
    let pid = Pid::from_raw(hub.pid().try_into().expect("small")).expect("it runs");
    kill_process(pid, Signal::TERM).expect("it runs");
    hub.wait();
}

async fn publish(hub: &HubProcess, texts: &[&str]) -> Vec<String> {
    let body: Vec<Value> = texts.iter().map(|text| crate::harness::message(text)).collect();
    let url = format!("http://{}/v1/tasks/t/activities", hub.address());
    let answer = reqwest::Client::new().post(url).body(json!(body).to_string()).send().await.expect("an answer");
    let answer: Value = serde_json::from_str(&answer.text().await.expect("a body")).expect("JSON");
    let results = answer["results"].as_array().expect("results");
    results.iter().map(|result| result["cursor"].as_str().expect("a receipt").to_owned()).collect()
}

#[tokio::test]
async fn viewers_of_sqlite_are_told_although_the_copy_was_made_in_the_same_run() {
    let folder = TempDir::new().expect("a folder");
    let (database, backup) = (folder.path().join("log.db"), folder.path().join("backup.db"));
    let hub = HubProcess::start(&database, "127.0.0.1:0");
    let address = hub.address();
    publish(&hub, &["1", "2", "3"]).await;
    copy(&database, &backup).await;
    let lost = publish(&hub, &["lost", "lost too"]).await;
    let mut socket = Viewer::subscribe(address, "t", json!({})).await;
    let mut stream = Stream::open(address, "t", "", None).await.expect("a stream");
    Told::default().socket(&mut socket, 5).await;
    Told::default().stream(&mut stream, 5).await;
    stop(hub);
    assert!(socket.closed().await.0 == 1012, "they are told to come back");

    std::fs::copy(&backup, &database).expect("it is put back");
    for beside in ["log.db-wal", "log.db-shm"] {
        let _ = std::fs::remove_file(folder.path().join(beside));
    }
    let hub = HubProcess::start(&database, &address.to_string());
    // Before they come back the offsets that they have seen name something else.
    let new = publish(&hub, &["new", "newer"]).await;
    assert!(new[1].ends_with("-5") && new[1] != lost[1], "{new:?}, {lost:?}");
    let mut socket = Viewer::subscribe(address, "t", json!({"after": lost[1]})).await;
    let mut stream = Stream::open(address, "t", "", Some(&lost[1])).await.expect("a stream");
    let (mut by_socket, mut by_stream) = (Told::default(), Told::default());
    by_socket.socket(&mut socket, 5).await;
    by_stream.stream(&mut stream, 5).await;
    for told in [by_socket, by_stream] {
        assert_eq!((told.epochs.len(), told.texts), (1, ["1", "2", "3", "new", "newer"].map(str::to_owned).to_vec()));
    }
    // Without a restore nothing begins anew, however it ends.
    hub.kill();
    let hub = HubProcess::start(&database, &address.to_string());
    assert_eq!(publish(&hub, &["on"]).await[0][..8], new[0][..8]);
    stop(hub);
    let hub = HubProcess::start(&database, &address.to_string());
    assert_eq!(publish(&hub, &["and on"]).await[0][..8], new[0][..8]);
    hub.kill();
}
