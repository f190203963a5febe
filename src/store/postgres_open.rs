//! Opening Postgres: wait for it, bring its schema up to date, and see that it is the one whose offsets were given out.

use std::{str::FromStr, sync::Arc, time::Duration};

use sqlx::{
    AssertSqlSafe, Connection, Executor, PgConnection, Row,
    migrate::Migrator,
    postgres::{PgConnectOptions, PgPoolOptions},
};
use tokio::{
    sync::Mutex,
    time::{Instant, timeout},
};

use super::{
    OpenError, StoreError, StoreOptions,
    postgres::{MARGIN, PostgresStore},
};
use crate::{backoff::Backoff, model::Epoch};

static MIGRATIONS: Migrator = sqlx::migrate!("migrations/postgres");

/// The first and the longest wait for a server that is not there yet.
const RETRY: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(2));

/// A transaction in which nothing happens for so long is ended by the server: a hub that was stopped in the middle of one must not keep
/// others from its tasks.
const IDLE_IN_TRANSACTION: Duration = Duration::from_secs(5);

/// What names the server, the database and the timeline on which it writes, which a failover or a restore to a point in time changes.
const IDENTITY: &str = "(SELECT system_identifier FROM pg_control_system())::text || '/' || \
     (SELECT oid FROM pg_database WHERE datname = current_database())::text || '/' || \
     substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8)";

/// Whether the row of `store_identity`, under this name, was written here: on this server, database and timeline, and by the transaction that it names. What
/// is put back from a dump was written by another one.
pub(super) fn is_here(row: &str) -> String {
    format!("({row}.identity = {IDENTITY} AND {row}.written IS NOT DISTINCT FROM {row}.xmin)")
}

/// All our statements find rows by their keys and read logs in order of an index, and must go on to do so however small or new the tables are when
/// they are planned: a page of a log that was just filled was read by sorting the whole log. A plan that reads a small table through all
/// the same then counts as extremely expensive, which is not to make Postgres compile it, for half a second each time.
const BY_KEY: &str = "SET enable_seqscan = off; SET enable_bitmapscan = off; SET enable_hashjoin = off; \
                      SET enable_mergejoin = off; SET jit = off; SET plan_cache_mode = force_generic_plan";

/// The migrations that this program knows, by number.
pub(super) fn known_migrations() -> Vec<i64> {
    MIGRATIONS.iter().map(|migration| migration.version).collect()
}

/// Makes connections.
#[derive(Debug)]
pub(super) struct Connector {
    options: PgConnectOptions,
    connect_timeout: Duration,
    lock_timeout: Duration,
    pub(super) statement_timeout: Duration,
}

impl PostgresStore {
    pub(super) async fn open(options: &StoreOptions) -> Result<Self, OpenError> {
        let connect = PgConnectOptions::from_str(&options.url).map_err(|error| OpenError::BadUrl { reason: plain(&error) })?;
        let place = format!("{}:{}/{}", connect.get_host(), connect.get_port(), connect.get_database().unwrap_or_default());
        let failed = |reason: String| OpenError::Failed { path: place.clone().into(), reason };
        if !options.synchronous {
            return Err(failed("store.synchronous = normal is for SQLite: on Postgres a crash could give the offsets of confirmed activities to others".to_owned()));
        }
        let connector = Arc::new(Connector {
            options: connect.application_name("tasklight"),
            connect_timeout: options.connect_timeout,
            lock_timeout: options.busy_timeout,
            statement_timeout: options.statement_timeout,
        });
        let mut connection =
            connector.wait_for(options.start_timeout, &place).await.map_err(|error| failed(error.to_string()))?;
        bring_up_to_date(&mut connection, options.migrate, &place).await?;
        connector.set_up(&mut connection).await.map_err(|error| failed(error.to_string()))?;
        warn_about_durability(&mut connection).await.map_err(|error| failed(plain(&error)))?;
        // Closing in order is a courtesy.
        let _ = connection.close().await;
        let reading = connector.clone();
        let readers = PgPoolOptions::new()
            .max_connections(options.readers.max(1))
            .acquire_timeout(options.connect_timeout + MARGIN)
            .test_before_acquire(false)
            .max_lifetime(Duration::from_secs(1_800))
            .after_connect(move |connection, _| {
                let connector = reading.clone();
                Box::pin(async move {
                    connector.set_up(connection).await.map_err(|error| sqlx::Error::Protocol(error.to_string()))?;
                    connection.execute(BY_KEY).await.map(drop)
                })
            })
            // A connection that does not answer must not keep its place in the pool for ever.
            .after_release(|connection, _| {
                Box::pin(async move {
                    let alive = timeout(MARGIN, connection.ping()).await;
                    alive.map_err(|_| sqlx::Error::PoolTimedOut)?.map(|()| true)
                })
            })
            .connect_lazy_with(connector.options.clone());
        Ok(Self {
            readers,
            writers: (0..options.writers.max(1)).map(|_| Mutex::default()).collect(),
            purger: Arc::default(),
            connector,
            remembered: Arc::default(),
            stalled_after: options.stalled_after,
        })
    }

