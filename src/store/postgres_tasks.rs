//! Tasks and invocations in Postgres: listing, describing, changing, trimming, deleting.

use std::cmp::Reverse;

use serde_json::value::RawValue;
use sqlx::{AssertSqlSafe, Connection, PgConnection, Row, postgres::PgRow};

use crate::auth::Pattern;
use crate::model::{Epoch, Invocation, InvocationId, StatusCounts, TaskId, TaskSummary, Timestamp};

use super::{
    Heartbeat, StoreError, TaskChange, TaskPlace, TaskQuery,
    postgres::{PostgresStore, count, epoch, foreign, maybe_time, names, offset, stored, time, word},
    postgres_read::{EPOCH, HEAD},
    stalls::{NEWEST_RUNS, RUNNING_RUNS, agents, doing, parse_doing, stalled as stalled_of},
};

/// What a summary is read from.
const SUMMARY: &str = "tasks.id, tasks.name, tasks.floor, tasks.title, tasks.labels::text AS labels, tasks.status, \
                       tasks.pending, tasks.running, tasks.completed, tasks.failed, tasks.cancelled, tasks.lost, \
                       tasks.created_at, tasks.listed_at, greatest(tasks.last_activity_at, (SELECT a.received_at \
                       FROM activities AS a WHERE a.task = tasks.id AND a.\"offset\" >= tasks.floor \
                       ORDER BY a.\"offset\" DESC LIMIT 1)) AS last_activity_at";

/// What a task's runs tell of it.
fn runs() -> String {
    format!(
        "ARRAY(SELECT i.agent FROM invocations AS i WHERE i.task = tasks.id ORDER BY i.created_at DESC, i.id DESC \
           LIMIT {NEWEST_RUNS}) AS agents, \
         CASE WHEN tasks.running > 0 THEN (SELECT json_agg(json_build_array(run.name, greatest(run.last_activity_at, \
             newest.newest_at), run.heartbeat_at, newest.doing))::text \
           FROM (SELECT * FROM invocations AS i WHERE i.task = tasks.id AND i.status = 'running' AND NOT i.backfilled \
             ORDER BY i.id LIMIT {RUNNING_RUNS}) AS run {}) END AS running_runs",
        newest()
    )
}

/// What the log of `run` tells beside its row.
fn newest() -> String {
    format!(
        "LEFT JOIN LATERAL (SELECT a.received_at AS newest_at, {} AS doing FROM activities AS a WHERE a.invocation = run.id \
         AND a.\"offset\" >= tasks.floor ORDER BY a.\"offset\" DESC LIMIT 1) AS newest ON true",
        doing("a.data::json")
    )
}

