//! What access control keeps in Postgres: tokens that were taken back, and tickets.

use sqlx::{PgConnection, Row, postgres::PgRow};

use super::{
    StoreError,
    access::{StoredTicket, revoked},
    postgres::{PostgresStore, maybe_time, stored, time},
};
use crate::{
    auth::{MOST_REVOCATIONS, Revocation, Revoked},
    model::Timestamp,
};

impl PostgresStore {
    pub(super) async fn revoke(&self, revocation: &Revocation) -> Result<bool, StoreError> {
        let (subject, token) = match &revocation.revoked {
            Revoked::Subject(subject) => (Some(subject.as_str()), None),
            Revoked::Token(id) => (None, Some(id.as_str())),
        };
        self.write(async |connection: &mut PgConnection| {
            let done = sqlx::query(
                "WITH over AS (DELETE FROM revocations WHERE until <= $5) \
                 INSERT INTO revocations (subject, token, at, until) SELECT $1, $2, $3, $4 \
                 WHERE (SELECT count(*) FROM revocations WHERE until IS NULL OR until > $5) < $6",
            )
            .bind(subject)
            .bind(token)
            .bind(stored(revocation.at.as_millis()))
            .bind(revocation.until.map(|until| stored(until.as_millis())))
            .bind(stored(Timestamp::now().as_millis()))
            .bind(stored(MOST_REVOCATIONS as u64))
            .execute(connection)
            .await?;
            Ok(done.rows_affected() == 1)
        })
        .await
    }

    pub(super) async fn revocations(&self) -> Result<Vec<Revocation>, StoreError> {
        let query =
            sqlx::query("SELECT subject, token, at, until FROM revocations WHERE until IS NULL OR until > $1 ORDER BY id")
                .bind(stored(Timestamp::now().as_millis()));
        let rows = self.within(async { Ok(query.fetch_all(&self.readers).await?) }).await?;
        let read = |row: &PgRow| {
            let revoked = revoked(row.try_get("subject")?, row.try_get("token")?)?;
            Ok(Revocation { revoked, at: time(row, "at")?, until: maybe_time(row, "until")? })
        };
        rows.iter().map(read).collect()
    }

    pub(super) async fn put_ticket(&self, ticket: &StoredTicket) -> Result<(), StoreError> {
        self.write(async |connection: &mut PgConnection| {
            sqlx::query(
                "WITH over AS (DELETE FROM tickets WHERE expires_at <= $4) \
                 INSERT INTO tickets (sha256, caller, expires_at) VALUES ($1, $2, $3)",
            )
            .bind(&ticket.sha256)
            .bind(&ticket.caller)
            .bind(stored(ticket.expires.as_millis()))
            .bind(stored(Timestamp::now().as_millis()))
            .execute(connection)
            .await?;
            Ok(())
        })
        .await
    }

    pub(super) async fn take_ticket(&self, sha256: &str) -> Result<Option<StoredTicket>, StoreError> {
        self.write(async |connection: &mut PgConnection| {
            let row = sqlx::query("DELETE FROM tickets WHERE sha256 = $1 RETURNING caller, expires_at")
                .bind(sha256)
                .fetch_optional(connection)
                .await?;
            let read = |row: PgRow| {
                Ok(StoredTicket { sha256: sha256.to_owned(), caller: row.try_get("caller")?, expires: time(&row, "expires_at")? })
            };
            row.map(read).transpose()
        })
        .await
    }
}
