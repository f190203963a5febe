//! Appending to SQLite: one transaction, a handful of statements whatever the size of the batch.

use serde_json::json;
use sqlx::{AssertSqlSafe, QueryBuilder, Row, Sqlite, SqliteConnection};

use crate::model::{Epoch, EventId, InvocationId, Status, StatusCounts, TaskId, Timestamp};

use super::{
    Append, Appended, Attempt, Heartbeat, StoreError,
    plan::{Freshness, InvocationRow, Rows, TaskRow, plan},
    sqlite::{SqliteStore, TASK, count, epoch, maybe_time, offset, stored, time, word},
};

impl SqliteStore {
    pub(super) async fn append(&self, batch: &[Append], attempt: Attempt) -> Result<Appended, StoreError> {
        let mut transaction = self.writer.begin_with("BEGIN IMMEDIATE").await?;
        let mut rows = Rows::default();
        load_tasks(&mut transaction, batch, &mut rows).await?;
        load_invocations(&mut transaction, batch, &mut rows).await?;
        load_known(&mut transaction, batch, attempt, &mut rows).await?;
        let appended = plan(batch, &mut rows);
        if appended.commits.is_empty() {
            return Ok(appended);
        }
        insert_invocations(&mut transaction, &mut rows).await?;
        insert_activities(&mut transaction, batch, &appended, &rows).await?;
        update_invocations(&mut transaction, &rows).await?;
        update_tasks(&mut transaction, &appended, &rows).await?;
        transaction.commit().await?;
        Ok(appended)
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

fn text(list: &[serde_json::Value]) -> String {
    serde_json::to_string(list).expect("values made here are JSON")
}

async fn load_tasks(connection: &mut SqliteConnection, batch: &[Append], rows: &mut Rows) -> Result<(), StoreError> {
    let mut names: Vec<&TaskId> = batch.iter().map(|item| &item.task).collect();
    names.sort_unstable();
    names.dedup();
    let wanted: Vec<_> = names.iter().map(|name| json!(name.as_str())).collect();
    let found = sqlx::query(AssertSqlSafe(format!(
        "SELECT {TASK} FROM json_each(?1) AS wanted CROSS JOIN tasks ON tasks.name = wanted.value"
    )))
    .bind(text(&wanted))
    .fetch_all(&mut *connection)
    .await?;
    for row in &found {
        rows.tasks.insert(word(row, "name")?.ok_or_else(|| super::sqlite::foreign("name"))?, task_row(row)?);
    }
    names.retain(|name| !rows.tasks.contains_key(*name));
    if names.is_empty() {
        return Ok(());
    }
    let missing: Vec<_> = names.iter().map(|name| json!([name.as_str(), Epoch::generate().get()])).collect();
    let made = sqlx::query(
        "INSERT INTO tasks (name, epoch, created_at) SELECT value ->> 0, value ->> 1, ?2 FROM json_each(?1) RETURNING *, head AS log_head",
    )
    .bind(text(&missing))
    .bind(stored(Timestamp::now().as_millis()))
    .fetch_all(&mut *connection)
    .await?;
    for row in &made {
        rows.tasks.insert(word(row, "name")?.ok_or_else(|| super::sqlite::foreign("name"))?, task_row(row)?);
    }
    Ok(())
}

fn task_row(row: &sqlx::sqlite::SqliteRow) -> Result<TaskRow, StoreError> {
    Ok(TaskRow {
        key: row.try_get("id")?,
        epoch: epoch(row)?,
        head: offset(row, "log_head")?,
        status: word(row, "status")?,
        counts: status_counts(row)?,
        last_activity_at: Freshness::of_row(maybe_time(row, "last_activity_at")?),
        touched: false,
    })
}

pub(super) fn status_counts(row: &sqlx::sqlite::SqliteRow) -> Result<StatusCounts, StoreError> {
    Ok(StatusCounts {
        pending: count(row, "pending")?,
        running: count(row, "running")?,
        completed: count(row, "completed")?,
        failed: count(row, "failed")?,
        cancelled: count(row, "cancelled")?,
        lost: count(row, "lost")?,
    })
}

async fn load_invocations(connection: &mut SqliteConnection, batch: &[Append], rows: &mut Rows) -> Result<(), StoreError> {
    let mut names: Vec<_> =
        batch.iter().map(|item| (rows.tasks[&item.task].key, item.activity.activity.invocation.as_str())).collect();
    names.sort_unstable();
    names.dedup();
    let wanted: Vec<_> = names.into_iter().map(|(task, name)| json!([task, name])).collect();
    let found = sqlx::query(
        "SELECT invocations.* FROM json_each(?1) AS wanted \
         CROSS JOIN invocations ON invocations.task = wanted.value ->> 0 AND invocations.name = wanted.value ->> 1",
    )
    .bind(text(&wanted))
    .fetch_all(connection)
    .await?;
    for row in &found {
        let name: InvocationId = word(row, "name")?.ok_or_else(|| super::sqlite::foreign("name"))?;
        let status: Status = word(row, "status")?.ok_or_else(|| super::sqlite::foreign("status"))?;
        let invocation = InvocationRow {
            key: Some(row.try_get("id")?),
            status,
            agent: row.try_get("agent")?,
            title: row.try_get("title")?,
            exit_code: row.try_get("exit_code")?,
            reason: row.try_get("reason")?,
            created_at: time(row, "created_at")?,
            started_at: maybe_time(row, "started_at")?,
            completed_at: maybe_time(row, "completed_at")?,
            last_activity_at: Freshness::of_row(maybe_time(row, "last_activity_at")?),
            usage: row.try_get("usage")?,
            touched: false,
        };
        rows.invocations.insert((row.try_get("task")?, name), invocation);
    }
    Ok(())
}

/// Which of the events with given ids are in the log already. One writer at a time makes looking first as good as a conflict clause.
async fn load_known(
    connection: &mut SqliteConnection,
    batch: &[Append],
    attempt: Attempt,
    rows: &mut Rows,
) -> Result<(), StoreError> {
    let wanted: Vec<_> = batch
        .iter()
        .filter(|item| attempt == Attempt::Again || item.activity.event_id_given)
        .map(|item| json!([rows.tasks[&item.task].key, item.activity.activity.event_id.to_string()]))
        .collect();
    if wanted.is_empty() {
        return Ok(());
    }
    let found = sqlx::query(
        "SELECT activities.task, activities.event_id, activities.\"offset\" FROM json_each(?1) AS wanted \
         CROSS JOIN activities ON activities.task = wanted.value ->> 0 AND activities.event_id = unhex(wanted.value ->> 1, '-')",
    )
    .bind(text(&wanted))
    .fetch_all(connection)
    .await?;
    for row in &found {
        rows.known.insert((row.try_get("task")?, event_id(row)?), offset(row, "offset")?);
    }
    Ok(())
}

pub(super) fn event_id(row: &sqlx::sqlite::SqliteRow) -> Result<EventId, StoreError> {
    let bytes: &[u8] = row.try_get("event_id")?;
    bytes.try_into().map(EventId::from_bytes).map_err(|_| super::sqlite::foreign("event_id"))
}

async fn insert_invocations(connection: &mut SqliteConnection, rows: &mut Rows) -> Result<(), StoreError> {
    let new: Vec<_> = rows
        .invocations
        .iter()
        .filter(|(_, row)| row.key.is_none())
        .map(|((task, name), row)| {
            let created = row.created_at;
            let last = row.last_activity_at.to_write().unwrap_or(created);
            json!([task, name.as_str(), row.status.as_str(), created.as_millis(), last.as_millis()])
        })
        .collect();
    if new.is_empty() {
        return Ok(());
    }
    let made = sqlx::query(
        "INSERT INTO invocations (task, name, status, created_at, last_activity_at) \
         SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4 FROM json_each(?1) RETURNING id, task, name",
    )
    .bind(text(&new))
    .fetch_all(connection)
    .await?;
    for row in &made {
        let name = word(row, "name")?.ok_or_else(|| super::sqlite::foreign("name"))?;
        if let Some(invocation) = rows.invocations.get_mut(&(row.try_get("task")?, name)) {
            invocation.key = Some(row.try_get("id")?);
        }
    }
    Ok(())
}

/// The sizes of multi-row inserts: few, so that each is prepared once; 256 rows of 10 values stay far below SQLite's 32,766 parameters.
const CHUNKS: [usize; 3] = [256, 16, 1];

async fn insert_activities(
    connection: &mut SqliteConnection,
    batch: &[Append],
    appended: &Appended,
    rows: &Rows,
) -> Result<(), StoreError> {
    let mut new: Vec<(usize, i64)> = Vec::with_capacity(batch.len());
    for commit in &appended.commits {
        new.extend(commit.items.iter().zip(0..).map(|(index, after)| (*index, stored(commit.first.plus(after).get()))));
    }
    let mut rest = new.as_slice();
    while !rest.is_empty() {
        let size = CHUNKS.into_iter().find(|size| *size <= rest.len()).unwrap_or(1);
        let (chunk, tail) = rest.split_at(size);
        rest = tail;
        let mut query = QueryBuilder::<Sqlite>::new(
            "INSERT INTO activities \
             (task, \"offset\", invocation, event_id, type, timestamp, received_at, data, series, series_ends) ",
        );
        query.push_values(chunk, |mut values, (index, offset)| {
            let item = &batch[*index];
            let activity = &item.activity.activity;
            let task = rows.tasks[&item.task].key;
            let invocation = rows.invocations[&(task, activity.invocation.clone())].key;
            values
                .push_bind(task)
                .push_bind(*offset)
                .push_bind(invocation)
                .push_bind(activity.event_id.as_bytes().to_vec())
                .push_bind(activity.kind.as_str())
                .push_bind(stored(activity.timestamp.as_millis()))
                .push_bind(stored(activity.received_at.as_millis()))
                .push_bind(activity.data.as_str().to_owned())
                .push_bind(item.activity.series.as_ref().map(|series| series.id.to_string()))
                .push_bind(item.activity.series.as_ref().map(|series| series.is_final));
        });
        query.build().execute(&mut *connection).await?;
    }
    Ok(())
}

fn millis(time: Option<Timestamp>) -> Option<u64> {
    time.map(Timestamp::as_millis)
}

async fn update_invocations(connection: &mut SqliteConnection, rows: &Rows) -> Result<(), StoreError> {
    let touched: Vec<_> = rows
        .invocations
        .values()
        .filter(|row| row.touched)
        .map(|row| {
            json!([
                row.key,
                row.status.as_str(),
                row.agent,
                row.title,
                row.exit_code,
                row.reason,
                millis(row.started_at),
                millis(row.completed_at),
                row.last_activity_at.to_write().unwrap_or(row.created_at).as_millis(),
                row.usage,
            ])
        })
        .collect();
    if touched.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "UPDATE invocations SET status = new.value ->> 1, agent = new.value ->> 2, title = new.value ->> 3, \
         exit_code = new.value ->> 4, reason = new.value ->> 5, started_at = new.value ->> 6, completed_at = new.value ->> 7, \
         last_activity_at = new.value ->> 8, usage = new.value ->> 9 \
         FROM json_each(?1) AS new WHERE invocations.id = new.value ->> 0",
    )
    .bind(text(&touched))
    .execute(connection)
    .await?;
    Ok(())
}

async fn update_tasks(connection: &mut SqliteConnection, appended: &Appended, rows: &Rows) -> Result<(), StoreError> {
    let touched: Vec<_> = appended
        .commits
        .iter()
        .map(|commit| &rows.tasks[&commit.task])
        .filter(|row| row.touched)
        .map(|row| {
            let counts = row.counts;
            json!([
                row.key,
                row.head,
                row.status.map(Status::as_str),
                counts.pending,
                counts.running,
                counts.completed,
                counts.failed,
                counts.cancelled,
                counts.lost,
                millis(row.last_activity_at.to_write()),
            ])
        })
        .collect();
    if touched.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "UPDATE tasks SET head = new.value ->> 1, status = new.value ->> 2, pending = new.value ->> 3, running = new.value ->> 4, \
         completed = new.value ->> 5, failed = new.value ->> 6, cancelled = new.value ->> 7, lost = new.value ->> 8, \
         last_activity_at = new.value ->> 9 \
         FROM json_each(?1) AS new WHERE tasks.id = new.value ->> 0",
    )
    .bind(text(&touched))
    .execute(connection)
    .await?;
    Ok(())
}
