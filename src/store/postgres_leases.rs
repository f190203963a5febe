//! Leases in Postgres, and what must still hold when something that was decided is committed.
//!
//! They are written on reading connections, each by one statement: those that write are for activities.

use std::time::Duration;

use sqlx::{AssertSqlSafe, PgConnection, PgExecutor, Row, postgres::PgRow};

use super::{
    StoreError,
    condition::{Condition, Heard},
    leases::{Fence, HeldLease, LONGEST, LeaseName, LeaseRow},
    plan::Rows,
    postgres::{PostgresStore, maybe_time, number, time},
};
use crate::model::{Offset, Timestamp};

/// The server's time. (`now()` is that of the transaction's begin, which may be long ago.)
pub(super) const NOW: &str = "(extract(epoch FROM clock_timestamp()) * 1000)::int8";

pub(super) fn millis(term: Duration) -> i64 {
    i64::try_from(term.as_millis()).unwrap_or(i64::MAX)
}

fn held(lease: LeaseName, row: &PgRow) -> Result<HeldLease, StoreError> {
    Ok(HeldLease { fence: Fence { lease, token: row.try_get("token")? }, since: time(row, "since")?, now: time(row, "now")? })
}

impl PostgresStore {
    pub(super) async fn acquire_lease(
        &self,
        lease: LeaseName,
        holder: &str,
        term: Duration,
    ) -> Result<Option<HeldLease>, StoreError> {
        let sql = AssertSqlSafe(format!(
            "INSERT INTO leases AS l (name, holder, token, since, expires_at) \
             SELECT $1, $2, 1, clock.at, clock.at + $3 FROM (SELECT {NOW} AS at) AS clock \
             ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, token = l.token + 1, \
               since = CASE WHEN excluded.since <= l.expires_at + $3 THEN least(l.since, excluded.since) ELSE excluded.since END, \
               expires_at = excluded.expires_at \
             WHERE l.holder IS NULL OR l.expires_at <= excluded.since OR l.expires_at > excluded.since + $4 \
             RETURNING token, since, expires_at - $3 AS now"
        ));
        let query = sqlx::query(sql).bind(lease.as_str()).bind(holder).bind(millis(term)).bind(millis(LONGEST));
        let row = self.within(async { Ok(query.fetch_optional(&self.readers).await?) }).await?;
        row.map(|row| held(lease, &row)).transpose()
    }

    pub(super) async fn renew_lease(&self, fence: Fence, term: Duration) -> Result<Option<HeldLease>, StoreError> {
        let sql = AssertSqlSafe(format!(
            "UPDATE leases SET expires_at = clock.at + $3, token = token + CASE WHEN clock.at <= expires_at + $3 THEN 0 ELSE 1 END, \
               since = CASE WHEN clock.at <= expires_at + $3 THEN least(since, clock.at) ELSE clock.at END \
             FROM (SELECT {NOW} AS at) AS clock WHERE name = $1 AND token = $2 AND holder IS NOT NULL \
             RETURNING token, since, expires_at - $3 AS now"
        ));
        let query = sqlx::query(sql).bind(fence.lease.as_str()).bind(fence.token).bind(millis(term));
        let row = self.within(async { Ok(query.fetch_optional(&self.readers).await?) }).await?;
        row.map(|row| held(fence.lease, &row)).transpose()
    }

    pub(super) async fn release_lease(&self, fence: Fence) -> Result<(), StoreError> {
        let sql = AssertSqlSafe(format!(
            "UPDATE leases SET holder = NULL, expires_at = least(expires_at, {NOW}) WHERE name = $1 AND token = $2"
        ));
        let query = sqlx::query(sql).bind(fence.lease.as_str()).bind(fence.token);
        self.within(async { Ok(query.execute(&self.readers).await.map(drop)?) }).await
    }

    pub(super) async fn leases(&self) -> Result<(Vec<LeaseRow>, Timestamp), StoreError> {
        self.within(leases(&self.readers)).await
    }
}

pub(super) async fn leases(database: impl PgExecutor<'_>) -> Result<(Vec<LeaseRow>, Timestamp), StoreError> {
    let sql =
        format!("SELECT clock.at AS now, leases.* FROM (SELECT {NOW} AS at) AS clock LEFT JOIN leases ON true ORDER BY name");
    let rows = sqlx::query(AssertSqlSafe(sql)).fetch_all(database).await?;
    let now = rows.first().map(|row| time(row, "now")).transpose()?.unwrap_or_default();
    let real = |row: &&PgRow| row.try_get::<Option<&str>, _>("name").is_ok_and(|name| name.is_some());
    let read = |row: &PgRow| {
        Ok(LeaseRow {
            name: row.try_get("name")?,
            holder: row.try_get("holder")?,
            token: row.try_get("token")?,
            since: time(row, "since")?,
            expires_at: time(row, "expires_at")?,
        })
    };
    Ok((rows.iter().filter(real).map(read).collect::<Result<_, StoreError>>()?, now))
}

/// Whether the fence holds. Until the transaction ends nobody else can take the lease over.
pub(super) async fn holds(connection: &mut PgConnection, fence: Fence) -> Result<bool, sqlx::Error> {
    let sql = AssertSqlSafe(format!(
        "SELECT 1 FROM leases WHERE name = $1 AND token = $2 AND holder IS NOT NULL AND expires_at > {NOW} FOR SHARE"
    ));
    let row = sqlx::query(sql).bind(fence.lease.as_str()).bind(fence.token).fetch_optional(connection).await?;
    Ok(row.is_some())
}

/// Notes in `rows`, which are locked, what the condition does not allow.
pub(super) async fn check(connection: &mut PgConnection, condition: &Condition, rows: &mut Rows) -> Result<(), sqlx::Error> {
    if !holds(connection, condition.fence).await? {
        condition.refuse_all(rows);
        return Ok(());
    }
    let runs: Vec<i64> = condition.keys(rows);
    let found = sqlx::query(
        "SELECT i.id, i.heartbeat_at, (SELECT a.\"offset\" FROM activities AS a WHERE a.invocation = i.id \
         ORDER BY a.\"offset\" DESC LIMIT 1) AS newest FROM invocations AS i WHERE i.id = ANY($1)",
    )
    .bind(runs)
    .fetch_all(connection)
    .await?;
    let read = |row: &PgRow| {
        let newest = number(row, "newest")?.and_then(Offset::new);
        Ok((row.try_get("id")?, Heard { newest, heartbeat_at: maybe_time(row, "heartbeat_at")? }))
    };
    let found: Result<_, StoreError> = found.iter().map(read).collect();
    let found = found.map_err(|error| sqlx::Error::Decode(error.into()))?;
    condition.refuse_changed(&found, rows);
    Ok(())
}
