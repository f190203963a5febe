//! Removing what is kept no longer from Postgres, on a connection of its own, so that no lane of the writer waits for it.
//!
//! A bite is one statement: the activities are removed first, then the floor is raised, so that the task's row is locked only while the commit is written. It
//! never waits for a writer that waits for it: a writer locks tasks and inserts what nobody removes.

use sqlx::{AssertSqlSafe, Connection, PgConnection, Row, postgres::PgRow};

use super::{
    Bite, Bitten, EmptyTask, Fence, KeptTask, LogSize, Removal, StoreError,
    postgres::{PostgresStore, count, foreign, log_state, maybe_time, number, offset, stored, time, word},
    postgres_leases::{NOW, holds},
    postgres_read::{EPOCH, HEAD},
};
use crate::model::{LogState, Offset, TaskId, Timestamp};

/// How many entries of an index one statement walks over.
const WALKED: u64 = 200_000;

impl PostgresStore {
    pub(super) async fn kept_tasks(&self, after: i64, limit: usize) -> Result<Vec<KeptTask>, StoreError> {
        let end = |order: &str, name: &str| {
            format!(
                "(SELECT a.received_at FROM activities AS a WHERE a.task = tasks.id AND a.\"offset\" >= tasks.floor \
                 ORDER BY a.\"offset\"{order} LIMIT 1) AS {name}"
            )
        };
        let sql = AssertSqlSafe(format!(
            "SELECT tasks.id, tasks.name, {EPOCH}, {HEAD}, tasks.floor, tasks.labels::text AS labels, tasks.status, \
             tasks.pending + tasks.running AS open, tasks.listed_at, {}, {}, size.through, size.bytes \
             FROM tasks LEFT JOIN log_sizes AS size ON size.task = tasks.id WHERE tasks.id > $1 ORDER BY tasks.id LIMIT $2",
            end("", "oldest_at"),
            end(" DESC", "newest_at"),
        ));
        let query = sqlx::query(sql).bind(after).bind(stored(limit as u64));
        let rows = self.within(async { Ok(query.fetch_all(&self.readers).await?) }).await?;
        rows.iter().map(kept_task).collect()
    }

    pub(super) async fn taken_at(&self, key: i64, at: Offset) -> Result<Option<Timestamp>, StoreError> {
        let query = sqlx::query("SELECT received_at FROM activities WHERE task = $1 AND \"offset\" = $2");
        let query = query.bind(key).bind(stored(at.get()));
        let row = self.within(async { Ok(query.fetch_optional(&self.readers).await?) }).await?;
        row.map(|row| time(&row, "received_at")).transpose()
    }

    pub(super) async fn payload_bytes(&self, key: i64, from: Offset, to: Offset) -> Result<u64, StoreError> {
        let query = sqlx::query(
            "SELECT coalesce(sum(octet_length(data)), 0)::int8 AS bytes FROM activities \
             WHERE task = $1 AND \"offset\" >= $2 AND \"offset\" < $3",
        )
        .bind(key)
        .bind(stored(from.get()))
        .bind(stored(to.get()));
        let row = self.within(async { Ok(query.fetch_one(&self.readers).await?) }).await?;
        count(&row, "bytes")
    }

    /// The first offset of the range at which the payloads come to so many bytes, and how many they are then.
    pub(super) async fn reaching(
        &self,
        key: i64,
        from: Offset,
        to: Offset,
        bytes: u64,
    ) -> Result<Option<(Offset, u64)>, StoreError> {
        let query = sqlx::query(
            "SELECT \"offset\", sum FROM (SELECT \"offset\", (sum(octet_length(data)) OVER (ORDER BY \"offset\"))::int8 AS sum \
               FROM activities WHERE task = $1 AND \"offset\" >= $2 AND \"offset\" < $3) AS sums \
             WHERE sum >= $4 ORDER BY \"offset\" LIMIT 1",
        )
        .bind(key)
        .bind(stored(from.get()))
        .bind(stored(to.get()))
        .bind(stored(bytes));
        let row = self.within(async { Ok(query.fetch_optional(&self.readers).await?) }).await?;
        row.map(|row| Ok((offset(&row, "offset")?, count(&row, "sum")?))).transpose()
    }

