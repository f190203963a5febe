//! Tasks and invocations in SQLite: listing, describing, changing, trimming, deleting.

use std::cmp::Reverse;

use serde_json::value::RawValue;
use sqlx::{AssertSqlSafe, Row, sqlite::SqliteRow};

use crate::model::{Epoch, Invocation, InvocationId, TaskId, TaskSummary, Timestamp};

use super::{
    StoreError, TaskChange, TaskPlace, TaskQuery,
    sqlite::{SqliteStore, TASK, epoch, foreign, maybe_time, offset, stored, time, word},
    sqlite_append::status_counts,
    sqlite_read::log_row,
    stalls::{NEWEST_RUNS, RUNNING_RUNS, agents, doing, parse_doing, stalled as stalled_of},
};

/// When a task's log last grew.
const NEWEST: &str =
    "(SELECT a.received_at FROM activities AS a WHERE a.task = tasks.id ORDER BY a.\"offset\" DESC LIMIT 1) AS newest_at";

/// What a task's runs tell of it.
fn runs() -> String {
    format!(
        "(SELECT json_group_array(newest.agent) FROM (SELECT i.agent FROM invocations AS i WHERE i.task = tasks.id \
           ORDER BY i.id DESC LIMIT {NEWEST_RUNS}) AS newest) AS agents, \
         CASE WHEN tasks.running > 0 THEN (SELECT json_group_array(json_array(run.name, max(run.last_activity_at, \
             coalesce(a.received_at, 0)), run.heartbeat_at, {})) \
           FROM (SELECT * FROM invocations AS i WHERE i.task = tasks.id AND i.status = 'running' AND i.backfilled = 0 \
             ORDER BY i.id LIMIT {RUNNING_RUNS}) AS run {LAST}) END AS running_runs",
        doing("a.data")
    )
}

/// The last activity of `run`.
const LAST: &str = "LEFT JOIN activities AS a ON a.task = run.task AND a.\"offset\" = \
                    (SELECT max(b.\"offset\") FROM activities AS b WHERE b.invocation = run.id)";

/// A run's row with what the log tells beside it.
fn run_columns() -> String {
    format!("run.*, a.received_at AS newest_at, {} AS doing", doing("a.data"))
}