impl PostgresStore {
    pub(super) async fn tasks(&self, query: &TaskQuery) -> Result<(Vec<TaskSummary>, Option<TaskPlace>), StoreError> {
        let mut sql = format!(
            "SELECT {EPOCH}, {HEAD}, {SUMMARY}, {} FROM tasks WHERE ($2::int8 IS NULL OR (listed_at, id) < ($2, $3::int8)) ",
            runs()
        );
        let mut values: Vec<String> = Vec::new();
        if let Some(status) = query.status {
            values.push(status.as_str().to_owned());
            sql.push_str(&format!("AND status = ${} ", values.len() + 3));
        }
        if let Some(text) = &query.text {
            values.push(format!("%{}%", text.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_")));
            let value = values.len() + 3;
            sql.push_str(&format!("AND (name ILIKE ${value} COLLATE \"C\" OR title ILIKE ${value} COLLATE \"C\") "));
        }
        for (label, wanted) in &query.labels {
            values.push(label.clone());
            let name = values.len() + 3;
            sql.push_str(&format!("AND labels ? ${name} "));
            if let Some(wanted) = wanted {
                values.push(wanted.clone());
                sql.push_str(&format!("AND labels ->> ${name} = ${} ", values.len() + 3));
            }
        }
        if let Some(patterns) = &query.visible {
            let likes: Vec<String> = patterns.iter().map(Pattern::like).collect();
            values.push(serde_json::json!(likes).to_string());
            let value = values.len() + 3;
            sql.push_str(&format!("AND name COLLATE \"C\" LIKE ANY (ARRAY(SELECT jsonb_array_elements_text(${value}::jsonb))) "));
        }
        sql.push_str("ORDER BY listed_at DESC, id DESC LIMIT $1");
        let mut statement = sqlx::query(AssertSqlSafe(sql))
            .bind(stored(query.limit as u64 + 1))
            .bind(query.after.map(|place| stored(place.listed_at.as_millis())))
            .bind(query.after.map(|place| place.key));
        for value in values {
            statement = statement.bind(value);
        }
        let rows = self.within(async { Ok(statement.fetch_all(&self.readers).await?) }).await?;
        let more = query.limit < rows.len();
        let rows = &rows[..query.limit.min(rows.len())];
        let mut tasks = rows.iter().map(|row| self.summary(row)).collect::<Result<Vec<_>, _>>()?;
        tasks.sort_by_key(|task| Reverse(task.listed_at()));
        Ok((tasks, rows.last().filter(|_| more).map(place).transpose()?))
    }

    pub(super) async fn summaries(&self, tasks: &[TaskId]) -> Result<Vec<TaskSummary>, StoreError> {
        let sql = AssertSqlSafe(format!("SELECT {EPOCH}, {HEAD}, {SUMMARY}, {} FROM tasks WHERE name = ANY($1)", runs()));
        let query = sqlx::query(sql).bind(names(tasks));
        let rows = self.within(async { Ok(query.fetch_all(&self.readers).await?) }).await?;
        rows.iter().map(|row| self.summary(row)).collect()
    }

    pub(super) async fn put_task(&self, task: &TaskId, change: &TaskChange) -> Result<bool, StoreError> {
        self.write(async |connection: &mut PgConnection| {
            let mut transaction = connection.begin().await?;
            let made =
                sqlx::query("INSERT INTO tasks (name, epoch, created_at) VALUES ($1, $2, $3) ON CONFLICT (name) DO NOTHING")
                    .bind(task.as_str())
                    .bind(i64::from(Epoch::generate().get()))
                    .bind(stored(Timestamp::now().as_millis()))
                    .execute(&mut *transaction)
                    .await?;
            apply(&mut transaction, task, change).await?;
            transaction.commit().await?;
            Ok(made.rows_affected() == 1)
        })
        .await
    }

    pub(super) async fn patch_task(&self, task: &TaskId, change: &TaskChange) -> Result<bool, StoreError> {
        self.write(async |connection: &mut PgConnection| apply(connection, task, change).await).await
    }

    pub(super) async fn delete_task(&self, task: &TaskId) -> Result<bool, StoreError> {
        self.write(async |connection: &mut PgConnection| {
            let mut transaction = connection.begin().await?;
            sqlx::query("DELETE FROM rejects WHERE task = $1").bind(task.as_str()).execute(&mut *transaction).await?;
            let deleted = sqlx::query("DELETE FROM tasks WHERE name = $1").bind(task.as_str()).execute(&mut *transaction).await?;
            transaction.commit().await?;
            Ok(deleted.rows_affected() == 1)
        })
        .await
    }

    pub(super) async fn invocations(&self, task: &TaskId, limit: usize) -> Result<Option<Vec<Invocation>>, StoreError> {
        let query = sqlx::query(AssertSqlSafe(format!(
            "SELECT run.*, newest.* FROM tasks LEFT JOIN LATERAL (SELECT * FROM invocations WHERE task = tasks.id \
             ORDER BY created_at DESC, id DESC LIMIT $2) AS run ON true {} \
             WHERE tasks.name = $1 ORDER BY run.created_at DESC, run.id DESC",
            newest()
        )))
        .bind(task.as_str())
        .bind(stored(limit as u64));
        let rows = self.within(async { Ok(query.fetch_all(&self.readers).await?) }).await?;
        if rows.is_empty() {
            return Ok(None);
        }
        let real = |row: &&PgRow| row.try_get::<Option<i64>, _>("id").is_ok_and(|id| id.is_some());
        rows.iter().filter(real).map(|row| self.run(row)).collect::<Result<_, _>>().map(Some)
    }

    pub(super) async fn invocation(&self, task: &TaskId, id: &InvocationId) -> Result<Option<Invocation>, StoreError> {
        let query = sqlx::query(AssertSqlSafe(format!(
            "SELECT run.*, newest.* FROM tasks JOIN invocations AS run ON run.task = tasks.id AND run.name = $2 {} \
             WHERE tasks.name = $1",
            newest()
        )))
        .bind(task.as_str())
        .bind(id.as_str());
        let row = self.within(async { Ok(query.fetch_optional(&self.readers).await?) }).await?;
        row.as_ref().map(|row| self.run(row)).transpose()
    }

    /// Never waits for anyone: an invocation whose row is being written is alive anyway.
    pub(super) async fn heartbeats(&self, beats: &[Heartbeat]) -> Result<(), StoreError> {
        let tasks: Vec<&str> = beats.iter().map(|beat| beat.task.as_str()).collect();
        let runs: Vec<&str> = beats.iter().map(|beat| beat.invocation.as_str()).collect();
        let times: Vec<i64> = beats.iter().map(|beat| stored(beat.at.as_millis())).collect();
        let query = sqlx::query(
            "WITH alive AS (SELECT i.id, b.at FROM unnest($1::text[], $2::text[], $3::int8[]) AS b(task, name, at) \
               JOIN tasks AS t ON t.name = b.task JOIN invocations AS i ON i.task = t.id AND i.name = b.name \
               FOR NO KEY UPDATE OF i SKIP LOCKED) \
             UPDATE invocations AS i SET heartbeat_at = greatest(i.heartbeat_at, alive.at) FROM alive WHERE i.id = alive.id",
        )
        .bind(tasks)
        .bind(runs)
        .bind(times);
        self.write(async |connection: &mut PgConnection| Ok(query.execute(connection).await.map(drop)?)).await
    }
}

async fn apply(connection: &mut PgConnection, task: &TaskId, change: &TaskChange) -> Result<bool, StoreError> {
    let labels = change.labels.as_ref().map(serde_json::to_string).transpose();
    let changed = sqlx::query(
        "UPDATE tasks SET title = CASE WHEN $2 THEN $3 ELSE title END, labels = coalesce($4::jsonb, labels) WHERE name = $1",
    )
    .bind(task.as_str())
    .bind(change.title.is_some())
    .bind(change.title.clone().flatten())
    .bind(labels.map_err(|error| StoreError::Refused(error.to_string()))?)
    .execute(connection)
    .await?;
    Ok(changed.rows_affected() == 1)
}

fn place(row: &PgRow) -> Result<TaskPlace, StoreError> {
    Ok(TaskPlace { listed_at: time(row, "listed_at")?, key: row.try_get("id")? })
}

impl PostgresStore {
    fn summary(&self, row: &PgRow) -> Result<TaskSummary, StoreError> {
        let labels: &str = row.try_get("labels")?;
        Ok(TaskSummary {
            task_id: word(row, "name")?.ok_or_else(|| foreign("name"))?,
            title: row.try_get("title")?,
            labels: serde_json::from_str(labels).map_err(|_| foreign("labels"))?,
            status: word(row, "status")?,
            epoch: epoch(row)?,
            head: offset(row, "head")?,
            floor: offset(row, "floor")?,
            created_at: time(row, "created_at")?,
            last_activity_at: maybe_time(row, "last_activity_at")?,
            invocation_counts: StatusCounts {
                pending: count(row, "pending")?,
                running: count(row, "running")?,
                completed: count(row, "completed")?,
                failed: count(row, "failed")?,
                cancelled: count(row, "cancelled")?,
                lost: count(row, "lost")?,
            },
            agents: agents(row.try_get::<Vec<Option<String>>, _>("agents")?),
            stalled: stalled_of(row.try_get("running_runs")?, &self.stalled_after)?,
        })
    }

    fn run(&self, row: &PgRow) -> Result<Invocation, StoreError> {
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
