//! Reading logs from SQLite: pages that see one moment, bounded in activities, bytes and offsets looked at.

use bytes::Bytes;
use futures_util::TryStreamExt;
use serde_json::json;
use sqlx::{AssertSqlSafe, Row, SqliteConnection, sqlite::SqliteRow};

use crate::model::{Activity, Data, Filter, LogState, Offset, TaskId};

use super::{
    Page, ReadAfter, StoreError,
    sqlite::{SqliteStore, TASK, foreign, log_state, offset, stored, time, word},
    sqlite_append::event_id,
};

const COLUMNS: &str = "SELECT activities.\"offset\", activities.event_id, activities.type, activities.timestamp, \
                       activities.received_at, activities.data, invocations.name AS invocation \
                       FROM activities CROSS JOIN invocations ON invocations.id = activities.invocation ";

impl SqliteStore {
    pub(super) async fn read_after(&self, task: &TaskId, range: &ReadAfter) -> Result<Option<Page>, StoreError> {
        let mut transaction = self.readers.begin().await?;
        let Some((key, state)) = log_row(&mut transaction, task).await? else { return Ok(None) };
        let after = range.after.max(state.floor.previous());
        let until = after.plus(range.window).min(state.head);
        let sql = format!(
            "{COLUMNS} WHERE activities.task = ?1 AND activities.\"offset\" > ?2 AND activities.\"offset\" <= ?3 {} \
             ORDER BY activities.\"offset\" LIMIT ?4",
            conditions(&range.filter)
        );
        let mut activities = Vec::new();
        let mut bytes = 0;
        let mut stopped = false;
        let arguments = [stored(after.get()), stored(until.get()), stored(range.limit as u64)];
        let mut rows = bind(sqlx::query(AssertSqlSafe(sql)).bind(key), &arguments, &range.filter).fetch(&mut *transaction);
        while let Some(row) = rows.try_next().await? {
            let (offset, activity) = activity(&row)?;
            bytes += activity.data.as_bytes().len();
            activities.push((offset, activity));
            stopped = activities.len() == range.limit || range.bytes <= bytes;
            if stopped {
                break;
            }
        }
        drop(rows);
        let through = if stopped { activities.last().map_or(until, |(offset, _)| *offset) } else { until };
        Ok(Some(Page { state, through: through.max(range.after.min(state.head)), activities }))
    }

    pub(super) async fn read_before(
        &self,
        task: &TaskId,
        before: Option<Offset>,
        limit: usize,
        filter: &Filter,
    ) -> Result<Option<Page>, StoreError> {
        let mut transaction = self.readers.begin().await?;
        let Some((key, state)) = log_row(&mut transaction, task).await? else { return Ok(None) };
        let before = before.unwrap_or(state.head.next());
        let sql = format!(
            "{COLUMNS} WHERE activities.task = ?1 AND activities.\"offset\" >= ?2 AND activities.\"offset\" < ?3 {} \
             ORDER BY activities.\"offset\" DESC LIMIT ?4",
            conditions(filter)
        );
        let from = Page::looked_from(&state, before, filter);
        let arguments = [stored(from.get()), stored(before.get()), stored(limit as u64)];
        let rows = bind(sqlx::query(AssertSqlSafe(sql)).bind(key), &arguments, filter).fetch_all(&mut *transaction).await?;
        let mut activities = rows.iter().rev().map(activity).collect::<Result<Vec<_>, _>>()?;
        activities.shrink_to_fit();
        Ok(Some(Page::back(state, from, limit, activities)))
    }

    pub(super) async fn log_states(&self, tasks: &[TaskId]) -> Result<Vec<(TaskId, LogState)>, StoreError> {
        let wanted = serde_json::to_string(tasks).map_err(|error| StoreError::Refused(error.to_string()))?;
        let rows = sqlx::query(AssertSqlSafe(format!(
            "SELECT {TASK} FROM json_each(?1) AS wanted CROSS JOIN tasks ON tasks.name = wanted.value"
        )))
        .bind(wanted)
        .fetch_all(&self.readers)
        .await?;
        rows.iter().map(|row| Ok((word(row, "name")?.ok_or_else(|| foreign("name"))?, log_state(row)?))).collect()
    }
}

pub(super) async fn log_row(connection: &mut SqliteConnection, task: &TaskId) -> Result<Option<(i64, LogState)>, StoreError> {
    let row = sqlx::query(AssertSqlSafe(format!("SELECT {TASK} FROM tasks WHERE name = ?1")))
        .bind(task.as_str().to_owned())
        .fetch_optional(connection)
        .await?;
    row.map(|row| Ok((row.try_get("id")?, log_state(&row)?))).transpose()
}

/// The filter as SQL; its values are bound as parameters 5 and 6. There are eight texts in all, so each is prepared once.
fn conditions(filter: &Filter) -> String {
    let mut sql = String::new();
    if !filter.types.is_empty() {
        sql.push_str("AND activities.type IN (SELECT value FROM json_each(?5)) ");
    }
    if filter.invocation.is_some() {
        sql.push_str("AND activities.invocation = (SELECT i.id FROM invocations AS i WHERE i.task = ?1 AND i.name = ?6) ");
    }
    if filter.finished_series {
        sql.push_str(
            "AND NOT (activities.series_ends IS 0 AND EXISTS (SELECT 1 FROM activities AS whole \
             WHERE whole.invocation = activities.invocation AND whole.series = activities.series AND whole.series_ends = 1)) ",
        );
    }
    sql
}

type Query<'q> = sqlx::query::Query<'q, sqlx::Sqlite, sqlx::sqlite::SqliteArguments>;

fn bind<'q>(mut query: Query<'q>, numbers: &[i64; 3], filter: &Filter) -> Query<'q> {
    for number in numbers {
        query = query.bind(*number);
    }
    let types: Vec<_> = filter.types.iter().map(|kind| json!(kind.as_str())).collect();
    query.bind(serde_json::Value::Array(types).to_string()).bind(filter.invocation.as_ref().map(|id| id.as_str().to_owned()))
}

fn activity(row: &SqliteRow) -> Result<(Offset, Activity), StoreError> {
    let data: String = row.try_get("data")?;
    let activity = Activity {
        event_id: event_id(row)?,
        invocation: word(row, "invocation")?.ok_or_else(|| foreign("invocation"))?,
        kind: word(row, "type")?.ok_or_else(|| foreign("type"))?,
        timestamp: time(row, "timestamp")?,
        received_at: time(row, "received_at")?,
        data: Data::from_checked(Bytes::from(data)).ok_or_else(|| foreign("data"))?,
    };
    Ok((offset(row, "offset")?, activity))
}