impl SqliteStore {
    pub(super) async fn tasks(&self, query: &TaskQuery) -> Result<(Vec<TaskSummary>, Option<TaskPlace>), StoreError> {
        let mut sql = format!("SELECT {TASK}, {NEWEST}, {} FROM tasks WHERE true ", runs());
        let mut values: Vec<String> = Vec::new();
        if query.after.is_some() {
            sql.push_str("AND (listed_at, id) < (?2, ?3) ");
        }
        if let Some(status) = query.status {
            values.push(status.as_str().to_owned());
            sql.push_str(&format!("AND status = ?{} ", values.len() + 3));
        }
        if let Some(text) = &query.text {
            values.push(format!("%{}%", text.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_")));
            let value = values.len() + 3;
            sql.push_str(&format!("AND (name LIKE ?{value} ESCAPE '\\' OR title LIKE ?{value} ESCAPE '\\') "));
        }
        for (label, wanted) in &query.labels {
            values.push(label.clone());
            let name = values.len() + 3;
            sql.push_str(&format!("AND EXISTS (SELECT 1 FROM json_each(labels) AS label WHERE label.key = ?{name} "));
            if let Some(wanted) = wanted {
                values.push(wanted.clone());
                sql.push_str(&format!("AND label.value = ?{} ", values.len() + 3));
            }
            sql.push_str(") ");
        }
        if let Some(patterns) = &query.visible {
            // Of what a pattern may contain only * has a meaning for GLOB, and it is the same.
            values.push(serde_json::json!(patterns).to_string());
            let value = values.len() + 3;
            sql.push_str(&format!("AND EXISTS (SELECT 1 FROM json_each(?{value}) AS pattern WHERE name GLOB pattern.value) "));
        }
        sql.push_str("ORDER BY listed_at DESC, id DESC LIMIT ?1");
        let mut statement = sqlx::query(AssertSqlSafe(sql))
            .bind(stored(query.limit as u64 + 1))
            .bind(query.after.map(|place| stored(place.listed_at.as_millis())))
            .bind(query.after.map(|place| place.key));
        for value in values {
            statement = statement.bind(value);
        }
        let rows = statement.fetch_all(&self.readers).await?;
        let more = query.limit < rows.len();
        let rows = &rows[..query.limit.min(rows.len())];
        let mut tasks = rows.iter().map(|row| self.summary(row)).collect::<Result<Vec<_>, _>>()?;
        tasks.sort_by_key(|task| Reverse(task.listed_at()));
        let next = rows.last().filter(|_| more).map(place).transpose()?;
        Ok((tasks, next))
    }

    pub(super) async fn summaries(&self, tasks: &[TaskId]) -> Result<Vec<TaskSummary>, StoreError> {
        let wanted = serde_json::to_string(tasks).map_err(|error| StoreError::Refused(error.to_string()))?;
        let rows = sqlx::query(AssertSqlSafe(format!(
            "SELECT {TASK}, {NEWEST}, {} FROM json_each(?1) AS wanted CROSS JOIN tasks ON tasks.name = wanted.value",
            runs()
        )))
        .bind(wanted)
        .fetch_all(&self.readers)
        .await?;
        rows.iter().map(|row| self.summary(row)).collect()
    }

    pub(super) async fn put_task(&self, task: &TaskId, change: &TaskChange) -> Result<bool, StoreError> {
        let mut transaction = self.writer.begin_with("BEGIN IMMEDIATE").await?;
        let made = sqlx::query("INSERT INTO tasks (name, epoch, created_at) VALUES (?1, ?2, ?3) ON CONFLICT (name) DO NOTHING")
            .bind(task.as_str().to_owned())
            .bind(i64::from(Epoch::generate().get()))
            .bind(stored(Timestamp::now().as_millis()))
            .execute(&mut *transaction)
            .await?;
        change_statement(task, change)?.execute(&mut *transaction).await?;
        transaction.commit().await?;
        Ok(made.rows_affected() == 1)
    }

    pub(super) async fn patch_task(&self, task: &TaskId, change: &TaskChange) -> Result<bool, StoreError> {
        let changed = change_statement(task, change)?.execute(&self.writer).await?;
        Ok(changed.rows_affected() == 1)
    }

    pub(super) async fn delete_task(&self, task: &TaskId) -> Result<bool, StoreError> {
        let mut transaction = self.writer.begin_with("BEGIN IMMEDIATE").await?;
        self.remembered.forget(task);
        sqlx::query("DELETE FROM rejects WHERE task = ?1").bind(task.as_str().to_owned()).execute(&mut *transaction).await?;
        let deleted =
            sqlx::query("DELETE FROM tasks WHERE name = ?1").bind(task.as_str().to_owned()).execute(&mut *transaction).await?;
        transaction.commit().await?;
        Ok(deleted.rows_affected() == 1)
    }

    pub(super) async fn invocations(&self, task: &TaskId, limit: usize) -> Result<Option<Vec<Invocation>>, StoreError> {
        let mut transaction = self.readers.begin().await?;
        let Some((key, _)) = log_row(&mut transaction, task).await? else { return Ok(None) };
        let sql = format!(
            "SELECT {} FROM (SELECT * FROM invocations WHERE task = ?1 ORDER BY id DESC LIMIT ?2) AS run {LAST} ORDER BY run.id DESC",
            run_columns()
        );
        let rows = sqlx::query(AssertSqlSafe(sql)).bind(key).bind(stored(limit as u64)).fetch_all(&mut *transaction).await?;
        rows.iter().map(|row| self.run(row)).collect::<Result<_, _>>().map(Some)
    }

    pub(super) async fn invocation(&self, task: &TaskId, id: &InvocationId) -> Result<Option<Invocation>, StoreError> {
        let row = sqlx::query(AssertSqlSafe(format!(
            "SELECT {} FROM tasks CROSS JOIN invocations AS run ON run.task = tasks.id {LAST} \
             WHERE tasks.name = ?1 AND run.name = ?2",
            run_columns()
        )))
        .bind(task.as_str().to_owned())
        .bind(id.as_str().to_owned())
        .fetch_optional(&self.readers)
        .await?;
        row.as_ref().map(|row| self.run(row)).transpose()
    }
}

type Query = sqlx::query::Query<'static, sqlx::Sqlite, sqlx::sqlite::SqliteArguments>;

fn change_statement(task: &TaskId, change: &TaskChange) -> Result<Query, StoreError> {
    let labels = change.labels.as_ref().map(serde_json::to_string).transpose();
    Ok(sqlx::query("UPDATE tasks SET title = CASE WHEN ?2 THEN ?3 ELSE title END, labels = coalesce(?4, labels) WHERE name = ?1")
        .bind(task.as_str().to_owned())
        .bind(change.title.is_some())
        .bind(change.title.clone().flatten())
        .bind(labels.map_err(|error| StoreError::Refused(error.to_string()))?))
}

fn place(row: &SqliteRow) -> Result<TaskPlace, StoreError> {
    Ok(TaskPlace { listed_at: time(row, "listed_at")?, key: row.try_get("id")? })
}

impl SqliteStore {
    fn summary(&self, row: &SqliteRow) -> Result<TaskSummary, StoreError> {
        let labels: &str = row.try_get("labels")?;
        let newest: Vec<Option<String>> = serde_json::from_str(row.try_get("agents")?).map_err(|_| foreign("agents"))?;
        Ok(TaskSummary {
            task_id: word(row, "name")?.ok_or_else(|| foreign("name"))?,
            title: row.try_get("title")?,
            labels: serde_json::from_str(labels).map_err(|_| foreign("labels"))?,
            status: word(row, "status")?,
            epoch: epoch(row)?,
            head: offset(row, "log_head")?,
            floor: offset(row, "floor")?,
            created_at: time(row, "created_at")?,
            last_activity_at: maybe_time(row, "last_activity_at")?.max(maybe_time(row, "newest_at")?),
            invocation_counts: status_counts(row)?,
            agents: agents(newest),
            stalled: stalled_of(row.try_get("running_runs")?, &self.stalled_after)?,
        })
    }

    fn run(&self, row: &SqliteRow) -> Result<Invocation, StoreError> {
        let usage: Option<String> = row.try_get("usage")?;
        let doing = parse_doing(row.try_get("doing")?);
        let run = Invocation {
            invocation_id: word(row, "name")?.ok_or_else(|| foreign("name"))?,
            status: word(row, "status")?.ok_or_else(|| foreign("status"))?,
            agent: row.try_get("agent")?,
            title: row.try_get("title")?,
            exit_code: row.try_get("exit_code")?,
            reason: row.try_get("reason")?,
            created_at: time(row, "created_at")?,
            started_at: maybe_time(row, "started_at")?,
            completed_at: maybe_time(row, "completed_at")?,
            last_activity_at: time(row, "last_activity_at")?.max(maybe_time(row, "newest_at")?.unwrap_or_default()),
            heartbeat_at: maybe_time(row, "heartbeat_at")?,
            usage: usage.map(RawValue::from_string).transpose().map_err(|_| foreign("usage"))?,
            backfilled: row.try_get("backfilled")?,
            stalled: false,
            stalled_reason: None,
            stalled_since: None,
        };
        Ok(run.judged(doing, &self.stalled_after, Timestamp::now()))
    }
}
