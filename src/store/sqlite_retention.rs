//! Removing what is kept no longer from SQLite: between two commits of the writer, each bite as short as one of them.

use sqlx::{AssertSqlSafe, Row, SqliteConnection, sqlite::SqliteRow};

use super::{
    Bite, Bitten, EmptyTask, Fence, KeptTask, LogSize, Removal, StoreError,
    sqlite::{SqliteStore, TASK, count, foreign, log_state, maybe_time, number, offset, stored, time, word},
    sqlite_leases::holds,
    sqlite_read::log_row,
};
use crate::model::{LogState, Offset, TaskId, Timestamp};

impl SqliteStore {
    pub(super) async fn kept_tasks(&self, after: i64, limit: usize) -> Result<Vec<KeptTask>, StoreError> {
        let end = |order: &str, name: &str| {
            format!(
                "(SELECT a.received_at FROM activities AS a WHERE a.task = tasks.id ORDER BY a.\"offset\"{order} LIMIT 1) AS {name}"
            )
        };
        let sql = AssertSqlSafe(format!(
            "SELECT {TASK}, tasks.pending + tasks.running AS open, {}, {}, size.through, size.bytes \
             FROM tasks LEFT JOIN log_sizes AS size ON size.task = tasks.id WHERE tasks.id > ?1 ORDER BY tasks.id LIMIT ?2",
            end("", "oldest_at"),
            end(" DESC", "newest_at"),
        ));
        let rows = sqlx::query(sql).bind(after).bind(stored(limit as u64)).fetch_all(&self.readers).await?;
        rows.iter().map(kept_task).collect()
    }

    pub(super) async fn taken_at(&self, key: i64, at: Offset) -> Result<Option<Timestamp>, StoreError> {
        let query = sqlx::query("SELECT received_at FROM activities WHERE task = ?1 AND \"offset\" = ?2");
        let row = query.bind(key).bind(stored(at.get())).fetch_optional(&self.readers).await?;
        row.map(|row| time(&row, "received_at")).transpose()
    }

    pub(super) async fn payload_bytes(&self, key: i64, from: Offset, to: Offset) -> Result<u64, StoreError> {
        let row = sqlx::query(BYTES).bind(key).bind(stored(from.get())).bind(stored(to.get())).fetch_one(&self.readers).await?;
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
        let row = sqlx::query(
            "SELECT \"offset\", sum FROM (SELECT \"offset\", sum(octet_length(data)) OVER (ORDER BY \"offset\") AS sum \
               FROM activities WHERE task = ?1 AND \"offset\" >= ?2 AND \"offset\" < ?3) AS sums \
             WHERE sum >= ?4 ORDER BY \"offset\" LIMIT 1",
        )
        .bind(key)
        .bind(stored(from.get()))
        .bind(stored(to.get()))
        .bind(stored(bytes))
        .fetch_optional(&self.readers)
        .await?;
        row.map(|row| Ok((offset(&row, "offset")?, count(&row, "sum")?))).transpose()
    }

    pub(super) async fn note_size(&self, key: i64, size: LogSize, fence: Fence) -> Result<(), StoreError> {
        let mut transaction = self.writer.begin_with("BEGIN IMMEDIATE").await?;
        if holds(&mut transaction, fence).await? {
            // The task may be gone by now.
            sqlx::query(
                "INSERT INTO log_sizes (task, through, bytes) SELECT id, ?2, ?3 FROM tasks WHERE id = ?1 \
                 ON CONFLICT (task) DO UPDATE SET through = excluded.through, bytes = excluded.bytes",
            )
            .bind(key)
            .bind(stored(size.through.get()))
            .bind(stored(size.bytes))
            .execute(&mut *transaction)
            .await?;
        }
        Ok(transaction.commit().await?)
    }