    pub(super) async fn note_size(&self, key: i64, size: LogSize, fence: Fence) -> Result<(), StoreError> {
        self.purge(async |connection: &mut PgConnection| {
            let mut transaction = connection.begin().await?;
            if holds(&mut transaction, fence).await? {
                // The task may be gone by now.
                sqlx::query(
                    "INSERT INTO log_sizes (task, through, bytes) SELECT id, $2, $3 FROM tasks WHERE id = $1 FOR KEY SHARE \
                     ON CONFLICT (task) DO UPDATE SET through = excluded.through, bytes = excluded.bytes",
                )
                .bind(key)
                .bind(stored(size.through.get()))
                .bind(stored(size.bytes))
                .execute(&mut *transaction)
                .await?;
            }
            Ok(transaction.commit().await?)
        })
        .await
    }

    pub(super) async fn bite(&self, bite: &Bite) -> Result<Option<Bitten>, StoreError> {
        let sql = AssertSqlSafe(format!(
            "WITH held AS MATERIALIZED ( \
               SELECT 1 FROM leases WHERE name = $5 AND token = $6 AND holder IS NOT NULL AND expires_at > {NOW} FOR SHARE \
             ), gone AS ( \
               DELETE FROM activities AS a WHERE a.task = $1 AND a.\"offset\" >= $2 AND a.\"offset\" < $3 \
                 AND (SELECT tasks.floor = $2 AND tasks.epoch # s.salt = $4 FROM tasks, store_identity AS s WHERE tasks.id = $1) \
                 AND ($5::text IS NULL OR EXISTS (SELECT 1 FROM held)) \
               RETURNING a.\"offset\", octet_length(a.data) AS bytes \
             ), part AS MATERIALIZED ( \
               SELECT max(\"offset\") AS last, count(*) AS activities, sum(bytes)::int8 AS bytes FROM gone \
             ), sized AS ( \
               UPDATE log_sizes AS s SET through = greatest(s.through, part.last), \
                 bytes = greatest(0, s.bytes - coalesce((SELECT sum(g.bytes) FROM gone AS g WHERE g.\"offset\" <= s.through), 0)) \
               FROM part WHERE s.task = $1 AND part.last IS NOT NULL \
             ) \
             UPDATE tasks SET floor = greatest(tasks.floor, part.last + 1), head = greatest(tasks.head, part.last) \
             FROM part WHERE tasks.id = $1 AND part.last IS NOT NULL \
             RETURNING {EPOCH}, {HEAD}, tasks.floor, part.activities, part.bytes"
        ));
        let (lease, token) = bite.fence.map(|fence| (fence.lease.as_str(), fence.token)).unzip();
        let query = sqlx::query(sql)
            .bind(bite.key)
            .bind(stored(bite.floor.get()))
            .bind(stored(bite.to.get()))
            .bind(i64::from(bite.epoch.get()))
            .bind(lease)
            .bind(token);
        let row = self.purge(async |connection: &mut PgConnection| Ok(query.fetch_optional(connection).await?)).await?;
        let read = |row: PgRow| {
            Ok(Bitten { state: log_state(&row)?, activities: count(&row, "activities")?, bytes: count(&row, "bytes")? })
        };
        row.map(read).transpose()
    }

    pub(super) async fn remove_task(&self, task: &EmptyTask, runs: u64) -> Result<Removal, StoreError> {
        let same =
            format!("SELECT {EPOCH}, {HEAD}, tasks.floor, tasks.pending + tasks.running AS open FROM tasks WHERE tasks.id = $1");
        self.purge(async |connection: &mut PgConnection| {
            let mut transaction = connection.begin().await?;
            if !holds(&mut transaction, task.fence).await? {
                return Ok(Removal::Changed);
            }
            // Locked first: what is read then is all that was committed.
            sqlx::query("SELECT 1 FROM tasks WHERE id = $1 FOR UPDATE").bind(task.key).execute(&mut *transaction).await?;
            let row = sqlx::query(AssertSqlSafe(same)).bind(task.key).fetch_optional(&mut *transaction).await?;
            let Some(row) = row else { return Ok(Removal::Changed) };
            let state = log_state(&row)?;
            let empty = LogState { epoch: task.epoch, head: task.head, floor: task.head.next() };
            if state != empty || count(&row, "open")? != 0 {
                transaction.rollback().await?;
                return Ok(Removal::Changed);
            }
            let removed = remove_runs(&mut transaction, task.key, runs).await?;
            if removed < runs {
                sqlx::query("DELETE FROM rejects WHERE task = $1").bind(task.task.as_str()).execute(&mut *transaction).await?;
                sqlx::query("DELETE FROM tasks WHERE id = $1").bind(task.key).execute(&mut *transaction).await?;
            }
            transaction.commit().await?;
            Ok(if removed < runs { Removal::Gone } else { Removal::Some })
        })
        .await
    }

