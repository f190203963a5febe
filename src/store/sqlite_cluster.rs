//! What nodes ask SQLite about the work of others: open tasks, stored events, changes, and what was refused.

use serde_json::json;
use sqlx::{Row, sqlite::SqliteRow};

use crate::model::{EventId, Reject, TaskId, Timestamp};

use super::{
    REJECTS, REJECTS_OF_TASK, StallSpan, StoreError,
    plan::LAG,
    sqlite::{SqliteStore, count, foreign, stored, time, word},
    sqlite_append::event_id,
    stalls::windows,
};

impl SqliteStore {
    pub(super) async fn open_tasks(&self, after: Option<i64>, limit: usize) -> Result<(Vec<TaskId>, Option<i64>), StoreError> {
        let rows =
            sqlx::query("SELECT id, name FROM tasks WHERE status IN ('pending', 'running') AND id > ?1 ORDER BY id LIMIT ?2")
                .bind(after.unwrap_or(i64::MIN))
                .bind(stored(limit as u64))
                .fetch_all(&self.readers)
                .await?;
        let next = rows.last().filter(|_| rows.len() == limit).map(|row| row.try_get("id")).transpose()?;
        let tasks = rows.iter().map(|row| word(row, "name")?.ok_or_else(|| foreign("name"))).collect::<Result<_, _>>()?;
        Ok((tasks, next))
    }

    pub(super) async fn stored_events(&self, task: &TaskId, events: &[EventId]) -> Result<Vec<EventId>, StoreError> {
        let wanted: Vec<_> = events.iter().map(|event| json!(event.to_string())).collect();
        let rows = sqlx::query(
            "SELECT activities.event_id FROM tasks CROSS JOIN json_each(?2) AS wanted CROSS JOIN activities \
             ON activities.task = tasks.id AND activities.event_id = unhex(wanted.value, '-') WHERE tasks.name = ?1",
        )
        .bind(task.as_str().to_owned())
        .bind(serde_json::Value::Array(wanted).to_string())
        .fetch_all(&self.readers)
        .await?;
        rows.iter().map(event_id).collect()
    }

    pub(super) async fn tasks_listed_since(&self, at: Timestamp, limit: usize) -> Result<Vec<TaskId>, StoreError> {
        let rows = sqlx::query("SELECT name FROM tasks WHERE listed_at >= ?1 ORDER BY listed_at DESC, id DESC LIMIT ?2")
            .bind(stored(at.minus(LAG).as_millis()))
            .bind(stored(limit as u64))
            .fetch_all(&self.readers)
            .await?;
        rows.iter().map(|row| word(row, "name")?.ok_or_else(|| foreign("name"))).collect()
    }

    pub(super) async fn may_have_stalled(&self, span: StallSpan, limit: usize) -> Result<Vec<TaskId>, StoreError> {
        let mut query = sqlx::query(
            "SELECT tasks.name FROM tasks WHERE tasks.id IN (SELECT i.task FROM invocations AS i WHERE i.status = 'running' \
               AND i.backfilled = 0 AND (i.last_activity_at BETWEEN ?1 AND ?2 OR i.last_activity_at BETWEEN ?3 AND ?4 \
               OR i.heartbeat_at BETWEEN ?5 AND ?6)) LIMIT ?7",
        );
        for bound in windows(span, &self.stalled_after) {
            query = query.bind(stored(bound));
        }
        let rows = query.bind(stored(limit as u64)).fetch_all(&self.readers).await?;
        rows.iter().map(|row| word(row, "name")?.ok_or_else(|| foreign("name"))).collect()
    }

    pub(super) async fn keep_rejects(&self, rejects: &[Reject]) -> Result<(), StoreError> {
        let mut transaction = self.writer.begin_with("BEGIN IMMEDIATE").await?;
        let mut tasks: Vec<&TaskId> = Vec::new();
        for reject in rejects {
            sqlx::query(
                "INSERT INTO rejects (task, at, code, field, message, event_id, bytes, excerpt) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
            )
            .bind(reject.task.as_str().to_owned())
            .bind(stored(reject.at.as_millis()))
            .bind(reject.code.clone())
            .bind(reject.field.clone())
            .bind(reject.message.clone())
            .bind(reject.event_id.map(|event| event.as_bytes().to_vec()))
            .bind(stored(reject.bytes))
            .bind(reject.excerpt.clone())
            .execute(&mut *transaction)
            .await?;
            if !tasks.contains(&&reject.task) {
                tasks.push(&reject.task);
            }
        }
        for task in tasks {
            sqlx::query(
                "DELETE FROM rejects WHERE task = ?1 AND id <= \
                 (SELECT id FROM rejects WHERE task = ?1 ORDER BY id DESC LIMIT 1 OFFSET ?2)",
            )
            .bind(task.as_str().to_owned())
            .bind(stored(REJECTS_OF_TASK as u64))
            .execute(&mut *transaction)
            .await?;
        }
        sqlx::query("DELETE FROM rejects WHERE id <= (SELECT max(id) FROM rejects) - ?1")
            .bind(stored(REJECTS as u64))
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
        Ok(())
    }

    pub(super) async fn rejects(&self, task: &TaskId, limit: usize) -> Result<Vec<Reject>, StoreError> {
        let rows = sqlx::query("SELECT * FROM rejects WHERE task = ?1 ORDER BY id DESC LIMIT ?2")
            .bind(task.as_str().to_owned())
            .bind(stored(limit as u64))
            .fetch_all(&self.readers)
            .await?;
        let read = |row: &SqliteRow| {
            let event: Option<&[u8]> = row.try_get("event_id")?;
            let event = event.map(|bytes| bytes.try_into().map(EventId::from_bytes).map_err(|_| foreign("event_id")));
            Ok(Reject {
                task: task.clone(),
                at: time(row, "at")?,
                code: row.try_get("code")?,
                field: row.try_get("field")?,
                message: row.try_get("message")?,
                event_id: event.transpose()?,
                bytes: count(row, "bytes")?,
                excerpt: row.try_get("excerpt")?,
            })
        };
        rows.iter().map(read).collect()
    }
}
