//! Leases in SQLite, and what must still hold when something that was decided is committed. One process has the file, so a lease is always its own; that
//! it runs out still matters: a machine that slept is as a node that was stopped.

use std::time::Duration;

use serde_json::json;
use sqlx::{AssertSqlSafe, Row, SqliteConnection, SqliteExecutor, sqlite::SqliteRow};

use super::{
    StoreError,
    condition::{Condition, Heard},
    leases::{Fence, HeldLease, LONGEST, LeaseName, LeaseRow},
    plan::Rows,
    sqlite::{SqliteStore, maybe_time, number, time},
    sqlite_append::text,
};
use crate::model::{Offset, Timestamp};

/// The machine's time.
pub(super) const NOW: &str = "CAST(unixepoch('subsec') * 1000 AS INTEGER)";

pub(super) fn millis(term: Duration) -> i64 {
    i64::try_from(term.as_millis()).unwrap_or(i64::MAX)
}

fn held(lease: LeaseName, row: &SqliteRow) -> Result<HeldLease, StoreError> {
    Ok(HeldLease { fence: Fence { lease, token: row.try_get("token")? }, since: time(row, "since")?, now: time(row, "now")? })
}

impl SqliteStore {
    pub(super) async fn acquire_lease(
        &self,
        lease: LeaseName,
        holder: &str,
        term: Duration,
    ) -> Result<Option<HeldLease>, StoreError> {
        let sql = format!(
            "INSERT INTO leases (name, holder, token, since, expires_at) \
             SELECT ?1, ?2, 1, clock.at, clock.at + ?3 FROM (SELECT {NOW} AS at) AS clock WHERE true \
             ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, token = token + 1, \
               since = CASE WHEN excluded.since <= expires_at + ?3 THEN min(since, excluded.since) ELSE excluded.since END, \
               expires_at = excluded.expires_at \
             WHERE holder IS NULL OR expires_at <= excluded.since OR expires_at > excluded.since + ?4 \
             RETURNING token, since, expires_at - ?3 AS now"
        );
        let row = sqlx::query(AssertSqlSafe(sql))
            .bind(lease.as_str())
            .bind(holder.to_owned())
            .bind(millis(term))
            .bind(millis(LONGEST))
            .fetch_optional(&self.writer)
            .await?;
        row.map(|row| held(lease, &row)).transpose()
    }

    pub(super) async fn renew_lease(&self, fence: Fence, term: Duration) -> Result<Option<HeldLease>, StoreError> {
        let sql = format!(
            "UPDATE leases SET expires_at = clock.at + ?3, token = token + CASE WHEN clock.at <= expires_at + ?3 THEN 0 ELSE 1 END, \
               since = CASE WHEN clock.at <= expires_at + ?3 THEN min(since, clock.at) ELSE clock.at END \
             FROM (SELECT {NOW} AS at) AS clock WHERE name = ?1 AND token = ?2 AND holder IS NOT NULL \
             RETURNING token, since, expires_at - ?3 AS now"
        );
        let row = sqlx::query(AssertSqlSafe(sql))
            .bind(fence.lease.as_str())
            .bind(fence.token)
            .bind(millis(term))
            .fetch_optional(&self.writer)
            .await?;
        row.map(|row| held(fence.lease, &row)).transpose()
    }

    pub(super) async fn release_lease(&self, fence: Fence) -> Result<(), StoreError> {
        let sql = format!("UPDATE leases SET holder = NULL, expires_at = min(expires_at, {NOW}) WHERE name = ?1 AND token = ?2");
        sqlx::query(AssertSqlSafe(sql)).bind(fence.lease.as_str()).bind(fence.token).execute(&self.writer).await?;
        Ok(())
    }

    pub(super) async fn leases(&self) -> Result<(Vec<LeaseRow>, Timestamp), StoreError> {
        leases(&self.readers).await
    }
}

pub(super) async fn leases(database: impl SqliteExecutor<'_>) -> Result<(Vec<LeaseRow>, Timestamp), StoreError> {
    let rows = sqlx::query("SELECT * FROM leases ORDER BY name").fetch_all(database).await?;
    let read = |row: &SqliteRow| {
        Ok(LeaseRow {
            name: row.try_get("name")?,
            holder: row.try_get("holder")?,
            token: row.try_get("token")?,
            since: time(row, "since")?,
            expires_at: time(row, "expires_at")?,
        })
    };
    Ok((rows.iter().map(read).collect::<Result<_, StoreError>>()?, Timestamp::now()))
}

/// Whether the fence holds. Until the transaction ends nobody else can take the lease over.
pub(super) async fn holds(connection: &mut SqliteConnection, fence: Fence) -> Result<bool, sqlx::Error> {
    let sql = format!("SELECT 1 FROM leases WHERE name = ?1 AND token = ?2 AND holder IS NOT NULL AND expires_at > {NOW}");
    let row = sqlx::query(AssertSqlSafe(sql)).bind(fence.lease.as_str()).bind(fence.token).fetch_optional(connection).await?;
    Ok(row.is_some())
}

/// Notes in `rows`, within a transaction that writes, what the condition does not allow.
pub(super) async fn check(connection: &mut SqliteConnection, condition: &Condition, rows: &mut Rows) -> Result<(), StoreError> {
    if !holds(connection, condition.fence).await? {
        condition.refuse_all(rows);
        return Ok(());
    }
    let runs: Vec<_> = condition.keys(rows).into_iter().map(|key| json!(key)).collect();
    let found = sqlx::query(
        "SELECT i.id, i.heartbeat_at, (SELECT max(a.\"offset\") FROM activities AS a WHERE a.invocation = i.id) AS newest \
         FROM json_each(?1) AS wanted CROSS JOIN invocations AS i ON i.id = wanted.value",
    )
    .bind(text(&runs))
    .fetch_all(connection)
    .await?;
    let read = |row: &SqliteRow| {
        let newest = number(row, "newest")?.and_then(Offset::new);
        Ok((row.try_get("id")?, Heard { newest, heartbeat_at: maybe_time(row, "heartbeat_at")? }))
    };
    let found = found.iter().map(read).collect::<Result<_, StoreError>>()?;
    condition.refuse_changed(&found, rows);
    Ok(())
}
