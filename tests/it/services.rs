//! The Redis and the Postgres that tests share: each test makes a database of its own and a key prefix of its own.

use std::{env, thread};

use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use tokio::{runtime, time::timeout};

use crate::harness::PATIENCE;

/// Redis, without a database number.
pub fn redis_url() -> String {
    variable("TASKLIGHT_TEST_REDIS_URL")
}

/// An address of the loopback at which nobody listens.
pub fn free_address() -> std::io::Result<std::net::SocketAddr> {
    std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()
}

/// A key prefix that no other test has.
pub fn prefix() -> String {
    format!("test-{:016x}:", rand::random::<u64>())
}

/// An empty Postgres database that no other test has.
pub async fn postgres_database() -> Database {
    let server = variable("TASKLIGHT_TEST_POSTGRES_URL");
    let name = format!("test_{:016x}", rand::random::<u64>());
    timeout(PATIENCE, execute(&server, &format!("CREATE DATABASE {name}"))).await.expect("Postgres answers").expect("it is made");
    Database { server, name }
}

/// A database, which is dropped with this, whoever is still connected to it.
#[derive(Debug)]
pub struct Database {
    server: String,
    name: String,
}

impl Database {
    /// Where it is.
    pub fn url(&self) -> String {
        let mut url: reqwest::Url = self.server.parse().expect("a URL");
        url.set_path(&self.name);
        url.into()
    }
}

impl Drop for Database {
    /// As well as it can: a test that ends because Postgres was killed leaves its database behind.
    fn drop(&mut self) {
        let (server, sql) = (self.server.clone(), format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name));
        // A runtime cannot be started inside the one that runs the test.
        let dropping = thread::spawn(move || {
            let runtime = runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async { timeout(PATIENCE, execute(&server, &sql)).await.is_ok_and(|done| done.is_ok()) })
        });
        if !dropping.join().unwrap_or_default() {
            eprintln!("the database {} is left behind", self.name);
        }
    }
}

/// Changes a database, SQLite's or Postgres's, behind its store's back.
pub async fn execute_on(url: &str, sql: &str) {
    let sql = sqlx::raw_sql(AssertSqlSafe(sql.to_owned()));
    match url.strip_prefix("sqlite://") {
        Some(path) => {
            let mut connection = sqlx::SqliteConnection::connect(path).await.expect("the file is there");
            connection.execute(sql).await.map(drop).expect("it is changed");
        }
        None => {
            let mut connection = PgConnection::connect(url).await.expect("Postgres is there");
            connection.execute(sql).await.map(drop).expect("it is changed");
        }
    }
}

async fn execute(server: &str, sql: &str) -> sqlx::Result<()> {
    let mut connection = PgConnection::connect(server).await?;
    connection.execute(sqlx::raw_sql(AssertSqlSafe(sql.to_owned()))).await?;
    connection.close().await
}

fn variable(name: &str) -> String {
    env::var(name).unwrap_or_else(|_| panic!("run `make test` or `make services`, or set {name}"))
}

#[tokio::test]
async fn a_database_is_empty_and_is_gone_afterwards() {
    let count = async |url: &str, sql: &'static str| {
        let mut connection = PgConnection::connect(url).await.expect("Postgres is there");
        sqlx::query_scalar::<_, i64>(sql).fetch_one(&mut connection).await.expect("a count")
    };
    let database = postgres_database().await;
    assert_eq!(count(&database.url(), "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").await, 0);
    let (server, name) = (database.server.clone(), database.name.clone());
    let _connected = PgConnection::connect(&database.url()).await.expect("it is there");
    drop(database);
    let sql = AssertSqlSafe(format!("SELECT count(*) FROM pg_database WHERE datname = '{name}'"));
    let mut connection = PgConnection::connect(&server).await.expect("Postgres is there");
    assert_eq!(sqlx::query_scalar::<_, i64>(sql).fetch_one(&mut connection).await.expect("a count"), 0);
}

#[tokio::test]
async fn a_prefix_is_ones_own() {
    let client = redis::Client::open(redis_url()).expect("a URL");
    let mut connection = client.get_multiplexed_async_connection().await.expect("Redis is there");
    let (ours, theirs) = (prefix(), prefix());
    let () = redis::cmd("SET").arg(format!("{ours}key")).arg(1).query_async(&mut connection).await.expect("it is set");
    let there: bool = redis::cmd("EXISTS").arg(format!("{theirs}key")).query_async(&mut connection).await.expect("an answer");
    assert!(!there);
}

/// A private key and its public one, both as PEM; `command` is what openssl makes the first with.
pub fn key_pair(command: &[&str]) -> (String, String) {
    let run = |arguments: &[&str], input: &str| {
        let mut child = std::process::Command::new("openssl")
            .args(arguments)
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::null())
            .spawn()
            .expect("openssl is installed");
        let mut stdin = child.stdin.take().expect("piped");
        std::io::Write::write_all(&mut stdin, input.as_bytes()).expect("it takes its input");
        drop(stdin);
        String::from_utf8(child.wait_with_output().expect("it ends").stdout).expect("PEM")
    };
    let private = run(command, "");
    let public = run(&["pkey", "-pubout"], &private);
    assert!(public.contains("BEGIN PUBLIC KEY"), "openssl makes keys");
    (private, public)
}
