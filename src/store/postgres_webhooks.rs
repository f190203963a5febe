//! What webhooks are told of, in Postgres. On reading connections: those that write are for activities.

use std::{collections::HashMap, time::Duration};

use sqlx::{AssertSqlSafe, Connection, PgConnection, Row, postgres::PgRow};

use super::{
    Fence, StoreError,
    postgres::{PostgresStore, count, foreign, maybe_time, stored, time},
    postgres_leases::{NOW, holds, millis},
    webhooks::{Delivery, NewDelivery, NextDelivery, Queue, Stall, Untold, labels, read, written},
};
use crate::model::Timestamp;

/// Whether moves of runs are to be noted.
pub(super) const WANTED: &str =
    "EXISTS (SELECT 1 FROM webhook_wish AS w WHERE w.until > (extract(epoch FROM clock_timestamp()) * 1000)::int8)";

impl PostgresStore {
    pub(super) async fn wish_for_transitions(&self, term: Duration) -> Result<Timestamp, StoreError> {
        let sql = format!(
            "INSERT INTO webhook_wish AS w (id, since, until) SELECT 1, clock.at, clock.at + $1 FROM (SELECT {NOW} AS at) AS clock \
             ON CONFLICT (id) DO UPDATE SET since = CASE WHEN w.until < excluded.since THEN excluded.since ELSE w.since END, \
               until = greatest(w.until, excluded.until) RETURNING since"
        );
        let query = sqlx::query(AssertSqlSafe(sql)).bind(millis(term));
        let row = self.within(async { Ok(query.fetch_one(&self.readers).await?) }).await?;
        time(&row, "since")
    }

    pub(super) async fn forget_unwanted(&self) -> Result<(), StoreError> {
        for table in ["transitions", "deliveries", "told_stalls"] {
            let query = sqlx::query(AssertSqlSafe(format!("DELETE FROM {table} WHERE NOT {WANTED}")));
            self.within(async { Ok(query.execute(&self.readers).await.map(drop)?) }).await?;
        }
        Ok(())
    }