    /// An index scan takes note of the entries that it finds to be dead; the one behind it goes over them without looking for their rows. Half a second for a
    /// million rows otherwise, while the task's row is locked.
    pub(super) async fn settle_removed(&self, key: i64, state: LogState) -> Result<(), StoreError> {
        let mut from = Offset::ZERO;
        while from < state.floor {
            let to = from.plus(WALKED).min(state.floor);
            let query = sqlx::query("SELECT 1 FROM activities WHERE task = $1 AND \"offset\" >= $2 AND \"offset\" < $3 LIMIT 1");
            let query = query.bind(key).bind(stored(from.get())).bind(stored(to.get()));
            self.within(async { Ok(query.fetch_optional(&self.readers).await.map(drop)?) }).await?;
            from = to;
        }
        Ok(())
    }

    pub(super) async fn key_and_state(&self, task: &TaskId) -> Result<Option<(i64, LogState)>, StoreError> {
        let sql = AssertSqlSafe(format!("SELECT tasks.id, {EPOCH}, {HEAD}, tasks.floor FROM tasks WHERE tasks.name = $1"));
        let query = sqlx::query(sql).bind(task.as_str());
        let row = self.within(async { Ok(query.fetch_optional(&self.readers).await?) }).await?;
        row.map(|row| Ok((row.try_get("id")?, log_state(&row)?))).transpose()
    }
}

/// Removes runs of a task whose row is locked. What hubs remember of them is no longer so.
async fn remove_runs(connection: &mut PgConnection, key: i64, most: u64) -> Result<u64, StoreError> {
    let removed = sqlx::query(
        "WITH gone AS (DELETE FROM invocations WHERE id IN (SELECT id FROM invocations WHERE task = $1 ORDER BY id LIMIT $2) \
           RETURNING status), n AS MATERIALIZED (SELECT count(*) AS runs, count(*) FILTER (WHERE status = 'completed') AS completed, \
             count(*) FILTER (WHERE status = 'failed') AS failed, count(*) FILTER (WHERE status = 'cancelled') AS cancelled, \
             count(*) FILTER (WHERE status = 'lost') AS lost FROM gone) \
         UPDATE tasks SET completed = greatest(0, tasks.completed - n.completed), failed = greatest(0, tasks.failed - n.failed), \
           cancelled = greatest(0, tasks.cancelled - n.cancelled), lost = greatest(0, tasks.lost - n.lost), \
           cleanings = tasks.cleanings + 1 FROM n WHERE tasks.id = $1 RETURNING n.runs",
    )
    .bind(key)
    .bind(stored(most))
    .fetch_one(connection)
    .await?;
    count(&removed, "runs")
}

fn kept_task(row: &PgRow) -> Result<KeptTask, StoreError> {
    let labels: &str = row.try_get("labels")?;
    let through = number(row, "through")?.and_then(Offset::new);
    Ok(KeptTask {
        key: row.try_get("id")?,
        task: word(row, "name")?.ok_or_else(|| foreign("name"))?,
        state: log_state(row)?,
        labels: serde_json::from_str(labels).map_err(|_| foreign("labels"))?,
        status: word(row, "status")?,
        open: count(row, "open")?,
        listed_at: time(row, "listed_at")?.max(maybe_time(row, "newest_at")?.unwrap_or_default()),
        oldest_at: maybe_time(row, "oldest_at")?,
        size: through.zip(number(row, "bytes")?).map(|(through, bytes)| LogSize { through, bytes }),
    })
}