    /// Sees whether the logs are still those that were written last; if not, gives every one another life. Cheap: to be asked every few seconds.
    pub(super) async fn settle(&self) -> Result<(), StoreError> {
        let sql = AssertSqlSafe(format!("SELECT {} FROM store_identity", is_here("store_identity")));
        let same = self.within(async { Ok(sqlx::query_scalar::<_, bool>(sql).fetch_optional(&self.readers).await?) }).await?;
        if same == Some(true) { Ok(()) } else { self.write(settle).await }
    }

    /// Gives every log another life: after a restore that the server itself does not show.
    pub(super) async fn renew_epochs(&self) -> Result<(), StoreError> {
        self.write(async |connection: &mut PgConnection| renew(connection, "true").await.map(drop)).await
    }

    /// Lets a role without rights of its own use the tables.
    pub(super) async fn grant_to(&self, role: &str) -> Result<(), StoreError> {
        let role = role.replace('"', "\"\"");
        let sql = format!(
            "GRANT USAGE ON SCHEMA public TO \"{role}\"; \
             GRANT SELECT, INSERT, UPDATE, DELETE ON store_identity, tasks, invocations, activities, rejects, revocations, tickets, leases, log_sizes, transitions, webhook_wish, \
               deliveries, told_stalls, streams, stream_producers TO \"{role}\"; \
             GRANT USAGE ON SEQUENCE invocation_blocks TO \"{role}\"; GRANT SELECT ON _sqlx_migrations TO \"{role}\""
        );
        self.write(async |connection: &mut PgConnection| {
            Ok(connection.execute(sqlx::raw_sql(AssertSqlSafe(sql))).await.map(drop)?)
        })
        .await
    }
}

impl Connector {
    /// A connection for writing.
    pub(super) async fn connect_writer(&self) -> Result<PgConnection, StoreError> {
        let mut connection = self.connect().await?;
        self.set_up(&mut connection).await?;
        connection.execute(BY_KEY).await?;
        Ok(connection)
    }

    async fn connect(&self) -> Result<PgConnection, StoreError> {
        let connecting = timeout(self.connect_timeout, PgConnection::connect_with(&self.options));
        Ok(connecting.await.map_err(|_| StoreError::Unavailable("connecting takes too long".to_owned()))??)
    }

    /// A connection, waited for.
    async fn wait_for(&self, patience: Duration, place: &str) -> Result<PgConnection, StoreError> {
        let until = Instant::now() + patience;
        let mut backoff = Backoff::new(RETRY.0, RETRY.1);
        let mut said = false;
        loop {
            match self.connect().await {
                Err(error @ StoreError::Unavailable(_)) if Instant::now() < until => {
                    if !std::mem::replace(&mut said, true) {
                        tracing::warn!(%error, place, "waiting for the store");
                    }
                    backoff.wait().await;
                }
                done => return done,
            }
        }
    }