    pub(super) async fn untold(&self, limit: usize) -> Result<Vec<Untold>, StoreError> {
        let query = sqlx::query(
            "SELECT moved.id, moved.data, tasks.title, tasks.labels::text AS labels FROM transitions AS moved \
             LEFT JOIN tasks ON tasks.name = moved.task ORDER BY moved.id LIMIT $1",
        )
        .bind(stored(limit as u64));
        let rows = self.within(async { Ok(query.fetch_all(&self.readers).await?) }).await?;
        let untold = |row: &PgRow| {
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
        self.fenced(fence, async |connection| {
            sqlx::query("DELETE FROM transitions WHERE id = ANY($1)").bind(told).execute(&mut *connection).await?;
            if deliveries.is_empty() {
                return Ok(());
            }
            let texts = |of: fn(&NewDelivery) -> &String| deliveries.iter().map(|new| of(new).as_str()).collect::<Vec<_>>();
            sqlx::query(
                "INSERT INTO deliveries (endpoint, event, run, at, body) \
                 SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::int8[], $5::text[])",
            )
            .bind(texts(|new| &new.endpoint))
            .bind(texts(|new| &new.event))
            .bind(texts(|new| &new.run))
            .bind(deliveries.iter().map(|new| stored(new.at.as_millis())).collect::<Vec<_>>())
            .bind(texts(|new| &new.body))
            .execute(connection)
            .await?;
            Ok(())
        })
        .await
    }

    pub(super) async fn note_stalls(&self, fence: Fence, stalls: &[Stall]) -> Result<bool, StoreError> {
        let runs: Vec<i64> = stalls.iter().map(|stall| stall.run).collect();
        let known = sqlx::query("SELECT run, stalled_from FROM told_stalls WHERE run = ANY($1)").bind(runs);
        let known = self.within(async { Ok(known.fetch_all(&self.readers).await?) }).await?;
        let known: HashMap<i64, i64> = known
            .iter()
            .map(|row| Ok((row.try_get("run")?, row.try_get("stalled_from")?)))
            .collect::<Result<_, sqlx::Error>>()?;
        let from = |stall: &Stall| stored(stall.transition.at.as_millis());
        let news: Vec<&Stall> = stalls.iter().filter(|stall| known.get(&stall.run) != Some(&from(stall))).collect();
        if news.is_empty() {
            return Ok(true);
        }
        self.fenced(fence, async |connection| {
            sqlx::query(
                "INSERT INTO told_stalls (run, stalled_from) SELECT * FROM unnest($1::int8[], $2::int8[]) \
                 ON CONFLICT (run) DO UPDATE SET stalled_from = excluded.stalled_from",
            )
            .bind(news.iter().map(|stall| stall.run).collect::<Vec<_>>())
            .bind(news.iter().map(|stall| from(stall)).collect::<Vec<_>>())
            .execute(&mut *connection)
            .await?;
            sqlx::query("INSERT INTO transitions (task, data) SELECT * FROM unnest($1::text[], $2::text[])")
                .bind(news.iter().map(|stall| stall.transition.task.as_str()).collect::<Vec<_>>())
                .bind(news.iter().map(|stall| written(&stall.transition)).collect::<Vec<_>>())
                .execute(connection)
                .await?;
            Ok(())
        })
        .await
    }

    pub(super) async fn forget_told_stalls(&self) -> Result<(), StoreError> {
        let query = sqlx::query(
            "DELETE FROM told_stalls AS told WHERE NOT EXISTS \
             (SELECT 1 FROM invocations AS i WHERE i.id = told.run AND i.status IN ('pending', 'running'))",
        );
        self.within(async { Ok(query.execute(&self.readers).await.map(drop)?) }).await
    }

    pub(super) async fn next_delivery(&self, endpoint: &str, now: Timestamp) -> Result<NextDelivery, StoreError> {
        let now = stored(now.as_millis());
        let due = sqlx::query(
            "SELECT d.id, d.event, d.at, d.attempts, d.body FROM deliveries AS d WHERE d.endpoint = $1 AND d.due_at <= $2 \
             AND NOT EXISTS (SELECT 1 FROM deliveries AS e WHERE e.endpoint = d.endpoint AND e.run = d.run AND e.id < d.id) \
             ORDER BY d.id LIMIT 1",
        )
        .bind(endpoint)
        .bind(now);
        if let Some(row) = self.within(async { Ok(due.fetch_optional(&self.readers).await?) }).await? {
            return Ok(NextDelivery::Due(Delivery {
                key: row.try_get("id")?,
                event: row.try_get("event")?,
                at: time(&row, "at")?,
                attempts: u32::try_from(row.try_get::<i32, _>("attempts")?).map_err(|_| foreign("attempts"))?,
                body: row.try_get("body")?,
            }));
        }
        let later = sqlx::query("SELECT min(due_at) AS due_at FROM deliveries WHERE endpoint = $1 AND due_at > $2")
            .bind(endpoint)
            .bind(now);
        let row = self.within(async { Ok(later.fetch_one(&self.readers).await?) }).await?;
        Ok(maybe_time(&row, "due_at")?.map_or(NextDelivery::None, NextDelivery::Later))
    }

    pub(super) async fn end_delivery(&self, key: i64) -> Result<(), StoreError> {
        let query = sqlx::query("DELETE FROM deliveries WHERE id = $1").bind(key);
        self.within(async { Ok(query.execute(&self.readers).await.map(drop)?) }).await
    }

    pub(super) async fn postpone_delivery(&self, key: i64, due_at: Timestamp) -> Result<(), StoreError> {
        let query = sqlx::query("UPDATE deliveries SET attempts = attempts + 1, due_at = $2 WHERE id = $1")
            .bind(key)
            .bind(stored(due_at.as_millis()));
        self.within(async { Ok(query.execute(&self.readers).await.map(drop)?) }).await
    }

    pub(super) async fn drop_oldest_deliveries(&self, endpoint: &str, keep: usize) -> Result<u64, StoreError> {
        let query = sqlx::query(
            "DELETE FROM deliveries WHERE endpoint = $1 AND id <= \
             (SELECT id FROM deliveries WHERE endpoint = $1 ORDER BY id DESC OFFSET $2 LIMIT 1)",
        )
        .bind(endpoint)
        .bind(stored(keep as u64));
        self.within(async { Ok(query.execute(&self.readers).await?.rows_affected()) }).await
    }

    pub(super) async fn drop_deliveries_of_others(&self, endpoints: &[String], before: Timestamp) -> Result<u64, StoreError> {
        let query = sqlx::query("DELETE FROM deliveries WHERE at < $2 AND endpoint <> ALL($1)")
            .bind(endpoints)
            .bind(stored(before.as_millis()));
        self.within(async { Ok(query.execute(&self.readers).await?.rows_affected()) }).await
    }

    pub(super) async fn delivery_queues(&self) -> Result<Vec<Queue>, StoreError> {
        let query = sqlx::query(
            "SELECT endpoint, count(*) AS waiting, min(at) AS oldest FROM deliveries GROUP BY endpoint ORDER BY endpoint",
        );
        let rows = self.within(async { Ok(query.fetch_all(&self.readers).await?) }).await?;
        let queue = |row: &PgRow| {
            let (waiting, oldest) = (count(row, "waiting")?, maybe_time(row, "oldest")?);
            Ok(Queue { endpoint: row.try_get("endpoint")?, waiting, oldest })
        };
        rows.iter().map(queue).collect()
    }

    /// The work in a transaction in which the fence holds; says whether it did.
    async fn fenced(
        &self,
        fence: Fence,
        work: impl AsyncFnOnce(&mut PgConnection) -> Result<(), sqlx::Error>,
    ) -> Result<bool, StoreError> {
        self.within(async {
            let mut connection = self.readers.acquire().await?;
            let mut transaction = connection.begin().await?;
            if !holds(&mut transaction, fence).await? {
                transaction.rollback().await?;
                return Ok(false);
            }
            work(&mut transaction).await?;
            transaction.commit().await?;
            Ok(true)
        })
        .await
    }
}
