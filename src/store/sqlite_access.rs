//! What access control keeps in SQLite: tokens that were taken back, and tickets.

use sqlx::{Row, sqlite::SqliteRow};

use super::{
    StoreError,
    access::{StoredTicket, revoked},
    sqlite::{SqliteStore, maybe_time, stored, time},
};
use crate::{
    auth::{MOST_REVOCATIONS, Revocation, Revoked},
    model::Timestamp,
};

impl SqliteStore {
    pub(super) async fn revoke(&self, revocation: &Revocation) -> Result<bool, StoreError> {
        let (subject, token) = match &revocation.revoked {
            Revoked::Subject(subject) => (Some(subject.as_str().to_owned()), None),
            Revoked::Token(id) => (None, Some(id.clone())),
        };
        let mut transaction = self.writer.begin_with("BEGIN IMMEDIATE").await?;
        sqlx::query("DELETE FROM revocations WHERE until <= ?1")
            .bind(stored(Timestamp::now().as_millis()))
            .execute(&mut *transaction)
            .await?;
        let done = sqlx::query(
            "INSERT INTO revocations (subject, token, at, until) SELECT ?1, ?2, ?3, ?4 \
             WHERE (SELECT count(*) FROM revocations) < ?5",
        )
        .bind(subject)
        .bind(token)
        .bind(stored(revocation.at.as_millis()))
        .bind(revocation.until.map(|until| stored(until.as_millis())))
        .bind(stored(MOST_REVOCATIONS as u64))
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(done.rows_affected() == 1)
    }

    pub(super) async fn revocations(&self) -> Result<Vec<Revocation>, StoreError> {
        let rows = sqlx::query("SELECT subject, token, at, until FROM revocations WHERE until IS NULL OR until > ?1 ORDER BY id")
            .bind(stored(Timestamp::now().as_millis()))
            .fetch_all(&self.readers)
            .await?;
        let read = |row: &SqliteRow| {
            let revoked = revoked(row.try_get("subject")?, row.try_get("token")?)?;
            Ok(Revocation { revoked, at: time(row, "at")?, until: maybe_time(row, "until")? })
        };
        rows.iter().map(read).collect()
    }

    pub(super) async fn put_ticket(&self, ticket: &StoredTicket) -> Result<(), StoreError> {
        let mut transaction = self.writer.begin_with("BEGIN IMMEDIATE").await?;
        sqlx::query("DELETE FROM tickets WHERE expires_at <= ?1")
            .bind(stored(Timestamp::now().as_millis()))
            .execute(&mut *transaction)
            .await?;
        sqlx::query("INSERT INTO tickets (sha256, caller, expires_at) VALUES (?1, ?2, ?3)")
            .bind(ticket.sha256.clone())
            .bind(ticket.caller.clone())
            .bind(stored(ticket.expires.as_millis()))
            .execute(&mut *transaction)
            .await?;
        Ok(transaction.commit().await?)
    }

    pub(super) async fn take_ticket(&self, sha256: &str) -> Result<Option<StoredTicket>, StoreError> {
        let mut transaction = self.writer.begin_with("BEGIN IMMEDIATE").await?;
        let row = sqlx::query("DELETE FROM tickets WHERE sha256 = ?1 RETURNING caller, expires_at")
            .bind(sha256.to_owned())
            .fetch_optional(&mut *transaction)
            .await?;
        transaction.commit().await?;
        let read = |row: SqliteRow| {
            Ok(StoredTicket { sha256: sha256.to_owned(), caller: row.try_get("caller")?, expires: time(&row, "expires_at")? })
        };
        row.map(read).transpose()
    }
}
