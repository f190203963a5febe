//! The write of an append: new runs, what changed of runs and tasks, and the activities, the last of them with the commit.

use serde_json::json;
use sqlx::{AssertSqlSafe, Row, SqliteConnection};

use crate::model::{Status, Timestamp};

use super::{
    Append, Appended, StoreError,
    plan::Rows,
    sqlite::{foreign, stored, word},
    sqlite_append::text,
    webhooks::written,
};

/// The sizes of multi-row inserts: few, so that each is prepared once; 256 rows of 10 values stay far below SQLite's 32,766 parameters.
const CHUNKS: [usize; 3] = [256, 16, 1];

/// What the rows were planned on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Basis {
    /// Rows that the transaction has read.
    Loaded,
    /// Rows as this node left them; the transaction has yet to begin.
    Remembered,
}

/// Writes what the plan came to, and commits.
pub(super) async fn write(
    connection: &mut SqliteConnection,
    basis: Basis,
    batch: &[Append],
    appended: &Appended,
    rows: &mut Rows,
) -> Result<(), StoreError> {
    let change = rows.invocations.values().any(|row| row.touched) || rows.tasks.values().any(|row| row.touched);
    let mut begin = basis == Basis::Remembered;
    if change && std::mem::take(&mut begin) {
        sqlx::query("BEGIN IMMEDIATE").execute(&mut *connection).await?;
    }
    insert_invocations(connection, rows).await?;
    update_invocations(connection, rows).await?;
    update_tasks(connection, appended, rows).await?;
    insert_transitions(connection, rows).await?;
    insert_activities_and_commit(connection, begin, batch, appended, rows).await
}

async fn insert_invocations(connection: &mut SqliteConnection, rows: &mut Rows) -> Result<(), StoreError> {
    let mut new: Vec<_> = rows.invocations.iter().filter(|(_, row)| row.key.is_none()).collect();
    // Their keys tell their order, which is not to depend on where they are in memory.
    new.sort_unstable_by_key(|(name, _)| *name);
    let new: Vec<_> = new
        .into_iter()
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
        let name = word(row, "name")?.ok_or_else(|| foreign("name"))?;
        if let Some(invocation) = rows.invocations.get_mut(&(row.try_get("task")?, name)) {
            invocation.key = Some(row.try_get("id")?);
        }
    }
    Ok(())
}

/// An insert of so many activities; the first may begin the transaction, the last commits it.
fn insert(rows: usize, begin: bool, commit: bool) -> String {
    let mut sql = if begin { "BEGIN IMMEDIATE; ".to_owned() } else { String::new() };
    sql.push_str(
        "INSERT INTO activities \
                   (task, \"offset\", invocation, event_id, type, timestamp, received_at, data, series, series_ends) VALUES ",
    );
    sql.push_str(&vec!["(?,?,?,?,?,?,?,?,?,?)"; rows].join(","));
    if commit {
        sql.push_str("; COMMIT");
    }
    sql
}

async fn insert_activities_and_commit(
    connection: &mut SqliteConnection,
    begin: bool,
    batch: &[Append],
    appended: &Appended,
    rows: &Rows,
) -> Result<(), StoreError> {
    let mut new: Vec<(&Append, i64)> = Vec::with_capacity(batch.len());
    for commit in &appended.commits {
        new.extend(commit.items.iter().zip(0..).map(|(index, after)| (&batch[*index], stored(commit.first.plus(after).get()))));
    }
    let (mut query, mut rest) = next_insert(&new, begin, rows);
    while let Some(this) = query {
        // While the database's thread inserts some, the next ones are put together.
        let (done, next) = tokio::join!(this.execute(&mut *connection), async { next_insert(rest, false, rows) });
        done?;
        (query, rest) = next;
    }
    Ok(())
}

type Query = sqlx::query::Query<'static, sqlx::Sqlite, sqlx::sqlite::SqliteArguments>;

/// The insert of the first of these activities, and those that are left.
fn next_insert<'a, 'b>(new: &'a [(&'b Append, i64)], begin: bool, rows: &Rows) -> (Option<Query>, &'a [(&'b Append, i64)]) {
    let Some(size) = CHUNKS.into_iter().find(|size| *size <= new.len()) else { return (None, new) };
    let (chunk, rest) = new.split_at(size);
    let mut query = sqlx::query(AssertSqlSafe(insert(size, begin, rest.is_empty())));
    for (item, offset) in chunk {
        let activity = &item.activity.activity;
        let task = rows.tasks[&item.task].key;
        query = query
            .bind(task)
            .bind(*offset)
            .bind(rows.invocations[&(task, activity.invocation.clone())].key)
            .bind(activity.event_id.as_bytes().to_vec())
            .bind(activity.kind.as_str())
            .bind(stored(activity.timestamp.as_millis()))
            .bind(stored(activity.received_at.as_millis()))
            .bind(activity.data.as_str().to_owned())
            .bind(item.activity.series.as_ref().map(|series| series.id.to_string()))
            .bind(item.activity.series.as_ref().map(|series| series.is_final));
    }
    (Some(query), rest)
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
                row.backfilled,
            ])
        })
        .collect();
    if touched.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "UPDATE invocations SET status = new.value ->> 1, agent = new.value ->> 2, title = new.value ->> 3, \
         exit_code = new.value ->> 4, reason = new.value ->> 5, started_at = new.value ->> 6, completed_at = new.value ->> 7, \
         last_activity_at = new.value ->> 8, usage = new.value ->> 9, backfilled = new.value ->> 10 \
         FROM json_each(?1) AS new WHERE invocations.id = new.value ->> 0",
    )
    .bind(text(&touched))
    .execute(connection)
    .await?;
    Ok(())
}

/// A run that has moved has changed, so the transaction has begun.
async fn insert_transitions(connection: &mut SqliteConnection, rows: &Rows) -> Result<(), StoreError> {
    if rows.transitions.is_empty() {
        return Ok(());
    }
    let moves: Vec<_> = rows.transitions.iter().map(|moved| json!([moved.task.as_str(), written(moved)])).collect();
    sqlx::query("INSERT INTO transitions (task, data) SELECT value ->> 0, value ->> 1 FROM json_each(?1) ORDER BY key")
        .bind(text(&moves))
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
