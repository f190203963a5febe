//! Appending to SQLite: one transaction in as few calls of the database's thread as can be, whatever the size of the batch; a call costs more than
//! most statements do.
//!
//! This node is the only one that writes, so it remembers how the tasks and runs stand, and a batch for them is one call: begin, insert, commit.
//! Offsets and `eventId`s are unique, so what was remembered wrongly, and what is in the log already, is refused as a whole, and then
//! it takes two:
//!
//! 1. Begin, and load what the plan needs.
//! 2. Write, and commit.
//!
//! New tasks and runs, rows of them that changed, and more activities than a statement takes, take calls more.

use std::sync::atomic::Ordering;

use serde_json::json;
use sqlx::{AssertSqlSafe, Row, Sqlite, SqliteConnection, pool::PoolConnection, sqlite::SqliteRow};

use crate::model::{Epoch, EventId, StatusCounts, TaskId, Timestamp};

use super::{
    Append, Appended, Attempt, Heartbeat, StoreError,
    condition::Only,
    plan::{Freshness, InvocationRow, Rows, TaskRow, plan},
    sqlite::{SqliteStore, TASK, count, epoch, foreign, maybe_time, offset, stored, time, word},
    sqlite_leases, sqlite_streams,
    sqlite_write::{self, Basis},
};

impl SqliteStore {
    pub(super) async fn append(&self, batch: &[Append], attempt: Attempt, only: Only<'_>) -> Result<Appended, StoreError> {
        let mut transaction = Transaction(Some(self.writer.acquire().await?));
        let connection = transaction.connection()?;
        if attempt == Attempt::First
            && only.is_always()
            && let Some(rows) = self.remembered.take(batch)
            && let Some(appended) = self.append_remembered(connection, batch, rows).await?
        {
            transaction.finish();
            return Ok(appended);
        }
        let mut rows = load(connection, batch, attempt).await?;
        if only.makes_tasks() {
            make_missing_tasks(connection, batch, &mut rows).await?;
        } else if batch.iter().any(|item| !rows.tasks.contains_key(&item.task)) {
            sqlx::query("ROLLBACK").execute(&mut *connection).await?;
            transaction.finish();
            return Ok(Appended::outdated(batch));
        }
        let noted = match only {
            Only::Always => false,
            Only::If(condition) => {
                sqlite_leases::check(connection, condition, &mut rows).await?;
                false
            }
            Only::Stream(write) => sqlite_streams::check(connection, write, batch, &mut rows).await?,
        };
        let mut appended = self.plan(batch, &mut rows);
        if only.is_whole() {
            appended = appended.refused_whole();
        }
        if appended.commits.is_empty() {
            let done = noted && appended.results.iter().all(Result::is_ok);
            sqlx::query(if done { "COMMIT" } else { "ROLLBACK" }).execute(&mut *connection).await?;
        } else {
            sqlite_write::write(connection, Basis::Loaded, batch, &appended, &mut rows).await?;
        }
        if appended.results.iter().any(|result| result.as_ref().is_ok_and(|receipt| receipt.duplicate)) {
            // Where some come again, more may: they are looked for before they are tried.
            tasks_of(batch).into_iter().for_each(|task| self.remembered.forget(task));
        } else if !appended.commits.is_empty() {
            self.remembered.keep(rows, true);
        }
        transaction.finish();
        Ok(appended)
    }

    /// What the batch does. The moves of runs are kept only if somebody wants them.
    fn plan(&self, batch: &[Append], rows: &mut Rows) -> Appended {
        let appended = plan(batch, rows);
        if !self.keeps_transitions.load(Ordering::Relaxed) {
            rows.transitions.clear();
        }
        appended
    }