    /// Sets the session's limits and sees whether the log lives here.
    async fn set_up(&self, connection: &mut PgConnection) -> Result<(), StoreError> {
        let sql = format!(
            "SET statement_timeout = {}; SET lock_timeout = {}; SET idle_in_transaction_session_timeout = {}; \
             SET tcp_keepalives_idle = 10; SET tcp_keepalives_interval = 5; SET tcp_keepalives_count = 3; \
             SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'",
            self.statement_timeout.as_millis(),
            self.lock_timeout.as_millis(),
            IDLE_IN_TRANSACTION.as_millis(),
        );
        connection.execute(sqlx::raw_sql(AssertSqlSafe(sql))).await?;
        settle(connection).await
    }
}

/// Sees that the log was written here last, and gives every task another epoch if not.
pub(super) async fn settle(connection: &mut PgConnection) -> Result<(), StoreError> {
    let sql = AssertSqlSafe(format!("SELECT {} FROM store_identity", is_here("store_identity")));
    let same: Option<bool> = sqlx::query_scalar(sql).fetch_optional(&mut *connection).await?;
    if same != Some(true) {
        let renewed = renew(connection, &format!("NOT {}", is_here("store_identity"))).await?;
        if renewed && same.is_some() {
            tracing::warn!("the database was restored or has failed over: every task's log begins another epoch");
        }
    }
    Ok(())
}

/// Notes where the log is written and gives it another salt, if `condition` holds or nothing was noted yet. Of several nodes that find
/// the same, one does it.
async fn renew(connection: &mut PgConnection, condition: &str) -> Result<bool, StoreError> {
    let sql = AssertSqlSafe(format!(
        "INSERT INTO store_identity (id, identity, salt, written) VALUES (1, {IDENTITY}, $1, pg_current_xact_id()::xid) \
         ON CONFLICT (id) DO UPDATE SET identity = excluded.identity, salt = excluded.salt, written = excluded.written WHERE {condition}"
    ));
    let done = sqlx::query(sql).bind(i64::from(Epoch::generate().get())).execute(connection).await?;
    Ok(done.rows_affected() == 1)
}

/// Brings the schema up to date. Many may do this at once: sqlx holds an advisory lock. If there is nothing to do nothing is tried, so that
/// a role that may not change the schema can start a hub.
async fn bring_up_to_date(connection: &mut PgConnection, migrate: bool, place: &str) -> Result<(), OpenError> {
    let known = sqlx::query_scalar::<_, Option<i64>>("SELECT max(version) FROM _sqlx_migrations WHERE success")
        .fetch_one(&mut *connection)
        .await;
    let newest = MIGRATIONS.iter().map(|migration| migration.version).max();
    if newest <= known.ok().flatten() {
        return Ok(());
    }
    if !migrate {
        return Err(OpenError::OldSchema { path: place.into() });
    }
    let failed = |error: &dyn std::fmt::Display| OpenError::Failed {
        path: place.into(),
        reason: format!(
            "the schema could not be brought up to date: {error}; a role that owns the tables can do so with `tasklight migrate`"
        ),
    };
    MIGRATIONS.run(&mut *connection).await.map_err(|error| failed(&error))
}

async fn warn_about_durability(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    let rows = sqlx::query("SELECT name FROM pg_settings WHERE name IN ('fsync', 'full_page_writes') AND setting = 'off'")
        .fetch_all(connection)
        .await?;
    for row in rows {
        let setting: String = row.try_get("name")?;
        tracing::warn!("{setting} is off on the Postgres server: a power cut may lose activities that were confirmed");
    }
    Ok(())
}

/// What the driver says; it never echoes a password, which it has taken out of the URL before.
fn plain(error: &sqlx::Error) -> String {
    error.to_string()
}
