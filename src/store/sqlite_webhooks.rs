//! What webhooks are told of, in SQLite.

use std::{sync::atomic::Ordering, time::Duration};

use serde_json::json;
use sqlx::{AssertSqlSafe, Row, SqliteConnection, sqlite::SqliteRow};

use super::{
    Fence, StoreError,
    sqlite::{SqliteStore, count, foreign, maybe_time, stored, time},
    sqlite_append::text,
    sqlite_leases::{NOW, holds, millis},
    webhooks::{Delivery, NewDelivery, NextDelivery, Queue, Stall, Untold, labels, read, written},
};
use crate::model::Timestamp;

impl SqliteStore {
    pub(super) async fn wish_for_transitions(&self, term: Duration) -> Result<Timestamp, StoreError> {
        // This process is the only one, so that appending need not ask the database whether somebody wishes.
        self.keeps_transitions.store(true, Ordering::Relaxed);
        let sql = format!(
            "INSERT INTO webhook_wish AS w (id, since, until) SELECT 1, clock.at, clock.at + ?1 FROM (SELECT {NOW} AS at) AS clock WHERE true \
             ON CONFLICT (id) DO UPDATE SET since = CASE WHEN w.until < excluded.since THEN excluded.since ELSE w.since END, \
               until = max(w.until, excluded.until) RETURNING since"
        );
        let row = sqlx::query(AssertSqlSafe(sql)).bind(millis(term)).fetch_one(&self.writer).await?;
        time(&row, "since")
    }

    pub(super) async fn forget_unwanted(&self) -> Result<(), StoreError> {
        for table in ["transitions", "deliveries", "told_stalls"] {
            let sql = format!("DELETE FROM {table} WHERE NOT EXISTS (SELECT 1 FROM webhook_wish WHERE until > {NOW})");
            sqlx::query(AssertSqlSafe(sql)).execute(&self.writer).await?;
        }
        Ok(())
    }

    pub(super) async fn untold(&self, limit: usize) -> Result<Vec<Untold>, StoreError> {
        let rows = sqlx::query(
            "SELECT moved.id, moved.data, tasks.title, tasks.labels FROM transitions AS moved \
             LEFT JOIN tasks ON tasks.name = moved.task ORDER BY moved.id LIMIT ?1",
        )
        .bind(stored(limit as u64))
        .fetch_all(&self.readers)
        .await?;
        let untold = |row: &SqliteRow| {
            let transition = read(row.try_get("data")?)?;
            Ok(Untold {
                key: row.try_get("id")?,
                transition,
                title: row.try_get("title")?,
                labels: labels(row.try_get("labels")?),
            })
        };
        rows.iter().map(untold).collect()
    }

    pub(super) async fn hand_out(&self, fence: Fence, told: &[i64], deliveries: &[NewDelivery]) -> Result<bool, StoreError> {
        let told: Vec<_> = told.iter().map(|key| json!(key)).collect();
        let new: Vec<_> =
            deliveries.iter().map(|new| json!([new.endpoint, new.event, new.run, new.at.as_millis(), new.body])).collect();
        self.fenced(fence, async |connection| {
            sqlx::query("DELETE FROM transitions WHERE id IN (SELECT value FROM json_each(?1))")
                .bind(text(&told))
                .execute(&mut *connection)
                .await?;
            if new.is_empty() {
                return Ok(());
            }
            sqlx::query(
                "INSERT INTO deliveries (endpoint, event, run, at, body) \
                 SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4 FROM json_each(?1) ORDER BY key",
            )
            .bind(text(&new))
            .execute(connection)
            .await?;
            Ok(())
        })
        .await
    }

    pub(super) async fn note_stalls(&self, fence: Fence, stalls: &[Stall]) -> Result<bool, StoreError> {
        let all: Vec<_> = stalls
            .iter()
            .map(|stall| {
                let Stall { run, transition } = stall;
                json!([run, transition.at.as_millis(), transition.task.as_str(), written(transition)])
            })
            .collect();
        let news = sqlx::query(
            "SELECT wanted.value FROM json_each(?1) AS wanted WHERE NOT EXISTS (SELECT 1 FROM told_stalls AS told \
             WHERE told.run = wanted.value ->> 0 AND told.stalled_from = wanted.value ->> 1) ORDER BY wanted.key",
        )
        .bind(text(&all))
        .fetch_all(&self.readers)
        .await?;
        let news: Vec<&str> = news.iter().map(|row| row.try_get("value")).collect::<Result<_, _>>()?;
        if news.is_empty() {
            return Ok(true);
        }
        let news = format!("[{}]", news.join(","));
        self.fenced(fence, async |connection| {
            sqlx::query(
                "INSERT INTO told_stalls (run, stalled_from) SELECT value ->> 0, value ->> 1 FROM json_each(?1) WHERE true \
                 ON CONFLICT (run) DO UPDATE SET stalled_from = excluded.stalled_from",
            )
            .bind(news.clone())
            .execute(&mut *connection)
            .await?;
            sqlx::query("INSERT INTO transitions (task, data) SELECT value ->> 2, value ->> 3 FROM json_each(?1) ORDER BY key")
                .bind(news)
                .execute(connection)
                .await?;
            Ok(())
        })
        .await
    }