    /// As this node left the rows. Nothing if that, or an event that is in the log already, is refused: then nothing is written.
    async fn append_remembered(
        &self,
        connection: &mut SqliteConnection,
        batch: &[Append],
        mut rows: Rows,
    ) -> Result<Option<Appended>, StoreError> {
        let appended = self.plan(batch, &mut rows);
        // What would be refused may be in the log already, which was not looked at: then it is no refusal.
        if appended.commits.len() < rows.tasks.len() || appended.results.iter().any(|result| result.is_err()) {
            return Ok(None);
        }
        match sqlite_write::write(connection, Basis::Remembered, batch, &appended, &mut rows).await {
            Ok(()) => {
                self.remembered.keep(rows, true);
                Ok(Some(appended))
            }
            Err(StoreError::Refused(_)) => {
                sqlx::query("ROLLBACK").execute(connection).await?;
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    pub(super) async fn heartbeats(&self, beats: &[Heartbeat]) -> Result<(), StoreError> {
        let list: Vec<_> =
            beats.iter().map(|beat| json!([beat.task.as_str(), beat.invocation.as_str(), beat.at.as_millis()])).collect();
        sqlx::query(
            "UPDATE invocations SET heartbeat_at = max(coalesce(heartbeat_at, 0), beat.value ->> 2) \
             FROM json_each(?1) AS beat, tasks \
             WHERE tasks.name = beat.value ->> 0 AND invocations.task = tasks.id AND invocations.name = beat.value ->> 1",
        )
        .bind(text(&list))
        .execute(&self.writer)
        .await?;
        Ok(())
    }
}

/// The writing connection while a transaction of ours may be open on it. If it goes wrong, or nobody waits for it any more, the connection is
/// closed, and the transaction with it; the pool makes another one.
struct Transaction(Option<PoolConnection<Sqlite>>);

impl Transaction {
    fn connection(&mut self) -> Result<&mut SqliteConnection, StoreError> {
        self.0.as_deref_mut().ok_or_else(|| StoreError::Unavailable("the transaction is over".to_owned()))
    }

    /// It was committed or rolled back.
    fn finish(mut self) {
        drop(self.0.take());
    }
}

impl Drop for Transaction {
    fn drop(&mut self) {
        if let Some(connection) = self.0.take() {
            drop(connection.detach());
        }
    }
}

pub(super) fn text(list: &[serde_json::Value]) -> String {
    serde_json::to_string(list).expect("values made here are JSON")
}

/// What the plan needs, in one text: `t` tasks, `i` runs, `k` known events.
const RUNS_AND_EVENTS: &str = "\
SELECT 'i' AS kind, invocations.* FROM json_each(?2) AS wanted CROSS JOIN tasks ON tasks.name = wanted.value ->> 0 \
CROSS JOIN invocations ON invocations.task = tasks.id AND invocations.name = wanted.value ->> 1; \
SELECT 'k' AS kind, activities.task, activities.event_id, activities.\"offset\" FROM json_each(?3) AS wanted \
CROSS JOIN tasks ON tasks.name = wanted.value ->> 0 \
CROSS JOIN activities ON activities.task = tasks.id AND activities.event_id = unhex(wanted.value ->> 1, '-')";

/// Begins, and loads. One writer at a time makes looking for known events first as good as a conflict clause.
async fn load(connection: &mut SqliteConnection, batch: &[Append], attempt: Attempt) -> Result<Rows, StoreError> {
    let tasks: Vec<_> = tasks_of(batch).into_iter().map(|task| json!(task.as_str())).collect();
    let mut runs: Vec<_> = batch.iter().map(|item| (item.task.as_str(), item.activity.activity.invocation.as_str())).collect();
    runs.sort_unstable();
    runs.dedup();
    let runs: Vec<_> = runs.into_iter().map(|(task, run)| json!([task, run])).collect();
    let events: Vec<_> = batch
        .iter()
        .filter(|item| attempt == Attempt::Again || item.activity.event_id_given)
        .map(|item| json!([item.task.as_str(), item.activity.activity.event_id.to_string()]))
        .collect();
    let sql = format!(
        "BEGIN IMMEDIATE; SELECT 't' AS kind, {TASK} FROM json_each(?1) AS wanted CROSS JOIN tasks ON tasks.name = wanted.value; \
         {RUNS_AND_EVENTS}"
    );
    let found =
        sqlx::query(AssertSqlSafe(sql)).bind(text(&tasks)).bind(text(&runs)).bind(text(&events)).fetch_all(connection).await?;
    let mut rows = Rows::default();
    for row in &found {
        match row.try_get::<&str, _>("kind")? {
            "t" => drop(rows.tasks.insert(word(row, "name")?.ok_or_else(|| foreign("name"))?, task_row(row)?)),
            "i" => {
                let name = word(row, "name")?.ok_or_else(|| foreign("name"))?;
                rows.invocations.insert((row.try_get("task")?, name), invocation_row(row)?);
            }
            _ => drop(rows.known.insert((row.try_get("task")?, event_id(row)?), offset(row, "offset")?)),
        }
    }
    Ok(rows)
}

fn tasks_of(batch: &[Append]) -> Vec<&TaskId> {
    let mut names: Vec<&TaskId> = batch.iter().map(|item| &item.task).collect();
    names.sort_unstable();
    names.dedup();
    names
}

async fn make_missing_tasks(connection: &mut SqliteConnection, batch: &[Append], rows: &mut Rows) -> Result<(), StoreError> {
    let missing: Vec<_> = tasks_of(batch)
        .into_iter()
        .filter(|name| !rows.tasks.contains_key(*name))
        .map(|name| json!([name.as_str(), Epoch::generate().get()]))
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    let made = sqlx::query(
        "INSERT INTO tasks (name, epoch, created_at) SELECT value ->> 0, value ->> 1, ?2 FROM json_each(?1) \
         RETURNING *, head AS log_head",
    )
    .bind(text(&missing))
    .bind(stored(Timestamp::now().as_millis()))
    .fetch_all(connection)
    .await?;
    for row in &made {
        rows.tasks.insert(word(row, "name")?.ok_or_else(|| foreign("name"))?, task_row(row)?);
    }
    Ok(())
}

fn task_row(row: &SqliteRow) -> Result<TaskRow, StoreError> {
    Ok(TaskRow {
        key: row.try_get("id")?,
        epoch: epoch(row)?,
        head: offset(row, "log_head")?,
        status: word(row, "status")?,
        counts: status_counts(row)?,
        last_activity_at: Freshness::of_row(maybe_time(row, "last_activity_at")?),
        cleanings: 0,
        touched: false,
    })
}

pub(super) fn status_counts(row: &SqliteRow) -> Result<StatusCounts, StoreError> {
    Ok(StatusCounts {
        pending: count(row, "pending")?,
        running: count(row, "running")?,
        completed: count(row, "completed")?,
        failed: count(row, "failed")?,
        cancelled: count(row, "cancelled")?,
        lost: count(row, "lost")?,
    })
}

fn invocation_row(row: &SqliteRow) -> Result<InvocationRow, StoreError> {
    Ok(InvocationRow {
        key: Some(row.try_get("id")?),
        status: word(row, "status")?.ok_or_else(|| foreign("status"))?,
        agent: row.try_get("agent")?,
        title: row.try_get("title")?,
        exit_code: row.try_get("exit_code")?,
        reason: row.try_get("reason")?,
        created_at: time(row, "created_at")?,
        started_at: maybe_time(row, "started_at")?,
        completed_at: maybe_time(row, "completed_at")?,
        last_activity_at: Freshness::of_row(maybe_time(row, "last_activity_at")?),
        usage: row.try_get("usage")?,
        backfilled: row.try_get("backfilled")?,
        touched: false,
    })
}

pub(super) fn event_id(row: &SqliteRow) -> Result<EventId, StoreError> {
    let bytes: &[u8] = row.try_get("event_id")?;
    bytes.try_into().map(EventId::from_bytes).map_err(|_| foreign("event_id"))
}