    pub(super) async fn bite(&self, bite: &Bite) -> Result<Option<Bitten>, StoreError> {
        let mut transaction = self.writer.begin_with("BEGIN IMMEDIATE").await?;
        if let Some(fence) = bite.fence
            && !holds(&mut transaction, fence).await?
        {
            return Ok(None);
        }
        let Some(mut state) = state_of(&mut transaction, bite.key).await? else { return Ok(None) };
        if state.epoch != bite.epoch || state.floor != bite.floor {
            return Ok(None);
        }
        let to = bite.to.min(state.head.next());
        let range = [bite.key, stored(bite.floor.get()), stored(to.get())];
        let bytes = sum(&mut transaction, range).await?;
        let size = sqlx::query("SELECT through, bytes FROM log_sizes WHERE task = ?1").bind(bite.key);
        if let Some(row) = size.fetch_optional(&mut *transaction).await? {
            let through = offset(&row, "through")?;
            let counted = match through < to {
                true => sum(&mut transaction, [bite.key, stored(bite.floor.get()), stored(through.next().get())]).await?,
                false => bytes,
            };
            sqlx::query("UPDATE log_sizes SET through = max(through, ?2), bytes = max(0, bytes - ?3) WHERE task = ?1")
                .bind(bite.key)
                .bind(stored(to.previous().get()))
                .bind(stored(counted))
                .execute(&mut *transaction)
                .await?;
        }
        let removed = sqlx::query("DELETE FROM activities WHERE task = ?1 AND \"offset\" >= ?2 AND \"offset\" < ?3")
            .bind(range[0])
            .bind(range[1])
            .bind(range[2])
            .execute(&mut *transaction)
            .await?;
        state.floor = to;
        sqlx::query("UPDATE tasks SET floor = ?2, head = ?3 WHERE id = ?1")
            .bind(bite.key)
            .bind(stored(to.get()))
            .bind(stored(state.head.get()))
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
        Ok(Some(Bitten { state, activities: removed.rows_affected(), bytes }))
    }

    pub(super) async fn remove_task(&self, task: &EmptyTask, runs: u64) -> Result<Removal, StoreError> {
        let mut transaction = self.writer.begin_with("BEGIN IMMEDIATE").await?;
        if !holds(&mut transaction, task.fence).await? {
            return Ok(Removal::Changed);
        }
        let state = state_of(&mut transaction, task.key).await?;
        let empty = LogState { epoch: task.epoch, head: task.head, floor: task.head.next() };
        let open = "SELECT count(*) AS open FROM tasks WHERE id = ?1 AND pending + running > 0";
        let open = sqlx::query(open).bind(task.key).fetch_one(&mut *transaction).await?;
        if state != Some(empty) || count(&open, "open")? != 0 {
            return Ok(Removal::Changed);
        }
        // It is another one from now on; nobody else writes until this is committed.
        self.remembered.forget(&task.task);
        let removed = remove_runs(&mut transaction, task.key, runs).await?;
        if removed < runs {
            let name = task.task.as_str().to_owned();
            sqlx::query("DELETE FROM rejects WHERE task = ?1").bind(name).execute(&mut *transaction).await?;
            sqlx::query("DELETE FROM tasks WHERE id = ?1").bind(task.key).execute(&mut *transaction).await?;
        }
        transaction.commit().await?;
        Ok(if removed < runs { Removal::Gone } else { Removal::Some })
    }

    pub(super) async fn key_and_state(&self, task: &TaskId) -> Result<Option<(i64, LogState)>, StoreError> {
        let mut connection = self.readers.acquire().await?;
        log_row(&mut connection, task).await
    }
}

const BYTES: &str = "SELECT coalesce(sum(octet_length(data)), 0) AS bytes FROM activities \
                     WHERE task = ?1 AND \"offset\" >= ?2 AND \"offset\" < ?3";

async fn sum(connection: &mut SqliteConnection, [key, from, to]: [i64; 3]) -> Result<u64, StoreError> {
    count(&sqlx::query(BYTES).bind(key).bind(from).bind(to).fetch_one(connection).await?, "bytes")
}

async fn state_of(connection: &mut SqliteConnection, key: i64) -> Result<Option<LogState>, StoreError> {
    let sql = AssertSqlSafe(format!("SELECT {TASK} FROM tasks WHERE id = ?1"));
    sqlx::query(sql).bind(key).fetch_optional(connection).await?.map(|row| log_state(&row)).transpose()
}

async fn remove_runs(connection: &mut SqliteConnection, key: i64, most: u64) -> Result<u64, StoreError> {
    let rows = sqlx::query(
        "DELETE FROM invocations WHERE id IN (SELECT id FROM invocations WHERE task = ?1 ORDER BY id LIMIT ?2) RETURNING status",
    )
    .bind(key)
    .bind(stored(most))
    .fetch_all(&mut *connection)
    .await?;
    let of = |status: &str| {
        let count = rows.iter().filter(|row| row.try_get::<&str, _>("status").is_ok_and(|found| found == status)).count();
        stored(count as u64)
    };
    sqlx::query(
        "UPDATE tasks SET completed = max(0, completed - ?2), failed = max(0, failed - ?3), cancelled = max(0, cancelled - ?4), \
         lost = max(0, lost - ?5) WHERE id = ?1",
    )
    .bind(key)
    .bind(of("completed"))
    .bind(of("failed"))
    .bind(of("cancelled"))
    .bind(of("lost"))
    .execute(connection)
    .await?;
    Ok(rows.len() as u64)
}

fn kept_task(row: &SqliteRow) -> Result<KeptTask, StoreError> {
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