    pub(super) async fn forget_told_stalls(&self) -> Result<(), StoreError> {
        sqlx::query(
            "DELETE FROM told_stalls WHERE NOT EXISTS \
             (SELECT 1 FROM invocations AS i WHERE i.id = told_stalls.run AND i.status IN ('pending', 'running'))",
        )
        .execute(&self.writer)
        .await?;
        Ok(())
    }

    pub(super) async fn next_delivery(&self, endpoint: &str, now: Timestamp) -> Result<NextDelivery, StoreError> {
        let now = stored(now.as_millis());
        let due = sqlx::query(
            "SELECT d.id, d.event, d.at, d.attempts, d.body FROM deliveries AS d WHERE d.endpoint = ?1 AND d.due_at <= ?2 \
             AND NOT EXISTS (SELECT 1 FROM deliveries AS e WHERE e.endpoint = d.endpoint AND e.run = d.run AND e.id < d.id) \
             ORDER BY d.id LIMIT 1",
        )
        .bind(endpoint.to_owned())
        .bind(now)
        .fetch_optional(&self.readers)
        .await?;
        if let Some(row) = due {
            return Ok(NextDelivery::Due(Delivery {
                key: row.try_get("id")?,
                event: row.try_get("event")?,
                at: time(&row, "at")?,
                attempts: u32::try_from(row.try_get::<i64, _>("attempts")?).map_err(|_| foreign("attempts"))?,
                body: row.try_get("body")?,
            }));
        }
        let row = sqlx::query("SELECT min(due_at) AS due_at FROM deliveries WHERE endpoint = ?1 AND due_at > ?2")
            .bind(endpoint.to_owned())
            .bind(now)
            .fetch_one(&self.readers)
            .await?;
        Ok(maybe_time(&row, "due_at")?.map_or(NextDelivery::None, NextDelivery::Later))
    }

    pub(super) async fn end_delivery(&self, key: i64) -> Result<(), StoreError> {
        sqlx::query("DELETE FROM deliveries WHERE id = ?1").bind(key).execute(&self.writer).await?;
        Ok(())
    }

    pub(super) async fn postpone_delivery(&self, key: i64, due_at: Timestamp) -> Result<(), StoreError> {
        sqlx::query("UPDATE deliveries SET attempts = attempts + 1, due_at = ?2 WHERE id = ?1")
            .bind(key)
            .bind(stored(due_at.as_millis()))
            .execute(&self.writer)
            .await?;
        Ok(())
    }

    pub(super) async fn drop_oldest_deliveries(&self, endpoint: &str, keep: usize) -> Result<u64, StoreError> {
        let done = sqlx::query(
            "DELETE FROM deliveries WHERE endpoint = ?1 AND id <= \
             (SELECT id FROM deliveries WHERE endpoint = ?1 ORDER BY id DESC LIMIT 1 OFFSET ?2)",
        )
        .bind(endpoint.to_owned())
        .bind(stored(keep as u64))
        .execute(&self.writer)
        .await?;
        Ok(done.rows_affected())
    }

    pub(super) async fn drop_deliveries_of_others(&self, endpoints: &[String], before: Timestamp) -> Result<u64, StoreError> {
        let done = sqlx::query("DELETE FROM deliveries WHERE at < ?2 AND endpoint NOT IN (SELECT value FROM json_each(?1))")
            .bind(json!(endpoints).to_string())
            .bind(stored(before.as_millis()))
            .execute(&self.writer)
            .await?;
        Ok(done.rows_affected())
    }

    pub(super) async fn delivery_queues(&self) -> Result<Vec<Queue>, StoreError> {
        let rows = sqlx::query(
            "SELECT endpoint, count(*) AS waiting, min(at) AS oldest FROM deliveries GROUP BY endpoint ORDER BY endpoint",
        )
        .fetch_all(&self.readers)
        .await?;
        let queue = |row: &SqliteRow| {
            let (waiting, oldest) = (count(row, "waiting")?, maybe_time(row, "oldest")?);
            Ok(Queue { endpoint: row.try_get("endpoint")?, waiting, oldest })
        };
        rows.iter().map(queue).collect()
    }

    /// The work in a transaction in which the fence holds; says whether it did.
    async fn fenced(
        &self,
        fence: Fence,
        work: impl AsyncFnOnce(&mut SqliteConnection) -> Result<(), sqlx::Error>,
    ) -> Result<bool, StoreError> {
        let mut transaction = self.writer.begin_with("BEGIN IMMEDIATE").await?;
        if !holds(&mut transaction, fence).await? {
            transaction.rollback().await?;
            return Ok(false);
        }
        work(&mut transaction).await?;
        transaction.commit().await?;
        Ok(true)
    }
}
