//! What nodes ask Postgres about the work of others: open tasks, stored events, changes, and what was refused.

use sqlx::{Connection, PgConnection, Row, postgres::PgRow};
use uuid::Uuid;

use crate::model::{EventId, Reject, TaskId, Timestamp};

use super::{
    REJECTS, REJECTS_OF_TASK, StallSpan, StoreError,
    plan::LAG,
    postgres::{PostgresStore, count, foreign, stored, time, word},
    postgres_read::event_id,
    stalls::windows,
};

impl PostgresStore {
    pub(super) async fn open_tasks(&self, after: Option<i64>, limit: usize) -> Result<(Vec<TaskId>, Option<i64>), StoreError> {
        let query =
            sqlx::query("SELECT id, name FROM tasks WHERE status IN ('pending', 'running') AND id > $1 ORDER BY id LIMIT $2")
                .bind(after.unwrap_or(i64::MIN))
                .bind(stored(limit as u64));
        let rows = self.within(async { Ok(query.fetch_all(&self.readers).await?) }).await?;
        let next = rows.last().filter(|_| rows.len() == limit).map(|row| row.try_get("id")).transpose()?;
        Ok((rows.iter().map(name).collect::<Result<_, _>>()?, next))
    }

    pub(super) async fn stored_events(&self, task: &TaskId, events: &[EventId]) -> Result<Vec<EventId>, StoreError> {
        let wanted: Vec<Uuid> = events.iter().map(|event| Uuid::from_bytes(*event.as_bytes())).collect();
        let query = sqlx::query(
            "SELECT a.event_id FROM tasks AS t JOIN activities AS a ON a.task = t.id AND a.event_id = ANY($2) WHERE t.name = $1",
        )
        .bind(task.as_str())
        .bind(wanted);
        let rows = self.within(async { Ok(query.fetch_all(&self.readers).await?) }).await?;
        rows.iter().map(|row| event_id(row, "event_id")).collect()
    }

    pub(super) async fn tasks_listed_since(&self, at: Timestamp, limit: usize) -> Result<Vec<TaskId>, StoreError> {
        let query = sqlx::query("SELECT name FROM tasks WHERE listed_at >= $1 ORDER BY listed_at DESC, id DESC LIMIT $2")
            .bind(stored(at.minus(LAG).as_millis()))
            .bind(stored(limit as u64));
        let rows = self.within(async { Ok(query.fetch_all(&self.readers).await?) }).await?;
        rows.iter().map(name).collect()
    }

    pub(super) async fn may_have_stalled(&self, span: StallSpan, limit: usize) -> Result<Vec<TaskId>, StoreError> {
        let mut query = sqlx::query(
            "SELECT tasks.name FROM tasks WHERE tasks.id IN (SELECT i.task FROM invocations AS i WHERE i.status = 'running' \
               AND NOT i.backfilled AND (i.last_activity_at BETWEEN $1 AND $2 OR i.last_activity_at BETWEEN $3 AND $4 \
               OR i.heartbeat_at BETWEEN $5 AND $6)) LIMIT $7",
        );
        for bound in windows(span, &self.stalled_after) {
            query = query.bind(stored(bound));
        }
        let query = query.bind(stored(limit as u64));
        let rows = self.within(async { Ok(query.fetch_all(&self.readers).await?) }).await?;
        rows.iter().map(name).collect()
    }

    pub(super) async fn keep_rejects(&self, rejects: &[Reject]) -> Result<(), StoreError> {
        let mut tasks: Vec<&str> = rejects.iter().map(|reject| reject.task.as_str()).collect();
        tasks.sort_unstable();
        tasks.dedup();
        self.write(async |connection: &mut PgConnection| {
            let mut transaction = connection.begin().await?;
            sqlx::query(
                "INSERT INTO rejects (task, at, code, field, message, event_id, bytes, excerpt) SELECT * FROM \
                 unnest($1::text[], $2::int8[], $3::text[], $4::text[], $5::text[], $6::uuid[], $7::int8[], $8::text[])",
            )
            .bind(rejects.iter().map(|reject| reject.task.as_str()).collect::<Vec<_>>())
            .bind(rejects.iter().map(|reject| stored(reject.at.as_millis())).collect::<Vec<_>>())
            .bind(rejects.iter().map(|reject| reject.code.as_str()).collect::<Vec<_>>())
            .bind(rejects.iter().map(|reject| reject.field.as_deref()).collect::<Vec<_>>())
            .bind(rejects.iter().map(|reject| reject.message.as_str()).collect::<Vec<_>>())
            .bind(rejects.iter().map(|reject| reject.event_id.map(|id| Uuid::from_bytes(*id.as_bytes()))).collect::<Vec<_>>())
            .bind(rejects.iter().map(|reject| stored(reject.bytes)).collect::<Vec<_>>())
            .bind(rejects.iter().map(|reject| reject.excerpt.as_str()).collect::<Vec<_>>())
            .execute(&mut *transaction)
            .await?;
            // Two nodes that trim the same rows at once pass over each other's.
            sqlx::query(
                "DELETE FROM rejects WHERE id IN (SELECT id FROM rejects WHERE id <= (SELECT max(id) FROM rejects) - $3 \
                   OR (task = ANY($1) AND id <= (SELECT r.id FROM rejects AS r WHERE r.task = rejects.task \
                   ORDER BY r.id DESC LIMIT 1 OFFSET $2)) FOR UPDATE SKIP LOCKED)",
            )
            .bind(tasks)
            .bind(stored(REJECTS_OF_TASK as u64))
            .bind(stored(REJECTS as u64))
            .execute(&mut *transaction)
            .await?;
            Ok(transaction.commit().await?)
        })
        .await
    }

    pub(super) async fn rejects(&self, task: &TaskId, limit: usize) -> Result<Vec<Reject>, StoreError> {
        let query = sqlx::query("SELECT * FROM rejects WHERE task = $1 ORDER BY id DESC LIMIT $2")
            .bind(task.as_str())
            .bind(stored(limit as u64));
        let rows = self.within(async { Ok(query.fetch_all(&self.readers).await?) }).await?;
        let read = |row: &PgRow| {
            let event: Option<Uuid> = row.try_get("event_id")?;
            Ok(Reject {
                task: task.clone(),
                at: time(row, "at")?,
                code: row.try_get("code")?,
                field: row.try_get("field")?,
                message: row.try_get("message")?,
                event_id: event.map(|id| EventId::from_bytes(id.into_bytes())),
                bytes: count(row, "bytes")?,
                excerpt: row.try_get("excerpt")?,
            })
        };
        rows.iter().map(read).collect()
    }
}

fn name(row: &PgRow) -> Result<TaskId, StoreError> {
    word(row, "name")?.ok_or_else(|| foreign("name"))
}
